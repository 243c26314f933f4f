"""Categories and the runs trained on them, as the page lists them: read from configs only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import afrd.runs


@dataclass(frozen=True)
class RunEntry:
    """A finished run, read from its config only; `method` is the heading of its map, `label` its unique name."""

    folder: Path
    lights: tuple[str, ...]
    label: str
    method: str


@dataclass(frozen=True)
class CategoryEntry:
    """A category that can be shown, and the runs trained on it.

    Attributes:
        key: unique and short; identifies the category in events and links.
        name, root: the data set's folder is `root/name`; `root` may have moved.
        fused: runs of several lights.
        single: runs of one light.
        views: those of the runs and samples; empty for all of them, or for data without views.
    """

    key: str
    name: str
    root: Path
    fused: tuple[RunEntry, ...]
    single: tuple[RunEntry, ...]
    views: tuple[str, ...] = ()


class Place(NamedTuple):
    """What runs must have in common to be shown as one category."""

    root: Path
    name: str
    views: tuple[str, ...] = ()


def short_name(place: Place) -> str:
    """The category's name, with its views if these are not all."""
    return f"{place.name}, views {', '.join(place.views)}" if place.views else place.name


def read_entry(folder: Path) -> tuple[Place, RunEntry] | None:
    """Place and entry of a run, from its config; None if that cannot be read."""
    try:
        model, config = afrd.runs.read_config(folder)
    except ValueError:
        return None
    lights = model.lights
    if len(lights) == 1:
        label = lights[0] if model.method == "afrd" else f"{lights[0]} (memory)"
    elif model.method == "memory":
        label = f"{folder.name}: patch memory, {len(lights)} lights"
    else:
        what = "" if model.target == "lights" else " of features"
        label = f"{folder.name}: {model.fusion}{what}, {len(lights)} lights"
    place = Place(Path(config.data_root), config.category, config.views)
    return place, RunEntry(folder, lights, label, _method(model.method, len(lights)))


def _method(method: str, lights: int) -> str:
    if lights == 1:
        return "Single-light RD" if method == "afrd" else "Single-light memory"
    return "AFRD" if method == "afrd" else "Patch memory"


def category_entry(key: str, place: Place, runs: list[RunEntry]) -> CategoryEntry:
    """The category of runs of one place; single lights in the order of the runs of several."""
    runs = _with_unique_labels(runs)
    fused = tuple(run for run in runs if len(run.lights) > 1)
    order = [light for run in fused for light in run.lights]
    single = [run for run in runs if len(run.lights) == 1]
    single.sort(key=lambda run: order.index(run.lights[0]) if run.lights[0] in order else len(order))
    return CategoryEntry(key, place.name, place.root, fused, tuple(single), place.views)


def short_folder(folder: Path, among: Sequence[RunEntry]) -> str:
    """The part of a run's folder that differs between these runs, such as `seed1/afrd`."""
    return os.path.relpath(folder, os.path.commonpath([run.folder for run in among]))


def _with_unique_labels(runs: list[RunEntry]) -> list[RunEntry]:
    """The runs, with the differing parts of their folders added to labels that are not unique."""
    alike: dict[str, list[RunEntry]] = {}
    for run in runs:
        alike.setdefault(run.label, []).append(run)
    return [
        replace(run, label=f"{run.label} ({short_folder(run.folder, same)})")
        if len(same := alike[run.label]) > 1
        else run
        for run in runs
    ]
