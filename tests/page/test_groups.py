"""Groups in the Errors tab: an expression, saved filters, their metrics and contact sheet; and two people at once."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from afrd.analysis.errors.groups import Group, Groups
from afrd.analysis.errors.notes import Note, Notes
from afrd.page.access import Access
from afrd.page.common.library import Library
from afrd.page.common.samples import first_selection
from afrd.page.errors import views
from afrd.page.errors.analysis import Analysis
from afrd.page.errors.groups import group_of, measured
from afrd.page.errors.state import ErrorsState, Filters, View, view_of
from tests.page.helpers import PATIENCE, app_command, browsing, serving


@pytest.fixture(scope="module")
def runs(tiny_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, because notes and groups are written into it."""
    copy = tmp_path_factory.mktemp("groups") / "runs"
    shutil.copytree(tiny_runs, copy)
    return copy


@pytest.fixture(scope="module")
def state(runs: Path, candies: Path) -> ErrorsState:
    """A state whose table is there, with all methods."""
    library = Library(runs, candies)
    state = ErrorsState(selection=replace(first_selection(library, "Praline")))
    analysis = Analysis(library, state.selection)
    assert list(analysis.reading()) is not None and list(analysis.judging()) is not None
    state.take_up(analysis)
    state.table = analysis.against(analysis.table(), state.table.other if state.table else None)
    return state


def asked(state: ErrorsState, **filters) -> View:
    view = view_of(state, Filters(1.0, **filters))
    assert view is not None
    return view


def test_an_expression_filters_with_all_other_filters(state: ErrorsState):
    assert state.table is not None
    bad = [row for row in range(4) if state.table.bad[row]]
    view = asked(state, where=" truth == 'bad' ")
    assert view.rows == bad and not view.problem
    assert views.count_line(view) == "2 of 4 samples: truth == 'bad'"
    assert asked(state, where="score > -1 and sample == '01'", kind="bad").rows == [r for r in bad if r == 1]


def test_what_is_no_expression_is_said_and_leaves_the_other_filters(state: ErrorsState):
    view = asked(state, where="scor > 1", kind="bad")
    assert "did you mean score?" in view.problem and len(view.rows) == 2
    assert views.count_line(view) == "2 of 4 samples: bad"
    html = views.drawn(view, state.analysis.dataset, None, {})["where_said"]  # type: ignore[union-attr]
    assert 'role="alert">there is no column' in html and "light_top" in html
    assert asked(state, where="x" * 501).problem == "the expression has 501 characters; at most 500 are allowed"
    assert "<b>" not in views.drawn(asked(state, where="<b>"), state.analysis.dataset, None, {})["where_said"]  # type: ignore[union-attr]


def test_the_menu_names_the_group_whose_filters_are_on(state: ErrorsState):
    view = asked(state, where="score > 0.5", question="missed", kind="bad", text="b")
    group = Group("score > 0.5", "missed", "bad", "b")
    assert group_of(view) == group
    menu = views.group_menu(view, {"other": Group("score > 1"), "mine": group})
    assert menu.value == "mine" and [value for _, value in menu.choices] == ["", "other", "mine"]
    assert views.group_menu(asked(state), {"mine": group}).value == ""


def test_metrics_are_of_all_samples_those_shown_and_the_groups(state: ErrorsState):
    assert state.analysis is not None and state.table is not None
    groups = state.analysis.groups()
    groups.save("bad", Group(kind="bad"))
    groups.save("of another table", Group("light_dome > 1"))
    try:
        metrics, left_out = measured(state.analysis, asked(state, where="truth == 'good'"))
        again, _ = measured(state.analysis, asked(state))
    finally:
        groups.save("bad", None)
        groups.save("of another table", None)
    names = ["all samples", "in the table", "bad"]
    assert metrics.group.tolist() == [name for name in names for _ in range(2)]
    assert metrics.method.tolist()[:2] == [state.table.run, state.table.other]
    assert metrics.samples.tolist() == [4, 4, 2, 2, 2, 2]
    assert again.group.tolist() == [name for name in ("all samples", "bad") for _ in range(2)]
    assert left_out[0].startswith("of another table is left out: there is no column 'light_dome'")


