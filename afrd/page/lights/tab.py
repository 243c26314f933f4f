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
from afrd.page.common.messages import page_error
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.samples import first_selection, splits_of, with_samples, with_split
from afrd.page.common.selection import Selection, known_run, with_run
from afrd.page.common.session import PageSession, Versioned
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
class LightsComponents(ByName):
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


class LightsState:
    """What the server remembers of this tab for one browser session: the number of the latest request."""

    def __init__(self) -> None:
        self.latest = Versioned(0)


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
        components = LightsComponents(
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
        request = gr.State(0)  # the number of the latest request to show the selection; a new one shows it again
        sample_part(open_in_explore, desk, request)
    _connect(tab, open_in_explore, desk, components, request)


def _menu(label: str, name: str, width: int, scale: int = 1) -> gr.Dropdown:
    return gr.Dropdown([], label=label, filterable=False, min_width=width, scale=scale, elem_id=name)


def _plot(name: str) -> gr.Plot:
    return gr.Plot(show_label=False, container=False, min_width=420, elem_id=name)


def _connect(
    tab: gr.Tab, open_in_explore: OpenInExplore, desk: Desk, components: LightsComponents, request: gr.State
) -> None:
    library = open_in_explore.library
    asked = components.named("metric", "delta", "unit", "costs", "which")
    drawn = components.named("status", "pareto", "worth", "sets", "same", "defects")

    def on(event: Callable, handler: Callable, inputs: list, outputs: list, name: str, **options: Any) -> Any:
        usual: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "torch", "show_progress": "hidden"}
        return event(handler, inputs, outputs, api_name=name, **usual | options)

    redrawing = gr.State(0)  # the number of the latest change of what is asked of the selection

    def show(session: PageSession, request: int, redrawing: int, *asked: Any) -> Iterator[dict]:
        """Waits for work that goes on, and shows what there is, until there is a later request in this session."""
        latest, number = session.state(LightsState).latest, max(request, redrawing)
        yield {components.status: gr.skip()}  # of a generator that yields nothing Gradio would empty the outputs
        if latest.apply(lambda latest: max(latest, number)) != number:
            return
        for values in survey_values(session.selection, *asked):
            if latest.value != number:
                return
            yield values

    def survey_values(selection: Selection, *asked: Any) -> Iterator[dict]:
        metric, delta, unit, costs, which = _metric(asked[0]), *asked[1:]
        try:
            subject = desk.subject(selection)
            survey = desk.survey(subject, metric)
            while survey is None and (job := desk.job(subject, metric)) is not None:
                yield {components.status: views.progress(job)}
                if job.wait(OFTEN):
                    desk.forget(subject, metric, job)
                    if job.problem:
                        raise NothingToShowError("The lights could not be judged", job.problem)
                    survey = job.result
                    break
            if survey is None:
                yield {components.status: views.not_yet(subject.run, subject.dataset)}
                return
        except NothingToShowError as why:
            yield {components.status: views.message(*why.parts)}
            return
        fresh = [row[0] for row in costs or []] != list(survey.lights)  # what somebody typed is never written over
        try:
            if fresh:
                costs = [*(dict.fromkeys(survey.lights, 1.0) | views.read_costs(costs, survey.lights)).items()]
            values = _drawn(survey, metric, delta, unit, costs, which)
        except ValueError as error:  # what was typed stays there to be mended
            raise page_error(str(error)) from None
        yield components.filled(values | ({"costs": views.cost_rows(costs)} if fresh else {}))

    session_state = open_in_explore.session
    gr.on(
        [request.change, redrawing.change],
        show,
        [session_state, request, redrawing, *asked],
        [*drawn, components.costs],
        api_name="lights_show",
        show_progress="hidden",
        trigger_mode="multiple",
        concurrency_limit=8,
        concurrency_id="lights",  # it mostly waits
    )

    def change_all(session: PageSession, change: Callable[[Selection], Selection]) -> list:
        """Changes the selection; values of `whole_tab`."""
        session.apply(change)
        return session.drawn(lambda selection: [selection, *_menus(open_in_explore, selection), next(_numbers)])

    def open_tab(session: PageSession) -> list:
        return change_all(  # the page may still be loading
            session, lambda selection: selection if selection.category else first_selection(library, None)
        )

    def choose_category(session: PageSession, key: str) -> list:
        return change_all(session, lambda selection: first_selection(library, key, kept=selection))

    def choose_run(session: PageSession, folder: str) -> list:
        return change_all(
            session, lambda selection: with_run(library, selection, known_run(library, selection, folder))
        )

    def choose_split(session: PageSession, split: str) -> list:
        return change_all(session, lambda selection: with_split(library, selection, split))

    whole_tab = [open_in_explore.changed, *components.named("category", "run", "split"), request]
    again = {"trigger_mode": "always_last"}
    on(tab.select, open_tab, [session_state], whole_tab, "lights_open", **again)
    on(
        components.category.input,
        choose_category,
        [session_state, components.category],
        whole_tab,
        "lights_category",
        **again,
    )
    on(components.run.input, choose_run, [session_state, components.run], whole_tab, "lights_run", **again)
    on(components.split.input, choose_split, [session_state, components.split], whole_tab, "lights_split", **again)

    def begin(session: PageSession, metric: str) -> int:
        try:
            subject = desk.subject(session.selection)
            if desk.survey(subject, _metric(metric)) is None:
                desk.start(subject, _metric(metric))
        except NothingToShowError as why:
            raise page_error(" ".join(part for part in why.parts if part)) from None
        return next(_numbers)

    def cancel(session: PageSession, metric: str) -> None:
        try:
            job = desk.job(desk.subject(session.selection), _metric(metric))
        except NothingToShowError:
            return
        if job is not None:
            job.cancel()

    on(components.start.click, begin, [session_state, components.metric], [request], "lights_start")
    on(
        components.cancel.click,
        cancel,
        [session_state, components.metric],
        [],
        "lights_cancel",
        concurrency_id="lights-cancel",
    )
    # One way to all that is drawn: were there two, the older drawing could be the last to arrive.
    for name, event in (
        ("metric", components.metric.input),
        ("delta", components.delta.change),
        ("unit", components.unit.submit),
        ("unit_left", components.unit.blur),
        ("costs", components.costs.input),
        ("which", components.which.input),
    ):
        on(event, lambda: next(_numbers), [], [redrawing], f"lights_{name}", **again)

    def surveyed(selection: Selection, metric: str) -> tuple[Subject, Survey]:
        """The selected run and split with their survey, which must have been made."""
        try:
            subject = desk.subject(selection)
            survey = desk.survey(subject, _metric(metric))
        except NothingToShowError as why:
            raise page_error(" ".join(part for part in why.parts if part)) from None
        if survey is None:
            raise page_error("The lights of this run have not been judged yet.")
        return subject, survey

    def open_set(session: PageSession, metric: str, event: gr.SelectData) -> list:
        row = event.row_value

        def change(selection: Selection) -> Selection:
            subject, survey = surveyed(selection, metric)
            sets = {", ".join(survey.named(k)): survey.named(k) for k in range(len(survey))}
            chosen = sets.get(str(row[0]) if row else "")
            if chosen is None:
                raise page_error("This set of lights is not in the table.")
            lights = tuple(light for light in subject.dataset.lights if light in chosen)
            shown = selection.shown if selection.shown in lights else lights[-1]
            return with_samples(library, replace(selection, lights=lights, shown=shown), prefer_defects=True)

        return open_in_explore.opened(session, change)

    on(
        components.sets.select,
        open_set,
        [session_state, components.metric],
        open_in_explore.outputs,
        "lights_open_set",
    ).success(None, None, None, js="() => window.scrollTo(0, 0)", api_name="lights_to_top")

    def make_report(session: PageSession, *asked: Any) -> str:
        survey = surveyed(session.selection, asked[0])[1]
        try:
            return _file(survey, afrd.analysis.reports.lights.report(survey, _advice(survey, *asked[:4])))
        except ValueError as error:
            raise page_error(str(error)) from None

    on(
        components.report.click, make_report, [session_state, *asked], [components.report_file], "lights_report"
    ).success(None, None, None, js=FETCH, api_name="lights_fetch_report")


