"""The Sweeps tab: the tables of a sweep, and the run behind a cell."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from playwright.sync_api import Browser

import afrd
from afrd.analysis.comparison.sweep_results import judge_group
from afrd.files import save_json
from afrd.page.common.library import Library
from afrd.page.common.session import PageSession
from afrd.page.sweeps.results import Sweeps, opened_run
from afrd.page.tabs import build
from afrd.runs.sweep_plan import PLAN_FILE, make_sweep, read_sweep

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
    assert Sweeps(runs).folders() == {"sweep": runs / "sweep"}
    sweep = Sweeps(runs).read("sweep")
    assert list(sweep.sections) == ["Lights top+box; teacher efficientnet_lite0, 64 pixels"]
    assert sweep.progress() == "1 done, 0 running, 0 waiting, 0 failed"


def test_a_cell_of_the_table_stands_for_a_run_that_explore_can_open(runs: Path, candies: Path):
    sweep = Sweeps(runs).read("sweep")
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


def handler(page: gr.Blocks, name: str) -> Callable[..., Any]:
    """What the page calls at an event."""
    return next(event.fn for event in page.fns.values() if event.api_name == name)


def shown_by(page: gr.Blocks, *inputs: Any) -> dict[str, Any]:
    """The values of the tab as it opens, by the ids of its elements."""
    return {component.elem_id: value for component, value in handler(page, "sweeps_open")(*inputs).items()}


def test_the_tab_shows_a_sweep_and_opens_the_run_of_a_cell(runs: Path, candies: Path):
    page, session = build(runs, candies), PageSession()
    shown = shown_by(page, session, None, "a section that is gone", None)
    assert shown["sweeps-sweep"].value == "sweep" and shown["sweeps-metric"].value == "image_auroc"
    assert "1 done" in shown["sweeps-status"] and len(shown["sweeps-table"]) == 3
    section, method = shown["sweeps-section"].value, shown["sweeps-table"].Method[1]
    cell = SimpleNamespace(index=[1, 1], row_value=[method])
    handler(page, "sweeps_open_run")(session, "sweep", section, "image_auroc", cell)
    assert session.selection.run == Sweeps(runs).read("sweep").run_of(section, method, "Praline")
    with pytest.raises(gr.Error, match="no sweep"):  # as a script in a browser may ask for
        handler(page, "sweeps_open_run")(session, "../../etc", section, "image_auroc", cell)
    report = handler(page, "sweeps_report")(session, "sweep", section, "image_auroc")
    assert "patch memory" in Path(report).read_text()


def test_a_running_sweep_is_followed(runs: Path, candies: Path, tmp_path: Path):
    shutil.copytree(runs, tmp_path / "runs")
    folder = tmp_path / "runs" / "sweep"
    plan = read_sweep(folder).model_copy(update={"seeds": [0, 1]})
    save_json(folder / PLAN_FILE, plan.model_dump())
    other = next(cell for cell in plan.cells() if cell.options.seed == 1)
    save_json(folder / f"{other.name}.json", {"state": "running", "step": 1, "steps": 9, "updated": time.time()})
    page, session = build(tmp_path / "runs", candies), PageSession()
    shown = shown_by(page, session, "sweep", None, "aupro")
    assert "1 done, 1 running" in shown["sweeps-status"]
    menus = ("sweep", shown["sweeps-section"].value, "aupro")
    looked = handler(page, "sweeps_look")(session, *menus, (*menus, 1))  # as many results as are shown
    assert {component.elem_id for component in looked} == {"sweeps-status", None}  # and the timer
    assert next(value for value in looked.values() if isinstance(value, gr.Timer)).active
    for made_of in ((*menus, 0), (*menus[:2], "pixel_ap", 1), None):
        anew = handler(page, "sweeps_look")(session, *menus, made_of)
        assert "sweeps-table" in {component.elem_id for component in anew}


def test_a_sweep_without_results_keeps_its_menus_while_it_is_looked_at(runs: Path, candies: Path, tmp_path: Path):
    """What fills a menu anew would close it while a user chooses."""
    plan = read_sweep(runs / "sweep").model_copy(update={"out": str(tmp_path / "sweep")})
    save_json(tmp_path / "sweep" / PLAN_FILE, plan.model_dump())
    page, session = build(tmp_path, candies), PageSession()
    shown = handler(page, "sweeps_open")(session, "sweep", None, "aupro")
    (made_of,) = [value for value in shown.values() if isinstance(value, tuple)]
    assert made_of == ("sweep", None, "aupro", 0)
    looked = handler(page, "sweeps_look")(session, "sweep", None, "aupro", made_of)
    assert {component.elem_id for component in looked} == {"sweeps-status", None}


def test_menus_and_timer_are_one_event(tmp_path: Path):
    """Of two, the answer of an earlier one could arrive last, and undo what was chosen after it."""
    config = build(tmp_path, None).config
    ids = {one["props"].get("elem_id"): one["id"] for one in config["components"]}
    answering = [event for event in config["dependencies"] if ids["sweeps-table"] in event["outputs"]]
    assert [event["api_name"] for event in answering] == ["sweeps_open", "sweeps_look"]
    chosen = {ids[f"sweeps-{menu}"] for menu in ("sweep", "section", "metric")}
    assert chosen < {component for component, _ in answering[1]["targets"]} and len(answering[1]["targets"]) == 4


def test_without_a_sweep_the_tab_says_how_to_make_one(candies: Path, tmp_path: Path):
    shown = shown_by(build(tmp_path, candies), PageSession(), None, None, None)
    assert "There is no sweep yet" in shown["sweeps-status"] and "afrd sweep PLAN.toml" in shown["sweeps-status"]


def test_a_sweep_whose_data_are_gone_is_explained(runs: Path, candies: Path, tmp_path: Path):
    plan = make_sweep("test", data=str(tmp_path / "gone"), out=str(tmp_path / "sweep"))
    save_json(tmp_path / "sweep" / PLAN_FILE, plan.model_dump())
    shown = shown_by(build(tmp_path, candies), PageSession(), None, None, None)
    assert "gone does not exist" in shown["sweeps-status"] and shown["sweeps-table"] is None


@pytest.mark.browser
def test_a_cell_opens_its_run_in_explore(runs: Path, candies: Path, browser: Browser):
    with serving(app_command(runs, candies)) as address, browsing(browser, address, "?tab=sweeps") as page:
        cells = page.locator("#sweeps-table :is(td, [role=gridcell])").filter(has_text="patch memory")
        cells.locator("visible=true").first.click()
        page.locator("[role=tab][aria-selected=true]").filter(has_text="Explore").wait_for()
        page.locator(".light-table").first.wait_for()
