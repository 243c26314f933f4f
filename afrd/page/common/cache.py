"""Results that are kept for a while, for several threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Cache:
    """The latest results by key; a missing one is made by one thread, and those who ask for another do not wait.

    Args:
        size: of all results together; the latest is kept whatever its size.
        measure: the size of one; 1 by default.
    """

    def __init__(self, size: float, measure: Callable[[Any], float] = lambda value: 1) -> None:
        self.size, self.measure = size, measure
        self._values: OrderedDict[Hashable, Any] = OrderedDict()
        self._sizes: dict[Hashable, float] = {}
        self._making: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            turn = self._making.setdefault(key, threading.Lock())
        with turn:
            with self._lock:
                if key in self._values:
                    return self._values[key]
            try:
                value = make()
                with self._lock:
                    self._values[key], self._sizes[key] = value, self.measure(value)
                    while len(self._values) > 1 and sum(self._sizes.values()) > self.size:
                        oldest, _ = self._values.popitem(last=False)
                        del self._sizes[oldest]
                return value
            finally:
                with self._lock:
                    self._making.pop(key, None)

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._values

    def values(self) -> list[Any]:
        """What is kept now."""
        with self._lock:
            return list(self._values.values())
