"""One sample in the Lights tab: which light made its score, or that of a clicked place, and which pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

import afrd.analysis.explain
import afrd.figures
import afrd.runs
from afrd.page.common.html import macros
from afrd.page.common.messages import page_error
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.samples import sample_label
from afrd.page.common.selection import Selection
from afrd.page.common.session import PageSession
from afrd.page.lights import views
from afrd.page.lights.subject import PROBLEMS, Desk, NothingToShowError, Subject

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from afrd.analysis.lights.subsets import Report

SIDE = 512  # pixels of the picture that is clicked on, longer side
OFTEN = 0.3  # seconds between looks at the work
METHODS = ["integrated gradients", "occlusion", "ablation"]
BASELINES = [
    ("the most alike good part", "alike"),
    ("the blurred picture", "blurred"),
    ("black: lamp off", "black"),
]
TEMPLATE = "lights/macros.html"
ALL = "all lights"


def sample_part(open_in_explore: OpenInExplore, desk: Desk, request: gr.State) -> None:
    """Lays it out below the tab's other components and connects it; a new `request` shows the selected sample."""
    # The style sheet hides it as long as nothing is said of a sample.
    with gr.Column(elem_id="lights-sample", elem_classes="one-sample"):
        gr.HTML(
            "<h3>One sample</h3><p class='small'>Shapley values: each light's part in the score, over all sets of the "
            "lights; they sum to it. Click on the picture to ask about a place instead of the whole. Which pixels: "
            "what raises the score (orange) or lowers it (blue) against other pictures; the ring is where it was "
            "taken.</p>"
        )
        with gr.Row(equal_height=False):
            with gr.Column(scale=0, min_width=320):
                sample = gr.Dropdown([], label="Sample", elem_id="lights-sample-name")
                picture = gr.Image(
                    show_label=False,
                    interactive=False,
                    buttons=[],
                    height=320,
                    format="webp",
                    elem_id="lights-picture",
                )
                with gr.Row(equal_height=True):
                    said = gr.HTML("", elem_id="lights-sample-said", elem_classes="grow")
                    clear = gr.Button("Whole picture", size="sm", min_width=110, scale=0, elem_id="lights-clear")
            with gr.Column(scale=1, min_width=420):
                shares = gr.Plot(show_label=False, container=False, elem_id="lights-shares")
                with gr.Row(equal_height=True, elem_classes="controls"):
                    method = gr.Dropdown(
                        METHODS, label="Which pixels, by", filterable=False, min_width=170, elem_id="lights-method"
                    )
                    baseline = gr.Dropdown(
                        BASELINES, label="against", filterable=False, min_width=200, elem_id="lights-baseline"
                    )
                    light = gr.Dropdown([ALL], label="of", filterable=False, min_width=90, elem_id="lights-of")
                with gr.Row(equal_height=True):
                    explain = gr.Button("Which pixels?", size="sm", min_width=110, scale=0, elem_id="lights-explain")
                    stop = gr.Button("Cancel", size="sm", min_width=80, scale=0, elem_id="lights-explain-stop")
                    at_work = gr.HTML("", elem_id="lights-explain-state", elem_classes="grow")
                pixels = gr.Plot(show_label=False, container=False, visible=False, elem_id="lights-pixels")

    def on(event: Callable, handler: Callable, inputs: list, outputs: list, name: str, **options: Any) -> Any:
        usual: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "torch", "show_progress": "hidden"}
        return event(handler, inputs, outputs, api_name=name, **usual | options)

    def show(session: PageSession) -> dict:
        return session.drawn(whole)

    def whole(selection: Selection) -> dict:
        try:
            subject = desk.subject(selection)
            return {
                sample: gr.Dropdown(_names(subject), value=subject.dataset.names[subject.sample]),
                light: gr.Dropdown([ALL, *subject.run.lights], value=ALL),
                **_values(subject),
            }
        except (NothingToShowError, *PROBLEMS):  # the status says what is wrong
            return {said: ""}

    def _values(subject: Subject) -> dict:
        image, figure, words = look(desk, subject)
        return {picture: image, shares: figure, said: words, pixels: gr.Plot(visible=False), at_work: ""}

    def change_place(session: PageSession, change: Callable[[Selection], Selection]) -> dict:
        """Changes the selected sample or place, and draws it."""
        session.apply(change)
        try:
            return session.drawn(lambda now: {open_in_explore.changed: now, **_values(_subject(desk, now))})
        except PROBLEMS as error:
            raise page_error(str(error)) from None

    def choose_sample(session: PageSession, name: str) -> dict:
        def change(selection: Selection) -> Selection:
            names = _subject(desk, selection).dataset.names
            if name not in names:
                raise page_error("There is no such sample in this split.")
            return replace(selection, index=names.index(name), pinned=None)

        return change_place(session, change)

    def click(session: PageSession, event: gr.SelectData) -> dict:
        x, y = event.index

        def change(selection: Selection) -> Selection:
            height, width = _subject(desk, selection).dataset.image_size
            scale = max(height, width) / SIDE
            return replace(selection, pinned=(_within(x * scale, width), _within(y * scale, height)))

        return change_place(session, change)

    def clear_place(session: PageSession) -> dict:
        return change_place(session, lambda selection: replace(selection, pinned=None))

    session = open_in_explore.session
    values = [picture, shares, said, pixels, at_work]
    changing = [open_in_explore.changed, *values]
    on(request.change, show, [session], [sample, light, *values], "lights_sample")
    on(sample.input, choose_sample, [session, sample], changing, "lights_choose_sample")
    on(picture.select, click, [session], changing, "lights_click")
    on(clear.click, clear_place, [session], changing, "lights_whole")

    def which_pixels(session: PageSession, method: str, baseline: str, of: str) -> Iterator[dict]:
        subject = _subject(desk, session.selection)
        title = f"the explanation of {subject.run.name}"
        job = desk.jobs.start(_key(subject), lambda report: _explained(subject, method, baseline, of, report), title)
        while not job.wait(OFTEN):
            yield {at_work: views.working(job.what, job.done, job.total)}
        desk.jobs.forget(_key(subject), job)
        if job.result is None:
            yield {at_work: macros(TEMPLATE).text(job.problem or "cancelled"), pixels: gr.Plot(visible=False)}
            return
        figure = afrd.figures.pixel_shares(desk.library.sample(subject.dataset, subject.sample), job.result)
        yield {at_work: "", pixels: gr.Plot(figure, visible=True)}

    def cancel(session: PageSession) -> None:
        job = desk.jobs.get(_key(_subject(desk, session.selection)))
        if job is not None:
            job.cancel()

    outputs = [at_work, pixels]
    waits = {"concurrency_id": "lights", "concurrency_limit": 8}
    on(
        explain.click,
        which_pixels,
        [session, method, baseline, light],
        outputs,
        "lights_pixels",
        **waits,
    )
    on(stop.click, cancel, [session], [], "lights_pixels_cancel", concurrency_id="lights-cancel")


