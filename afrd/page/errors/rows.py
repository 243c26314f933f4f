"""Rows of the Errors tab: the selected one's card and note, the way into Explore, and files of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import gradio as gr

import afrd.analysis.errors
import afrd.analysis.reports
from afrd.page.common.html import plain
from afrd.page.common.messages import page_error
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.session import PageSession
from afrd.page.errors import views
from afrd.page.errors.analysis import PROBLEMS, Analysis, Card, ErrorsState, View, on_state, view_of
from afrd.page.errors.layout import ErrorsComponents

SELECTED = ("card", "note_box", "number", "note", "tags", "saved")  # what `selected_row` fills
FETCH = "() => document.querySelector('#errors-{}')?.click()"  # a file that was just made
_numbers = count(1)


def connect_rows(
    open_in_explore: OpenInExplore, components: ErrorsComponents, on: Callable, asked: list, merged: gr.State
) -> None:
    """A row: its card and note, and the way into Explore."""
    selected = components.named(*SELECTED)

    def select_row(
        session: PageSession,
        place: float,
        question: str,
        kind: str,
        text: str,
        across: str,
        up: str,
        picked: gr.SelectData,
    ) -> dict:
        state = session.state(ErrorsState)
        name = (picked.row_value or ["", ""])[1]
        if state.analysis is None or name not in state.analysis.dataset.names:
            return {components.saved: gr.skip()}
        state.sample = name
        if picked.index[1] == 0:
            return dict(zip(open_in_explore.outputs, opened(session, state.analysis, name), strict=True))
        view = asked_view(state, place, question, kind, text)
        assert view is not None
        points = views.points(view, state.sample, *views.axes(view, across, up)[1:])
        return selected_row(components, state, place) | {components.scatter: points}

    def open_row(session: PageSession) -> list:
        state = session.state(ErrorsState)
        if state.analysis is None or state.sample is None:
            raise page_error("Select a row first.")
        return opened(session, state.analysis, state.sample)

    def opened(session: PageSession, analysis: Analysis, sample: str) -> list:
        selection = analysis.opened(sample)
        return open_in_explore.opened(session, lambda _: selection)

    def save(state: ErrorsState, number: str, text: str, tags: list[str], place: float, *asked: Any) -> dict:

        card = state.cards.get(number)
        if card is None:
            return {components.saved: gr.skip()}
        notes, split = card.analysis.notes(), card.analysis.dataset.split
        try:
            new = afrd.analysis.errors.cleaned(afrd.analysis.errors.Note(text or "", tuple(tags or ())))
            if new == card.seen:
                return {components.saved: gr.skip()}
            stored = notes.save(split, card.sample, new, card.seen)
            known = notes.tags()
        except ValueError as error:
            raise page_error(str(error)) from None
        # the menu is touched only where tags changed: a new one may be half typed while a note is saved
        retagged = list(new.tags) != list(tags or ()) or new.tags != card.seen.tags
        card.seen = new
        view = asked_view(state, place, *asked[:3])
        result: dict[Any, Any] = {components.sheet: views.sheet(view)} if view is not None else {}
        if stored == new:
            if retagged:
                result[components.tags] = gr.Dropdown(known, value=list(new.tags), allow_custom_value=True)
            return result | {components.saved: plain(f"Note on {card.sample} saved")}
        result[components.saved] = plain(f"{card.sample}: saved, beside what somebody else has written meanwhile")
        is_shown = number == next(reversed(state.cards))
        return result | ({merged: next(_numbers)} if is_shown else {})

    usual = {"concurrency_limit": 2, "concurrency_id": "torch"}
    on(
        components.sheet.select,
        select_row,
        asked,
        [*selected, components.scatter, *open_in_explore.outputs],
        "errors_select",
        **usual,
    )
    on(components.open.click, open_row, [], open_in_explore.outputs, "errors_open_row", **usual)
    saving = [components.number, components.note, components.tags, *asked]
    kept = [components.sheet, components.saved, components.tags, merged]
    on(components.note.blur, on_state(save), saving, kept, "errors_save_note", trigger_mode="multiple")
    # not `input`, which a tag of the user's own does not fire; a card being filled says nothing new and is left alone
    on(components.tags.change, on_state(save), saving, kept, "errors_save_tags", trigger_mode="multiple")
    on(
        merged.change,
        on_state(
            lambda state, at: selected_row(
                components, state, at, "saved, beside what somebody else has written meanwhile"
            )
        ),
        [components.threshold],
        selected,
        "errors_read_note_again",
    )


def connect_files(components: ErrorsComponents, on: Callable, asked: list) -> None:
    """The table as CSV, and as a report with pictures."""

    def looked_at(state: ErrorsState, asked: tuple) -> tuple[Analysis, View]:
        view = asked_view(state, *asked[:4])
        if view is None or state.analysis is None:
            raise page_error("There is no table yet.")
        return state.analysis, view

    def make_csv(state: ErrorsState, *asked: Any) -> str:

        analysis, view = looked_at(state, asked)
        return _file(analysis, "csv", afrd.analysis.reports.errors.csv(view.frame.iloc[view.rows]))

    def make_report(session: PageSession, *asked: Any) -> Iterator[dict]:
        analysis, view = looked_at(session.state(ErrorsState), asked)
        yield {components.report: gr.Button("Making it …", interactive=False)}
        beside = analysis.beside(view.found.other)
        judged = [analysis.judged(method) for method in (analysis.main, beside) if method is not None]
        which, notes = views.count_line(view).partition(": ")[2], analysis.known_notes()
        light = analysis.selection.shown
        try:
            whole = afrd.analysis.reports.errors.report(
                view.found, view.rows, analysis.dataset, judged, notes, view.at, which, light
            )
        except PROBLEMS as error:
            yield {components.report: gr.Button("Report", interactive=True)}
            raise page_error(str(error)) from None
        file = _file(analysis, "html", whole)
        yield {components.report: gr.Button("Report", interactive=True), components.report_file: file}

    usual = {"concurrency_limit": 2, "concurrency_id": "torch"}
    on(components.csv.click, on_state(make_csv), asked, [components.csv_file], "errors_csv").then(
        None, None, None, js=FETCH.format("csv-file"), api_name="errors_fetch_csv"
    )
    on(
        components.report.click,
        make_report,
        asked,
        [components.report, components.report_file],
        "errors_report",
        **usual,
    ).success(None, None, None, js=FETCH.format("report-file"), api_name="errors_fetch_report")


def _file(analysis: Analysis, kind: str, content: str) -> str:
    """A file of this content among Gradio's own, which it clears away."""
    from gradio.utils import get_upload_folder

    Path(get_upload_folder()).mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(dir=get_upload_folder()))
    name = f"errors-{analysis.dataset.category}-{analysis.dataset.split}.{kind}"
    (folder / name).write_text(content)
    return str(folder / name)


