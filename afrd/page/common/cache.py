"""Results that are kept for a while, for several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import cachetools

T = TypeVar("T")


class Cache:
    """The most recently used results by key. A missing one is made by one thread; threads with other keys do not wait.

    Args:
        size: of all results together; a result that is larger is kept alone.
        measure: the size of one; 1 by default.
    """

    def __init__(self, size: float, measure: Callable[[Any], float] = lambda value: 1) -> None:
        self._values: cachetools.LRUCache[Hashable, Any] = cachetools.LRUCache(
            size, lambda value: min(measure(value), size)
        )
        self._making: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result of `make` that is kept under this key, made now if there is none."""
        with self._lock:
            if key in self._values:
                return self._values[key]
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._values:
                    return self._values[key]
            try:
                value = make()
                with self._lock:
                    self._values[key] = value
                return value
            finally:
                with self._lock:
                    self._making.pop(key, None)

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._values

    def values(self) -> list[Any]:
        """The results that are kept now."""
        with self._lock:  # read past `LRUCache`, for which each of them would count as used now
            return [cachetools.Cache.__getitem__(self._values, key) for key in self._values]
