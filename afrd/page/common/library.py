"""Library of the page: categories, their runs and samples, loaded on demand and cached."""

from __future__ import annotations

import base64
import hashlib
import io
import tempfile
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from PIL import Image

import afrd.analysis.comparison
import afrd.data
import afrd.files
import afrd.runs
from afrd.files import file_state, once_per_snapshot
from afrd.page.common import keys
from afrd.page.common.entries import CategoryEntry, Place, RunEntry, category_entry, read_entry, short_name
from afrd.runs.cache import MB, Cache
from afrd.runs.file_names import CONFIG

if TYPE_CHECKING:  # torch takes seconds to import; the page starts before
    from afrd.analysis.comparison.methods import Method
    from afrd.analysis.comparison.scores import Scores
    from afrd.data.dataset import Category, MultiLightDataset, Sample
    from afrd.metrics.predictions import Predictions
    from afrd.model.evidence import Evidence
    from afrd.runs.prediction import Prediction
    from afrd.runs.run import Run

THUMBNAIL_SIDE = 112  # pixels
MAX_PAINTED = 20 * MB  # of picture files, about 20 kB each
AT_ONCE = 60  # samples of a split whose features are computed while the user waits


class Library:
    """The data sets and runs that one page shows.

    Args:
        runs: folder with runs anywhere below.
        data: root of a data set whose categories replace those that the runs were trained on.
        prepared: whether a demo is being prepared, so that there may be nothing yet.
    """

    def __init__(self, runs: Path, data: Path | None, prepared: bool = False) -> None:
        self.runs, self.data, self.prepared = runs, data, prepared
        self._keys: dict[Place, str] = {}  # of categories, as they were first named
        self._listed, self._categories = Cache(16, lambda _: 1), Cache(16, lambda _: 1)  # lists of files
        self._entries, self._scores, self._thumbnails = Cache(2 * MB), Cache(20 * MB), Cache(30 * MB)
        self._runs = Cache(600 * MB, lambda run: run.memory_bytes)
        self._learned: WeakValueDictionary[Hashable, Run] = WeakValueDictionary()  # loaded runs, by their weights
        self._within = Cache(64, lambda _: 1)  # runs that judge in the region of another
        self._samples, self._predictions = Cache(150 * MB), Cache(150 * MB)
        # splits judged by a method, with all their maps: 13 MB for 40 of 256x256, and 4 MB more once intervals are made
        self._judged = Cache(200 * MB)
        self._painted = tempfile.TemporaryDirectory(prefix="afrd-pictures-")

    def categories(self) -> list[CategoryEntry]:
        """The categories that exist now, those with runs first; broken runs are ignored."""
        return once_per_snapshot(("categories", id(self)), self._read_categories)

    def _read_categories(self) -> list[CategoryEntry]:
        in_data = afrd.data.list_categories(self.data) if self.data is not None and self.data.is_dir() else []
        runs: dict[Place, list[RunEntry]] = {}
        for folder in afrd.runs.find_runs(self.runs) if self.runs.is_dir() else []:
            entry_of_run = self._entries.get(keys.of_file(folder / CONFIG), partial(read_entry, folder))
            if entry_of_run is not None:
                trained_on, entry = entry_of_run
                root = self.data if self.data and trained_on.name in in_data else trained_on.root
                runs.setdefault(self._shown_at(trained_on._replace(root=root)), []).append(entry)
        places = list(runs)
        if self.data is not None:  # and what was trained on other data that still exists
            places = [place for place in places if place.root == self.data or (place.root / place.name).is_dir()]
            places += [Place(self.data, name) for name in in_data if Place(self.data, name) not in runs]
        self._name(places)
        return [category_entry(self._keys[place], place, runs.get(place, [])) for place in places]

    def _shown_at(self, place: Place) -> Place:
        """The place without views where they are all views of the data."""
        if place.views:
            with suppress(ValueError, OSError):
                if self._listing(place._replace(views=())).views == place.views:
                    return place._replace(views=())
        return place

    def _name(self, places: list[Place]) -> None:
        """Gives every place a key that it keeps: its name and views, and the root where another one has that name.

        The key of a category stays the same when another one of the same name appears.
        """
        new = [place for place in places if place not in self._keys]
        names = [short_name(place) for place in (*self._keys, *new)]
        for place in new:
            name = short_name(place)
            self._keys[place] = name if names.count(name) == 1 else f"{name} ({place.root})"

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
        place = Place(entry.root, entry.name, entry.views)
        return once_per_snapshot(("data", id(self), place), lambda: self._opened(place))

    def _opened(self, place: Place) -> Category:
        # A category reads its samples' labels once, so that it is opened again when one of them changes.
        listed = self._listing(place)
        folders = afrd.data.state.folders_state(place.root / place.name)
        return self._categories.get(
            (place, folders, afrd.data.state.labels_state(listed)), lambda: afrd.data.open_dataset(*place)
        )

    def _listing(self, place: Place) -> Category:
        """The category's files, listed again when one is added, removed or renamed."""
        folders = afrd.data.state.folders_state(place.root / place.name)
        return self._listed.get((place, folders), lambda: afrd.data.open_dataset(*place))

    def run(self, folder: Path) -> Run:
        """A loaded run; raises ValueError if it is broken."""
        return self._runs.get(keys.of_run(folder), lambda: self._load(folder))

    def _load(self, folder: Path) -> Run:
        """The run from disk; if only region or corrections differ from a loaded one, it shares its evidence."""
        learned = keys.of_weights(folder)
        run = self._learned.get(learned)
        if run is not None:
            region = afrd.runs.stored_region(folder, run.config.picture_size)
            return afrd.runs.with_kept_corrections(run.with_region(region))
        run = self._learned[learned] = afrd.runs.load_run(folder)
        return run

    def keep(self, folder: Path, run: Run) -> None:
        """Registers a run that is loaded already, instead of reading it from its folder."""
        self._runs.get(keys.of_run(folder), lambda: run)

    def corrected(self, folder: Path, dataset: MultiLightDataset) -> set[int]:
        """Positions of the samples of a split that were corrected for the run, and do not count."""
        return afrd.runs.corrected_samples(self.run(folder).corrections, dataset)

    def sample(self, dataset: MultiLightDataset, index: int) -> Sample:
        return self._samples.get(keys.of_sample(dataset, index), lambda: dataset[index])

    def prediction(
        self,
        folder: Path,
        dataset: MultiLightDataset,
        index: int,
        lights: tuple[str, ...] | None = None,
        shown: Path | None = None,
    ) -> Prediction:
        """Prediction of a run for a sample, from stored features if the split has them.

        Args:
            folder: of the run.
            dataset, index: the sample.
            lights: all of the run's by default.
            shown: folder of a run whose region replaces this one's own.

        Raises:
            ValueError: a run does not fit the data, or is broken.
        """
        run = self.run_beside(folder, shown)
        used = run.lights if lights is None else lights
        key = self.prediction_key(run, dataset, index, used)
        return self._predictions.get(key, lambda: _predict(self, run, dataset, index, used))

    def run_beside(self, folder: Path, shown: Path | None) -> Run:
        """The run in a folder, with the region of the run in the folder `shown` instead of its own."""
        run = self.run(folder)
        with suppress(ValueError):  # a broken run is shown as such, and the others in their own regions
            run = run if shown is None else self._in_one_region([self.run(shown), run], shown)[1]
        return run

    def evidence(self, folder: Path, dataset: MultiLightDataset, index: int) -> Evidence:
        """A run's evidence on a sample under all lights, from stored features if the split has them.

        Raises:
            ValueError: the run does not fit the data.
        """
        run = self.run(folder)
        if _has_features(run, dataset):
            return run.stored_evidence(dataset, index)
        sample = self.sample(dataset, index)
        return run.sample_evidence(sample, run.lights_of(sample))

    def prediction_key(self, run: Run, dataset: MultiLightDataset, index: int, lights: tuple[str, ...]) -> Hashable:
        """Key of a prediction; it changes when the run or the sample changes on disk."""
        return keys.of_run(run.folder), keys.of_region(run), keys.of_sample(dataset, index), lights

    def methods(
        self, entry: CategoryEntry, lights: tuple[str, ...] | None = None, shown: Path | None = None
    ) -> list[Method]:
        """All methods for a split of the category with these lights (all: None), without broken runs and lights that no
        run has.

        All judge inside the region of the run in the folder `shown`, else of the first one, so that they can be
        compared.
        """

        runs: list[Run] = []
        for entry_of_run in (*entry.fused, *entry.single):
            with suppress(ValueError):
                runs.append(self.run(entry_of_run.folder))
        runs = self._in_one_region(runs, shown)
        if lights is None:
            return afrd.analysis.comparison.methods_of(runs)
        known_lights = [light for light in lights if any(light in run.lights for run in runs)]
        return afrd.analysis.comparison.methods_of(runs, known_lights) if known_lights else []

    def _in_one_region(self, runs: list[Run], shown: Path | None) -> list[Run]:
        reference = next((run for run in runs if run.folder == shown), runs[0] if runs else None)
        region = None if reference is None else keys.of_region(reference)

        def within(run: Run) -> Run:
            assert reference is not None
            if keys.of_region(run) == region:
                return run
            return self._within.get((keys.of_run(run.folder), region), lambda: run.with_region(reference.region))

        return [within(run) for run in runs]

    def judged(self, method: Method, dataset: MultiLightDataset) -> Predictions:
        """Predictions of a method on a whole split.

        Raises:
            ValueError: a run does not fit the data.
        """

        def judge() -> Predictions:  # runs that are fused late are judged alone, too, so that both use one evaluation
            single_method = afrd.analysis.comparison.single_method
            return method.judge(dataset, lambda run: self.judged(single_method(run), dataset))

        return self._judged.get(self.judged_key(method, dataset), judge)

    def judged_key(self, method: Method, dataset: MultiLightDataset) -> Hashable:
        """Key of predictions; it changes when a run of the method is trained again, or a picture changes."""
        return keys.of_method(method), keys.of_split(dataset)

    def scored(self, folder: Path, dataset: MultiLightDataset) -> bool:
        """Whether `scores` is quick, rather than computing the features of a large split first."""

        run = self.run(folder)
        return len(dataset) <= AT_ONCE or run.features_stored(dataset)

    def read(self, folder: Path, dataset: MultiLightDataset, progress: Callable[[int, int], None]) -> None:
        """Computes the teacher features of a split, so that `scores` is quick; minutes for a thousand samples."""
        self.run(folder).features(dataset, progress)

    def scores(self, folder: Path, dataset: MultiLightDataset, lights: tuple[str, ...]) -> Scores:
        """A run's scores of a whole split under these lights.

        Raises:
            ValueError: the run does not fit the data, or a picture cannot be read.
            OSError, RuntimeError: there are no weights for the teacher, or a picture is missing.
        """

        run = self.run(folder)
        key = keys.of_run(folder), keys.of_split(dataset), lights
        return self._scores.get(key, lambda: afrd.analysis.comparison.split_scores(run, dataset, lights))

    def picture_file(self, key: Hashable, make: Callable[[], Image.Image]) -> Path:
        """A picture as a file, made once, for components that serve files. The latest `MAX_PAINTED` bytes are kept."""
        folder = Path(self._painted.name)
        path = folder / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}.webp"
        if not path.exists():
            with afrd.files.replacing(path) as unfinished:
                make().save(unfinished, "webp", quality=85)
            _keep_latest(folder, MAX_PAINTED)
        return path

    def thumbnail(self, dataset: MultiLightDataset, index: int, light: str) -> Image.Image:
        """A small picture; a grey tile if it cannot be read."""
        return _thumbnail(dataset.picture(index, light))

    def thumbnail_uri(self, dataset: MultiLightDataset, index: int, light: str) -> str:
        """`thumbnail` as a data URI, cached."""
        key = keys.of_file(dataset.picture(index, light))
        return self._thumbnails.get(key, lambda: _webp_uri(self.thumbnail(dataset, index, light)))


