"""What every method says of one sample: scores as bars, and two maps to slide between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import afrd.figures
from afrd.page.common.library import CategoryEntry, Library, RunEntry
from afrd.page.common.samples import dataset_of
from afrd.page.common.selection import Choice

if TYPE_CHECKING:
    from pathlib import Path

    import plotly.graph_objects as go

    from afrd.runs.run import Prediction


def said_of_sample(library: Library, choice: Choice) -> dict[str, Prediction]:
    """By name of the method: the shown run and the others of several lights under the chosen lights, then every
    single-light run; without those that cannot answer."""
    if choice.category is None or choice.index is None:
        return {}
    try:
        entry = library.category(choice.category)
        dataset = dataset_of(library, choice)
    except (ValueError, OSError):
        return {}
    found: dict[str, Prediction] = {}
    fused = sorted(entry.fused, key=lambda run: run.folder != choice.run)
    for run in (*fused, *entry.single):
        lights = run.lights if len(run.lights) == 1 else tuple(light for light in run.lights if light in choice.lights)
        if not lights:
            continue
        try:
            found[_name(entry, run)] = library.prediction(run.folder, dataset, choice.index, lights)
        except (ValueError, OSError, RuntimeError):  # the light table says it of the runs that it shows
            continue
    return found


def bars(library: Library, choice: Choice) -> go.Figure | None:
    """The scores of all methods on the sample, each in units of its own threshold; None where there is no method."""

    said = said_of_sample(library, choice)
    if not said:
        return None
    title = "Score of every method on this sample"
    if choice.lights:
        title += f"<br><sup>AFRD and memory: {', '.join(choice.lights)}</sup>"
    return afrd.figures.score_bars(said).update_layout(title_text=title)


def before_and_after(library: Library, choice: Choice) -> tuple[tuple[str, str] | None, str]:
    """Files with the maps of the single-light run and of the shown run, painted over the same picture, and a line that
    says which is which; None where one of them has nothing to say."""

    nothing = None, "Before and after: a single light, and all of them"
    if choice.category is None or choice.index is None or choice.run is None or choice.beside is None:
        return nothing
    try:
        dataset = dataset_of(library, choice)
        sample = library.sample(dataset, choice.index)
        single = library.prediction(choice.beside, dataset, choice.index, library.run(choice.beside).lights)
        fused = library.prediction(choice.run, dataset, choice.index, choice.lights)
    except (ValueError, OSError, RuntimeError):  # the light table says it
        return nothing
    light = choice.shown if choice.shown in sample.lights else afrd.figures.main_light(sample.lights)

    def file(said: Prediction, folder: Path) -> str:
        key = (library.state(folder, dataset, choice.index or 0), said.lights, light)
        return str(library.picture_file(key, lambda: afrd.figures.painted(sample, said, light)))

    left, right = (
        f"{said.score / afrd.figures.unit_of(said):.2f}" + " ×" * bool(said.threshold) for said in (single, fused)
    )
    entry = library.category(choice.category)
    runs = {run.folder: run for run in (*entry.fused, *entry.single)}
    line = f"left: {_name(entry, runs[choice.beside])} {left}; right: {_name(entry, runs[choice.run])} {right}"
    return (file(single, choice.beside), file(fused, choice.run)), line


def _name(entry: CategoryEntry, run: RunEntry) -> str:
    """Such as `AFRD`, `Patch memory`, `RD, box`; with the run's label where two would have the same name."""
    if len(run.lights) == 1:
        return f"{'RD' if run.method == 'Single-light RD' else 'memory'}, {run.lights[0]}"
    alike = [other for other in entry.fused if other.method == run.method]
    return run.method if len(alike) == 1 else f"{run.method} ({run.label.split(':')[0]})"
