"""Good sets of lights among too many: greedy forward and backward with exchanges.

A set is a number here, whose bit l says whether light l is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Quality = Callable[[Sequence[int]], Sequence[float]]  # of sets; evaluated several at once


def search(lights: int, quality: Quality) -> dict[int, float]:
    """Looks for the best set of each size.

    Forward: from none, add the light that helps most. Backward: from all, drop the light whose removal costs least.
    After each step of either, a light in the set is exchanged for one outside as long as that makes it better
    (sequential floating search, Pudil, Novovicova & Kittler 1994, with exchanges instead of its excursions).

    Args:
        lights: L.
        quality: of sets, higher is better; no set is evaluated twice.

    Returns:
        Every set that was looked at, with its quality; among them each light alone, all lights, and all but one.
    """
    qualities: dict[int, float] = {}

    def best(sets: Sequence[int]) -> int:
        new = [s for s in dict.fromkeys(sets) if s not in qualities]
        qualities.update(zip(new, quality(new) if new else [], strict=True))
        return max(sets, key=lambda s: (qualities[s], -s))

    def exchanged(chosen: int) -> int:
        while True:
            inside, outside = _bits(chosen, lights), _bits(~chosen, lights)
            better = best([chosen, *(chosen ^ (1 << i) ^ (1 << o) for i in inside for o in outside)])
            if qualities[better] <= qualities[chosen]:
                return chosen
            chosen = better

    full = (1 << lights) - 1
    best([full])
    chosen = 0
    while chosen != full:
        chosen = exchanged(best([chosen | (1 << o) for o in _bits(~chosen, lights)]))
    while chosen.bit_count() > 1:
        chosen = exchanged(best([chosen ^ (1 << i) for i in _bits(chosen, lights)]))
    return qualities


def orders(lights: int, count: int, seed: int = 0) -> list[list[int]]:
    """Random orders of the lights, each followed by its reverse, which halves the noise of what a light adds."""
    random = np.random.default_rng(seed)
    walks: list[list[int]] = []
    for _ in range(count // 2):
        order = random.permutation(lights).tolist()
        walks += [order, order[::-1]]
    return walks


def prefixes(order: Sequence[int]) -> list[int]:
    """The sets that grow when the lights come in this order: the first light, the first two, and so on."""
    sets = np.cumsum([1 << light for light in order]).tolist()
    return [int(s) for s in sets]


def _bits(chosen: int, lights: int) -> list[int]:
    return [light for light in range(lights) if chosen >> light & 1]
