"""State of the Errors tab for one browser session, and the table that results from it."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING

import afrd.analysis.errors
from afrd.page.common.library import Library
from afrd.page.common.messages import PROBLEMS
from afrd.page.common.samples import splits_of
from afrd.page.common.selection import Selection
from afrd.page.errors.analysis import Analysis

if TYPE_CHECKING:
    import pandas as pd

    from afrd.analysis.errors.notes import Note
    from afrd.analysis.errors.table import ErrorTable

MAX_CARDS = 20  # cards that a session keeps
FILTER_INPUTS = (
    "threshold",
    "question",
    "kind",
    "text",
    "across",
    "up",
    "where",
)  # components whose values are `Filters`
_numbers = count(1)


@dataclass(frozen=True)
class Filters:
    """Filters of the table: values of the components of these names.

    Attributes:
        threshold: in units of the run's own, or raw where the run has none.
        question: one of `afrd.analysis.errors.table.QUESTIONS`.
        kind: `all`, `good`, `bad` or a defect type.
        text: words to search.
        across, up: columns on the plot's axes; None for the run's score and that of the method beside it.
        where: an expression over columns, see `afrd.analysis.errors.expression`.
    """

    threshold: float | None = None
    question: str | None = "all"
    kind: str | None = "all"
    text: str | None = ""
    across: str | None = None
    up: str | None = None
    where: str | None = ""


@dataclass
class Card:
    """A sample whose note is open in a browser, and the note as that browser has it."""

    analysis: Analysis
    sample: str
    note: Note


@dataclass
class ErrorsState:
    """State of the tab; events change it in place.

    Attributes:
        selection: what the tab shows.
        request: number of the latest request to show something.
        split: category and split that were chosen in this tab.
        analysis, table: of the selection, once there is some.
        sample: name of the selected row.
        region: a column and a range of it, chosen in the plot; None for all.
        changed_group: name of the group that was saved or removed last, which Undo is about.
        contact: whether the contact sheet is open.
        measured: what the metrics of groups that are shown were made of; None where none are shown.
        cards: the latest by number; the browser sends the number of the card that it shows, so that a note that
            arrives after another row was selected is still saved with its sample.
        lock: held while `selection`, `request` and `split` change together.
    """

    selection: Selection = field(default_factory=Selection)
    request: int = 0
    split: tuple[str | None, str | None] = (None, None)
    analysis: Analysis | None = None
    table: ErrorTable | None = None
    sample: str | None = None
    region: tuple[str, float, float] | None = None
    changed_group: str | None = None
    contact: bool = False
    measured: tuple | None = None
    cards: dict[str, Card] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def take_up(self, analysis: Analysis) -> bool:
        """Shows an analysis; returns whether it is of the same run and samples as before, so that the filters stay.

        Raises:
            NothingToShowError: the run cannot judge these samples.
        """
        before, table = self.analysis, self.table
        is_same = before is not None and table is not None and before.is_same(analysis)
        if before is None or table is None or not is_same:
            self.table, self.region = analysis.against(analysis.first_table(), None), None
        else:
            same_beside = before.selection.beside == analysis.selection.beside
            self.table = analysis.against(table, table.other if same_beside else None)
        self.analysis, self.sample = analysis, analysis.sample or (self.sample if is_same else None)
        return is_same

    def threshold(self, chosen: float | None) -> float | None:
        """The chosen one; None where verdicts need none that a user could choose.

        Raises:
            ValueError: it is not a number.
        """
        if chosen is None or self.table is None or self.table.first_threshold is None:
            return None
        try:
            return float(chosen)
        except TypeError:  # from a script
            raise ValueError(f"the threshold is {chosen!r}; it must be a number") from None

    def show(self, card: Card) -> str:
        """Remembers a card; returns its number."""
        number = str(next(_numbers))
        self.cards[number] = card
        while len(self.cards) > MAX_CARDS:
            del self.cards[next(iter(self.cards))]
        return number


def shown_first(state: ErrorsState, selection: Selection, library: Library) -> Selection:
    """What the tab shows of a selection: the split that was chosen in it, else the test split where there is one."""
    with suppress(*PROBLEMS):
        splits = splits_of(library, library.category(selection.category))
        chosen = state.split[1] if state.split[0] == selection.category and state.split[1] in splits else None
        split = chosen or (selection.split if (selection.split or "").startswith("test") else splits[0])
        return replace(selection, split=split, index=selection.index if split == selection.split else None)
    return selection


@dataclass(frozen=True, eq=False)
class View:
    """The table as one user has it.

    Attributes:
        table: all samples.
        threshold: where verdicts change; None where there is none.
        filters, region: see `Filters` and `ErrorsState`.
        frame: of all samples.
        rows: positions of the samples that pass the filters, in the question's order.
        problem: why the expression is ignored: it is invalid, or names a column that does not exist.
    """

    table: ErrorTable
    threshold: float | None
    filters: Filters
    region: tuple[str, float, float] | None
    frame: pd.DataFrame
    rows: list[int]
    problem: str = ""


def view_of(state: ErrorsState, filters: Filters) -> View | None:
    """What the state's table shows with these filters; None where there is no table.

    Raises:
        ValueError: an unknown question, or a threshold that is not a number.
    """
    analysis, table = state.analysis, state.table
    if analysis is None or table is None:
        return None
    question, kind, text = filters.question or "all", filters.kind or "all", filters.text or ""
    where = (filters.where or "").strip()
    threshold = state.threshold(filters.threshold)
    notes = analysis.notes_by_sample()
    frame = table.frame(threshold, notes=notes)
    region = state.region if state.region is not None and state.region[0] in frame else None
    group = afrd.analysis.errors.Group("", question, kind, text, region)
    rows, problem = group.rows(table, threshold, notes, frame), ""
    if where:
        try:
            rows = replace(group, where=where).rows(table, threshold, notes, frame)
        except ValueError as error:
            problem = str(error)
    filters = replace(filters, threshold=threshold, question=question, kind=kind, text=text, where=where)
    return View(table, threshold, filters, region, frame, rows, problem)
