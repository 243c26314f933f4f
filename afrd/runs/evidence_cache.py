"""Evidence of the splits used last, in memory, with one limit for all runs of a process."""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from functools import partial
from itertools import count

from torch import Tensor

from afrd.model.evidence import Evidence
from afrd.runs.cache import Cache

MAX_EVIDENCE_BYTES = 256 * 10**6  # on the device of the runs; 40 samples of six lights take about 8 MB


def evidence_bytes(evidence: Evidence) -> int:
    """Bytes of all its tensors."""
    return sum(tensor.nbytes for tensor in vars(evidence).values() if isinstance(tensor, Tensor))


EVIDENCE_CACHE = Cache(MAX_EVIDENCE_BYTES, evidence_bytes)
_numbers = count()


def number_of(owner: object) -> int:
    """A number that begins the owner's keys; its entries are removed when the owner is garbage-collected."""
    number = next(_numbers)
    weakref.finalize(owner, EVIDENCE_CACHE.remove, partial(_begins_with, number))
    return number


def _begins_with(number: int, key: Hashable) -> bool:
    return isinstance(key, tuple) and key[0] == number
