"""What the page can show: categories, their runs and their samples; read when first asked for, and kept."""

from __future__ import annotations

import base64
import hashlib
import io
import tempfile
import threading
import time
from collections.abc import Callable, Hashable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import afrd.analysis.comparison
import afrd.data
import afrd.files
import afrd.runs
from afrd.page.common.cache import Cache

if TYPE_CHECKING:  # torch takes seconds to import, and the page is up before
    from PIL import Image

    from afrd.analysis.comparison.methods import Method
    from afrd.analysis.comparison.scores import Scores
    from afrd.data.dataset import Category, MultiLightDataset, Sample
    from afrd.metrics.predictions import Predictions
    from afrd.runs.run import Prediction, Run

THUMBNAIL = 112  # pixels
JUDGED = 400_000_000  # bytes of splits judged by a method, with all their maps: 13 MB each for 40 samples of 256x256
PAINTED = 400  # picture files, about 20 kB each
AT_ONCE = 60  # samples of a split that the teacher may read while somebody waits


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


class Library:
    """The data sets and runs that one page shows.

    Args:
        runs: folder with runs anywhere below.
        data: root of the data set whose categories are looked at there, not where their runs were trained.
        prepared: whether a demo is being made here, which is why there may be nothing yet.
    """

    def __init__(self, runs: Path, data: Path | None, prepared: bool = False) -> None:
        self.runs, self.data, self.prepared = runs, data, prepared
        self._entries, self._categories, self._runs = Cache(400), Cache(16), Cache(24)
        self._samples, self._predictions, self._thumbnails = Cache(24), Cache(48), Cache(4000)
        self._judged = Cache(JUDGED, lambda judged: judged.maps.nbytes + judged.masks.nbytes)
        self._scores = Cache(400)
        self._turns: dict[Path, threading.RLock] = {}
        self._painted = tempfile.TemporaryDirectory(prefix="afrd-pictures-")

    def categories(self) -> list[CategoryEntry]:
        """The categories that exist now, those with runs first; broken runs are left out."""

        in_data = afrd.data.list_categories(self.data) if self.data is not None and self.data.is_dir() else []
        runs: dict[tuple[Path, str], list[RunEntry]] = {}
        for folder in afrd.runs.find_runs(self.runs) if self.runs.is_dir() else []:
            entry_of_run = self._entries.get(_state(folder / "config.json"), partial(_read_entry, folder))
            if entry_of_run is not None:
                root, name, entry = entry_of_run
                runs.setdefault((self.data if self.data and name in in_data else root, name), []).append(entry)
        places = list(runs)
        if self.data is not None:  # and what was trained on other data that still exists
            places = [(root, name) for root, name in places if root == self.data or (root / name).is_dir()]
            places += [(self.data, name) for name in in_data if (self.data, name) not in runs]
        names = [name for _, name in places]
        return [
            _entry(name if names.count(name) == 1 else f"{name} ({root})", name, root, runs.get((root, name), []))
            for root, name in places
        ]

    def entry(self, key: str | None) -> CategoryEntry | None:
        """The category of this key, if there is one."""
        return next((entry for entry in self.categories() if entry.key == key), None)

    def category(self, key: str | None) -> CategoryEntry:
        """The category of this key.

        Raises:
            ValueError: there is none.
        """
        entry = self.entry(key)
        if entry is None:
            keys = ", ".join(entry.key for entry in self.categories())
            raise ValueError(f"there is no category {key!r} here; there are {keys or 'none'}")
        return entry

    def data_of(self, entry: CategoryEntry) -> Category:
        """The category's splits.

        Raises:
            FileNotFoundError, ValueError: it has moved or is not a data set, in one sentence.
        """

        folder = entry.root / entry.name
        if not folder.is_dir():
            raise FileNotFoundError(
                f"the pictures of {entry.name} are not at {folder} any more; "
                "start the page with --data and the folder that now holds them"
            )
        stamps = tuple(sorted(_state(f) for f in [*folder.iterdir(), *folder.glob("*/data")] if f.is_dir()))
        return self._categories.get((folder, stamps), lambda: afrd.data.open_dataset(entry.root, entry.name))

    def run(self, folder: Path) -> Run:
        """A loaded run; raises ValueError where it is broken."""

        return self._runs.get(
            _state(folder / "model.safetensors"), lambda: self._share_teacher(afrd.runs.load_run(folder))
        )

    def _share_teacher(self, run: Run) -> Run:
        """One teacher for all runs with the same weights."""
        for other in self._runs.values():
            if other.config.teacher_digest == run.config.teacher_digest and other.device == run.device:
                run.use_teacher(other.teacher)
                break
        return run

    def sample(self, dataset: MultiLightDataset, index: int) -> Sample:
        key = (dataset.root, dataset.category, dataset.split, index, _pictures_state(dataset, index))
        return self._samples.get(key, lambda: dataset[index])

    def prediction(self, folder: Path, dataset: MultiLightDataset, index: int, lights: tuple[str, ...]) -> Prediction:
        """What a run says of a sample under these lights; from stored features where the split has them.

        Raises:
            ValueError: the run does not fit the data.
        """
        run = self.run(folder)
        key = (*self.state(folder, dataset, index), lights)
        return self._predictions.get(key, lambda: _predict(self, run, dataset, index, lights))

    def state(self, folder: Path, dataset: MultiLightDataset, index: int) -> tuple:
        """Of a run and a sample as they are on disk now; another one when either changes."""
        return _state(folder / "model.safetensors"), dataset.split, index, _pictures_state(dataset, index)

    def methods(self, entry: CategoryEntry, lights: tuple[str, ...] | None = None) -> list[Method]:
        """Every way to judge a split of the category with these lights (all: None); a broken run is left out, and so is
        a light that no run knows."""

        runs: list[Run] = []
        for entry_of_run in (*entry.fused, *entry.single):
            with suppress(ValueError):
                runs.append(self.run(entry_of_run.folder))
        if lights is None:
            return afrd.analysis.comparison.methods_of(runs)
        known_lights = [light for light in lights if any(light in run.lights for run in runs)]
        return afrd.analysis.comparison.methods_of(runs, known_lights) if known_lights else []

    def judged(self, method: Method, dataset: MultiLightDataset) -> Predictions:
        """What a method says of a whole split.

        Raises:
            ValueError: a run does not fit the data.
        """
        return self._judged.get(self.judged_key(method, dataset), lambda: self._judge(method, dataset))

    def judged_key(self, method: Method, dataset: MultiLightDataset) -> Hashable:
        """Another one as soon as a run of the method is trained again, or a picture of the split is another one."""
        states = tuple(_state(run.folder / "model.safetensors") for run in method.runs)
        key = (method.label, states, method.lights, method.fusion, dataset.root, dataset.category, dataset.split)
        return (*key, _split_state(dataset))

    def _judge(self, method: Method, dataset: MultiLightDataset) -> Predictions:
        with ExitStack() as turns:
            for run in method.runs:
                run.features(dataset)  # minutes where the teacher has not read the split; nobody need wait for it
            for run in sorted(method.runs, key=lambda run: run.folder):
                turns.enter_context(self.turn(run))
            return method.judge(dataset)

    def turn(self, run: Run) -> threading.RLock:
        """To be held while a run works: what it remembers is not made for several threads at once."""
        return self._turns.setdefault(run.folder, threading.RLock())

    def scored(self, folder: Path, dataset: MultiLightDataset) -> bool:
        """Whether `scores` answers at once, rather than after the teacher has read a large split."""

        run = self.run(folder)
        return len(dataset) <= AT_ONCE or afrd.runs.features_stored(dataset, run.teacher, run.config.size)

    def read(self, folder: Path, dataset: MultiLightDataset, progress: Callable[[int, int], None]) -> None:
        """Lets the run's teacher read a split, so that `scores` answers at once; minutes for a thousand samples."""
        self.run(folder).features(dataset, progress)

    def scores(self, folder: Path, dataset: MultiLightDataset, lights: tuple[str, ...]) -> Scores:
        """A run's scores of a whole split under these lights.

        Raises:
            ValueError: the run does not fit the data, or a picture cannot be read.
            OSError, RuntimeError: there are no weights for the teacher, or a picture is missing.
        """

        run = self.run(folder)

        def make() -> Scores:
            run.features(dataset)
            with self.turn(run):
                return afrd.analysis.comparison.split_scores(run, dataset, lights)

        key = (_state(folder / "model.safetensors"), dataset.root, dataset.category, dataset.split, lights)
        return self._scores.get((*key, _split_state(dataset)), make)

    def picture_file(self, key: Hashable, make: Callable[[], Image.Image]) -> Path:
        """A picture as a file, made once; for components that hand out files. The latest `PAINTED` are kept."""

        folder = Path(self._painted.name)
        path = folder / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}.webp"
        if not path.exists():
            with afrd.files.replacing(path) as unfinished:
                make().save(unfinished, "webp", quality=85)
            for old in sorted(folder.glob("*.webp"), key=_age)[PAINTED:]:
                old.unlink(missing_ok=True)
        return path

    def thumbnail(self, dataset: MultiLightDataset, index: int, light: str) -> Image.Image:
        """A small picture; a grey tile where it cannot be read."""
        return _thumbnail(dataset.picture(index, light))

    def thumbnail_uri(self, dataset: MultiLightDataset, index: int, light: str) -> str:
        """`thumbnail` as a data URI, kept."""
        state = _state(dataset.picture(index, light))
        return self._thumbnails.get(state, lambda: _webp_uri(self.thumbnail(dataset, index, light)))