def look(desk: Desk, subject: Subject) -> tuple[Image.Image, Any, str]:
    """The sample's picture with its map and the asked place, the lights' Shapley values, and a sentence."""

    library, run, dataset, i = desk.library, subject.run, subject.dataset, subject.sample
    sample, used = library.sample(dataset, i), run.lights
    prediction = library.prediction(run.folder, dataset, i, used)
    region = _region(subject)
    with library.turn(run):
        shapley = afrd.analysis.explain.score.lights(run, dataset, i, region)
    unit = afrd.figures.unit_of(prediction)
    selection = subject.selection
    where = f"at x {selection.pinned[0]}, y {selection.pinned[1]}" if selection.pinned else "whole picture"
    figure = afrd.figures.light_shares(shapley, unit, f"{sample.name}, {afrd.figures.truth_text(sample)}: {where}")
    shown = selection.shown if selection.shown in sample.lights else afrd.figures.main_light(sample.lights)
    image = afrd.figures.painted(sample, prediction, shown, SIDE)
    if region is not None:
        image = _circled(image, region, max(region.shape) / SIDE)
    return image, figure, macros(TEMPLATE).text(f"{where}; under {shown}")


def _explained(subject: Subject, method: str, baseline: str, of: str, report: Report) -> Any:
    """Which pixels made the score of the sample, or of the place that is pinned."""

    run = afrd.runs.load_run(subject.run.folder, str(subject.run.device), subject.run.teacher)
    sample = subject.dataset[subject.sample]
    instead: Any = baseline
    if baseline == "alike":
        report("looking for the most alike good part", 0, 0)
        instead = afrd.analysis.explain.score.alike(sample, subject.data["train"])
    lights = [of] if of in run.lights else None
    return afrd.analysis.explain.score.pixels(
        run,
        sample,
        method,
        instead,
        region=_region(subject),
        of=lights,
        progress=lambda done, total: report("pictures tried", done, total),
    )


def _subject(desk: Desk, selection: Selection) -> Subject:
    try:
        return desk.subject(selection)
    except NothingToShowError as why:
        raise page_error(" ".join(part for part in why.parts if part)) from None


def _key(subject: Subject) -> tuple:
    return "pixels", subject.key, subject.sample, subject.selection.pinned


def _names(subject: Subject) -> list[tuple[str, str]]:
    dataset = subject.dataset
    return [(" · ".join(sample_label(dataset, i)), name) for i, name in enumerate(dataset.names)]


def _region(subject: Subject) -> np.ndarray | None:

    pinned = subject.selection.pinned
    return None if pinned is None else afrd.analysis.explain.around(pinned, subject.dataset.image_size)


def _within(place: float, size: int) -> int:
    return int(min(max(place, 0), size - 1))


def _circled(image: Image.Image, region: np.ndarray, scale: float) -> Image.Image:
    import numpy as np
    from PIL import ImageDraw

    y, x = (np.flatnonzero(region.any(axis)) / scale for axis in (1, 0))
    pen = ImageDraw.Draw(image)
    for width, colour in ((4, "#000000"), (2, "#ffffff")):
        pen.ellipse([x[0], y[0], x[-1] + 1 / scale, y[-1] + 1 / scale], outline=colour, width=width)
    return image
