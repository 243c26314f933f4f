"""The Lights tab: which lights are needed, what each is worth, which say the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import gradio as gr

import afrd.analysis.lights
import afrd.analysis.reports
import afrd.figures
import afrd.metrics
from afrd.page.common.components import ByName
from afrd.page.common.menus import category_choices, run_choices
from afrd.page.common.moves import first_choice, known_run, with_run, with_samples
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.samples import splits_of
from afrd.page.common.selection import Choice
from afrd.page.lights import views
from afrd.page.lights.sample import sample_part
from afrd.page.lights.subject import Desk, NothingToShowError, Subject

if TYPE_CHECKING:
    from afrd.analysis.lights.advice import Advice
    from afrd.analysis.lights.survey import Survey

OFTEN = 0.3  # seconds between looks at the work
DELTA = 0.05  # as in `afrd.analysis.lights.advisor`, which loads torch
SAMPLES = ["all", "good", "anomalous"]
FETCH = "() => document.querySelector('#lights-report-file')?.click()"  # a file that was just made
_numbers = count(1)


@dataclass(frozen=True)
class Parts(ByName):
    """The tab's components; `_drawn` and others fill them by these names."""

    category: gr.Dropdown
    run: gr.Dropdown
    split: gr.Dropdown
    metric: gr.Dropdown
    delta: gr.Number
    status: gr.HTML
    start: gr.Button
    cancel: gr.Button
    pareto: gr.Plot
    worth: gr.Plot
    unit: gr.Textbox
    costs: gr.Dataframe
    report: gr.Button
    report_file: gr.DownloadButton
    sets: gr.Dataframe
    which: gr.Radio
    same: gr.Plot
    defects: gr.Plot


def lights_tab(tab: gr.Tab, open_in_explore: OpenInExplore) -> None:
    """Lays the tab out and connects it."""
    desk = Desk(open_in_explore.library)
    with gr.Column(elem_classes=["compare", "lights"]):
        with gr.Row(elem_classes="controls", equal_height=True):
            category = _menu("Category", "lights-category", 120)
            run = _menu("Run", "lights-run", 190, scale=2)
            split = _menu("Split", "lights-split", 110)
            metrics = [(name, metric) for metric, name in afrd.metrics.METRIC_NAMES.items()]
            metric = gr.Dropdown(
                metrics, value="image_auroc", label="Quality", filterable=False, min_width=150, elem_id="lights-metric"
            )
            delta = gr.Number(
                DELTA,
                label="A rig may lose",
                minimum=0.001,
                maximum=0.5,
                step=0.01,
                min_width=100,
                elem_id="lights-delta",
            )
        status = gr.HTML(views.working("Loading …"), elem_id="lights-status")
        with gr.Row(elem_classes="actions"):
            # The style sheet shows these, and the body, by what the status holds: an update of `visible` on what is
            # just being mounted can get lost.
            start = gr.Button("Judge the lights", variant="primary", elem_id="lights-start")
            cancel = gr.Button("Cancel", elem_id="lights-cancel")
        with gr.Column(elem_id="lights-body"):
            with gr.Row(equal_height=False, elem_classes="pair"):
                pareto, worth = _plot("lights-pareto"), _plot("lights-worth")
            with gr.Row(equal_height=False):
                with gr.Column(scale=0, min_width=250, elem_classes="costs"):
                    costs = gr.Dataframe(
                        headers=["Light", "Cost"],
                        datatype=["str", "number"],
                        type="array",
                        static_columns=[0],
                        column_count=2,
                        interactive=True,
                        buttons=[],
                        label="What each light costs",
                        max_height=420,
                        elem_id="lights-costs",
                    )
                    unit = gr.Textbox(
                        label="counted in", placeholder="such as ms, EUR", max_length=20, elem_id="lights-unit"
                    )
                    report = gr.Button("Report to print", size="sm", elem_id="lights-report")
                    report_file = gr.DownloadButton(elem_id="lights-report-file", elem_classes="file")
                with gr.Column(scale=1, min_width=420):
                    gr.HTML(
                        "<h3>Sets of lights</h3><p class='small'>Choose a row to look at the samples with these "
                        "lights; the ⋮ of a heading sorts. Green: the smallest rig that is good enough. Against all "
                        "lights: the change of the chosen quality, with its 95 % interval.</p>"
                    )
                    sets = gr.Dataframe(
                        label="Sets of lights",
                        show_label=False,
                        interactive=False,
                        max_height=420,
                        buttons=[],
                        pinned_columns=1,
                        show_search="search",
                        column_widths=[250, 70, 64, 170, *[112] * 6, 80, 110],
                        elem_id="lights-sets",
                    )
            with gr.Row(equal_height=False, elem_classes="pair"):
                with gr.Column(scale=1, min_width=420):
                    which = gr.Radio(
                        SAMPLES, value=SAMPLES[0], label="Agreement over samples that are", elem_id="lights-which"
                    )
                    same = _plot("lights-same")
                defects = _plot("lights-defects")
        parts = Parts(
            category,
            run,
            split,
            metric,
            delta,
            status,
            start,
            cancel,
            pareto,
            worth,
            unit,
            costs,
            report,
            report_file,
            sets,
            which,
            same,
            defects,
        )
        request = gr.State((Choice(), 0))  # what is looked at, and a number: asked again, it is another request
        sample_part(open_in_explore, desk, request)
    _connect(tab, open_in_explore, desk, parts, request)


