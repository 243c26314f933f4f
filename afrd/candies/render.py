"""The candy factory: renders a small multi-light data set, so that everything here runs without a download.

The files lie as in Eyecandies (Bonfiglioli et al., ACCV 2022, https://arxiv.org/abs/2210.04570):
`<out>/<Category>/<split>/data/<index>_<item>.<ext>`, with the same items, index widths and light order. A defect
changes the height, paint or grain of a candy before it is lit, so the shading decides which lights show it: `shapes`
makes the candies, `defects` adds defects to them, `lamps` lights them. Everything depends on (seed, category, split,
index) alone.
"""

from __future__ import annotations

import ctypes
import io
import os
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, suppress
from dataclasses import astuple, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from afrd.candies.defects import DEFECTS
from afrd.candies.lamps import EYECANDIES_RIG, Light, spot_ring
from afrd.candies.sample import Rendered, check_arguments, planned_defects, render_sample
from afrd.candies.shapes import CATEGORIES

__all__ = [
    "CATEGORIES",
    "DEFECTS",
    "EYECANDIES_RIG",
    "Light",
    "Rendered",
    "is_complete",
    "planned_defects",
    "render_category",
    "render_sample",
    "spot_ring",
]

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h

_WIDTHS = {"train": 3, "val": 2, "test_public": 2}  # digits of the index in file names, as in Eyecandies
_SETTINGS = "render.yaml"  # in the category's folder: what it was rendered with, so that two renderings never mix


@dataclass(frozen=True)
class _Job:
    """One sample to render into a category's folder, and its twin with it."""

    folder: Path
    category: str
    size: int
    seed: int
    split: str
    index: int
    defects: tuple[str, ...]
    twin: bool
    lights: tuple[Light, ...]
    difficulty: float

    @property
    def prefix(self) -> Path:
        return self.folder / self.split / "data" / f"{self.index:0{_WIDTHS[self.split]}d}"

    @property
    def twin_prefix(self) -> Path:
        return self.folder / "twins" / "data" / self.prefix.name

    def files(self) -> list[Path]:
        """Its files, metadata last."""
        masks = [f"{kind}_mask.png" for kind in DEFECTS]
        items = [*_pictures(self.lights), "depth.png", "info_depth.yaml", "normals.png", "pose.txt", "mask.png", *masks]
        return [Path(f"{self.prefix}_{item}") for item in (*items, "metadata.yaml")]

    def twin_files(self) -> list[Path]:
        return [Path(f"{self.twin_prefix}_{item}") for item in _pictures(self.lights)] if self.twin else []

    def missing(self) -> bool:
        return not all(file.is_file() for file in (*self.files(), *self.twin_files()))


def _pictures(lights: Sequence[Light]) -> list[str]:
    return [f"image_{k}.png" for k in range(len(lights))]


