"""The run and the split that the Lights tab shows, their survey, and the job that makes it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import afrd.analysis.lights
import afrd.runs
from afrd.background.jobs import Job, Jobs, Report
from afrd.page.common import keys
from afrd.page.common.library import Library
from afrd.page.common.messages import PROBLEMS, NothingToShowError
from afrd.page.common.selection import Selection, missing_run

if TYPE_CHECKING:
    from afrd.analysis.lights.survey import Survey
    from afrd.data.dataset import Category, MultiLightDataset
    from afrd.runs.run import Run

CHECK_SECONDS = 0.3  # between checks of a job


@dataclass(frozen=True)
class Subject:
    """A run of several lights and a split of its category."""

    selection: Selection
    run: Run
    data: Category
    dataset: MultiLightDataset

    @property
    def key(self) -> Hashable:
        """Key of the run and the split as they are on disk."""
        return keys.of_run(self.run.folder), keys.of_split(self.dataset)

    @property
    def sample(self) -> int:
        """The chosen sample, or the first one."""
        index = self.selection.index
        return index if index is not None and index < len(self.dataset) else 0


class Surveys:
    """The surveys of the page's runs, and the jobs that make them."""

    def __init__(self, library: Library) -> None:
        self.library, self.jobs = library, Jobs()

    def subject(self, selection: Selection) -> Subject:
        """Run and split of a selection.

        Raises:
            NothingToShowError: there is no category, no run, or they do not fit.
        """
        library = self.library
        if selection.category is None:
            raise NothingToShowError("Nothing to look at yet", "There is no category and no finished run.")
        try:
            entry = library.category(selection.category)
            if selection.run is None:
                why = "Only a run of several lights can say which of them are needed. Train one:"
                raise NothingToShowError(f"No run of {entry.name} yet", why, missing_run(entry))
            data = library.data_of(entry)
            dataset = data[selection.split or data.test_split]
            run = library.run(selection.run)
            missing = [light for light in run.lights if light not in dataset.lights]
        except PROBLEMS as error:
            raise NothingToShowError("This cannot be shown", str(error)) from None
        if len(run.lights) < 2:
            raise NothingToShowError("One light only", f"{run.name} has the light {run.lights[0]} and no other.")
        if missing:
            raise NothingToShowError(
                "Run and pictures do not fit",
                f"{run.name} was trained on a light {missing[0]!r}, which {entry.name} does not have.",
            )
        return Subject(selection, run, data, dataset)

    def survey(self, subject: Subject, metric: str) -> Survey | None:
        """The stored survey of the run; None if there is none yet.

        Raises:
            NothingToShowError: the split has no good or no anomalous samples.
        """
        try:
            afrd.analysis.lights.with_truth(subject.dataset)
            return afrd.analysis.lights.load_survey(subject.run, subject.dataset, metric)
        except PROBLEMS as error:
            raise NothingToShowError("Nothing to judge lights by", str(error)) from None

    def start(self, subject: Subject, metric: str) -> Job:
        """Evaluates the subsets of the lights in the background, after other heavy work."""

        def work(report: Report) -> Survey:
            # A separate instance of the run, as its caches are not thread-safe.
            run = afrd.runs.load_run(subject.run.folder, str(subject.run.device))
            return afrd.analysis.lights.survey.survey(run, subject.dataset, metric, report)

        return self.jobs.start((subject.key, metric), work, f"the survey of {subject.run.name}")

    def job(self, subject: Subject, metric: str) -> Job | None:
        return self.jobs.get((subject.key, metric))

    def forget(self, subject: Subject, metric: str, job: Job) -> None:
        self.jobs.forget((subject.key, metric), job)
