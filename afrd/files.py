"""Files that are whole or not there, without pickle; and whether a file is another one now."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
FileState = tuple[str, int, int]  # path, time of change (ns), bytes
Seen = dict[Hashable, Any]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of `path` when the block ends well, and vanishes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    unfinished = Path(name)
    try:
        yield unfinished
        unfinished.chmod(0o644)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def save_json(path: Path, content: Any) -> None:
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1) + "\n")


def load_json(path: Path) -> Any:
    """Raises ValueError naming the file where it is missing or not JSON."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read as JSON ({error})") from error


_seen: ContextVar[Seen | None] = ContextVar("seen", default=None)


@contextmanager
def snapshot(seen: Seen | None = None) -> Iterator[None]:
    """A block of work that looks at every file once, so that all its answers stand on the same view of the files.

        with snapshot():
            file_state(path)  # asks the file system
            file_state(path)  # does not

    Inside another one it has no effect: the outer one decides what is seen.

    Args:
        seen: of an earlier block, to go on with what that has seen.
    """
    if _seen.get() is not None:
        yield
        return
    token = _seen.set({} if seen is None else seen)
    try:
        yield
    finally:
        _seen.reset(token)


def seen_once(key: Hashable, make: Callable[[], T]) -> T:
    """The result of `make`, within a `snapshot` made only the first time that this key is asked for."""
    seen = _seen.get()
    if seen is None:
        return make()
    if key not in seen:
        seen[key] = make()
    return seen[key]


def file_state(path: str | Path) -> FileState:
    """A file or folder as it is now, links followed: another one when it was changed or replaced; zeros where it is not
    there."""
    name = str(path)
    return seen_once(("file", name), lambda: _file_state(name))


def _file_state(name: str) -> FileState:
    try:
        stat = os.stat(name)
    except OSError:
        return name, 0, 0
    return name, stat.st_mtime_ns, stat.st_size
