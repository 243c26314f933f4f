"""The store of teacher features on disk as a whole: what is in it, how large it may be, what is removed first.

One entry is one split of a category, seen by one teacher at one size (`afrd.runs.feature_store` fills and reads it).
`about.json` in its folder says of what it is, and the folder's time of change when it was last used.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from afrd.data.dataset import open_dataset
from afrd.data.state import pictures_state
from afrd.files import load_json, save_json

ABOUT = "about.json"
UNFINISHED = ".unfinished-"  # what the folder of features begins with while they are computed or removed
UNTOUCHED_SECONDS = 24 * 3600  # after which nobody is believed to work on them any more
DEFAULT_LIMIT = 50 * 10**9  # bytes of all features together
RESERVE = 200 * 10**6  # bytes of the disk that features leave free
UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


@dataclass(frozen=True)
class About:
    """Of what features are: one split with these lights and views, by a teacher at a size (longer side, pixels)."""

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
    """Features in the store.

    Attributes:
        about: None where an earlier version of AFRD stored them, which nothing reads any more.
        size: bytes on disk.
        used: when they were last read, in seconds since 1970.
    """

    folder: Path
    about: About | None
    size: int
    used: float


def cache_dir() -> Path:
    """Where features are kept: `$AFRD_CACHE`, else `~/.cache/afrd`."""
    return Path(os.environ.get("AFRD_CACHE") or Path.home() / ".cache" / "afrd").expanduser()


def features_dir() -> Path:
    return cache_dir() / "features"


def entries() -> list[Entry]:
    """All that is in the store, the latest use first."""
    found = []
    for folder in features_dir().iterdir() if features_dir().is_dir() else []:
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        with suppress(OSError):  # another process removes it just now
            size = sum(path.stat().st_size for path in folder.iterdir())
            found.append(Entry(folder, read_about(folder), size, folder.stat().st_mtime))
    return sorted(found, key=lambda entry: -entry.used)


def read_about(folder: Path) -> About | None:
    """None where there is none, or where it cannot be read."""
    try:
        content = load_json(folder / ABOUT)
        return About(**content | {name: tuple(content[name]) for name in ("lights", "views")})
    except (ValueError, KeyError, TypeError):
        return None


def write_about(folder: Path, about: About) -> None:
    save_json(folder / ABOUT, asdict(about))


def name_of(about: About, pictures: str) -> str:
    """Of the folder of an entry: another one for other pictures, another teacher, another size.

    Args:
        about: of what the features are.
        pictures: their `pictures_state`.
    """
    sha = hashlib.sha256(f"{about.teacher_digest} {about.size} {about.lights} {pictures}".encode())
    return f"{about.category}-{about.split}-{sha.hexdigest()[:20]}"


def why_unused(entry: Entry) -> str | None:
    """Why nothing will read an entry again; None where its pictures are as they were."""
    about = entry.about
    if about is None:
        return "of an earlier version"
    try:
        dataset = open_dataset(about.root, about.category, about.views)[about.split].select(about.lights)
    except (ValueError, OSError):
        return "its pictures are gone"
    return None if name_of(about, pictures_state(dataset)) == entry.folder.name else "its pictures have changed"


def touch(folder: Path) -> None:
    """Notes that an entry is used now."""
    with suppress(OSError):  # of a store that may only be read, or an entry that has just been removed
        os.utime(folder)


def limit() -> int:
    """Bytes that all features together may have; see `set_limit`."""
    try:
        return int(load_json(cache_dir() / "limit.json")["bytes"])
    except (ValueError, KeyError, TypeError):
        return DEFAULT_LIMIT


def set_limit(size: int) -> list[Entry]:
    """Keeps the limit for this store, and removes what exceeds it, the oldest use first; returns what was removed."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    save_json(cache_dir() / "limit.json", {"bytes": size})
    return _evict(size)


def make_room(needed: int, what: str) -> None:
    """Removes entries, the oldest use first, until `needed` bytes fit into the limit and on the disk.

    Args:
        needed: bytes that are about to be written.
        what: names them, such as `the features of Praline/train`.

    Raises:
        OSError: they do not fit, in one sentence that says what to do.
    """
    most = limit()
    if needed > most:
        raise OSError(
            f"{what} need {size_text(needed)}, but the feature store may have {size_text(most)}; "
            f"`afrd cache --limit {size_text(2 * needed).replace(' ', '')}` allows more, or choose a smaller size"
        )
    _evict(most - needed)
    for entry in reversed(entries()):
        if free_bytes() >= needed + RESERVE:
            break
        remove(entry.folder)
    if free_bytes() < needed + RESERVE:
        raise OSError(
            f"{what} need {size_text(needed)}, but {features_dir()} has {size_text(free_bytes())} free; "
            "make room there, or set AFRD_CACHE to a folder on another disk"
        )


def free_bytes() -> int:
    """Of the disk that the store is on, or would be."""
    folder = features_dir()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _evict(most: int) -> list[Entry]:
    kept, removed = entries(), []
    total = sum(entry.size for entry in kept)
    while kept and total > most:
        entry = kept.pop()  # the oldest use
        if remove(entry.folder):
            removed.append(entry)
            total -= entry.size
    return removed


def remove(folder: Path) -> bool:
    """Removes an entry, at once for everybody who looks for it; False where the system does not allow it.

    Who has opened its files goes on reading them; on Windows, files that are open stay.
    """
    try:
        grave = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder.parent))
        os.replace(folder, grave / folder.name)
    except OSError:
        return not folder.exists()
    shutil.rmtree(grave, ignore_errors=True)
    return True


def clear(unused_only: bool = False) -> list[Entry]:
    """Removes everything, or what nothing will read again (`why_unused`), and what killed processes left; returns the
    entries that were removed."""
    sweep(0.0 if not unused_only else UNTOUCHED_SECONDS)
    chosen = [entry for entry in entries() if not unused_only or why_unused(entry)]
    return [entry for entry in chosen if remove(entry.folder)]


def remove_earlier(folder: Path, about: About) -> None:
    """Removes features of the same split from before its pictures were changed."""
    for other in features_dir().glob(f"{glob.escape(about.category)}-{glob.escape(about.split)}-*"):
        found = read_about(other) if other != folder else None
        if found is not None and replace(found, samples=about.samples) == about:
            remove(other)


def sweep(untouched: float = UNTOUCHED_SECONDS) -> None:
    """Removes what a process left that was killed on the spot: unfinished features, so long after they were touched.

    Args:
        untouched: seconds.
    """
    for left in features_dir().glob(UNFINISHED + "*"):
        with suppress(OSError):  # another process may sweep, too
            if time.time() - max(path.stat().st_mtime for path in (left, *left.iterdir())) > untouched:
                shutil.rmtree(left, ignore_errors=True)


def size_text(size: float) -> str:
    """Such as `134 MB`; three digits."""
    for unit in ("TB", "GB", "MB", "kB"):
        value = size / UNITS[unit.upper()]
        if value >= 1 or unit == "kB":
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    raise AssertionError


def read_size(text: str) -> int:
    """Bytes from text such as `20GB`, `500 MB`, `1.5TB`; units of 1000, and `GiB` of 1024.

    Raises:
        ValueError: it is no size.
    """
    parts = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", text)
    if parts is None or parts[2].upper() not in UNITS:
        raise ValueError(f"{text!r} is not a size; write it like 20GB or 500MB")
    return int(float(parts[1]) * UNITS[parts[2].upper()])
