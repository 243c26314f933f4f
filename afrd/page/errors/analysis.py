"""What the Errors tab looks at: a split judged by all methods, made once and kept, and one user's view of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import wraps
from itertools import count
from typing import TYPE_CHECKING, Any

import afrd.analysis.comparison
import afrd.analysis.errors
from afrd.background.jobs import Worker
from afrd.page.common.library import Cache, Library
from afrd.page.common.samples import on_its_page, splits_of
from afrd.page.common.selection import Selection, missing_run
from afrd.page.common.session import PageSession

if TYPE_CHECKING:
    import pandas as pd

    from afrd.analysis.comparison.methods import Method
    from afrd.analysis.errors.notes import Note
    from afrd.analysis.errors.table import ErrorTable
    from afrd.data.dataset import MultiLightDataset
    from afrd.metrics.predictions import Predictions

PROBLEMS = (ValueError, OSError, RuntimeError)  # of a run or its data; RuntimeError: no weights for the teacher
CARDS = 20  # that a session remembers
_numbers = count(1)
_tables = Cache(24)  # tens of kB each, by what was judged


class NothingToShowError(Exception):
    """Why there is no error analysis: a title, a text, and a command that helps."""

    def __init__(self, title: str, explanation: str = "", command: str = "") -> None:
        super().__init__(title)
        self.parts = (title, explanation, command)


@dataclass(frozen=True)
class Filters:
    """What one user asks of the table.

    Attributes:
        question: one of `afrd.analysis.errors.table.QUESTIONS`.
        kind: `all`, `good`, `bad` or a defect type.
        text: words to search.
        region: column of the plot's x axis and a range of it, None for all.
    """

    question: str = "all"
    kind: str = "all"
    text: str = ""
    region: tuple[str, float, float] | None = None


class Analysis:
    """One split of a category with its methods.

    Attributes:
        main: the method whose errors are looked at: that of the shown run in its own fusion.
        methods: all, `main` first.

    Raises:
        NothingToShowError: no category, run, lights or samples.
    """

    def __init__(self, library: Library, selection: Selection) -> None:

        self.library, self.selection = library, selection
        if selection.category is None:
            raise NothingToShowError(
                "No samples to look at yet", f"There is no finished run in {library.runs} and no category."
            )
        try:
            self.entry = library.category(selection.category)
            self.dataset: MultiLightDataset = library.data_of(self.entry)[selection.split or ""]
            if not (self.entry.fused or self.entry.single):
                raise NothingToShowError(
                    f"No run for {self.entry.name} yet",
                    "Errors are those of a run. Train one:",
                    missing_run(self.entry),
                )
            if not selection.lights:
                raise NothingToShowError("No light is switched on", "Choose at least one light in Explore.")
            if not len(self.dataset):
                raise NothingToShowError("This split has no samples", "Choose another one.")
            found = library.methods(self.entry, selection.lights)
            self.main: Method = afrd.analysis.comparison.reference_of(found, selection.run)
            if self.main.late:
                raise ValueError("none of the runs knows a light that is switched on")
        except PROBLEMS as error:
            raise NothingToShowError("This cannot be shown", str(error)) from None
        beside = [m for m in library.methods(self.entry) if m.single and m not in found]
        others = [m for m in found if m is not self.main]
        # a single light can be compared with whether it is switched on or not
        self.methods = [self.main, *others, *(m for m in beside if m.label not in {o.label for o in others})]

    @property
    def others(self) -> list[Method]:
        """What to compare with, single lights first."""
        return sorted(self.methods[1:], key=lambda method: not method.single)

    def beside(self, label: str | None = None) -> Method | None:
        """The method of this label, else that of the run that Explore has beside, else the first single light."""
        for method in self.others:
            if method.label == label:
                return method
        for method in self.others:
            if method.single and method.runs[0].folder == self.selection.beside:
                return method
        return next(iter(self.others), None)

    def judged(self, method: Method) -> Predictions:
        return self.library.judged(method, self.dataset)

    def first_table(self) -> ErrorTable:
        """Of the run alone.

        Raises:
            NothingToShowError: it cannot judge this split.
        """

        def make() -> ErrorTable:
            judged = self.judged(self.main)
            with self.library.turn(self.main.runs[0]):
                return afrd.analysis.errors.table.table([self.main], self.dataset, judge=lambda method, dataset: judged)

        try:
            return _tables.get(self.library.judged_key(self.main, self.dataset), make)
        except PROBLEMS as error:
            raise NothingToShowError("This run cannot judge these samples", str(error)) from None

    def judging(self) -> Iterator[tuple[int, int, str]]:
        """Judges by all methods, so that `table` is quick: (done, in all, the one whose turn it is)."""
        if self._key() in _tables:
            return
        for done, method in enumerate(self.methods):
            yield done, len(self.methods), method.label
            with suppress(*PROBLEMS):  # a broken run beside must not hide the errors of this one
                self.judged(method)

    def table(self) -> ErrorTable:
        """Of all methods that can judge."""

        def make() -> ErrorTable:
            judged = {}
            for method in self.methods[1:]:
                with suppress(*PROBLEMS):
                    judged[method.label] = self.judged(method)
            return self.first_table().with_scores(judged)

        return _tables.get(self._key(), make)

    @property
    def sample(self) -> str | None:
        """Name of the sample that Explore shows."""
        return self.dataset.names[self.selection.index] if self.selection.index is not None else None

    def is_same(self, other: Analysis) -> bool:
        """Whether the same run judges the same samples there."""
        mine, theirs = (a.library.judged_key(a.main, a.dataset) for a in (self, other))
        return mine == theirs

    def _key(self) -> tuple:
        return tuple(self.library.judged_key(method, self.dataset) for method in self.methods)

    def against(self, found: ErrorTable, label: str | None) -> ErrorTable:
        """The same with another method beside the run, where that can judge."""
        beside = self.beside(label)
        if beside is None:
            return found
        if beside.label not in found.scores:
            try:
                found = found.with_scores({beside.label: self.judged(beside)})
            except PROBLEMS:
                return found
        return found.against(beside.label)

    def notes(self) -> afrd.analysis.errors.Notes:

        return afrd.analysis.errors.Notes(self.main.runs[0].folder)

    def known_notes(self) -> dict[str, Note]:
        """By sample name; none where the file is broken, of which `summary` speaks."""
        try:
            return self.notes().of(self.dataset.split)
        except ValueError:
            return {}

    def reading(self) -> Iterator[tuple[int, int]]:
        """Lets the teacher read the split where it has not, and says how far it is."""
        folder = self.main.runs[0].folder
        try:
            yield from _in_background(lambda told: self.library.read(folder, self.dataset, told))
        except PROBLEMS as error:
            raise NothingToShowError("This run cannot judge these samples", str(error)) from None

    def opened(self, sample: str) -> Selection:
        """The sample as Explore shows it."""
        index = self.dataset.names.index(sample)
        selection = replace(self.selection, index=index, kind="all", verdict="all", pinned=None)
        return on_its_page(self.library, selection)


@dataclass
class Card:
    """A sample whose note somebody has before him, and that note as he last saw it."""

    analysis: Analysis
    sample: str
    seen: Note


@dataclass
class ErrorsState:
    """What the server remembers of this tab for one browser session; events change it in place.

    Attributes:
        selection: what the tab shows.
        turn: number of the latest request to show something.
        split: category and split that were chosen in this tab.
        analysis, found: of the selection, once there is some.
        sample: name of the selected row.
        region: of `Filters`.
        cards: the latest by number; the browser holds that of the one it shows, so that a note which is on its way
            while another row is selected still finds its sample.
        lock: held while `selection`, `turn` and `split` change together.
    """

    selection: Selection = field(default_factory=Selection)
    turn: int = 0
    split: tuple[str | None, str | None] = (None, None)
    analysis: Analysis | None = None
    found: ErrorTable | None = None
    sample: str | None = None
    region: tuple[str, float, float] | None = None
    cards: dict[str, Card] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def take_up(self, analysis: Analysis) -> bool:
        """Looks at an analysis; whether it is of the same run and samples as before, so that what was asked stays.

        Raises:
            NothingToShowError: the run cannot judge these samples.
        """
        before, found = self.analysis, self.found
        kept = before is not None and found is not None and before.is_same(analysis)
        same_beside = kept and before is not None and before.selection.beside == analysis.selection.beside
        beside = found.other if same_beside and found is not None else None
        self.found = analysis.against(found if kept and found is not None else analysis.first_table(), beside)
        self.analysis, self.sample = analysis, analysis.sample or (self.sample if kept else None)
        if not kept:
            self.region = None
        return kept

    def show(self, card: Card) -> str:
        """Remembers a card; returns its number."""
        number = str(next(_numbers))
        self.cards[number] = card
        while len(self.cards) > CARDS:
            del self.cards[next(iter(self.cards))]
        return number


def on_state(handler: Callable) -> Callable:
    """The handler of an event that uses this tab's state only, as one that takes the session."""

    @wraps(handler)
    def handle(session: PageSession, *inputs: Any) -> Any:
        return handler(session.state(ErrorsState), *inputs)

    return handle


