"""The light table: what is sent for it, what its scripts work out, and the real thing under mouse, keys and fingers."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser
from scipy.ndimage import gaussian_filter

import afrd
from afrd.data.dataset import Sample
from afrd.metrics.threshold import Threshold
from afrd.page.common.library import Library
from afrd.page.common.samples import first_selection
from afrd.page.light_table.scene import sample_scene, scene
from afrd.runs.run import Prediction
from tests.page.helpers import app_command, browsing, serving, settled


@pytest.fixture(scope="module")
def library(tiny_runs: Path) -> Library:
    return Library(tiny_runs, None)


def own_sample(lights: int = 2, side: int = 40) -> Sample:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(lights, 3, side, side + 8, generator=generator)
    return Sample("part", images, tuple(f"lamp{i}" for i in range(lights)))


def prediction(sample: Sample, threshold: Threshold | None) -> Prediction:
    lights, _, height, width = sample.images.shape
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    light_maps = np.stack([np.broadcast_to(rows * (i + 1), (height, width)) for i in range(lights)])
    attention = np.full_like(light_maps, 1 / lights)
    anomaly_map = (attention * light_maps).sum(0)
    return Prediction(anomaly_map, light_maps, attention, float(anomaly_map.max()), sample.lights, threshold)


def test_a_sample_from_nowhere_lies_on_the_table_too():
    sample = own_sample()
    content = json.loads(sample_scene(sample, None, steps=False, place="uploaded"))
    assert content["header"] == {"name": "part", "place": "uploaded", "truth": "truth not known", "kind": "unknown"}
    assert content["steps"] is False and content["size"] == [40, 48] and content["truth"] == ""
    assert [tile["name"] for tile in content["lights"]] == ["lamp0", "lamp1"]
    assert all(
        tile["on"] and tile["usable"] and tile["picture"].startswith("data:image/") for tile in content["lights"]
    )
    assert content["shown"] == "lamp0" and not any(panel.get("map") for panel in content["panels"])


def test_maps_are_sent_in_units_of_the_threshold_and_scores_beside_them():
    sample = own_sample()
    threshold = Threshold(0.5, 0.05, 20, 0.05)
    content = json.loads(sample_scene(sample, prediction(sample, threshold), "no such run"))
    main, beside = content["panels"]
    assert main["units"] and main["score_units"] == pytest.approx(1.5 / 0.5) and main["verdict"] == "anomalous"
    assert beside["problem"] == "no such run"
    grey = grey_of(content["lights"][0]["error"])  # 0..255 means 0..2 thresholds
    assert grey[0, 0] == 0 and grey[-1, 0] == 255 and grey[20, 0] == pytest.approx(20 / 39 / 0.5 / 2 * 255, abs=1)
    bare = json.loads(sample_scene(sample, prediction(sample, None)))
    assert bare["panels"][0]["units"] is False and "no threshold" in bare["unit"]


def grey_of(uri: str) -> np.ndarray:
    import base64
    import io

    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def test_six_lights_of_256_pixels_are_less_than_a_megabyte():
    random = np.random.default_rng(0)
    soft = gaussian_filter(random.normal(size=(6, 3, 256, 256)), (0, 0, 3, 3)) * 4 + 0.5
    images = torch.tensor(np.clip(soft + random.normal(0, 0.01, soft.shape), 0, 1), dtype=torch.float32)
    sample = Sample("part", images, tuple("abcdef"))
    maps = gaussian_filter(random.normal(size=(6, 256, 256)), (0, 4, 4)).astype(np.float32) ** 2 * 200
    said = replace(prediction(sample, Threshold(0.5, 0.05, 20, 0.05)), light_maps=maps, anomaly_map=maps.mean(0))
    singles = {light: replace(said, lights=(light,), anomaly_map=maps[i]) for i, light in enumerate(sample.lights)}
    assert len(sample_scene(sample, said, said, singles=singles)) < 1_000_000


def test_every_light_has_the_map_of_its_own_single_light_run(library: Library):
    tiles = json.loads(scene(library, first_selection(library, "Praline")))["lights"]
    assert [tile["name"] for tile in tiles if "single" in tile] == ["top"]
    assert re.fullmatch(r"[\d.]+ ×: (good|anomalous)", next(t["single"]["text"] for t in tiles if "single" in t))


def test_a_pinned_place_is_answered_light_by_light(library: Library, candies: Path):
    selection = replace(first_selection(library, "Praline"), pinned=(41, 22))
    content = json.loads(scene(library, selection))
    assert content["pinned"] == [41, 22]
    why = content["why"]
    assert [light["name"] for light in why["lights"]] == list(selection.lights)
    assert sum(light["attention"] for light in why["lights"]) == pytest.approx(1, abs=1e-3)
    assert sum(light["part"] for light in why["lights"]) == pytest.approx(1, abs=1e-3)
    sample = afrd.open_dataset(candies, "Praline")["test_public"][selection.index]
    for light, image in zip(why["lights"], sample.images, strict=True):
        assert light["colour"] == [round(255 * float(c)) for c in image[:, 22, 41]]
        assert light["patch"].startswith("data:image/webp") and len(light["neighbours"]) == 3
        assert sum(light["scales"]) == pytest.approx(light["error"], rel=0.01)
    fewer = json.loads(scene(library, replace(selection, lights=("top", "box"))))["why"]
    assert [light["name"] for light in fewer["lights"]] == ["top", "box"]
    assert fewer["lights"][0]["neighbours"] == why["lights"][3]["neighbours"]


def test_a_pin_beside_the_picture_is_left_out(library: Library):
    content = json.loads(scene(library, replace(first_selection(library, "Praline"), pinned=(64, 0))))
    assert content["pinned"] is None and content["why"] is None


@pytest.fixture(scope="module")
def rig(candies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The candies, and a category of one's own: nine lights, grey, wider than high, without a run."""
    root = tmp_path_factory.mktemp("rig")
    shutil.copytree(candies / "Praline", root / "Praline")
    random = np.random.default_rng(0)
    folder = root / "Relief" / "train" / "good" / "001"
    folder.mkdir(parents=True)
    for i in range(9):
        picture = np.clip(gaussian_filter(random.normal(size=(60, 80)), 4) * 400 + 20 * i, 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"led{i}.png")
    return root


