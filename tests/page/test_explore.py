"""Explore: links, filters, the strip of samples, other methods' scores; in this process, by API and in a browser."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser
from starlette.datastructures import QueryParams

import afrd
from afrd.metrics.words import outcome
from afrd.page.common import link as links
from afrd.page.common.library import Cache, Library
from afrd.page.common.link import NAMES, Link, from_query, to_query
from afrd.page.common.samples import (
    first_selection,
    kinds,
    listed,
    on_its_page,
    pages,
    sample_label,
    stepped,
    with_samples,
)
from afrd.page.common.selection import Selection
from afrd.page.explore import other_methods
from afrd.page.explore.strip import _tile, strip_of
from afrd.runs.loading import load_run
from tests.page.helpers import app_command, browsing, serving

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
places = st.integers(0, 999_999)
some_links = st.builds(
    Link,
    **dict.fromkeys(NAMES, text),
    lights=st.none() | st.lists(text.filter(bool), unique=True, max_size=7).map(tuple),
    at=st.none() | st.tuples(places, places),
)


@pytest.fixture(scope="module")
def library(tiny_runs: Path) -> Library:
    return Library(tiny_runs, None)


@pytest.fixture
def selection(library: Library) -> Selection:
    return first_selection(library, "Praline")


@given(some_links)
def test_a_link_survives_the_way_through_an_address(link: Link):
    query = to_query(link)
    assert from_query(query) == from_query(f"?{query}") == link
    assert from_query(QueryParams(query)) == link  # as the server reads it
    assert re.fullmatch(r"[A-Za-z0-9=&%/,._~-]*", query)


def test_what_an_address_should_not_hold_is_left_out():
    assert from_query("nothing=1&__theme=dark") == Link()
    assert from_query("at=1&sample=07") == from_query("at=-1,5&sample=07") == Link(sample="07")
    assert from_query("at=12,999999999999&lights=") == Link(lights=())
    assert to_query(Link(lights=("top", "box"), sample="25", at=(120, 88))) == "sample=25&lights=top,box&at=120,88"


def test_a_selection_and_its_link_are_the_same_view(library: Library, selection: Selection):
    views = [
        selection,
        replace(selection, index=0, lights=("top", "box"), shown="left", pinned=(12, 40)),
        replace(selection, lights=(), beside=None),
        with_samples(library, replace(selection, kind="good", order="score")),
        with_samples(library, replace(selection, split="val", verdict="right", index=None)),
    ]
    for view in views:
        again, lost = links.selection_of(library, from_query(links.query_of(library, view)))
        assert lost == ""
        assert again == on_its_page(library, replace(view, beside=view.beside or selection.beside))


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("category=Cookie", "category “Cookie”, which is not here"),
        ("category=Praline&sample=99", "sample “99”, which is not here"),
        ("run=../../etc/passwd&split=secret", "run “../../etc/passwd” and split “secret”, which are not here"),
        ("lights=top,moon&light=sun", "light “moon” and light “sun”"),
        ("kind=holes&verdict=perhaps&order=size", "filter “holes”, verdict “perhaps” and order “size”"),
        ("beside=Praline/other", "run beside it “Praline/other”"),
    ],
)
def test_a_foreign_link_opens_the_nearest_view_and_says_what_is_missing(library: Library, query: str, named: str):
    selection, lost = links.selection_of(library, from_query(query))
    assert named in lost and lost.count(".") - query.count(".") == 1
    assert selection.category == "Praline" and selection.index is not None
    assert selection.run == library.category("Praline").fused[0].folder
    assert selection.lights and set(selection.lights) <= {"spots", "bottom", "right", "top", "left", "box"}


def test_a_link_to_a_run_alone_finds_its_category(library: Library, selection: Selection, tmp_path: Path):
    found, lost = links.selection_of(library, Link(run="Praline/afrd"))
    assert (found, lost) == (selection, "")
    nothing, _ = links.selection_of(Library(tmp_path, None), Link(run="Praline/afrd", sample="01"))
    assert nothing == Selection()


def test_filters_and_steps_stay_among_the_samples_that_fit(library: Library, selection: Selection):
    good = with_samples(library, replace(selection, kind="good"))
    found = listed(library, good)
    assert len(found) == 2 and good.index in found
    assert {stepped(library, replace(good, index=found[0]), by).index for by in (1, -1)} == {found[1]}
    dataset = library.data_of(library.category("Praline"))["test_public"]
    assert [sample_label(dataset, i)[1] for i in range(len(dataset))].count("good") == 2
    assert kinds(dataset)[:3] == ["all", "good", "bad"]


def test_order_and_verdicts_are_those_of_the_evaluation(
    library: Library, selection: Selection, tiny_runs: Path, candies: Path
):
    lights = ("top", "box")
    run = load_run(tiny_runs / "Praline" / "afrd", device="cpu")
    table = run.evaluate(afrd.open_dataset(candies, "Praline")["test_public"], lights).table
    few = replace(selection, lights=lights, order="score")
    assert listed(library, few) == list(table.score.sort_values(ascending=False, kind="stable").index)
    called = (table.verdict == "anomalous").tolist()
    marks = [outcome(truth, said) for truth, said in zip(table.anomalous, called, strict=True)]
    for verdict in ("right", "missed", "false alarm"):
        expected = [i for i, mark in enumerate(marks) if mark == verdict]
        assert listed(library, replace(few, order="number", verdict=verdict)) == expected
    strip = json.loads(strip_of(library, replace(few, order="number")))
    assert [tile["mark"] for tile in strip["samples"]] == marks
    for tile, score in zip(strip["samples"], table.score, strict=True):
        assert tile["score"] == f"{score / run.threshold(lights).value:.1f}×"
        assert tile["picture"].startswith("data:image/webp")


def test_marks_say_nothing_where_the_truth_is_not_known():
    cases = ((None, True), (True, True), (True, False), (False, True))
    truths, called = zip(*cases, strict=True)
    dataset = SimpleNamespace(names=list("abcd"), anomalous=truths, defects=[()] * 4)
    scores = SimpleNamespace(values=[1.0] * 4, relative=[1.0] * 4, anomalous=called)
    library = SimpleNamespace(thumbnail_uri=lambda *_: "")
    tiles = [_tile(library, dataset, i, "top", scores) for i in range(4)]  # type: ignore[arg-type]
    assert [tile["mark"] for tile in tiles] == ["", "right", "missed", "false alarm"]


def test_a_long_list_comes_in_pages():
    assert pages(range(125)) == [("1 to 60 of 125", 0), ("61 to 120 of 125", 1), ("121 to 125 of 125", 2)]
    assert pages([]) == []


def test_without_a_run_the_strip_has_pictures_but_no_scores(candies: Path, tmp_path: Path):
    library = Library(tmp_path, candies)
    strip = json.loads(strip_of(library, first_selection(library, None)))
    assert len(strip["samples"]) == 4 and not any("score" in tile for tile in strip["samples"])
    assert strip["wait"] == ""


def test_a_large_split_waits_to_be_asked_for_its_scores(
    library: Library, selection: Selection, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("afrd.page.common.library.AT_ONCE", 3)
    monkeypatch.setattr("afrd.runs.run.Run.features_stored", lambda *args: False)
    strip = json.loads(strip_of(library, replace(selection, verdict="missed", order="score")))
    assert strip["wait"] == "The 4 samples of this split have no scores yet."
    assert len(strip["samples"]) == 4  # a filter that cannot be answered hides nothing
    monkeypatch.undo()
    assert json.loads(strip_of(library, selection))["wait"] == ""


def test_every_method_says_its_own_score_of_the_sample(
    library: Library, selection: Selection, tiny_runs: Path, candies: Path
):
    said = other_methods.predictions_of(library, replace(selection, lights=("top", "box")))
    assert list(said) == ["AFRD", "RD, top"]
    dataset = afrd.open_dataset(candies, "Praline")["test_public"]
    for name, folder, lights in (("AFRD", "afrd", "top,box"), ("RD, top", "single-top", "top")):
        run = load_run(tiny_runs / "Praline" / folder, device="cpu")
        assert said[name].score == pytest.approx(run.predict_stored(dataset, selection.index, lights).score, rel=1e-5)
    assert list(other_methods.predictions_of(library, replace(selection, lights=()))) == ["RD, top"]
    shown = other_methods.scores(library, selection)
    for name, one in other_methods.predictions_of(library, selection).items():
        assert f'<tr class="{one.verdict}"><th scope="row">{name}</th>' in shown
        assert f"<td>{one.score / one.threshold.value:.2f} {one.verdict}</td>" in shown
    assert "units of the method's threshold" in shown and "AFRD and memory: spots, " in shown
    assert other_methods.scores(library, replace(selection, index=None)) == ""


def test_runs_of_one_name_or_one_light_are_told_apart_by_their_folders(tiny_runs: Path, tmp_path: Path):
    for seed in ("seed0", "seed1"):
        shutil.copytree(tiny_runs / "Praline", tmp_path / seed)
    library = Library(tmp_path, None)
    (entry,) = library.categories()
    folders = [f"{seed}/{name}" for name in ("afrd", "single-top") for seed in ("seed0", "seed1")]
    runs = (*entry.fused, *entry.single)
    assert [run.label.rpartition(" (")[2] for run in runs] == [f"{folder})" for folder in folders]
    said = other_methods.predictions_of(library, first_selection(library, "Praline"))
    assert list(said) == [f"{'AFRD' if 'afrd' in folder else 'RD, top'} ({folder})" for folder in folders]


def test_before_and_after_are_two_pictures_of_one_size(library: Library, selection: Selection):
    from PIL import Image

    files, line = other_methods.before_and_after(library, selection)
    before, after = (Image.open(file) for file in files)
    assert before.size == after.size == (512, 512) and before.tobytes() != after.tobytes()
    assert re.fullmatch(r"left: RD, top \d+\.\d\d ×; right: AFRD \d+\.\d\d ×", line)
    assert other_methods.before_and_after(library, selection)[0] == files  # made once
    assert other_methods.before_and_after(library, replace(selection, beside=None))[0] is None


def test_a_cache_keeps_within_its_size_and_makes_others_wait_for_nothing():
    cache = Cache(10, len)
    assert [cache.get(key, lambda n=n: "x" * n) for key, n in (("a", 4), ("b", 5), ("c", 6))] == [
        "x" * 4,
        "x" * 5,
        "x" * 6,
    ]
    assert "a" not in cache and "c" in cache and "b" not in cache
    with pytest.raises(ValueError, match="no"):
        cache.get("d", lambda: (_ for _ in ()).throw(ValueError("no")))
    assert cache.get("d", lambda: "yes") == "yes"
    # one thread makes "slow" and asks for another meanwhile
    with ThreadPoolExecutor(1) as pool:
        assert cache.get("slow", lambda: pool.submit(cache.get, "quick", lambda: "1").result(timeout=5)) == "1"


@pytest.fixture(scope="module")
def app(tiny_runs: Path, candies: Path) -> Iterator[str]:
    with serving(app_command(tiny_runs, candies, "--no-train")) as address:
        yield address


def scene_in(answer: tuple | str) -> dict:
    """The light table's content among the values of an event."""
    values = [answer] if isinstance(answer, str) else answer
    return next(json.loads(value) for value in values if isinstance(value, str) and '"panels"' in value)


