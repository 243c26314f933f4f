"""Heavy work of one process, one piece at a time: the demo's preparation and the trainings of the page share a turn."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Turn:
    """What is held by one piece of work at a time, first come first served."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._line: deque[tuple[str, object]] = deque()

    @property
    def holder(self) -> str | None:
        """What is at work now."""
        with self._condition:
            return self._line[0][0] if self._line else None

    @contextmanager
    def taken(self, title: str, wanted: Callable[[], bool] = lambda: True) -> Iterator[bool]:
        """Waits for the turn and holds it inside the block; gives False where it stopped being `wanted` before."""
        ticket = (title, object())
        with self._condition:
            self._line.append(ticket)
        try:
            with self._condition:
                while wanted() and self._line[0] is not ticket:
                    self._condition.wait(0.2)  # and looks again whether it is still wanted
            yield wanted()
        finally:
            with self._condition:
                self._line.remove(ticket)
                self._condition.notify_all()


TURN = Turn()  # shared by the queue and the demo's preparation
