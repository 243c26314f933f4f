"""States of a data set's folders and files on disk, to detect changes.

Results computed from a data set are cached under these states, so that they are computed again when a file is added,
removed or replaced. Within an `afrd.files.snapshot` every folder and file is inspected once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Hashable
from pathlib import Path

from afrd.data.dataset import Category, MultiLightDataset
from afrd.files import file_state, once_per_snapshot

# below a category; the deepest folder of any layout is ground_truth/<defect>/<sample>
MAX_FOLDER_DEPTH = 4


def folders_state(folder: Path) -> Hashable:
    """Changes when a file or folder below a category's folder is added, removed or renamed."""
    return once_per_snapshot(
        ("folders", str(folder)), lambda: tuple(file_state(path) for path in _folders(str(folder), MAX_FOLDER_DEPTH))
    )


def _folders(folder: str, depth: int) -> list[str]:
    folders = [folder]
    if depth:
        try:
            with os.scandir(folder) as entries:
                inner = sorted(entry.path for entry in entries if entry.is_dir())
        except OSError:  # removed just now, or not readable
            inner = []
        for path in inner:
            folders += _folders(path, depth - 1)
    return folders


def labels_state(data: Category) -> Hashable:
    """Changes when a file changes from which a category has cached values.

    These are the truth of its samples (a mask or metadata in any split), and the size of the first picture.
    """

    def state() -> str:
        sha = hashlib.sha256()
        for dataset in data.values():
            for i in range(len(dataset)):
                pictures, truth_files = dataset.files(i)
                for path in (*truth_files, *(pictures if i == 0 else ())):
                    sha.update(repr(file_state(path)).encode())
        return sha.hexdigest()

    return once_per_snapshot(("labels", str(data.root), data.name, data.views), state)


def sample_state(dataset: MultiLightDataset, index: int) -> Hashable:
    """Changes when a picture, mask or metadata of a sample changes."""
    pictures, truth_files = dataset.files(index)
    return tuple(file_state(path) for path in (*pictures, *truth_files))


def split_state(dataset: MultiLightDataset) -> str:
    """Changes when the state of any sample changes, or the samples or lights of the split."""
    return _digest(dataset, with_truth=True)


def pictures_state(dataset: MultiLightDataset) -> str:
    """`split_state` of the pictures alone, without masks and metadata."""
    return _digest(dataset, with_truth=False)


def _digest(dataset: MultiLightDataset, with_truth: bool) -> str:
    def digest() -> str:
        sha = hashlib.sha256(repr((dataset.lights, dataset.names)).encode())
        folders: dict[Path, str] = {}  # resolved once each, so that a data set has the same state by every path to it
        for i in range(len(dataset)):
            pictures, labels = dataset.files(i)
            for path in (*pictures, *(labels if with_truth else ())):
                if path.parent not in folders:
                    folders[path.parent] = os.path.realpath(path.parent)
                sha.update(
                    f"{folders[path.parent]}/{path.name} {file_state(path)[1:]}\n".encode(errors="surrogateescape")
                )
        return sha.hexdigest()

    where = (str(dataset.root), dataset.category, dataset.split, dataset.lights, tuple(dataset.names))
    return once_per_snapshot(("split", with_truth, *where), digest)
