"""What the page can show: categories, their runs and their samples; read when first asked for, and kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # torch takes seconds to import, and the page is up before
    from PIL import Image

    from afrd.comparison import Method
    from afrd.datasets import Category, MultiLightDataset, Sample
    from afrd.evaluation import Predictions
    from afrd.runs import Prediction, Run

T = TypeVar("T")
THUMBNAIL = 112  # pixels
JUDGED = 30  # splits judged by a method, with all their maps: 10 MB each for 40 samples of 256x256


@dataclass(frozen=True)
class RunEntry:
    """A finished run, known from its config only; `method` heads its map, `label` tells it from the others."""

    folder: Path
    lights: tuple[str, ...]
    label: str
    method: str


@dataclass(frozen=True)
class CategoryEntry:
    """A category that can be looked at, and the runs trained on it.

    Attributes:
        key: unique, short, to be passed around.
        name, root: the data set's folder is `root/name`; `root` may have moved.
        fused: runs of several lights.
        single: runs of one light.
    """

    key: str
    name: str
    root: Path
    fused: tuple[RunEntry, ...]
    single: tuple[RunEntry, ...]


class Cache:
    """The latest `size` results by key; one thread at a time makes a missing one."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._values: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.RLock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            if key not in self._values:
                self._values[key] = make()
            self._values.move_to_end(key)
            while len(self._values) > self.size:
                self._values.popitem(last=False)
            return self._values[key]


class Library:
    """The data sets and runs that one page shows.

    Args:
        runs: folder with runs anywhere below.
        data: root of the data set to look at instead of where the runs were trained; None: the runs' own.
        prepared: whether a demo is being made here, which is why there may be nothing yet.
    """

    def __init__(self, runs: Path, data: Path | None, prepared: bool = False) -> None:
        self.runs, self.data, self.prepared = runs, data, prepared
        self._entries, self._categories, self._runs = Cache(400), Cache(16), Cache(24)
        self._samples, self._predictions, self._thumbnails = Cache(24), Cache(48), Cache(4000)
        self._judged = Cache(JUDGED)

    def categories(self) -> list[CategoryEntry]:
        """All there is now, those with runs first; broken runs are left out."""
        from afrd.datasets import list_categories
        from afrd.folder import find_runs

        runs: dict[tuple[Path, str], list[RunEntry]] = {}
        for folder in find_runs(self.runs) if self.runs.is_dir() else []:
            found = self._entries.get(_state(folder / "config.json"), partial(_read_entry, folder))
            if found is not None:
                root, name, entry = found
                runs.setdefault((self.data or root, name), []).append(entry)
        places = list(runs)
        if self.data is not None and self.data.is_dir():
            there = list_categories(self.data)
            places = [p for p in places if p[1] in there] + [
                (self.data, n) for n in there if (self.data, n) not in runs
            ]
        names = [name for _, name in places]
        return [
            _entry(name if names.count(name) == 1 else f"{name} ({root})", name, root, runs.get((root, name), []))
            for root, name in places
        ]

    def category(self, key: str | None) -> CategoryEntry:
        """By key.

        Raises:
            ValueError: there is none of that name.
        """
        found = self.categories()
        for entry in found:
            if entry.key == key:
                return entry
        raise ValueError(f"there is no category {key!r} here; there are {', '.join(e.key for e in found) or 'none'}")

    def data_of(self, entry: CategoryEntry) -> Category:
        """The category's splits.

        Raises:
            FileNotFoundError, ValueError: it has moved or is not a data set, in one sentence.
        """
        from afrd.datasets import open_dataset

        folder = entry.root / entry.name
        if not folder.is_dir():
            raise FileNotFoundError(
                f"the pictures of {entry.name} are not at {folder} any more; "
                "start the page with --data and the folder that now holds them"
            )
        stamps = tuple(sorted(_state(f) for f in [*folder.iterdir(), *folder.glob("*/data")] if f.is_dir()))
        return self._categories.get((folder, stamps), lambda: open_dataset(entry.root, entry.name))

    def run(self, folder: Path) -> Run:
        """A loaded run; raises ValueError where it is broken."""
        from afrd.runs import load_run

        return self._runs.get(_state(folder / "model.safetensors"), lambda: self._share_teacher(load_run(folder)))

    def _share_teacher(self, run: Run) -> Run:
        """One teacher for all runs with the same weights."""
        for other in self._runs._values.values():
            if other.config.teacher_digest == run.config.teacher_digest and other.device == run.device:
                run.use_teacher(other.teacher)
                break
        return run

    def sample(self, dataset: MultiLightDataset, index: int) -> Sample:
        key = (dataset.split, index, _pictures_state(dataset, index))
        return self._samples.get(key, lambda: dataset[index])

    def prediction(self, folder: Path, dataset: MultiLightDataset, index: int, lights: tuple[str, ...]) -> Prediction:
        """What a run says of a sample under these lights; from stored features where the split has them.

        Raises:
            ValueError: the run does not fit the data.
        """
        run = self.run(folder)
        key = (_state(folder / "model.safetensors"), dataset.split, _pictures_state(dataset, index), lights)
        return self._predictions.get(key, lambda: _predict(self, run, dataset, index, lights))

    def methods(self, entry: CategoryEntry, lights: tuple[str, ...] | None = None) -> list[Method]:
        """Every way to judge a split of the category with these lights (all: None); a broken run is left out."""
        from afrd.comparison import methods_of

        runs: list[Run] = []
        for found in (*entry.fused, *entry.single):
            with suppress(ValueError):
                runs.append(self.run(found.folder))
        return methods_of(runs, lights)

    def judged(self, method: Method, dataset: MultiLightDataset) -> Predictions:
        """What a method says of a whole split.

        Raises:
            ValueError: a run does not fit the data.
        """
        states = tuple(_state(run.folder / "model.safetensors") for run in method.runs)
        key = (method.label, states, method.lights, method.fusion, dataset.root, dataset.category, dataset.split)
        return self._judged.get((*key, _split_state(dataset)), lambda: method.judge(dataset))

    def thumbnail(self, dataset: MultiLightDataset, index: int, light: str) -> Image.Image:
        """A small picture; a grey tile where it cannot be read."""
        path = dataset.picture(index, light)
        return self._thumbnails.get(_state(path), lambda: _thumbnail(path))