def _menu(label: str, name: str, width: int, scale: int = 1) -> gr.Dropdown:
    return gr.Dropdown([], label=label, filterable=False, min_width=width, scale=scale, elem_id=name)


def _plot(name: str) -> gr.Plot:
    return gr.Plot(show_label=False, container=False, min_width=420, elem_id=name)


def _connect(tab: gr.Tab, open_in_explore: OpenInExplore, desk: Desk, parts: Parts, request: gr.State) -> None:
    library = open_in_explore.library
    asked = parts.named("metric", "delta", "unit", "costs", "which")
    drawn = parts.named("status", "pareto", "worth", "sets", "same", "defects")

    def on(event: Callable, handler: Callable, inputs: list, outputs: list, name: str, **options: Any) -> Any:
        usual: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "torch", "show_progress": "hidden"}
        return event(handler, inputs, outputs, api_name=name, **usual | options)

    turn = gr.State(0)  # the number of a drawing anew of what the request is about
    watched: dict[str | None, int] = {}  # by session, the newest number; Gradio's own `cancels` logs errors

    def show(request: tuple[Choice, int], turn: int, page: gr.Request, *asked: Any) -> Iterator[dict]:
        """Waits for work that goes on, and shows what there is, until the session asks for something else."""
        session, number = page.session_hash, max(request[1], turn)
        yield {parts.status: gr.skip()}  # of a generator that yields nothing Gradio would empty the outputs
        if watched.get(session, 0) > number:
            return
        watched[session] = number
        try:
            for values in found_for(request[0], *asked):
                if watched.get(session) != number:
                    return
                yield values
        finally:
            if watched.get(session) == number:
                del watched[session]

    def found_for(choice: Choice, *asked: Any) -> Iterator[dict]:
        metric, delta, unit, costs, which = _metric(asked[0]), *asked[1:]
        try:
            subject = desk.subject(choice)
            found = desk.survey(subject, metric)
            while found is None and (job := desk.job(subject, metric)) is not None:
                yield {parts.status: views.progress(job)}
                if job.wait(OFTEN):
                    desk.forget(subject, metric, job)
                    if job.problem:
                        raise NothingToShowError("The lights could not be judged", job.problem)
                    found = job.result
                    break
            if found is None:
                yield {parts.status: views.not_yet(subject.run, subject.dataset)}
                return
        except NothingToShowError as why:
            yield {parts.status: views.message(*why.parts)}
            return
        fresh = [row[0] for row in costs or []] != list(found.lights)  # what somebody typed is never written over
        try:
            if fresh:
                costs = [*(dict.fromkeys(found.lights, 1.0) | views.read_costs(costs, found.lights)).items()]
            values = _drawn(found, metric, delta, unit, costs, which)
        except ValueError as error:  # what was typed stays there to be mended
            raise gr.Error(str(error), print_exception=False) from None
        yield parts.filled(values | ({"costs": views.cost_rows(costs)} if fresh else {}))

    gr.on(
        [request.change, turn.change],
        show,
        [request, turn, *asked],
        [*drawn, parts.costs],
        api_name="lights_show",
        show_progress="hidden",
        trigger_mode="multiple",
        concurrency_limit=8,
        concurrency_id="lights",  # it mostly waits
    )

    def settled(choice: Choice) -> list:
        return [choice, *_menus(open_in_explore, choice), (choice, next(_numbers))]

    def open_tab(choice: Choice) -> list:
        return settled(choice if choice.category else first_choice(library, None))  # the page may still be loading

    def choose_category(choice: Choice, key: str) -> list:
        return settled(first_choice(library, key, kept=choice))

    def choose_run(choice: Choice, folder: str) -> list:
        return settled(with_run(library, choice, known_run(library, choice, folder)))

    def choose_split(choice: Choice, split: str) -> list:
        start = replace(choice, split=split, kind="all", verdict="all", index=None, page=0)
        return settled(with_samples(library, start))

    whole = [open_in_explore.choice, *parts.named("category", "run", "split"), request]
    again = {"trigger_mode": "always_last"}
    on(tab.select, open_tab, [open_in_explore.choice], whole, "lights_open", **again)
    on(
        parts.category.input,
        choose_category,
        [open_in_explore.choice, parts.category],
        whole,
        "lights_category",
        **again,
    )
    on(parts.run.input, choose_run, [open_in_explore.choice, parts.run], whole, "lights_run", **again)
    on(parts.split.input, choose_split, [open_in_explore.choice, parts.split], whole, "lights_split", **again)

    def begin(choice: Choice, metric: str) -> tuple:
        try:
            subject = desk.subject(choice)
            if desk.survey(subject, _metric(metric)) is None:
                desk.start(subject, _metric(metric))
        except NothingToShowError as why:
            raise gr.Error(" ".join(part for part in why.parts if part), print_exception=False) from None
        return choice, next(_numbers)

    def cancel(choice: Choice, metric: str) -> None:
        try:
            job = desk.job(desk.subject(choice), _metric(metric))
        except NothingToShowError:
            return
        if job is not None:
            job.cancel()

    on(parts.start.click, begin, [open_in_explore.choice, parts.metric], [request], "lights_start")
    on(
        parts.cancel.click,
        cancel,
        [open_in_explore.choice, parts.metric],
        [],
        "lights_cancel",
        concurrency_id="lights-cancel",
    )
    # One way to all that is drawn: were there two, the older drawing could be the last to arrive.
    for name, event in (
        ("metric", parts.metric.input),
        ("delta", parts.delta.change),
        ("unit", parts.unit.submit),
        ("unit_left", parts.unit.blur),
        ("costs", parts.costs.input),
        ("which", parts.which.input),
    ):
        on(event, lambda: next(_numbers), [], [turn], f"lights_{name}", **again)

    def kept(choice: Choice, metric: str) -> tuple[Subject, Survey]:
        try:
            subject = desk.subject(choice)
            found = desk.survey(subject, _metric(metric))
        except NothingToShowError as why:
            raise gr.Error(" ".join(part for part in why.parts if part), print_exception=False) from None
        if found is None:
            raise gr.Error("The lights of this run have not been judged yet.", print_exception=False)
        return subject, found

    def open_set(choice: Choice, metric: str, event: gr.SelectData) -> list:
        subject, found = kept(choice, metric)
        row = event.row_value
        names = {", ".join(found.named(k)): found.named(k) for k in range(len(found))}
        wanted = names.get(str(row[0]) if row else "")
        if wanted is None:
            raise gr.Error("This set of lights is not in the table.", print_exception=False)
        lights = tuple(light for light in subject.dataset.lights if light in wanted)
        shown = choice.shown if choice.shown in lights else lights[-1]
        return open_in_explore.opened(
            with_samples(library, replace(choice, lights=lights, shown=shown), prefer_defects=True)
        )

    on(
        parts.sets.select, open_set, [open_in_explore.choice, parts.metric], open_in_explore.outputs, "lights_open_set"
    ).success(None, None, None, js="() => window.scrollTo(0, 0)", api_name="lights_to_top")

    def make_report(choice: Choice, *asked: Any) -> str:

        found = kept(choice, asked[0])[1]
        try:
            return _file(found, afrd.analysis.reports.lights.report(found, _advice(found, *asked[:4])))
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from None

    on(parts.report.click, make_report, [open_in_explore.choice, *asked], [parts.report_file], "lights_report").success(
        None, None, None, js=FETCH, api_name="lights_fetch_report"
    )

    def lights(category: str, split: str = "", metric: str = "image_auroc", delta: float = DELTA) -> dict[str, Any]:
        """Which lights the category's first run needs; its sets of lights must have been judged (`lights_start`)."""

        try:
            start = replace(first_choice(library, library.category(category).key), split=split or None)
            found = kept(start, metric)[1]
            return afrd.analysis.reports.lights.as_json(found, _advice(found, metric, delta, "", []))
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from None

    gr.api(lights, api_name="lights", concurrency_limit=2, concurrency_id="torch")


