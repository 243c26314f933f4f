"""The site: its sources, and its pages in a browser that reaches nothing but the folder they lie in."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.page.helpers import browsing

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("site_prepare", ROOT / "docs" / "site" / "prepare.py")
assert spec and spec.loader
prepare = importlib.util.module_from_spec(spec)
spec.loader.exec_module(prepare)


def test_links_into_the_code_lead_to_the_repository_and_others_stay():
    text = "[code](../afrd/model/afrd.py), [docs](../docs/method.md), [next](04_evaluating.ipynb)"
    assert prepare.linked("[![Open](https://a.org/b.svg)](https://a.org)") == "[Open](https://a.org)&emsp;"
    found = prepare.linked(text)
    assert f"]({prepare.REPOSITORY}/blob/main/afrd/model/afrd.py)" in found
    assert "](../docs/method.md)" in found and "](04_evaluating.ipynb)" in found


@pytest.fixture
def book(tmp_path) -> Path:
    picture = io.BytesIO()
    Image.new("RGB", (300, 100), "red").save(picture, "png")
    figure = {"data": [{"y": [1, 2]}], "layout": {"meta": {"alt": 'a "rising" line'}}, "frames": [{"name": "one"}]}
    data = {prepare.PLOTLY: figure, "image/png": base64.b64encode(picture.getvalue()).decode()}
    cell = nbformat.v4.new_code_cell("1", outputs=[nbformat.v4.new_output("display_data", data)])
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# 1. A title\n\ntext"), cell])
    nbformat.write(notebook, tmp_path / "01_title.ipynb")
    return tmp_path / "01_title.ipynb"


def test_a_figure_keeps_its_frames_and_its_alternative_text(book, tmp_path):
    (tmp_path / "thumbnails").mkdir()
    title = prepare.notebook(book, tmp_path / "out.ipynb", tmp_path / "thumbnails")
    assert title == "1. A title"
    page = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[1].outputs[0].data["text/html"]
    content = re.search(r'<script type="application/json">(.*)</script>', page)
    assert content and json.loads(content.group(1))["frames"] == [{"name": "one"}]
    assert 'alt="a &quot;rising&quot; line"' in page
    assert Image.open(tmp_path / "thumbnails" / "01_title.jpg").size == prepare.THUMBNAIL


def test_a_notebook_without_a_figure_is_refused_by_name(tmp_path):
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# 1. A")]), tmp_path / "01_a.ipynb")
    with pytest.raises(SystemExit, match=r"01_a\.ipynb shows no figure"):
        prepare.notebook(tmp_path / "01_a.ipynb", tmp_path / "out.ipynb", tmp_path)


def test_every_document_is_in_the_site():
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} == set(prepare.DOCUMENTS)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built as `make site` does: a broken link or an unknown formula is an error."""
    folder = tmp_path_factory.mktemp("site")
    prepare.prepare(folder / "source")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "source", "html"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.mark.browser
def test_every_page_works_without_a_network(site, browser: Browser):
    pages = [*(site / "notebooks").glob("*.html"), *(site / "docs").glob("*.html"), site / "index.html"]
    assert len(pages) > 15 and (site / ".nojekyll").exists()
    with browsing(browser, site.as_uri(), "/index.html") as page:  # fails where the page asks for anything elsewhere
        for path in pages:
            page.goto(path.as_uri())
            for figure in page.locator(".course-figure").all():
                figure.scroll_into_view_if_needed()
                figure.locator(".main-svg").first.wait_for()


@pytest.mark.browser
def test_a_slider_of_the_site_moves_its_figure_and_formulas_are_drawn(site, browser: Browser):
    with browsing(browser, site.as_uri(), "/notebooks/04_evaluating.html") as page:
        assert page.locator("math").first.bounding_box()["width"] > 5
        figure = page.locator('.course-figure[aria-label^="Histogram of scores, confusion matrix"]')
        figure.scroll_into_view_if_needed()
        shown = figure.locator(".slider-label").first
        shown.wait_for()
        before = shown.text_content()
        rail = figure.locator(".slider-rail-touch-rect")
        rail.scroll_into_view_if_needed()
        rail.click(position={"x": 4, "y": 4})
        expect(shown).not_to_have_text(before)
