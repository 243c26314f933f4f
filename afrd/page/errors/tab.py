"""The Errors tab: table of a split's samples with the scores of all methods, filters, and notes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import gradio as gr

import afrd.figures
from afrd.page.common import events
from afrd.page.common.menus import MENU_CHANGES, Change, selection_menu_values
from afrd.page.common.messages import NothingToShowError, message, working
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.session import PageSession
from afrd.page.errors import views
from afrd.page.errors.analysis import Analysis
from afrd.page.errors.files import Files
from afrd.page.errors.groups import GroupActions
from afrd.page.errors.layout import ErrorsComponents
from afrd.page.errors.points import PointActions, PointsComponents
from afrd.page.errors.rows import SELECTED, Rows, selected_row
from afrd.page.errors.state import FILTER_INPUTS, ErrorsState, Filters, shown_first, view_of

MOVE_LINE = """at => {  // in the browser: the line follows the slider at once; Gradio's bundle leaves Plotly there
  const plot = document.querySelector('#errors-histogram .js-plotly-plot');
  if (!plot?.layout?.shapes?.length) return;
  const [low, high] = plot.layout.xaxis.range, room = (high - low) / 40;  // the line never leaves the figure
  window.Plotly?.relayout(plot, {'shapes[0].x0': at, 'shapes[0].x1': at,
    'annotations[0].x': at, 'annotations[0].text': `threshold ${Number(at).toFixed(2)}`,
    'xaxis.range': [Math.min(low, at - room), Math.max(high, at + room)]});
}"""
DRAWN = (  # what `views.drawn` fills
    *("counts", "question", "kind", "across", "up", "scatter", "line", "where_said", "group", "sheet", "stamp"),
)
EMPTIED = ("where", "group_table", "contact_box", "contact_tiles")  # what another run or other samples make empty
QUICK: dict[str, Any] = {"concurrency_limit": 4, "concurrency_id": "errors"}  # of events that judge nothing
_numbers = count(1)


def errors_tab(tab: gr.Tab, open_in_explore: OpenInExplore, may_save: bool = True) -> None:
    """Builds the tab and connects its events; `may_save`: whether groups can be saved and removed here."""
    ErrorsTab(tab, open_in_explore, may_save)


class ErrorsTab:
    """The tab's components, and the handlers of the events that choose what is shown."""

    def __init__(self, tab: gr.Tab, open_in_explore: OpenInExplore, may_save: bool) -> None:
        self.open_in_explore, self.library = open_in_explore, open_in_explore.library
        points = PointsComponents()
        self.components = ErrorsComponents(may_save, points.lay_out)
        self.request, self.judged, merged = gr.State(0), gr.State(0), gr.State(0)
        on = partial(events.on, open_in_explore.session, **QUICK)
        self._connect_menus(tab, on)
        self._connect_filters(on)
        Rows(open_in_explore, self.components, on, merged)
        Files(self.components, on)
        GroupActions(self.components, on, DRAWN, drawn_values, may_save)
        PointActions(points, self.components, self.judged, on, DRAWN, drawn_values, may_save)

    def _connect_menus(self, tab: gr.Tab, on: Callable) -> None:
        components, changed = self.components, self.open_in_explore.changed
        menus = components.named("category", "run", "split")
        whole_tab = [changed, *menus, self.request]
        on(tab.select, self.look_at, [], whole_tab, "errors_open")
        for menu, (name, change) in zip(menus, MENU_CHANGES.items(), strict=True):
            handler = self.choose_split if name == "split" else partial(self.choose, change)
            on(menu.input, handler, [menu], whole_tab, f"errors_{name}")
        filled = components.named(
            "status", "body", "other", "threshold", "text", "histogram", *EMPTIED, *DRAWN, *SELECTED
        )
        judging = {"concurrency_limit": 2, "concurrency_id": "comparison"}
        on(self.request.change, self.judge, [], [*filled, self.judged], "errors_judge", **judging)

    def _connect_filters(self, on: Callable) -> None:
        components, filter_values = self.components, self.components.named(*FILTER_INPUTS)
        drawn, scatter = components.named(*DRAWN), components.scatter
        shown = on(self.judged.change, self.show_judged, filter_values, [*drawn, components.histogram], "errors_show")
        selected = components.named(*SELECTED)
        on(shown.then, self.show_selected, [components.threshold], selected, "errors_show_selected")
        components.threshold.input(None, components.threshold, None, js=MOVE_LINE, api_name="errors_move_line")
        filtering = (
            components.threshold.input,
            components.question.input,
            components.kind.input,
            components.text.change,  # its input event misses what is deleted or pasted
            components.where.submit,
            components.where.blur,
            components.up.input,
        )
        # one event for all of them, or else an earlier one's answer could arrive after a later one's, and stay: whoever
        # goes from one field into another leaves the first one and writes into the second
        on(partial(gr.on, filtering), self.show, filter_values, drawn, "errors_filter")
        for name, event, handler in (
            ("across", components.across.input, self.show_without_region),
            ("region", scatter.select, self.select_region),
            ("whole_plot", scatter.double_click, self.show_without_region),
        ):
            on(event, handler, filter_values, drawn, f"errors_{name}")
        changed = self.open_in_explore.changed
        on(
            components.other.input,
            self.compare,
            [components.other, *filter_values],
            [*drawn, changed],
            "errors_compare",
        )
        emptied = [*drawn, components.text, components.where]
        on(components.clear.click, self.show_all, filter_values, emptied, "errors_show_all")

    def look_at(self, session: PageSession) -> list:
        """Shows the session's selection; returns it, the menus, and the number of a new request."""
        state = session.state(ErrorsState)
        with state.lock:
            selection = session.selection
            state.selection, state.request = shown_first(state, selection, self.library), next(_numbers)
            return [selection, *selection_menu_values(self.library, state.selection), state.request]

    def choose(self, change: Change, session: PageSession, value: str) -> list:
        session.apply(lambda selection: change(self.library, selection, value))
        return self.look_at(session)

    def choose_split(self, session: PageSession, split: str) -> list:
        """Changes the split of this tab alone; the sample in Explore stays."""
        state = session.state(ErrorsState)
        with state.lock:
            state.split = (session.selection.category, split)
            return self.look_at(session)

    def judge(self, session: PageSession) -> Iterator[dict]:
        """Fills the tab while methods are evaluated; stops when there is a later request."""
        state, filled = session.state(ErrorsState), self.components.filled
        request = state.request
        try:
            analysis = Analysis(self.library, state.selection)
            for done, total in analysis.reading():
                if state.request != request:
                    return
                status = working("The teacher reads these pictures for the first time", done, total)
                yield filled({"status": status, "body": gr.Column(visible="hidden")})
            if not state.take_up(analysis):
                threshold = analysis.first_table().first_threshold
                begun = begin_values(analysis, state) | drawn_values(state, Filters(threshold), histogram=True)
                yield filled(begun | selected_row(state, threshold))
            for done, total, label in analysis.judging():
                if state.request != request:
                    return
                yield filled({"status": working(f"Judging with {label}", done, total)})
            yield filled(complete_values(analysis, state)) | {self.judged: next(_numbers)}
        except NothingToShowError as why:
            state.analysis = state.table = None
            hidden = {"body": gr.Column(visible="hidden"), "other": gr.Dropdown([], value=None)}
            yield filled({"status": message(*why.parts)} | hidden)

    # The handlers below show the table that was made, and judge nothing.

    def show(self, session: PageSession, *filter_values: Any) -> dict:
        return self.components.filled(drawn_values(session.state(ErrorsState), Filters(*filter_values)))

    def show_judged(self, session: PageSession, *filter_values: Any) -> dict:
        return self.components.filled(drawn_values(session.state(ErrorsState), Filters(*filter_values), histogram=True))

    def show_selected(self, session: PageSession, threshold: float) -> dict:
        return self.components.filled(selected_row(session.state(ErrorsState), threshold))

    def show_without_region(self, session: PageSession, *filter_values: Any) -> dict:
        session.state(ErrorsState).region = None
        return self.show(session, *filter_values)

    def show_all(self, session: PageSession, threshold: float, *filter_values: Any) -> dict:
        state, shown = session.state(ErrorsState), Filters(threshold, *filter_values)
        state.region = None
        values = drawn_values(state, Filters(threshold, across=shown.across, up=shown.up))
        return self.components.filled(values | {"text": "", "where": ""})

    def select_region(self, session: PageSession, event: gr.SelectData, *filter_values: Any) -> dict:
        low, high = sorted(float(value) for value in event.index)
        session.state(ErrorsState).region = (Filters(*filter_values).across or "", low, high)
        return self.show(session, *filter_values)

    def compare(self, session: PageSession, label: str, *filter_values: Any) -> dict:
        state = session.state(ErrorsState)
        analysis = state.analysis
        if analysis is None or state.table is None:
            return {self.components.line: gr.skip()}
        state.table = analysis.against(state.table, label)
        method = analysis.beside(label)
        if method is not None and method.single:
            folder = method.runs[0].folder
            analysis.selection = replace(analysis.selection, beside=folder)
            session.apply(lambda selection: replace(selection, beside=folder))
        return self.show(session, *filter_values) | {self.open_in_explore.changed: session.selection}


