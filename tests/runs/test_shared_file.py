"""The file that a team writes into: versions, undoing, and files that are damaged, foreign or hostile."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from afrd.runs.shared_file import APPLICATION_ID, MAX_BYTES, Key, NotWritableError, SharedFile, is_local

KEY = Key("note", "run", "test", "01")


def written(folder: Path, *values: object, key: Key = KEY) -> SharedFile:
    file = SharedFile(folder)
    for value in values:
        with file.writing() as entries:
            entries.put(key, value)
    return file


def read(file: SharedFile, key: Key = KEY) -> object:
    with file.reading() as entries:
        return entries.get(key)


def test_without_a_file_there_is_nothing_and_reading_makes_none(tmp_path: Path):
    assert read(SharedFile(tmp_path)) is None and not list(tmp_path.iterdir())
    assert read(SharedFile(tmp_path / "gone")) is None
    with pytest.raises(ValueError, match="no folder"), SharedFile(tmp_path / "gone").writing():
        pass


def test_entries_are_kept_by_kind_run_split_and_name(tmp_path: Path):
    file = written(tmp_path, {"text": "ü"})
    for key in (KEY._replace(name="00"), KEY._replace(run="other"), Key("group", "", "", "dents")):
        written(tmp_path, key.name, key=key)
    with file.reading() as entries:
        assert entries.of("note", "run") == {KEY._replace(name="00"): "00", KEY: {"text": "ü"}}
        assert len(entries.of("note")) == 3 and list(entries.of("group").values()) == ["dents"]


def test_a_block_that_fails_stores_nothing(tmp_path: Path):
    file = written(tmp_path, 1)
    with pytest.raises(KeyError), file.writing() as entries:
        entries.put(KEY, 2)
        raise KeyError
    assert read(file) == 1


def test_the_latest_change_is_undone_as_a_whole_and_what_is_undone_does_not_count(tmp_path: Path):
    file, other = written(tmp_path, 1), KEY._replace(name="02")
    with file.writing() as entries:
        entries.put(KEY, None)
        entries.put(other, 2)
    assert read(file) is None
    with file.writing() as entries:
        assert set(entries.undo_latest()) == {KEY, other}
    assert (read(file), read(file, other)) == (1, None)
    with file.writing() as entries:
        assert entries.undo_latest() == [KEY] and entries.undo_latest() == []


def test_the_same_value_again_is_no_change(tmp_path: Path):
    file = written(tmp_path, 1, 1, 1)
    with file.writing() as entries:
        assert entries.undo(KEY) and not entries.undo(KEY)


def test_a_log_is_used_on_a_local_disk_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = written(tmp_path, 1)
    expected = 2 if is_local(tmp_path) else 1
    assert file.path.read_bytes()[18] == expected
    (tmp_path / "network").mkdir()
    monkeypatch.setattr("afrd.runs.shared_file.is_local", lambda folder: False)
    elsewhere = written(tmp_path / "network", 1)
    assert elsewhere.path.read_bytes()[18] == 1 and read(elsewhere) == 1
    written(tmp_path, 2)  # a file that was copied to a network with its log
    assert file.path.read_bytes()[18] == 1 and read(file) == 2


def test_nothing_is_left_beside_the_file(tmp_path: Path):
    file = written(tmp_path, 1, 2)
    assert read(file) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["notes.sqlite"]


def test_who_may_write_into_the_folder_may_write_into_the_file(tmp_path: Path):
    tmp_path.chmod(0o775)
    assert written(tmp_path, 1).path.stat().st_mode & 0o777 == 0o664


def altered(*statements: str) -> Callable[[Path], None]:
    def alter(path: Path) -> None:
        connection = sqlite3.connect(path)
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()

    return alter


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def overwritten(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)


def grown(path: Path) -> None:
    os.truncate(path, MAX_BYTES + 10_000)


def foreign(path: Path) -> None:
    path.unlink()
    altered("CREATE TABLE moz_cookies (value TEXT)")(path)


def with_super_journal(path: Path) -> None:
    path.with_name(path.name + "-journal").write_bytes(b"\0" * 100 + bytes.fromhex("d9d505f920a163d7"))


STRANGE = {
    "cut": (cut, "is damaged"),
    "overwritten": (overwritten, "is damaged"),
    "no database": (lambda path: path.write_bytes(b"hello" * 100), "is not a file of notes of AFRD"),
    "empty": (lambda path: path.write_bytes(b""), "is not a file of notes of AFRD"),
    "of another program": (foreign, "is not a file of notes of AFRD"),
    "too large": (grown, "is larger than 64 MB"),
    "of a later version": (altered("PRAGMA user_version = 2"), "has format 2, and this version of AFRD reads 1"),
    "with a trigger": (
        altered("CREATE TRIGGER t AFTER INSERT ON versions BEGIN DELETE FROM versions; END"),
        "has other tables than a file of notes",
    ),
    "with a view for a table": (
        altered("DROP INDEX versions_of", "DROP TABLE versions", "CREATE VIEW versions AS SELECT 1 AS id"),
        "has other tables than a file of notes",
    ),
    "a value that is no JSON": (altered("UPDATE versions SET value = '{'"), "is damaged .a value is no JSON"),
    "a value as bytes": (altered("UPDATE versions SET value = x'00ff'"), "is damaged .a value is no text"),
    "a name as bytes": (altered("UPDATE versions SET name = x'00ff'"), "is damaged"),
    "a value of a megabyte": (altered("UPDATE versions SET value = zeroblob(1500000)"), "is damaged"),
    "a value nested deeply": (altered(f"UPDATE versions SET value = '{'[' * 90000}'"), "is damaged"),
    "a journal that names another file": (with_super_journal, "names another file"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "is not a file"),
    "a pipe": (lambda path: (path.unlink(), os.mkfifo(path)), "is not a file"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_file_is_refused_in_one_sentence_and_left_as_it_is(name: str, tmp_path: Path):
    change, sentence = STRANGE[name]
    file = written(tmp_path, *range(30))
    change(file.path)
    before = file.path.read_bytes() if file.path.is_file() else None
    with pytest.raises(ValueError, match=sentence) as refused, file.writing() as entries:
        entries.of("note")
        entries.put(KEY, 1)
        entries.of("note")
    assert "notes.sqlite" in str(refused.value) and "\n" not in str(refused.value)
    if file.path.is_file():
        with pytest.raises(ValueError, match=sentence), file.reading() as entries:
            entries.of("note")
        assert file.path.read_bytes() == before


def test_the_application_id_is_that_of_the_file(tmp_path: Path):
    connection = sqlite3.connect(written(tmp_path, 1).path)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    connection.close()


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder with a file of notes, mounted read-only."""
    folder = tmp_path / "runs"
    (folder / "run").mkdir(parents=True)
    written(folder, 1)
    mount = ["mount", "--bind", folder, folder]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
        mounted = (
            mounted and subprocess.run(["mount", "-o", "remount,bind,ro", folder], capture_output=True).returncode == 0
        )
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("a folder can be mounted read-only by root only")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_in_a_folder_that_cannot_be_written_to_notes_are_read_and_writing_says_why_not(read_only: Path):
    file = SharedFile(read_only)
    assert read(file) == 1
    with pytest.raises(NotWritableError, match="notes cannot be saved"):
        written(read_only, 2)
    assert read(file) == 1


def test_a_file_cannot_be_made_in_a_folder_that_cannot_be_written_to(read_only: Path):
    with pytest.raises(NotWritableError, match=r"notes cannot be saved in .* \(Read-only file system\)"):
        written(read_only / "run", 1)