def test_five_people_at_once_each_get_their_own_answer(app: str, tiny_runs: Path, candies: Path):
    from gradio_client import Client

    run = load_run(tiny_runs / "Praline" / "afrd", device="cpu")
    dataset = afrd.open_dataset(candies, "Praline")["test_public"]
    wishes = [("00", "all"), ("01", "top,box"), ("02", "left"), ("03", "spots,right,box"), ("01", "bottom")]
    errors = run.evidence(dataset).errors.numpy()

    def visit(wish: tuple[str, str]) -> None:
        name, lights = wish
        client = Client(app, verbose=False)
        client.predict(api_name="/open_page")
        for _ in range(3):
            named = "" if lights == "all" else f"&lights={lights}"
            query = f"category=Praline&sample={name}{named}"
            # the session remembers what this visitor looks at
            for answer in (
                client.predict(query, api_name="/open_link"),
                client.predict("number", api_name="/order_samples"),
            ):
                scene = scene_in(answer)
                assert scene["header"]["name"] == name
                lit = [light["name"] for light in scene["lights"] if light["on"]]
                assert lit == (list(run.lights) if lights == "all" else lights.split(","))
                sent = [base64.b64decode(light["evidence"]["errors"]) for light in scene["lights"]]
                found = np.frombuffer(b"".join(sent), "<f2").astype(float)
                assert found == pytest.approx(errors[int(name)].ravel(), rel=1e-3, abs=1e-6)

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(visit, wishes))


