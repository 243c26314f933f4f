"""One sample in the Lights tab: attribution of its score, or of a clicked place, to lights and pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
from PIL import Image, ImageDraw

import afrd.analysis.explain
import afrd.figures
import afrd.runs
from afrd.page.common import events, keys
from afrd.page.common.html import macros
from afrd.page.common.library import Library
from afrd.page.common.messages import PROBLEMS, NothingToShowError, working
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.samples import sample_label
from afrd.page.common.selection import Selection
from afrd.page.common.session import PageSession
from afrd.page.lights.layout import ALL, SampleComponents
from afrd.page.lights.subject import CHECK_SECONDS, Subject, Surveys

if TYPE_CHECKING:
    from afrd.analysis.lights.subsets import Report

PICTURE_SIDE = 512  # pixels of the picture that is clicked on, longer side
TEMPLATE = "lights/macros.html"


class SamplePart:
    """Below the tab's other components; a new value of `request` shows the selected sample."""

    def __init__(self, open_in_explore: OpenInExplore, surveys: Surveys, request: gr.State) -> None:
        self.open_in_explore, self.surveys = open_in_explore, surveys
        self.components = components = SampleComponents()
        on = partial(events.on, open_in_explore.session, trigger_mode="once")
        values = components.named("picture", "shares", "caption", "pixels", "progress")
        changing = [open_in_explore.changed, *values]
        again = {"trigger_mode": "always_last"}
        on(request.change, self.show, [], [components.sample, components.light, *values], "lights_sample", **again)
        on(components.sample.input, self.choose_sample, [components.sample], changing, "lights_choose_sample")
        on(components.picture.select, self.click, [], changing, "lights_click")
        on(components.clear.click, self.clear_place, [], changing, "lights_whole")
        choices, outputs = components.named("method", "baseline", "light"), components.named("progress", "pixels")
        waiting = {"concurrency_id": "lights", "concurrency_limit": 8}
        on(components.explain.click, self.which_pixels, choices, outputs, "lights_pixels", **waiting)
        on(components.stop.click, self.cancel, choices, [], "lights_pixels_cancel", concurrency_id="lights-cancel")

    def show(self, session: PageSession) -> dict:
        return session.drawn(lambda selection: self.components.filled(self.sample_values(selection)))

    def sample_values(self, selection: Selection) -> dict[str, Any]:
        """Values of components by name."""
        try:
            subject = self.surveys.subject(selection)
            dataset = subject.dataset
            names = [(" · ".join(sample_label(dataset, i)), name) for i, name in enumerate(dataset.names)]
            return {
                "sample": gr.Dropdown(names, value=dataset.names[subject.sample]),
                "light": gr.Dropdown([ALL, *subject.run.lights], value=ALL),
                **self.place_values(subject),
            }
        except (NothingToShowError, *PROBLEMS):  # shown in the status
            return {"caption": ""}

    def place_values(self, subject: Subject) -> dict[str, Any]:
        picture, shares, caption = look(self.surveys.library, subject)
        hidden = {"pixels": gr.Plot(visible=False), "progress": ""}
        return {"picture": picture, "shares": shares, "caption": caption, **hidden}

    def changed(self, session: PageSession, change: Callable[[Selection], Selection]) -> dict:
        """Changes the selected sample or place, and draws it."""
        session.apply(change)

        def draw(selection: Selection) -> dict:
            values = self.components.filled(self.place_values(self.surveys.subject(selection)))
            return {self.open_in_explore.changed: selection, **values}

        return session.drawn(draw)

    def choose_sample(self, session: PageSession, name: str) -> dict:
        def change(selection: Selection) -> Selection:
            names = self.surveys.subject(selection).dataset.names
            if name not in names:
                raise ValueError("There is no such sample in this split.")
            return replace(selection, index=names.index(name), pinned=None)

        return self.changed(session, change)

    def click(self, session: PageSession, event: gr.SelectData) -> dict:
        def change(selection: Selection) -> Selection:
            height, width = self.surveys.subject(selection).dataset.image_size
            x, y = (int(at * max(height, width) / PICTURE_SIDE) for at in event.index)
            return replace(selection, pinned=(min(max(x, 0), width - 1), min(max(y, 0), height - 1)))

        return self.changed(session, change)

    def clear_place(self, session: PageSession) -> dict:
        return self.changed(session, lambda selection: replace(selection, pinned=None))

    def which_pixels(self, session: PageSession, method: str, baseline: str, light: str) -> Iterator[dict]:
        subject, jobs = self.surveys.subject(session.selection), self.surveys.jobs
        work, key = partial(explained, subject, method, baseline, light), _key(subject, method, baseline, light)
        job = jobs.start(key, work, f"the explanation of {subject.run.name}")
        filled = self.components.filled
        while not job.wait(CHECK_SECONDS):
            yield filled({"progress": working(job.what, job.done, job.total)})
        jobs.forget(key, job)
        if job.result is None:
            text = macros(TEMPLATE).text(job.problem or "cancelled")
            yield filled({"progress": text, "pixels": gr.Plot(visible=False)})
            return
        figure = afrd.figures.pixel_shares(self.surveys.library.sample(subject.dataset, subject.sample), job.result)
        yield filled({"progress": "", "pixels": gr.Plot(figure, visible=True)})

    def cancel(self, session: PageSession, method: str, baseline: str, light: str) -> None:
        job = self.surveys.jobs.get(_key(self.surveys.subject(session.selection), method, baseline, light))
        if job is not None:
            job.cancel()


