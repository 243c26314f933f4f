"""Search for good sets of lights where all are too many: greedy forward and backward, with exchanges.

After the floating search of Pudil, Novovicova & Kittler, Pattern Recognition Letters 1994,
https://doi.org/10.1016/0167-8655(94)90127-9.

A set is encoded as an integer whose bit l says whether light l is a member.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Quality = Callable[[Sequence[int]], Sequence[float]]  # of sets; evaluated several at once


def search(lights: int, quality: Quality) -> dict[int, float]:
    """Searches the best set of each size.

    Forward: from none, add the light that improves quality most. Backward: from all, drop the light whose removal costs
    least. After each step of either, a light in the set is exchanged for one outside as long as that improves it
    (sequential floating search, Pudil, Novovicova & Kittler 1994, with exchanges instead of its excursions).

    Args:
        lights: L.
        quality: of sets, higher is better; no set is evaluated twice.

    Returns:
        Every evaluated set with its quality; among them each light alone, all lights, and all but one.
    """
    qualities: dict[int, float] = {}

    def best(sets: Sequence[int]) -> int:
        unseen = [s for s in dict.fromkeys(sets) if s not in qualities]
        qualities.update(zip(unseen, quality(unseen) if unseen else [], strict=True))
        return max(sets, key=lambda s: (qualities[s], -s))

    def exchanged(members: int) -> int:
        while True:
            inside, outside = _bits(members, lights), _bits(~members, lights)
            better = best([members, *(members ^ (1 << i) ^ (1 << o) for i in inside for o in outside)])
            if qualities[better] <= qualities[members]:
                return members
            members = better

    all_lights = (1 << lights) - 1
    best([all_lights])
    members = 0
    while members != all_lights:
        members = exchanged(best([members | (1 << o) for o in _bits(~members, lights)]))
    while members.bit_count() > 1:
        members = exchanged(best([members ^ (1 << i) for i in _bits(members, lights)]))
    return qualities


def orders(lights: int, count: int, seed: int = 0) -> list[list[int]]:
    """Random orders of the lights, each followed by its reverse, which reduces the variance of a light's mean gain."""
    random = np.random.default_rng(seed)
    walks: list[list[int]] = []
    for _ in range(count // 2):
        order = random.permutation(lights).tolist()
        walks += [order, order[::-1]]
    return walks


def prefixes(order: Sequence[int]) -> list[int]:
    """The sets of the first light, the first two lights, and so on, in this order."""
    sets = np.cumsum([1 << light for light in order]).tolist()
    return [int(s) for s in sets]


def _bits(members: int, lights: int) -> list[int]:
    return [light for light in range(lights) if members >> light & 1]
