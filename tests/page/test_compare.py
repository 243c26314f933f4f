"""The Compare tab: what it says in this process, its story in a browser, and its table for scripts."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Browser

import afrd
from afrd.analysis.comparison.methods import Method
from afrd.metrics.words import METRICS
from afrd.page.common.library import Cache, Library
from afrd.page.common.messages import NothingToShowError
from afrd.page.common.samples import first_selection
from afrd.page.common.selection import Selection
from afrd.page.compare import comparison, views
from afrd.page.compare.comparison import Comparison, of_different_runs_first
from afrd.page.compare.text import label_in
from tests.page.helpers import app_command, browsing, serving

REFERENCE = "AFRD, attention over evidence"


@pytest.fixture(scope="module")
def runs(candies: Path, tiny_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AFRD, two single lights and a patch memory."""
    folder = tmp_path_factory.mktemp("compared")
    shutil.copytree(tiny_runs, folder, dirs_exist_ok=True)
    data = afrd.open_dataset(candies, "Praline")
    common = {"size": 64, "show_progress": False}
    afrd.fit(data, "box", folder / "Praline" / "single-box", width=16, epochs=1, **common)
    afrd.fit(data, "all", folder / "Praline" / "memory", method="memory", **common)
    return folder


@pytest.fixture(scope="module")
def library(runs: Path, candies: Path) -> Library:
    return Library(runs, candies)


@pytest.fixture
def selection(library: Library) -> Selection:
    return first_selection(library, "Praline")


def sheets(
    library: Library, selection: Selection, metric: str = "pixel_ap", picked: str = "", drawn: tuple = ()
) -> list[dict]:
    return list(views.sheets(library, selection, metric, picked, drawn))


def whole(found: list[dict]) -> dict:
    """What is on the sheet at the end."""
    return {name: value for values in found for name, value in values.items()}


def test_all_methods_are_compared_with_the_shown_run_first(library: Library, selection: Selection):
    found = whole(sheets(library, selection))
    rows = found["table"]
    names = [row[0] for row in rows["data"]]
    assert names[0] == f"{REFERENCE} (ref.)" and label_in(rows["data"][0]) == REFERENCE
    assert len(names) == len(set(names)) == 10 and names[-1] == "single-light RDs, late max"
    assert rows["data"][1][1] == "all 6" and rows["data"][-1][1] == "top, box"
    judged = Comparison(library, selection).results()
    for row, texts, one in zip(rows["data"], rows["metadata"]["display_value"], judged, strict=True):
        assert row[2:] == [one.intervals.value[m] for m in METRICS]  # sorted by the exact values
        low, high = one.intervals.low["aupro"], one.intervals.high["aupro"]
        assert texts[-1].rstrip(" ▲▼") == f"{row[-1]:.3f} [{low:.3f}, {high:.3f}]"
    assert "2 good and 2 anomalous samples; lights spots, bottom, right, top, left, box" in found["status"]
    assert found["drawn"].value[:1] == [REFERENCE] and len(found["drawn"].value) == 4


def test_a_second_look_judges_nothing_again(library: Library, selection: Selection, monkeypatch: pytest.MonkeyPatch):
    first = sheets(library, selection)
    monkeypatch.setattr(Library, "judged", None)
    second = sheets(library, selection)
    assert len(second) == 2 and whole(second)["words"] == whole(first)["words"]


def test_the_chosen_lights_are_those_of_every_method(library: Library, selection: Selection):
    found = whole(sheets(library, replace(selection, lights=("top", "left"))))
    lights = {row[0]: row[1] for row in found["table"]["data"]}
    assert set(lights.values()) == {"top, left", "top"}
    assert not any("box" in name or "late" in name for name in lights)


def test_the_table_grows_while_methods_are_judged(runs: Path, candies: Path, monkeypatch: pytest.MonkeyPatch):
    fresh = Library(runs, candies)
    monkeypatch.setattr(comparison, "_results", Cache(10**6))
    monkeypatch.setattr(views, "UPDATE_SECONDS", 0.0)
    found = sheets(fresh, first_selection(fresh, "Praline"))
    assert len(found) > 2 and f"Judging with {REFERENCE}" in found[0]["status"] and "0 of 10" in found[0]["status"]
    grown = [len(values["table"]["data"]) for values in found if "table" in values]
    assert grown == sorted(grown) and grown[0] == 0 and grown[-1] == 10