def _write(path: Path, content: bytes) -> None:
    """Writes a file atomically: neither a reader nor the next rendering after an interruption sees half of it.

    Raises:
        OSError: `path` cannot be written; the message names it, also where the system names no file.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        if error.errno is None or error.filename not in (None, str(part)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(
        buffer, "PNG", compress_level=1, compress_type=zlib.Z_RLE
    )  # smaller and faster: noise
    return buffer.getvalue()


def _do(job: _Job) -> None:
    """Renders and writes what a sample lacks; files that exist already stay untouched."""

    def sample(defects: tuple[str, ...]) -> Rendered:
        return render_sample(
            job.category,
            size=job.size,
            seed=job.seed,
            split=job.split,
            index=job.index,
            defect=defects,
            lights=job.lights,
            difficulty=job.difficulty,
        )

    if any(not file.is_file() for file in job.files()):
        shot = sample(job.defects)
        low, high = float(shot.depth.min()), float(shot.depth.max())
        depth = np.round((shot.depth.astype(np.float64) - low) / (high - low) * 65535).astype(np.uint16)
        pose = io.StringIO()
        np.savetxt(pose, shot.pose, fmt="%.9f")
        contents = [_png(picture) for picture in shot.images]
        contents += [_png(depth), yaml.safe_dump({"normalization": {"max": high, "min": low}}).encode()]
        contents += [_png(np.round((shot.normals + 1) * 127.5).astype(np.uint8)), pose.getvalue().encode()]
        contents += [_png(np.uint8(255) * mask) for mask in (shot.mask, *(shot.masks[kind] for kind in DEFECTS))]
        contents += [yaml.safe_dump(shot.metadata).encode()]
        for file, content in zip(job.files(), contents, strict=True):
            if not file.is_file():
                _write(file, content)
    if any(not file.is_file() for file in job.twin_files()):
        for file, picture in zip(job.twin_files(), sample(()).images, strict=True):
            if not file.is_file():
                _write(file, _png(picture))


# ---------------------------------------------------------------- a whole category


@dataclass(frozen=True, kw_only=True)
class RenderingOptions:
    """What a rendered category is made of.

    Args:
        size: side of the pictures in pixels.
        seed: 0 or more; other seeds give other candies.
        train: number of samples in `train`, all good, 1 to 1000 (three digits in the file names).
        val: number in `val`, all good, 1 to 100.
        test_good: number of good samples in `test_public`.
        test_bad: number of bad samples in `test_public`; good and bad ones together at most 100.
        twins: also write `twins/data/<index>_image_<k>.png`: the bad test samples without their defects.
        lights: the rig, one picture a light.
        difficulty: of the defects, 0 for plain ones up to 1 for small, shallow and faint ones.
    """

    size: int = 256
    seed: int = 0
    train: int = 40
    val: int = 20
    test_good: int = 20
    test_bad: int = 20
    twins: bool = False
    lights: Sequence[Light] = EYECANDIES_RIG
    difficulty: float = 0.0

    def check(self, category: str) -> None:
        """Raises ValueError in one sentence when a category cannot be rendered with these."""
        check_arguments(category, self.size, self.seed, self.lights, self.difficulty)
        for name in ("train", "val", "test_good", "test_bad"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; every part of the data set needs at least one sample"
                )
        limits = (("train", self.train, 1000), ("val", self.val, 100))
        for name, count, limit in (*limits, ("the test set", self.test_good + self.test_bad, 100)):
            if count > limit:
                raise ValueError(f"{count} samples in {name} are too many; the file names of the layout allow {limit}")

    def settings(self, category: str) -> dict[str, Any]:
        """What must not differ between two renderings in one folder."""
        settings: dict[str, Any] = {"category": category, "size": self.size, "seed": self.seed}
        settings |= {"test_good": self.test_good, "test_bad": self.test_bad}
        settings |= {"lights": [list(astuple(light)) for light in self.lights]}
        # left out at 0, so that renderings of earlier versions still count as the same
        return settings | ({"difficulty": self.difficulty} if self.difficulty else {})


def _jobs(folder: Path, options: RenderingOptions) -> Iterator[_Job]:
    good, bad = options.test_good, options.test_bad
    for split, count in (("train", options.train), ("val", options.val), ("test_public", good + bad)):
        for index in range(count):
            defects = planned_defects(index, good, bad) if split == "test_public" else ()
            twin = options.twins and bool(defects)
            sample = (folder.name, options.size, options.seed, split, index)
            yield _Job(folder, *sample, defects, twin, tuple(options.lights), options.difficulty)


def _load_settings(folder: Path) -> dict[str, Any] | None:
    file = folder / _SETTINGS
    if not file.is_file():
        return None
    try:
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        settings = None
    if not isinstance(settings, dict):
        raise ValueError(f"{file} cannot be read; delete {folder} and render it again")
    return settings


def is_complete(folder: Path | str, **options: Any) -> bool:
    """Whether a category's folder (`<out>/<Category>`) holds every file of a rendering with these options.

    Args:
        folder: `<out>/<Category>`.
        options: fields of `RenderingOptions`; `size` and `seed` are those of the folder where they are not given, and
            more `train` and `val` samples than requested are accepted.
    """
    folder = Path(folder)
    settings = _load_settings(folder)
    if settings is None:
        return False
    rendering = RenderingOptions(**({"size": settings.get("size", 0), "seed": settings.get("seed", 0)} | options))
    return settings == rendering.settings(folder.name) and not any(job.missing() for job in _jobs(folder, rendering))


def render_category(
    out: Path | str,
    category: str,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Path:
    """Renders a category in the Eyecandies layout; an interrupted rendering is continued.

    Args:
        out: the data set's folder; the category becomes a folder in it.
        category: one of CATEGORIES, or `Random<number>` (`afrd.candies.variants`).
        workers: number of processes; None: one for each processor; 1: no other process than this one.
        progress: is called with (samples done, samples in all), also once before the first one.
        options: fields of `RenderingOptions`.

    Returns:
        The category's folder.

    Raises:
        TypeError: an unknown option.
        ValueError: when an argument is not one of those allowed, or the folder holds a rendering with other settings.
    """
    rendering = RenderingOptions(**options)
    rendering.check(category)
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; choose 1 or more, or None for one for each processor")

    folder = Path(out) / category
    settings, old = rendering.settings(category), _load_settings(folder)
    if old is not None and old != settings:
        keys = [key for key in {**settings, **old} if key != "lights" and old.get(key) != settings.get(key)]
        what = ", ".join(f"{key} {old.get(key, 0)}" for key in keys) or "other lights"
        raise ValueError(f"{folder} holds a rendering with {what}; choose another folder or delete this one")
    if old is None and folder.is_dir() and any(not file.name.startswith(".") for file in folder.iterdir()):
        raise ValueError(f"{folder} holds files that were not rendered here; choose another folder for the rendering")
    jobs = list(_jobs(folder, rendering))
    folder.mkdir(parents=True, exist_ok=True)
    if old is None:
        _write(folder / _SETTINGS, yaml.safe_dump(settings, default_flow_style=None).encode())
    for parent in {file.parent for job in jobs for file in (*job.files()[:1], *job.twin_files()[:1])}:
        parent.mkdir(parents=True, exist_ok=True)
        for part in parent.glob(".*.part"):  # left over from an interruption, unless somebody is writing it now
            if time.time() - part.stat().st_mtime > 600:
                part.unlink(missing_ok=True)

    todo = [job for job in jobs if job.missing()]
    done = len(jobs) - len(todo)
    if progress:
        progress(done, len(jobs))
    with closing(_work(todo, min(workers or os.cpu_count() or 1, len(todo)))) as steps:
        for _ in steps:
            done += 1
            if progress:
                progress(done, len(jobs))
    return folder


def _keep_freed_memory() -> None:
    """Makes glibc keep what is freed, so that arrays that come and go need no new pages; others need no such option."""
    with suppress(OSError, TypeError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 2**25)  # the most that glibc before 2.35 accepts
        libc.mallopt(M_TRIM_THRESHOLD, 2**30)


def _work(jobs: list[_Job], workers: int) -> Generator[None, None, None]:
    """Runs the jobs, here or in processes of their own, and yields after each."""
    if workers < 2:
        for job in jobs:
            _do(job)
            yield
        return
    # spawned, not forked: the caller may be a server with threads
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_keep_freed_memory) as pool:
        waiting = {pool.submit(_do, job): job for job in jobs}
        try:
            for future in as_completed(list(waiting)):
                future.result()
                del waiting[future]
                yield
        except BrokenProcessPool:  # a process was killed, or could not start: a script without a __main__ guard
            for job in waiting.values():
                _do(job)
                yield
        finally:
            for future in waiting:  # after an error, or when the caller stops
                future.cancel()
