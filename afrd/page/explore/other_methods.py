"""Predictions of all methods for one sample: scores as bars, and two maps in a slider."""

from __future__ import annotations

from typing import TYPE_CHECKING

import afrd.figures
from afrd.page.common import keys
from afrd.page.common.entries import CategoryEntry, RunEntry, short_folder
from afrd.page.common.html import macros
from afrd.page.common.library import Library
from afrd.page.common.samples import dataset_of
from afrd.page.common.selection import Selection

if TYPE_CHECKING:
    from pathlib import Path

    from afrd.runs.run import Prediction


def predictions_of(library: Library, selection: Selection) -> dict[str, Prediction]:
    """By name of the method: the shown run and the others of several lights under the chosen lights, then every
    single-light run; without runs that fail."""
    if selection.category is None or selection.index is None:
        return {}
    try:
        entry = library.category(selection.category)
        dataset = dataset_of(library, selection)
    except (ValueError, OSError):
        return {}
    predictions: dict[str, Prediction] = {}
    fused = sorted(entry.fused, key=lambda run: run.folder != selection.run)
    for run in (*fused, *entry.single):
        lights = (
            run.lights if len(run.lights) == 1 else tuple(light for light in run.lights if light in selection.lights)
        )
        if not lights:
            continue
        try:
            predictions[_name(entry, run)] = library.prediction(
                run.folder, dataset, selection.index, lights, selection.run
            )
        except (ValueError, OSError, RuntimeError):  # the light table shows the errors of its runs
            continue
    return predictions


def scores(library: Library, selection: Selection) -> str:
    """The scores of all methods on the sample, each in units of its own threshold; empty where there is no method.

    HTML, as Plotly takes as long to load as all else that the page needs at first.
    """
    predictions = predictions_of(library, selection)
    if not predictions:
        return ""
    rows = [(name, one.score / afrd.figures.unit_of(one), one.verdict) for name, one in predictions.items()]
    limit = 1.05 * max(afrd.figures.MAP_LIMIT, *(score for _, score, _ in rows))
    return macros("explore/scores.html").scores(selection.lights, rows, limit)


def before_and_after(library: Library, selection: Selection) -> tuple[tuple[str, str] | None, str]:
    """Files with the maps of the single-light run and of the shown run, painted over the same picture, and their
    captions; None if one of them has no prediction."""

    no_result = None, "Before and after: a single light, and all of them"
    if selection.category is None or selection.index is None or selection.run is None or selection.beside is None:
        return no_result
    try:
        dataset = dataset_of(library, selection)
        sample = library.sample(dataset, selection.index)
        single = library.prediction(selection.beside, dataset, selection.index, None, selection.run)
        fused = library.prediction(selection.run, dataset, selection.index, selection.lights)
    except (ValueError, OSError, RuntimeError):  # shown in the light table
        return no_result
    light = selection.shown if selection.shown in sample.lights else afrd.figures.main_light(sample.lights)

    region = keys.of_region(library.run(selection.run))

    def file(prediction: Prediction, folder: Path) -> str:
        where = keys.of_run(folder), keys.of_sample(dataset, selection.index or 0), region
        key = (*where, prediction.lights, light)
        return str(library.picture_file(key, lambda: afrd.figures.painted(sample, prediction, light)))

    left, right = (
        f"{prediction.score / afrd.figures.unit_of(prediction):.2f}" + " ×" * bool(prediction.threshold)
        for prediction in (single, fused)
    )
    entry = library.category(selection.category)
    runs = {run.folder: run for run in (*entry.fused, *entry.single)}
    line = f"left: {_name(entry, runs[selection.beside])} {left}; right: {_name(entry, runs[selection.run])} {right}"
    return (file(single, selection.beside), file(fused, selection.run)), line


def _name(entry: CategoryEntry, run: RunEntry) -> str:
    """Such as `AFRD`, `Patch memory`, `RD, box`; with the run's folder where two would have the same name."""
    if len(run.lights) == 1:
        name = f"{'RD' if run.method == 'Single-light RD' else 'memory'}, {run.lights[0]}"
        same = [other for other in entry.single if (other.method, other.lights) == (run.method, run.lights)]
    else:
        name, same = run.method, [other for other in entry.fused if other.method == run.method]
    return name if len(same) == 1 else f"{name} ({short_folder(run.folder, same)})"
