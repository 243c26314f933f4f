"""Names and texts that come from other people's files are shown as they are, and never become part of the page."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser

import afrd
from afrd.analysis.errors.exchange import undo_latest
from afrd.analysis.errors.groups import Group, Groups
from afrd.analysis.errors.notes import Note, Notes
from afrd.runs.shared_file import Key, SharedFile
from tests.page.helpers import ROOT, app_command, browsing, serving, settled

EVIL = "<img src=x onerror=window.hit=1>"  # a name that a file may have
SCRIPT = "</script><script>window.hit=1</script>"
GROUP = f"group{EVIL}"  # the name of a group
SHOWN = """text => [...document.querySelectorAll('.tabitem')].filter(tab => tab.offsetParent).some(
    tab => [tab.innerText, ...[...tab.querySelectorAll('input')].map(i => i.value)].join('\\n').includes(text))"""

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def evil_data(candies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set whose category, lights, samples and defects are called `EVIL` with something before it."""
    root, source = tmp_path_factory.mktemp("evil-data"), afrd.open_dataset(candies, "Praline")
    for split, folder in (("train", "train/good"), ("test_public", "test")):
        dataset = source[split]
        for i in range(len(dataset)):
            kind = "" if split == "train" else "good" if not dataset.anomalous[i] else f"dent{EVIL}"
            sample = root / f"C{EVIL}" / folder / kind / f"{i}{EVIL}"
            sample.mkdir(parents=True)
            for light in ("top", "box"):
                shutil.copy(dataset.picture(i, light), sample / f"{light}{EVIL}.png")
    return root


@pytest.fixture(scope="module")
def evil_runs(evil_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("evil-runs")
    data = afrd.open_dataset(evil_data, f"C{EVIL}")
    for lights, name in (("all", f"both{EVIL}"), (f"top{EVIL}", f"one{EVIL}")):
        afrd.fit(data, lights, runs / "C" / name, size=64, width=16, epochs=2, show_progress=False)
    notes = Notes(runs / "C" / f"both{EVIL}")
    test = data[data.test_split]
    for name in test.names:
        notes.save(test.split, name, Note(f"note{EVIL}{SCRIPT}", (f"tag{EVIL}",)))
    Groups(runs / "C").save(GROUP, Group(f"note == '{EVIL}' or score > -1"))
    Groups(runs / "C").save("no such column", Group(f"`{EVIL}` > 1"))
    return runs


@pytest.fixture(scope="module")
def app(evil_runs: Path, evil_data: Path):
    with serving(app_command(evil_runs, evil_data)) as address:
        yield address


def nothing_came_alive(page) -> None:
    settled(page)
    assert page.evaluate("window.hit") is None
    assert page.locator("img[src=x]").count() == 0


def open_tab(page, name: str) -> None:
    page.wait_for_selector(".light-table .panel canvas", state="attached")  # Explore may be hidden by now
    page.get_by_role("tab", name=name, exact=True).click()
    settled(page)


def test_names_of_files_and_folders_stay_text(app: str, browser: Browser):
    with browsing(browser, app) as page:
        for tab in ("Explore", "Compare", "Errors", "Lights", "Train", "Your own sample"):
            open_tab(page, tab)
            page.wait_for_function(SHOWN, arg=EVIL)  # as it is
            nothing_came_alive(page)


def test_what_people_write_in_the_errors_tab_stays_text(app: str, browser: Browser):
    """Notes, tags, names of groups with their expressions and contact sheet, a condition, and the search text."""
    with browsing(browser, app) as page:
        open_tab(page, "Errors")
        page.wait_for_selector("#errors-sheet [data-testid='cell-3-1']")
        settled(page)
        page.locator("#errors-sheet [data-testid='cell-0-2']").click()
        page.wait_for_function("document.querySelector('#errors-note textarea').value != ''")
        nothing_came_alive(page)
        assert "note<img" in page.input_value("#errors-note textarea")

        page.locator("#errors-group input").click()
        page.get_by_role("option", name=GROUP).click()
        page.wait_for_function("document.querySelector('#errors-line').innerText.includes('img src=x')")
        page.locator("#errors-groups button").first.click()
        page.locator("#errors-contact").click()
        page.wait_for_selector("#errors-contact-sheet button")
        page.locator("#errors-measure").click()
        page.wait_for_function("document.querySelector('#errors-group-table')?.innerText.includes('is left out')")
        nothing_came_alive(page)
        assert GROUP in page.inner_text("#errors-group-table")
        where = page.locator("#errors-where").locator("input, textarea")
        where.fill(f"`{EVIL}{SCRIPT}` > 1")
        where.press("Enter")
        page.wait_for_function("document.querySelector('#errors-where-said').innerText.includes('there is no column')")
        nothing_came_alive(page)

        search = page.locator("#errors-text").locator("input, textarea")
        search.fill(f"{EVIL}{SCRIPT}")
        search.press("Enter")
        page.wait_for_function("document.querySelector('#errors-line').innerText.includes('</script>')")
        nothing_came_alive(page)


def test_an_error_that_quotes_a_strangers_file_stays_text(app: str, browser: Browser, evil_runs: Path, tmp_path: Path):
    run = next(evil_runs.rglob("notes.sqlite")).parent / f"both{EVIL}"
    with SharedFile(run.parent).writing() as entries:
        entries.put(Key("note", run.name, "test", EVIL), {EVIL: SCRIPT})
    try:
        with browsing(browser, app) as page:
            open_tab(page, "Errors")
            page.wait_for_selector("#errors-sheet [data-testid='cell-3-1']")
            nothing_came_alive(page)
            assert "notes.sqlite" in page.inner_text("#errors-status")
    finally:
        undo_latest(run.parent)


def test_an_error_sentence_with_a_name_in_it_and_names_of_uploaded_files_stay_text(
    app: str, browser: Browser, evil_data: Path, tmp_path: Path
):
    picture = next(evil_data.rglob("*.png"))
    names = [f"a{EVIL}.png", f"b{EVIL}.png"]
    for name in names:
        shutil.copy(picture, tmp_path / name)
    (tmp_path / f"c{EVIL}.png").write_bytes(b"no picture")
    with browsing(browser, app) as page:
        open_tab(page, "Train")
        page.fill("#train-root input, #train-root textarea", f"/no/such/{EVIL}{SCRIPT}")
        page.keyboard.press("Enter")
        page.wait_for_function("document.body.innerText.includes('/no/such/')")
        nothing_came_alive(page)
        assert EVIL in page.inner_text("body")

        open_tab(page, "Your own sample")
        page.locator("#own-files input[type=file]").set_input_files([tmp_path / n for n in [*names, f"c{EVIL}.png"]])
        page.wait_for_selector("#own-pictures .own-picture")
        nothing_came_alive(page)
        assert "img src=x" in page.inner_text("#own-pictures")


def test_what_a_toast_says_is_constant_or_escaped():
    """Gradio shows the text of a toast as HTML."""
    raw = []
    for file in (ROOT / "afrd" / "page").rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func) in ("gr.Info", "gr.Warning", "gr.Error"):
                text = call.args[0]
                escaped = isinstance(text, ast.Call) and ast.unparse(text.func) == "plain"
                raw += [] if escaped or isinstance(text, ast.Constant) else [f"{file.name}: {ast.unparse(call)}"]
    assert not raw, "\n".join(raw)
