"""One sample in the Lights tab: which light made its score, or that of a clicked place, and which pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

import afrd.analysis.explain
import afrd.figures
import afrd.runs
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.samples import sample_label
from afrd.page.common.selection import Choice
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
ALL = "all lights"


def sample_part(open_in_explore: OpenInExplore, desk: Desk, request: gr.State) -> None:
    """Lays it out below the tab's other parts and connects it; a new `request` shows its sample."""
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

    def show(choice: Choice) -> dict:
        try:
            subject = desk.subject(choice)
            return {
                sample: gr.Dropdown(_names(subject), value=subject.dataset.names[subject.sample]),
                light: gr.Dropdown([ALL, *subject.run.lights], value=ALL),
                **_seen(subject),
            }
        except (NothingToShowError, *PROBLEMS):  # the status says what is wrong
            return {said: ""}

    def _seen(subject: Subject) -> dict:
        image, figure, words = look(desk, subject)
        return {picture: image, shares: figure, said: words, pixels: gr.Plot(visible=False), at_work: ""}

    def moved(choice: Choice) -> dict:
        try:
            return {open_in_explore.choice: choice, **_seen(desk.subject(choice))}
        except NothingToShowError as why:
            raise gr.Error(" ".join(part for part in why.parts if part), print_exception=False) from None
        except PROBLEMS as error:
            raise gr.Error(str(error), print_exception=False) from None

    def choose_sample(choice: Choice, name: str) -> dict:
        names = _subject(desk, choice).dataset.names
        if name not in names:
            raise gr.Error("There is no such sample in this split.", print_exception=False)
        return moved(replace(choice, index=names.index(name), pinned=None))

    def click(choice: Choice, event: gr.SelectData) -> dict:
        height, width = _subject(desk, choice).dataset.image_size
        x, y = event.index
        scale = max(height, width) / SIDE
        return moved(replace(choice, pinned=(_within(x * scale, width), _within(y * scale, height))))

    seen = [picture, shares, said, pixels, at_work]
    on(request.change, lambda request: show(request[0]), [request], [sample, light, *seen], "lights_sample")
    on(
        sample.input,
        choose_sample,
        [open_in_explore.choice, sample],
        [open_in_explore.choice, *seen],
        "lights_choose_sample",
    )
    on(picture.select, click, [open_in_explore.choice], [open_in_explore.choice, *seen], "lights_click")
    on(
        clear.click,
        lambda choice: moved(replace(choice, pinned=None)),
        [open_in_explore.choice],
        [open_in_explore.choice, *seen],
        "lights_whole",
    )

    def which_pixels(choice: Choice, method: str, baseline: str, of: str) -> Iterator[dict]:

        subject = _subject(desk, choice)
        title = f"the explanation of {subject.run.name}"
        job = desk.jobs.start(_key(subject), lambda report: _explained(subject, method, baseline, of, report), title)
        while not job.wait(OFTEN):
            yield {at_work: views.working(job.what, job.done, job.total)}
        desk.jobs.forget(_key(subject), job)
        if job.result is None:
            yield {at_work: escape(job.problem or "cancelled"), pixels: gr.Plot(visible=False)}
            return
        figure = afrd.figures.pixel_shares(desk.library.sample(subject.dataset, subject.sample), job.result)
        yield {at_work: "", pixels: gr.Plot(figure, visible=True)}

    def cancel(choice: Choice) -> None:
        job = desk.jobs.get(_key(_subject(desk, choice)))
        if job is not None:
            job.cancel()

    outputs = [at_work, pixels]
    waits = {"concurrency_id": "lights", "concurrency_limit": 8}
    on(
        explain.click,
        which_pixels,
        [open_in_explore.choice, method, baseline, light],
        outputs,
        "lights_pixels",
        **waits,
    )
    on(stop.click, cancel, [open_in_explore.choice], [], "lights_pixels_cancel", concurrency_id="lights-cancel")


def look(desk: Desk, subject: Subject) -> tuple[Image.Image, Any, str]:
    """The sample's picture with its map and the asked place, the lights' Shapley values, and a sentence."""

    library, run, dataset, i = desk.library, subject.run, subject.dataset, subject.sample
    sample, used = library.sample(dataset, i), run.lights
    seen = library.prediction(run.folder, dataset, i, used)
    region = _region(subject)
    with library.turn(run):
        found = afrd.analysis.explain.score.lights(run, dataset, i, region)
    unit = afrd.figures.unit_of(seen)
    where = (
        f"at x {subject.choice.pinned[0]}, y {subject.choice.pinned[1]}" if subject.choice.pinned else "whole picture"
    )
    figure = afrd.figures.light_shares(found, unit, f"{sample.name}, {afrd.figures.truth_text(sample)}: {where}")
    shown = subject.choice.shown if subject.choice.shown in sample.lights else afrd.figures.main_light(sample.lights)
    image = afrd.figures.painted(sample, seen, shown, SIDE)
    if region is not None:
        image = _circled(image, region, max(region.shape) / SIDE)
    return image, figure, f"<p>{escape(where)}; under {escape(shown)}</p>"


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


def _subject(desk: Desk, choice: Choice) -> Subject:
    try:
        return desk.subject(choice)
    except NothingToShowError as why:
        raise gr.Error(" ".join(part for part in why.parts if part), print_exception=False) from None


def _key(subject: Subject) -> tuple:
    return "pixels", subject.key, subject.sample, subject.choice.pinned


def _names(subject: Subject) -> list[tuple[str, str]]:
    dataset = subject.dataset
    return [(" · ".join(sample_label(dataset, i)), name) for i, name in enumerate(dataset.names)]


def _region(subject: Subject) -> np.ndarray | None:

    pinned = subject.choice.pinned
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
