"""Values of the Errors tab's components."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd

import afrd.analysis.errors
import afrd.analysis.reports
import afrd.figures
from afrd.metrics.words import BAD, GOOD, OUTCOMES
from afrd.page.common.html import macros, plain
from afrd.page.common.messages import PROBLEMS
from afrd.page.common.samples import kinds
from afrd.page.common.tables import number, table_value
from afrd.page.errors.analysis import Analysis
from afrd.page.errors.state import View

if TYPE_CHECKING:
    from afrd.analysis.errors.groups import Group
    from afrd.analysis.errors.table import ErrorTable
    from afrd.data.dataset import MultiLightDataset

TEMPLATE = "errors/macros.html"
OPEN_MARK = "↗"  # a cell that opens its sample in Explore
ACROSS, UP = "x", "y"  # columns of the plot's data
FILTERED_OUT, SELECTED_POINT = "filtered out", "selected"
EXAMPLES = (  # of expressions, under their field
    "score > 1",
    "'dents' in defects and defect_px < 200",
    "not 'top' in lights_above",
    "outcome in ['missed', 'false alarm']",
    "'unsure' in tags",
)
TRUTHS = {"unknown": "truth not known"}
TOOLTIP = ["sample", "defects", "outcome"]  # columns shown under the cursor
_, *WRONG = OUTCOMES
_stamps = count(1)


def question_titles(table: ErrorTable) -> dict[str, str]:
    titles = {"all": "All samples", "missed": "Missed defects", "false_alarms": "False alarms"}
    if table.other:
        run, other = brief(table.run), brief(table.other)
        if run == other:  # another fusion of the same run
            run, other = short(table, table.run), short(table, table.other)
        titles["only_run_right"] = f"{run} right, {other} wrong"
        titles["only_other_right"] = f"{other} right, {run} wrong"
    if table.light_scores.shape[1] > 1:
        titles["lights_disagree"] = "Lights disagree"
    return titles | {"wrong_place": "Right verdict, wrong place"}


def questions(view: View) -> gr.Radio:
    """The questions with the number of samples in the answer to each."""
    titles, question = question_titles(view.table), view.filters.question
    choices = [(f"{title}  {len(view.table.answer(key, view.threshold))}", key) for key, title in titles.items()]
    return gr.Radio(choices, value=question if question in titles else "all")


def short(table: ErrorTable, label: str) -> str:
    return table.column_names()[label].removesuffix(" (raw)")


def brief(label: str) -> str:
    """`AFRD`, or `box` for the RD of this light alone."""
    kind, _, light = label.partition(", ")
    return light if kind == "single-light RD" else kind


def summary(analysis: Analysis, table: ErrorTable) -> str:
    """Which samples, which methods under which lights, and the unit of their scores."""
    dataset, good, bad = analysis.dataset, int((table.labelled & ~table.bad).sum()), int(table.bad.sum())
    unknown = len(table) - good - bad
    counts = [f"{good} good", f"{bad} bad"] if good or bad else []
    counts += [f"{unknown} whose truth is not known"] if unknown else []
    raw = [name for label, name in table.column_names().items() if table.thresholds[label] is None]
    unit = "Scores are in units of each method's own threshold" + (
        f"; raw, without a threshold: {', '.join(name.removesuffix(' (raw)') for name in raw)}" if raw else ""
    )
    text = f"{', '.join(counts)}. {analysis.main.label}, lights {', '.join(analysis.main.lights)}. {unit}."
    if note := analysis.judged(analysis.main).note():
        text += f" {note}"
    problem = ""
    try:
        analysis.notes().of(dataset.split)
    except ValueError as error:
        problem = str(error)
    return macros(TEMPLATE).summary(dataset, text, problem)


def slider(analysis: Analysis, table: ErrorTable, threshold: float | None) -> gr.Slider:
    """The threshold, over the range of the scores."""
    top = max(*table.scores[table.run], *table.calibration, threshold or 0.0)
    run_threshold = analysis.judged(analysis.main).threshold
    if run_threshold is not None:
        label = f"Threshold (1 promises at most {run_threshold.alpha:.0%} false alarms)"
        return gr.Slider(0, round(max(2.0, top) + 0.05, 1), value=threshold, step=0.01, label=label, visible=True)
    if threshold is None:
        return gr.Slider(visible=False)
    label = "Threshold by hand, in raw scores"
    return gr.Slider(0, float(f"{top * 1.1:.2g}"), value=threshold, step=0.001, label=label, visible=True)


def counts(table: ErrorTable, threshold: float | None) -> str:
    """The confusion counts at this threshold, of the run and of the method beside it."""
    if not table.labelled.any():
        text = "The truth of this split is not known, so there is nothing to count."
        predicted_anomalous = table.called(threshold)
        if predicted_anomalous is not None:
            text += f" {int(predicted_anomalous.sum())} of {len(table)} samples are called anomalous."
        return macros(TEMPLATE).no_counts(text)
    main = table.confusion(threshold)
    if main is None:
        return macros(TEMPLATE).no_counts("Without a threshold there are no verdicts to count.")
    of_label = {label: table.confusion(threshold, label) for label in (table.run, table.other) if label}
    rows = [(short(table, label), count) for label, count in of_label.items() if count is not None]
    behind = (
        f"{main.calibration_above} of the {main.calibration} good samples that set the threshold lie above it."
        if main.calibration
        else "Set by hand, it promises nothing; it began where F1 is best on these samples."
    )
    total = f"Of {main.detected + main.missed} bad and {main.false_alarms + main.passed} good samples. {behind}"
    return macros(TEMPLATE).counts(rows, total)


def sheet(view: View) -> dict[str, Any]:
    """The table: numbers for sorting, texts for display, with wrong verdicts and scores above the threshold marked."""
    frame = view.frame.iloc[view.rows]
    names = view.table.column_names().items()
    thresholds = {name: view.table.threshold_of(label, view.threshold) for label, name in names}
    columns = [str(name) for name in frame]
    values, texts, styles = [], [], []
    for line in frame.itertuples(index=False):
        values.append([OPEN_MARK, *map(number, line)])
        texts.append([OPEN_MARK, *map(afrd.analysis.reports.errors.cell_text, columns, line)])
        styles.append(["", *(_style(thresholds.get(name), value) for name, value in zip(columns, line, strict=True))])
    return table_value(["", *columns], values, texts, styles)


def _style(threshold: float | None, value: Any) -> str:
    if value in WRONG:
        return "color: var(--wrong); font-weight: 600"
    return "color: var(--above); font-weight: 600" if threshold is not None and value > threshold else ""


def axes(view: View) -> tuple[list[str], str, str]:
    """Columns that can be drawn, and the two that are drawn: by default the run and the method beside it."""
    table, frame = view.table, view.frame
    columns = [str(name) for name in frame if frame[name].dtype.kind == "f" and frame[name].notna().any()]
    names = table.column_names()
    run = names[table.run]
    other = names[table.other] if table.other else "disagreement" if "disagreement" in columns else run
    across, up = view.filters.across, view.filters.up
    return columns, across if across in columns else run, up if up in columns else other


def colour_map(table: ErrorTable) -> dict[str, str]:
    unknown = {TRUTHS["unknown"]: afrd.figures.NEUTRAL_COLOUR} if not table.labelled.all() else {}
    return {
        FILTERED_OUT: "#80889066",
        GOOD: afrd.figures.GOOD_COLOUR,
        BAD: afrd.figures.ANOMALOUS_COLOUR,
        **unknown,
        SELECTED_POINT: "#e8328c",
    }


def points(view: View, sample: str | None) -> pd.DataFrame:
    """A point a sample: grey where it is not in the table, and the selected row drawn over all others."""
    frame, rows, order = view.frame, set(view.rows), list(colour_map(view.table))
    _, across, up = axes(view)
    kinds = [
        SELECTED_POINT if name == sample else FILTERED_OUT if row not in rows else TRUTHS.get(truth, truth)
        for row, (name, truth) in enumerate(zip(frame["sample"], frame["truth"], strict=True))
    ]
    data = pd.DataFrame({ACROSS: frame[across], UP: frame[up], "samples": kinds})
    data[TOOLTIP] = frame[TOOLTIP]
    # one empty point a kind first: the plot assigns its colours in the order of appearance
    head = pd.DataFrame({"samples": order} | dict.fromkeys(TOOLTIP, ""))
    data = data.sort_values("samples", key=lambda column: column.map(order.index), kind="stable")
    return pd.concat([head, data], ignore_index=True)[list(data)]


def card_of(analysis: Analysis, table: ErrorTable, threshold: float | None, sample: str | None) -> str:
    """The selected sample: pictures, maps, measures and scores."""
    if sample is None or sample not in analysis.dataset.names:
        return macros(TEMPLATE).nothing("Select a row to see its pictures, its maps and its notes here.")
    row, light = analysis.dataset.names.index(sample), analysis.selection.shown
    beside = analysis.beside(table.other)
    predictions = [analysis.judged(analysis.main)]
    if beside is not None and table.other == beside.label:
        predictions.append(analysis.judged(beside))
    reports = afrd.analysis.reports.errors
    try:
        return reports.card_html(
            reports.card(table, row, analysis.dataset, predictions, None, threshold, light, side=224)
        )
    except PROBLEMS as error:
        return macros(TEMPLATE).nothing(error)


def count_line(view: View) -> str:
    """How many rows, and which filters are on."""
    filters = view.filters
    on = []
    if filters.question not in (None, "all"):
        on.append(question_titles(view.table).get(filters.question or "", ""))
    if filters.kind not in (None, "all"):
        on.append(str(filters.kind))
    if text := (filters.text or "").strip():
        on.append(f"“{text}”")
    if view.region is not None:
        column, low, high = view.region
        on.append(f"{column} from {low:.2f} to {high:.2f}")
    if filters.where and not view.problem:
        on.append(filters.where)
    return f"{len(view.rows)} of {len(view.table)} samples" + (f": {'; '.join(on)}" if on else "")


def expression_columns(view: View) -> list[str]:
    """Names that an expression can use without backticks."""
    return [
        name
        for name in afrd.analysis.errors.columns.columns_of(view.table, view.threshold, frame=view.frame)
        if name.isidentifier()
    ]


def group_choices(groups: Mapping[str, Group]) -> list[tuple[str, str]]:
    return [("none", ""), *((name, name) for name in groups)]


def group_menu(view: View, groups: Mapping[str, Group]) -> gr.Dropdown:
    """The saved groups; chosen is the one whose filters are on."""
    filters = view.filters
    on = (filters.where, filters.question, filters.kind, filters.text, view.region)
    names = [
        name
        for name, group in groups.items()
        if on == (group.where, group.question, group.kind, group.text, group.region)
    ]
    return gr.Dropdown(group_choices(groups), value=names[0] if names else "")


def drawn(view: View, dataset: MultiLightDataset, sample: str | None, groups: Mapping[str, Group]) -> dict[str, Any]:
    """Values of the components that show the table, by name; `sample` is the selected row's, `groups` those saved."""
    truths, kind = kinds(dataset), view.filters.kind
    columns, across, up = axes(view)
    return {
        "counts": counts(view.table, view.threshold),
        "question": questions(view),
        "kind": gr.Dropdown(truths, value=kind if kind in truths else "all"),
        "across": gr.Dropdown(columns, value=across),
        "up": gr.Dropdown(columns, value=up),
        "scatter": gr.ScatterPlot(
            points(view, sample),
            title=f"{up} against {across}",
            x_title=across,
            y_title=up,
            color_map=colour_map(view.table),
        ),
        "line": plain(count_line(view)),
        "where_said": macros(TEMPLATE).where_said(view.problem, EXAMPLES, expression_columns(view)),
        "group": group_menu(view, groups),
        "sheet": sheet(view),
        "stamp": next(_stamps),
    }