def _predict(library: Library, run: Run, dataset: MultiLightDataset, index: int, lights: tuple[str, ...]) -> Prediction:

    # Nobody is to wait for a whole split for one sample's sake; the store is used once it is there.
    if afrd.runs.features_stored(dataset, run.teacher, run.config.size):
        run.features(dataset)
        with library.turn(run):
            return run.predict_stored(dataset, index, lights)
    return run.predict(library.sample(dataset, index), lights)


def _read_entry(folder: Path) -> tuple[Path, str, RunEntry] | None:

    try:
        model, config = afrd.runs.read_config(folder)
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


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime if path.exists() else 0.0


def _pictures_state(dataset: MultiLightDataset, index: int) -> tuple:
    return tuple(_state(dataset.picture(index, light)) for light in dataset.lights)


def _split_state(dataset: MultiLightDataset) -> int:
    return hash(tuple(_pictures_state(dataset, i) for i in range(len(dataset))))


def _thumbnail(path: Path) -> Image.Image:
    from PIL import Image

    try:
        pixels = afrd.data.decode(path)
        image = Image.fromarray((pixels // 257).astype("uint8") if pixels.dtype == "uint16" else pixels).convert("RGB")
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        return image
    except (OSError, ValueError):
        return Image.new("RGB", (THUMBNAIL, THUMBNAIL), "#888888")


def _webp_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "webp", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
