"""What the Your own sample tab knows: the pictures somebody brought, the runs there are, and what they say."""

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
from afrd.page.common.cache import MB, Cache
from afrd.page.common.html import macros
from afrd.page.common.library import CategoryEntry, Library, RunEntry
from afrd.page.common.messages import page_error
from afrd.page.common.selection import first_beside
from afrd.page.light_table.place import answer, training_split
from afrd.page.light_table.scene import message, presets, sample_scene

if TYPE_CHECKING:
    from afrd.data.dataset import Sample
    from afrd.data.uploads import Upload
    from afrd.model.inputs import Inputs
    from afrd.runs.run import Prediction, Run

MOST = 64  # pictures of one sample
THUMBNAIL = 56  # pixels
LEFT_OUT = "left out"


@dataclass(frozen=True)
class Own:
    """What one user has on the table.

    Attributes:
        uploads: the pictures, with their lights.
        run: folder of the run that judges them; None where there is none.
        off: lights that are switched off.
        shown: the light whose picture lies under the maps.
        pinned: a place (x, y) in the sample's pictures, in pixels.
        examples: how often an example was asked for; each time it is the next sample.
        title, place: heads of the sample.
    """

    uploads: tuple[Upload, ...] = ()
    run: Path | None = None
    off: tuple[str, ...] = ()
    shown: str | None = None
    pinned: tuple[int, int] | None = None
    examples: int = 0
    title: str = "Your sample"
    place: str = ""


