"""The feature store: a data set's teacher features, computed once, kept on disk, memory-mapped."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from afrd.data.dataset import MultiLightDataset
from afrd.model.inputs import compute_inputs
from afrd.model.teacher import Teacher

Progress = Callable[[int, int], None]
Index = np.ndarray | slice | list[int]
UNFINISHED = ".unfinished-"  # what the folder of features begins with while they are computed
UNTOUCHED_SECONDS = 24 * 3600  # after which nobody is believed to compute them any more


@dataclass(frozen=True)
class Features:
    """What is known of the pictures of one split, float16, read from disk.

    Attributes:
        scales: the teacher's features, (N, L, C, h, w) per scale, finest first.
        contrast: (N, L, h, w) on the finest grid, see `local_contrast`.
        lights: names, in the order of L.
    """

    scales: tuple[np.ndarray, ...]
    contrast: np.ndarray
    lights: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.scales[0])

    def batch(self, index: Index, lights: list[int] | None = None) -> list[Tensor]:
        """Features of chosen samples (and lights, by position): (B, L, C, h, w) per scale."""
        return [self._picked(scale, index, lights) for scale in self.scales]

    def contrasts(self, index: Index, lights: list[int] | None = None) -> Tensor:
        """The contrast of the same: (B, L, h, w)."""
        return self._picked(self.contrast, index, lights)

    def _picked(self, of: np.ndarray, index: Index, lights: list[int] | None) -> Tensor:
        if lights == list(range(len(self.lights))):
            lights = None  # picking twice would copy twice
        return torch.from_numpy(np.ascontiguousarray(of[index] if lights is None else of[index][:, lights]))


def cache_dir() -> Path:
    """Where features are kept: `$AFRD_CACHE`, else `~/.cache/afrd`."""
    return Path(os.environ.get("AFRD_CACHE") or Path.home() / ".cache" / "afrd")


def load_features(
    dataset: MultiLightDataset, teacher: Teacher, size: int, progress: Progress | None = None
) -> Features:
    """The features of a split from the store; computed and stored first where they are not there yet.

    The store knows a split by its pictures' paths, sizes and times, the teacher's weights and the input size, so that a
    changed picture is read anew.

    Args:
        dataset: one split of a category.
        teacher: on the device that is to compute.
        size: longer side of the teacher's input, in pixels.
        progress: called with (samples done, samples in all).
    """
    folder = stored_under(dataset, teacher, size)
    if not _is_whole(folder, teacher):
        _compute_all(dataset, teacher, size, folder, progress)
    lights = tuple(json.loads((folder / "lights.json").read_text()))
    *scales, contrast = (np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in _files(teacher))
    return Features(tuple(scales), contrast, lights)


def features_stored(dataset: MultiLightDataset, teacher: Teacher, size: int) -> bool:
    """Whether `load_features` will find them, rather than compute them."""
    return _is_whole(stored_under(dataset, teacher, size), teacher)


def _files(teacher: Teacher) -> list[str]:
    return [*(f"scale{s}.npy" for s in range(len(teacher.strides))), "contrast.npy"]


def _is_whole(folder: Path, teacher: Teacher) -> bool:
    return all((folder / name).is_file() for name in (*_files(teacher), "lights.json"))


def stored_under(dataset: MultiLightDataset, teacher: Teacher, size: int) -> Path:
    """The folder in the store, there or not: another one for other pictures, another teacher, another size."""
    sha = hashlib.sha256(f"{teacher.digest} {size} {dataset.lights}".encode())
    folders: dict[Path, Path] = {}  # resolved once each: this is asked for whenever a sample is looked at
    for i in range(len(dataset)):
        for light in dataset.lights:
            path = dataset.picture(i, light)
            if path.parent not in folders:
                folders[path.parent] = path.parent.resolve()
            path = path.resolve() if path.is_symlink() else folders[path.parent] / path.name
            state = path.stat() if path.exists() else None
            sha.update(f"{path} {state and (state.st_size, state.st_mtime_ns)}\n".encode())
    return cache_dir() / "features" / f"{dataset.category}-{dataset.split}-{sha.hexdigest()[:20]}"


def _compute_all(
    dataset: MultiLightDataset, teacher: Teacher, size: int, folder: Path, progress: Progress | None
) -> None:
    if not len(dataset):
        raise ValueError(f"split {dataset.split!r} of {dataset.category} has no samples, so it has no features")
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    # A TemporaryDirectory is also removed when the process ends while a background thread is still in this block.
    with (
        tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=folder.parent, ignore_cleanup_errors=True) as name,
        ThreadPoolExecutor(1) as reader,  # decodes the next sample while the teacher reads this one
    ):
        unfinished = Path(name)
        files: list[np.memmap] = []
        ahead = reader.submit(dataset.__getitem__, 0)
        for i in range(len(dataset)):
            sample = ahead.result()
            if i + 1 < len(dataset):
                ahead = reader.submit(dataset.__getitem__, i + 1)
            features, contrast = compute_inputs(teacher, sample.images, size)
            arrays = [*features, contrast]
            if not files:
                files = [
                    np.lib.format.open_memmap(unfinished / name, "w+", np.float16, (len(dataset), *f.shape))
                    for name, f in zip(_files(teacher), arrays, strict=True)
                ]
            for file, f in zip(files, arrays, strict=True):
                file[i] = f.cpu().numpy()
            if progress:
                progress(i + 1, len(dataset))
        for file in files:
            file.flush()
        (unfinished / "lights.json").write_text(json.dumps(dataset.lights))
        if not _is_whole(folder, teacher):  # another process may have been quicker
            shutil.rmtree(folder, ignore_errors=True)  # of an older version, or somebody deleted a file
            os.replace(unfinished, folder)


def _sweep(store: Path) -> None:
    """Removes what a process left that was killed on the spot: unfinished features that a day has not touched."""
    for left in store.glob(UNFINISHED + "*"):
        with suppress(OSError):  # another process may sweep, too
            if time.time() - max(path.stat().st_mtime for path in (left, *left.iterdir())) > UNTOUCHED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
