"""Locks in a run folder, across processes: one training at a time, one change of its operating points at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

LOCK_FILE = ".training.lock"
WAIT_SECONDS = 0.2  # for a lock file that its holder has just deleted


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Creates the run folder and holds its lock; the system releases the lock of a process that dies.

    Raises:
        ValueError: another training holds it, in this process or another one.
    """
    new_folders = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    taken = f"{folder} is being trained already; wait until that training ends, or choose another folder"
    try:
        with held(folder / LOCK_FILE, WAIT_SECONDS, taken):
            yield
    finally:
        for path in new_folders:
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()


@contextmanager
def held(file: Path, wait_seconds: float, taken: str) -> Iterator[None]:
    """Holds a lock file, which is removed afterwards.

    Args:
        file: of the lock, in a folder that exists.
        wait_seconds: for another holder; -1: without limit.
        taken: the error message if the other holder does not release it.

    Raises:
        ValueError: `taken`.
    """
    lock = FileLock(file)
    try:
        lock.acquire(timeout=wait_seconds, poll_interval=0.02 if wait_seconds >= 0 else 0.5)
    except Timeout as error:
        raise ValueError(taken) from error
    try:
        yield
    finally:
        file.unlink(missing_ok=True)  # before the release, so that a waiting process notices
        lock.release()


def is_held(file: Path) -> bool:
    """Whether a living process holds a lock file; False where that cannot be determined, as on a read-only disk."""
    if not file.exists():
        return False
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False
