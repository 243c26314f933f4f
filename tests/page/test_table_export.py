"""What one sees, taken away: the table as a PNG, and the view as Python that runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

import afrd
from afrd.page.common.scripts import joined_text
from afrd.page.light_table.share import shared_page
from afrd.page.light_table.style import SCRIPTS
from tests.page.helpers import app_command, browsing, copied, executed, serving, settled

READY = "document.querySelector('.light-table .verdict b') && !document.querySelector('.light-table.busy')"


@pytest.fixture(scope="module")
def app(tiny_runs: Path, candies: Path) -> Iterator[str]:
    with serving(app_command(tiny_runs, candies)) as address:
        yield address


@pytest.mark.browser
def test_the_view_as_code_makes_the_same_view(app: str, browser: Browser, tiny_runs: Path):
    with browsing(browser, app) as page:
        page.wait_for_function(READY)
        settled(page)
        code = copied(page)
        assert code.count("\n") == 3 and "fusion=" not in code and "lights=" not in code
        header = page.locator(".light-table > header").bounding_box()
        assert header is not None and header["height"] < 40  # one line of controls
        table = executed(code)
        name = page.locator(".light-table h2").inner_text()
        names = afrd.open_dataset(*re.findall(r'open_dataset\("(.*)", "(.*)"\)', code)[0])["test_public"].names
        assert names[table.sample] == name and table.lights == ["spots", "bottom", "right", "top", "left", "box"]
        assert table.fusion == "attention" and table.weights == {} and table.pinned == []

        page.get_by_role("button", name="next sample").click()
        page.wait_for_function("name => document.querySelector('.light-table h2').textContent !== name", arg=name)
        page.locator(".tile input[value=box]").uncheck()
        page.locator(".tile input[value=spots]").uncheck()
        page.get_by_label("fusion of the lights").select_option("max")
        page.get_by_label("weight of top").fill("0.25")
        page.locator(".panels .stage").first.click(position={"x": 60, "y": 70})
        page.wait_for_selector(".why tbody tr")
        table = executed(copied(page))
        assert names[table.sample] == page.locator(".light-table h2").inner_text() != name
        assert table.lights == ["bottom", "right", "top", "left"] and table.fusion == "max"
        assert table.weights == {"top": 0.25} and len(table.pinned) == 2
        assert f"x {table.pinned[0]}, y {table.pinned[1]}" in page.locator(".why h3").inner_text()


CODE = "import { codeOf } from './code.js';\nreturn codeOf(given);"


@pytest.mark.browser
@pytest.mark.parametrize("run", [None, "afrd"])
def test_views_that_the_browser_does_not_fuse_have_code_too(
    app: str, browser: Browser, tiny_runs: Path, candies: Path, run: str | None
):
    lights = [{"name": name, "usable": True, "on": name != "box"} for name in ("top", "box")]
    place = {"run": run and str(tiny_runs / "Praline" / run), "root": str(candies), "category": "Praline", "views": []}
    place |= {"split": "test_public", "sample": "01", "index": 1}
    given = {"scene": {"code": place, "lights": lights, "fusion": None}, "view": {}, "lamps": None}
    with browsing(browser, "about:blank") as page:
        code = page.evaluate(f"given => {{ {joined_text(CODE, SCRIPTS / 'test.js')} }}", given)
    assert code.count("\n") == 3
    table = executed(code)
    assert table.lights == ["top"] and '"name": "01"' in table._scene


@pytest.mark.browser
def test_names_with_quotes_and_views_are_python(browser: Browser):
    place = {"run": None, "root": 'C:\\my "data"', "category": "Würfel", "views": ["V1", "V2"], "split": "test"}
    lights = [{"name": "a", "usable": True, "on": True}]
    given = {"scene": {"code": place | {"sample": "x", "index": 3}, "lights": lights}, "view": {}, "lamps": None}
    with browsing(browser, "about:blank") as page:
        code = page.evaluate(f"given => {{ {joined_text(CODE, SCRIPTS / 'test.js')} }}", given)
    call = ast.parse(code).body[1].value.value  # type: ignore[attr-defined]
    assert [arg.value for arg in call.value.args] == ['C:\\my "data"', "Würfel"]
    assert ast.literal_eval(call.value.keywords[0].value) == ["V1", "V2"]


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_table_is_saved_as_a_picture_of_twice_the_size(
    tiny_runs: Path, tmp_path: Path, browser: Browser, width: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    html = shared_page(tiny_runs / "Praline" / "afrd", ["01"])
    name = {1280: "01", 390: "Wu\u0308rfel/" + 300 * "x"}[width]
    (tmp_path / "table.html").write_text(html.replace('"name": "01"', f'"name": "{name}"'))
    with browsing(browser, (tmp_path / "table.html").as_uri()) as page:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_selector(".panels .verdict b")
        page.get_by_role("button", name="solo top").click()
        page.wait_for_selector("text='lights: top'")
        with page.expect_download() as download:
            page.keyboard.press("p")
        expected = {1280: "01-top.png", 390: "Wu\u0308rfel-" + 72 * "x" + ".png"}[width]
        assert download.value.suggested_filename == expected
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        picture = Image.open(download.value.path()).convert("RGB")
        told = page.evaluate("document.querySelector('.panels .panel:nth-child(2) .verdict').textContent")
    assert picture.width == 2400 and picture.height > 1400 and "score" in told
    pixels = np.asarray(picture).astype(int)
    assert (
        (pixels[:8] == 255).all() and (pixels[:, :24] == 255).all() and (pixels[:, -24:] == 255).all()
    )  # on white, in every colour scheme
    coloured = np.ptp(pixels, axis=2) > 60
    assert coloured[200:800].mean() > 0.02  # the picture and its maps
    assert (pixels.sum(2) < 300)[-120:].any()  # the caption


def test_a_shared_file_does_not_say_where_its_author_keeps_things(
    tiny_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    html = shared_page(tiny_runs / "Praline" / "afrd", ["01"])
    assert str(tiny_runs) not in html and '"run": "Praline/afrd"' in html
    monkeypatch.chdir(tiny_runs.parent)
    assert f'"run": "{tiny_runs.name}/Praline/afrd"' in shared_page(tiny_runs / "Praline" / "afrd", ["01"])


CAPTION = "import { caption } from './save.js';\nreturn caption({ ...given, lamps: { said: () => ({ top: 0.5 }) } });"


@pytest.mark.browser
def test_the_caption_names_lights_fusion_and_weights(browser: Browser):
    given = {
        "scene": {
            "header": {"name": "25", "place": "Praline / test_public", "truth": "anomalous: dents"},
            "lights": [{"name": name, "on": name != "box"} for name in ("top", "box", "left")],
            "panels": [
                {"method": "AFRD", "title": "afrd", "values": {}, "score": "score 1.40", "threshold": "threshold 2"},
                {"method": "Single-light RD", "problem": "none"},
            ],
            "fusion": {},
            "unit": "",
        },
        "view": {"fusion": "max", "zoom": 1.5},
    }
    with browsing(browser, "about:blank") as page:
        told = page.evaluate(f"given => {{ {joined_text(CAPTION, SCRIPTS / 'test.js')} }}", given)
    assert told == (
        "Sample 25 of Praline / test_public (anomalous: dents). Lights: top, left. Fusion: max; weights: top 0.5. "
        "AFRD afrd: score 1.40; threshold 2. Enlarged to 150 %."
    )