@pytest.fixture(scope="module")
def app(tiny_runs: Path, rig: Path) -> Iterator[str]:
    with serving(app_command(tiny_runs, rig)) as address:
        yield address


READY = "document.querySelector('.light-table .verdict b') && !document.querySelector('.light-table.busy')"


def what_is_asked(page) -> list[dict]:
    """Of the server, by the light table, from now on."""
    asked: list[dict] = []

    def note(request) -> None:
        told = json.loads(request.post_data or "{}").get("event_data") if "queue/join" in request.url else None
        if told:
            asked.append(told)

    page.on("request", note)
    return asked


def drawing(page, selector: str) -> str:
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.evaluate(f"document.querySelector('.light-table {selector}').toDataURL()")


@pytest.mark.browser
def test_one_cursor_one_zoom_one_pin_and_nothing_asked_of_the_server_but_why(app: str, browser: Browser):
    with browsing(browser, app) as page:
        page.wait_for_function(READY)
        settled(page)
        asked = what_is_asked(page)

        stage = page.locator(".panels .stage").nth(1)
        stage.hover(position={"x": 60, "y": 70})
        page.wait_for_function("document.querySelectorAll('.light-table .loupe').length == 9")
        box = stage.bounding_box()
        place = f"x {int(60 / box['width'] * 64)}, y {int(70 / box['height'] * 64)}"
        assert page.locator(".at .reading").first.inner_text() == place
        card = page.locator(".values").inner_text()
        assert place in card and "× threshold" in card
        rows = page.locator(".values tr").all_inner_texts()
        assert len(rows) == 7 and re.search(r"box\s+\d+ \d+ \d+\s+(≥ )?[\d.]+\s+[\d.]+", rows[6])

        whole = drawing(page, ".panel canvas.map")
        page.mouse.wheel(0, -240)
        page.wait_for_function("document.querySelector('.percent').textContent != '100 %'")
        assert drawing(page, ".panel canvas.map") != whole
        assert page.locator(".light-table .lines.truth").last.get_attribute("viewBox") == (
            page.locator(".light-table .lines.truth").first.get_attribute("viewBox")
        )
        page.mouse.down()
        page.mouse.move(box["x"] + 100, box["y"] + 120, steps=4)
        page.mouse.up()
        stage.dblclick()
        page.wait_for_function("document.querySelector('.percent').textContent == '100 %'")
        assert asked == []  # a drag and a double click pin nothing

        stage.click(position={"x": 60, "y": 70})
        page.wait_for_selector(".why tbody tr")
        assert page.locator(".why tbody tr").count() == 6 and page.locator(".why figure img").count() == 18
        assert f"Why, at {place}" in page.locator(".why").inner_text()
        assert page.locator(".light-table .mark:visible").count() == 9
        x, y = (int(number) for number in re.findall(r"\d+", place))
        assert asked == [{"place": [x, y]}]
        page.keyboard.press("Escape")
        page.wait_for_function("!document.querySelector('.why').textContent")


