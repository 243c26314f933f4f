"""The sweeps in the page's folder of runs: their tables, and the run behind a cell of one."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import afrd.analysis.comparison
import afrd.analysis.reports
import afrd.background
import afrd.data
import afrd.runs
from afrd.files import file_state, once_per_snapshot
from afrd.page.common.library import Library
from afrd.page.common.samples import first_selection
from afrd.page.common.selection import Selection, with_run
from afrd.runs.cache import MB, Cache

if TYPE_CHECKING:
    import pandas as pd

    from afrd.analysis.comparison.sweep_results import GroupResult
    from afrd.background.sweep_status import CellStatus
    from afrd.runs.sweep_plan import Group, SweepPlan


@dataclass(frozen=True)
class Sweep:
    """One sweep in its current state on disk.

    Attributes:
        folder, plan: of the sweep.
        groups: of its cells.
        sections: results that are averaged together, by title.
        statuses: of all cells.
    """

    folder: Path
    plan: SweepPlan
    groups: list[Group]
    sections: dict[str, list[GroupResult]]
    statuses: list[CellStatus]

    @property
    def results(self) -> int:
        """How many groups have been evaluated."""
        return sum(map(len, self.sections.values()))

    @property
    def changing(self) -> bool:
        """Whether cells are being trained, or groups may be being evaluated."""
        states = {status.state for status in self.statuses}
        return "running" in states or ("waiting" not in states and self.results < len(self.groups))

    def progress(self) -> str:
        """How many cells are in each state, and the time that is left while some are running."""
        return afrd.background.sweep_progress(self.statuses)

    def table(self, section: str, metric: str) -> pd.DataFrame:
        """A row a method, a column a category, then mean, difference and p, as text."""
        results = self.sections[section]
        return afrd.analysis.reports.sweep.table_in_words(
            afrd.analysis.comparison.sweep_tables.summary_table(results, metric)
        )

    def run_of(self, section: str, method: str, column: str) -> Path:
        """Folder of the first run behind a cell; a column that is not a category means the first one."""
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


class Sweeps:
    """The sweeps below a folder of runs; their plans and results are read again when a file changes.

    Args:
        runs: folder with runs and sweeps anywhere below.
    """

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self._groups, self._results = Cache(16, lambda _: 1), Cache(50 * MB)

    def folders(self) -> dict[str, Path]:
        """Folders of all sweeps, by a name to be shown and chosen."""

        def find() -> dict[str, Path]:
            folders = sorted(path.parent for path in self.runs.glob(f"**/{afrd.runs.sweep_plan.PLAN_FILE}"))
            return {f.relative_to(self.runs).as_posix() if f != self.runs else self.runs.name: f for f in folders}

        return once_per_snapshot(("sweeps", id(self)), find)

    def read(self, name: str) -> Sweep:
        """A sweep by its name.

        Raises:
            ValueError: there is none of this name, or its plan or a result cannot be read.
            OSError: its data set cannot be read.
        """
        folders = self.folders()
        if name not in folders:
            raise ValueError(f"there is no sweep {name!r} here")
        folder = folders[name]
        plan = afrd.runs.read_sweep(folder)
        groups = self._groups.get((folder, plan.model_dump_json(), _data_state(plan)), plan.groups)
        results = [result for group in groups if (result := self._result(folder, group)) is not None and result.methods]
        sections = afrd.analysis.reports.sweep.titled(afrd.analysis.comparison.sweep_tables.comparable(results))
        cells = list(dict.fromkeys(cell for group in groups for cell in group.cells))
        return Sweep(folder, plan, groups, sections, afrd.background.sweep_status(folder, cells))

    def _result(self, folder: Path, group: Group) -> GroupResult | None:
        sweep_results = afrd.analysis.comparison.sweep_results
        file = sweep_results.result_file(folder, group)
        state = file_state(file)
        if not state[1]:  # not evaluated yet
            return None
        return self._results.get((state, group), partial(sweep_results.load_result, folder, group))


def _data_state(plan: SweepPlan) -> Hashable:
    """Changes when the categories of the plan's data set change, or the samples or lights of one."""
    root = Path(plan.data)
    categories = plan.categories or [path.name for path in sorted(root.glob("*/"))]
    return file_state(root), tuple(afrd.data.state.folders_state(root / category) for category in categories)


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