def test_a_page_open_to_everybody_saves_no_groups(tmp_path: Path):
    from afrd.page.tabs import build

    def saving(access: Access) -> set[str]:
        page = build(tmp_path, None, access=access)
        return {d["api_name"] for d in page.config["dependencies"]} & {
            "errors_save_group",
            "errors_remove_group",
            "errors_undo_group",
        }

    assert len(saving(Access())) == len(saving(Access(share=True, auth=("me", "secret")))) == 3
    assert not saving(Access(share=True, training=False))


@pytest.fixture(scope="module")
def app(runs: Path, candies: Path) -> Iterator[str]:
    with serving(app_command(runs, candies)) as address:
        yield address


LINE = "document.querySelector('#errors-line').innerText"


def said(where: str, text: str) -> str:
    return f"document.querySelector('{where}')?.innerText.includes({text!r})"


def open_tab(page) -> None:
    page.wait_for_selector(".light-table .panel canvas")
    page.get_by_role("tab", name="Errors").click()
    page.wait_for_function(said("#errors-status", "2 good, 2 bad"))
    page.wait_for_selector("#errors-sheet [data-testid='cell-3-1']")
    page.wait_for_function("document.querySelector('#errors-histogram .js-plotly-plot')?.layout?.shapes?.length")


def second_page(page, address: str):
    """Another person's browser, on the same page."""
    other = page.context.browser.new_page(viewport={"width": 1280, "height": 900})
    other.set_default_timeout(PATIENCE)
    other.goto(address)
    return other


def write(page, field: str, text: str) -> None:
    page.locator(field).locator("input, textarea").fill(text)


def filter_by(page, expression: str) -> None:
    write(page, "#errors-where", expression)
    page.locator("#errors-where").locator("input, textarea").press("Enter")


def select(page, sample: str) -> None:
    page.locator(f"#errors-sheet [role=gridcell][data-col='1']:has-text('{sample}')").click()
    page.wait_for_selector(f"#errors-card h3:has-text('{sample}')")


@pytest.mark.browser
def test_an_expression_becomes_a_group_with_metrics_and_a_contact_sheet(
    app: str, runs: Path, browser: Browser, tmp_path: Path
):
    groups = Groups(runs / "Praline")
    with browsing(browser, app) as page:
        open_tab(page)
        filter_by(page, "truth = 'bad'")
        page.wait_for_function(said("#errors-where-said", "cannot be read as an expression"))
        assert page.evaluate(LINE) == "4 of 4 samples"
        filter_by(page, "truth == 'bad'")
        page.wait_for_function(f"{LINE} == \"2 of 4 samples: truth == 'bad'\"")
        page.wait_for_function(f"!{said('#errors-where-said', 'cannot be read')}")

        page.locator("#errors-groups button").first.click()
        write(page, "#errors-group-name", "bad ones")
        page.locator("#errors-save-group").click()
        page.wait_for_function(said("#errors-group-said", "bad ones: saved for all who use these runs"))
        assert groups.all() == {"bad ones": Group("truth == 'bad'")}

        page.locator("#errors-measure").click()
        page.wait_for_function(said("#errors-group-table", "against all 2 good"))
        rows = page.locator("#errors-group-table tbody tr, #errors-group-table table tr:not(:first-child)")
        assert page.locator("#errors-group-table tr.first td:first-child").all_inner_texts() == [
            "all samples",
            "in the table",
            "bad ones",
        ]
        assert rows.count() >= 6

        page.locator("#errors-clear").click()
        page.wait_for_function(f"{LINE} == '4 of 4 samples'")
        assert page.locator("#errors-where").locator("input, textarea").input_value() == ""
        page.locator("#errors-contact").click()
        page.wait_for_function("document.querySelectorAll('#errors-contact-sheet button').length == 4")
        page.locator("#errors-group input").click()
        page.get_by_role("option", name="bad ones").click()
        page.wait_for_function("document.querySelectorAll('#errors-contact-sheet button').length == 2")
        page.wait_for_function("[...document.querySelectorAll('.contact-sheet img')].every(i => i.naturalWidth > 0)")
        page.locator("#errors-contact-order input").click()
        page.get_by_role("option", name="lowest score").click()
        ascending = """[...document.querySelectorAll('#errors-contact-sheet .caption')]
            .map(node => parseFloat(node.innerText.split(' ')[1])).every((v, i, all) => !i || all[i - 1] <= v)"""
        page.wait_for_function(ascending)
        tile = page.locator("#errors-contact-sheet button").last
        name = tile.locator("b").inner_text()
        tile.click()
        page.wait_for_selector(f"#errors-card h3:has-text('{name}')")

        with page.expect_download() as download:
            page.locator("#errors-csv").click()
        download.value.save_as(tmp_path / "group.csv")
        assert [row["truth"] for row in csv.DictReader((tmp_path / "group.csv").open())] == ["bad", "bad"]
        with page.expect_download() as download:
            page.locator("#errors-report").click()
        download.value.save_as(tmp_path / "report.html")
        report = (tmp_path / "report.html").read_text()
        assert "<h2>Groups</h2>" in report and "bad ones" in report and 'class="contact-sheet"' in report

        page.locator("#errors-remove-group").click()
        page.wait_for_function(said("#errors-group-said", "bad ones removed"))
        assert groups.all() == {}
        page.locator("#errors-undo-group").click()
        page.wait_for_function(said("#errors-group-said", "bad ones is as before"))
        assert list(groups.all()) == ["bad ones"]
        page.locator("#errors-contact").click()
        page.wait_for_selector("#errors-contact-box", state="hidden")
    groups.save("bad ones", None)


