"""Two runs on one table, or one run fused in two ways: one cursor, scale and set of lamps, and their difference."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

import afrd
from afrd.cli.commands import main
from afrd.page.common.library import Library
from afrd.page.common.samples import first_selection
from afrd.page.common.scripts import joined_text
from afrd.page.common.selection import Selection
from afrd.page.light_table.scene import scene
from afrd.page.light_table.style import SCRIPTS, style
from tests.page.helpers import PATIENCE, app_command, browsing, copied, executed, serving, settled

READY = "document.querySelectorAll('.panels .verdict b').length > 1 && !document.querySelector('.light-table.busy')"
SIX = ["spots", "bottom", "right", "top", "left", "box"]


@pytest.fixture(scope="module")
def two(tiny_runs: Path, candies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny runs, and one more of all lights, fused by their mean, that was trained from another seed."""
    runs = Path(shutil.copytree(tiny_runs, tmp_path_factory.mktemp("two") / "runs"))
    data = afrd.open_dataset(candies, "Praline")
    options = {"size": 64, "width": 16, "epochs": 2, "fusion": "mean", "seed": 5, "show_progress": False}
    afrd.fit(data, "all", runs / "Praline" / "other", **options)
    return runs


def content(runs: Path, beside: str) -> tuple[Selection, dict]:
    library = Library(runs, None)
    selection = first_selection(library, "Praline")
    selection = replace(selection, run=runs / "Praline" / "afrd", beside=runs / "Praline" / beside)
    return selection, json.loads(scene(library, selection))


JUDGED = """
import { chooseFusions, judgeTable } from './difference.js';
const table = { scene: given.scene, style: given.style, lamps: { say: {} }, view: {} };
for (const item of table.scene.lights) item.on = given.lit.includes(item.name);
chooseFusions(table);
judgeTable(table);
const { panels, difference } = table.scene;
const found = { ways: [table.view.fusion, table.view.besideFusion],
  names: [...panels.map(panel => panel.name), difference.title],
  scores: panels.map(panel => panel.score_units),
  maps: panels.map(panel => [...panel.values.values]), difference: [...difference.values.values] };
if (!table.scene.beside.same) {
  table.scene.beside.evidence = {};
  judgeTable(table);
  found.without = panels[1].problem;
}
return found;
"""


@pytest.mark.browser
@pytest.mark.parametrize(("beside", "ways"), [("other", ["attention", "mean"]), ("afrd", ["attention", "mean"])])
@pytest.mark.parametrize("lit", [SIX, ["top", "box"]])
def test_both_maps_are_those_of_their_runs_under_the_lit_lamps(
    two: Path, candies: Path, browser: Browser, beside: str, ways: list[str], lit: list[str]
):
    selection, given = content(two, beside)
    assert given["beside"].get("same", False) is (beside == "afrd")
    page = browser.new_page()
    script = f"given => {{ {joined_text(JUDGED, SCRIPTS / 'test.js')} }}"
    found = page.evaluate(script, {"scene": given, "style": style(), "lit": lit})
    page.close()
    assert found["ways"] == ways
    named = (
        ["AFRD, attention", "AFRD, mean"]
        if beside == "afrd"
        else ["afrd: attention, 6 lights", "other: mean, 6 lights"]
    )
    assert found["names"] == [*named, " − ".join(named)]
    assert beside == "afrd" or found["without"] == f"Choose at least one of its lights: {', '.join(SIX)}."
    dataset = afrd.open_dataset(candies, "Praline")["test_public"]
    for name, way, score in zip(("afrd", beside), ways, found["scores"], strict=True):
        run = afrd.load_run(two / "Praline" / name, "cpu")
        evidence = run.evidence(dataset).rows(slice(selection.index, selection.index + 1), run.everything)
        lights = np.array([[light in lit for light in run.lights]])
        maps = run.model.maps(evidence.rows(slice(0, 1), _tensor(lights)), dataset.image_size, way)
        assert score == pytest.approx(float(maps.score[0]) / run.threshold(lit, way).value, rel=0.005)
    first, second = (np.array(values, int) for values in found["maps"])
    assert np.array(found["difference"]) == pytest.approx(128 + (first - second) * 127 / 255, abs=0.51)


def _tensor(values: np.ndarray):
    import torch

    return torch.from_numpy(values)


COMPARED = """
import { compare } from './difference.js';
import { valueText } from './maps.js';
const panel = values => ({ method: 'A', units: given.units, values: { width: 3, height: 1, values } });
const scene = { panels: [panel([255, 0, 51]), panel([0, 255, 51])] };
compare(scene, { limit: 2 });
const map = scene.difference?.values;
return map ? [0.1, 0.5, 0.9].map(x => valueText(map, x, 0)).concat(scene.difference.score) : null;
"""


@pytest.mark.browser
def test_a_difference_has_a_sign_and_a_zero_and_needs_a_common_unit(browser: Browser):
    page = browser.new_page()
    script = f"given => {{ {joined_text(COMPARED, SCRIPTS / 'test.js')} }}"
    assert page.evaluate(script, {"units": True}) == ["+2.00", "−2.00", "0.00", "from −2.00 to +2.00 × threshold"]
    assert page.evaluate(script, {"units": False}) is None
    page.close()


def verdicts(page: Page) -> list[str]:
    return page.locator(".panels .verdict").all_inner_texts()[1:]


