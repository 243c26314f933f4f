"""Values of the Compare tab's components, by their names in `CompareComponents`."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
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
    from afrd.analysis.comparison.differences import MethodResult

METRIC = "pixel_ap"  # shown first
UPDATE_SECONDS = 0.3  # between updates of a growing table


def sheets(library: Library, selection: Selection, metric: str, picked: str, drawn: Sequence[str]) -> Iterator[dict]:
    """Updates of the sheet: a row a method, then the results for the chosen metric, then the figures."""
    try:
        comparison = Comparison(library, selection)
        results: list[MethodResult] = []
        left_out: dict[str, str] = {}
        last_update = 0.0
        for method, result in comparison.judging():
            if isinstance(result, str):
                left_out[method.label] = result
            elif result is not None:
                results.append(result)
            elif time.monotonic() - last_update > UPDATE_SECONDS:
                last_update = time.monotonic()
                done = len(results) + len(left_out)
                status = working(f"Judging with {method.label}", done, len(comparison.methods))
                yield {"status": status, "table": text.method_rows(results, comparison.data_lights)}
    except NothingToShowError as why:
        yield {"status": message(*why.parts)}
        return
    yield {
        "status": text.headline(comparison.dataset, comparison.lights, comparison.region_note()),
        "table": text.method_rows(results, comparison.data_lights),
        "notes": text.notes(comparison.dataset, results, left_out),
        **first_look(comparison, results, metric, picked),
    }
    labels = [entry.method.label for entry in results]
    drawn = [label for label in drawn if label in labels]
    if comparison.reference.label not in drawn or len(drawn) < min(2, len(labels)):
        drawn = afrd.analysis.comparison.worth_drawing(results, metric or METRIC)
        beside = [m.label for m in comparison.methods if m.single and m.runs[0].folder == selection.beside]
        # the run that Explore compares with
        drawn += [label for label in beside if label in labels and label not in drawn]
    yield {"drawn": gr.Dropdown(labels, value=drawn, multiselect=True), **figures(comparison, drawn)}


def first_look(comparison: Comparison, results: Sequence[MethodResult], metric: str, picked: str) -> dict:
    """The metric's menu and its summary; the samples of the best single light if no method was chosen."""
    defined = [m for m in afrd.metrics.METRIC_NAMES if not math.isnan(results[0].intervals.value[m])]
    metric = metric if metric in defined else METRIC if METRIC in defined else defined[0]
    other_labels = [entry.method.label for entry in results[1:]]
    if picked not in other_labels:
        best = afrd.analysis.comparison.worth_drawing(results, metric)
        picked = next((label for label in [*best, *other_labels] if label in other_labels), "")
    return {
        "picked": picked,
        "metric": gr.Radio([(afrd.metrics.METRIC_NAMES[m], m) for m in defined], value=metric),
        **closer(comparison, results, metric, picked),
    }


def closer(comparison: Comparison, results: Sequence[MethodResult], metric: str, picked: str) -> dict:
    """Results for one metric: sentences, forest plot, and the samples that distinguish reference and picked method."""
    if len(results) == 1:
        return {"words": text.alone(comparison.reference, missing_run(comparison.entry))}
    differences = afrd.analysis.comparison.differences.differences(results, metric)
    name, reference = afrd.metrics.METRIC_NAMES[metric], comparison.reference.label
    forest = afrd.figures.difference_forest(differences, name, reference)
    return {"words": text.words(results, metric), "forest": forest, **samples(comparison, metric, picked)}


def samples(comparison: Comparison, metric: str, picked: str) -> dict:
    """The samples with the largest effect on the difference between the reference and the method of this label."""
    method = comparison.method(picked)
    if method is None or method is comparison.reference:
        return {}
    table = comparison.distinguishing_samples(method, metric)
    heading = text.samples_heading(comparison.dataset, comparison.reference, method, metric, table)
    return {"picked": picked, "heading": heading, "samples": text.sample_rows(table, metric)}


def figures(comparison: Comparison, drawn: Sequence[str]) -> dict:
    """ROC, PRO and defect types of the methods of these labels."""
    methods = {
        f"{m.label} · {text.lights_text(m.lights, comparison.data_lights)}": m
        for m in comparison.methods
        if m.label in drawn
    }
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        computed = {name: pool.submit(copy_context().run, comparison.defects, m) for name, m in methods.items()}
    bars = {name: result.result() for name, result in computed.items()}
    curves = {name: comparison.curves(method) for name, method in methods.items()}
    return {
        "roc": afrd.figures.roc_curves(curves),
        "pro": afrd.figures.pro_curves(curves),
        "defects": afrd.figures.defect_bars(bars),
    }
