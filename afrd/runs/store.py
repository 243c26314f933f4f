"""Entries, size limit and eviction of the store of teacher features on disk.

An entry holds the features of one split of a category by one teacher at one size (`afrd.runs.feature_store` writes and
reads it). `about.json` in its folder describes it, and the folder's modification time is that of its last use.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from afrd.data.dataset import open_dataset
from afrd.data.state import pictures_state
from afrd.files import load_json, save_json
from afrd.runs.lock import WAIT_SECONDS, held, is_held

ABOUT_FILE = "about.json"
UNFINISHED_PREFIX = ".unfinished-"  # prefix of a folder whose features are being computed or removed
LOCK_FILE = ".lock"  # in the folder of features that a living process computes
UNTOUCHED_SECONDS = 24 * 3600  # after which unfinished features count as abandoned
DEFAULT_LIMIT = 50 * 10**9  # bytes of all features together
RESERVED_DISK_BYTES = 200 * 10**6  # bytes of the disk that are left free
SIZE_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
SIZE_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


@dataclass(frozen=True)
class About:
    """Description of an entry: one split with these lights and views, by a teacher at a size (longer side, pixels)."""

    root: str
    category: str
    split: str
    lights: tuple[str, ...]
    samples: int
    teacher: str
    teacher_digest: str
    size: int
    views: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One entry of the store.

    Attributes:
        about: None for entries of earlier versions of AFRD, which are no longer read.
        size: bytes on disk.
        used: time of the last use, in seconds since 1970.
    """

    folder: Path
    about: About | None
    size: int
    used: float


def cache_dir() -> Path:
    """Folder of caches: `$AFRD_CACHE`, else `~/.cache/afrd`."""
    return Path(os.environ.get("AFRD_CACHE") or Path.home() / ".cache" / "afrd").expanduser()


def features_dir() -> Path:
    return cache_dir() / "features"


def make_features_dir() -> Path:
    """`features_dir`, made where it does not exist.

    Raises:
        OSError: it cannot be made, in one sentence that says what to do.
    """
    folder = features_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
        reason = "Permission denied"
    except OSError as error:
        reason = error.strerror or str(error)
    raise OSError(f"features cannot be stored in {folder} ({reason}); set AFRD_CACHE to a folder that you may write to")


def entries() -> list[Entry]:
    """All entries, the latest use first."""
    stored = []
    for folder in features_dir().iterdir() if features_dir().is_dir() else []:
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        with suppress(OSError):  # another process is removing it
            size = sum(path.stat().st_size for path in folder.iterdir())
            stored.append(Entry(folder, read_about(folder), size, folder.stat().st_mtime))
    return sorted(stored, key=lambda entry: -entry.used)


def read_about(folder: Path) -> About | None:
    """The description in an entry's folder; None if it is missing or cannot be read."""
    try:
        content = load_json(folder / ABOUT_FILE)
        return About(**content | {name: tuple(content[name]) for name in ("lights", "views")})
    except (ValueError, KeyError, TypeError):
        return None


def write_about(folder: Path, about: About) -> None:
    save_json(folder / ABOUT_FILE, asdict(about))


def name_of(about: About, pictures: str) -> str:
    """Name of an entry's folder, which depends on the pictures, the teacher and the size.

    Args:
        about: of the entry.
        pictures: the `pictures_state` of its split.
    """
    sha = hashlib.sha256(f"{about.teacher_digest} {about.size} {about.lights} {pictures}".encode())
    return f"{about.category}-{about.split}-{sha.hexdigest()[:20]}"


def why_unused(entry: Entry) -> str | None:
    """Why an entry will not be read again; None if its pictures are unchanged."""
    about = entry.about
    if about is None:
        return "of an earlier version"
    try:
        dataset = open_dataset(about.root, about.category, about.views)[about.split].select(about.lights)
    except (ValueError, OSError):
        return "its pictures are gone"
    return None if name_of(about, pictures_state(dataset)) == entry.folder.name else "its pictures have changed"


def touch(folder: Path) -> None:
    """Marks an entry as used now."""
    with suppress(OSError):  # a read-only store, or an entry that has just been removed
        os.utime(folder)


def limit() -> int:
    """Size limit of the store in bytes; see `set_limit`."""
    try:
        return int(load_json(cache_dir() / "limit.json")["bytes"])
    except (ValueError, KeyError, TypeError):
        return DEFAULT_LIMIT


