"""Lock of a run folder: one training at a time, across processes."""

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
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(timeout=WAIT_SECONDS, poll_interval=0.02)
    except Timeout as error:
        raise ValueError(
            f"{folder} is being trained already; wait until that training ends, or choose another folder"
        ) from error
    try:
        yield
    finally:
        (folder / LOCK_FILE).unlink(missing_ok=True)  # before the release, so that a waiting process notices
        lock.release()
        for path in new_folders:
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
