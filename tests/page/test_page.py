"""The page: its library and choices in this process, the real thing in a browser and through its API."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from afrd.cli.app import main
from afrd.page import demo_panel as progress
from afrd.page.common.library import Library
from afrd.page.common.samples import first_selection
from afrd.page.common.selection import Selection, known_run
from afrd.page.light_table.scene import presets, scene
from tests.page.helpers import app_command, browsing, serving


@pytest.fixture(scope="module")
def library(tiny_runs: Path) -> Library:
    return Library(tiny_runs, None)


@pytest.fixture
def selection(library: Library) -> Selection:
    return first_selection(library, "Praline")


def shown(library: Library, selection: Selection) -> dict:
    return json.loads(scene(library, selection))


def test_runs_are_grouped_by_category_and_number_of_lights(library: Library):
    (entry,) = library.categories()
    assert entry.key == entry.name == "Praline"
    assert [run.folder.name for run in entry.fused] == ["afrd"]
    assert [run.lights for run in entry.single] == [("top",)]


def test_the_first_thing_shown_is_a_defective_test_sample_under_all_lights(library: Library, selection: Selection):
    assert selection.split == "test_public"
    dataset = library.data_of(library.category("Praline"))["test_public"]
    assert selection.index is not None and dataset.anomalous[selection.index]
    assert selection.lights == dataset.lights
    assert selection.shown == "box"


def lit(content: dict) -> list[str]:
    return [light["name"] for light in content["lights"] if light["on"]]


def test_the_table_has_what_the_browser_fuses_and_the_map_beside_it(library: Library, selection: Selection):
    content = shown(library, selection)
    own, beside = content["panels"]
    assert "map" not in own and beside["map"].startswith("data:image/png")
    assert beside["made_by"] == "lights: top"
    assert all(light["evidence"].keys() == {"errors", "weights"} for light in content["lights"])
    assert content["fusion"]["lights"] == lit(content) == list(selection.lights)
    assert len(content["fusion"]["thresholds"]["attention"]) == 63
    assert content["truth"].startswith("M")
    assert len(json.dumps(content)) < 1_500_000


def test_which_lights_are_on_changes_nothing_else_that_is_sent(library: Library, selection: Selection):
    whole = shown(library, selection)
    for lights in (("top", "box"), ()):
        fewer = shown(library, replace(selection, lights=lights))
        assert lit(fewer) == list(lights)
        for light in (*fewer["lights"], *whole["lights"]):
            light.pop("on", None)
        assert fewer | {"made": 0} == whole | {"made": 0}


def test_where_thresholds_take_long_those_that_are_shown_are_sent(
    library: Library, selection: Selection, monkeypatch: pytest.MonkeyPatch
):
    whole = shown(library, selection)["fusion"]["thresholds"]["attention"]
    monkeypatch.setattr("afrd.page.light_table.fusion.MAX_PIXELS_AT_ONCE", 0)
    few = shown(library, replace(selection, lights=("top", "box")))["fusion"]["thresholds"]
    assert few == {"attention": {s: pytest.approx(whole[s], rel=1e-6) for s in ("40", "63")}}


def test_a_run_that_the_browser_cannot_fuse_is_asked_for_every_set(
    library: Library, selection: Selection, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("afrd.page.light_table.scene.why_not", lambda run: "it fuses features")
    content = shown(library, replace(selection, lights=("top", "box")))
    assert "fusion" not in content and content["panels"][0]["map"].startswith("data:image/png")
    assert content["panels"][0]["made_by"] == "lights: top, box"
    assert [tile["name"] for tile in content["lights"] if "error" in tile] == ["top", "box"]


def test_the_page_is_built_without_torch(tmp_path: Path):
    code = "import sys; from pathlib import Path; from afrd.page.tabs import build; build(Path('.'), None)"
    command = [sys.executable, "-c", f"{code}; sys.exit('torch' in sys.modules)"]
    subprocess.run(command, check=True, cwd=tmp_path)


def test_a_category_without_run_shows_pictures_and_how_to_train(candies: Path, tmp_path: Path):
    library = Library(tmp_path, candies)
    selection = first_selection(library, None)
    content = shown(library, selection)
    assert content["missing"] == f"afrd train {candies} Praline --out RUN"
    assert content["lights"][0]["picture"].startswith("data:image/webp") and not content["panels"][0].get("map")


def test_a_data_set_that_moved_is_one_sentence(tiny_runs: Path, candies: Path, tmp_path: Path):
    runs = tmp_path / "runs"
    shutil.copytree(tiny_runs, runs)
    for config in runs.glob("*/*/config.json"):
        config.write_text(config.read_text().replace(str(candies), str(tmp_path / "gone")))
    library = Library(runs, None)
    content = shown(library, first_selection(library, None))
    assert str(tmp_path / "gone" / "Praline") in content["message"]["text"]
    assert "--data" in content["message"]["text"]
    found_again = Library(runs, candies)
    assert shown(found_again, first_selection(found_again, None))["lights"][0]["evidence"]


def test_an_empty_folder_says_how_to_fill_it(tmp_path: Path):
    library = Library(tmp_path, None)
    assert library.categories() == []
    content = shown(library, first_selection(library, None))
    assert "afrd train" in content["message"]["command"]


def test_a_broken_run_is_left_out(tiny_runs: Path, tmp_path: Path):
    shutil.copytree(tiny_runs, tmp_path / "runs")
    (tmp_path / "runs" / "Praline" / "single-top" / "config.json").write_text("{")
    (entry,) = Library(tmp_path / "runs", None).categories()
    assert entry.single == ()


def test_a_browser_can_only_name_runs_of_the_category(library: Library, selection: Selection, tmp_path: Path):
    assert known_run(library, selection, str(selection.run)) == selection.run
    assert known_run(library, selection, str(tmp_path)) is None


def test_a_run_that_is_trained_again_is_read_again(tiny_runs: Path, tmp_path: Path):
    shutil.copytree(tiny_runs, tmp_path / "runs")
    library = Library(tmp_path / "runs", None)
    folder = tmp_path / "runs" / "Praline" / "afrd"
    first = library.run(folder)
    assert library.run(folder) is first
    os.utime(folder / "model.safetensors", ns=(1, 1))
    assert library.run(folder) is not first


def test_presets_are_those_that_the_lights_allow():
    eyecandies = ("spots", "bottom", "right", "top", "left", "box")
    assert [p["name"] for p in presets(eyecandies)] == ["all", "single spots", "spots only", "box only"]
    assert [p["name"] for p in presets(("left", "dome"))] == ["all", "dome only"]
    assert presets(()) == []


def test_the_preparation_panel_names_the_step_and_escapes_what_failed():
    from afrd.demo.prepare import Step

    steps = [
        Step("render", "done", 2, 2),
        Step("train", "running", 3, 10, "loss 0.2"),
        Step("<b>", "failed", note="<i>"),
    ]
    html = progress.summary(steps)
    assert "train" in html and "3 of 10, loss 0.2" in html and "step 3 of 3" in html
    assert "&lt;i&gt;" in html and "<i>" not in html
    assert "demo is ready" in progress.summary([Step("render", "done")])
    assert progress.listing(steps).count("<li") == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--runs", "/no/such/folder"], "--runs /no/such/folder is not a folder"),
        (["--port", "0"], "--port 0 is not a port"),
        (["--port", "many"], "invalid int value: 'many'"),
        (["--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_wrong_options_are_one_sentence_and_exit_2(options: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stopped:
        main(options)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.fixture(scope="module")
def app(tiny_runs: Path, candies: Path) -> Iterator[str]:
    with serving(app_command(tiny_runs, candies)) as address:
        yield address


MAP = "document.querySelector('.light-table .panel canvas.map')"
SCORE = "document.querySelector('.verdict b').parentElement.title"  # to six digits
SETTLED = f"!document.querySelector('.light-table.busy') && {MAP}?.width > 0"


@pytest.mark.browser
def test_a_sample_is_chosen_and_a_light_switched_off_in_the_real_page(app: str, browser: Browser):
    with browsing(browser, app) as page:
        page.wait_for_selector(".light-table .panels")
        page.locator("#samples button").nth(2).click()
        page.wait_for_function("document.querySelector('.light-table h2').textContent == '02'")
        page.locator("#samples button").nth(1).click()
        page.wait_for_function("document.querySelector('.light-table h2').textContent == '01'")
        page.wait_for_function(SETTLED)
        assert " × threshold: " in page.locator(".verdict b").first.inner_text()
        score = page.evaluate(SCORE)
        assert score.startswith("score ")
        assert page.locator(".panels .lines.truth").count() == 3
        picture = page.evaluate(f"{MAP}.toDataURL()")

        page.locator(".tile input[value=box]").click()
        page.wait_for_function(f"text => {SETTLED} && {SCORE} != text", arg=score)
        assert page.evaluate(f"{MAP}.toDataURL()") != picture
        assert page.get_by_text("lights: spots, bottom, right, top, left", exact=True).count() == 1

        page.get_by_role("button", name="box only").click()
        page.wait_for_selector("text='lights: box'")
        page.locator(".tile input[value=box]").click()
        page.wait_for_selector("text='Choose at least one light.'")
        page.get_by_role("button", name="all", exact=True).click()
        page.wait_for_function(f"text => {SETTLED} && {SCORE} == text", arg=score)

        for mode in ("error", "attention"):
            page.get_by_role("button", name=mode).click()
            page.wait_for_function("document.querySelectorAll('.tile canvas.map').length == 6")
        page.locator(".panels .stage").nth(1).hover(position={"x": 50, "y": 60})
        readings = page.locator(".at .reading").all_inner_texts()
        assert readings[0].startswith("x ") and float(readings[1].strip("≥ ")) >= 0

        page.locator(".tile .stage").nth(3).click()
        page.wait_for_selector("text='under light top'")
        page.get_by_role("button", name="next sample").click()
        page.wait_for_function("document.querySelector('.light-table h2').textContent == '02'")


@pytest.mark.browser
def test_nothing_is_cut_off_on_a_tablet(app: str, browser: Browser):
    with browsing(browser, app) as page:
        page.set_viewport_size({"width": 820, "height": 1180})
        page.wait_for_selector(".light-table .panels")
        assert page.evaluate("document.documentElement.scrollWidth") <= 820
        clipped = """[...document.querySelectorAll('.light-table :is(label, button, .verdict, .weights span)')]
            .filter(node => node.clientWidth && node.scrollWidth > node.clientWidth + 1)
            .map(node => node.textContent)"""
        assert page.evaluate(clipped) == []


def test_the_api_repeats_no_command_of_the_command_line(app: str):
    with urllib.request.urlopen(f"{app}/gradio_api/info") as answer:
        endpoints = set(json.load(answer)["named_endpoints"])
    assert "/open_link" in endpoints and not {"/look", "/categories", "/compare", "/lights"} & endpoints


def test_every_event_has_a_name_in_the_api(tmp_path: Path):
    from afrd.page.tabs import build

    dependencies = build(tmp_path, None).config["dependencies"]
    names = [d["api_name"] for d in dependencies]
    assert len(names) == len(set(names)) and all(isinstance(name, str) and name for name in names)
    expected = {"open_page", "open_link", "select_sample", "choose_lights", "look_for_news"}
    assert expected <= set(names)


STUB = """
import shutil, sys, time
from pathlib import Path
from tempfile import TemporaryFile
from afrd.demo.prepare import Step
from afrd.page.server import launch

