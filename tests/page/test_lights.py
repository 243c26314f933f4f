"""The Lights tab: its work and texts in this process, its story in a browser, its numbers through the API."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from afrd.background.jobs import Jobs
from afrd.page.common.library import Library
from afrd.page.common.messages import NothingToShowError
from afrd.page.common.samples import first_selection
from afrd.page.common.selection import Selection
from afrd.page.lights import views
from afrd.page.lights.sample import look
from afrd.page.lights.subject import Surveys
from tests.page.helpers import app_command, browsing, serving, settled


@pytest.fixture(scope="module")
def runs(tiny_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, in which surveys are kept."""
    return Path(shutil.copytree(tiny_runs, tmp_path_factory.mktemp("lights") / "runs"))


@pytest.fixture(scope="module")
def surveys(runs: Path, candies: Path) -> Surveys:
    return Surveys(Library(runs, candies))


@pytest.fixture
def selection(surveys: Surveys) -> Selection:
    return first_selection(surveys.library, "Praline")


def test_before_anybody_asked_it_says_what_it_would_do(surveys: Surveys, selection: Selection):
    subject = surveys.subject(selection)
    text = views.not_yet(subject.run, subject.dataset)
    assert "All 63 sets of the 6 lights are judged on the 4 samples of test_public" in text
    assert "some seconds" in text and "kept with the run" in text


def test_work_is_seen_and_cancelled_and_only_one_is_done_at_a_time():
    jobs, begun, go_on = Jobs(), threading.Event(), threading.Event()

    def slow(report) -> str:
        for step in range(1000):
            report("sets of lights judged", step, 1000)
            begun.set()
            go_on.wait(0.02)
        return "all"

    first = jobs.start("a", slow)
    assert begun.wait(5) and jobs.start("a", slow) is first and jobs.get("a") is first
    second = jobs.start("b", lambda report: "done")
    assert not second.wait(0.3) and second.what == "waits for other work"
    assert "Sets of lights are judged" in views.progress(first) and "of 1000" in views.progress(first)
    first.cancel()
    assert first.wait(5) and first.problem == "" and first.result is None
    assert second.wait(5) and second.result == "done"
    jobs.forget("a", first)
    assert jobs.get("a") is None


def test_work_that_fails_says_why_in_a_sentence():
    def refused(report) -> None:
        raise ValueError("no such light")

    def broken(report) -> None:
        raise KeyError("x")

    jobs = Jobs()
    job = jobs.start("a", refused)
    assert job.wait(5) and job.problem == "no such light"
    job = jobs.start("a", broken)
    assert job.wait(5) and "unexpected error (KeyError" in job.problem


def test_cancelled_judging_keeps_nothing(surveys: Surveys, selection: Selection, monkeypatch):
    subject, begun = surveys.subject(selection), threading.Event()

    def endless(run, dataset, metric, report):
        assert run is not subject.run and run.lights == subject.run.lights  # a run of its own
        while True:
            report("sets of lights judged", 1, 63)
            begun.set()

    monkeypatch.setattr("afrd.analysis.lights.survey.survey", endless)
    job = surveys.start(subject, "image_auroc")
    assert begun.wait(10) and surveys.job(subject, "image_auroc") is job
    job.cancel()
    assert job.wait(5) and job.problem == ""
    surveys.forget(subject, "image_auroc", job)
    assert surveys.job(subject, "image_auroc") is None


@pytest.mark.parametrize(
    ("changes", "title", "said"),
    [
        ({"category": None}, "Nothing to look at yet", ""),
        ({"run": None}, "No run of Praline yet", "afrd train"),
        ({"category": "Cookie"}, "This cannot be shown", "there is no category 'Cookie'"),
        ({"run": Path("Praline/single-top")}, "One light only", "has the light top and no other"),
    ],
)
def test_what_cannot_be_shown_is_said(
    surveys: Surveys, runs: Path, selection: Selection, changes, title: str, said: str
):
    if changes.get("run"):
        changes = {"run": runs / changes["run"]}
    with pytest.raises(NothingToShowError) as why:
        surveys.subject(replace(selection, **changes))
    assert why.value.parts[0] == title and said in " ".join(why.value.parts)


def test_a_split_without_anomalous_samples_is_said_to_have_none(surveys: Surveys, selection: Selection):
    with pytest.raises(NothingToShowError) as why:
        surveys.survey(surveys.subject(replace(selection, split="train")), "image_auroc")
    assert "Praline/train has 0 anomalous and 6 good samples" in why.value.parts[1]