def test_the_other_method_chosen_decides_which_samples_are_shown(library: Library, selection: Selection):
    found = Comparison(library, selection)
    shown = views.samples(found, "image_auroc", "single-light RD, box")
    assert shown["picked"] == "single-light RD, box" and "Rank, other" in shown["samples"]["headers"]
    assert "<b>single-light RD, box</b> (other), light: box" in shown["heading"]
    assert len(shown["samples"]["data"]) == 4
    assert views.samples(found, "image_auroc", REFERENCE) == {}
    assert views.samples(found, "image_auroc", "no such method") == {}


def test_a_sample_is_opened_with_the_single_light_beside_it(library: Library, selection: Selection, runs: Path):
    found = Comparison(library, replace(selection, kind="dents", verdict="missed", pinned=(1, 2)))
    opened = found.opened("03", found.method("single-light RD, top"))
    assert opened.index == 3 and opened.beside == runs / "Praline" / "single-top"
    assert (opened.kind, opened.verdict, opened.pinned) == ("all", "all", None)
    assert found.opened("03", found.method("single-light RDs, late max")).beside == selection.beside
    assert found.opened("../../secret", None) == found.selection


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"lights": ()}, "Choose at least one light"),
        ({"split": "val"}, "Methods cannot be compared on val"),
        ({"split": "test_private"}, "This cannot be compared"),
        ({"category": "Cookie"}, "This cannot be compared"),
        ({"category": None}, "Nothing to compare yet"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_sentence(
    library: Library, selection: Selection, changes: dict, title: str
):
    (shown,) = sheets(library, replace(selection, **changes))
    assert f"<h2>{title}</h2>" in shown["status"]


def test_a_category_without_run_and_a_run_without_another_say_how_to_train(
    candies: Path, tiny_runs: Path, tmp_path: Path
):
    empty = Library(tmp_path, candies)
    (shown,) = sheets(empty, first_selection(empty, "Praline"))
    assert "No run for Praline yet" in shown["status"] and f"afrd train {candies} Praline --out RUN" in shown["status"]

    shutil.copytree(tiny_runs / "Praline" / "single-top", tmp_path / "Praline" / "single-top")
    alone = Library(tmp_path, candies)
    found = whole(sheets(alone, first_selection(alone, "Praline")))
    assert [row[0] for row in found["table"]["data"]] == ["single-light RD, top (ref.)"]
    assert "is the only method with these lights" in found["words"] and "--lights" in found["words"]


def test_a_run_that_does_not_fit_is_left_out_and_named(runs: Path, candies: Path, tmp_path: Path):
    shutil.copytree(runs, tmp_path / "runs")
    config = tmp_path / "runs" / "Praline" / "single-box" / "config.json"
    digest = Library(runs, candies).run(runs / "Praline" / "afrd").config.teacher_digest
    config.write_text(config.read_text().replace(digest, "0" * len(digest)))
    library = Library(tmp_path / "runs", candies)
    found = whole(sheets(library, first_selection(library, "Praline")))
    assert "Left out: single-light RD, box. run " in found["notes"] and "other weights" in found["notes"]
    assert len(found["table"]["data"]) == 7  # late fusion needs it too


def test_names_from_files_are_not_read_as_html():
    from afrd.page.common.messages import message

    assert "<script>" not in message("<script>", "<script>", "<script>")


def test_downloads_hold_every_digit(library: Library, selection: Selection):
    from urllib.parse import unquote

    notes = whole(sheets(library, selection))["notes"]
    href = notes.split('href="data:text/csv;charset=utf-8,')[1].split('"')[0]
    rows = list(csv.DictReader(StringIO(unquote(href))))
    first = Comparison(library, selection).results()[0]
    assert len(rows) == 10 and float(rows[0]["pixel_ap"]) == first.intervals.value["pixel_ap"]
    assert 'download="compare-Praline-test_public.csv"' in notes


def test_without_a_category_there_is_nothing_to_compare(library: Library):
    with pytest.raises(NothingToShowError):
        Comparison(library, Selection())


@pytest.fixture(scope="module")
def app(runs: Path, candies: Path) -> Iterator[str]:
    with serving(app_command(runs, candies)) as address:
        yield address


DRAWN = "#compare-defects .js-plotly-plot"


def rows_of(page, name: str) -> list[str]:
    return [row.locator(".body-cell").first.inner_text() for row in page.locator(f"#compare-{name} .virtual-row").all()]


@pytest.mark.browser
def test_the_way_from_a_number_to_the_sample_behind_it(app: str, browser: Browser, runs: Path):
    with browsing(browser, app) as page:
        page.wait_for_selector(".light-table .verdict b")  # the page has opened
        page.get_by_role("tab", name="Compare").click()
        page.wait_for_selector(DRAWN)
        page.wait_for_function("document.querySelectorAll('#compare-table .virtual-row').length == 10")
        assert rows_of(page, "table")[0] == f"{REFERENCE} (ref.)"
        for name in ("forest", "roc", "pro"):
            page.wait_for_selector(f"#compare-{name} .js-plotly-plot")
        assert "than" in page.locator("#compare-words").inner_text()
        with page.expect_download() as download:
            page.locator("#compare-notes .csv").click()
        assert Path(download.value.path()).read_text().startswith("method,lights,reference,image_auroc")

        page.get_by_label("image AUROC", exact=True).click()
        page.wait_for_selector("#compare-heading:has-text('What makes the difference in image AUROC')")

        # another order of the rows does not lead to another method
        page.locator("#compare-table thead th").first.hover()
        page.locator("#compare-table thead .cell-menu-button").first.click()
        page.get_by_text("Sort descending").click()
        first = "document.querySelector('#compare-table .virtual-row .body-cell').innerText"
        page.wait_for_function(f"{first} == 'single-light RDs, late mean'")
        page.locator("#compare-table .body-cell", has_text="single-light RD, top").first.click()
        page.wait_for_selector("#compare-heading b >> text='single-light RD, top'")
        sample = rows_of(page, "samples")[1]
        page.locator("#compare-samples .body-cell", has_text=sample).first.click()
        page.wait_for_function("name => document.querySelector('.light-table h2')?.textContent == name", arg=sample)
        page.wait_for_selector("[role=tab][aria-selected=true]:has-text('Explore')")
        page.wait_for_function("document.querySelector('#beside input').value == 'top'")

        page.get_by_role("tab", name="Compare").click()
        page.locator("#compare-lights label", has_text="box").click()
        page.wait_for_selector("#compare-status:has-text('lights spots, bottom, right, top, left;')")
        page.wait_for_function("document.querySelectorAll('#compare-table .virtual-row').length == 7")
        page.locator("#compare-split input").click()
        page.get_by_role("option", name="val").click()
        page.wait_for_selector("text='Methods cannot be compared on val'")
        for name in ("table", "rest"):
            page.wait_for_selector(f"#compare-{name}", state="hidden")


@pytest.mark.browser
def test_nothing_leaves_the_screen_of_a_tablet(app: str, browser: Browser):
    with browsing(browser, app) as page:
        page.set_viewport_size({"width": 820, "height": 1180})
        page.wait_for_selector(".light-table .verdict b")  # the page has opened
        page.get_by_role("tab", name="Compare").click()
        page.wait_for_selector(DRAWN)
        assert page.evaluate("document.documentElement.scrollWidth") <= 820
        for name in ("forest", "roc", "pro", "defects", "table", "samples"):
            box = page.locator(f"#compare-{name}").bounding_box()
            assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 820, name
        assert "More metrics" in page.locator("#compare-notes").inner_text()


def test_methods_of_different_runs_are_judged_first_as_those_of_one_wait_for_its_evidence():
    class AnyRun:
        def __init__(self, method: str) -> None:
            self.model = SimpleNamespace(config=SimpleNamespace(method=method))

    runs: dict[str, Any] = {"a": AnyRun("afrd"), "m": AnyRun("memory"), "s": AnyRun("afrd")}
    labels = ("a1", "a2", "m1", "m2", "a3", "s1")
    methods = [Method(label, (runs[label[0]],), (), None) for label in labels]
    assert [method.label for method in of_different_runs_first(methods)] == ["a1", "m1", "s1", "a2", "a3", "m2"]
