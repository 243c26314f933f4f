"""Download of the archives of Eyecandies: fetched by their published ids, checked, unpacked.

The data set is Bonfiglioli et al., ACCV 2022 (https://arxiv.org/abs/2210.04570,
https://eyecan-ai.github.io/eyecandies/); its terms of use are the authors'.
`eyecandies.csv` has the ids, sizes and SHA-256 of the ten archives.

    for archive in eyecandies_archives(["CandyCane"]):
        fetch(archive, "data/Eyecandies")
"""

from __future__ import annotations

import csv
import hashlib
import shutil
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from afrd.data.layouts import layout_of
from afrd.data.records import subfolders

ARCHIVES_FILE = Path(__file__).with_name("eyecandies.csv")
GOOGLE_DRIVE = "https://drive.google.com/uc?id={id}"
DOWNLOAD_RETRIES = 5
MAX_DEPTH = 2  # folders around the category in its archive

Report = Callable[[str, int, int], None]  # (current activity, bytes so far, bytes in all)


@dataclass(frozen=True)
class Archive:
    """One category's archive: its id on Google Drive, size in bytes and SHA-256."""

    category: str
    id: str
    size: int
    sha256: str

    def address(self, pattern: str = GOOGLE_DRIVE) -> str:
        """`pattern` with `{id}` and `{category}` filled in."""
        return pattern.replace("{id}", self.id).replace("{category}", self.category)


def eyecandies_archives(categories: Sequence[str] = ()) -> list[Archive]:
    """The archives of these categories; of all ten where none is named.

    Raises:
        ValueError: a category that Eyecandies does not have.
    """
    with ARCHIVES_FILE.open(newline="") as file:
        archives = {
            row["category"]: Archive(row["category"], row["google_drive_id"], int(row["bytes"]), row["sha256"])
            for row in csv.DictReader(file)
        }
    for name in categories:
        if name not in archives:
            raise ValueError(f"Eyecandies has no category {name!r}; choose from {', '.join(archives)}")
    return [archives[name] for name in dict.fromkeys(categories or archives)]


def is_fetched(archive: Archive, root: Path) -> bool:
    """Whether the category has been fetched; its folder is moved into place only when it is complete."""
    return layout_of(root / archive.category) is not None


def check_space(archives: Sequence[Archive], root: Path) -> None:
    """Checks that the missing categories fit on the disk, together with the largest archive.

    Raises:
        OSError: they do not.
    """
    missing = [archive for archive in archives if not is_fetched(archive, root)]
    if not missing:
        return
    root.mkdir(parents=True, exist_ok=True)
    largest = max(missing, key=lambda archive: archive.size)
    needed = sum(archive.size for archive in missing) + largest.size - _size(_archive_file(largest, root))
    free = shutil.disk_usage(root).free
    if needed > free:
        raise OSError(
            f"{root} has {free / 1e9:.1f} GB free, but {len(missing)} categories need {needed / 1e9:.1f} GB; "
            "free some space, or choose categories"
        )


def fetch(
    archive: Archive,
    root: str | Path,
    address: str = GOOGLE_DRIVE,
    keep: bool = False,
    report: Report | None = None,
) -> Path:
    """Downloads an archive, checks it and unpacks it to `root`/`category`; continues an interrupted download.

    Args:
        archive: to fetch.
        root: of the data set; created if missing.
        address: of the archive, with `{id}` or `{category}` in it.
        keep: whether the archive stays after it is unpacked.
        report: called with (current activity, bytes so far, bytes in all).

    Returns:
        The category's folder.

    Raises:
        RuntimeError: gdown is missing, or the server does not give the file.
        ValueError: the file is not the published one, or holds a path outside its folder.
        OSError: the disk is full.
    """
    root = Path(root)
    if is_fetched(archive, root):
        return root / archive.category
    check_space([archive], root)
    file = _archive_file(archive, root)
    if _size(file) != archive.size:
        file.unlink(missing_ok=True)
        _download(archive, file, archive.address(address), report)
    _verify(archive, file, report)
    folder = _unpack(archive, file, root)
    if not keep:
        file.unlink()
    return folder


def _archive_file(archive: Archive, root: Path) -> Path:
    return root / f"{archive.category}.tar"


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _download(archive: Archive, file: Path, address: str, report: Report | None) -> None:
    try:
        import gdown
        import requests
    except ModuleNotFoundError as error:
        raise RuntimeError(f"{error.name} is not installed; install it by `pip install afrd[download]`") from error

    def progress(done: int, total: int | None) -> None:
        if report:
            report(f"download {archive.category}", done, archive.size)

    try:
        gdown.download(
            address, str(file), quiet=True, resume=True, progress=progress, retries=DOWNLOAD_RETRIES, use_cookies=False
        )
    except (gdown.exceptions.DownloadError, requests.exceptions.RequestException) as error:
        reason = " ".join(str(error).split())
        raise RuntimeError(
            f"{archive.category} could not be downloaded from {address} ({reason}); the same command continues from "
            "what is there. Google Drive refuses files that were fetched too often for a day"
        ) from error


def _verify(archive: Archive, file: Path, report: Report | None) -> None:
    """Checks the SHA-256; deletes a file that is not the published one and raises ValueError."""
    if report:
        report(f"check {archive.category}", 0, archive.size)
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != archive.sha256:
        size = _size(file)
        file.unlink()
        raise ValueError(
            f"{file} is not the published archive: it has {size} bytes and SHA-256 {digest[:16]}..., expected "
            f"{archive.size} and {archive.sha256[:16]}...; it was deleted, so that the same command starts anew"
        )
    if report:
        report(f"check {archive.category}", archive.size, archive.size)


def _unpack(archive: Archive, file: Path, root: Path) -> Path:
    """Unpacks into a temporary folder and moves the category to its place when it is complete."""
    if not hasattr(tarfile, "data_filter"):
        raise RuntimeError("this Python cannot unpack archives safely; use 3.11.4 or newer")
    unfinished = root / f".{archive.category}-unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with tarfile.open(file) as content:
            needed, free = sum(member.size for member in content), shutil.disk_usage(root).free
            if needed > free:
                raise OSError(f"{root} has {free / 1e9:.1f} GB free; {archive.category} needs {needed / 1e9:.1f} GB")
            content.extractall(unfinished, filter="data")  # no path leaves the folder, no devices, no owners
        category = _category_in(unfinished, MAX_DEPTH)
        if category is None:
            raise ValueError(f"{file} holds no category in the layout of Eyecandies; nothing of it was kept")
        if (root / archive.category).exists():
            raise ValueError(f"{root / archive.category} is there already, but is no category; move it away")
        shutil.move(category, root / archive.category)
    except tarfile.TarError as error:
        raise ValueError(f"{file} cannot be unpacked ({error}); nothing of it was kept") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return root / archive.category


def _category_in(folder: Path, depth: int) -> Path | None:
    if layout_of(folder) == "eyecandies":
        return folder
    inner: Any = (_category_in(inner, depth - 1) for inner in (subfolders(folder) if depth else []))
    return next(filter(None, inner), None)