@pytest.mark.browser
def test_maps_and_lamps_answer_in_the_browser_which_tells_the_server_afterwards(app: str, browser: Browser):
    with browsing(browser, app) as page:
        page.wait_for_function(READY)
        settled(page)
        asked = what_is_asked(page)
        page.mouse.move(5, 5)
        first = drawing(page, ".panel canvas.map")
        page.get_by_label("picture or map").fill("1")
        covered = drawing(page, ".panel canvas.map")
        assert covered != first
        page.get_by_label("colour scale").select_option("Viridis")
        assert drawing(page, ".panel canvas.map") != covered
        page.keyboard.press("Tab")
        page.locator("h2").click()
        page.keyboard.press("Space")  # picture alone
        assert drawing(page, ".panel canvas.map") == drawing(page, ".panel canvas.picture")
        page.keyboard.press("Space")

        line = "document.querySelector('.light-table .panel .passed path').getAttribute('d')"
        over = page.evaluate(line)
        page.get_by_label("threshold to try").fill("0.5")
        page.wait_for_function(f"over => {line} != over", arg=over)
        assert "at 0.50 × threshold: AFRD says anomalous" in page.locator(".trial").inner_text()
        page.keyboard.press("m")
        assert page.locator(".lines.truth").count() == 0
        page.keyboard.press("m")

        photograph = drawing(page, ".panel canvas.picture")
        page.get_by_label("dimmer of top").fill("0.2")
        page.wait_for_selector("text='under the lamps, mixed'")
        mixed = drawing(page, ".panel canvas.picture")
        assert mixed != photograph and "top 20 %" in page.locator(".lighting .small").inner_text()
        assert asked == []  # none of this is the model's business

        page.locator("h2").click()
        page.keyboard.press("Shift+Digit4")  # solo top
        page.wait_for_selector("text='lights: top'")
        assert page.locator(".tile.out").count() == 5
        assert page.locator(".lighting .small").inner_text().startswith("top 20 %; exposure")
        page.get_by_role("button", name="solo top").click()
        page.wait_for_selector("text='lights: spots, bottom, right, top, left, box'")
        page.keyboard.press("6")
        page.wait_for_selector("text='lights: spots, bottom, right, top, left'")
        page.wait_for_function("location.search.includes('lights=spots,bottom,right,top,left')")
        assert all("number" in data for data in asked)  # events that need no new scene
        assert asked[-1]["lights"] == ["spots", "bottom", "right", "top", "left"]
        page.get_by_label("lighting of the picture").select_option("box")
        page.wait_for_selector("text='under light box'")
        assert drawing(page, ".panel canvas.picture") == photograph

        name = page.locator("h2").inner_text()
        page.locator("h2").click()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("name => document.querySelector('.light-table h2').textContent != name", arg=name)
        page.keyboard.press("?")
        assert page.locator(".keys").is_visible()


IN_ONE_TASK = """async ([act, frames]) => {
    const asked = [], fetch = window.fetch;
    window.fetch = (...given) => { asked.push(String(given[0])); return fetch(...given); };
    const table = document.querySelector('.light-table');
    eval(act);
    for (let i = 0; i < frames; i++) await new Promise(requestAnimationFrame);
    const panel = table.querySelectorAll('.panels .panel')[1];
    const [verdict, by] = ['.verdict', '.small'].map(name => panel.querySelector(name).textContent);
    window.fetch = fetch;
    return { verdict, by, weights: [...table.querySelectorAll('.weights')].map(node => node.textContent), asked };
}"""


@pytest.mark.browser
def test_lamps_fusions_and_weights_are_judged_at_once_and_nothing_is_asked(app: str, browser: Browser):
    with browsing(browser, app) as page:
        page.wait_for_function(READY)
        settled(page)

        def act(script: str, frames: int = 0) -> dict:
            """What the table says in the same task, or some frames later."""
            return page.evaluate(IN_ONE_TASK, [script, frames])

        first = act("")
        six = act("table.querySelector('.tile input[value=box]').click()")
        assert six["by"] == "lights: spots, bottom, right, top, left" and six["weights"] != first["weights"]
        alone = act("table.querySelector('[aria-label=\"solo top\"]').click()")
        assert alone["by"] == "lights: top" and alone["weights"][3] == "mean 1.00peak 1.00"
        with page.expect_request("**/queue/join*"):  # the server hears of the lamps when none has changed for a while
            again = act("table.querySelector('.sets button').click()")
        assert again["verdict"] == first["verdict"] and again["weights"] == first["weights"]
        assert [one["asked"] for one in (six, alone, again)] == [[], [], []]
        page.wait_for_function("!location.search.includes('lights=')")
        settled(page, 1500)  # what follows of it

        choose = "const menu = table.querySelector('[aria-label=\"fusion of the lights\"]'); menu.value = '{}';"
        choose += "menu.dispatchEvent(new Event('change'))"
        largest = act(choose.format("max"))
        assert largest["weights"] != first["weights"] and largest["asked"] == []
        assert act(choose.format("attention"))["verdict"] == first["verdict"]
        weigh = "const part = table.querySelector('[aria-label=\"weight of box\"]'); part.value = {};"
        weigh += "part.dispatchEvent(new Event('input'))"
        less = act(weigh.format(0.25), frames=2)
        assert less["by"].endswith("left, box at 25 %") and less["weights"] != first["weights"]
        none = act(weigh.format(0), frames=2)
        assert none["by"] == six["by"] and none["verdict"] == six["verdict"]
        assert less["asked"] == none["asked"] == []
        page.get_by_role("button", name="undim").click()
        assert act("")["verdict"] == first["verdict"]


