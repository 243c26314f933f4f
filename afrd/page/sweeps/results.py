"""The sweeps in the page's folder of runs: their tables, and the run behind a cell of one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import afrd.analysis.comparison
import afrd.analysis.reports
import afrd.background
import afrd.runs
from afrd.page.common.library import Library
from afrd.page.common.samples import first_selection
from afrd.page.common.selection import Selection, with_run

if TYPE_CHECKING:
    import pandas as pd

    from afrd.analysis.comparison.sweep_results import GroupResult
    from afrd.runs.sweep_plan import SweepPlan


def sweep_folders(runs: Path) -> dict[str, Path]:
    """Folders of the sweeps anywhere below `runs`, by a name to be shown and chosen."""
    folders = sorted(path.parent for path in runs.glob(f"**/{afrd.runs.sweep_plan.PLAN_FILE}"))
    return {folder.relative_to(runs).as_posix() if folder != runs else runs.name: folder for folder in folders}


@dataclass(frozen=True)
class Sweep:
    """One sweep as it is on disk now.

    Attributes:
        folder, plan: of the sweep.
        sections: results that are averaged together, by title.
        states: how many cells are done, running, failed and waiting.
    """

    folder: Path
    plan: SweepPlan
    sections: dict[str, list[GroupResult]]
    states: Counter[str]

    @staticmethod
    def read(folder: Path) -> Sweep:
        """Raises ValueError or OSError where the plan, its data set or a result cannot be read."""
        plan = afrd.runs.read_sweep(folder)
        groups = plan.groups()
        sweeps = afrd.analysis.comparison.sweep_results
        sections = afrd.analysis.reports.sweep.titled(sweeps.comparable(sweeps.load_results(folder, groups)))
        cells = list(dict.fromkeys(cell for group in groups for cell in group.cells))
        states = Counter(status.state for status in afrd.background.sweep_status(folder, cells))
        return Sweep(folder, plan, sections, states)

    def progress(self) -> str:
        return ", ".join(f"{self.states[state]} {state}" for state in ("done", "running", "waiting", "failed"))

    def table(self, section: str, metric: str) -> pd.DataFrame:
        """A row a method, a column a category, then mean, difference and p, as text."""
        results = self.sections[section]
        return afrd.analysis.reports.sweep.table_in_words(
            afrd.analysis.comparison.sweep_results.summary_table(results, metric)
        )

    def run_of(self, section: str, method: str, column: str) -> Path:
        """Folder of the first run behind a cell; a column that is no category stands for the first one."""
        results = [result for result in self.sections[section] if method in result.methods]
        if not results:
            raise ValueError(f"this sweep has no method {method!r}")
        result = next((result for result in results if result.group.category == column), results[0])
        return self.folder / result.runs[result.methods.index(method)].split("|")[0]

    def report(self) -> str:
        """The whole report as one HTML page."""
        with TemporaryDirectory() as out:
            afrd.analysis.reports.sweep.write_report(self.plan, self.folder, Path(out))
            return (Path(out) / "report.html").read_text(encoding="utf-8")


def opened_run(library: Library, folder: Path) -> Selection:
    """A run in Explore, on the first samples of its category.

    Raises:
        ValueError: the page does not show it, as its data set is not here.
    """
    for entry in library.categories():
        for runs in (entry.fused, entry.single):
            run = next((run for run in runs if run.folder.resolve() == folder.resolve()), None)
            if run is not None:
                selection = first_selection(library, entry.key)
                if runs is entry.fused:
                    return with_run(library, selection, run.folder)
                return replace(selection, beside=run.folder)
    raise ValueError(f"{folder} cannot be shown: its data set is not where it was trained")
