"""Caches of results with a limit in bytes, safe for several threads."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import cachetools
import numpy as np

T = TypeVar("T")
MB = 10**6
OBJECT_OVERHEAD = 100  # bytes of an object besides its content


def size_of(value: Any) -> int:
    """Approximate bytes of memory of a result: arrays, tensors, tables, text, and containers of them.

    Of other objects, such as a run that a result names, only the reference counts.
    """
    if isinstance(value, (str, bytes)):
        return sys.getsizeof(value)
    if callable(usage := getattr(value, "memory_usage", None)):  # of a pandas table or column
        return int(np.sum(usage(deep=True)))
    if isinstance(nbytes := getattr(value, "nbytes", None), int):  # of an array or a tensor
        return nbytes + OBJECT_OVERHEAD
    if isinstance(value, Mapping):
        return OBJECT_OVERHEAD + sum(size_of(member) for item in value.items() for member in item)
    if isinstance(value, (list, tuple, set, frozenset)):
        return OBJECT_OVERHEAD + sum(size_of(member) for member in value)
    if is_dataclass(value) and not isinstance(value, type):
        return OBJECT_OVERHEAD + sum(size_of(getattr(value, member.name)) for member in fields(value))
    return OBJECT_OVERHEAD


class Cache:
    """The most recently used results by key. A missing one is made by one thread; threads with other keys do not wait.

    Args:
        size: bytes of all results together; a larger result is kept alone.
        measure: the bytes of one result.
    """

    def __init__(self, size: float, measure: Callable[[Any], float] = size_of) -> None:
        self._values: cachetools.LRUCache[Hashable, Any] = cachetools.LRUCache(
            size, lambda value: min(measure(value), size)
        )
        self._making: dict[Hashable, threading.Lock] = {}
        self._lock = threading.RLock()  # the garbage collector may call `remove` in a thread that holds it

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The cached result for this key; made now if there is none."""
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

    def peek(self, key: Hashable) -> Any:
        """The cached result for this key, or None."""
        with self._lock:
            return self._values.get(key)

    def remove(self, unwanted: Callable[[Hashable], bool]) -> None:
        """Removes the results whose keys are unwanted."""
        with self._lock:
            for key in [key for key in list(self._values) if unwanted(key)]:
                del self._values[key]

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._values

    @property
    def size(self) -> float:
        """Bytes of the cached results."""
        with self._lock:
            return self._values.currsize

    def values(self) -> list[Any]:
        """The cached results."""
        with self._lock:  # read past `LRUCache`, for which each of them would count as used now
            return [cachetools.Cache.__getitem__(self._values, key) for key in self._values]