def _predict(library: Library, run: Run, dataset: MultiLightDataset, index: int, lights: tuple[str, ...]) -> Prediction:
    from afrd.features import features_stored

    # Reading a whole split for one sample's sake takes minutes on a large one; the store is used once it is there.
    if len(dataset) <= 60 or features_stored(dataset, run.teacher, run.config.size):
        return run.predict_stored(dataset, index, lights)
    return run.predict(library.sample(dataset, index), lights)


def _read_entry(folder: Path) -> tuple[Path, str, RunEntry] | None:
    from afrd.folder import read_config

    try:
        model, config = read_config(folder)
    except ValueError:
        return None
    lights = model.lights
    if len(lights) == 1:
        label = lights[0] if model.method == "afrd" else f"{lights[0]} (memory)"
    elif model.method == "memory":
        label = f"{folder.name}: patch memory, {len(lights)} lights"
    else:
        what = "" if model.target == "lights" else " of features"
        label = f"{folder.name}: {model.fusion}{what}, {len(lights)} lights"
    return Path(config.data_root), config.category, RunEntry(folder, lights, label, _method(model.method, len(lights)))


def _method(method: str, lights: int) -> str:
    if lights == 1:
        return "Single-light RD" if method == "afrd" else "Single-light memory"
    return "AFRD" if method == "afrd" else "Patch memory"


def _entry(key: str, name: str, root: Path, runs: list[RunEntry]) -> CategoryEntry:
    fused = tuple(run for run in runs if len(run.lights) > 1)
    order = [light for run in fused for light in run.lights]
    single = [run for run in runs if len(run.lights) == 1]
    single.sort(key=lambda run: order.index(run.lights[0]) if run.lights[0] in order else len(order))
    return CategoryEntry(key, name, root, fused, tuple(single))


def _state(path: Path) -> tuple[str, int, int]:
    """A file as it is now: another one under the same name has another state."""
    try:
        stat = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), stat.st_mtime_ns, stat.st_size


def _pictures_state(dataset: MultiLightDataset, index: int) -> tuple:
    return tuple(_state(dataset.picture(index, light)) for light in dataset.lights)


def _split_state(dataset: MultiLightDataset) -> int:
    return hash(tuple(_pictures_state(dataset, i) for i in range(len(dataset))))


def _thumbnail(path: Path) -> Image.Image:
    from PIL import Image

    from afrd.pictures import decode

    try:
        pixels = decode(path)
        image = Image.fromarray((pixels // 257).astype("uint8") if pixels.dtype == "uint16" else pixels).convert("RGB")
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        return image
    except (OSError, ValueError):
        return Image.new("RGB", (THUMBNAIL, THUMBNAIL), "#888888")
