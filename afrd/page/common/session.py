"""The state of one browser session: changed under a lock, and shared by all tabs and by events that run in parallel."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from afrd.page.common.selection import Selection

T = TypeVar("T")
V = TypeVar("V")


class Versioned(Generic[V]):
    """An immutable value that several threads replace, and the number of its replacements.

    Args:
        value: the first one.
    """

    def __init__(self, value: V) -> None:
        self._lock = threading.RLock()
        self._state = (value, 0)  # replaced as a whole, so that it is read without the lock

    @property
    def value(self) -> V:
        return self._state[0]

    @property
    def version(self) -> int:
        return self._state[1]

    def apply(self, change: Callable[[V], V]) -> V:
        """Replaces the value by `change(value)`, which no other change can interrupt, and returns it.

        An exception of `change` leaves the value as it was.
        """
        with self._lock:
            value, version = self._state
            changed = change(value)
            if changed != value:
                self._state = (changed, version + 1)
            return changed

    def drawn(self, draw: Callable[[V], T]) -> T:
        """Returns `draw(value)` of the latest value: draws again while the value was replaced during the drawing.

        The lock is not held meanwhile. An exception of `draw` is raised only if it concerns the latest value.
        """
        while True:
            value, version = self._state
            try:
                result = draw(value)
            except Exception:
                if self.version == version:
                    raise
                continue
            if self.version == version:
                return result


class PageSession:
    """State of one browser session on the server.

    A `gr.State` holds it, as an input of events and never as an output: an event that returned its own copy would undo
    what another event changed meanwhile. Gradio copies the initial value of a `gr.State` once for each browser session,
    and each copy is a new session.

    Attributes:
        selection: what the user looks at.
        version: how often it was changed.
    """

    def __init__(self) -> None:
        self._selection = Versioned(Selection())
        self._lock = threading.Lock()
        self._states: dict[Callable[[], Any], Any] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> PageSession:
        return PageSession()

    @property
    def selection(self) -> Selection:
        return self._selection.value

    @property
    def version(self) -> int:
        return self._selection.version

    def apply(self, change: Callable[[Selection], Selection]) -> Selection:
        """Changes the selection, see `Versioned.apply`."""
        return self._selection.apply(change)

    def drawn(self, draw: Callable[[Selection], T]) -> T:
        """Draws the latest selection, see `Versioned.drawn`."""
        return self._selection.drawn(draw)

    def state(self, make: Callable[[], T]) -> T:
        """This session's state of one tab, made by `make` (a class) at first use."""
        with self._lock:
            if make not in self._states:
                self._states[make] = make()
            return self._states[make]