def drawn_values(state: ErrorsState, filters: Filters, histogram: bool = False) -> dict[str, Any]:
    """Values of components by name: the table with these filters, and the histogram of the scores."""
    view = view_of(state, filters)
    if view is None or state.analysis is None:
        return {"line": gr.skip()}
    values = views.drawn(view, state.analysis.dataset, state.sample, state.analysis.groups_by_name())
    return values | ({"histogram": afrd.figures.score_histogram(view.table, view.threshold)} if histogram else {})


def begin_values(analysis: Analysis, state: ErrorsState) -> dict[str, Any]:
    """Values of components by name, for another run or other samples."""
    table = state.table
    assert table is not None
    state.contact, state.measured = False, None
    return {
        "status": views.summary(analysis, table),
        "body": gr.Column(visible=True),
        "other": gr.Dropdown([table.other] if table.other else [], value=table.other),
        "threshold": views.slider(analysis, table, table.first_threshold),
        "text": "",
        **dict.fromkeys(EMPTIED, ""),
        "contact_box": gr.Column(visible=False),
    }


def complete_values(analysis: Analysis, state: ErrorsState) -> dict[str, Any]:
    """Values of components by name, after all methods are evaluated."""
    assert state.table is not None
    table = state.table = analysis.against(analysis.table(), state.table.other)
    labels = [method.label for method in analysis.others if method.label in table.scores]
    return {
        "status": views.summary(analysis, table),
        "body": gr.Column(visible=True),
        "other": gr.Dropdown(labels, value=table.other),
    }
