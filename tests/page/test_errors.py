"""The Errors tab: what it shows, in this process, and its story in the real page."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest
from playwright.sync_api import Browser

from afrd.analysis.errors.notes import Note, Notes
from afrd.page.common.library import Library
from afrd.page.common.messages import NothingToShowError, in_one_sentence
from afrd.page.common.samples import first_selection
from afrd.page.common.selection import Selection
from afrd.page.errors import views
from afrd.page.errors.analysis import Analysis
from afrd.page.errors.state import MAX_CARDS, Card, ErrorsState, Filters, View, shown_first, view_of
from tests.page.helpers import app_command, browsing, serving


@pytest.fixture(scope="module")
def runs(tiny_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, because notes are written into it."""
    copy = tmp_path_factory.mktemp("errors") / "runs"
    shutil.copytree(tiny_runs, copy)
    return copy


@pytest.fixture(scope="module")
def library(runs: Path, candies: Path) -> Library:
    return Library(runs, candies)


def looking(library: Library, **changes) -> ErrorsState:
    """A state whose table is there, with all methods."""
    state = ErrorsState(selection=replace(first_selection(library, "Praline"), **changes))
    analysis = Analysis(library, state.selection)
    assert list(analysis.reading()) is not None
    state.take_up(analysis)
    assert len(list(analysis.judging())) in (0, len(analysis.methods))
    state.table = analysis.against(analysis.table(), state.table.other if state.table else None)
    return state


def asked(state: ErrorsState, at: float | None = 1.0, question: str = "all", kind: str = "all", text: str = "") -> View:
    view = view_of(state, Filters(at, question, kind, text))
    assert view is not None
    return view


def test_the_run_and_the_single_light_that_explore_shows_are_compared(library: Library):
    state = looking(library)
    assert state.table is not None and state.analysis is not None
    assert state.table.run == "AFRD, attention over evidence"
    assert state.table.other == "single-light RD, top"
    assert len(state.table.labels) == len(state.analysis.methods) > 2
    assert state.sample == state.analysis.dataset.names[state.selection.index or 0]
    titles = views.question_titles(state.table)
    assert titles["only_run_right"] == "AFRD right, top wrong"


def test_a_single_light_that_is_off_can_still_be_compared_with(library: Library):
    state = looking(library, lights=("left", "box"))
    assert state.analysis is not None and state.table is not None
    assert state.analysis.main.lights == ("left", "box")
    assert state.table.other == "single-light RD, top"
    assert list(state.table.light_scores) == ["left", "box"]


def test_filters_combine_and_the_line_says_which_are_on(library: Library):
    state = looking(library)
    found = state.table
    assert found is not None
    everything = asked(state)
    assert everything.rows == [0, 1, 2, 3] and views.count_line(everything) == "4 of 4 samples"
    bad = asked(state, kind="bad")
    assert bad.rows == [i for i in range(4) if found.bad[i]]
    scores = found.scores[found.run]
    state.region = ("AFRD attention", float(scores.min()), float(scores.sort_values().iloc[1]))
    low = asked(state)
    assert set(low.rows) == set(scores.sort_values().index[:2])
    both = asked(state, kind="bad", text="bad")
    assert set(both.rows) == set(low.rows) & set(bad.rows)
    assert re.fullmatch(r"\d of 4 samples: bad; “bad”; AFRD attention from [\d.]+ to [\d.]+", views.count_line(both))
    at = float(scores.max()) + 0.1
    state.region = None
    assert asked(state, at, "missed").rows == found.answer("missed", at)
    assert asked(state, question="false_alarms", kind="bad").rows == []


def test_what_only_a_script_would_ask_is_refused_in_a_sentence(library: Library):
    state = looking(library)
    with pytest.raises(gr.Error, match="there is no question 'why'"):
        in_one_sentence(view_of)(state, Filters(1.0, "why", "all", ""))
    with pytest.raises(gr.Error):
        in_one_sentence(view_of)(state, Filters("high", "all", "all", ""))  # type: ignore[arg-type]
    assert asked(state, kind="no such defect").rows == []
    state.region = ("no such column", 0, 1)
    assert len(asked(state).rows) == 4


