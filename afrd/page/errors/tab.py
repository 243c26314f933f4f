"""The Errors tab: every sample of a split with what all methods say of it, questions to ask, and notes to take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import gradio as gr

import afrd.figures
from afrd.page.common.messages import message, working
from afrd.page.common.moves import first_choice, known_run, with_run
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.selection import Choice
from afrd.page.errors import views
from afrd.page.errors.analysis import Analysis, NothingToShowError, Session, shown_first
from afrd.page.errors.layout import Parts, lay_out
from afrd.page.errors.rows import SELECTED, asked_view, connect_files, connect_rows, selected_row

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


def errors_tab(tab: gr.Tab, open_in_explore: OpenInExplore) -> None:
    """Lays the tab out and connects it."""
    _connect(tab, open_in_explore, lay_out())


def _connect(tab: gr.Tab, open_in_explore: OpenInExplore, parts: Parts) -> None:
    library = open_in_explore.library
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
    on(tab.select, look_at, [open_in_explore.choice], menus, "errors_open")
    on(
        parts.category.input,
        choose_category,
        [parts.category],
        [open_in_explore.choice, *menus],
        "errors_category",
    )
    on(parts.run.input, choose_run, [parts.run], [open_in_explore.choice, *menus], "errors_run")
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

        shown = show(session, place, *asked)
        if session.found is not None:
            at = None if session.found.first_threshold is None else place
            shown[parts.histogram] = afrd.figures.score_histogram(session.found, at)
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
        return show(session, *asked) | {open_in_explore.choice: choice}

    on(
        parts.other.input,
        compare_with,
        [open_in_explore.choice, parts.other, *asked],
        [*drawn, open_in_explore.choice],
        "errors_compare",
    )

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

    connect_rows(open_in_explore, parts, session, on, asked, merged)
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