def test_explore_follows_what_another_tab_chose(app: str):
    from gradio_client import Client

    client = Client(app, verbose=False)
    client.predict(api_name="/open_page")
    client.predict(None, [], api_name="/compare_open")
    client.predict(None, [], "val", api_name="/compare_split")
    scene = scene_in(client.predict(api_name="/refresh_explore"))
    assert scene["header"]["place"] == "Praline / val"
    with pytest.raises(StopIteration):  # it is there already
        scene_in(client.predict(api_name="/refresh_explore"))


def test_events_of_the_page_are_one_sentence_to_a_script(app: str):
    from gradio_client import Client

    client = Client(app, verbose=False)
    client.predict(api_name="/open_page")
    for name in ("/select_sample", "/choose_lights", "/step_sample", "/show_light"):
        with pytest.raises(Exception, match="scripts open a link with /open_link"):
            client.predict(api_name=name)


NAME = "document.querySelector('.light-table h2')?.textContent"
CHOSEN = "document.querySelector('.thumb[aria-pressed=true]')?.dataset.id"


def arrived(page, name: str, query: str) -> None:
    """The light table, the strip and the address all show the sample."""
    page.wait_for_function(f"name => {NAME} == name && {CHOSEN} == name", arg=name)
    page.wait_for_function("query => location.search.includes(query)", arg=query)


