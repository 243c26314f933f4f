"""Whether a data set on disk is still what it was: the states of its folders and files.

What is computed from a data set is kept under these states, so that it is computed anew when a file is added, removed
or replaced. Within an `afrd.files.snapshot` every folder and file is looked at once, however often it is asked for.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Hashable
from pathlib import Path

from afrd.data.dataset import Category, MultiLightDataset
from afrd.files import file_state, seen_once

DEPTH = 4  # of folders below a category: ground_truth/<defect>/<sample> is the deepest that a layout has, and one more


def folders_state(folder: Path) -> Hashable:
    """Another one as soon as a file or folder below a category's folder is added, removed or renamed."""
    return seen_once(("folders", str(folder)), lambda: tuple(file_state(path) for path in _folders(str(folder), DEPTH)))


def _folders(folder: str, depth: int) -> list[str]:
    found = [folder]
    if depth:
        try:
            with os.scandir(folder) as entries:
                inner = sorted(entry.path for entry in entries if entry.is_dir())
        except OSError:  # it went just now, or may not be read
            inner = []
        for path in inner:
            found += _folders(path, depth - 1)
    return found


def labels_state(data: Category) -> Hashable:
    """Another one as soon as what is known of a sample changes: a mask or metadata in any split."""

    def state() -> str:
        sha = hashlib.sha256()
        for dataset in data.values():
            for i in range(len(dataset)):
                for path in dataset.files(i)[1]:
                    sha.update(repr(file_state(path)).encode())
        return sha.hexdigest()

    return seen_once(("labels", str(data.root), data.name), state)


def sample_state(dataset: MultiLightDataset, index: int) -> Hashable:
    """Another one as soon as a picture of a sample changes, or what is known of it."""
    pictures, known = dataset.files(index)
    return tuple(file_state(path) for path in (*pictures, *known))


def split_state(dataset: MultiLightDataset) -> str:
    """Another one as soon as that of any of its samples is another one, or its samples or lights are others."""
    return _digest(dataset, known=True)


def pictures_state(dataset: MultiLightDataset) -> str:
    """The same of the pictures alone: what a teacher sees of a split."""
    return _digest(dataset, known=False)


def _digest(dataset: MultiLightDataset, known: bool) -> str:
    def digest() -> str:
        sha = hashlib.sha256(repr((dataset.lights, dataset.names)).encode())
        folders: dict[Path, str] = {}  # resolved once each, so that a data set has one state by every way to it
        for i in range(len(dataset)):
            pictures, labels = dataset.files(i)
            for path in (*pictures, *(labels if known else ())):
                if path.parent not in folders:
                    folders[path.parent] = os.path.realpath(path.parent)
                sha.update(f"{folders[path.parent]}/{path.name} {file_state(path)[1:]}\n".encode())
        return sha.hexdigest()

    where = (str(dataset.root), dataset.category, dataset.split, dataset.lights, tuple(dataset.names))
    return seen_once(("split", known, *where), digest)