def test_the_table_marks_wrong_verdicts_and_scores_above_the_threshold(library: Library):
    state = looking(library)
    view = asked(state, 0.1)
    sheet = views.sheet(view)
    assert sheet["headers"][:4] == ["", "sample", "truth", "defects"]
    texts, styles = sheet["metadata"]["display_value"], sheet["metadata"]["styling"]
    column = sheet["headers"].index("outcome")
    for line, style in zip(texts, styles, strict=True):
        assert (line[column] in views.WRONG) == ("--wrong" in style[column])
        score = sheet["headers"].index("AFRD attention")
        assert ("--above" in style[score]) == (float(line[score]) > 0.1)
    json.dumps(sheet, allow_nan=False)  # a good sample has no IoU, which must not become NaN on its way


def test_every_sample_is_a_point_and_those_filtered_out_are_dull(library: Library):
    state = looking(library)
    view = asked(state, kind="bad")
    names, across, up = views.axes(view)
    assert (across, up) == ("AFRD attention", "RD top") and {"disagreement", "best IoU"} <= set(names)
    points = views.points(view, view.frame["sample"][view.rows[0]])
    order = list(views.colour_map(view.table))
    assert points.samples.tolist()[: len(order)] == order  # the plot gives colours in the order of appearance
    drawn = points.iloc[len(order) :]
    assert drawn.samples.value_counts().to_dict() == {"filtered out": 2, "bad": 1, "selected": 1}
    assert drawn.samples.iloc[-1] == "selected"
    frame = view.frame.set_index("sample")
    assert all(row.x == frame[across][row["sample"]] for _, row in drawn.iterrows())


def test_counts_are_those_of_both_methods(library: Library):
    state = looking(library)
    assert state.table is not None
    html = views.counts(state.table, 1.0)
    for label in (state.table.run, state.table.other):
        count = state.table.confusion(1.0, label)
        assert count is not None
        numbers = [count.detected, count.missed, count.false_alarms, count.passed]
        cells = re.search(rf"<th>{state.table.column_names()[label]}</th>(.*?)</tr>", html)
        assert cells and [int(n) for n in re.findall(r">(\d+)<", cells[1])] == numbers
    assert "of the 3 good samples that set the threshold" in html


def test_a_run_without_threshold_gets_one_by_hand(runs: Path, candies: Path, tmp_path: Path):
    shutil.copytree(runs, tmp_path / "runs")
    (tmp_path / "runs" / "Praline" / "afrd" / "calibration.safetensors").unlink()
    state = looking(Library(tmp_path / "runs", candies))
    assert state.analysis is not None and state.table is not None
    at = state.table.first_threshold
    slider = views.slider(state.analysis, state.table, at)
    assert slider.value == at and slider.label == "Threshold by hand, in raw scores"
    assert "AFRD attention (raw)" in asked(state, at).frame
    assert "promises nothing" in views.counts(state.table, at)
    assert "raw, without a threshold: AFRD attention" in views.summary(state.analysis, state.table)


def test_samples_of_unknown_truth_are_shown_and_not_counted(runs: Path, candies: Path, tmp_path: Path):
    shutil.copytree(candies, tmp_path / "data")
    private = tmp_path / "data" / "Praline" / "test_private" / "data"
    private.mkdir(parents=True)
    for picture in (candies / "Praline" / "test_public" / "data").glob("*_image_*.png"):
        shutil.copy(picture, private)
    state = looking(Library(runs, tmp_path / "data"), split="test_private", index=None)
    assert state.analysis is not None and state.table is not None and state.sample is None
    assert "truth of this split is not known" in views.counts(state.table, 1.0)
    view = asked(state)
    assert set(view.frame["truth"]) == {"unknown"} and view.rows == [0, 1, 2, 3]
    assert "truth not known" in views.points(view, None).samples.tolist()
    assert "4 whose truth is not known" in views.summary(state.analysis, state.table)
    assert "Select a row" in views.card_of(state.analysis, state.table, 1.0, None)


@pytest.mark.parametrize(
    ("change", "title"),
    [
        ({"category": None}, "No samples to look at yet"),
        ({"category": "Cookie"}, "This cannot be shown"),
        ({"split": "gone"}, "This cannot be shown"),
        ({"lights": ()}, "No light is switched on"),
    ],
)
def test_where_there_is_nothing_to_show_it_says_why(change: dict, title: str, library: Library):
    with pytest.raises(NothingToShowError) as why:
        Analysis(library, replace(first_selection(library, "Praline"), **change))
    assert why.value.parts[0] == title


def test_without_a_run_it_says_how_to_train_one(candies: Path, tmp_path: Path):
    library = Library(tmp_path, candies)
    with pytest.raises(NothingToShowError) as why:
        Analysis(library, first_selection(library, "Praline"))
    assert why.value.parts[2] == f"afrd train {candies} Praline --out RUN"


