"""The Sweeps tab: the tables of a sweep, and the run behind a cell."""

from pathlib import Path

import pytest

import afrd
from afrd.analysis.comparison.sweep_results import judge_group
from afrd.files import save_json
from afrd.page.common.library import Library
from afrd.page.sweeps.results import Sweep, opened_run, sweep_folders
from afrd.runs.sweep_plan import PLAN_FILE, make_sweep

from .helpers import app_command, browsing, serving


@pytest.fixture(scope="module")
def runs(candies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with a finished sweep of the patch memory, which needs no training."""
    runs = tmp_path_factory.mktemp("runs")
    values = {
        "data": str(candies),
        "out": str(runs / "sweep"),
        "methods": ["memory"],
        "lights": ["top,box"],
        "sizes": [64],
    }
    plan = make_sweep("test", **values)
    save_json(runs / "sweep" / PLAN_FILE, plan.model_dump())
    for group in plan.groups():
        for cell in group.cells:
            data = afrd.open_dataset(candies, cell.category)
            afrd.fit(data, cell.lights, runs / "sweep" / cell.folder, method="memory", size=64, show_progress=False)
        judge_group(group, candies, runs / "sweep", seed=0)
    return runs


def test_a_sweep_is_found_below_the_runs_with_its_sections_and_cells(runs: Path):
    assert sweep_folders(runs) == {"sweep": runs / "sweep"}
    sweep = Sweep.read(runs / "sweep")
    assert list(sweep.sections) == ["Lights top+box; teacher efficientnet_lite0, 64 pixels"]
    assert sweep.progress() == "1 done, 0 running, 0 waiting, 0 failed"


def test_a_cell_of_the_table_stands_for_a_run_that_explore_can_open(runs: Path, candies: Path):
    sweep = Sweep.read(runs / "sweep")
    (section,) = sweep.sections
    table = sweep.table(section, "image_auroc")
    assert list(table.columns) == ["Method", "Praline", "Mean", "Difference", "p"] and len(table) == 3
    folder = sweep.run_of(section, table.Method[0], "Praline")
    assert folder == sweep.run_of(section, table.Method[0], "Mean") and (folder / "config.json").is_file()
    selection = opened_run(Library(runs, candies), folder)
    assert selection.run == folder and selection.lights == ("top", "box") and selection.index is not None
    with pytest.raises(ValueError, match="no method 'RD'"):
        sweep.run_of(section, "RD", "Praline")


def test_a_run_that_the_page_does_not_show_is_named(runs: Path, candies: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="gone cannot be shown"):
        opened_run(Library(runs, candies), tmp_path / "gone")


@pytest.mark.browser
def test_a_cell_opens_its_run_in_explore(runs: Path, candies: Path, chromium: str | None):
    from playwright.sync_api import expect

    with serving(app_command(runs, candies)) as address, browsing(chromium, address, "?tab=sweeps") as page:
        cell = page.locator("#sweeps-table td").filter(has_text="patch memory").first
        expect(cell).to_be_visible()
        expect(page.locator("#sweeps-status")).to_contain_text("1 done")
        cell.click()
        expect(page.get_by_role("tab", name="Explore")).to_have_attribute("aria-selected", "true")
        expect(page.locator(".light-table")).to_be_visible()
        assert "sweep" in page.url or "memory" in page.url
