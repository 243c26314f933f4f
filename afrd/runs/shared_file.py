"""Notes and groups of all runs in a folder, in one SQLite file of that folder, `notes.sqlite`.

    file = SharedFile("runs")
    with file.writing() as entries:
        entries.put(Key("note", "praline", "test_public", "25"), {"text": "dent", "tags": []})
    with file.reading() as entries:
        entries.of("note", "praline")

Several people may read and write at once, in one process or in several. Every change is kept as a version, including
removals, so that it can be undone.

On a local disk the file has a write-ahead log (WAL), so that readers do not wait for a writer. A network file system
lacks the shared memory that WAL needs; there, and where the file system is not known, the file has a rollback journal,
with which readers do wait. The file may come from an untrusted source: it is opened only if it has this project's
application id and exactly its tables, and it is limited in size.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

FILE = "notes.sqlite"
APPLICATION_ID = 0x41465244  # "AFRD"
FORMAT = 1
MAX_BYTES = 64_000_000  # of the file, and of its log
MAX_VALUE = 100_000  # characters of one value
MAX_VERSIONS = 20  # of one entry; older ones are removed
LOCK_TIMEOUT = 10.0  # seconds to wait for another writer
LOCAL_FILE_SYSTEMS = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "tmpfs", "ramfs", "overlay"}
TABLES = (
    "CREATE TABLE versions (id INTEGER PRIMARY KEY, change INTEGER NOT NULL, kind TEXT NOT NULL, run TEXT NOT NULL, "
    "split TEXT NOT NULL, name TEXT NOT NULL, value TEXT, at TEXT NOT NULL, undone INTEGER NOT NULL DEFAULT 0)",
    "CREATE INDEX versions_of ON versions (kind, run, split, name, undone, id)",
)
# One connection at a time in a process: its locks on a file end when any thread of it closes that file, as the look at
# the first bytes does (https://www.sqlite.org/howtocorrupt.html, 2.2); another process would then remove the log.
_in_this_process = threading.Lock()
_MAGIC, _LOG_AT, _ID_AT = b"SQLite format 3\0", 18, 68  # a file's first bytes; where it says log and application
_PAGE = 4096  # bytes
_SUPER_JOURNAL = bytes.fromhex("d9d505f920a163d7")  # the end of a journal that names another file
_OF_KEY = "kind = ? AND run = ? AND split = ? AND name = ?"


class NotWritableError(ValueError):
    """The folder, or the file in it, cannot be written to."""


class DamagedError(Exception):
    """The content of the file is invalid; `SharedFile` raises ValueError with the name of the file instead."""


class Key(NamedTuple):
    """Key of an entry; `run` and `split` are "" where it is about all of them."""

    kind: str
    run: str
    split: str
    name: str


class SharedFile:
    """The file in a folder.

    Args:
        folder: that holds the runs. It must exist when something is written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.path = self.folder / FILE

    @contextmanager
    def reading(self) -> Iterator[Entries]:
        """The entries as they are; none where there is no file.

        Raises:
            ValueError: the file is damaged, or not one of this project.
        """
        with self._alone(), self._in_one_sentence():
            connection = self._opened(writes=False) if self.path.is_file() else _empty()
            try:
                yield Entries(connection)
            finally:
                connection.close()

    @contextmanager
    def writing(self) -> Iterator[Entries]:
        """The entries, to be changed: all changes of the block are stored, or none.

        Raises:
            NotWritableError: the folder cannot be written to.
            ValueError: the file is damaged, not one of this project, or being written by somebody else.
        """
        with self._alone(), self._in_one_sentence():
            if not self.folder.is_dir():
                raise ValueError(f"notes cannot be saved: there is no folder {self.folder}")
            if not self.path.is_file():
                _make(self.path)
            connection = self._opened(writes=True)
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield Entries(connection)
                connection.execute("COMMIT")
            finally:  # an open transaction is rolled back
                connection.close()

    def _opened(self, writes: bool) -> sqlite3.Connection:
        has_log, mode = self._check_file(), "rw"  # also to read: who opens a log read-only leaves it behind
        if not writes and has_log and not os.access(self.folder, os.W_OK) and not self._beside("-wal").exists():
            mode = "ro&immutable=1"  # a log could not be made here, and there is nothing in one
        connection = sqlite3.connect(
            f"{self.path.resolve().as_uri()}?mode={mode}", timeout=LOCK_TIMEOUT, isolation_level=None, uri=True
        )
        try:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 10 * MAX_VALUE)
            for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute(f"PRAGMA max_page_count = {MAX_BYTES // _PAGE}")
            self._check_tables(connection)
            if not writes:
                connection.execute("PRAGMA query_only = ON")
            elif has_log and not is_local(self.folder):  # it was copied here
                connection.execute("PRAGMA journal_mode = DELETE")
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_file(self) -> bool:
        """Checks the file without SQLite, which must never open a foreign one; returns whether it has a log."""
        if not self.path.is_file():
            raise ValueError(f"{self.path} is not a file; move it away to start anew")
        with self.path.open("rb") as file:
            head = file.read(100)
        if head[:16] != _MAGIC or int.from_bytes(head[_ID_AT : _ID_AT + 4], "big") != APPLICATION_ID:
            raise ValueError(f"{self.path} is not a file of notes of AFRD; move it away to start anew")
        for path in (self.path, self._beside("-wal"), self._beside("-journal")):
            if path.is_file() and path.stat().st_size > MAX_BYTES + _PAGE:
                raise ValueError(f"{path} is larger than {MAX_BYTES // 1_000_000} MB; move it away to start anew")
        journal = self._beside("-journal")
        if journal.is_file() and journal.read_bytes().endswith(_SUPER_JOURNAL):  # SQLite may remove the file it names
            raise ValueError(f"{journal} names another file, which ours never do; move it away")
        return head[_LOG_AT] == 2

    def _check_tables(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != FORMAT:
            raise ValueError(f"{self.path} has format {version}, and this version of AFRD reads {FORMAT}; update AFRD")
        if _tables(connection) != _tables(_empty()):
            raise ValueError(f"{self.path} has other tables than a file of notes; move it away to start anew")

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(self.path.name + ending)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Excludes other threads of this process from such a file."""
        if not _in_this_process.acquire(timeout=2 * LOCK_TIMEOUT):
            raise ValueError(f"{self.path} is being written by somebody else; try again")
        try:
            yield
        finally:
            _in_this_process.release()

    @contextmanager
    def _in_one_sentence(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, DamagedError) as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise ValueError(f"{self.path} is being written by somebody else; try again") from error
            if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
                sentence = f"notes cannot be saved: {self.path} or its folder cannot be written to"
                raise NotWritableError(sentence) from error
            if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                why = f"it has reached {MAX_BYTES // 1_000_000} MB, or its disk is full or failed"
                raise ValueError(f"{self.path} cannot be written or read: {why}; free some space there") from error
            raise ValueError(f"{self.path} is damaged ({error}); move it away to start anew") from error
        except OSError as error:
            sentence = f"notes cannot be saved in {self.folder} ({error.strerror or error})"
            kind = NotWritableError if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) else ValueError
            raise kind(sentence) from error


class Entries:
    """The entries of a file within one transaction.

    Args:
        connection: to a database with `TABLES`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._change: int | None = None

    def get(self, key: Key) -> Any:
        """The value of an entry; None where there is none."""
        row = self._latest(key)
        return None if row is None else _value(row[2])

    def of(self, kind: str, run: str | None = None) -> dict[Key, Any]:
        """The values of all entries of a kind, of one run or of all, sorted by key."""
        where = "" if run is None else " AND run = ?"
        rows = self._connection.execute(
            f"SELECT kind, run, split, name, value, MAX(id) FROM versions WHERE kind = ?{where} AND undone = 0 "
            "GROUP BY kind, run, split, name ORDER BY run, split, name",
            (kind,) if run is None else (kind, run),
        )
        return {_key(row[:4]): value for row in rows if (value := _value(row[4])) is not None}

    def put(self, key: Key, value: Any, first: bool = False) -> None:
        """Stores a value; None removes the entry.

        Args:
            key: of the entry.
            value: of JSON, at most `MAX_VALUE` characters of it.
            first: whether this is the initial value of the entry, which cannot be undone.
        """
        if value == self.get(key):
            return
        text = None if value is None else json.dumps(value, sort_keys=True)
        if text is not None and len(text) > MAX_VALUE:
            raise ValueError(f"an entry of {len(text)} characters is longer than {MAX_VALUE}")
        if self._change is None:
            (self._change,) = self._connection.execute("SELECT COALESCE(MAX(change), 0) + 1 FROM versions").fetchone()
        self._connection.execute(
            "INSERT INTO versions (change, kind, run, split, name, value, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (0 if first else self._change, *key, text, datetime.now(UTC).isoformat(timespec="seconds")),
        )
        self._forget_oldest(key)

    def can_undo(self, key: Key) -> bool:
        """Whether `undo` would change the entry."""
        row = self._latest(key)
        return row is not None and row[1] > 0

    def undo(self, key: Key) -> bool:
        """Undoes the latest change of an entry; returns whether there was one."""
        row = self._latest(key)
        if row is None or row[1] == 0:
            return False
        self._connection.execute("UPDATE versions SET undone = 1 WHERE id = ?", (row[0],))
        return True

    def undo_latest(self) -> list[Key]:
        """Undoes the latest change of the file, in all entries that it changed together; returns their keys."""
        (change,) = self._connection.execute("SELECT MAX(change) FROM versions WHERE undone = 0").fetchone()
        if not change:
            return []
        which = "WHERE change = ? AND undone = 0"
        rows = self._connection.execute(f"SELECT DISTINCT kind, run, split, name FROM versions {which}", (change,))
        keys = [_key(row) for row in rows]
        self._connection.execute(f"UPDATE versions SET undone = 1 {which}", (change,))
        return keys

    def _latest(self, key: Key) -> tuple[int, int, str | None] | None:
        """Id, change and value of the version that counts."""
        return self._connection.execute(
            f"SELECT id, change, value FROM versions WHERE {_OF_KEY} AND undone = 0 ORDER BY id DESC LIMIT 1", key
        ).fetchone()

    def _forget_oldest(self, key: Key) -> None:
        latest = self._connection.execute(
            f"SELECT id FROM versions WHERE {_OF_KEY} ORDER BY id DESC LIMIT {MAX_VERSIONS}", key
        ).fetchall()
        if len(latest) == MAX_VERSIONS:
            (oldest,) = latest[-1]
            self._connection.execute(f"DELETE FROM versions WHERE {_OF_KEY} AND id < ?", (*key, oldest))
            self._connection.execute("UPDATE versions SET change = 0 WHERE id = ?", (oldest,))


def is_local(folder: Path) -> bool:
    """Whether a folder is known to lie on a file system of this machine, by Linux's list of mounts."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    place, best, kind = folder.resolve(), Path("/"), ""
    for line in lines:  # later mounts hide earlier ones
        fields, _, rest = line.partition(" - ")
        point = Path(fields.split(" ")[4].replace("\\040", " "))
        if place.is_relative_to(point) and len(point.parts) >= len(best.parts):
            best, kind = point, rest.split(" ")[0]
    return kind in LOCAL_FILE_SYSTEMS


def _make(path: Path) -> None:
    """Creates the file atomically, complete from the start; nothing happens if another process was first."""
    handle, name = tempfile.mkstemp(prefix=".notes-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        connection = sqlite3.connect(name, isolation_level=None)
        _make_tables(connection)
        if is_local(path.parent):
            connection.execute("PRAGMA journal_mode = WAL")
        connection.close()
        folder = path.parent.stat()  # who may write into the folder may write into the file
        with suppress(OSError):
            os.chown(name, -1, folder.st_gid)
        os.chmod(name, 0o644 | (folder.st_mode & 0o022))
        try:
            os.link(name, path)
        except FileExistsError:
            return
        except OSError:  # no hard links here
            if not path.exists():
                os.replace(name, path)
    finally:
        for ending in ("", "-wal", "-shm", "-journal"):
            Path(name + ending).unlink(missing_ok=True)


def _empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    _make_tables(connection)
    return connection


def _make_tables(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")
    for table in TABLES:
        connection.execute(table)


def _tables(connection: sqlite3.Connection) -> list[tuple]:
    return connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name").fetchall()


def _key(row: Sequence[Any]) -> Key:
    if not all(isinstance(part, str) for part in row):
        raise DamagedError("a name is no text")
    return Key(*row)


def _value(text: Any) -> Any:
    if text is None:
        return None
    if not isinstance(text, str) or len(text) > MAX_VALUE:
        raise DamagedError("a value is no text, or too long")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedError("a value is no JSON") from error
