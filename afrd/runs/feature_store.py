"""Feature store: a data set's teacher features, computed once, stored on disk, memory-mapped."""

from __future__ import annotations

import contextvars
import errno
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from afrd.data.dataset import MultiLightDataset
from afrd.data.state import pictures_state
from afrd.files import once_per_snapshot
from afrd.model.inputs import compute_inputs
from afrd.model.teacher import KnownTeacher, Teacher
from afrd.runs import store
from afrd.runs.store import ABOUT_FILE, UNFINISHED_PREFIX, About

Progress = Callable[[int, int], None]
Index = np.ndarray | slice | list[int]
AnyTeacher = Teacher | KnownTeacher


@dataclass(frozen=True)
class Features:
    """Features and contrast of the pictures of one split, float16, read from disk.

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

    def positions(self, lights: Sequence[str]) -> list[int]:
        """Positions of these lights along the L axis."""
        return [self.lights.index(light) for light in lights]

    def batch(self, index: Index, lights: list[int] | None = None) -> list[Tensor]:
        """Features of chosen samples (and lights, by position): (B, L, C, h, w) per scale."""
        return [self._picked(scale, index, lights) for scale in self.scales]

    def contrasts(self, index: Index, lights: list[int] | None = None) -> Tensor:
        """Contrast of the same samples and lights: (B, L, h, w)."""
        return self._picked(self.contrast, index, lights)

    def _picked(self, of: np.ndarray, index: Index, lights: list[int] | None) -> Tensor:
        if lights == list(range(len(self.lights))):
            lights = None  # picking twice would copy twice
        return torch.from_numpy(np.ascontiguousarray(of[index] if lights is None else of[index][:, lights]))


def load_features(
    dataset: MultiLightDataset,
    teacher: AnyTeacher,
    size: int,
    progress: Progress | None = None,
    lights: Sequence[str] | None = None,
) -> Features:
    """The features of a split from the store; computed and stored first if they are missing.

    Entries are keyed by the pictures' paths, sizes and times, the teacher's weights and the input size, so that changed
    pictures are read again.

    Args:
        dataset: one split of a category.
        teacher: on the device that is to compute; a known one is loaded only if features are missing.
        size: longer side of the teacher's input, in pixels.
        progress: called with (samples done, samples in all).
        lights: those that are needed, all by default. Where the store has the features of all lights, these are given;
            else the pictures of the other lights are not opened.

    Raises:
        ValueError: a light is not in the data set, or a picture cannot be read, or is changed while the teacher reads.
        OSError: a picture is missing, or the features do not fit on the disk or into the store's limit.
    """
    dataset = _needed(dataset, teacher, size, lights)
    folder = stored_under(dataset, teacher, size)

    def load() -> Features:
        if not _is_whole(folder, teacher):
            loaded = teacher.load() if isinstance(teacher, KnownTeacher) else teacher
            _compute_all(dataset, loaded, size, folder, progress)
        *scales, contrast = (np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in _files(teacher))
        store.touch(folder)
        return Features(tuple(scales), contrast, dataset.lights)

    return once_per_snapshot(("features", folder), load)


def features_stored(
    dataset: MultiLightDataset, teacher: AnyTeacher, size: int, lights: Sequence[str] | None = None
) -> bool:
    """Whether the store has these features, so that `load_features` need not compute them."""
    return _is_whole(stored_under(_needed(dataset, teacher, size, lights), teacher, size), teacher)


def _needed(
    dataset: MultiLightDataset, teacher: AnyTeacher, size: int, lights: Sequence[str] | None
) -> MultiLightDataset:
    if lights is None or set(lights) == set(dataset.lights):
        return dataset
    if features_stored(dataset, teacher, size):
        return dataset
    chosen = dataset.select(lights).lights
    return dataset.select([light for light in dataset.lights if light in chosen])  # in the order of the data set


def _files(teacher: AnyTeacher) -> list[str]:
    return [*(f"scale{s}.npy" for s in range(len(teacher.strides))), "contrast.npy"]


def _is_whole(folder: Path, teacher: AnyTeacher) -> bool:
    return all((folder / name).is_file() for name in (*_files(teacher), ABOUT_FILE))


def _about(dataset: MultiLightDataset, teacher: AnyTeacher, size: int) -> About:
    return About(
        root=str(dataset.root.resolve()),
        category=dataset.category,
        split=dataset.split,
        lights=dataset.lights,
        samples=len(dataset),
        teacher=teacher.name,
        teacher_digest=teacher.digest,
        size=size,
        views=tuple(sorted({view.name for view in dataset.views})),
    )


def stored_under(dataset: MultiLightDataset, teacher: AnyTeacher, size: int) -> Path:
    """The entry's folder, whether it exists or not; it depends on the pictures, the teacher and the size."""
    return store.features_dir() / store.name_of(_about(dataset, teacher, size), pictures_state(dataset))


def _compute_all(
    dataset: MultiLightDataset, teacher: Teacher, size: int, folder: Path, progress: Progress | None
) -> None:
    if not len(dataset):
        raise ValueError(f"split {dataset.split!r} of {dataset.category} has no samples, so it has no features")
    about, before = _about(dataset, teacher, size), _fresh_state(dataset)
    store.make_features_dir()
    store.sweep()
    # A TemporaryDirectory is also removed when the process ends while a background thread is still in this block.
    with (
        tempfile.TemporaryDirectory(prefix=UNFINISHED_PREFIX, dir=folder.parent, ignore_cleanup_errors=True) as name,
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
                shapes = [(len(dataset), *f.shape) for f in arrays]
                files = _allocated(
                    unfinished, _files(teacher), shapes, f"the features of {about.category}/{about.split}"
                )
            for file, f in zip(files, arrays, strict=True):
                file[i] = f.cpu().numpy()
            if progress:
                progress(i + 1, len(dataset))
        for file in files:
            file.flush()
        if _fresh_state(dataset) != before:
            raise ValueError(
                f"pictures of {about.category}/{about.split} in {about.root} were changed while the teacher read them; "
                "start again when nothing writes there any more"
            )
        store.write_about(unfinished, about)
        if not _is_whole(folder, teacher):  # another process may have finished first
            shutil.rmtree(folder, ignore_errors=True)  # incomplete, or of an older version
            os.replace(unfinished, folder)
    store.remove_earlier(folder, about)


def _fresh_state(dataset: MultiLightDataset) -> str:
    """The current state of the pictures, outside the caller's `snapshot`."""
    return contextvars.Context().run(pictures_state, dataset)


def _allocated(folder: Path, names: list[str], shapes: list[tuple[int, ...]], what: str) -> list[np.memmap]:
    """Empty float16 files with allocated disk space; writing to a memory map on a full disk would kill the process."""
    needed = sum(2 * math.prod(shape) for shape in shapes)
    store.make_room(needed, what)
    files = []
    for name, shape in zip(names, shapes, strict=True):
        files.append(np.lib.format.open_memmap(folder / name, "w+", np.float16, shape))
        try:
            with open(folder / name, "r+b") as file:
                if hasattr(os, "posix_fallocate"):  # Linux and most other systems, not macOS and Windows
                    os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise OSError(
                    f"{what} need {store.size_text(needed)}, and the disk of {folder.parent} is full; "
                    "make room there, or set AFRD_CACHE to a folder on another disk"
                ) from error
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
    return files
