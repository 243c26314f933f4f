"""The Errors tab: every sample of a split with what all methods say of it, questions to ask, and notes to take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import gradio as gr

from afrd.page import error_views as views
from afrd.page.choice import Choice
from afrd.page.error_analysis import Analysis, NothingToShowError, Session, shown_first
from afrd.page.error_rows import SELECTED, asked_view, connect_files, connect_rows, selected_row
from afrd.page.moves import first_choice, known_run, with_run
from afrd.page.standings_text import message, working
from afrd.page.way import Way

CARD_STYLE = Path(__file__).parents[1] / "templates" / "card.css"
MOVE_LINE = """at => {  // in the browser, so that the line keeps up with the hand; Gradio's bundle leaves Plotly there
  const plot = document.querySelector('#errors-histogram .js-plotly-plot');
  if (!plot?.layout?.shapes?.length) return;
  const [low, high] = plot.layout.xaxis.range, room = (high - low) / 40;  // the line never leaves the figure
  window.Plotly?.relayout(plot, {'shapes[0].x0': at, 'shapes[0].x1': at,
    'annotations[0].x': at, 'annotations[0].text': `threshold ${Number(at).toFixed(2)}`,
    'xaxis.range': [Math.min(low, at - room), Math.max(high, at + room)]});
}"""
NO_FILTERS = ("all", "all", "", None, None)  # question, truth, search, and the axes of the plot by default
_numbers = count(1)


@dataclass(frozen=True)
class Parts:
    """The tab's components; `shown` and others fill them by these names."""

    category: gr.Dropdown
    run: gr.Dropdown
    split: gr.Dropdown
    other: gr.Dropdown
    status: gr.HTML
    body: gr.Column
    threshold: gr.Slider
    counts: gr.HTML
    histogram: gr.Plot
    across: gr.Dropdown
    up: gr.Dropdown
    scatter: gr.ScatterPlot
    question: gr.Radio
    kind: gr.Dropdown
    text: gr.Textbox
    clear: gr.Button
    line: gr.HTML
    csv: gr.Button
    csv_file: gr.DownloadButton
    report: gr.Button
    report_file: gr.DownloadButton
    sheet: gr.Dataframe
    card: gr.HTML
    note_box: gr.Column
    number: gr.Textbox
    note: gr.Textbox
    tags: gr.Dropdown
    saved: gr.HTML
    open: gr.Button

    def filled(self, values: dict[str, Any]) -> dict[Any, Any]:
        return {getattr(self, name): value for name, value in values.items()}

    def named(self, *names: str) -> list[Any]:
        return [getattr(self, name) for name in names]