class Desk:
    """What the tab's events need: the runs there are, and samples and predictions that were made once."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._samples, self._inputs, self._predictions = Cache(150 * MB), Cache(150 * MB), Cache(150 * MB)
        self._similar, self._thumbnails = Cache(10 * MB), Cache(10 * MB)

    def everything(self, own: Own) -> list:
        """Values of all the tab's `UploadComponents`."""
        menu = [(f"{entry.key} · {_label(run)}", str(run.folder)) for entry, run in self.runs()]
        chosen = gr.Dropdown(menu or [("no run yet", "")], value=str(own.run or ""))
        return [chosen, None, gr.Button(interactive=bool(own.uploads)), self.listing(own), self.scene(own)]

    def redrawn(self, own: Own) -> list:
        """The same where only the light table has changed."""
        return [*(gr.skip() for _ in range(4)), self.scene(own)]

    def runs(self) -> list[tuple[CategoryEntry, RunEntry]]:
        return [(entry, run) for entry in self.library.categories() for run in (*entry.fused, *entry.single)]

    def entry(self, own: Own) -> tuple[CategoryEntry, RunEntry] | None:
        """The run that was chosen, if it is still there."""
        return next(((entry, run) for entry, run in self.runs() if run.folder == own.run), None)

    def lights(self, own: Own) -> tuple[str, ...]:
        found = self.entry(own)
        return found[1].lights if found else ()

    def with_run(self, own: Own, folder: str) -> Own:
        """Another run, one that there is; pictures are matched anew where their lights are not this run's."""
        runs = [run for _, run in self.runs()]
        found = next((run for run in runs if str(run.folder) == folder), runs[0] if runs else None)
        if found is None:
            return replace(own, run=None)
        own = replace(own, run=found.folder, off=())
        if all(upload.light in (None, *found.lights) for upload in own.uploads):
            return own
        return self._added(replace(own, uploads=()), own.uploads)

    def ready(self, own: Own) -> Own:
        """With a run: who is quick brings pictures before the tab has chosen one."""
        return own if self.entry(own) else self.with_run(own, "")

    def brought(self, own: Own, paths: list[Path]) -> Own:
        """With these pictures beside those that are there, or in their place."""

        own = replace(self.ready(own), title=Own.title, place="", pinned=None)
        own = replace(own, uploads=tuple(upload for upload in own.uploads if upload.path not in paths))
        return self._added(own, tuple(afrd.data.Upload(path, path.name) for path in paths))

    def _added(self, own: Own, uploads: tuple[Upload, ...]) -> Own:

        together = afrd.data.added(own.uploads, uploads, self.lights(own))
        if len(together) > MOST:
            raise page_error(f"{len(together)} pictures are more than a sample has; bring at most {MOST}")
        return replace(own, uploads=together)

    def assigned(self, own: Own, number: int, light: str) -> Own:
        """One picture, by its `number_of`, is of another light, or of none."""
        chosen = light if light in self.lights(own) else None
        uploads = (replace(one, light=chosen) if number_of(one) == number else one for one in own.uploads)
        return replace(own, uploads=tuple(uploads))

    def dropped(self, own: Own, number: int) -> Own:
        """Without one picture, by its `number_of`."""
        return replace(own, uploads=tuple(upload for upload in own.uploads if number_of(upload) != number))

    def example(self, own: Own) -> Own:
        """The pictures of a sample of the run's category, as if they had been brought; the next one every time."""

        own = self.ready(own)
        found = self.entry(own)
        if found is None:
            raise page_error("there is no run yet that could judge an example")
        entry, run = found
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
        index = order[own.examples % len(order)]
        uploads = [
            afrd.data.Upload(path, path.name, light)
            for light in run.lights
            if light in dataset.lights and (path := dataset.picture(index, light)).is_file()
        ]
        title = f"Example {dataset.names[index]}"
        place = f"{dataset.category} / {dataset.split}"
        return replace(
            own, uploads=tuple(uploads), off=(), pinned=None, examples=own.examples + 1, title=title, place=place
        )

    def sample(self, own: Own, run: Run) -> tuple[Sample, list[str]]:
        """Raises ValueError where the pictures do not make one."""

        side = max(afrd.data.MAX_UPLOAD_SIDE, run.config.size)
        key = (keys.of_uploads(own.uploads), run.lights, side, own.title)
        sample, notes = self._samples.get(key, lambda: afrd.data.read_uploads(own.uploads, run.lights, own.title, side))
        return sample, [*notes, *afrd.runs.size_notes(_size(sample), run.model.config, run.config)]

    def predict(self, own: Own, sample: Sample, folder: Path, lights: tuple[str, ...]) -> Prediction:
        """What a run says of the sample under these lights; its inputs are kept.

        Raises:
            ValueError: the run does not know these lights.
            RuntimeError: no weights for the teacher.
        """
        run = self.library.run(folder)
        inputs = self.inputs(own, run, sample)
        key = (keys.of_uploads(own.uploads), sample.images.shape, keys.of_run(folder), lights)

        def make() -> Prediction:
            with self.library.turn(run):
                return run.predict(sample, lights, inputs)

        return self._predictions.get(key, make)

    def inputs(self, own: Own, run: Run, sample: Sample) -> Inputs:
        """Of all the lights that run and sample share, so that switching one is quick."""
        config = run.config
        key = (keys.of_uploads(own.uploads), sample.images.shape, run.lights, config.teacher_digest, config.size)
        return self._inputs.get(key, lambda: run.inputs(sample, run.lights_of(sample)))

    def scene(self, own: Own) -> str:
        """The light table; every error that a user can cause is a sentence in it."""
        found = self.entry(own)
        if found is None:
            return message(
                "There is no run yet",
                f"Your pictures are judged by a run, and there is none in {self.library.runs}. Train one first.",
            )
        entry, chosen = found
        if not own.uploads:
            return message(
                "Bring the pictures of one part",
                f"One picture a light, with any names. This run knows {', '.join(chosen.lights)}; a light that you "
                "have no picture of has no say. Nothing is kept: the files are deleted within a day.",
            )
        try:
            run = self.library.run(chosen.folder)
            sample, _ = self.sample(own, run)
        except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: no weights for the teacher
            return message("These pictures cannot be judged", str(error))
        lit = tuple(light for light in sample.lights if light not in own.off)
        beside: Prediction | str = "This run is one of a single light itself."
        single = None
        if len(chosen.lights) > 1:
            seen = [run for run in entry.single if run.lights[0] in sample.lights]
            single = next((run for run in seen if run.folder == first_beside(entry)), next(iter(seen), None))
            beside = "There is no single-light run of these lights."
        if single is not None:
            beside = self._said(own, sample, single.folder, single.lights)
        return sample_scene(
            sample,
            self._said(own, sample, chosen.folder, lit),
            beside,
            place=own.place,
            shown=own.shown or _clearest(sample),
            lights=lit,
            methods=(chosen.method, "Single-light RD"),
            titles=(chosen.label, single.label if single else ""),
            sets=presets(sample.lights),
            steps=False,
            pinned=own.pinned,
            why=self._why(own, entry, run, sample, lit),
        )

    def _said(self, own: Own, sample: Sample, folder: Path, lights: tuple[str, ...]) -> Prediction | str:
        if not lights:
            return "Choose at least one light."
        try:
            return self.predict(own, sample, folder, lights)
        except (ValueError, OSError, RuntimeError) as error:
            return str(error)

    def _why(self, own: Own, entry: CategoryEntry, run: Run, sample: Sample, lights: tuple[str, ...]) -> Any:
        """Why the map is what it is at the pinned place, and what good parts look like there."""
        if own.pinned is None or not lights:
            return None

        try:
            inputs = self.inputs(own, run, sample)
            found = afrd.analysis.explain.why(run, sample, own.pinned, lights, inputs)
            train = training_split(self.library, run, entry)
            if train and not afrd.runs.same_grid(_size(sample), run.model.config, run.config):
                train = None
            place = own.pinned
            known = keys.of_split(train) if train else None
            key = (keys.of_uploads(own.uploads), keys.of_run(run.folder), known, own.pinned, lights)
            similar = (
                self._similar.get(
                    key, lambda: afrd.analysis.explain.similar_places(run, sample, place, train, lights, None, inputs)
                )
                if train
                else {}
            )
            return answer(run, sample, found, similar, train)
        except (ValueError, OSError, RuntimeError) as error:
            return {"problem": str(error)}

    def listing(self, own: Own) -> str:
        """Every picture with a menu of lights, and what is to be said of them all."""
        found = self.entry(own)
        if found is None or not own.uploads:
            return ""
        lights = found[1].lights
        pictures = [self._row(upload, own) for upload in own.uploads]
        try:
            notes = self.sample(own, self.library.run(found[1].folder))[1]
        except (ValueError, OSError, RuntimeError):  # the light table says it
            notes = []
        return macros("upload/macros.html").pictures(pictures, lights, notes, LEFT_OUT)

    def _row(self, upload: Upload, own: Own) -> dict[str, Any]:
        uri, problem = self.thumbnail(upload)
        twice = upload.light and sum(other.light == upload.light for other in own.uploads) > 1
        wrong = (problem if upload.light else None) or (f"{upload.light} has two pictures" if twice else "")
        return {
            "uri": uri,
            "number": number_of(upload),
            "name": upload.name,
            "light": upload.light,
            "problem": wrong,
        }

    def thumbnail(self, upload: Upload) -> tuple[str | None, str | None]:
        """A small picture as a data URI, or why there is none."""
        return self._thumbnails.get(keys.of_uploads((upload,)), partial(_thumbnail, upload))


def number_of(upload: Upload) -> int:
    """Tells a picture from the others, also from those that came or went since the browser last drew the list."""
    return zlib.crc32(os.fsencode(upload.path))


def _thumbnail(upload: Upload) -> tuple[str | None, str | None]:

    try:
        return afrd.figures.picture_uri(afrd.data.read_upload(upload, THUMBNAIL)[0], THUMBNAIL), None
    except ValueError as error:
        return None, str(error).removeprefix(f"{upload.name} ")


def _clearest(sample: Sample) -> str:
    """The light to show first: the light box, else that of the brightest picture; one may well be black."""
    means = sample.images.mean((1, 2, 3)).tolist()
    return "box" if "box" in sample.lights else sample.lights[means.index(max(means))]


def _label(run: RunEntry) -> str:
    return run.label if len(run.lights) > 1 else f"{run.method}, {run.label}"


def _size(sample: Sample) -> tuple[int, int]:
    return sample.images.shape[-2], sample.images.shape[-1]