def _predict(library: Library, run: Run, dataset: MultiLightDataset, index: int, lights: tuple[str, ...]) -> Prediction:
    if _has_features(run, dataset):
        return run.predict_stored(dataset, index, lights)
    return run.predict(library.sample(dataset, index), lights)


def _has_features(run: Run, dataset: MultiLightDataset) -> bool:
    """Whether a split's features are stored, and loaded now; one sample does not wait for those of its whole split."""
    stored = run.features_stored(dataset)
    if stored:
        run.features(dataset)
    return stored


def _keep_latest(folder: Path, limit: int) -> None:
    """Removes the oldest pictures of a folder that exceed `limit` bytes together."""
    total = 0
    for state in sorted((file_state(path) for path in folder.glob("*.webp")), key=lambda state: -state[1]):
        total += state[2]
        if total > limit:
            Path(state[0]).unlink(missing_ok=True)


def _thumbnail(path: Path) -> Image.Image:
    try:
        pixels = afrd.data.decode(path)
        image = Image.fromarray((pixels // 257).astype("uint8") if pixels.dtype == "uint16" else pixels).convert("RGB")
        image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        return image
    except (OSError, ValueError):
        return Image.new("RGB", (THUMBNAIL_SIDE, THUMBNAIL_SIDE), "#888888")


def _webp_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "webp", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