def test_the_test_split_is_shown_first_until_another_is_chosen_here(library: Library):
    state = ErrorsState()
    selection = replace(first_selection(library, "Praline"), split="train", index=2)
    assert shown_first(state, selection, library).split == "test_public"
    assert shown_first(state, selection, library).index is None
    state.split = ("Praline", "val")
    assert shown_first(state, selection, library).split == "val"
    assert shown_first(state, Selection(), library) == Selection()


def test_another_run_or_split_begins_anew_and_another_sample_does_not(library: Library):
    state = looking(library)
    state.region = ("AFRD attention", 0, 1)
    again = Analysis(library, replace(state.selection, index=0))
    assert state.take_up(again) and state.region is not None
    assert state.sample == again.dataset.names[0]
    assert not state.take_up(Analysis(library, replace(state.selection, lights=("top", "box"))))
    assert state.region is None


def test_a_note_on_its_way_finds_its_sample_whatever_is_selected_since():
    state = ErrorsState()
    numbers = [state.show(Card(None, str(i), Note())) for i in range(MAX_CARDS + 5)]  # type: ignore[arg-type]
    assert [state.cards[n].sample for n in numbers[-2:]] == [str(MAX_CARDS + 3), str(MAX_CARDS + 4)]
    assert len(state.cards) == MAX_CARDS and numbers[0] not in state.cards


def test_broken_notes_are_told_and_do_not_hide_the_table(runs: Path, candies: Path, tmp_path: Path):
    shutil.copytree(runs, tmp_path / "runs")
    (tmp_path / "runs" / "Praline" / "afrd" / "notes.json").write_text("{")
    state = looking(Library(tmp_path / "runs", candies))
    assert state.analysis is not None and state.table is not None
    assert "does not hold notes" in views.summary(state.analysis, state.table)
    assert len(asked(state).rows) == 4
    (tmp_path / "runs" / "Praline" / "notes.sqlite").write_text("no database")
    assert "is not a file of notes of AFRD" in views.summary(state.analysis, state.table)


@pytest.fixture(scope="module")
def app(runs: Path, candies: Path) -> Iterator[str]:
    with serving(app_command(runs, candies)) as address:
        yield address


LINE = "document.querySelector('#errors-line').innerText"
HISTOGRAM = "document.querySelector('#errors-histogram').innerText"


def open_tab(page) -> None:
    page.wait_for_selector(".light-table .panel canvas")
    page.get_by_role("tab", name="Errors").click()
    page.wait_for_function("document.querySelector('#errors-status')?.innerText.includes('2 good, 2 bad')")
    page.wait_for_selector("#errors-sheet [data-testid='cell-3-1']")
    page.wait_for_function("document.querySelector('#errors-histogram .js-plotly-plot')?.layout?.shapes?.length")


def samples_shown(page) -> list[str]:
    return page.locator("#errors-sheet [data-col='1'][role=gridcell]").all_inner_texts()


@pytest.mark.browser
def test_a_missed_defect_is_found_noted_and_opened(app: str, runs: Path, library: Library, browser: Browser):
    state = looking(library)
    found = state.table
    assert found is not None
    notes = Notes(runs / "Praline" / "afrd")
    with browsing(browser, app) as page:
        open_tab(page)
        assert samples_shown(page) == list(found.samples["sample"])

        # the threshold above every score misses all defects; line and counts follow at once
        place = page.locator("#errors-threshold input[type=number]")
        place.fill("2")
        place.press("Enter")
        page.wait_for_function(f"{HISTOGRAM}.includes('threshold 2.00')")
        page.wait_for_function("document.querySelector('#errors-question').innerText.includes('Missed defects  2')")
        page.get_by_text("Missed defects").click()
        page.wait_for_function(f"{LINE} == '2 of 4 samples: Missed defects'")
        worst = list(found.samples["sample"][found.answer("missed", 2)])
        assert samples_shown(page) == worst

        # a row shows its card; what is written is kept as it is, and harmless
        page.locator("#errors-sheet [data-testid='cell-0-2']").click()
        page.wait_for_selector(f"#errors-card h3:has-text('{worst[0]}')")
        assert page.locator("#errors-card figure").count() == 3
        note = page.locator("#errors-note textarea")
        note.fill("flat <img src=x onerror=alert(1)> bump")
        tag = page.locator("#errors-tags input")
        tag.fill("faint")
        tag.press("Enter")
        page.wait_for_function("document.querySelector('#errors-saved').innerText.includes('saved')")
        written = Note("flat <img src=x onerror=alert(1)> bump", ("faint",))
        for _ in range(100):  # note and tag are two answers of the server
            if notes.of("test_public")[worst[0]] == written:
                break
            page.wait_for_timeout(100)
        assert notes.of("test_public")[worst[0]] == written
        note.fill("flat bump")
        page.locator("#errors-sheet [data-testid='cell-1-2']").click()  # leaves the field
        page.wait_for_selector(f"#errors-card h3:has-text('{worst[1]}')")
        page.wait_for_function("document.querySelector('#errors-note textarea').value == ''")
        for _ in range(100):
            if notes.of("test_public")[worst[0]].text == "flat bump":
                break
            page.wait_for_timeout(100)
        assert notes.of("test_public") == {worst[0]: Note("flat bump", ("faint",))}

        # it is searched for, and opened in Explore
        page.get_by_text("All samples").click()
        page.wait_for_function(f"{LINE} == '4 of 4 samples'")
        page.locator("#errors-text").locator("input, textarea").fill("faint bump")
        page.wait_for_function(f"{LINE}.startsWith('1 of 4 samples')")
        page.locator("#errors-sheet [data-testid='cell-0-0']").click()
        page.wait_for_function(
            "name => document.querySelector('.light-table h2')?.textContent == name && "
            "document.querySelector('.light-table').offsetParent",
            arg=worst[0],
        )