def look(library: Library, subject: Subject) -> tuple[Image.Image, Any, str]:
    """The sample's picture with its map and the pinned place, the lights' Shapley values, and a caption."""
    run, dataset, i, selection = subject.run, subject.dataset, subject.sample, subject.selection
    sample = library.sample(dataset, i)
    prediction = library.prediction(run.folder, dataset, i, run.lights)
    region = _region(subject)
    shapley = afrd.analysis.explain.score.lights(run, dataset, i, region)
    where = f"at x {selection.pinned[0]}, y {selection.pinned[1]}" if selection.pinned else "whole picture"
    title = f"{sample.name}, {afrd.figures.truth_text(sample)}: {where}"
    figure = afrd.figures.light_shares(shapley, afrd.figures.unit_of(prediction), title)
    shown = selection.shown if selection.shown in sample.lights else afrd.figures.main_light(sample.lights)
    image = afrd.figures.painted(sample, prediction, shown, PICTURE_SIDE)
    if region is not None:
        image = _circled(image, region, max(region.shape) / PICTURE_SIDE)
    return image, figure, macros(TEMPLATE).text(f"{where}; under {shown}")


def explained(subject: Subject, method: str, baseline: str, light: str, report: Report) -> Any:
    """Attribution of the score of the sample, or of the pinned place, to pixels."""
    run = afrd.runs.load_run(subject.run.folder, str(subject.run.device))
    sample = subject.dataset[subject.sample]
    instead: Any = baseline
    if baseline == "alike":
        report("looking for the most similar good part", 0, 0)
        instead = afrd.analysis.explain.score.alike(sample, subject.data["train"])
    of = [light] if light in run.lights else None

    def progress(done: int, total: int) -> None:
        report("pictures tried", done, total)

    return afrd.analysis.explain.score.pixels(
        run, sample, method, instead, region=_region(subject), of=of, progress=progress
    )


def _key(subject: Subject, method: str, baseline: str, light: str) -> tuple:
    against = keys.of_split(subject.data["train"]) if baseline == "alike" and "train" in subject.data else baseline
    return "pixels", subject.key, subject.sample, subject.selection.pinned, method, against, light


def _region(subject: Subject) -> np.ndarray | None:
    pinned = subject.selection.pinned
    return None if pinned is None else afrd.analysis.explain.around(pinned, subject.dataset.image_size)


def _circled(image: Image.Image, region: np.ndarray, scale: float) -> Image.Image:
    y, x = (np.flatnonzero(region.any(axis)) / scale for axis in (1, 0))
    pen = ImageDraw.Draw(image)
    for width, colour in ((4, "#000000"), (2, "#ffffff")):
        pen.ellipse([x[0], y[0], x[-1] + 1 / scale, y[-1] + 1 / scale], outline=colour, width=width)
    return image