def errors_tab(tab: gr.Tab, way: Way) -> None:
    """Lays the tab out and connects it."""
    gr.HTML(f"<style>{CARD_STYLE.read_text()}</style>", elem_classes="only-style")
    with gr.Column(elem_classes="errors"):
        with gr.Row(elem_classes="controls", equal_height=True):
            category = _menu("Category", "errors-category", 120)
            run = _menu("Run", "errors-run", 190)
            split = _menu("Split", "errors-split", 110)
            other = _menu("Compared with", "errors-other", 190)
        status = gr.HTML(working("Loading …"), apply_default_css=False, elem_id="errors-status")
        with gr.Column(visible="hidden", elem_id="errors-body") as body:
            with gr.Row(equal_height=False, elem_classes="figures"):
                with gr.Column(scale=6, min_width=400, elem_classes="figure"):
                    threshold = gr.Slider(
                        0, 2, value=1, step=0.01, label="Threshold", buttons=[], elem_id="errors-threshold"
                    )
                    counts = gr.HTML("", apply_default_css=False, elem_id="errors-counts")
                    histogram = gr.Plot(show_label=False, container=False, elem_id="errors-histogram")
                with gr.Column(scale=5, min_width=360, elem_classes="figure"):
                    with gr.Row(elem_classes="axes"):
                        across = _menu("Across", "errors-across", 120)
                        up = _menu("Up", "errors-up", 120)
                    scatter = gr.ScatterPlot(
                        None,
                        views.ACROSS,
                        views.UP,
                        color="samples",
                        tooltip=views.TOLD,
                        height=284,
                        buttons=["export", "fullscreen"],
                        elem_id="errors-scatter",
                    )
                    gr.HTML(
                        "Drag sideways to keep only those points in the table; double-click to undo.",
                        elem_classes="hint",
                    )
            question = gr.Radio([], label="Questions", show_label=False, elem_id="errors-question")
            with gr.Row(elem_classes="filters", equal_height=True):
                kind = _menu("Truth", "errors-kind", 110)
                text = gr.Textbox(
                    label="Search",
                    placeholder="name, defect, verdict, note …",
                    max_length=200,
                    min_width=200,
                    scale=2,
                    elem_id="errors-text",
                )
                line = gr.HTML("", elem_id="errors-line", elem_classes="grow")
                clear = gr.Button("Show all", size="sm", min_width=80, scale=0, elem_id="errors-clear")
                csv = gr.Button("CSV", size="sm", min_width=60, scale=0, elem_id="errors-csv")
                report = gr.Button("Report", size="sm", min_width=80, scale=0, elem_id="errors-report")
                csv_file = gr.DownloadButton(elem_id="errors-csv-file", elem_classes="file")
                report_file = gr.DownloadButton(elem_id="errors-report-file", elem_classes="file")
            with gr.Row(equal_height=False, elem_classes="rows"):
                with gr.Column(scale=8, min_width=420):
                    sheet = gr.Dataframe(
                        label="Samples",
                        show_label=False,
                        interactive=False,
                        max_height=620,
                        buttons=[],
                        pinned_columns=2,
                        elem_id="errors-sheet",
                    )
                with gr.Column(scale=4, min_width=330, elem_classes="selected"):
                    card = gr.HTML("", apply_default_css=False, elem_id="errors-card")
                    with gr.Column(visible=False, elem_classes="note-box") as note_box:
                        number = gr.Textbox(visible=False, label="card")
                        note = gr.Textbox(
                            label="Note",
                            placeholder="kept with the run as soon as you leave the field",
                            lines=2,
                            max_lines=6,
                            max_length=2000,
                            elem_id="errors-note",
                        )
                        tags = gr.Dropdown(
                            [],
                            label="Tags",
                            multiselect=True,
                            allow_custom_value=True,
                            max_choices=12,
                            elem_id="errors-tags",
                        )
                        with gr.Row(equal_height=True):
                            saved = gr.HTML("", elem_id="errors-saved", elem_classes="grow")
                            opens = gr.Button(
                                f"Open in Explore {views.OPEN}",
                                size="sm",
                                min_width=130,
                                scale=0,
                                elem_id="errors-open",
                            )
    parts = Parts(
        category,
        run,
        split,
        other,
        status,
        body,
        threshold,
        counts,
        histogram,
        across,
        up,
        scatter,
        question,
        kind,
        text,
        clear,
        line,
        csv,
        csv_file,
        report,
        report_file,
        sheet,
        card,
        note_box,
        number,
        note,
        tags,
        saved,
        opens,
    )
    _connect(tab, way, parts)


def _menu(label: str, name: str, width: int) -> gr.Dropdown:
    return gr.Dropdown([], label=label, filterable=False, min_width=width, elem_id=name)