def _menus(open_in_explore: OpenInExplore, selection: Selection) -> list:
    entries = open_in_explore.library.categories()
    entry = next((e for e in entries if e.key == selection.category), None)
    splits: list[str] = []
    if entry is not None:
        try:
            splits = splits_of(open_in_explore.library, entry)
        except (ValueError, OSError):  # the status says what is wrong
            splits = []
    return [
        gr.Dropdown(category_choices(entries), value=selection.category),
        gr.Dropdown(run_choices(entry.fused if entry else ()), value=str(selection.run or "")),
        gr.Dropdown(splits, value=selection.split),
    ]


def _metric(metric: str) -> str:
    return metric if metric in afrd.metrics.METRIC_NAMES else "image_auroc"


def _advice(survey: Survey, metric: str, delta: float | None, unit: str | None, costs: Any) -> Advice:

    prices = views.read_costs(costs, survey.lights)
    return afrd.analysis.lights.advise(
        survey, _metric(metric), DELTA if delta is None else float(delta), prices, (unit or "").strip()[:20]
    )


def _drawn(survey: Survey, metric: str, delta: float, unit: str, costs: Any, which: str) -> dict[str, Any]:

    advice = _advice(survey, metric, delta, unit, costs)
    try:
        same = afrd.figures.redundancy_map(afrd.analysis.lights.redundancy(survey, which))
    except ValueError:  # too few samples
        same = None
    return {
        "status": views.card(survey, advice),
        "pareto": afrd.figures.pareto_front(advice),
        "worth": afrd.figures.light_values(advice),
        "sets": views.set_rows(survey, advice),
        "same": gr.Plot(same, visible=same is not None),
        "defects": gr.Plot(
            afrd.figures.defect_lights(advice) if len(advice.without) else None, visible=len(advice.without) > 0
        ),
    }


def _file(survey: Survey, content: str) -> str:
    """A report among Gradio's own files, which it clears away."""
    from gradio.utils import get_upload_folder

    Path(get_upload_folder()).mkdir(parents=True, exist_ok=True)
    file = Path(mkdtemp(dir=get_upload_folder())) / f"lights-{survey.category}-{survey.split}.html"
    file.write_text(content, encoding="utf-8")
    return str(file)
