"""Values of the Compare tab's components, by their names in `CompareComponents`."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import gradio as gr

import afrd.analysis.comparison
import afrd.figures
import afrd.metrics
from afrd.page.common.library import Library
from afrd.page.common.messages import NothingToShowError, message, working
from afrd.page.common.selection import Selection, missing_run
from afrd.page.compare import text
from afrd.page.compare.comparison import Comparison

if TYPE_CHECKING:
    from afrd.analysis.comparison.differences import Standing

METRIC = "pixel_ap"  # looked at first
INTERVAL = 0.3  # seconds between values of a table that grows


def sheets(library: Library, selection: Selection, metric: str, picked: str, drawn: Sequence[str]) -> Iterator[dict]:
    """The sheet as it grows: a row a method, then what the chosen metric says, then the figures."""
    try:
        comparison = Comparison(library, selection)
        standings: list[Standing] = []
        left_out: dict[str, str] = {}
        shown = 0.0
        for method, standing in comparison.judging():
            if isinstance(standing, str):
                left_out[method.label] = standing
            elif standing is not None:
                standings.append(standing)
            elif time.monotonic() - shown > INTERVAL:
                shown = time.monotonic()
                done = len(standings) + len(left_out)
                status = working(f"Judging with {method.label}", done, len(comparison.methods))
                yield {"status": status, "table": text.method_rows(standings, comparison.data_lights)}
    except NothingToShowError as why:
        yield {"status": message(*why.parts)}
        return
    yield {
        "status": text.headline(comparison.dataset, comparison.lights),
        "table": text.method_rows(standings, comparison.data_lights),
        "notes": text.notes(comparison.dataset, standings, left_out),
        **first_look(comparison, standings, metric, picked),
    }
    labels = [one.method.label for one in standings]
    drawn = [label for label in drawn if label in labels]
    if comparison.reference.label not in drawn or len(drawn) < min(2, len(labels)):
        drawn = afrd.analysis.comparison.worth_drawing(standings, metric or METRIC)
        beside = [m.label for m in comparison.methods if m.single and m.runs[0].folder == selection.beside]
        drawn += [label for label in beside if label in labels and label not in drawn]  # what Explore compares with
    yield {"drawn": gr.Dropdown(labels, value=drawn, multiselect=True), **figures(comparison, drawn)}


def first_look(comparison: Comparison, standings: Sequence[Standing], metric: str, picked: str) -> dict:
    """The metric's menu and what it says; the samples of the best single light where nobody has chosen a method."""
    defined = [m for m in afrd.metrics.METRIC_NAMES if not math.isnan(standings[0].intervals.value[m])]
    metric = metric if metric in defined else METRIC if METRIC in defined else defined[0]
    others = [one.method.label for one in standings[1:]]
    if picked not in others:
        best = afrd.analysis.comparison.worth_drawing(standings, metric)
        picked = next((label for label in [*best, *others] if label in others), "")
    return {
        "picked": picked,
        "metric": gr.Radio([(afrd.metrics.METRIC_NAMES[m], m) for m in defined], value=metric),
        **closer(comparison, standings, metric, picked),
    }


def closer(comparison: Comparison, standings: Sequence[Standing], metric: str, picked: str) -> dict:
    """What one metric says: words, forest plot, and the samples that tell the reference and the picked method apart."""
    if len(standings) == 1:
        return {"words": text.alone(comparison.reference, missing_run(comparison.entry))}
    differences = afrd.analysis.comparison.differences.differences(standings, metric)
    name, reference = afrd.metrics.METRIC_NAMES[metric], comparison.reference.label
    forest = afrd.figures.difference_forest(differences, name, reference)
    return {"words": text.words(standings, metric), "forest": forest, **samples(comparison, metric, picked)}


def samples(comparison: Comparison, metric: str, picked: str) -> dict:
    """The samples that make the difference between the reference and the method of this label."""
    method = comparison.method(picked)
    if method is None or method is comparison.reference:
        return {}
    table = comparison.telling(method, metric)
    heading = text.samples_heading(comparison.dataset, comparison.reference, method, metric, table)
    return {"picked": picked, "heading": heading, "samples": text.sample_rows(table, metric)}


def figures(comparison: Comparison, drawn: Sequence[str]) -> dict:
    """ROC, PRO and defect types of the methods of these labels."""
    methods = {
        f"{m.label} · {text.lights_text(m.lights, comparison.data_lights)}": m
        for m in comparison.methods
        if m.label in drawn
    }
    curves = {name: comparison.curves(method) for name, method in methods.items()}
    bars = {name: comparison.defects(method) for name, method in methods.items()}
    return {
        "roc": afrd.figures.roc_curves(curves),
        "pro": afrd.figures.pro_curves(curves),
        "defects": afrd.figures.defect_bars(bars),
    }
