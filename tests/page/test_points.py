"""Operating points in the Errors tab: consequences of a rate, saved, chosen and removed; in this process and in a
browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser

import afrd
import afrd.metrics
from afrd.metrics.consequences import OperatingPoint, consequences
from afrd.page.access import Access
from afrd.page.common.library import Library
from afrd.page.common.samples import first_selection
from afrd.page.errors.analysis import Analysis
from afrd.page.errors.points import consequences_text
from afrd.page.tabs import build
from afrd.runs.operating_points import FILE, operating_points, save_operating_point
from tests.page.helpers import app_command, browsing, serving


def test_what_is_told_of_a_rate_is_what_the_command_line_says(tiny_runs: Path, candies: Path):
    library = Library(tiny_runs, candies)
    analysis = Analysis(library, first_selection(library, "Praline"))
    run = afrd.load_run(tiny_runs / "Praline" / "afrd", "cpu")
    data = afrd.open_dataset(candies, "Praline")["test_public"]
    row = consequences(run.evaluate(data), run.calibration_scores(), [250.0], 50.0, 2.0).iloc[0]
    text = consequences_text(analysis, 250, 50, 2, "EUR")
    assert f"{row.false_alarms:.0f} of {row.good:.0f} good parts" in text and f"{row.cost:g} EUR" in text
    assert f"at most {row.missed_at_most:.0f} per thousand" in text and f"threshold {row.threshold:.4g}" in text
    few = consequences_text(analysis, 5, 1, 1, "<b>")
    assert "3 good calibration samples cannot promise 5" in few and "250 false alarms" in few and "&lt;b&gt;" in few
    assert "must be numbers" in consequences_text(analysis, 5, None, 1, "")
    assert "a cost is -1" in consequences_text(analysis, 5, -1, 1, "")


def test_strangers_cannot_save_operating_points(tmp_path: Path):
    def events(access: Access) -> set[str]:
        return {str(event["api_name"]) for event in build(tmp_path, None, access=access).config["dependencies"]}

    ours = {"errors_save_point", "errors_submit_point", "errors_remove_point"}
    assert ours <= events(Access()) and not ours & events(Access(host="0.0.0.0", training=False))


def test_the_consequences_are_the_answer_of_one_event(tmp_path: Path):
    """Of two, that of an earlier one could arrive last, and the text would be that of another rate."""
    config = build(tmp_path, None).config
    (shown,) = [one["id"] for one in config["components"] if one["props"].get("elem_id") == "errors-consequences"]
    answering = [event["api_name"] for event in config["dependencies"] if shown in event["outputs"]]
    assert answering == ["errors_consequences"]


@pytest.mark.browser
def test_a_rate_is_tried_saved_chosen_and_removed(runs: Path, candies: Path, browser: Browser):
    folder = runs / "Praline" / "afrd"
    save_operating_point(folder, "audit", OperatingPoint(250, missed_cost=7))
    save_operating_point(folder, "often", OperatingPoint(600, missed_cost=8))  # more than the slider begins with
    command = app_command(runs, candies)
    with serving(command) as address, browsing(browser, address, "/?tab=errors&category=Praline") as page:
        page.wait_for_selector("#errors-counts table")
        page.locator("#errors-points button").first.click()
        page.wait_for_selector("#errors-consequences >> text=of 2 good parts")
        page.locator("#errors-missed-cost input").fill("50")
        page.locator("#errors-unit :is(input, textarea)").fill("EUR")
        page.wait_for_selector("#errors-consequences >> text=EUR")
        run = afrd.load_run(folder, "cpu")
        threshold = run.threshold(alpha=0.3).value
        rate = page.locator("#errors-rate input[type=number]")
        rate.fill("300")
        rate.press("Enter")
        page.wait_for_selector(f"#errors-consequences >> text=threshold {threshold:.4g}")
        at = threshold / run.threshold().value  # the table follows
        page.wait_for_function(
            "at => Math.abs(document.querySelector('#errors-threshold input[type=number]').value - at) < 1e-3", arg=at
        )
        page.locator("#errors-point-name :is(input, textarea)").fill("line 3")
        page.locator("#errors-save-point").click()
        page.wait_for_function("() => document.querySelector('#errors-point input').value === 'line 3'")
        assert operating_points(folder)["line 3"] == OperatingPoint(300, missed_cost=50)

        page.locator("#errors-point input").click()
        page.get_by_role("option", name="often").click()
        page.wait_for_selector(f"#errors-consequences >> text=threshold {run.threshold(alpha=0.6).value:.4g}")
        assert rate.input_value() == "600"

        page.locator("#errors-point input").click()
        page.get_by_role("option", name="audit").click()
        page.wait_for_function("() => document.querySelector('#errors-missed-cost input').value === '7'")
        page.wait_for_selector(f"#errors-consequences >> text=threshold {run.threshold(alpha=0.25).value:.4g}")
        page.locator("#errors-remove-point").click()
        page.wait_for_function("() => document.querySelector('#errors-point input').value === ''")
        assert list(json.loads((folder / FILE).read_text())) == ["line 3", "often"]
        page.locator("#errors-undo-point").click()
        page.get_by_text("has the operating points audit, line 3, often now").wait_for()
        assert list(operating_points(folder)) == ["audit", "line 3", "often"]
