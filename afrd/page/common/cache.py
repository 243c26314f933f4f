"""Results that are kept for a while, for several threads."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import cachetools
import numpy as np

T = TypeVar("T")
OVERHEAD = 100  # bytes of an object besides what it holds


MB = 10**6


def size_of(value: Any) -> int:
    """About how many bytes of memory a result takes: arrays, tensors, tables, text, and what is put together of them.

    Of other objects, such as a run that a result names, only the reference counts.
    """
    if isinstance(value, (str, bytes)):
        return sys.getsizeof(value)
    if callable(usage := getattr(value, "memory_usage", None)):  # of a pandas table or column
        return int(np.sum(usage(deep=True)))
    if isinstance(nbytes := getattr(value, "nbytes", None), int):  # of an array or a tensor
        return nbytes + OVERHEAD
    if isinstance(value, Mapping):
        return OVERHEAD + sum(size_of(part) for item in value.items() for part in item)
    if isinstance(value, (list, tuple, set, frozenset)):
        return OVERHEAD + sum(size_of(part) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        return OVERHEAD + sum(size_of(getattr(value, part.name)) for part in fields(value))
    return OVERHEAD


class Cache:
    """The most recently used results by key. A missing one is made by one thread; threads with other keys do not wait.

    Args:
        size: bytes of all results together; a result that is larger is kept alone.
        measure: the bytes of one.
    """

    def __init__(self, size: float, measure: Callable[[Any], float] = size_of) -> None:
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

    @property
    def size(self) -> float:
        """Bytes of the results that are kept now."""
        with self._lock:
            return self._values.currsize

    def values(self) -> list[Any]:
        """The results that are kept now."""
        with self._lock:  # read past `LRUCache`, for which each of them would count as used now
            return [cachetools.Cache.__getitem__(self._values, key) for key in self._values]