def _connect(tab: gr.Tab, way: Way, parts: Parts) -> None:
    library = way.library
    session = gr.State(Session())
    request, ready, merged = gr.State(0), gr.State(0), gr.State(0)

    def on(event: Callable, handler: Callable, inputs: list, outputs: list, name: str, **options: Any) -> Any:
        usual: dict[str, Any] = {"concurrency_limit": 4, "concurrency_id": "errors", "show_progress": "hidden"}
        usual |= {"trigger_mode": "always_last"} | options  # nothing here takes long, unless it says so
        return event(handler, [session, *inputs], outputs, api_name=name, **usual)

    # what is looked at: asked for by a menu or by opening the tab, judged by an event that stops for a later request

    def judge(session: Session) -> Iterator[dict]:
        turn = session.turn
        try:
            analysis = Analysis(library, session.choice)
            for done, total in analysis.reading():
                if session.turn != turn:
                    return
                text = "The teacher reads these pictures for the first time"
                yield {parts.status: working(text, done, total), parts.body: gr.Column(visible="hidden")}
            if not session.take_up(analysis):
                at = analysis.first_table().first_threshold
                begun = parts.filled(_begin(session)) | show_with_histogram(session, at, *NO_FILTERS)
                yield begun | selected_row(parts, session, at)
            for done, total, label in analysis.judging():
                if session.turn != turn:
                    return
                yield {parts.status: working(f"Judging with {label}", done, total)}
            yield parts.filled(_complete(session)) | {ready: next(_numbers)}
        except NothingToShowError as why:
            session.analysis = session.found = None
            nothing = {"body": gr.Column(visible="hidden"), "other": gr.Dropdown([], value=None)}
            yield parts.filled({"status": message(*why.parts), **nothing})

    drawn = parts.named("counts", "question", "kind", "across", "up", "scatter", "line", "sheet")
    selected = parts.named(*SELECTED)
    request.change(
        judge,
        session,
        [*parts.named("status", "body", "other", "threshold", "text", "histogram"), *drawn, *selected, ready],
        api_name="errors_judge",
        trigger_mode="always_last",
        show_progress="hidden",
        concurrency_limit=2,
        concurrency_id="comparison",
    )

    def look_at(session: Session, choice: Choice) -> list:
        session.choice, session.turn = shown_first(session, choice, library), next(_numbers)
        return [*views.menus(library, session.choice), session.turn]

    def choose_category(session: Session, key: str) -> list:
        choice = first_choice(library, key, kept=session.choice)
        return [choice, *look_at(session, choice)]

    def choose_run(session: Session, folder: str) -> list:
        choice = with_run(library, session.choice, known_run(library, session.choice, folder))
        return [choice, *look_at(session, choice)]

    def choose_split(session: Session, split: str) -> list:
        session.split = (session.choice.category, split)
        return look_at(session, replace(session.choice, split=split, index=None, pinned=None, page=0))

    menus = [*parts.named("category", "run", "split"), request]
    on(tab.select, look_at, [way.choice], menus, "errors_open")
    on(
        parts.category.input,
        choose_category,
        [parts.category],
        [way.choice, *menus],
        "errors_category",
    )
    on(parts.run.input, choose_run, [parts.run], [way.choice, *menus], "errors_run")
    on(parts.split.input, choose_split, [parts.split], menus, "errors_split")

    # what is asked of it: everything below takes the table as it is, and judges nothing

    asked = parts.named("threshold", "question", "kind", "text", "across", "up")

    def show(
        session: Session,
        place: float | None,
        question: str | None,
        kind: str | None,
        text: str | None,
        across: str | None,
        up: str | None,
    ) -> dict:
        view = asked_view(session, place, question, kind, text)
        if view is None or session.analysis is None:
            return {parts.line: gr.skip()}
        names, across, up = views.axes(view, across, up)
        return parts.filled(
            {
                "counts": views.counts(view.found, view.at),
                "question": views.questions(view.found, view.at, view.filters.question),
                "kind": views.kinds_of(session.analysis.dataset, view.filters.kind),
                "across": gr.Dropdown(names, value=across),
                "up": gr.Dropdown(names, value=up),
                "scatter": gr.ScatterPlot(
                    views.points(view, session.sample, across, up),
                    title=f"{up} against {across}",
                    x_title=across,
                    y_title=up,
                    color_map=views.colour_map(view.found),
                ),
                "line": views.count_line(view),
                "sheet": views.sheet(view),
            }
        )

    def show_with_histogram(session: Session, place: float | None, *asked: Any) -> dict:
        from afrd.figures import score_histogram

        shown = show(session, place, *asked)
        if session.found is not None:
            at = None if session.found.first_threshold is None else place
            shown[parts.histogram] = score_histogram(session.found, at)
        return shown

    on(ready.change, show_with_histogram, asked, [*drawn, parts.histogram], "errors_show").then(
        lambda session, at: selected_row(parts, session, at),
        [session, parts.threshold],
        selected,
        api_name="errors_show_selected",
        show_progress="hidden",
    )
    on(parts.threshold.input, show, asked, drawn, "errors_threshold")
    parts.threshold.input(None, parts.threshold, None, js=MOVE_LINE, api_name="errors_move_line")
    on(parts.question.input, show, asked, drawn, "errors_question")
    on(parts.kind.input, show, asked, drawn, "errors_kind")
    on(parts.text.change, show, asked, drawn, "errors_search")  # its input event misses what is deleted or pasted
    on(parts.across.input, _without_region(show), asked, drawn, "errors_across")
    on(parts.up.input, show, asked, drawn, "errors_up")

    def compare_with(session: Session, choice: Choice, label: str, *asked: Any) -> dict:
        if session.analysis is None or session.found is None:
            return {parts.line: gr.skip()}
        session.found = session.analysis.against(session.found, label)
        method = session.analysis.beside(label)
        if method is not None and method.single:
            session.analysis.choice = replace(session.analysis.choice, beside=method.runs[0].folder)
            choice = replace(choice, beside=method.runs[0].folder)
        return show(session, *asked) | {way.choice: choice}

    on(parts.other.input, compare_with, [way.choice, parts.other, *asked], [*drawn, way.choice], "errors_compare")

    def select_region(
        session: Session, at: float, question: str, kind: str, text: str, across: str, up: str, picked: gr.SelectData
    ) -> dict:
        low, high = sorted(float(value) for value in picked.index)
        session.region = (across, low, high)
        return show(session, at, question, kind, text, across, up)

    def show_all(session: Session, at: float, *asked: Any) -> dict:
        session.region = None
        return show(session, at, *NO_FILTERS[:3], *asked[3:]) | {parts.text: ""}

    on(parts.scatter.select, select_region, asked, drawn, "errors_region")
    on(parts.scatter.double_click, _without_region(show), asked, drawn, "errors_whole_plot")
    on(parts.clear.click, show_all, asked, [*drawn, parts.text], "errors_show_all")

    connect_rows(way, parts, session, on, asked, merged)
    connect_files(parts, session, on, asked)


def _begin(session: Session) -> dict[str, Any]:
    """The tab when another run or other samples are looked at."""
    analysis, found = session.analysis, session.found
    assert analysis is not None and found is not None
    return {
        "status": views.summary(analysis, found),
        "body": gr.Column(visible=True),
        "other": gr.Dropdown([found.other] if found.other else [], value=found.other),
        "threshold": views.slider(analysis, found, found.first_threshold),
        "text": "",
    }


def _complete(session: Session) -> dict[str, Any]:
    """The tab when all methods have judged."""
    analysis, before = session.analysis, session.found
    assert analysis is not None and before is not None
    found = session.found = analysis.against(analysis.table(), before.other)
    labels = [method.label for method in analysis.others if method.label in found.scores]
    return {
        "status": views.summary(analysis, found),
        "body": gr.Column(visible=True),
        "other": gr.Dropdown(labels, value=found.other),
    }


def _without_region(show: Callable) -> Callable:
    def shown(session: Session, *asked: Any) -> dict:
        session.region = None
        return show(session, *asked)

    return shown