def set_limit(size: int) -> list[Entry]:
    """Stores the limit, removes entries until it is kept, the oldest use first, and returns the removed ones."""
    make_features_dir()
    save_json(cache_dir() / "limit.json", {"bytes": size})
    return _evict(size)


def make_room(needed: int, what: str) -> None:
    """Removes entries, the oldest use first, until `needed` bytes fit into the limit and on the disk.

    Args:
        needed: bytes to be written.
        what: names them in the message, such as `the features of Praline/train`.

    Raises:
        OSError: they do not fit; the message says what to do.
    """
    allowed = limit()
    if needed > allowed:
        raise OSError(
            f"{what} need {size_text(needed)}, but the feature store may have {size_text(allowed)}; "
            f"`afrd cache --limit {size_text(2 * needed).replace(' ', '')}` allows more, or choose a smaller size"
        )
    _evict(allowed - needed)
    for entry in reversed(entries()):
        if free_bytes() >= needed + RESERVED_DISK_BYTES:
            break
        remove(entry.folder)
    if free_bytes() < needed + RESERVED_DISK_BYTES:
        raise OSError(
            f"{what} need {size_text(needed)}, but {features_dir()} has {size_text(free_bytes())} free; "
            "make room there, or set AFRD_CACHE to a folder on another disk"
        )


def free_bytes(folder: Path | None = None) -> int:
    """Free bytes of the disk that holds, or would hold, a folder; the store's by default."""
    folder = folder or features_dir()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _evict(allowed: int) -> list[Entry]:
    remaining, removed = entries(), []
    total = sum(entry.size for entry in remaining)
    while remaining and total > allowed:
        entry = remaining.pop()  # the oldest use
        if remove(entry.folder):
            removed.append(entry)
            total -= entry.size
    return removed


def remove(folder: Path) -> bool:
    """Removes an entry atomically; False where the system does not allow it.

    Readers that have opened its files can continue; on Windows, open files stay.
    """
    try:
        grave = Path(tempfile.mkdtemp(prefix=UNFINISHED_PREFIX, dir=folder.parent))
        os.replace(folder, grave / folder.name)
    except OSError:
        return not folder.exists()
    shutil.rmtree(grave, ignore_errors=True)
    return True


def clear(unused_only: bool = False) -> list[Entry]:
    """Removes all entries, or those that will not be read again (`why_unused`), and remains of killed processes;
    returns the removed entries."""
    sweep(0.0 if not unused_only else UNTOUCHED_SECONDS)
    to_remove = [entry for entry in entries() if not unused_only or why_unused(entry)]
    return [entry for entry in to_remove if remove(entry.folder)]


@contextmanager
def in_use(unfinished: Path) -> Iterator[None]:
    """A block in which `sweep` leaves a folder of unfinished features alone, in any process."""
    with held(unfinished / LOCK_FILE, WAIT_SECONDS, f"{unfinished} is in use"):
        yield


def remove_earlier(folder: Path, about: About) -> None:
    """Removes entries of the same split with an earlier state of its pictures."""
    for folder_other in features_dir().glob(f"{glob.escape(about.category)}-{glob.escape(about.split)}-*"):
        about_other = read_about(folder_other) if folder_other != folder else None
        if about_other is not None and replace(about_other, samples=about.samples) == about:
            remove(folder_other)


def sweep(untouched: float = UNTOUCHED_SECONDS) -> None:
    """Removes unfinished features that killed processes left, after they have been untouched for a while; not those
    that are being computed.

    Args:
        untouched: seconds.
    """
    for unfinished in features_dir().glob(UNFINISHED_PREFIX + "*"):
        with suppress(OSError):  # another process may sweep as well
            if is_held(unfinished / LOCK_FILE):
                continue
            if time.time() - max(path.stat().st_mtime for path in (unfinished, *unfinished.iterdir())) > untouched:
                shutil.rmtree(unfinished, ignore_errors=True)


def size_text(size: float) -> str:
    """Such as `134 MB`; three digits."""
    for unit in ("TB", "GB", "MB", "kB"):
        value = size / SIZE_UNITS[unit.upper()]
        if value >= 1 or unit == "kB":
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    raise AssertionError


def read_size(text: str) -> int:
    """Bytes from text such as `20GB`, `500 MB`, `1.5TB`; units of 1000, and `GiB` of 1024.

    Raises:
        ValueError: it is no size.
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", text)
    if match is None or match[2].upper() not in SIZE_UNITS:
        raise ValueError(f"{text!r} is not a size; write it like 20GB or 500MB")
    return int(float(match[1]) * SIZE_UNITS[match[2].upper()])
