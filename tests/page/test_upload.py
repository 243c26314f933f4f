"""The Your own sample tab: any pictures on the table in this process, and uploads in the real page."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

import afrd
from afrd.page.common.library import Library
from afrd.page.upload.sample import SampleEvaluator, UploadedSample, number_of
from tests.page.helpers import app_command, browsing, serving, settled


@pytest.fixture(scope="module")
def evaluator(tiny_runs: Path) -> SampleEvaluator:
    return SampleEvaluator(Library(tiny_runs, None))


@pytest.fixture
def own(evaluator: SampleEvaluator, tiny_runs: Path) -> UploadedSample:
    return evaluator.with_run(UploadedSample(), str(tiny_runs / "Praline" / "afrd"))


@pytest.fixture
def pictures(candies: Path, tmp_path: Path) -> dict[str, Path]:
    """Light -> a picture of the test sample 01, under names of another camera."""
    dataset = afrd.open_dataset(candies, "Praline")["test_public"]
    found = {}
    for light in dataset.lights:
        found[light] = tmp_path / f"part-7_{light}.png"
        shutil.copy(dataset.picture(1, light), found[light])
    return found


def table(evaluator: SampleEvaluator, own: UploadedSample) -> dict:
    return json.loads(evaluator.scene(own))


def shown_message(evaluator: SampleEvaluator, own: UploadedSample) -> str:
    content = table(evaluator, own)
    return content["message"]["text"] if "message" in content else ""


def listed(evaluator: SampleEvaluator, own: UploadedSample) -> str:
    return " ".join(unescape(re.sub("<[^>]+>", " ", evaluator.listing(own))).split())


def test_the_pictures_of_a_sample_get_the_verdict_that_the_sample_gets(
    evaluator: SampleEvaluator, own: UploadedSample, pictures: dict[str, Path], candies: Path
):
    brought = evaluator.brought(own, list(pictures.values()))
    assert {upload.light: upload.path for upload in brought.uploads} == pictures
    content = table(evaluator, brought)
    run = evaluator.library.run(own.run)
    expected = run.predict(afrd.open_dataset(candies, "Praline")["test_public"][1])
    prediction = evaluator.predict(brought, evaluator.sample(brought, run)[0], own.run, run.lights)
    np.testing.assert_allclose(prediction.anomaly_map, expected.anomaly_map, rtol=1e-3, atol=1e-4)
    assert content["panels"][0]["verdict"] == expected.verdict
    assert content["panels"][0]["made_by"] == "lights: " + ", ".join(run.lights)
    assert content["panels"][1]["made_by"] == "lights: top"  # the single-light run beside it
    assert content["header"]["truth"] == "truth not known" and not content["steps"]


def test_a_light_that_is_missing_or_switched_off_has_no_say(
    evaluator: SampleEvaluator, own: UploadedSample, pictures: dict[str, Path]
):
    three = evaluator.brought(own, [pictures[light] for light in ("left", "box", "top")])
    content = table(evaluator, three)
    assert [tile["name"] for tile in content["lights"]] == ["top", "left", "box"]
    assert content["panels"][0]["made_by"] == "lights: top, left, box"
    assert "No picture for: spots, bottom, right (left out)." in listed(evaluator, three)
    fewer = table(evaluator, replace(three, off=("left",)))
    assert fewer["panels"][0]["made_by"] == "lights: top, box"
    assert set(fewer["fusion"]["thresholds"]) == {"attention", "mean", "max"}  # of all sets, for the browser
    assert all(tile["evidence"] for tile in fewer["lights"])
    whole = evaluator.library.run(own.run).predict(
        evaluator.sample(three, evaluator.library.run(own.run))[0], ["top", "box"]
    )
    assert fewer["panels"][0]["exact"] == f"score {whole.score:.6g}"
    none = table(evaluator, replace(three, off=("top", "left", "box")))
    assert none["panels"][0]["problem"] == "Choose at least one light."


def test_a_picture_can_be_given_another_light_left_out_or_taken_twice(
    evaluator: SampleEvaluator, own: UploadedSample, pictures: dict[str, Path]
):
    two = evaluator.brought(own, [pictures["top"], pictures["box"]])
    moved = evaluator.assigned(two, number_of(two.uploads[0]), "left")
    assert table(evaluator, moved)["panels"][0]["made_by"] == "lights: left, box"
    twice = evaluator.assigned(two, number_of(two.uploads[0]), "box")
    assert "light 'box' has two pictures, part-7_top.png and part-7_box.png" in shown_message(evaluator, twice)
    assert listed(evaluator, twice).count("box has two pictures") == 2
    assert (
        table(evaluator, evaluator.assigned(twice, number_of(twice.uploads[1]), ""))["panels"][0]["made_by"]
        == "lights: box"
    )
    first, second = map(number_of, two.uploads)
    neither = evaluator.assigned(evaluator.assigned(two, first, ""), second, "no such light")
    assert "no picture has a light" in shown_message(evaluator, neither)
    assert evaluator.assigned(two, 9, "box") == two


def test_two_quick_clicks_take_away_the_two_pictures_that_were_clicked(
    evaluator: SampleEvaluator, own: UploadedSample, pictures: dict[str, Path]
):
    three = evaluator.brought(own, [pictures["top"], pictures["box"], pictures["left"]])
    first, second, _ = map(number_of, three.uploads)  # as the browser shows them, before either click is answered
    left = evaluator.dropped(evaluator.dropped(three, first), second)
    assert [upload.light for upload in left.uploads] == ["left"]
    assert evaluator.dropped(left, first) == left  # a click that came twice
    listing = evaluator.listing(three)
    assert all(f'data-do="drop" data-number="{number_of(upload)}"' in listing for upload in three.uploads)


def test_pictures_that_are_brought_twice_are_there_once(
    evaluator: SampleEvaluator, own: UploadedSample, pictures: dict[str, Path]
):
    once = evaluator.brought(own, [pictures["top"]])
    both = evaluator.brought(once, [pictures["top"], pictures["box"]])  # the second drop tells both
    assert sorted(upload.light for upload in both.uploads) == ["box", "top"]


def test_what_is_no_picture_is_named_and_can_be_left_out(
    evaluator: SampleEvaluator, own: UploadedSample, pictures: dict[str, Path], tmp_path: Path
):
    (tmp_path / "left<b>.png").write_bytes(b"no picture")
    own = evaluator.brought(own, [pictures["top"], tmp_path / "left<b>.png"])
    own = evaluator.assigned(own, number_of(own.uploads[1]), "left")
    assert shown_message(evaluator, own).startswith("left<b>.png cannot be read as a picture")
    assert "left&lt;b&gt;.png" in evaluator.listing(own) and "<b>" not in evaluator.listing(own)
    assert str(tmp_path) not in evaluator.listing(own) + evaluator.scene(own)
    assert (
        table(evaluator, evaluator.assigned(own, number_of(own.uploads[1]), ""))["panels"][0]["made_by"]
        == "lights: top"
    )


def test_other_sizes_are_said_to_be_resized_and_other_proportions_hardly_comparable(
    evaluator: SampleEvaluator, own: UploadedSample, pictures: dict[str, Path]
):
    for path in pictures.values():
        Image.open(path).resize((128, 128)).save(path)
    larger = evaluator.brought(own, list(pictures.values()))
    assert "The run was trained on pictures of 64×64; it reads these at 64×64." in listed(evaluator, larger)
    assert table(evaluator, larger)["size"] == [128, 128]
    for path in pictures.values():
        Image.open(path).resize((128, 96)).save(path)
    assert "hardly comparable" in listed(evaluator, larger)
    Image.open(pictures["top"]).resize((96, 128)).save(pictures["top"])
    assert "part-7_top.png is 96×128 pixels, but" in shown_message(evaluator, larger)


def test_another_run_matches_the_pictures_anew_where_its_lights_differ(
    evaluator: SampleEvaluator, own: UploadedSample, pictures: dict[str, Path], tiny_runs: Path, tmp_path: Path
):
    both = evaluator.brought(own, [pictures["top"], pictures["box"]])
    single = evaluator.with_run(both, str(tiny_runs / "Praline" / "single-top"))
    assert [upload.light for upload in single.uploads] == ["top", None]
    panels = table(evaluator, single)["panels"]
    assert panels[0]["method"] == "Single-light RD" and "single light itself" in panels[1]["problem"]
    assert evaluator.with_run(both, str(tmp_path)).run == own.run  # what comes from a browser may name no other folder


def test_without_pictures_or_runs_the_tab_says_what_to_do(
    evaluator: SampleEvaluator, own: UploadedSample, tmp_path: Path
):
    assert "This run has the lights spots, bottom, right, top, left, box" in shown_message(evaluator, own)
    empty = SampleEvaluator(Library(tmp_path, None))
    nothing = empty.with_run(UploadedSample(), "")
    assert "Train one first" in shown_message(empty, nothing) and empty.everything(nothing)["run"].value == ""
    with pytest.raises(gr.Error, match="no run yet"):
        empty.example(nothing)
    with pytest.raises(gr.Error, match="65 pictures are more than a sample has"):
        evaluator.brought(own, [Path(f"{i}.png") for i in range(65)])


def test_examples_are_test_samples_one_after_the_other_bad_and_good(
    evaluator: SampleEvaluator, own: UploadedSample, candies: Path
):
    dataset = afrd.open_dataset(candies, "Praline")["test_public"]
    first = evaluator.example(own)
    second = evaluator.example(first)
    kinds = []
    for shown in (first, second):
        index = dataset.names.index(shown.title.removeprefix("Example "))
        assert [upload.path for upload in shown.uploads] == [dataset.picture(index, light) for light in dataset.lights]
        kinds.append(dataset.anomalous[index])
    assert kinds == [True, False]
    content = table(evaluator, first)
    assert content["header"]["place"] == "Praline / test_public" and content["panels"][0]["map"]


def test_who_is_quicker_than_the_tab_gets_the_first_run(evaluator: SampleEvaluator, pictures: dict[str, Path]):
    brought = evaluator.brought(UploadedSample(), [pictures["top"]])
    assert brought.run == evaluator.runs()[0][1].folder and brought.uploads[0].light == "top"
    assert evaluator.example(UploadedSample()).run == brought.run


def test_a_pinned_place_is_explained(evaluator: SampleEvaluator, own: UploadedSample):
    content = table(evaluator, replace(evaluator.example(own), pinned=(20, 30)))
    assert content["pinned"] == [20, 30]
    assert [light["name"] for light in content["why"]["lights"]] == list(evaluator.lights(own))
    assert all(len(light["neighbours"]) == 3 for light in content["why"]["lights"])


@pytest.fixture(scope="module")
def app(tiny_runs: Path, candies: Path) -> Iterator[str]:
    with serving(app_command(tiny_runs, candies)) as address:
        yield address


@pytest.mark.browser
def test_three_pictures_are_dropped_corrected_and_judged_in_the_real_page(
    app: str, pictures: dict[str, Path], browser: Browser
):
    with browsing(browser, app) as page:
        page.wait_for_selector("#light-table .panels")
        page.get_by_role("tab", name="Your own sample").click()
        page.wait_for_selector("text='Bring the pictures of one part'")
        page.locator("#own-files input[type=file]").set_input_files(
            [pictures[light] for light in ("top", "left", "box")]
        )
        page.wait_for_selector("#own-table .verdict b")
        assert page.locator("#own-table .tile label").all_inner_texts() == ["top", "left", "box"]
        menus = page.locator("#own-pictures select")
        assert [menus.nth(i).input_value() for i in range(3)] == ["top", "left", "box"]
        page.wait_for_selector("text='lights: top, left, box'")

        menus.nth(1).select_option("top")
        page.wait_for_selector("text=light 'top' has two pictures")
        menus.nth(1).select_option("right")
        page.wait_for_selector("text='lights: right, top, box'")
        settled(page)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.locator("#own-table .tile input[value=box]").click()
        # at once, in the browser
        assert page.get_by_text("lights: right, top", exact=True).count() == 1 and asked == []
        page.get_by_role("button", name="remove part-7_box.png").click()
        page.wait_for_function("document.querySelectorAll('#own-table .tile').length == 2")

        page.get_by_role("button", name="Clear").click()
        page.wait_for_selector("text='Bring the pictures of one part'")
        page.get_by_role("button", name="Load an example").click()
        page.wait_for_selector("#own-table h2:has-text('Example')")
        assert page.locator("#own-table .tile").count() == 6


@pytest.mark.browser
def test_the_tab_fits_a_tablet(app: str, browser: Browser):
    with browsing(browser, app) as page:
        page.set_viewport_size({"width": 820, "height": 1180})
        page.wait_for_selector("#light-table .panels")
        page.get_by_role("tab", name="Your own sample").click()
        page.wait_for_selector("text='Bring the pictures of one part'")
        page.get_by_role("button", name="Load an example").click()
        page.wait_for_selector("#own-table .panels")
        assert page.evaluate("document.documentElement.scrollWidth") <= 820
        clipped = """[...document.querySelectorAll('.own-form :is(button, select, .own-picture)')]
            .filter(node => node.clientWidth && node.scrollWidth > node.clientWidth + 1)
            .map(node => node.textContent)"""
        assert page.evaluate(clipped) == []


def test_a_script_can_upload_pictures(app: str, pictures: dict[str, Path]):
    from gradio_client import Client, handle_file

    client = Client(app, verbose=False)
    client.predict(api_name="/open_own_sample")
    found = client.predict([handle_file(pictures[light]) for light in ("top", "box")], api_name="/bring_pictures")
    scene = json.loads(found[-1])
    assert scene["panels"][0]["made_by"] == "lights: top, box" and scene["panels"][0]["map"]