def _menus(open_in_explore: OpenInExplore, choice: Choice) -> list:
    entries = open_in_explore.library.categories()
    entry = next((e for e in entries if e.key == choice.category), None)
    splits: list[str] = []
    if entry is not None:
        try:
            splits = splits_of(open_in_explore.library, entry)
        except (ValueError, OSError):  # the status says what is wrong
            splits = []
    return [
        gr.Dropdown(category_choices(entries), value=choice.category),
        gr.Dropdown(run_choices(entry.fused if entry else ()), value=str(choice.run or "")),
        gr.Dropdown(splits, value=choice.split),
    ]


def _metric(metric: str) -> str:
    return metric if metric in afrd.metrics.METRIC_NAMES else "image_auroc"


def _advice(found: Survey, metric: str, delta: float | None, unit: str | None, costs: Any) -> Advice:

    prices = views.read_costs(costs, found.lights)
    return afrd.analysis.lights.advise(
        found, _metric(metric), DELTA if delta is None else float(delta), prices, (unit or "").strip()[:20]
    )


def _drawn(found: Survey, metric: str, delta: float, unit: str, costs: Any, which: str) -> dict[str, Any]:

    advice = _advice(found, metric, delta, unit, costs)
    try:
        same = afrd.figures.redundancy_map(afrd.analysis.lights.redundancy(found, which))
    except ValueError:  # too few samples
        same = None
    return {
        "status": views.card(found, advice),
        "pareto": afrd.figures.pareto_front(advice),
        "worth": afrd.figures.light_values(advice),
        "sets": views.set_rows(found, advice),
        "same": gr.Plot(same, visible=same is not None),
        "defects": gr.Plot(
            afrd.figures.defect_lights(advice) if len(advice.without) else None, visible=len(advice.without) > 0
        ),
    }


def _file(found: Survey, content: str) -> str:
    """A report among Gradio's own files, which it clears away."""
    from gradio.utils import get_upload_folder

    Path(get_upload_folder()).mkdir(parents=True, exist_ok=True)
    file = Path(mkdtemp(dir=get_upload_folder())) / f"lights-{found.category}-{found.split}.html"
    file.write_text(content, encoding="utf-8")
    return str(file)
