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
import torch.nn.functional as F
from torch import Tensor

from afrd.datasets import MultiLightDataset
from afrd.teacher import Teacher

Progress = Callable[[int, int], None]
UNFINISHED = ".unfinished-"  # what the folder of features begins with while they are computed
UNTOUCHED_SECONDS = 24 * 3600  # after which nobody is believed to compute them any more


@dataclass(frozen=True)
class Features:
    """Teacher features of the samples of one split, (N, L, C, h, w) float16 per scale, finest first, read from disk."""

    scales: tuple[np.ndarray, ...]
    lights: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.scales[0])

    def batch(self, index: np.ndarray | slice | list[int], lights: list[int] | None = None) -> list[Tensor]:
        """Chosen samples (and lights, by position) as float16 tensors (B, L, C, h, w)."""
        if lights == list(range(len(self.lights))):
            lights = None  # picking twice would copy twice
        picked = [scale[index] if lights is None else scale[index][:, lights] for scale in self.scales]
        return [torch.from_numpy(np.ascontiguousarray(p)) for p in picked]


def cache_dir() -> Path:
    """Where features are kept: `$AFRD_CACHE`, else `~/.cache/afrd`."""
    return Path(os.environ.get("AFRD_CACHE") or Path.home() / ".cache" / "afrd")


def teacher_size(picture: tuple[int, int], size: int) -> tuple[int, int]:
    """The (H, W) at which the teacher reads a picture: longer side `size`, proportions kept, multiples of 32."""
    scale = size / max(picture)
    height, width = (max(32, round(side * scale / 32) * 32) for side in picture)
    return height, width


def compute_features(teacher: Teacher, pictures: Tensor, size: int) -> list[Tensor]:
    """Features of the pictures (L, 3, H, W) of one sample: (L, C, h, w) float16 per scale, on the teacher's device."""
    wanted = teacher_size((pictures.shape[-2], pictures.shape[-1]), size)
    x = pictures.to(teacher.mean.device)
    if x.shape[-2:] != wanted:
        x = F.interpolate(x, wanted, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
    return [f.half() for f in teacher(x)]


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
    if not _is_whole(folder):
        _compute_all(dataset, teacher, size, folder, progress)
    lights = tuple(json.loads((folder / "lights.json").read_text()))
    scales = [np.load(folder / f"scale{s}.npy", mmap_mode="r", allow_pickle=False) for s in range(len(teacher.strides))]
    return Features(tuple(scales), lights)


def features_stored(dataset: MultiLightDataset, teacher: Teacher, size: int) -> bool:
    """Whether `load_features` will find them, rather than compute them."""
    return _is_whole(stored_under(dataset, teacher, size))


def _is_whole(folder: Path) -> bool:
    return (folder / "lights.json").is_file()


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
            scales = [f.cpu().numpy() for f in compute_features(teacher, sample.images, size)]
            if not files:
                files = [
                    np.lib.format.open_memmap(unfinished / f"scale{s}.npy", "w+", np.float16, (len(dataset), *f.shape))
                    for s, f in enumerate(scales)
                ]
            for file, f in zip(files, scales, strict=True):
                file[i] = f
            if progress:
                progress(i + 1, len(dataset))
        for file in files:
            file.flush()
        (unfinished / "lights.json").write_text(json.dumps(dataset.lights))
        if not folder.exists():  # another process may have been quicker
            os.replace(unfinished, folder)


def _sweep(store: Path) -> None:
    """Removes what a process left that was killed on the spot: unfinished features that a day has not touched."""
    for left in store.glob(UNFINISHED + "*"):
        with suppress(OSError):  # another process may sweep, too
            if time.time() - max(path.stat().st_mtime for path in (left, *left.iterdir())) > UNTOUCHED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
