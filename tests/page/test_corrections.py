"""Corrections in the page: what follows is said first, kept by one click, listed, undone; and who may do it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

import afrd
from afrd.page.access import Access
from afrd.page.common import keys
from afrd.page.common.library import Library
from afrd.page.common.samples import first_selection, listed
from afrd.page.explore.strip import strip_of
from afrd.page.light_table.scene import scene
from afrd.page.tabs import build
from afrd.runs import corrections
from tests.page.helpers import app_command, browsing, serving


def test_a_correction_is_another_key_and_loads_no_weights_again(runs: Path, monkeypatch: pytest.MonkeyPatch):
    library, folder = Library(runs, None), runs / "Praline" / "afrd"
    selection = replace(first_selection(library, "Praline"), index=1)
    run, before = library.run(folder), keys.of_run(folder)
    test = library.data_of(library.category("Praline"))["test_public"]
    library.scores(folder, test, run.lights)
    scene(library, selection)
    corrected = corrections.correct(run, test, 1, (32, 32))
    monkeypatch.setattr("afrd.runs.load_run", None)
    assert keys.of_run(folder) != before
    after = library.run(folder)
    assert len(after.corrections) == 1 and after.threshold() == corrected.threshold() and not run.corrections
    scores = library.scores(folder, test, run.lights)
    np.testing.assert_allclose(scores.values, corrected.evaluate(test).table.score, rtol=1e-5)
    told = json.loads(scene(library, selection))
    assert told["panels"][0]["title"].endswith(", with 1 correction")
    assert told["header"]["place"] == "Praline / test_public · corrected, so it does not count"
    assert json.loads(strip_of(library, selection))["samples"][1]["mark"] == "corrected"
    for verdict in ("right", "missed", "false alarm"):
        assert 1 not in listed(library, replace(selection, verdict=verdict))
    corrections.undo(after, after.corrections[0].about.id)
    assert not library.run(folder).corrections
    assert json.loads(scene(library, selection))["header"]["place"] == "Praline / test_public"


def test_strangers_find_no_way_to_correct_a_run(tmp_path: Path):
    def names(access: Access) -> set[str]:
        return {event["api_name"] for event in build(tmp_path, None, access=access).config["dependencies"]}

    ours = {"propose_correction", "propose_whole_part", "find_like_missed", "keep_correction", "undo_correction"}
    assert ours <= names(Access())
    assert not ours & names(Access(host="0.0.0.0", training=False))


@pytest.fixture
def alarming(runs: Path, candies: Path) -> tuple[str, tuple[int, int], str]:
    """A good sample that the run calls anomalous: its name, its hottest place, and its score."""
    folder = runs / "Praline" / "afrd"
    run, test = afrd.load_run(folder, "cpu"), afrd.open_dataset(candies, "Praline")["test_public"]
    index = next(i for i, label in enumerate(test.anomalous) if label is False)
    score = run.predict_stored(test, index).score
    tensors, about = corrections.load_tensors(folder / "calibration.safetensors")
    shrink = 0.7 * score / run.threshold().value
    for name in ("errors", "usual"):  # so small that the sample is a false alarm
        tensors[name] = tensors[name] * shrink
    tensors["nearest"] = tensors["nearest"] * 0.01  # nearer than any correction, so that the threshold stays
    corrections.save_tensors(folder / "calibration.safetensors", tensors, about)
    alarm = afrd.load_run(folder, "cpu").predict_stored(test, index)
    assert alarm.verdict == "anomalous"
    row, column = np.unravel_index(alarm.anomaly_map.argmax(), alarm.anomaly_map.shape)
    return test.names[index], (int(column), int(row)), f"score {alarm.score / alarm.threshold.value:.2f} × threshold"


@pytest.mark.browser
def test_a_false_alarm_is_corrected_by_one_click_and_undone(
    runs: Path, candies: Path, alarming: tuple[str, tuple[int, int], str], browser: Browser
):
    folder = runs / "Praline" / "afrd"
    name, (x, y), before = alarming
    with serving(app_command(runs, candies)) as address, browsing(browser, address, f"/?sample={name}") as page:

        def says(text: str, there: bool = True) -> None:
            page.wait_for_function(
                "([text, there]) => (document.querySelectorAll('#light-table .panels .verdict')[1]?.innerText ?? "
                "'').includes(text) === there && document.querySelectorAll('#light-table .panels .verdict')[1]",
                arg=[text, there],
            )

        says(before)
        page.locator("#corrections button").first.click()
        page.locator("#correction-normal").wait_for()
        page.locator("#correction-normal").click()
        page.get_by_text("click the place in a picture first").wait_for()

        stage = page.locator("#light-table .panels .stage").nth(1)
        box = stage.bounding_box()
        stage.click(position={"x": (x + 0.5) / 64 * box["width"], "y": (y + 0.5) / 64 * box["height"]})
        page.wait_for_selector("#light-table .why table")
        page.locator("#correction-why textarea, #correction-why input").first.fill("a <b>seam</b>")
        page.locator("#correction-normal").click()
        answer = page.locator("#correction-answer .correction")
        answer.wait_for()
        assert "If this is kept:" in answer.inner_text() and f"Not counted: {name}." in answer.inner_text()
        assert not corrections.read_corrections(folder)
        page.locator("#correction-discard").click()
        answer.wait_for(state="hidden")

        page.locator("#correction-normal").click()
        answer.wait_for()
        page.locator("#correction-keep").click()
        says(before, there=False)
        page.wait_for_function(
            "document.querySelector('#light-table').innerText.includes('corrected, so it does not count')"
        )
        (kept,) = corrections.read_corrections(folder)
        assert (kept.about.sample, kept.about.why) == (name, "a <b>seam</b>") and kept.about.place is not None
        assert abs(kept.about.place[0] - x) <= 1 and abs(kept.about.place[1] - y) <= 1
        page.wait_for_function(
            "name => document.querySelector('#correction-kept input').value.startsWith(name)", arg=name
        )
        page.wait_for_function(
            "name => [...document.querySelectorAll('#samples button')].some(one => "
            "one.innerText.includes(name) && (one.ariaLabel ?? one.title ?? '').includes('corrected'))",
            arg=name,
        )
        page.locator("#correction-undo").click()
        says(before)
        page.wait_for_function("document.querySelector('#correction-kept input').value === ''")
        assert not corrections.read_corrections(folder)
        page.locator("#correction-restore").click()  # an undo is undone, too
        says(before, there=False)
        page.wait_for_function(
            "name => document.querySelector('#correction-kept input').value.startsWith(name)", arg=name
        )
        page.locator("#correction-restore").wait_for(state="hidden")
        assert [one.about for one in corrections.read_corrections(folder)] == [kept.about]


@pytest.mark.browser
def test_a_missed_defect_shows_what_is_like_it(runs: Path, candies: Path, browser: Browser):
    with serving(app_command(runs, candies)) as address, browsing(browser, address, "/?sample=02&at=30,30") as page:
        page.wait_for_selector("#light-table .why table")
        page.locator("#corrections button").first.click()
        page.locator("#correction-missed").click()
        answer = page.locator("#correction-answer .correction")
        answer.wait_for()
        assert answer.locator(".alike a").count() == 3
        assert "Evidence there:" in answer.inner_text() and "look like it" in answer.inner_text()
        page.locator("#correction-keep").click()
        page.wait_for_function("document.querySelector('#correction-kept input').value.includes('missed defect')")
        (kept,) = corrections.read_corrections(runs / "Praline" / "afrd")
        assert kept.about.kind == "defect"
        page.locator("#correction-missed").click()
        answer.wait_for()
        first = answer.locator(".alike a").first
        sample = first.locator("img").get_attribute("alt").removeprefix("sample ")
        first.click()
        page.wait_for_function(
            "name => document.querySelector('#light-table header')?.innerText.includes(name)", arg=sample
        )
        page.wait_for_selector("#light-table .why table")