@pytest.mark.browser
def test_two_people_at_once_see_each_other_s_notes_and_groups_and_lose_nothing(app: str, runs: Path, browser: Browser):
    notes, groups = Notes(runs / "Praline" / "afrd"), Groups(runs / "Praline")

    def stored(sample: str, text: str, page) -> None:
        """Waits until the note holds the text."""
        for _ in range(PATIENCE // 100):
            if text in notes.of("test_public").get(sample, Note()).text:
                return
            page.wait_for_timeout(100)
        pytest.fail(f"{text!r} was not stored: {notes.of('test_public')}")

    with browsing(browser, app) as mine:
        yours = second_page(mine, app)
        for page in (mine, yours):
            open_tab(page)
            select(page, "02")
            page.wait_for_function("document.querySelector('#errors-note textarea').value == ''")
        # both write on one sample, and neither has seen the other's words
        for page, text in ((mine, "a dent, says one"), (yours, "a stain, says another")):
            page.locator("#errors-note textarea").fill(text)
            page.locator("#errors-note textarea").blur()
            stored("02", text, page)
        assert notes.of("test_public")["02"].text == "a dent, says one\na stain, says another"
        yours.wait_for_function("document.querySelector('#errors-note textarea').value.includes('says one')")
        select(mine, "01")
        select(mine, "02")
        mine.wait_for_function("document.querySelector('#errors-note textarea').value.includes('says another')")

        # one undoes the other's change, which both then see
        mine.locator("#errors-undo").click()
        mine.wait_for_function("document.querySelector('#errors-note textarea').value == 'a dent, says one'")
        select(yours, "01")
        select(yours, "02")
        yours.wait_for_function("document.querySelector('#errors-note textarea').value == 'a dent, says one'")

        # a group that one saves is in the other's menu
        filter_by(mine, "'dent' in note")
        mine.wait_for_function(f"{LINE}.startsWith('1 of 4 samples')")
        mine.locator("#errors-groups button").first.click()
        write(mine, "#errors-group-name", "noted dents")
        mine.locator("#errors-save-group").click()
        mine.wait_for_function(said("#errors-group-said", "noted dents: saved"))
        filter_by(yours, "score > -1")
        yours.wait_for_function(f"{LINE} == '4 of 4 samples: score > -1'")
        yours.locator("#errors-group input").click()
        yours.get_by_role("option", name="noted dents").click()
        yours.wait_for_function(f"{LINE}.startsWith('1 of 4 samples')")
        assert re.search("'dent' in note", yours.locator("#errors-where").locator("input, textarea").input_value())
    groups.save("noted dents", None)
