"""Evidence of whole splits, remembered by all runs of a process together, within a limit in bytes."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable
from itertools import count

import cachetools
from torch import Tensor

from afrd.model.evidence import Evidence

LIMIT = 256 * 10**6  # bytes, on the device where the runs are: 40 samples of six lights take about 8 MB


class EvidenceCache:
    """The evidence of the splits that were used last; what exceeds the limit by itself is kept alone.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._kept: cachetools.LRUCache[Hashable, Evidence] = cachetools.LRUCache(
            limit, lambda evidence: min(evidence_bytes(evidence), limit)
        )
        self._lock = threading.RLock()
        self._numbers = count()

    def register(self, owner: object) -> int:
        """A number for the owner's keys; what is kept under it goes with the owner."""
        number = next(self._numbers)
        weakref.finalize(owner, self._forget, number)
        return number

    def get(self, number: int, key: Hashable, make: Callable[[], Evidence]) -> Evidence:
        """What is kept for this owner under this key, made now if there is none."""
        with self._lock:
            if (number, key) in self._kept:
                return self._kept[number, key]
        made = make()
        with self._lock:
            self._kept[number, key] = made
        return made

    @property
    def size(self) -> float:
        """Bytes that are kept now."""
        with self._lock:
            return self._kept.currsize

    def _forget(self, number: int) -> None:
        with self._lock:
            for key in [key for key in self._kept if key[0] == number]:  # type: ignore[index]
                del self._kept[key]


def evidence_bytes(evidence: Evidence) -> int:
    """Of its tensors."""
    return sum(part.nbytes for part in vars(evidence).values() if isinstance(part, Tensor))


EVIDENCE = EvidenceCache()
