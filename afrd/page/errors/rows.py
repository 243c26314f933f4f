"""Rows of the Errors tab: the selected row's card and note, and opening it in Explore."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import gradio as gr

import afrd.analysis.errors
from afrd.page.common.html import plain
from afrd.page.common.messages import event_value
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.session import PageSession
from afrd.page.errors import views
from afrd.page.errors.analysis import Analysis
from afrd.page.errors.layout import ErrorsComponents
from afrd.page.errors.state import FILTER_INPUTS, Card, ErrorsState, Filters, view_of

SELECTED = ("card", "note_box", "number", "note", "tags", "undo", "saved")  # what `selected_row` fills
MERGED = "saved, beside what somebody else has written meanwhile"
_numbers = count(1)


class Rows:
    """Handlers of the events of rows, of notes and of tags.

    Args:
        open_in_explore: of the page.
        components: of the tab.
        on: of the tab; it connects an event.
        merged: changes when a note was merged with somebody else's, so that it is read again.
    """

    def __init__(
        self, open_in_explore: OpenInExplore, components: ErrorsComponents, on: Callable, merged: gr.State
    ) -> None:
        self.open_in_explore, self.components, self.merged = open_in_explore, components, merged
        filter_values, selected = components.named(*FILTER_INPUTS), components.named(*SELECTED)
        usual = {"concurrency_limit": 2, "concurrency_id": "torch"}
        outputs = [*selected, components.scatter, *open_in_explore.outputs]
        on(components.sheet.select, self.select_row, filter_values, outputs, "errors_select", **usual)
        on(components.open.click, self.open_row, [], open_in_explore.outputs, "errors_open_row", **usual)
        on(
            components.contact_tiles.pick,
            self.pick,
            filter_values,
            [*selected, components.scatter],
            "errors_pick",
            **usual,
        )
        saving = [components.number, components.note, components.tags, *filter_values]
        saved = [components.sheet, components.saved, components.tags, components.undo, merged]
        on(components.note.blur, self.save, saving, saved, "errors_save_note", trigger_mode="multiple")
        # not `input`, which a tag of the user's own does not fire; a card being filled changes nothing
        on(components.tags.change, self.save, saving, saved, "errors_save_tags", trigger_mode="multiple")
        undone = [components.sheet, *selected]
        on(components.undo.click, self.undo, [components.number, *filter_values], undone, "errors_undo_note", **usual)
        on(merged.change, self.read_again, [components.threshold], selected, "errors_read_note_again")

    def select_row(self, session: PageSession, event: gr.SelectData, *filter_values: Any) -> dict:
        state, filters = session.state(ErrorsState), Filters(*filter_values)
        name = (event.row_value or ["", ""])[1]
        if state.analysis is None or name not in state.analysis.dataset.names:
            return {self.components.saved: gr.skip()}
        state.sample = name
        if event.index[1] == 0:
            return self.opened(session, state.analysis, name)
        view = view_of(state, filters)
        assert view is not None
        values = selected_row(state, filters.threshold)
        return self.components.filled(values | {"scatter": views.points(view, state.sample)})

    def pick(self, session: PageSession, event: gr.EventData, *filter_values: Any) -> dict:
        """Selects the sample of a tile of the contact sheet."""
        state, row, filters = session.state(ErrorsState), event_value(event, "number", int), Filters(*filter_values)
        view = view_of(state, filters)
        if state.analysis is None or view is None or not 0 <= row < len(state.analysis.dataset.names):
            raise ValueError("This sample is not in the table any more.")
        state.sample = state.analysis.dataset.names[row]
        values = selected_row(state, filters.threshold)
        return self.components.filled(values | {"scatter": views.points(view, state.sample)})

    def open_row(self, session: PageSession) -> dict:
        state = session.state(ErrorsState)
        if state.analysis is None or state.sample is None:
            raise ValueError("Select a row first.")
        return self.opened(session, state.analysis, state.sample)

    def opened(self, session: PageSession, analysis: Analysis, sample: str) -> dict:
        selection = analysis.opened(sample)
        return self.open_in_explore.opened(session, lambda _: selection)

    def save(self, session: PageSession, number: str, text: str, tags: list[str], *filter_values: Any) -> dict:
        """Saves the note of the card of this number."""
        state, components = session.state(ErrorsState), self.components
        card = state.cards.get(number)
        note = afrd.analysis.errors.cleaned(afrd.analysis.errors.Note(text or "", tuple(tags or ())))
        if card is None or note == card.note:
            return {components.saved: gr.skip()}
        notes = card.analysis.notes()
        stored = notes.save(card.analysis.dataset.split, card.sample, note, card.note)
        # the menu is filled only where tags changed: a new one may be half typed while a note is saved
        retagged = list(note.tags) != list(tags or ()) or note.tags != card.note.tags
        card.note = note
        view = view_of(state, Filters(*filter_values))
        values: dict[Any, Any] = {components.undo: gr.Button(visible=True)}
        if view is not None:
            values[components.sheet] = views.sheet(view)
        if stored == note:
            if retagged:
                values[components.tags] = tag_menu(notes.tags(), note.tags)
            return values | {components.saved: plain(f"Note on {card.sample} saved")}
        values[components.saved] = plain(f"{card.sample}: {MERGED}")
        is_shown = number == next(reversed(state.cards))
        return values | ({self.merged: next(_numbers)} if is_shown else {})

    def undo(self, session: PageSession, number: str, threshold: float, *filter_values: Any) -> dict:
        """Undoes the latest change of the note of the card of this number."""
        state = session.state(ErrorsState)
        card = state.cards.get(number)
        if card is None:
            raise ValueError("Select a row first.")
        card.analysis.notes().undo(card.analysis.dataset.split, card.sample, card.note)
        state.sample = card.sample
        values = selected_row(state, threshold, f"{card.sample}: the last change was undone")
        view = view_of(state, Filters(threshold, *filter_values))
        return self.components.filled(values | ({"sheet": views.sheet(view)} if view is not None else {}))

    def read_again(self, session: PageSession, threshold: float) -> dict:
        return self.components.filled(selected_row(session.state(ErrorsState), threshold, MERGED))


def selected_row(state: ErrorsState, threshold: float | None, saved: str = "") -> dict[str, Any]:
    """Values of components by name: the selected row's card, and its note as it is stored now."""
    analysis, table, sample = state.analysis, state.table, state.sample
    if analysis is None or table is None:
        return {"saved": gr.skip()}
    values: dict[str, Any] = {"card": views.card_of(analysis, table, state.threshold(threshold), sample)}
    if sample is None:
        return values | {"note_box": gr.Column(visible=False)}
    try:
        notes = analysis.notes()
        note, tags = notes.of(analysis.dataset.split).get(sample, afrd.analysis.errors.Note()), notes.tags()
    except ValueError as error:
        return values | {"note_box": gr.Column(visible=False), "saved": plain(error)}
    return values | {
        "note_box": gr.Column(visible=True),
        "number": state.show(Card(analysis, sample, note)),
        "note": note.text,
        "tags": tag_menu(tags, note.tags),
        "undo": gr.Button(visible=notes.can_undo(analysis.dataset.split, sample)),
        "saved": plain(saved),
    }


def tag_menu(tags: list[str], chosen: tuple[str, ...]) -> gr.Dropdown:
    return gr.Dropdown(tags, value=list(chosen), allow_custom_value=True)
