"""How often one event asks the file system: about once for each file of the samples, however much it answers."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from afrd.page.common import keys
from afrd.page.common.library import Library
from afrd.page.common.samples import first_selection
from afrd.page.compare import views
from afrd.page.compare.comparison import Comparison
from afrd.page.explore.strip import strip_of
from afrd.page.light_table.scene import scene

FILES = 12  # of an Eyecandies sample that the page looks at: six lights, a mask, four masks of defects, metadata
COPIES = 5


@pytest.fixture(scope="module")
def larger(candies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The candies with `COPIES` times as many test samples."""
    root = tmp_path_factory.mktemp("larger")
    shutil.copytree(candies / "Praline", root / "Praline")
    folder = root / "Praline" / "test_public" / "data"
    for file in list(folder.iterdir()):
        number, rest = re.fullmatch(r"(\d+)(_.*)", file.name).groups()
        for copy in range(1, COPIES):
            shutil.copy(file, folder / f"{copy}{number}{rest}")
    return root


def lookups(monkeypatch: pytest.MonkeyPatch, event: Callable) -> int:
    """How often the event asks for the state of a file."""
    asked: list[str] = []
    with monkeypatch.context() as patch:
        for name in ("stat", "lstat"):
            patch.setattr(os, name, partial(_noted, asked, getattr(os, name)))
        keys.in_snapshot(event)()
    return len(asked)


def _noted(asked: list[str], look: Callable, path: object, *args: object, **options: object) -> object:
    asked.append(str(path))
    return look(path, *args, **options)


def compare(library: Library) -> Callable:
    selection = first_selection(library, "Praline")

    def event() -> None:  # a click on a metric
        comparison = Comparison(library, selection)
        results = comparison.results()
        views.closer(comparison, results, "image_auroc", results[1].method.label)

    return event


def explore(library: Library) -> Callable:
    selection = first_selection(library, "Praline")

    def event() -> None:
        scene(library, selection)
        strip_of(library, replace(selection, order="score"))

    return event


@pytest.mark.parametrize("tab", [compare, explore])
def test_an_event_asks_about_once_for_each_file_of_the_samples(tiny_runs, candies, larger, monkeypatch, tab):
    counts = []
    for root in (candies, larger):
        library = Library(tiny_runs, root)
        event = tab(library)
        event()  # afterwards everything is kept
        counts.append(lookups(monkeypatch, event))
        samples = len(library.data_of(library.category("Praline"))["test_public"])
    more = samples - samples // COPIES
    assert counts[1] - counts[0] <= 1.2 * FILES * more
    assert counts[1] < 3 * FILES * samples
