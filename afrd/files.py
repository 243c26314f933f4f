"""Atomic writing of files, JSON without pickle, names that can be printed, and states of files to detect changes."""

from __future__ import annotations

import errno
import json
import os
import secrets
import unicodedata
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
FileState = tuple[str, int, int]  # path, time of change (ns), bytes
SnapshotValues = dict[Hashable, Any]
LONGEST_STEM = 40  # characters of a file's name that its temporary name has too


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that replaces `path` when the block succeeds, and is removed when it fails.

    The content is on the disk before it gets its name, so that after a power failure there is either the old
    file or the new one.

    Raises:
        OSError: `path` cannot be written; the message names it, also where the system names no file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    unfinished = path.with_name(f".{path.stem[:LONGEST_STEM]}-{secrets.token_hex(6)}{path.suffix}")
    try:  # entered before there is a file, which an interruption would leave otherwise
        unfinished.touch(mode=0o600, exist_ok=False)
        yield unfinished
        unfinished.chmod(0o644)
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(unfinished)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        unfinished.unlink(missing_ok=True)


def visible(text: str) -> str:
    """Text with the characters that cannot be seen as codes, such as \\x1b and \\n: a terminal would obey them."""
    unseen = ("Cc", "Cf", "Zl", "Zp")  # controls, formats such as turning the direction, ends of lines
    return "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) in unseen else c for c in text)


def save_json(path: Path, content: Any) -> None:
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1) + "\n")


def load_json(path: Path) -> Any:
    """Raises ValueError that names the file if it is missing or not JSON."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist") from error
    except (OSError, ValueError, RecursionError) as error:  # not JSON, a number of thousands of digits, nested too deep
        raise ValueError(f"{path} cannot be read as JSON ({error})") from error


_snapshot_values: ContextVar[SnapshotValues | None] = ContextVar("snapshot_values", default=None)


@contextmanager
def snapshot(values: SnapshotValues | None = None) -> Iterator[None]:
    """A block in which every file is inspected once, so that all its results are consistent.

        with snapshot():
            file_state(path)  # asks the file system
            file_state(path)  # does not

    Inside another snapshot it has no effect.

    Args:
        values: of an earlier block, to be reused.
    """
    if _snapshot_values.get() is not None:
        yield
        return
    token = _snapshot_values.set({} if values is None else values)
    try:
        yield
    finally:
        _snapshot_values.reset(token)


def once_per_snapshot(key: Hashable, make: Callable[[], T]) -> T:
    """The result of `make`, which is called once for this key within a `snapshot`."""
    values = _snapshot_values.get()
    if values is None:
        return make()
    if key not in values:
        values[key] = make()
    return values[key]


def file_state(path: str | Path) -> FileState:
    """State of a file or folder, links followed, which changes when it is modified or replaced; zeros if missing."""
    name = str(path)
    return once_per_snapshot(("file", name), lambda: _file_state(name))


def _file_state(name: str) -> FileState:
    try:
        stat = os.stat(name)
    except OSError:
        return name, 0, 0
    return name, stat.st_mtime_ns, stat.st_size
