"""The session of a page: events at the same time keep each other's changes, and the latest selection is drawn."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from functools import partial
from inspect import isgenerator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest

from afrd.page.common.library import Library
from afrd.page.common.samples import first_selection
from afrd.page.common.selection import Selection
from afrd.page.common.session import PageSession, Versioned
from afrd.page.explore import tab as explore
from afrd.page.tabs import build
from afrd.page.upload.sample import number_of
from afrd.page.upload.tab import UploadState
from tests.page.helpers import app_command, serving

PATIENCE = 30.0  # seconds, on a busy machine


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    """Runs the actions in threads that begin together."""
    barrier = threading.Barrier(len(actions))

    def act(action: Callable[[], Any]) -> Any:
        barrier.wait(PATIENCE)
        result = action()
        return list(result) if isgenerator(result) else result

    with ThreadPoolExecutor(len(actions)) as pool:
        return [future.result(PATIENCE) for future in [pool.submit(act, action) for action in actions]]


def test_no_change_is_lost_among_many_threads():
    session = PageSession()

    def turn_pages() -> None:
        for _ in range(200):
            session.apply(lambda selection: replace(selection, page=selection.page + 1))

    at_once(*[turn_pages] * 8)
    assert session.selection.page == session.version == 1600


def test_a_change_that_fails_or_changes_nothing_leaves_the_version():
    session = PageSession()
    with pytest.raises(ValueError, match="no"):
        session.apply(lambda selection: (_ for _ in ()).throw(ValueError("no")))
    assert session.apply(lambda selection: replace(selection, page=0)) == Selection()
    assert session.version == 0
    assert session.apply(lambda selection: replace(selection, page=1)).page == 1  # the lock is free
    assert session.version == 1


def test_a_drawing_that_was_overtaken_is_made_again():
    value, drawn = Versioned(0), []

    def draw(number: int) -> str:
        drawn.append(number)
        if number < 3:
            value.apply(lambda number: number + 1)  # as another event does meanwhile
        if number == 1:
            raise ValueError("what it was about has gone")
        return f"picture of {number}"

    assert value.drawn(draw) == "picture of 3"
    assert drawn == [0, 1, 2, 3] and value.version == 3
    with pytest.raises(ValueError, match="cannot be drawn"):
        value.drawn(lambda number: (_ for _ in ()).throw(ValueError("cannot be drawn")))


def test_other_changes_do_not_wait_for_a_drawing():
    session, begun, changed = PageSession(), threading.Event(), threading.Event()

    def draw(selection: Selection) -> int:
        begun.set()
        assert changed.wait(PATIENCE)
        return selection.page

    def change() -> None:
        assert begun.wait(PATIENCE)
        session.apply(lambda selection: replace(selection, page=7))
        changed.set()

    assert at_once(lambda: session.drawn(draw), change)[0] == 7


def test_each_browser_session_begins_anew_and_has_its_own_state_of_a_tab():
    first = PageSession()
    first.apply(lambda selection: replace(selection, page=3))
    second = deepcopy(first)
    assert second.selection == Selection() and second.version == 0
    assert first.state(UploadState) is first.state(UploadState) is not second.state(UploadState)
    states = at_once(*[lambda: second.state(UploadState)] * 4)
    assert all(state is states[0] for state in states)


@pytest.fixture(scope="module")
def page(tiny_runs: Path, candies: Path) -> gr.Blocks:
    return build(tiny_runs, candies)


@pytest.fixture(scope="module")
def start(tiny_runs: Path, candies: Path) -> Selection:
    return first_selection(Library(tiny_runs, candies), "Praline")


@pytest.fixture
def session(start: Selection) -> PageSession:
    session = PageSession()
    session.apply(lambda _: start)
    return session


def handler(page: gr.Blocks, name: str) -> Callable:
    """What the page does when the event of this name in its API is sent."""
    return next(function.fn for function in page.fns.values() if function.api_name == name)


def told(**data: Any) -> gr.EventData:
    """An event of a script in the browser."""
    return gr.EventData(None, data)


def test_the_session_is_an_input_of_events_and_never_an_output(page: gr.Blocks):
    def sessions(components: list) -> list:
        return [c for c in components if isinstance(c, gr.State) and isinstance(c.value, PageSession)]

    functions = page.fns.values()
    assert len({c._id for function in functions for c in sessions(function.inputs)}) == 1
    assert not any(sessions(function.outputs) for function in functions)


PAIRS = [
    (("order_samples", "score"), ("show_light", told(light="left")), {"order": "score", "shown": "left"}),
    (("filter_samples", "good"), ("order_samples", "score"), {"kind": "good", "order": "score"}),
    (("filter_verdicts", "right"), ("filter_samples", "bad"), {"verdict": "right", "kind": "bad"}),
    (("choose_lights", told(lights=["top"])), ("pin", told(place=[3, 4])), {"lights": ("top",), "pinned": (3, 4)}),
    (("choose_lights", told(lights=["top"])), ("select_sample", told(sample="00")), {"lights": ("top",), "index": 0}),
    (("keep_lights", told(lights=["top"], number=1)), ("step_sample", told(by=1)), {"lights": ("top",), "index": 2}),
    (("compare_with", ""), ("show_light", told(light="top")), {"beside": None, "shown": "top"}),
    (("choose_split", "val"), ("show_light", told(light="top")), {"split": "val", "shown": "top"}),
    (("choose_category", "Praline"), ("show_light", told(light="right")), {"category": "Praline", "shown": "right"}),
    (("compare_lights", None, [], ["left"]), ("order_samples", "score"), {"lights": ("left",), "order": "score"}),
    (("lights_split", "val"), ("show_light", told(light="top")), {"split": "val", "shown": "top"}),
    (("lights_whole",), ("compare_with", ""), {"beside": None, "pinned": None}),
    (("errors_category", "Praline"), ("show_light", told(light="right")), {"category": "Praline", "shown": "right"}),
]


@pytest.mark.parametrize(
    ("first", "second", "expected"), PAIRS, ids=lambda event: event[0] if isinstance(event, tuple) else ""
)
def test_two_events_at_once_both_change_the_selection(
    page: gr.Blocks, start: Selection, first: tuple, second: tuple, expected: dict
):
    for turn in range(6):
        session = PageSession()
        session.apply(lambda _: start)
        events = [partial(handler(page, name), session, *values) for name, *values in (first, second)]
        at_once(*(events if turn % 2 else events[::-1]))
        assert {name: getattr(session.selection, name) for name in expected} == expected


def test_a_slow_drawing_shows_what_a_quicker_event_changed_meanwhile(
    page: gr.Blocks, session: PageSession, monkeypatch: pytest.MonkeyPatch
):
    begun, quick_is_done = threading.Event(), threading.Event()
    scene = explore.scene

    def slow_scene(library: Library, selection: Selection) -> str:
        if selection.order == "number":  # as it was before the quick event
            begun.set()
            assert quick_is_done.wait(PATIENCE)
        return scene(library, selection)

    monkeypatch.setattr(explore, "scene", slow_scene)

    def slow() -> dict:
        return handler(page, "choose_lights")(session, told(lights=["top", "left"]))

    def quick() -> dict:
        assert begun.wait(PATIENCE)
        values = handler(page, "order_samples")(session, "score")
        quick_is_done.set()
        return values

    for values in at_once(slow, quick):
        changed, drawn, table = values.values()
        assert changed == drawn == session.selection
        assert changed.order == "score" and changed.lights == ("top", "left")
        assert [light["name"] for light in json.loads(table)["lights"] if light["on"]] == ["top", "left"]


def test_events_of_the_users_own_sample_keep_each_others_changes(page: gr.Blocks, start: Selection):
    for _ in range(6):
        session = PageSession()
        session.apply(lambda _: start)
        handler(page, "load_example")(session)
        number = number_of(session.state(UploadState).uploaded.value.uploads[0])
        at_once(
            lambda session=session, number=number: handler(page, "assign_light")(
                session, told(number=number, value="")
            ),
            lambda session=session: handler(page, "pin_own_place")(session, told(place=[5, 6])),
            lambda session=session: handler(page, "show_own_light")(session, told(light="top")),
        )
        own = session.state(UploadState).uploaded.value
        assert own.uploads[0].light is None and own.pinned == (5, 6) and own.shown == "top"


def test_what_a_browser_sends_is_checked_under_the_lock(page: gr.Blocks, session: PageSession, tmp_path: Path):
    before = session.selection
    handler(page, "select_sample")(session, told(sample="no such sample"))
    assert session.selection == before
    handler(page, "choose_lights")(session, told(lights=["moon", "top"]))
    assert session.selection.lights == ("top",)
    handler(page, "compare_with")(session, str(tmp_path))
    assert session.selection.beside is None
    with pytest.raises(gr.Error, match="as only the page itself does"):
        handler(page, "step_sample")(session, told(by="one"))
    with pytest.raises(gr.Error, match="no category"):
        session.apply(lambda selection: replace(selection, category="Cookie"))
        handler(page, "choose_run")(session, str(before.run))


@pytest.fixture(scope="module")
def app(tiny_runs: Path, candies: Path) -> Iterator[str]:
    with serving(app_command(tiny_runs, candies, "--no-train")) as address:
        yield address


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (("/order_samples", "score"), ("/filter_samples", "good"), ("order=score", "kind=good")),
        (("/filter_verdicts", "right"), ("/order_samples", "score"), ("verdict=right", "order=score")),
        (("/choose_split", "val"), ("/order_samples", "score"), ("split=val", "order=score")),
        (("/compare_lights", None, [], ["top"]), ("/order_samples", "score"), ("lights=top", "order=score")),
    ],
)
def test_two_requests_of_one_browser_at_once_both_arrive(app: str, first: tuple, second: tuple, expected: tuple):
    browser = Browser(app)
    browser.send(("/open_page",))
    browser.send(("/compare_open", None, []))  # as the page does, it fills the menus
    for turn in range(6):
        browser.send(("/open_link", "category=Praline"))
        browser.send(*((first, second) if turn % 2 else (second, first)))
        (values,) = browser.send(("/follow_choice",))
        address = next(value for value in values if "category=Praline" in str(value))
        assert all(part in address for part in expected), address


class Browser:
    """Sends events of one browser session, several at once where asked to; `gradio_client` can lose one of those."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=f"{address}/gradio_api", timeout=PATIENCE)
        self.session_hash = uuid.uuid4().hex
        config = httpx.get(f"{address}/config").json()
        self.events = {f"/{event['api_name']}": event for event in config["dependencies"]}
        self.states = {part["id"] for part in config["components"] if part["type"] == "state"}

    def send(self, *events: tuple) -> list[list]:
        """The values of each event, in the order in which they are completed."""
        for name, *values in events:
            event, told = self.events[name], iter(values)
            data = [None if part in self.states else next(told) for part in event["inputs"]]
            body = {"fn_index": event["id"], "data": data, "session_hash": self.session_hash}
            self.client.post("/queue/join", json=body).raise_for_status()
        completed: list[list] = []
        with self.client.stream("GET", "/queue/data", params={"session_hash": self.session_hash}) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    assert message["success"], message["output"]
                    completed.append(message["output"]["data"])
                    if len(completed) == len(events):
                        break
        return completed
