"""Long work waits for the events that are answered at once."""

import threading

import pytest

from afrd.page.common import precedence
from afrd.page.common.precedence import give_way, going_first


def test_long_work_waits_until_the_event_is_answered_even_if_it_fails():
    order, begun, may_end = [], threading.Event(), threading.Event()

    @going_first
    def event() -> None:
        begun.set()
        may_end.wait(60)
        order.append("event")
        raise ValueError("failed")

    def fails() -> None:
        with pytest.raises(ValueError, match="failed"):
            event()

    answering = threading.Thread(target=fails)
    answering.start()
    begun.wait(60)
    working = threading.Thread(target=lambda: (give_way(), order.append("work")))
    working.start()
    may_end.set()
    answering.join(60)
    working.join(60)
    assert order == ["event", "work"]


def test_it_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(precedence, "PATIENCE_SECONDS", 0.01)
    going_first(give_way)()


def test_what_yields_takes_long_itself():
    def handler():
        yield 1

    assert going_first(handler) is handler