def selected_row(components: ErrorsComponents, state: ErrorsState, place: float | None, said: str = "") -> dict:
    """Values of the selected row's card and note, as they are stored now."""

    analysis, found, sample = state.analysis, state.found, state.sample
    if analysis is None or found is None:
        return {components.saved: gr.skip()}
    at = None if found.first_threshold is None else place
    card = views.card_of(analysis, found, at, sample)
    if sample is None:
        return components.filled({"card": card, "note_box": gr.Column(visible=False)})
    try:
        notes = analysis.notes()
        note, known = notes.of(analysis.dataset.split).get(sample, afrd.analysis.errors.Note()), notes.tags()
    except ValueError as error:
        return components.filled({"card": card, "note_box": gr.Column(visible=False), "saved": str(error)})
    return components.filled(
        {
            "card": card,
            "note_box": gr.Column(visible=True),
            "number": state.show(Card(analysis, sample, note)),
            "note": note.text,
            "tags": gr.Dropdown(known, value=list(note.tags), allow_custom_value=True),
            "saved": said,
        }
    )


def asked_view(state: ErrorsState, *asked: Any) -> View | None:
    try:
        return view_of(state, *asked)
    except (ValueError, TypeError) as error:  # a script asked what the page does not
        raise page_error(str(error)) from None