@pytest.mark.browser
def test_a_file_shows_two_runs_and_their_difference(two: Path, tmp_path: Path, browser: Browser):
    file, runs = tmp_path / "table.html", two / "Praline"
    command = ["share", str(runs / "afrd"), "--beside", str(runs / "other"), "--samples", "2", "--out", str(file)]
    assert main(command) == 0
    with browsing(browser, file.as_uri()) as page:
        page.wait_for_selector(".panels .panel:nth-child(3) .verdict b")
        assert [text.split("\n")[0] for text in page.locator(".panels h3").all_inner_texts()[1:]] == ["AFRD", "AFRD"]
        before = verdicts(page)
        page.get_by_role("button", name="solo top").click()
        assert page.get_by_text("lights: top", exact=True).count() == 2  # one set of lamps
        assert all(new != old for new, old in zip(verdicts(page), before, strict=True))
        page.get_by_role("button", name="all", exact=True).click()
        second = page.get_by_label("fusion of the run beside")
        assert second.input_value() == "mean"
        second.select_option("max")
        assert verdicts(page)[0] == before[0] and verdicts(page)[1] != before[1]
        page.get_by_role("checkbox", name="difference").check()
        panel = page.locator(".panels .panel").nth(3)
        assert re.search(r"from −?[\d.]+ to \+[\d.]+ × threshold", panel.inner_text())
        tops = page.locator(".panels .stage").evaluate_all("nodes => nodes.map(node => node.offsetWidth)")
        assert len(tops) == 4 and len(set(tops)) == 1
        page.locator(".panels .stage").nth(1).hover(position={"x": 100, "y": 100})
        expect(page.locator(".panels .reading").nth(3)).not_to_be_empty(timeout=PATIENCE)
        readings = page.locator(".panels .reading").all_inner_texts()[1:]
        if not any("≥" in text for text in readings):
            assert float(readings[2].replace("−", "-")) == pytest.approx(
                float(readings[0]) - float(readings[1]), abs=0.04
            )
        page.get_by_label("weight of top").fill("0.1")  # the difference follows
        expect(page.locator(".panels .panel").nth(2).locator(".small").first).to_contain_text(
            "top at 10 %", timeout=PATIENCE
        )
        with page.expect_download() as download:
            page.keyboard.press("Escape")
            page.locator("h2").click()
            page.keyboard.press("p")
        assert download.value.suggested_filename.endswith(".png")
        page.set_viewport_size({"width": 390, "height": 844})
        expect(page.locator(".panels .stage").nth(3)).to_be_visible(timeout=PATIENCE)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert 'beside_fusion="max"' in copied(page)


@pytest.mark.browser
def test_the_page_puts_any_run_beside_and_its_address_and_code_say_so(two: Path, candies: Path, browser: Browser):
    with serving(app_command(two, candies)) as app:
        with browsing(browser, app, "/?run=Praline/afrd&beside=Praline/afrd") as page:
            page.wait_for_function(READY)
            settled(page)
            assert page.get_by_label("fusion of the run beside").input_value() == "mean"  # the same run, otherwise
            assert page.locator("#beside input").input_value() == "afrd: attention, 6 lights"
            page.locator("#beside input").click()
            texts = page.locator("#beside").get_by_role("option").all_inner_texts()
            assert [text.strip().removeprefix("✓").strip() for text in texts] == [
                "top", "afrd: attention, 6 lights", "other: mean, 6 lights",
            ]  # fmt: skip
            page.locator("#beside").get_by_role("option", name="other: mean").click()
            page.wait_for_selector(".panels .panel:nth-child(3) h3 small:text('other: mean')")
            page.wait_for_function("location.search.includes('beside=Praline/other')")
            settled(page)
            shown = verdicts(page)
            code = copied(page)
        table = executed(code)
        assert table.beside_fusion == "mean" and json.loads(table._scene)["panels"][1]["title"].startswith(
            "other: mean"
        )
        with browsing(browser, app, "/?run=Praline/afrd&beside=Praline/other") as page:
            page.wait_for_function(READY)
            settled(page)
            assert verdicts(page) == shown


def test_a_notebook_has_two_runs_too(two: Path, candies: Path, tiny_runs: Path):
    run, other = (afrd.load_run(two / "Praline" / name, "cpu") for name in ("afrd", "other"))
    dataset = afrd.open_dataset(candies, "Praline")["test_public"]
    table = afrd.explore(run, dataset, beside=other)
    assert table.beside_fusion == "mean" and table.fusion == "attention"
    assert set(json.loads(table._scene)["beside"]["evidence"]) == set(SIX)
    same = afrd.explore(run, dataset, beside=run, beside_fusion="max")
    assert same.beside_fusion == "max" and json.loads(same._scene)["beside"] == {"same": True}
    with pytest.raises(ValueError, match="is no run of Praline in the same folder of runs"):
        afrd.explore(run, dataset, beside=afrd.load_run(tiny_runs / "Praline" / "afrd", "cpu"))

    one = json.loads(afrd.light_table(dataset[0], run=run, beside=other)._scene)
    assert set(one["beside"]["evidence"]) == set(SIX) and one["panels"][1]["title"] == "other: mean, 6 lights"
    assert json.loads(afrd.light_table(dataset[0], run=run, beside=run)._scene)["beside"] == {"same": True}
    single = afrd.load_run(two / "Praline" / "single-top", "cpu")
    alone = json.loads(afrd.light_table(dataset[0], run=run, beside=single)._scene)
    assert alone["beside"] is None and alone["panels"][1]["made_by"] == "lights: top"