def test_costs_come_from_the_table_and_what_is_none_is_refused():
    lights = ("top", "box")
    assert views.read_costs([["top", 2], ["box", "0.5"], ["dome", 7], ["box", ""], []], lights) == {
        "top": 2,
        "box": 0.5,
    }
    assert views.read_costs(None, lights) == {}
    with pytest.raises(ValueError, match="the cost of light 'top' is 'much'"):
        views.read_costs([["top", "much"]], lights)


def test_a_sample_is_shown_with_the_parts_of_its_lights(surveys: Surveys, selection: Selection):
    subject = surveys.subject(selection)
    image, figure, said = look(surveys.library, subject)
    assert max(image.size) == 512 and "whole picture" in said
    shares = next(trace for trace in figure.data if trace.type == "bar")
    score = subject.run.predict_stored(subject.dataset, subject.sample).score
    assert sum(shares.x) == pytest.approx(score / subject.run.threshold().value, rel=1e-4)
    _, place, said = look(surveys.library, surveys.subject(replace(selection, pinned=(20, 30))))
    assert "x 20, y 30" in said and "at x 20, y 30" in place.layout.title.text


@pytest.fixture(scope="module")
def app(runs: Path, candies: Path) -> Iterator[str]:
    with serving(app_command(runs, candies)) as address:
        yield address


def cell(page, table: str, text: str | re.Pattern):
    return page.locator(f"{table} :is(td, [role=gridcell])").filter(has_text=text).locator("visible=true").first


def searched(page, table: str, lights: str, text: re.Pattern):
    """The cell with `text` in the row of a set of lights. New values drop an earlier search."""
    row = cell(page, table, text)
    for _ in range(6):
        settled(page)
        page.locator(f"{table} input").first.fill("")
        page.locator(f"{table} input").first.fill(lights)
        settled(page)
        if row.is_visible():
            break
    return row


@pytest.mark.browser
def test_the_advice_is_read_and_a_set_of_lights_opened_in_explore(app: str, runs: Path, browser: Browser):
    with browsing(browser, app, "/?tab=lights") as page:
        page.wait_for_selector("text='Which lights are needed?'")
        assert not page.locator("#lights-body").is_visible() and not page.locator("#lights-cancel").is_visible()
        page.locator("#lights-start").click()
        page.wait_for_selector("#lights-answer")
        assert page.locator("#lights-body").is_visible()
        assert not page.locator("#lights-start, #lights-cancel").locator("visible=true").count()
        assert (runs / "Praline" / "afrd" / "lights" / "test_public.safetensors").is_file()
        answer = page.locator("#lights-answer p").inner_text()
        assert answer.startswith(
            "It cannot be told which lights are needed: 2 good and 2 anomalous samples are too few."
        )
        for plot in ("pareto", "worth", "same", "shares"):
            page.wait_for_selector(f"#lights-{plot} .js-plotly-plot")
        assert "What a rig costs and brings" in page.locator("#lights-pareto").inner_text()

        assert page.locator("#lights-pareto").get_by_text("number of lights").count() == 1
        cell(page, "#lights-costs", "1").dblclick()
        page.keyboard.press("Control+A")
        page.keyboard.type("4")
        page.keyboard.press("Enter")
        page.locator("#lights-pareto").get_by_text("cost of the lights").wait_for()
        every_light = "spots, bottom, right, top, left, box"
        searched(page, "#lights-sets", every_light, re.compile(r"^\s*9\s*$")).wait_for()  # what all lights cost now
        page.locator("#lights-metric").click()
        page.get_by_role("option", name="pixel AP").click()
        page.locator("#lights-pareto").get_by_text("pixel AP", exact=True).wait_for()

        page.locator("#lights-picture img").click(position={"x": 60, "y": 60})
        page.get_by_text("at x 12, y 12").first.wait_for()
        page.locator("#lights-clear").click()
        page.locator("#lights-sample-said").get_by_text("whole picture").wait_for()

        page.set_viewport_size({"width": 820, "height": 1180})
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 820
        searched(page, "#lights-sets", "top, left", re.compile(r"^\s*top, left\s*$")).click()
        page.wait_for_selector("text='lights: top, left'")
        page.wait_for_function("decodeURIComponent(location.search).includes('lights=top,left')")
        page.wait_for_function("window.scrollY === 0")

        page.get_by_role("tab", name="Lights").click()  # the second look needs no work
        page.wait_for_selector("#lights-answer")


@pytest.mark.browser
def test_pixels_are_explained_on_demand(app: str, browser: Browser):
    with browsing(browser, app, "/?tab=lights") as page:
        page.wait_for_selector("#lights-shares .js-plotly-plot")
        page.locator("#lights-explain").click()
        page.wait_for_selector("#lights-pixels .js-plotly-plot")
        page.locator("#lights-explain-stop").wait_for(state="hidden")
        assert "against the pictures of" in page.locator("#lights-pixels").inner_text()