finished_run, runs, data, signal, _, port = sys.argv[1:]

class Stub:
    finished = False
    categories = ("Praline",)
    def start(self): pass
    def steps(self):
        done = Path(signal).exists()
        if done and not (Path(runs) / "Praline").exists():
            shutil.copytree(finished_run, Path(runs) / "Praline" / "afrd")
        note = "" if done else "loss 0.213, 40 s left"
        train = Step("Praline: train AFRD", "done" if done else "running", 3, 10, note)
        return [train, Step("Cookie: render", "failed", note="no space is left on the disk")]

launch(Path(runs), Path(data), Stub(), int(port)).block_thread()
"""


@pytest.mark.browser
def test_the_first_run_of_a_preparation_appears_without_reloading(tiny_runs: Path, tmp_path: Path, browser: Browser):
    signal = tmp_path / "signal"
    for name in ("runs", "data"):
        (tmp_path / name).mkdir()
    arguments = [tiny_runs / "Praline" / "afrd", tmp_path / "runs", tmp_path / "data", signal]
    with serving(["-c", STUB, *arguments]) as address, browsing(browser, address) as page:
        page.wait_for_selector("text='The first candies are being made'")
        page.wait_for_selector("text='3 of 10, loss 0.213, 40 s left'")
        page.wait_for_selector("text=no space is left on the disk")
        # the data set is there before its run
        config = json.loads((tiny_runs / "Praline" / "afrd" / "config.json").read_text())
        shutil.copytree(Path(config["fit"]["data_root"]) / "Praline", tmp_path / "data" / "Praline")
        page.wait_for_selector("text='No run for this category yet:'")
        signal.touch()
        page.wait_for_selector(".verdict b")
        assert " × threshold: " in page.locator(".verdict b").first.inner_text()
        assert page.locator("#category input").input_value() == "Praline"


def test_a_patch_memory_is_headed_as_what_it_is(candies: Path, tmp_path: Path):
    import afrd

    data = afrd.open_dataset(candies, "Praline")
    afrd.fit(data, "all", tmp_path / "Praline" / "memory", method="memory", size=64, show_progress=False)
    library = Library(tmp_path, candies)
    (entry,) = library.categories()
    assert [(run.method, run.label) for run in entry.fused] == [("Patch memory", "memory: patch memory, 6 lights")]
    content = shown(library, first_selection(library, "Praline"))
    assert content["panels"][0]["method"] == "Patch memory" and content["lights"][0]["evidence"]


KEEPS_EVERY_HUNDREDTH = """
import threading, time
from pathlib import Path
from afrd.page import server

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

blocks = [bytes(2000) for _ in range(100_000)]
full = resident()
blocks = blocks[::100]
server.TRIM_SECONDS = 0.1
threading.Thread(target=server.return_memory, daemon=True).start()
end = time.monotonic() + 60
while resident() > full - 30_000 and time.monotonic() < end:
    time.sleep(0.1)
print(full - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps it")
def test_freed_memory_goes_back_to_the_system_while_some_of_it_is_still_used():
    pages = int(subprocess.check_output([sys.executable, "-c", KEEPS_EVERY_HUNDREDTH], text=True))
    assert pages > 30_000  # of 4 KiB, of the 200 MB
