"""Cache of the evidence of whole splits, shared by all runs of a process, with a limit in bytes."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable
from itertools import count

import cachetools
from torch import Tensor

from afrd.model.evidence import Evidence

MAX_EVIDENCE_BYTES = 256 * 10**6  # on the device of the runs; 40 samples of six lights take about 8 MB


class EvidenceCache:
    """Evidence of the splits used last, for several threads; evidence larger than the limit is cached alone.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int = MAX_EVIDENCE_BYTES) -> None:
        self._cache: cachetools.LRUCache[Hashable, Evidence] = cachetools.LRUCache(
            limit, lambda evidence: min(evidence_bytes(evidence), limit)
        )
        self._lock = threading.RLock()
        self._making: dict[Hashable, threading.Lock] = {}
        self._numbers = count()

    def register(self, owner: object) -> int:
        """A number for the owner's keys; its entries are removed when the owner is garbage-collected."""
        number = next(self._numbers)
        weakref.finalize(owner, self._forget, number)
        return number

    def peek(self, number: int, key: Hashable) -> Evidence | None:
        """The cached evidence for this owner and key, or None."""
        with self._lock:
            return self._cache.get((number, key))

    def get(self, number: int, key: Hashable, make: Callable[[], Evidence]) -> Evidence:
        """The cached evidence for this owner and key; if there is none, one thread makes it and the others wait."""
        cached = self.peek(number, key)
        if cached is not None:
            return cached
        with self._lock:
            making = self._making.setdefault((number, key), threading.Lock())
        with making:
            cached = self.peek(number, key)
            if cached is not None:
                return cached
            try:
                evidence = make()
                with self._lock:
                    self._cache[number, key] = evidence
                return evidence
            finally:
                with self._lock:
                    self._making.pop((number, key), None)

    @property
    def size(self) -> float:
        """Bytes in the cache."""
        with self._lock:
            return self._cache.currsize

    def _forget(self, number: int) -> None:
        with self._lock:
            for key in [key for key in self._cache if key[0] == number]:  # type: ignore[index]
                del self._cache[key]


def evidence_bytes(evidence: Evidence) -> int:
    """Bytes of all its tensors."""
    return sum(tensor.nbytes for tensor in vars(evidence).values() if isinstance(tensor, Tensor))


EVIDENCE_CACHE = EvidenceCache()
