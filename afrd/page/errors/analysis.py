"""Error analysis of a split by all methods, for the Errors tab, with cached tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import afrd.analysis.comparison
import afrd.analysis.errors
from afrd.background.jobs import Worker
from afrd.page.common.library import Library
from afrd.page.common.messages import PROBLEMS, NothingToShowError
from afrd.page.common.samples import with_named_sample
from afrd.page.common.selection import Selection, missing_run
from afrd.runs.cache import MB, Cache

if TYPE_CHECKING:
    from afrd.analysis.comparison.methods import Method
    from afrd.analysis.errors.groups import Group
    from afrd.analysis.errors.notes import Note
    from afrd.analysis.errors.table import ErrorTable
    from afrd.data.dataset import MultiLightDataset
    from afrd.metrics.predictions import Predictions

_tables = Cache(50 * MB)  # by methods and split


class Analysis:
    """One split of a category with its methods.

    Attributes:
        main: the method whose errors are analysed: that of the shown run in its own fusion.
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
            methods = library.methods(self.entry, selection.lights, selection.run)
            self.main: Method = afrd.analysis.comparison.reference_of(methods, selection.run)
            if self.main.late:
                raise ValueError("none of the runs has a light that is switched on")
        except PROBLEMS as error:
            raise NothingToShowError("This cannot be shown", str(error)) from None
        beside = [m for m in library.methods(self.entry, None, selection.run) if m.single and m not in methods]
        others = [m for m in methods if m is not self.main]
        # a single light can be compared with whether it is switched on or not
        self.methods = [self.main, *others, *(m for m in beside if m.label not in {o.label for o in others})]

    @property
    def others(self) -> list[Method]:
        """The methods to compare with, single lights first."""
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
        """The table of the run alone.

        Raises:
            NothingToShowError: the run cannot be evaluated on this split.
        """

        def make() -> ErrorTable:
            predictions = self.judged(self.main)
            return afrd.analysis.errors.table.table(
                [self.main], self.dataset, judge=lambda method, dataset: predictions
            )

        try:
            return _tables.get(self.library.judged_key(self.main, self.dataset), make)
        except PROBLEMS as error:
            raise NothingToShowError("This run cannot judge these samples", str(error)) from None

    def judging(self) -> Iterator[tuple[int, int, str]]:
        """Evaluates all methods, so that `table` is quick: (done, in all, label of the current one)."""
        if self._key() in _tables:
            return
        for done, method in enumerate(self.methods):
            yield done, len(self.methods), method.label
            with suppress(*PROBLEMS):  # a broken run beside must not hide the errors of this one
                self.judged(method)

    def table(self) -> ErrorTable:
        """The table of all methods that can be evaluated."""

        def make() -> ErrorTable:
            predictions = {}
            for method in self.methods[1:]:
                with suppress(*PROBLEMS):
                    predictions[method.label] = self.judged(method)
            return self.first_table().with_scores(predictions)

        return _tables.get(self._key(), make)

    @property
    def sample(self) -> str | None:
        """Name of the sample that Explore shows."""
        return self.dataset.names[self.selection.index] if self.selection.index is not None else None

    def is_same(self, other: Analysis) -> bool:
        """Whether the other analysis is of the same run and samples."""
        mine, theirs = (a.library.judged_key(a.main, a.dataset) for a in (self, other))
        return mine == theirs

    def _key(self) -> tuple:
        return tuple(self.library.judged_key(method, self.dataset) for method in self.methods)

    def against(self, table: ErrorTable, label: str | None) -> ErrorTable:
        """The table with another method for comparison, if that can be evaluated."""
        beside = self.beside(label)
        if beside is None:
            return table
        if beside.label not in table.scores:
            try:
                table = table.with_scores({beside.label: self.judged(beside)})
            except PROBLEMS:
                return table
        return table.against(beside.label)

    def notes(self) -> afrd.analysis.errors.Notes:
        return afrd.analysis.errors.Notes(self.main.runs[0].folder)

    def notes_by_sample(self) -> dict[str, Note]:
        """Notes by sample; empty if the file is broken, which `summary` reports."""
        try:
            return self.notes().of(self.dataset.split)
        except ValueError:
            return {}

    def groups(self) -> afrd.analysis.errors.Groups:
        """The groups of the folder that holds the run."""
        return afrd.analysis.errors.Groups(self.main.runs[0].folder.resolve().parent)

    def groups_by_name(self) -> dict[str, Group]:
        """Groups by name; none if the file is broken, which `summary` reports."""
        try:
            return self.groups().all()
        except ValueError:
            return {}

    def reading(self) -> Iterator[tuple[int, int]]:
        """Computes the teacher features of the split if needed; yields the progress."""
        folder = self.main.runs[0].folder
        try:
            yield from _in_background(lambda report: self.library.read(folder, self.dataset, report))
        except PROBLEMS as error:
            raise NothingToShowError("This run cannot judge these samples", str(error)) from None

    def opened(self, sample: str) -> Selection:
        """The selection that shows the sample in Explore."""
        return with_named_sample(self.library, self.selection, sample)


def _in_background(work: Callable[[Callable[[int, int], None]], None]) -> Iterator[tuple[int, int]]:
    """Runs `work(progress)` in a thread and yields its progress; its exception is raised here.

    It does not wait for `HEAVY_WORK`: the tab shows nothing without it, and a training may take hours.
    """
    job = Worker().submit(lambda report: work(lambda done, total: report("samples read", done, total)))
    while not job.wait(0.2):
        if job.total:
            yield job.done, job.total
    job.future.result()
