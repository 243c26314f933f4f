"""What tests of background work share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from afrd.background.jobs import Job, Worker


@contextmanager
def occupied(worker: Worker, title: str = "other work") -> Iterator[Job]:
    """A job of this title runs while the block runs."""
    started, stop = threading.Event(), threading.Event()

    def work(report) -> None:
        started.set()
        stop.wait()

    job = worker.submit(work, title)
    try:
        assert started.wait(10)
        yield job
    finally:
        stop.set()


def wait_until(condition: Callable[[], Any], seconds: float = 120) -> Any:
    """Polls until the condition holds; returns its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return value
