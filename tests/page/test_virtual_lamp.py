"""The virtual lamp, the normals and the lens: in the page, in a shared file, and where directions are not known."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

import afrd
from afrd.page.common.library import Library
from afrd.page.common.samples import first_selection
from afrd.page.common.scripts import joined_text
from afrd.page.light_table.scene import scene
from afrd.page.light_table.share import shared_page
from afrd.page.light_table.style import SCRIPTS
from tests.page.helpers import PATIENCE, app_command, browsing, serving, settled

PICTURE = ".panel.lighting canvas.picture"
FIRST = ".panels .verdict b"


@pytest.fixture(scope="module")
def file(tiny_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shared file of two samples."""
    path = tmp_path_factory.mktemp("shared") / "table.html"
    path.write_text(shared_page(tiny_runs / "Praline" / "afrd", 2))
    return path


def drawing(page: Any, selector: str = PICTURE) -> str:
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.evaluate(f"document.querySelector('.light-table {selector}').toDataURL()")


@pytest.mark.browser
def test_a_matt_surface_shines_by_the_cosine(browser: Browser):
    script = (
        "import { direction, shader } from './virtual.js';\n"
        "const [normals, albedo] = [given.normals, given.albedo].map(data => ({ width: 3, height: 1, data }));"
        "const canvas = shader()(normals, albedo, given.lamp);"
        "return { at: direction(given.lamp), pixels: [...canvas.getContext('2d').getImageData(0, 0, 3, 1).data] };"
    )
    cosines = [1, 0.5, -1]
    normals = [round(127.5 * (part + 1)) for c in cosines for part in (0, np.sqrt(1 - c**2), c, 1)]
    given = {"normals": normals, "albedo": [128, 64, 255, 255] * 3, "lamp": {"azimuth": 30, "height": 90}}
    found = browser.new_page().evaluate(f"given => {{ {joined_text(script, SCRIPTS / 'test.js')} }}", given)
    assert found["at"] == pytest.approx([0, 0, 1], abs=1e-9)
    pixels = np.reshape(found["pixels"], (3, 4))[:, :3] / 255
    light = np.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
    albedo = ((np.array([128, 64]) / 255 + 0.055) / 1.055) ** 2.4
    assert light[:, :2] == pytest.approx(np.outer([1.24, 0.64, 0.04], albedo), abs=0.01)
    assert light[0, 2] == 1  # no more than white


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_lamp_is_dragged_over_the_picture_and_changes_nothing_else(file: Path, browser: Browser, scheme: str):
    page, wrong = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme=scheme), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_selector(FIRST)
    verdict = page.locator(".panels .verdict").nth(1).inner_text()
    photograph = drawing(page)
    assert page.get_by_label("direction of the virtual lamp, degrees").is_hidden()
    page.get_by_label("lighting of the picture").select_option("a virtual lamp (estimate)")
    page.wait_for_selector("text='under a virtual lamp'")
    told = page.locator(".lighting > .small").inner_text()
    assert "estimated from bottom, right, top, left by photometric stereo; the model sees none of it" in told
    shaded = drawing(page)
    assert shaded != photograph and page.locator(".sun").is_visible()
    box = page.locator(".panels .stage").first.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + box["width"] / 4, middle[1], steps=3)
    page.mouse.up()
    sliders = [page.get_by_label(f"{name} of the virtual lamp, degrees") for name in ("direction", "height")]
    assert [int(slider.input_value()) for slider in sliders] == [0, 60]
    right = drawing(page)
    assert right != shaded
    sliders[0].focus()
    page.keyboard.press("ArrowRight")  # of the slider, not to the next sample
    assert sliders[0].input_value() == "1" and drawing(page) != right
    assert page.locator(".light-table .mark:visible").count() == 0  # a drag pins nothing
    page.get_by_label("lighting of the picture").select_option("normals (estimate)")
    page.wait_for_selector("text='normals: right red, up green, to the camera blue'")
    assert page.locator(".sun").is_hidden() and drawing(page) not in (shaded, right, photograph)
    assert page.locator(".panels .verdict").nth(1).inner_text() == verdict
    page.get_by_role("button", name="next sample").click()
    page.wait_for_selector("text='normals: right red, up green, to the camera blue'")  # stays from sample to sample
    page.get_by_role("button", name="picture under box: show it large").click()
    page.wait_for_selector("text='under light box'")
    assert wrong == []


