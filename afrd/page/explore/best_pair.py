"""The preset “best two on validation”, where the validation samples can tell."""

from __future__ import annotations

from typing import Any

from afrd.page.common.library import CategoryEntry, Library
from afrd.page.common.selection import Choice

SPLIT = "val"


def best_two(library: Library, entry: CategoryEntry, choice: Choice) -> list[dict[str, Any]]:
    """At most one preset: the pair of the shown run's lights that ranks the validation samples best.

    There is none without bad samples among them, as in Eyecandies: good samples alone cannot say which lights find
    defects. Nor is there one for looking at that very split, or before the teacher has read it.
    """
    if choice.run is None or choice.split == SPLIT:
        return []
    try:
        data = library.data_of(entry)
        if SPLIT not in data or not any(data[SPLIT].anomalous) or not library.scored(choice.run, data[SPLIT]):
            return []
        pair = library.best_pair(choice.run, data[SPLIT])
    except (ValueError, OSError, RuntimeError):  # the light table says it
        return []
    if pair is None:
        return []
    title = (
        f"{' and '.join(pair.lights)}: of all pairs of lights the one with the highest image AUROC of this run, "
        f"{pair.image_auroc:.3f}, on the {pair.good} good and {pair.bad} bad samples of {SPLIT}"
    )
    return [{"name": f"best two on {SPLIT}", "lights": list(pair.lights), "title": title}]
