"""Feature store: a data set's teacher features, computed once, stored on disk, memory-mapped."""

from __future__ import annotations

import contextvars
import errno
import math
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from afrd.data.dataset import MultiLightDataset
from afrd.data.state import pictures_state
from afrd.files import once_per_snapshot, replacing
from afrd.model.inputs import compute_inputs
from afrd.model.teacher import KnownTeacher, Teacher
from afrd.runs import store
from afrd.runs.store import ABOUT_FILE, UNFINISHED_PREFIX, About

Progress = Callable[[int, int], None]
Index = np.ndarray | slice | list[int]
AnyTeacher = Teacher | KnownTeacher
CHECKSUMS_FILE = "checksums.npy"
ATTEMPTS = 3  # to store features that another process removes before they are opened


@dataclass(frozen=True)
class Checksums:
    """Of the stored samples.

    Attributes:
        folder: of the entry.
        expected: (N, F) uint32, CRC-32 of every sample in each of the files.
        checked: (N,) bool, the samples that this process has compared already.
    """

    folder: Path
    expected: np.ndarray
    checked: np.ndarray


@dataclass(frozen=True)
class Features:
    """Features and contrast of the pictures of one split, float16, read from disk.

    Attributes:
        scales: the teacher's features, (N, L, C, h, w) per scale, finest first.
        contrast: (N, L, h, w) on the finest grid, see `local_contrast`.
        lights: names, in the order of L.
        checksums: None where they are not those of a stored entry.
    """

    scales: tuple[np.ndarray, ...]
    contrast: np.ndarray
    lights: tuple[str, ...]
    checksums: Checksums | None = None

    def __len__(self) -> int:
        return len(self.scales[0])

    def positions(self, lights: Sequence[str]) -> list[int]:
        """Positions of these lights along the L axis."""
        return [self.lights.index(light) for light in lights]

    def batch(self, index: Index, lights: list[int] | None = None) -> list[Tensor]:
        """Features of chosen samples (and lights, by position): (B, L, C, h, w) per scale."""
        self.check(index)
        return [self._picked(scale, index, lights) for scale in self.scales]

    def contrasts(self, index: Index, lights: list[int] | None = None) -> Tensor:
        """Contrast of the same samples and lights: (B, L, h, w)."""
        self.check(index)
        return self._picked(self.contrast, index, lights)

    def check(self, index: Index) -> None:
        """Compares samples with their checksums, once in each process.

        Raises:
            ValueError: they are not what was stored, as after a fault of the disk; the entry is removed.
        """
        if (sums := self.checksums) is None:
            return
        for i in np.arange(len(self))[index]:
            if sums.checked[i]:
                continue
            if _checksums_of([array[i] for array in (*self.scales, self.contrast)]) != sums.expected[i].tolist():
                store.remove(sums.folder)
                raise ValueError(
                    f"the stored features in {sums.folder} were damaged, so they have been removed; start again, and "
                    "they are computed anew"
                )
            sums.checked[i] = True

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
        for _ in range(ATTEMPTS):
            if not _is_whole(folder, teacher):
                loaded = teacher.load() if isinstance(teacher, KnownTeacher) else teacher
                _compute_all(dataset, loaded, size, folder, progress)
            if (features := _opened(folder, teacher, dataset)) is not None:
                store.touch(folder)
                return features
            store.remove(folder)
        raise OSError(f"features in {folder} are removed or damaged as soon as they are stored; start again")

    return once_per_snapshot(("features", folder), load)


def features_stored(
    dataset: MultiLightDataset, teacher: AnyTeacher, size: int, lights: Sequence[str] | None = None
) -> bool:
    """Whether the store has these features, so that `load_features` need not compute them."""
    return _is_whole(stored_under(_needed(dataset, teacher, size, lights), teacher, size), teacher)


def _opened(folder: Path, teacher: AnyTeacher, dataset: MultiLightDataset) -> Features | None:
    """The features in an entry's folder; None if it has just been removed, or its files are not of this split."""
    try:
        names = (*_files(teacher), CHECKSUMS_FILE)
        *scales, contrast, expected = (np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in names)
        stat = (folder / CHECKSUMS_FILE).stat()
    except (OSError, ValueError, EOFError):
        return None
    shapes = [array.shape[:2] for array in (*scales, contrast)]
    if set(shapes) != {(len(dataset), len(dataset.lights))} or expected.shape != (len(dataset), len(shapes)):
        return None
    if any(scale.ndim != 5 for scale in scales) or contrast.ndim != 4:
        return None
    checked = _checked_samples(folder, stat.st_mtime_ns, len(dataset))
    return Features(tuple(scales), contrast, dataset.lights, Checksums(folder, np.array(expected), checked))


@lru_cache(maxsize=1000)
def _checked_samples(folder: Path, stored: int, samples: int) -> np.ndarray:
    """`Checksums.checked` of an entry that was stored at this time (ns), as far as this process has read it."""
    return np.zeros(samples, bool)


def _checksums_of(arrays: Sequence[np.ndarray]) -> list[int]:
    return [zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data) for array in arrays]


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
    return all((folder / name).is_file() for name in (*_files(teacher), CHECKSUMS_FILE, ABOUT_FILE))


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
        store.in_use(Path(name)),
        ThreadPoolExecutor(1) as reader,  # decodes the next sample while the teacher reads this one
    ):
        unfinished = Path(name)
        checksums = []
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
                if not np.isfinite(file[i]).all():  # as NaN would be called good
                    raise ValueError(
                        f"teacher {teacher.name} gives numbers for sample {sample.name} of {about.split} that half "
                        "precision cannot hold; choose another teacher"
                    )
            checksums.append(_checksums_of([file[i] for file in files]))
            if progress:
                progress(i + 1, len(dataset))
        for file in files:
            file.flush()
        if _fresh_state(dataset) != before:
            raise ValueError(
                f"pictures of {about.category}/{about.split} in {about.root} were changed while the teacher read them; "
                "start again when nothing writes there any more"
            )
        with replacing(unfinished / CHECKSUMS_FILE) as path:
            np.save(path, np.array(checksums, np.uint32))
        store.write_about(unfinished, about)
        if not _is_whole(folder, teacher):  # another process may have finished first
            shutil.rmtree(folder, ignore_errors=True)  # incomplete, or of an older version
            os.replace(unfinished, folder)
            (folder / store.LOCK_FILE).unlink(missing_ok=True)
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