@pytest.mark.browser
def test_the_lens_shows_another_layer_in_its_place(file: Path, browser: Browser):
    page, wrong = browser.new_page(viewport={"width": 1280, "height": 900}), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_selector(FIRST)
    menu = page.get_by_label("what the loupe shows")
    texts = menu.locator("option").all_inner_texts()
    assert texts[:3] == ["the place enlarged", "light spots", "light bottom"]
    assert {"map of AFRD", "map of Single-light RD", "error of box", "attention of box"} < set(texts)
    assert texts[-2:] == ["a virtual lamp (estimate)", "normals (estimate)"]
    seen = set()
    for text in ("the place enlarged", "light top", "map of AFRD", "error of box", "attention of box", texts[-1]):
        menu.select_option(text)
        page.locator(".panels .stage").first.hover(position={"x": 150, "y": 160})
        seen.add(drawing(page, ".lighting .loupe"))
    assert len(seen) == 6
    page.get_by_role("button", name="solo top").click()
    assert menu.locator("option:checked").inner_text() == "normals (estimate)"
    menu.select_option("error of top")
    page.get_by_role("button", name="solo bottom").click()
    page.get_by_role("button", name="solo top").click()  # it has no error now
    page.wait_for_selector("text='lights: bottom'")
    assert menu.locator("option:checked").inner_text() == "the place enlarged"
    assert wrong == []


@pytest.mark.browser
def test_a_finger_drags_the_lamp_on_a_phone(file: Path, browser: Browser):
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    page = context.new_page()
    page.goto(file.as_uri())
    page.wait_for_selector(FIRST)
    page.get_by_label("lighting of the picture").select_option(":virtual")
    page.wait_for_selector("text='under a virtual lamp'")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    before = drawing(page)
    box = page.locator(".panels .stage").first.bounding_box()
    middle = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    fingers = context.new_cdp_session(page)
    for kind, up in (("touchStart", 0), ("touchMove", 20), ("touchMove", 60)):
        points = [{"x": middle["x"], "y": middle["y"] - up, "id": 0}]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(page.get_by_label("direction of the virtual lamp, degrees")).to_have_value("90", timeout=PATIENCE)
    assert drawing(page) != before
    context.close()


@pytest.mark.browser
def test_in_the_page_the_lamp_asks_nothing_of_the_server(tiny_runs: Path, candies: Path, browser: Browser):
    with serving(app_command(tiny_runs, candies)) as app, browsing(browser, app) as page:
        page.wait_for_selector(FIRST)
        settled(page)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.get_by_label("lighting of the picture").select_option(":virtual")
        page.wait_for_selector("text='under a virtual lamp'")
        before = drawing(page)
        page.get_by_label("height of the virtual lamp, degrees").fill("10")
        assert drawing(page) != before
        page.get_by_label("what the loupe shows").select_option("normals (estimate)")
        page.locator(".panels .stage").nth(1).hover()
        drawing(page, ".lighting .loupe")
        assert [url for url in asked if not url.startswith(("data:", "blob:"))] == []


def test_a_scene_says_why_there_is_no_lamp(tiny_runs: Path, candies: Path, tmp_path: Path):
    root = tmp_path / "candies"
    shutil.copytree(candies / "Praline", root / "Praline")

    def relief() -> dict[str, Any]:
        library = Library(tiny_runs, root)
        return json.loads(scene(library, first_selection(library, "Praline")))["relief"]

    found = relief()
    assert found["lights"] == ["bottom", "right", "top", "left"]
    assert all(
        len(found[name]) < 30_000 and found[name].startswith("data:image/webp") for name in ("normals", "albedo")
    )
    (root / "rig.yaml").write_text("lights: {top: {azimuth: 90, elevation: 40}, left: {azimuth: 180, elevation: 40}}")
    assert relief() == {
        "missing": "No virtual lamp: it needs three lights of known directions that do not lie in one plane."
    }
    (root / "rig.yaml").write_text("lights: {top: 3}")
    assert re.match("No virtual lamp: .*rig.yaml is no rig", relief()["missing"])
    html = shared_page(tiny_runs / "Praline" / "afrd", ["01"], data=root)
    assert "No virtual lamp: rig.yaml is no rig" in html and str(tmp_path) not in html  # nor where its author keeps it
    (root / "rig.yaml").unlink()
    (root / "Praline" / "render.yaml").unlink()
    assert relief()["missing"].startswith("No virtual lamp: the directions of these lights are not known")


def test_a_table_of_one_sample_has_the_lamp_of_its_runs_rig(tiny_runs: Path, candies: Path):
    run = afrd.load_run(tiny_runs / "Praline" / "afrd", "cpu")
    sample = afrd.open_dataset(candies, "Praline")["test_public"][0]
    assert json.loads(afrd.light_table(sample, run=run)._scene)["relief"]["lights"][0] == "bottom"
