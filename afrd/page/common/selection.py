"""What one user looks at, and the changes of it that need no samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from afrd.page.common.entries import CategoryEntry, RunEntry
from afrd.page.common.library import Library

FIRST_TAB = "explore"
ORDERS = ("number", "score")


@dataclass(frozen=True)
class Selection:
    """What one user looks at.

    Attributes:
        category: key of a `CategoryEntry`, None while there is none.
        run: folder of the AFRD run, None where there is none.
        beside: folder of the run beside it: one of a single light, or any other of the category, also the same one.
        split, index: the sample.
        lights: those switched on; the others are hidden from the run.
        shown: the light whose picture lies under the maps.
        kind: filter of the samples: `all`, `good`, `bad` or a defect type.
        verdict: filter of the samples by outcome: `all` or one of `afrd.metrics.words.OUTCOMES`.
        page: which part of a long list of samples.
        order: of the samples, one of `ORDERS`; by score the highest comes first.
        pinned: a place (x, y) in the sample's pictures, in pixels.
    """

    category: str | None = None
    run: Path | None = None
    beside: Path | None = None
    split: str | None = None
    index: int | None = None
    lights: tuple[str, ...] = ()
    shown: str | None = None
    kind: str = "all"
    page: int = 0
    order: str = "number"
    pinned: tuple[int, int] | None = None
    verdict: str = "all"


def missing_run(entry: CategoryEntry) -> str:
    return f"afrd train {entry.root} {entry.name} --out RUN"


def usable_lights(entry: CategoryEntry, selection: Selection, lights: Sequence[str]) -> tuple[str, ...]:
    """The data set's lights that the run knows; all of them without a run."""
    run_lights = next((run.lights for run in entry.fused if run.folder == selection.run), tuple(lights))
    return tuple(light for light in lights if light in run_lights)


def beside_if_chosen(entry: CategoryEntry, selection: Selection) -> Path | None:
    """The run beside, where it is not the one that would be there anyway."""
    return None if selection.beside == first_beside(entry) else selection.beside


def run_beside(entry: CategoryEntry, folder: Path) -> RunEntry:
    """The run of a category in this folder, to be shown beside another.

    Raises:
        ValueError: there is none.
    """
    for run in (*entry.single, *entry.fused):
        if run.folder.resolve() == folder.resolve():
            return run
    raise ValueError(f"{folder} is no run of {entry.name} in the same folder of runs, so it cannot be shown beside")


def first_beside(entry: CategoryEntry) -> Path | None:
    """The single-light run to compare with at first: that of the light box, else the last."""
    runs = {run.lights[0]: run.folder for run in entry.single}
    return runs.get("box", entry.single[-1].folder if entry.single else None)


def known_run(library: Library, selection: Selection, folder: str | None) -> Path | None:
    """The category's run in this folder: what comes from a browser may name no other."""
    entry = library.category(selection.category)
    return next((run.folder for run in (*entry.fused, *entry.single) if str(run.folder) == folder), None)


def with_run(library: Library, selection: Selection, folder: Path | None) -> Selection:
    """The same sample, seen by another run with all its lights."""
    entry = library.category(selection.category)
    selection = replace(selection, run=folder)
    try:
        return replace(selection, lights=usable_lights(entry, selection, library.data_of(entry).lights))
    except (ValueError, OSError):
        return selection