@pytest.mark.browser
def test_a_view_is_found_filtered_and_sent_to_a_colleague(app: str, browser: Browser):
    with browsing(browser, app) as page:
        page.wait_for_selector(".thumb .score")
        assert page.locator(".thumb").count() == 4
        assert re.fullmatch(r"\d+\.\d×", page.locator(".thumb .score").first.inner_text())
        page.locator("#kind input").click()
        page.get_by_role("option", name="good", exact=True).click()
        page.wait_for_function("document.querySelectorAll('.thumb').length == 2")
        arrived(page, "00", "kind=good")
        page.locator("#kind input").click()
        page.get_by_role("option", name="all", exact=True).click()
        page.wait_for_function("document.querySelectorAll('.thumb').length == 4")
        page.locator(".thumb").nth(2).click()
        arrived(page, "02", "sample=02")
        page.keyboard.press("ArrowRight")
        arrived(page, "03", "sample=03")
        page.locator(".tile input[value=box]").click()
        page.wait_for_function("location.search.includes('lights=spots,bottom,right,top,left')")
        page.locator("#method-scores .track").first.wait_for()
        page.locator("#before-after img").first.wait_for()
        sent = page.url.removeprefix(app)
        page.get_by_role("tab", name="About").click()
        page.wait_for_function("location.search.includes('tab=about')")
        page.get_by_role("img", name="The flow of data.").wait_for()
        assert page.get_by_role("tab", name="Train").count() == 0
    with browsing(browser, app, sent) as page:
        arrived(page, "03", "lights=spots,bottom,right,top,left")
        page.wait_for_selector("text='lights: spots, bottom, right, top, left'")
        assert page.url == app + sent
    with browsing(browser, app, f"{sent}&tab=about&__theme=dark") as page:
        page.get_by_role("img", name="The flow of data.").wait_for()
        assert page.get_by_role("tab", selected=True).inner_text() == "About"
        page.get_by_role("tab", name="Explore").click()
        arrived(page, "03", "__theme=dark")
        page.wait_for_function("!location.search.includes('tab=')")


@pytest.mark.browser
def test_a_link_that_leads_nowhere_says_so_until_one_moves_on(app: str, browser: Browser):
    with browsing(browser, app, "/?category=Praline&sample=%3Cimg%20src%3Dx%3E&lights=moon") as page:
        notice = page.get_by_role("status").filter(has_text="The link names")
        notice.wait_for()
        assert "light “moon” and sample “<img src=x>”, which are not here" in notice.inner_text()
        page.set_viewport_size({"width": 820, "height": 1180})
        assert page.evaluate("document.documentElement.scrollWidth") <= 820
        page.locator(".thumb").nth(0).click()
        arrived(page, "00", "sample=00")
        notice.wait_for(state="hidden")


READS_LITTLE = """
import os, sys
os.environ["AFRD_CACHE"] = sys.argv[1]
from afrd.page.common import library
from afrd.cli.app import main
library.AT_ONCE = 3
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.browser
def test_scores_of_a_large_split_are_worked_out_when_asked_for(
    tiny_runs: Path, candies: Path, tmp_path: Path, browser: Browser
):
    options = [tmp_path, "--runs", tiny_runs, "--data", candies, "--no-train"]
    with serving(["-c", READS_LITTLE, *options]) as address, browsing(browser, address) as page:
        page.wait_for_selector("text='The 4 samples of this split have no scores yet.'")
        assert page.locator(".thumb").count() == 4 and page.locator(".thumb .score").count() == 0
        page.get_by_role("button", name="Work them out").click()
        page.wait_for_selector(".thumb .score")
        assert page.locator(".wait").count() == 0
        page.locator("#order input").click()
        page.get_by_role("option", name="score", exact=True).click()
        page.wait_for_function("location.search.includes('order=score')")
        shown = [float(text.rstrip("×")) for text in page.locator(".thumb .score").all_inner_texts()]
        assert shown == sorted(shown, reverse=True)