@pytest.mark.browser
def test_plot_and_table_select_each_other_and_the_table_is_taken_away(
    app: str, library: Library, browser: Browser, tmp_path: Path
):
    found = looking(library).table
    assert found is not None
    scores = found.scores[found.run].to_numpy()
    with browsing(browser, app) as page:
        open_tab(page)
        plot = page.locator("#errors-scatter svg.marks").bounding_box()
        y = plot["y"] + plot["height"] * 0.3
        page.mouse.move(plot["x"] + plot["width"] * 0.12, y)
        page.mouse.down()
        for part in (0.2, 0.35, 0.5):
            page.mouse.move(plot["x"] + plot["width"] * part, y, steps=4)
        page.mouse.up()
        page.wait_for_function(f"{LINE}.includes('AFRD attention from')")
        line = page.evaluate(LINE)
        count, low, high = re.fullmatch(r"(\d) of 4 samples: AFRD attention from ([\d.]+) to ([\d.]+)", line).groups()
        inside = found.samples["sample"].isin(samples_shown(page)).to_numpy()
        assert 0 < int(count) < 4 and int(count) == inside.sum()
        edge = 0.005  # the line tells two digits
        assert (scores[inside] >= float(low) - edge).all() and (scores[inside] <= float(high) + edge).all()
        assert not ((scores[~inside] > float(low) + edge) & (scores[~inside] < float(high) - edge)).any()

        with page.expect_download() as download:
            page.locator("#errors-csv").click()
        assert download.value.suggested_filename == "errors-Praline-test_public.csv"
        download.value.save_as(tmp_path / "table.csv")
        rows = list(csv.DictReader((tmp_path / "table.csv").open()))
        assert len(rows) == int(count)
        assert [float(row["AFRD attention"]) for row in rows] == pytest.approx(scores[inside], rel=1e-4)

        page.locator("#errors-clear").click()
        page.wait_for_function(f"{LINE} == '4 of 4 samples'")
        with page.expect_download() as download:
            page.locator("#errors-report").click()
        download.value.save_as(tmp_path / "report.html")
        report = page.context.browser.new_page()
        asked: list[str] = []
        report.on("request", lambda request: asked.append(request.url))
        report.goto((tmp_path / "report.html").as_uri())
        assert report.locator("article").count() == 4
        assert report.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
        assert all(url.startswith(("file:", "data:")) for url in asked)


@pytest.mark.browser
def test_on_a_tablet_nothing_is_cut_off(app: str, browser: Browser):
    with browsing(browser, app) as page:
        page.set_viewport_size({"width": 820, "height": 1180})
        open_tab(page)
        page.wait_for_selector("#errors-card .error-card")
        assert page.evaluate("document.documentElement.scrollWidth") <= 820
        clipped = """[...document.querySelectorAll('.errors :is(h3, dt, dd, .counts td, .counts th, .line, button)')]
            .filter(node => node.textContent.trim() && node.clientWidth && node.scrollWidth > node.clientWidth + 1)
            .map(node => node.textContent)"""
        assert page.evaluate(clipped) == []
