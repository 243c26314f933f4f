"""The Errors tab: every sample of a split with what all methods say of it, questions to ask, and notes to take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import gradio as gr

import afrd.figures
from afrd.page.common.html import plain
from afrd.page.common.messages import message, working
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.samples import first_selection
from afrd.page.common.selection import Selection, known_run, with_run
from afrd.page.common.session import PageSession
from afrd.page.errors import views
from afrd.page.errors.analysis import Analysis, ErrorsState, NothingToShowError, on_state, shown_first
from afrd.page.errors.layout import ErrorsComponents, lay_out
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


def _connect(tab: gr.Tab, open_in_explore: OpenInExplore, components: ErrorsComponents) -> None:
    library = open_in_explore.library
    session_state = open_in_explore.session
    request, ready, merged = gr.State(0), gr.State(0), gr.State(0)

    def on(event: Callable, handler: Callable, inputs: list, outputs: list, name: str, **options: Any) -> Any:
        usual: dict[str, Any] = {"concurrency_limit": 4, "concurrency_id": "errors", "show_progress": "hidden"}
        usual |= {"trigger_mode": "always_last"} | options  # nothing here takes long, unless it says so
        return event(handler, [session_state, *inputs], outputs, api_name=name, **usual)

    # what is looked at: asked for by a menu or by opening the tab, judged by an event that stops for a later request

    def judge(session: PageSession) -> Iterator[dict]:
        state = session.state(ErrorsState)
        turn = state.turn
        try:
            analysis = Analysis(library, state.selection)
            for done, total in analysis.reading():
                if state.turn != turn:
                    return
                text = "The teacher reads these pictures for the first time"
                yield {components.status: working(text, done, total), components.body: gr.Column(visible="hidden")}
            if not state.take_up(analysis):
                at = analysis.first_table().first_threshold
                begun = components.filled(_begin(state)) | show_with_histogram(state, at, *NO_FILTERS)
                yield begun | selected_row(components, state, at)
            for done, total, label in analysis.judging():
                if state.turn != turn:
                    return
                yield {components.status: working(f"Judging with {label}", done, total)}
            yield components.filled(_complete(state)) | {ready: next(_numbers)}
        except NothingToShowError as why:
            state.analysis = state.found = None
            nothing = {"body": gr.Column(visible="hidden"), "other": gr.Dropdown([], value=None)}
            yield components.filled({"status": message(*why.parts), **nothing})

    drawn = components.named("counts", "question", "kind", "across", "up", "scatter", "line", "sheet")
    selected = components.named(*SELECTED)
    request.change(
        judge,
        session_state,
        [*components.named("status", "body", "other", "threshold", "text", "histogram"), *drawn, *selected, ready],
        api_name="errors_judge",
        trigger_mode="always_last",
        show_progress="hidden",
        concurrency_limit=2,
        concurrency_id="comparison",
    )

    def look_at(session: PageSession) -> list:
        """Looks at the session's selection; values of `menus`."""
        state = session.state(ErrorsState)
        with state.lock:
            state.selection, state.turn = shown_first(state, session.selection, library), next(_numbers)
            return [*views.menus(library, state.selection), state.turn]

    def change_all(session: PageSession, change: Callable[[Selection], Selection]) -> list:
        """Changes the selection; values of `changing`."""
        return [session.apply(change), *look_at(session)]

    def choose_category(session: PageSession, key: str) -> list:
        return change_all(session, lambda selection: first_selection(library, key, kept=selection))

    def choose_run(session: PageSession, folder: str) -> list:
        return change_all(
            session, lambda selection: with_run(library, selection, known_run(library, selection, folder))
        )

    def choose_split(session: PageSession, split: str) -> list:
        state = session.state(ErrorsState)
        with state.lock:
            state.split = (session.selection.category, split)
            return look_at(session)

    menus = [*components.named("category", "run", "split"), request]
    changing = [open_in_explore.changed, *menus]
    on(tab.select, look_at, [], menus, "errors_open")
    on(components.category.input, choose_category, [components.category], changing, "errors_category")
    on(components.run.input, choose_run, [components.run], changing, "errors_run")
    on(components.split.input, choose_split, [components.split], menus, "errors_split")

    # what is asked of it: everything below takes the table as it is, and judges nothing

    asked = components.named("threshold", "question", "kind", "text", "across", "up")

    def show(
        state: ErrorsState,
        place: float | None,
        question: str | None,
        kind: str | None,
        text: str | None,
        across: str | None,
        up: str | None,
    ) -> dict:
        view = asked_view(state, place, question, kind, text)
        if view is None or state.analysis is None:
            return {components.line: gr.skip()}
        names, across, up = views.axes(view, across, up)
        return components.filled(
            {
                "counts": views.counts(view.found, view.at),
                "question": views.questions(view.found, view.at, view.filters.question),
                "kind": views.kinds_of(state.analysis.dataset, view.filters.kind),
                "across": gr.Dropdown(names, value=across),
                "up": gr.Dropdown(names, value=up),
                "scatter": gr.ScatterPlot(
                    views.points(view, state.sample, across, up),
                    title=f"{up} against {across}",
                    x_title=across,
                    y_title=up,
                    color_map=views.colour_map(view.found),
                ),
                "line": plain(views.count_line(view)),
                "sheet": views.sheet(view),
            }
        )

    def show_with_histogram(state: ErrorsState, place: float | None, *asked: Any) -> dict:

        shown = show(state, place, *asked)
        if state.found is not None:
            at = None if state.found.first_threshold is None else place
            shown[components.histogram] = afrd.figures.score_histogram(state.found, at)
        return shown

    on(ready.change, on_state(show_with_histogram), asked, [*drawn, components.histogram], "errors_show").then(
        on_state(lambda state, at: selected_row(components, state, at)),
        [session_state, components.threshold],
        selected,
        api_name="errors_show_selected",
        show_progress="hidden",
    )
    on(components.threshold.input, on_state(show), asked, drawn, "errors_threshold")
    components.threshold.input(None, components.threshold, None, js=MOVE_LINE, api_name="errors_move_line")
    on(components.question.input, on_state(show), asked, drawn, "errors_question")
    on(components.kind.input, on_state(show), asked, drawn, "errors_kind")
    on(
        components.text.change, on_state(show), asked, drawn, "errors_search"
    )  # its input event misses what is deleted or pasted
    on(components.across.input, on_state(_without_region(show)), asked, drawn, "errors_across")
    on(components.up.input, on_state(show), asked, drawn, "errors_up")

    def compare_with(session: PageSession, label: str, *asked: Any) -> dict:
        state = session.state(ErrorsState)
        analysis, table = state.analysis, state.found
        if analysis is None or table is None:
            return {components.line: gr.skip()}
        state.found = analysis.against(table, label)
        method = analysis.beside(label)
        if method is not None and method.single:
            folder = method.runs[0].folder
            analysis.selection = replace(analysis.selection, beside=folder)
            session.apply(lambda selection: replace(selection, beside=folder))
        return show(state, *asked) | {open_in_explore.changed: session.selection}

    on(
        components.other.input,
        compare_with,
        [components.other, *asked],
        [*drawn, open_in_explore.changed],
        "errors_compare",
    )

    def select_region(
        state: ErrorsState, at: float, question: str, kind: str, text: str, across: str, up: str, picked: gr.SelectData
    ) -> dict:
        low, high = sorted(float(value) for value in picked.index)
        state.region = (across, low, high)
        return show(state, at, question, kind, text, across, up)

    def show_all(state: ErrorsState, at: float, *asked: Any) -> dict:
        state.region = None
        return show(state, at, *NO_FILTERS[:3], *asked[3:]) | {components.text: ""}

    on(components.scatter.select, on_state(select_region), asked, drawn, "errors_region")
    on(components.scatter.double_click, on_state(_without_region(show)), asked, drawn, "errors_whole_plot")
    on(components.clear.click, on_state(show_all), asked, [*drawn, components.text], "errors_show_all")

    connect_rows(open_in_explore, components, on, asked, merged)
    connect_files(components, on, asked)


def _begin(state: ErrorsState) -> dict[str, Any]:
    """The tab when another run or other samples are looked at."""
    analysis, found = state.analysis, state.found
    assert analysis is not None and found is not None
    return {
        "status": views.summary(analysis, found),
        "body": gr.Column(visible=True),
        "other": gr.Dropdown([found.other] if found.other else [], value=found.other),
        "threshold": views.slider(analysis, found, found.first_threshold),
        "text": "",
    }


def _complete(state: ErrorsState) -> dict[str, Any]:
    """The tab when all methods have judged."""
    analysis, before = state.analysis, state.found
    assert analysis is not None and before is not None
    found = state.found = analysis.against(analysis.table(), before.other)
    labels = [method.label for method in analysis.others if method.label in found.scores]
    return {
        "status": views.summary(analysis, found),
        "body": gr.Column(visible=True),
        "other": gr.Dropdown(labels, value=found.other),
    }


def _without_region(show: Callable) -> Callable:
    def shown(state: ErrorsState, *asked: Any) -> dict:
        state.region = None
        return show(state, *asked)

    return shown
