"""Data of the Your own sample tab: uploaded pictures, runs, and their predictions."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

import afrd.analysis.explain
import afrd.data
import afrd.figures
import afrd.runs
from afrd.page.common import keys
from afrd.page.common.entries import CategoryEntry, RunEntry
from afrd.page.common.html import macros
from afrd.page.common.library import Library
from afrd.page.common.menus import NO_RUN
from afrd.page.common.messages import page_error
from afrd.page.common.selection import first_beside
from afrd.page.light_table.fusion import all_at_once, sent_evidence, why_not
from afrd.page.light_table.place import answer, training_split
from afrd.page.light_table.relief import known_relief
from afrd.page.light_table.scene import known_fusion, message, presets, sample_scene
from afrd.runs.cache import MB, Cache

if TYPE_CHECKING:
    from afrd.data.dataset import Sample
    from afrd.data.uploads import Upload
    from afrd.model.inputs import Inputs
    from afrd.runs.prediction import Prediction
    from afrd.runs.run import Run

MAX_PICTURES = 64  # pictures of one sample
THUMBNAIL_PIXELS = 56  # pixels
LEFT_OUT = "left out"


@dataclass(frozen=True)
class UploadedSample:
    """The uploaded sample of one user.

    Attributes:
        uploads: the pictures, with their lights.
        run: folder of the run that evaluates them, or None.
        off: lights that are switched off.
        shown: light whose picture is shown under the maps.
        pinned: a place (x, y) in the sample's pictures, in pixels.
        examples: number of examples loaded so far; each time the next sample is loaded.
        title, place: heading of the sample.
    """

    uploads: tuple[Upload, ...] = ()
    run: Path | None = None
    off: tuple[str, ...] = ()
    shown: str | None = None
    pinned: tuple[int, int] | None = None
    examples: int = 0
    title: str = "Your sample"
    place: str = ""


class SampleEvaluator:
    """Runs, samples and predictions for the tab's events, cached."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._samples, self._inputs, self._predictions = Cache(150 * MB), Cache(150 * MB), Cache(150 * MB)
        self._evidence, self._similar, self._thumbnails = Cache(50 * MB), Cache(10 * MB), Cache(10 * MB)

    def everything(self, uploaded: UploadedSample) -> dict[str, Any]:
        """Values of the tab's components by name."""
        menu = [(f"{entry.key} · {_label(run)}", str(run.folder)) for entry, run in self.runs()]
        return {
            "run": gr.Dropdown(menu or [(NO_RUN, "")], value=str(uploaded.run or "")),
            "files": None,
            "clear": gr.Button(interactive=bool(uploaded.uploads)),
            "pictures": self.listing(uploaded),
            "table": self.scene(uploaded),
        }

    def runs(self) -> list[tuple[CategoryEntry, RunEntry]]:
        return [(entry, run) for entry in self.library.categories() for run in (*entry.fused, *entry.single)]

    def entry(self, uploaded: UploadedSample) -> tuple[CategoryEntry, RunEntry] | None:
        """The chosen run, if it still exists."""
        return next(((entry, run) for entry, run in self.runs() if run.folder == uploaded.run), None)

    def lights(self, uploaded: UploadedSample) -> tuple[str, ...]:
        entry_and_run = self.entry(uploaded)
        return entry_and_run[1].lights if entry_and_run else ()

    def with_run(self, uploaded: UploadedSample, folder: str) -> UploadedSample:
        """With another run, else the first one; pictures are matched again if their lights are not this run's."""
        runs = [run for _, run in self.runs()]
        run_entry = next((run for run in runs if str(run.folder) == folder), runs[0] if runs else None)
        if run_entry is None:
            return replace(uploaded, run=None)
        uploaded = replace(uploaded, run=run_entry.folder, off=())
        if all(upload.light in (None, *run_entry.lights) for upload in uploaded.uploads):
            return uploaded
        return self._added(replace(uploaded, uploads=()), uploaded.uploads)

    def ready(self, uploaded: UploadedSample) -> UploadedSample:
        """With a run, even if pictures arrive before the tab has chosen one."""
        return uploaded if self.entry(uploaded) else self.with_run(uploaded, "")

    def brought(self, uploaded: UploadedSample, paths: list[Path]) -> UploadedSample:
        """With these pictures added, or replacing those of the same lights."""
        uploaded = replace(self.ready(uploaded), title=UploadedSample.title, place="", pinned=None)
        uploaded = replace(uploaded, uploads=tuple(upload for upload in uploaded.uploads if upload.path not in paths))
        return self._added(uploaded, tuple(afrd.data.Upload(path, path.name) for path in paths))

    def _added(self, uploaded: UploadedSample, uploads: tuple[Upload, ...]) -> UploadedSample:
        all_uploads = afrd.data.added(uploaded.uploads, uploads, self.lights(uploaded))
        if len(all_uploads) > MAX_PICTURES:
            raise page_error(f"{len(all_uploads)} pictures are more than a sample has; bring at most {MAX_PICTURES}")
        return replace(uploaded, uploads=all_uploads)

    def assigned(self, uploaded: UploadedSample, number: int, light: str) -> UploadedSample:
        """With another light, or none, for one picture, given by its `number_of`."""
        new_light = light if light in self.lights(uploaded) else None
        uploads = (
            replace(upload, light=new_light) if number_of(upload) == number else upload for upload in uploaded.uploads
        )
        return replace(uploaded, uploads=tuple(uploads))

    def dropped(self, uploaded: UploadedSample, number: int) -> UploadedSample:
        """Without one picture, by its `number_of`."""
        return replace(uploaded, uploads=tuple(upload for upload in uploaded.uploads if number_of(upload) != number))

    def example(self, uploaded: UploadedSample) -> UploadedSample:
        """With the pictures of a sample of the run's category, each time of the next one."""
        uploaded = self.ready(uploaded)
        entry_and_run = self.entry(uploaded)
        if entry_and_run is None:
            raise page_error("there is no run yet that could judge an example")
        entry, run = entry_and_run
        try:
            data = self.library.data_of(entry)
            splits = [split for split in data.splits if split.startswith("test")] or list(data.splits)
            dataset = data[splits[0]]
            labels = dataset.anomalous
        except (ValueError, OSError) as error:
            raise page_error(str(error)) from None
        bad = [i for i, label in enumerate(labels) if label]
        good = [i for i, label in enumerate(labels) if not label]
        order = [i for pair in zip(bad, good, strict=False) for i in pair] or [*bad, *good]
        index = order[uploaded.examples % len(order)]
        uploads = [
            afrd.data.Upload(path, path.name, light)
            for light in run.lights
            if light in dataset.lights and (path := dataset.picture(index, light)).is_file()
        ]
        title = f"Example {dataset.names[index]}"
        place = f"{dataset.category} / {dataset.split}"
        return replace(
            uploaded,
            uploads=tuple(uploads),
            off=(),
            pinned=None,
            examples=uploaded.examples + 1,
            title=title,
            place=place,
        )

    def sample(self, uploaded: UploadedSample, run: Run) -> tuple[Sample, list[str]]:
        """The sample and notes; raises ValueError if the pictures do not fit together."""
        side = max(afrd.data.MAX_UPLOAD_SIDE, run.config.size)
        key = (keys.of_uploads(uploaded.uploads), run.lights, side, uploaded.title)
        sample, notes = self._samples.get(
            key, lambda: afrd.data.read_uploads(uploaded.uploads, run.lights, uploaded.title, side)
        )
        return sample, [*notes, *afrd.runs.size_notes(_size(sample), run.model.config, run.config)]

    def predict(self, uploaded: UploadedSample, sample: Sample, folder: Path, lights: tuple[str, ...]) -> Prediction:
        """Prediction of a run under these lights; its inputs are cached.

        Raises:
            ValueError: the run was not trained on these lights.
            RuntimeError: no weights for the teacher.
        """
        run = self.library.run(folder)
        inputs = self.inputs(uploaded, run, sample)
        key = (keys.of_uploads(uploaded.uploads), sample.images.shape, keys.of_run(folder), lights)
        return self._predictions.get(key, lambda: run.predict(sample, lights, inputs))

    def inputs(self, uploaded: UploadedSample, run: Run, sample: Sample) -> Inputs:
        """Inputs of all lights that run and sample share, so that switching one is quick."""
        config = run.config
        key = (keys.of_uploads(uploaded.uploads), sample.images.shape, run.lights, config.teacher_digest, config.size)
        return self._inputs.get(key, lambda: run.inputs(sample, run.lights_of(sample)))

    def scene(self, uploaded: UploadedSample) -> str:
        """The scene of the light table; user errors are sentences in it."""
        entry_and_run = self.entry(uploaded)
        if entry_and_run is None:
            return message(
                "There is no run yet",
                f"Your pictures are judged by a run, and there is none in {self.library.runs}. Train one first.",
            )
        entry, run_entry = entry_and_run
        if not uploaded.uploads:
            return message(
                "Bring the pictures of one part",
                f"One picture a light, with any names. This run has the lights {', '.join(run_entry.lights)}; a "
                "light without a picture is left out. Nothing is kept: the files are deleted within a day.",
            )
        try:
            run = self.library.run(run_entry.folder)
            sample, _ = self.sample(uploaded, run)
        except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: no weights for the teacher
            return message("These pictures cannot be judged", str(error))
        lights_on = tuple(light for light in sample.lights if light not in uploaded.off)
        beside: Prediction | str = "This run has a single light itself."
        single = None
        if len(run_entry.lights) > 1:
            single_runs = [run for run in entry.single if run.lights[0] in sample.lights]
            single = next(
                (run for run in single_runs if run.folder == first_beside(entry)), next(iter(single_runs), None)
            )
            beside = "There is no single-light run of these lights."
        if single is not None:
            beside = self._prediction_or_problem(uploaded, sample, single.folder, single.lights)
        return sample_scene(
            sample,
            self._prediction_or_problem(uploaded, sample, run_entry.folder, lights_on),
            beside,
            place=uploaded.place,
            shown=uploaded.shown or _clearest(sample),
            lights=lights_on,
            methods=(run_entry.method, "Single-light RD"),
            titles=(run_entry.label, single.label if single else ""),
            sets=presets(sample.lights),
            steps=False,
            pinned=uploaded.pinned,
            fusion=self._fusion(uploaded, sample, run, lights_on),
            region=run.region_at(_size(sample)),
            why=self._why(uploaded, entry, run, sample, lights_on),
            relief=known_relief(keys.of_uploads(uploaded.uploads), sample, entry.root / entry.name),
        )

    def _fusion(
        self, uploaded: UploadedSample, sample: Sample, run: Run, lights: tuple[str, ...]
    ) -> dict[str, Any] | None:
        """How the browser fuses the lights when one is switched; None where it cannot."""
        if why_not(run):
            return None
        try:
            used, inputs = run.lights_of(sample), self.inputs(uploaded, run, sample)
            key = (keys.of_uploads(uploaded.uploads), sample.images.shape, keys.of_run(run.folder))
            sent = self._evidence.get(key, lambda: sent_evidence(run, run.sample_evidence(sample, used, inputs), used))
            return known_fusion(run.folder, run, None if all_at_once(run) else lights) | sent
        except (ValueError, OSError, RuntimeError):  # shown instead of the map
            return None

    def _prediction_or_problem(
        self, uploaded: UploadedSample, sample: Sample, folder: Path, lights: tuple[str, ...]
    ) -> Prediction | str:
        if not lights:
            return "Choose at least one light."
        try:
            return self.predict(uploaded, sample, folder, lights)
        except (ValueError, OSError, RuntimeError) as error:
            return str(error)

    def _why(
        self, uploaded: UploadedSample, entry: CategoryEntry, run: Run, sample: Sample, lights: tuple[str, ...]
    ) -> Any:
        """Explanation of the map at the pinned place, with similar places of good parts."""
        if uploaded.pinned is None or not lights:
            return None

        try:
            inputs = self.inputs(uploaded, run, sample)
            explanation = afrd.analysis.explain.why(run, sample, uploaded.pinned, lights, inputs)
            train = training_split(self.library, run, entry)
            if train and not afrd.runs.same_grid(_size(sample), run.model.config, run.config):
                train = None
            place = uploaded.pinned
            train_key = keys.of_split(train) if train else None
            key = (keys.of_uploads(uploaded.uploads), keys.of_run(run.folder), train_key, uploaded.pinned, lights)
            similar = (
                self._similar.get(
                    key, lambda: afrd.analysis.explain.similar_places(run, sample, place, train, lights, None, inputs)
                )
                if train
                else {}
            )
            return answer(run, sample, explanation, similar, train)
        except (ValueError, OSError, RuntimeError) as error:
            return {"problem": str(error)}

    def listing(self, uploaded: UploadedSample) -> str:
        """List of pictures, each with a menu of lights, and notes on all of them."""
        entry_and_run = self.entry(uploaded)
        if entry_and_run is None or not uploaded.uploads:
            return ""
        lights = entry_and_run[1].lights
        pictures = [self._row(upload, uploaded) for upload in uploaded.uploads]
        try:
            notes = self.sample(uploaded, self.library.run(entry_and_run[1].folder))[1]
        except (ValueError, OSError, RuntimeError):  # shown in the light table
            notes = []
        return macros("upload/macros.html").pictures(pictures, lights, notes, LEFT_OUT)

    def _row(self, upload: Upload, uploaded: UploadedSample) -> dict[str, Any]:
        uri, problem = self.thumbnail(upload)
        is_duplicate = upload.light and sum(other.light == upload.light for other in uploaded.uploads) > 1
        row_problem = (problem if upload.light else None) or (
            f"{upload.light} has two pictures" if is_duplicate else ""
        )
        return {
            "uri": uri,
            "number": number_of(upload),
            "name": upload.name,
            "light": upload.light,
            "problem": row_problem,
        }

    def thumbnail(self, upload: Upload) -> tuple[str | None, str | None]:
        """A small picture as a data URI, or the reason why there is none."""
        return self._thumbnails.get(keys.of_uploads((upload,)), partial(_thumbnail, upload))


def number_of(upload: Upload) -> int:
    """A number that identifies a picture, independent of changes since the browser last drew the list."""
    return zlib.crc32(os.fsencode(upload.path))


def _thumbnail(upload: Upload) -> tuple[str | None, str | None]:
    try:
        return afrd.figures.picture_uri(afrd.data.read_upload(upload, THUMBNAIL_PIXELS)[0], THUMBNAIL_PIXELS), None
    except ValueError as error:
        return None, str(error).removeprefix(f"{upload.name} ")


def _clearest(sample: Sample) -> str:
    """The light to show first: the light box, else that of the brightest picture, as some may be black."""
    means = sample.images.mean((1, 2, 3)).tolist()
    return "box" if "box" in sample.lights else sample.lights[means.index(max(means))]


def _label(run: RunEntry) -> str:
    return run.label if len(run.lights) > 1 else f"{run.method}, {run.label}"


def _size(sample: Sample) -> tuple[int, int]:
    return sample.images.shape[-2], sample.images.shape[-1]
