"""Menus that several tabs have: their entries, and how choosing one changes the selection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import gradio as gr

from afrd.page.common.components import menu
from afrd.page.common.entries import CategoryEntry, RunEntry
from afrd.page.common.library import Library
from afrd.page.common.samples import first_selection, splits_of, with_split
from afrd.page.common.selection import Selection, known_run, with_run

NO_RUN = "no run yet"


def selection_menus(tab: str, run_label: str = "Run", run_scale: int | None = None) -> tuple[gr.Dropdown, ...]:
    """Menus of category, run and split; their element ids begin with the tab's name."""
    return (
        menu("Category", f"{tab}-category", 120),
        menu(run_label, f"{tab}-run", 190, scale=run_scale),
        menu("Split", f"{tab}-split", 110),
    )


def selection_menu_values(library: Library, selection: Selection) -> list[gr.Dropdown]:
    """Values of `selection_menus`."""
    entries, entry = library.categories(), library.entry(selection.category)
    splits: list[str] = []
    if entry is not None:
        with suppress(ValueError, OSError):  # what is shown below the menus says what is wrong
            splits = splits_of(library, entry)
    return [
        gr.Dropdown(category_choices(entries), value=selection.category),
        gr.Dropdown(run_choices(entry.fused if entry else ()), value=str(selection.run or "")),
        gr.Dropdown(splits, value=selection.split),
    ]


def with_category(library: Library, selection: Selection, key: str) -> Selection:
    """The initial selection of another category, under the same light if it has that."""
    return first_selection(library, key, previous=selection)


def with_known_run(library: Library, selection: Selection, folder: str) -> Selection:
    return with_run(library, selection, known_run(library, selection, folder))


Change = Callable[[Library, Selection, str], Selection]
MENU_CHANGES: dict[str, Change] = {"category": with_category, "run": with_known_run, "split": with_split}


def run_choices(runs: Sequence[RunEntry]) -> list[tuple[str, str]]:
    return [(run.label, str(run.folder)) for run in runs] or [(NO_RUN, "")]


def beside_choices(entry: CategoryEntry) -> list[tuple[str, str]]:
    """Runs that can be shown beside another: of single lights, then of several."""
    return run_choices((*entry.single, *entry.fused))


def category_choices(entries: Sequence[CategoryEntry]) -> list[tuple[str, str]]:
    return [(e.key if e.fused or e.single else f"{e.key} ({NO_RUN})", e.key) for e in entries]
