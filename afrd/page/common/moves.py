"""How a choice begins, and how it moves: another category, run or sample."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from afrd.figures import main_light
from afrd.page.common.library import CategoryEntry, Library
from afrd.page.common.samples import PAGE, dataset_of, listed, splits_of
from afrd.page.common.selection import Choice, usable_lights


def first_choice(library: Library, key: str | None, kept: Choice | None = None) -> Choice:
    """What to show of a category at first: its first runs, the test split, the first defective sample."""
    entries = library.categories()
    entry = next((e for e in entries if e.key == key), entries[0] if entries else None)
    if entry is None:
        return Choice()
    choice = Choice(
        category=entry.key,
        run=entry.fused[0].folder if entry.fused else None,
        beside=first_beside(entry),
        shown=kept.shown if kept else None,
    )
    try:
        data = library.data_of(entry)
    except (ValueError, OSError):
        return choice
    wanted = entry.fused[0].lights if entry.fused else data.lights
    lights = tuple(light for light in data.lights if light in wanted)
    shown = choice.shown if choice.shown in data.lights else main_light(data.lights)
    splits = splits_of(library, entry)
    return with_samples(library, replace(choice, split=splits[0], lights=lights, shown=shown), prefer_defects=True)


def first_beside(entry: CategoryEntry) -> Path | None:
    """The single-light run to compare with at first: that of the light box, else the last."""
    runs = {run.lights[0]: run.folder for run in entry.single}
    return runs.get("box", entry.single[-1].folder if entry.single else None)


def known_run(library: Library, choice: Choice, folder: str | None) -> Path | None:
    """The category's run in this folder: what comes from a browser may name no other."""
    entry = library.category(choice.category)
    return next((run.folder for run in (*entry.fused, *entry.single) if str(run.folder) == folder), None)


def with_run(library: Library, choice: Choice, folder: Path | None) -> Choice:
    """The same sample, seen by another run with all its lights."""
    entry = library.category(choice.category)
    choice = replace(choice, run=folder)
    try:
        return replace(choice, lights=usable_lights(entry, choice, library.data_of(entry).lights))
    except (ValueError, OSError):
        return choice


def with_samples(library: Library, choice: Choice, prefer_defects: bool = False) -> Choice:
    """The choice with a sample that its filters let through; the present one is kept where possible."""
    try:
        found = listed(library, choice)
        if choice.index in found:
            return on_its_page(library, choice)
        anomalous = dataset_of(library, choice).anomalous if prefer_defects else []
    except (ValueError, OSError):
        return replace(choice, index=None)
    defective = next((i for i in found if prefer_defects and anomalous[i]), None)
    index = defective if defective is not None else next(iter(found), None)
    return replace(choice, index=index, pinned=None, page=found.index(index) // PAGE if index is not None else 0)


def stepped(library: Library, choice: Choice, by: int) -> Choice:
    """The next or previous sample of the filtered list, around its ends."""
    try:
        found = listed(library, choice)
    except (ValueError, OSError):
        return choice
    if not found:
        return choice
    at = (found.index(choice.index) + by) % len(found) if choice.index in found else 0
    return replace(choice, index=found[at], page=at // PAGE, pinned=None)


def on_its_page(library: Library, choice: Choice) -> Choice:
    """The choice with the page of the list that its sample stands on, where the list has it."""
    found = listed(library, choice)
    return replace(choice, page=found.index(choice.index) // PAGE) if choice.index in found else choice