@pytest.mark.browser
def test_a_sample_that_comes_before_the_server_has_heard_of_the_lamps_keeps_them(app: str, browser: Browser):
    with browsing(browser, app) as page:
        page.wait_for_function(READY)
        settled(page)
        name = page.locator(".light-table h2").inner_text()
        act = "table.querySelector('.tile input[value=box]').click(); document.querySelectorAll('.thumb')[0].click()"
        page.evaluate(IN_ONE_TASK, [act, 0])
        page.wait_for_function("name => document.querySelector('.light-table h2').textContent != name", arg=name)
        assert page.get_by_text("lights: spots, bottom, right, top, left", exact=True).count() == 1
        page.wait_for_function("location.search.includes('lights=spots,bottom,right,top,left')")
        page.get_by_role("button", name="next sample").click()
        page.wait_for_function("document.querySelector('.light-table h2').textContent == '01'")
        assert page.get_by_text("lights: spots, bottom, right, top, left", exact=True).count() == 1


@pytest.mark.browser
def test_fingers_pin_and_pinch_on_a_tablet(app: str, browser: Browser):
    with browsing(browser, app) as page:
        tablet = page.context.browser.new_context(
            viewport={"width": 820, "height": 1180}, has_touch=True, is_mobile=True
        )
        page = tablet.new_page()
        page.goto(app)
        page.wait_for_function(READY)
        settled(page)
        area = page.locator(".panels .stage").first.bounding_box()
        middle = (area["x"] + area["width"] / 2, area["y"] + area["height"] / 2)
        fingers = tablet.new_cdp_session(page)
        for apart in (30, 50, 80, 110):
            points = [{"x": middle[0] + side * apart / 2, "y": middle[1], "id": i} for i, side in enumerate((-1, 1))]
            fingers.send(
                "Input.dispatchTouchEvent",
                {"type": "touchStart" if apart == 30 else "touchMove", "touchPoints": points},
            )
        fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.wait_for_function("parseInt(document.querySelector('.percent').textContent) > 200")
        page.get_by_role("button", name="whole picture").click()
        page.touchscreen.tap(*middle)
        page.wait_for_selector(".why tbody tr")
        assert page.evaluate("document.documentElement.scrollWidth") <= 820
        tablet.close()


@pytest.mark.browser
def test_a_rig_of_nine_grey_lights_without_a_run_can_be_relit(app: str, browser: Browser):
    with browsing(browser, app, "/?category=Relief") as page:
        page.wait_for_selector("text='No run for this category yet:'")
        settled(page)
        assert page.locator(".tile").count() == 9
        rows = page.locator(".tile").evaluate_all("tiles => new Set(tiles.map(tile => tile.offsetTop)).size")
        assert rows == 2
        before = drawing(page, ".panel canvas.picture")
        page.get_by_label("dimmer of led8").fill("0")
        page.wait_for_selector("text='under the lamps, mixed'")
        assert drawing(page, ".panel canvas.picture") != before
        page.get_by_role("button", name="solo led0").click()
        page.wait_for_function(
            "document.querySelector('.lighting .small').textContent.startsWith('led0 100 %; exposure × 1.00')"
        )


@pytest.mark.browser
def test_everything_that_can_be_used_has_a_name(app: str, browser: Browser):
    with browsing(browser, app) as page:
        page.wait_for_function(READY)
        unnamed = """[...document.querySelectorAll('.light-table :is(button, input, select, [tabindex])')]
            .filter(node => ![node.getAttribute('aria-label'), node.textContent].some(text => text?.trim()))
            .map(node => node.outerHTML)"""
        assert page.evaluate(unnamed) == []
        page.locator(".panels .stage").nth(1).hover()
        page.wait_for_function(
            "/AFRD [≥ \\d.]+ times the threshold; .*attention/.test(document.querySelector('.said').textContent)"
        )
