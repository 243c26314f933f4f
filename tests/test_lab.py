"""JupyterLab in a browser: a slider of an executed notebook, an exercise, and the light table in a cell."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.page.helpers import PATIENCE

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
NAME = "04_evaluating.ipynb"
SETTINGS = {  # all cells are in the page, whether they can be seen or not
    "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {
        "windowingMode": "none",
        "autoStartDefaultKernel": True,
    },
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {"fetchNews": "false", "checkForUpdates": False},
}


TABLE_CELLS = """import afrd
run = afrd.load_run({run!r}, "cpu")
table = afrd.explore(run, afrd.open_dataset({root!r}, "Praline")["test_public"])

table

print(table.sample, *table.lights, table.fusion)

table.lights = ["left", "box"]
table.fusion = "mean"
table.sample = 1"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Of JupyterLab, with a copy of the notebook in `folder / "work"`."""
    with lab(folder) as address:
        yield address


@contextmanager
def lab(folder: Path) -> Iterator[str]:
    """JupyterLab with a copy of the notebook in `folder`; gives its address."""
    work = folder / "work"
    work.mkdir()
    for name in (NAME, "course.py", "light_mixer.html", "lamp_mixer.html"):
        shutil.copy(NOTEBOOKS / name, work)
    for name, content in SETTINGS.items():
        (folder / "settings" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "settings" / name).write_text(json.dumps(content))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--port-retries=0",
               "--IdentityProvider.token=", "--ServerApp.password=", f"--ServerApp.root_dir={work}"]  # fmt: skip
    environment = os.environ | {
        "AFRD_FAST": "1",
        "OMP_NUM_THREADS": "1",
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
    }
    with (folder / "lab.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=work, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, (folder / "lab.txt").read_text()
            try:
                urllib.request.urlopen(f"{address}/api", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def opened(browser: Browser, address: str) -> Page:
    """A page with a notebook whose kernel has started."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(2 * PATIENCE)  # a kernel starts, and loads torch
    page.goto(address)
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
    return page


def run(page: Page, index: int) -> Locator:
    """Runs the selected cell, number `index` of the code cells, and gives it; the next one is selected then."""
    cell = page.locator(".jp-CodeCell").nth(index)
    expect(cell).to_have_class(re.compile("jp-mod-active"))
    page.keyboard.press("Shift+Enter")
    return cell


def run_first(page: Page, index: int) -> None:
    """Runs code cell number `index` until it has been run: JupyterLab can lose the first one after a kernel's start."""
    prompt = page.locator(".jp-CodeCell").nth(index).locator(".jp-InputPrompt")
    for _ in range(5):
        page.locator(".jp-CodeCell").nth(index).locator(".cm-content").click()
        run(page, index)
        page.wait_for_timeout(500)  # the cell that is lost has the prompt [*] for a moment, then [ ] again
        expect(prompt).not_to_have_text("[*]:", timeout=2 * PATIENCE)
        if prompt.text_content() != "[ ]:":
            return
    pytest.fail(f"cell {index} was not run")


def solve(page: Page, index: int, answer: str) -> Locator:
    """Puts an answer into an exercise's cell, runs it and the check cell behind it, and gives what the check says."""
    page.locator(".jp-CodeCell").nth(index).locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(answer)
    run(page, index)
    return run(page, index + 1).locator(".jp-OutputArea-output")


@pytest.mark.browser
def test_a_slider_moves_and_an_exercise_is_checked(browser: Browser, address: str):
    cells = [cell for cell in nbformat.read(NOTEBOOKS / NAME, as_version=4).cells if cell.cell_type == "code"]
    page = opened(browser, f"{address}/lab/tree/{NAME}")
    figure = page.locator(".jp-CodeCell").nth(first_with(cells, "go.Frame(data=at_threshold"))
    figure.scroll_into_view_if_needed()
    shown = figure.locator(".slider-label").first
    shown.wait_for()
    before = shown.text_content()
    figure.locator(".slider-rail-touch-rect").click(position={"x": 4, "y": 4})
    expect(shown).not_to_have_text(before, timeout=PATIENCE)

    imports = page.locator(".jp-CodeCell").first
    imports.scroll_into_view_if_needed()
    run_first(page, 0)
    exercise = first_with(cells, "dice = np.random.default_rng(1)")
    page.locator(".jp-CodeCell").nth(first_with(cells, "from course import")).locator(".cm-content").click()
    run(page, first_with(cells, "from course import"))
    said = solve(page, exercise, "answer = [0.5, 0.5, 0.5, 0.4]")
    expect(said).to_contain_text("Not yet.", timeout=PATIENCE)
    said = solve(page, exercise, "answer = [0.5, 0.5, 0.5, 0.09]")
    expect(said).to_contain_text("Right.", timeout=PATIENCE)
    page.close()


@pytest.mark.browser
def test_a_lamp_of_the_light_table_is_read_in_the_next_cell_and_python_sets_it(
    browser: Browser, folder: Path, address: str, tiny_runs: Path, candies: Path
):
    text = TABLE_CELLS.format(run=str(tiny_runs / "Praline" / "afrd"), root=str(candies))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in text.split("\n\n")])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "work" / "table.ipynb")
    page = opened(browser, f"{address}/lab/workspaces/table/tree/table.ipynb")  # without the other notebook
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    run_first(page, 0)
    run(page, 1)
    table = page.locator(".afrd-table")
    table.locator(".verdict b").first.wait_for()
    assert page.locator("[data-afrd-saved]").is_hidden()
    table.locator(".tile input[value=box]").click()
    expect(table.get_by_text("lights: spots, bottom, right, top, left", exact=True)).to_be_visible()
    fusion = table.get_by_label("fusion of the lights")
    fusion.select_option("max")
    page.locator(".jp-CodeCell").nth(2).locator(".cm-content").click()
    said = run(page, 2).locator(".jp-OutputArea-output")
    expect(said).to_have_text("0 spots bottom right top left max\n", timeout=2 * PATIENCE)
    run(page, 3)
    expect(table.locator("h2")).to_have_text("01", timeout=2 * PATIENCE)
    expect(table.get_by_text("lights: left, box; fused by mean", exact=True)).to_be_visible(timeout=2 * PATIENCE)
    expect(fusion).to_have_value("mean", timeout=2 * PATIENCE)
    assert wrong == []
    page.close()


def first_with(cells: list[nbformat.NotebookNode], text: str) -> int:
    """The number of the first of the cells that has this text."""
    return next(i for i, cell in enumerate(cells) if text in cell.source)
