"""The Train tab: its form and queue in this process, and the real page from a folder to a run in Explore's menu."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import gradio as gr
import pytest
from playwright.sync_api import Browser

import afrd
from afrd.background.jobs import Worker
from afrd.background.training_queue import Order, TrainingJob, TrainingQueue
from afrd.page.common.library import Library
from afrd.page.train import queue_view
from afrd.page.train.board import board_values, loss_curve, selection_of
from afrd.page.train.form import Form, adjusted, checked_values, data_values, first_root, order_of
from tests.background.helpers import occupied
from tests.page.helpers import PATIENCE, app_command, browsing, serving


@pytest.fixture
def queue(tmp_path: Path) -> TrainingQueue:
    return TrainingQueue(tmp_path / "runs", Worker())


@pytest.fixture
def form(candies: Path) -> Form:
    lights = list(afrd.open_dataset(candies, "Praline").lights)
    return Form(
        str(candies), "Praline", lights, "evidence", "attention", "efficientnet_lite0", "", 64, 2, 0, "", "Praline/afrd"
    )


def plain(html: str) -> str:
    return " ".join(unescape(re.sub("<[^>]+>", " ", html)).split())


def wait(queue: TrainingQueue) -> None:
    deadline = time.monotonic() + 60
    while queue.busy:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_folder_shows_its_categories_splits_and_lights(candies: Path):
    at, category, state, check, lights = data_values(f" {candies} ", None, ("", ""))
    assert at == (str(candies), "Praline") and category.value == "Praline"
    assert plain(state).startswith("train 6 · val 3 · test_public 4 · twins 2 6 lights, 64 × 64 pixels")
    assert lights.value == list(afrd.open_dataset(candies, "Praline").lights) and not check.visible
    assert data_values(str(candies), "Praline", at)[-1] == gr.skip()  # the user's choice of lights stays


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("", "Name a folder that holds one folder a category"),
        ("/no/such/folder", "data set /no/such/folder does not exist"),
        ("{candies}/Praline", "is itself one category; pass its parent folder"),
        ("{candies}/Praline/train", "holds no category; expected"),
        ("a\0b", "data set a"),
    ],
)
def test_a_folder_that_is_no_data_set_is_a_sentence_with_what_to_do(candies: Path, folder: str, said: str):
    at, category, state, check, lights = data_values(folder.format(candies=candies), "Praline", ("", ""))
    assert said in plain(state) and at[1] == ""
    assert (category.value, lights.value, check.visible) == (None, [], False)


def test_what_is_wrong_with_the_pictures_is_listed_by_file(candies: Path, tmp_path: Path):
    assert "every picture can be read, and none is missing" in checked_values(str(candies), "Praline")[0]
    shutil.copytree(candies / "Praline", tmp_path / "Praline")
    dataset = afrd.open_dataset(tmp_path, "Praline")["train"]
    dataset.picture(1, "top").unlink()
    dataset.picture(2, "box").write_bytes(b"no picture")
    text = plain(checked_values(str(tmp_path), "Praline")[0])
    assert text.startswith("train 6") and "2 problems:" in text
    assert f"{dataset.picture(1, 'top').name} is missing: no picture under light 'top'" in text
    assert f"{dataset.picture(2, 'box').name} cannot be read as a picture" in text
    assert checked_values(str(tmp_path), "Cookie") == [gr.skip(), gr.skip()]


def test_the_plan_follows_the_options_until_the_user_changes_it(queue: TrainingQueue, form: Form):
    at = (form.root, form.category)
    fresh = replace(form, epochs=0, name="")
    plan, fusion, weights, epochs, name, known = adjusted(queue, at, ("", 0), fresh)
    assert plain(plan) == "6 samples, 500 epochs make 500 steps; the threshold comes from 3 good samples of val."
    assert (epochs.value, name, weights.visible, fusion.value) == (500, "Praline/afrd", False, "attention")
    single = replace(
        form, lights=["top"], epochs=500, name=name, teacher="resnet18", method="features", fusion="concat"
    )
    plan, fusion, weights, epochs, name, known = adjusted(queue, at, known, single)
    assert (epochs.value, name, weights.visible, fusion.value) == (200, "Praline/single-top", True, "concat")
    mine = replace(form, method="memory", fusion="concat", epochs=7, name="mine")
    plan, fusion, weights, epochs, name, _ = adjusted(queue, at, known, mine)
    assert name == gr.skip() and not epochs.interactive and fusion.value == "attention"
    assert "no steps: the memory is filled" in plan


def test_a_form_becomes_an_order(form: Form):
    order = order_of(replace(form, method="features", lights=["top", "box"], weights=" /w.pth ", teacher="resnet18"))
    assert (order.method, order.target, order.lights, order.weights) == ("afrd", "fused", ("top", "box"), "/w.pth")
    assert order_of(replace(form, weights="/w.pth")).weights is None  # the teacher that brings its own
    assert order_of(replace(form, method="memory")).method == "memory"
    assert order_of(form).roi is None and "--roi" not in order_of(form).command(Path("runs"))
    assert order_of(replace(form, roi=" auto ")).command(Path("runs")).endswith("--roi auto")
    with pytest.raises(ValueError, match="no data is chosen"):
        order_of(replace(form, category=None))


def test_the_board_shows_a_training_its_place_in_the_queue_and_its_loss(queue: TrainingQueue, form: Form):
    assert "Nothing is being trained" in board_values(queue, None)[1]
    with occupied(queue._worker, "the demo (Praline: train AFRD)"):
        first = queue.add(order_of(form))
        second = queue.add(replace_name(form, "x & y"))
        deadline = time.monotonic() + 10
        while not queue.job(first.number).note:
            assert time.monotonic() < deadline
        text = plain(queue_view.listing(queue, None))
        assert "next in the queue, waits for the demo (Praline: train AFRD)" in text and "number 2 in the queue" in text
        assert "x &amp; y" in queue_view.listing(queue, None)
        queue.cancel(second.number)
    wait(queue)
    version, listing, curve, command, _ = board_values(queue, None)
    assert "finished: 2 steps" in listing and 'data-do="open"' in listing
    assert curve.visible and "afrd train" in command and "--size 64 --epochs 2" in command
    figure = loss_curve(queue, queue.job(first.number))
    assert list(figure.data[0].x) == [1, 2] and list(figure.data[0].y) == queue.history(first.number).loss.tolist()
    assert board_values(queue, None, version)[:4] == [gr.skip()] * 4


def replace_name(form: Form, name: str) -> Order:
    return order_of(replace(form, name=name, lights=["top"]))


def test_every_state_of_a_training_has_its_words_and_buttons(queue: TrainingQueue, form: Form):
    job = TrainingJob(1, order_of(form), queue.runs / "Praline" / "afrd", "running", "", 5, 100, 3725.0)
    assert queue_view.state_text(queue, job) == "step 5 of 100, 1 h 2 min left"
    failed = replace(job, state="failed", note="<i>")
    queue._jobs = {1: failed, 2: replace(job, number=2, stopping=True), 3: replace(job, number=3, state="cancelled")}
    html = queue_view.listing(queue, 2)
    assert "&lt;i&gt;" in html and "<i>" not in html
    assert "Stopping …" in html and "Continue" in html and "Try again" in html and html.count("shown") == 1
    assert [queue_view.duration(s) for s in (0.4, 61, 7300)] == ["0 s", "1 min 1 s", "2 h 1 min"]


def test_a_finished_run_opens_in_explore_even_when_its_data_is_not_the_page_s(
    candies: Path, tmp_path: Path, form: Form
):
    (tmp_path / "other").mkdir()
    library = Library(tmp_path / "runs", tmp_path / "other")
    queue = TrainingQueue(tmp_path / "runs", Worker())
    jobs = [queue.add(order_of(form)), queue.add(replace_name(form, "Praline/single-top"))]
    wait(queue)
    assert selection_of(library, jobs[0]).run == jobs[0].folder
    assert selection_of(library, jobs[1]).beside == jobs[1].folder
    with pytest.raises(ValueError, match="is not in the queue any more"):
        selection_of(library, None)
    (jobs[0].folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="is not a finished run"):
        selection_of(library, jobs[0])


def test_the_data_folder_to_begin_with_is_that_of_what_one_looks_at(tiny_runs: Path, candies: Path, tmp_path: Path):
    from afrd.page.common.selection import Selection

    assert first_root(Library(tiny_runs, None), Selection(category="Praline")) == str(candies)
    assert first_root(Library(tmp_path, tmp_path), Selection()) == str(tmp_path)
    assert first_root(Library(tmp_path, None), Selection()) == ""


@pytest.fixture(scope="module")
def app(tiny_runs: Path, candies: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    runs = tmp_path_factory.mktemp("page") / "runs"
    shutil.copytree(tiny_runs, runs)
    with serving(app_command(runs, candies)) as at:
        yield at, runs


def fill(page, name: str, epochs: int) -> None:
    page.locator("#train-size input").fill("64")
    page.locator("#train-epochs input").fill(str(epochs))
    page.locator("#train-name :is(input, textarea)").fill(name)


def press_train(page) -> None:
    page.get_by_role("button", name="Train", exact=True).click()


def open_tab(page) -> None:
    page.wait_for_selector(".light-table .panels")
    page.get_by_role("tab", name="Train").click()
    page.wait_for_selector("#train-data .well")


@pytest.mark.browser
def test_trainings_are_started_watched_stopped_and_found_in_explore(app: tuple[str, Path], browser: Browser):
    address, runs = app
    with browsing(browser, address) as page:
        open_tab(page)
        other = page.context.browser.new_page()  # opened now, as the training takes a processor
        other.set_default_timeout(PATIENCE)
        other.goto(address)
        open_tab(other)
        assert page.locator("#train-name :is(input, textarea)").input_value() == "Praline/afrd-2"
        page.locator("#train-size input").fill("64")
        page.locator("#train-epochs input").fill("5000")
        press_train(page)
        page.wait_for_function("document.querySelector('#train-name :is(input, textarea)').value == 'Praline/afrd-3'")
        page.wait_for_selector(".training.running .how:has-text('loss')")
        page.wait_for_selector("#train-curve .plotly")
        fill(page, "Praline/short", 3)
        press_train(page)
        page.wait_for_selector(".training.waiting:has-text('next in the queue')")
        fill(page, "Praline/never", 3)
        press_train(page)
        page.wait_for_selector(".training.waiting:has-text('number 2 in the queue')")

        other.wait_for_selector(".training.waiting >> nth=1")
        assert other.locator(".training b").all_inner_texts() == ["Praline/afrd-2", "Praline/short", "Praline/never"]
        other.get_by_role("button", name="Remove: Praline/never").click()
        page.wait_for_function("document.querySelectorAll('.training').length == 2")
        other.close()

        page.get_by_role("button", name="Stop: Praline/afrd-2").click()
        page.wait_for_selector(".training.cancelled:has-text('started again')")
        page.wait_for_selector(".training.done:has-text('finished: 3 steps')")
        page.get_by_role("button", name="Clear: Praline/afrd-2").click()
        page.wait_for_function("document.querySelectorAll('.training').length == 1")
        assert (runs / "Praline" / "short" / "model.safetensors").is_file()

        page.get_by_role("button", name="Open in Explore: Praline/short").click()
        page.wait_for_function("document.querySelector('#run input').value.startsWith('short')")
        page.wait_for_selector("#light-table .verdict")


@pytest.mark.browser
def test_a_name_that_is_taken_is_refused_in_a_sentence_and_the_page_fits_a_tablet(
    app: tuple[str, Path], browser: Browser
):
    with browsing(browser, app[0]) as page:
        page.set_viewport_size({"width": 820, "height": 1180})
        open_tab(page)
        fill(page, "Praline/afrd", 3)
        press_train(page)
        page.wait_for_selector("text=choose another folder")
        fill(page, "../out", 3)
        press_train(page)
        page.wait_for_selector("text=cannot be the name of a run")
        assert page.evaluate("document.documentElement.scrollWidth") <= 820
        clipped = """[...document.querySelectorAll('.train-form :is(label, button, .plan, .data-state)')]
            .filter(node => node.clientWidth && node.scrollWidth > node.clientWidth + 1)
            .map(node => node.textContent)"""
        assert page.evaluate(clipped) == []


def test_a_script_can_train_and_is_told_what_is_wrong(app: tuple[str, Path], candies: Path):
    from gradio_client import Client

    client = Client(app[0], verbose=False)
    client.predict(str(candies), None, api_name="/training_data_entered")  # as the page does, it fills the menus
    values = [str(candies), "Praline", ["top"], "evidence", "attention", "efficientnet_lite0", "", 64, 2, 0, "auto"]
    with pytest.raises(Exception, match="the run has no name"):
        client.predict(*values, "", api_name="/train")
    client.predict(*values, "scripted", api_name="/train")
    deadline = time.monotonic() + 60
    while not (app[1] / "scripted" / "model.safetensors").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (app[1] / "scripted" / "region.png").exists()
