"""The region in the page: drawn, proposed, read from a picture, kept with the run, undone; and who may change it."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

import afrd
from afrd.page.access import Access
from afrd.page.common import keys
from afrd.page.common.library import Library
from afrd.page.common.samples import first_selection
from afrd.page.common.scripts import joined_text
from afrd.page.explore import other_methods
from afrd.page.light_table.region import polygons_of, region_on_table
from afrd.page.light_table.scene import scene
from afrd.page.light_table.share import shared_page
from afrd.page.light_table.style import SCRIPTS
from afrd.page.tabs import build
from afrd.runs.region import REGION_FILE, drawn_region, save_region
from tests.page.helpers import app_command, browsing, serving


def half() -> np.ndarray:
    region = np.zeros((64, 64), bool)
    region[:, 30:] = True
    return region


def test_what_the_browser_gets_of_a_region_is_the_region():
    region = half()
    region[3:9, 2:7] = True
    told = region_on_table(region)
    assert told is not None and told["share"] == "54 %" and told["outline"].count("M") == 2
    flags = np.arange(len(told["lengths"])) % 2 == 1
    np.testing.assert_array_equal(np.repeat(flags, told["lengths"]).reshape(64, 64), region)
    everything = region_on_table(np.ones((4, 5), bool))
    assert everything is not None and everything["lengths"] == [0, 20] and region_on_table(None) is None


def test_an_outline_of_few_corners_is_nearly_the_region():
    y, x = np.mgrid[:200, :240]
    disc = (x - 90) ** 2 + (y - 100) ** 2 < 70**2
    ring = disc & ~((x - 90) ** 2 + (y - 100) ** 2 < 10**2)
    border = (x > 200) & (y < 50)
    polygons = polygons_of(ring | border)
    assert len(polygons) == 2 and all(len(corners) < 30 for corners in polygons)  # the hole is left out
    assert (drawn_region(polygons, (200, 240)) != (disc | border)).mean() < 0.01


def test_another_region_is_another_key_and_loads_no_weights_again(runs: Path, monkeypatch: pytest.MonkeyPatch):
    library, folder = Library(runs, None), runs / "Praline" / "afrd"
    selection = first_selection(library, "Praline")
    run, before = library.run(folder), keys.of_run(folder)
    assert json.loads(scene(library, selection))["region"] is None
    save_region(folder, half())
    monkeypatch.setattr("afrd.runs.load_run", None)
    assert keys.of_run(folder) != before
    inside = library.run(folder)
    assert inside.region is not None and run.region is None and inside.calibration is run.calibration
    told = json.loads(scene(library, selection))
    assert told["region"]["share"] == "53 %" and told["fusion"]["thresholds"]["attention"]["63"] == pytest.approx(
        inside.threshold().value
    )
    methods = library.methods(library.category("Praline"), None, folder)
    assert all(np.array_equal(one.region, half()) for method in methods for one in method.runs)
    data = library.data_of(library.category("Praline"))["test_public"]
    assert library.judged(methods[-1], data).region_note().startswith("Judged inside a region of 53 %")
    save_region(folder, None)
    assert library.run(folder).region is None


def test_strangers_find_no_way_to_change_a_run(tmp_path: Path):
    def buttons(access: Access) -> set[str]:
        components = build(tmp_path, None, access=access).config["components"]
        return {str(component["props"].get("elem_id")) for component in components}

    ours = {"region", "region-draw", "region-auto", "region-clear", "region-undo", "region-upload"}
    assert ours <= buttons(Access())
    assert ours <= buttons(Access(host="0.0.0.0", auth=("a", "b"), training=False))
    open_page = Access(host="0.0.0.0", training=False)
    assert not ours & buttons(open_page)
    names = {event["api_name"] for event in build(tmp_path, None, access=open_page).config["dependencies"]}
    assert not names & {f"{word}_region" for word in ("draw", "propose", "keep", "upload", "clear", "undo")}


@pytest.mark.browser
def test_the_browser_fills_shapes_as_python_does(browser: Browser):
    random.seed(0)
    drawings = [
        [[[random.randint(-5, 45), random.randint(-5, 35)] for _ in range(random.randint(3, 9))] for _ in range(2)]
        for _ in range(30)
    ]
    source = "import { filled } from './region.js';\nreturn given.map(shapes => [...filled(shapes, [30, 40])]);\n"
    page = browser.new_page()
    masks = page.evaluate(f"given => {{ {joined_text(source, SCRIPTS / 'test.js')} }}", drawings)
    page.close()
    for shapes, inside in zip(drawings, masks, strict=True):
        if any(inside):
            np.testing.assert_array_equal(np.array(inside, bool).reshape(30, 40), drawn_region(shapes, (30, 40)))


@pytest.mark.browser
def test_a_region_is_drawn_kept_undone_and_cleared(runs: Path, candies: Path, browser: Browser, tmp_path: Path):
    folder = runs / "Praline" / "afrd"
    run, sample = afrd.load_run(folder, "cpu"), afrd.open_dataset(candies, "Praline")["test_public"][1]
    whole = run.predict(sample)
    row, column = np.unravel_index(whole.anomaly_map.argmax(), whole.anomaly_map.shape)
    # a shape without the place of the whole picture's score
    left, top = (34 if column < 32 else 4), 6
    shape = [[left, top], [left + 26, top], [left + 26, top + 50], [left, top + 50]]
    region = drawn_region([shape], (64, 64))
    assert not region[row, column]
    inside = run.with_region(region).predict(sample)

    def text(score: float, unit: float) -> str:
        return f"score {score / unit:.2f} × threshold"

    with serving(app_command(runs, candies)) as address, browsing(browser, address, "/?sample=01") as page:
        verdict = page.locator("#light-table .panels .verdict").nth(1)

        def says(expected: str) -> None:
            page.wait_for_function(
                "text => document.querySelectorAll('#light-table .panels .verdict')[1]?.innerText.includes(text)",
                arg=expected,
            )

        def click(corner: list[int]) -> None:
            box = page.locator("#light-table .panels .stage").nth(1).bounding_box()
            page.mouse.click(box["x"] + corner[0] / 64 * box["width"], box["y"] + corner[1] / 64 * box["height"])

        def corners(count: int) -> None:
            page.wait_for_function(
                "count => (document.querySelector('#light-table .sketch .corner').getAttribute('d') ?? '')"
                ".split('M').length - 1 === count",
                arg=count,
            )

        says(text(whole.score, whole.threshold.value))
        page.locator("#region button").first.click()
        page.locator("#region-draw").click()
        page.wait_for_selector(".drawing-bar")
        assert page.locator(".drawing-bar .keep").is_disabled()
        click([10, 10])
        corners(1)
        page.keyboard.press("Escape")  # takes the open shape away, and the next one ends the drawing
        corners(0)
        page.keyboard.press("Escape")
        page.wait_for_selector(".drawing-bar", state="detached")

        page.locator("#region-draw").click()
        page.wait_for_selector(".drawing-bar")
        for count, corner in enumerate([*shape, [2, 2]], 1):
            click(corner)
            corners(count)
        page.keyboard.press("Delete")
        corners(4)
        click(shape[0])
        says(text(inside.score, whole.threshold.value))  # at once, against the threshold so far
        page.locator(".drawing-bar .keep").click()
        says(text(inside.score, inside.threshold.value))
        page.wait_for_function("() => document.querySelector('#light-table .legend').innerText.includes('inside 32 %')")
        assert page.locator("#light-table .outside").count() > 2 and page.locator(".drawing-bar").count() == 0
        np.testing.assert_array_equal(afrd.load_run(folder).region, region)

        page.get_by_role("tab", name="Errors").click()
        page.wait_for_selector("#errors-status >> text=Judged inside a region of 32 % of the picture")
        page.get_by_role("tab", name="Compare").click()
        page.wait_for_selector("#compare-status >> text=Judged inside a region of 32 % of the picture")
        page.get_by_role("tab", name="Explore").click()

        page.locator("#region-undo").click()
        says(text(whole.score, whole.threshold.value))
        assert not (folder / REGION_FILE).exists()
        Image.fromarray(region).save(tmp_path / "mask.png")
        with page.expect_file_chooser() as chooser:
            page.locator("#region-upload").click()
        chooser.value.set_files(tmp_path / "mask.png")
        says(text(inside.score, inside.threshold.value))
        page.locator("#region-clear").click()
        says(text(whole.score, whole.threshold.value))
        assert "judged inside" not in page.locator("#light-table .legend").inner_text()
        save_region(folder, region)  # somebody else, meanwhile
        page.locator("#region-undo").click()
        page.get_by_text("somebody else has changed the region of this run since").first.wait_for()
        assert (folder / REGION_FILE).exists()
        save_region(folder, None)

        page.locator("#region-auto").click()
        page.wait_for_selector(".drawing-bar .keep:not([disabled])")
        page.keyboard.press("Escape")
        page.wait_for_selector(".drawing-bar", state="detached")
        assert not (folder / REGION_FILE).exists() and verdict.inner_text()


def test_a_shared_file_and_an_explanation_know_the_region(runs: Path, candies: Path):
    save_region(runs / "Praline" / "afrd", half())
    page = shared_page(runs / "Praline" / "afrd", 1)
    assert '"share": "53 %"' in page and "within 53 % of the picture" in page
    library = Library(runs, None)
    selection = first_selection(library, "Praline")
    told = [json.loads(scene(library, replace(selection, pinned=place)))["why"] for place in ((5, 20), (40, 20))]
    assert told[0]["summary"] == "outside of the region in which this run judges"
    assert told[1]["summary"].startswith("evidence ")


def test_other_methods_of_the_sample_judge_in_the_same_region(runs: Path):
    save_region(runs / "Praline" / "afrd", half())
    library = Library(runs, None)
    selection = first_selection(library, "Praline")
    found = other_methods.predictions_of(library, selection)
    assert list(found) == ["AFRD", "RD, top"] and all((p.anomaly_map[:, :30] == 0).all() for p in found.values())
    own = library.prediction(runs / "Praline" / "single-top", library.data_of(library.category("Praline"))["val"], 0)
    assert (own.anomaly_map[:, :30] > 0).any()
    beside = json.loads(scene(library, selection))["panels"][1]
    assert beside["exact"] == f"score {found['RD, top'].score:.6g}"
