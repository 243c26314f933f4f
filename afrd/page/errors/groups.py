"""Groups in the Errors tab: saved filters, the metrics of their samples, and the maps of all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd

import afrd.analysis.errors
import afrd.analysis.reports
from afrd.page.common.html import macros, plain
from afrd.page.common.messages import PROBLEMS, working
from afrd.page.common.session import PageSession
from afrd.page.errors import views
from afrd.page.errors.analysis import Analysis
from afrd.page.errors.layout import ErrorsComponents
from afrd.page.errors.state import FILTER_INPUTS, ErrorsState, Filters, View, view_of
from afrd.runs.cache import MB, Cache

if TYPE_CHECKING:
    from afrd.analysis.errors.groups import Group

TABLE_ROWS, ALL_ROWS = "in the table", "all samples"  # rows of the metrics that are no saved groups
CHANGED = ("group", "group_name", "undo_group", "group_said")  # what saving, removing and undoing fill
CONTACT = ("contact_box", "contact_map", "contact_tiles")  # what the contact sheet fills
_metrics = Cache(2 * MB)  # by methods, samples and threshold


class GroupActions:
    """Handlers of the events of groups and of the contact sheet.

    Args:
        components: of the tab.
        on: of the tab; it connects an event.
        drawn: names of the components that show the table.
        draw: values of these for a state and filters, by name.
        may_save: whether groups can be saved and removed here.
    """

    def __init__(
        self,
        components: ErrorsComponents,
        on: Callable,
        drawn: tuple[str, ...],
        draw: Callable[[ErrorsState, Filters], dict[str, Any]],
        may_save: bool,
    ) -> None:
        self.components, self.draw = components, draw
        filter_values = components.named(*FILTER_INPUTS)
        outputs = components.named("where", "text", *drawn)
        on(components.group.input, self.choose, [components.group, *filter_values], outputs, "errors_choose_group")
        if may_save:
            named = [components.group_name, *filter_values]
            changed = components.named(*CHANGED)
            on(components.save_group.click, self.save, named, changed, "errors_save_group")
            on(components.remove_group.click, self.remove, [components.group], changed, "errors_remove_group")
            on(components.undo_group.click, self.undo, filter_values, changed, "errors_undo_group")
        heavy = {"concurrency_limit": 2, "concurrency_id": "torch"}
        table = components.named("group_table", "measure")
        on(components.measure.click, self.measure, filter_values, table, "errors_group_metrics", **heavy)
        contact, chosen = components.named(*CONTACT), components.named("contact_order", "contact_map")
        inputs = [*chosen, *filter_values]
        on(components.contact.click, self.open_contact, inputs, contact, "errors_contact_sheet", **heavy)
        for name, menu in zip(("order", "map"), chosen, strict=True):
            on(menu.input, self.show_contact, inputs, contact, f"errors_contact_{name}", **heavy)
        follows = [*contact, components.group_table]
        on(components.stamp.change, self.follow, inputs, follows, "errors_contact_follow", **heavy)

    def choose(self, session: PageSession, name: str | None, *filter_values: Any) -> dict:
        """Filters the table by a group."""
        state, now = session.state(ErrorsState), Filters(*filter_values)
        if state.analysis is None:
            return {self.components.group_said: gr.skip()}
        group = state.analysis.groups().get(name) if name else afrd.analysis.errors.Group()
        state.region = group.region
        filters = Filters(now.threshold, group.question, group.kind, group.text, now.across, now.up, group.where)
        return self.components.filled({"where": group.where, "text": group.text} | self.draw(state, filters))

    def save(self, session: PageSession, name: str | None, *filter_values: Any) -> dict:
        """Keeps the filters of the table under a name."""
        analysis, view = shown_view(session, filter_values)
        name, groups = (name or "").strip(), analysis.groups()
        if not name:
            raise ValueError("Write a name for the group first.")
        replaces = name in groups.all()
        groups.save(name, group_of(view))
        how = "replaced the group of this name; Undo brings it back" if replaces else "saved for all who use these runs"
        return self._changed(session, name, name, f"{name}: {how}")

    def remove(self, session: PageSession, name: str | None) -> dict:
        analysis = session.state(ErrorsState).analysis
        if analysis is None or not name:
            raise ValueError("Choose a group first; it must be one that is saved.")
        analysis.groups().save(name, None)
        return self._changed(session, name, None, f"{name} removed; Undo brings it back")

    def undo(self, session: PageSession, *filter_values: Any) -> dict:
        """Undoes the latest change of the group that was saved or removed last here."""
        state = session.state(ErrorsState)
        if state.analysis is None or state.changed_group is None:
            raise ValueError("There is no change of a group to undo.")
        name = state.changed_group
        group = state.analysis.groups().undo(name)
        view = view_of(state, Filters(*filter_values))
        chosen = name if view is not None and group == group_of(view) else None
        values = self._changed(session, name, chosen, f"{name} {'is as before' if group else 'no longer exists'}")
        return values | {self.components.undo_group: gr.Button(visible=False)}

    def _changed(self, session: PageSession, name: str, chosen: str | None, answer: str) -> dict:
        state = session.state(ErrorsState)
        assert state.analysis is not None
        state.changed_group = name
        choices = views.group_choices(state.analysis.groups_by_name())
        return self.components.filled(
            {
                "group": gr.Dropdown(choices, value=chosen or ""),
                "group_name": "",
                "undo_group": gr.Button(visible=True),
                "group_said": plain(answer),
            }
        )

    def measure(self, session: PageSession, *filter_values: Any) -> Iterator[dict]:
        """The metrics of all groups, and of the samples in the table."""
        state, filled = session.state(ErrorsState), self.components.filled
        analysis, view = shown_view(session, filter_values)
        button = {"measure": gr.Button("Metrics of groups", interactive=True)}
        yield filled(
            {"measure": gr.Button("Computing …", interactive=False), "group_table": working("Metrics of groups")}
        )
        try:
            metrics, left_out = measured(analysis, view)
        except PROBLEMS:
            yield filled(button | {"group_table": ""})
            raise
        state.measured = key_of(view)
        texts = afrd.analysis.reports.groups.group_texts(metrics, view.table.column_names())
        explained = afrd.analysis.reports.groups.EXPLANATION
        html = macros(views.TEMPLATE).groups(list(texts), texts.to_numpy().tolist(), left_out, explained)
        yield filled(button | {"group_table": html})

    def open_contact(self, session: PageSession, *values: Any) -> dict:
        """Opens the contact sheet, or closes it."""
        state = session.state(ErrorsState)
        state.contact = not state.contact
        try:
            return self.show_contact(session, *values)
        except PROBLEMS:
            state.contact = False
            raise

    def show_contact(self, session: PageSession, order: str, label: str | None, *filter_values: Any) -> dict:
        state = session.state(ErrorsState)
        if not state.contact:
            return self.components.filled({"contact_box": gr.Column(visible=False), "contact_tiles": ""})
        analysis, view = shown_view(session, filter_values)
        table, names = view.table, view.table.column_names()
        labels = [name for name in (table.run, table.other) if name]
        label = label if label in labels else table.run
        method = analysis.main if label == table.run else analysis.beside(table.other)
        assert method is not None
        light = analysis.selection.shown
        html = afrd.analysis.reports.contact_sheet.contact_sheet(
            table, view.rows, analysis.dataset, analysis.judged(method), label, view.threshold, light, order, "pick"
        )
        maps = gr.Dropdown([(names[name], name) for name in labels], value=label)
        return self.components.filled(
            {"contact_box": gr.Column(visible=True), "contact_map": maps, "contact_tiles": html}
        )

    def follow(self, session: PageSession, order: str, label: str | None, *filter_values: Any) -> dict:
        """After the table was drawn: the contact sheet shows its samples, and outdated metrics are removed."""
        state, view = session.state(ErrorsState), view_of(session.state(ErrorsState), Filters(*filter_values))
        values: dict[Any, Any] = {self.components.contact_map: gr.skip()}
        if state.measured is not None and (view is None or key_of(view) != state.measured):
            state.measured = None
            values[self.components.group_table] = ""
        if not state.contact or view is None:
            return values
        try:
            return values | self.show_contact(session, order, label, *filter_values)
        except PROBLEMS as error:
            return values | {self.components.contact_tiles: macros(views.TEMPLATE).nothing(error)}


def shown_view(session: PageSession, filter_values: tuple) -> tuple[Analysis, View]:
    """The analysis and the view in the user's table.

    Raises:
        ValueError: there is no table, or its expression is invalid.
    """
    state = session.state(ErrorsState)
    view = view_of(state, Filters(*filter_values))
    if view is None or state.analysis is None:
        raise ValueError("There is no table yet.")
    if view.problem:
        raise ValueError(f"Where: {view.problem}")
    return state.analysis, view


def group_of(view: View) -> Group:
    """The filters of a view."""
    filters = view.filters
    return afrd.analysis.errors.Group(
        filters.where or "", filters.question or "all", filters.kind or "all", filters.text or "", view.region
    )


def key_of(view: View) -> tuple:
    """What metrics of groups depend on, besides the groups."""
    return view.table.run, view.table.other, view.threshold, view.table.category, view.table.split


def measured(analysis: Analysis, view: View) -> tuple[pd.DataFrame, list[str]]:
    """Metrics of all samples, of those shown and of every group; sentences on groups that do not fit this table."""
    table, threshold = view.table, view.threshold
    beside = analysis.beside(table.other) if table.other else None
    methods = [method for method in (analysis.main, beside) if method is not None]
    predictions = [analysis.judged(method) for method in methods]
    state = tuple(analysis.library.judged_key(method, analysis.dataset) for method in methods)
    rows = {ALL_ROWS: list(range(len(table)))} | ({TABLE_ROWS: view.rows} if len(view.rows) < len(table) else {})
    notes, left_out = analysis.notes_by_sample(), []
    for name, group in analysis.groups().all().items():
        try:
            rows[name] = group.rows(table, threshold, notes, view.frame)
        except ValueError as error:
            left_out.append(f"{name} is left out: {error}")

    def of_group(name: str) -> pd.DataFrame:
        chosen = sorted(rows[name])
        key = (state, threshold, tuple(chosen))
        make = afrd.analysis.errors.group_metrics.group_metrics
        return _metrics.get(key, lambda: make(table, {"": chosen}, predictions, threshold)).assign(group=name)

    return pd.concat([of_group(name) for name in rows], ignore_index=True), left_out