def _in_background(work: Callable[[Callable[[int, int], None]], None]) -> Iterator[tuple[int, int]]:
    """Runs `work(progress)` in a thread of its own and yields its progress; its exception is raised here.

    It does not wait for `HEAVY_WORK`: the tab shows nothing without it, and a training may take hours.
    """
    job = Worker().submit(lambda report: work(lambda done, total: report("samples read", done, total)))
    while not job.wait(0.2):
        if job.total:
            yield job.done, job.total
    job.future.result()


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
    """The table as one user looks at it: `frame` of all samples, and the positions of those that the filters let
    through, in the question's order."""

    found: ErrorTable
    at: float | None
    filters: Filters
    frame: pd.DataFrame
    rows: list[int]


def view_of(
    state: ErrorsState, place: float | None, question: str | None, kind: str | None, text: str | None
) -> View | None:
    """What the state's table shows at this threshold; None where there is none.

    Raises:
        ValueError: a question that there is not.
    """
    analysis, found = state.analysis, state.found
    if analysis is None or found is None:
        return None
    at = None if found.first_threshold is None or place is None else float(place)
    filters = Filters(question or "all", kind or "all", text or "", state.region)
    notes = analysis.known_notes()
    frame = found.frame(at, notes=notes)
    kept = found.search(filters.text, at, notes) if filters.text else None
    rows = [row for row in found.answer(filters.question, at) if kept is None or kept[row]]
    if filters.kind in ("good", "bad"):
        rows = [row for row in rows if found.samples.anomalous[row] is (filters.kind == "bad")]
    elif filters.kind != "all":
        rows = [row for row in rows if filters.kind in found.samples.defects[row].split("+")]
    if filters.region is not None and filters.region[0] in frame:
        column, low, high = filters.region
        values = frame[column].to_numpy()
        rows = [row for row in rows if low <= values[row] <= high]
    return View(found, at, filters, frame, rows)
