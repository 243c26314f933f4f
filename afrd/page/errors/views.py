"""Values of the Errors tab's components."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import gradio as gr

import afrd.analysis.reports
import afrd.figures
from afrd.page.common.html import macros
from afrd.page.common.library import Library
from afrd.page.common.menus import category_choices, run_choices
from afrd.page.common.samples import kinds, splits_of
from afrd.page.common.selection import Selection
from afrd.page.errors.analysis import PROBLEMS, Analysis, View

if TYPE_CHECKING:
    import pandas as pd

    from afrd.analysis.errors.table import ErrorTable
    from afrd.data.dataset import MultiLightDataset

TEMPLATE = "errors/macros.html"
OPEN = "↗"  # a cell that opens its sample in Explore
ACROSS, UP = "x", "y"  # columns of the plot's data
DULL, CHOSEN = "filtered out", "selected"
TRUTHS = {"unknown": "truth not known"}
TOLD = ["sample", "defects", "outcome"]  # columns that a point tells under the cursor
WRONG = ("missed", "false alarm")


def question_titles(found: ErrorTable) -> dict[str, str]:
    titles = {"all": "All samples", "missed": "Missed defects", "false_alarms": "False alarms"}
    if found.other:
        run, other = brief(found.run), brief(found.other)
        if run == other:  # another fusion of the same
            run, other = short(found, found.run), short(found, found.other)
        titles |= {
            "only_run_right": f"{run} right, {other} wrong",
            "only_other_right": f"{other} right, {run} wrong",
        }
    if found.light_scores.shape[1] > 1:
        titles["lights_disagree"] = "Lights disagree"
    return titles | {"wrong_place": "Right verdict, wrong place"}


def questions(found: ErrorTable, at: float | None, chosen: str) -> gr.Radio:
    """The questions with the number of samples that answer each."""
    titles = question_titles(found)
    choices = [(f"{title}  {len(found.answer(key, at))}", key) for key, title in titles.items()]
    return gr.Radio(choices, value=chosen if chosen in titles else "all")


def short(found: ErrorTable, label: str) -> str:
    return found.column_names()[label].removesuffix(" (raw)")


def brief(label: str) -> str:
    """`AFRD`, or `box` for the RD of this light alone."""
    kind, _, rest = label.partition(", ")
    return rest if kind == "single-light RD" else kind


def summary(analysis: Analysis, found: ErrorTable) -> str:
    """Which samples, which methods under which lights, and the unit of their scores."""
    dataset, good, bad = analysis.dataset, int((found.known & ~found.bad).sum()), int(found.bad.sum())
    unknown = len(found) - good - bad
    counts = [f"{good} good", f"{bad} bad"] if good or bad else []
    counts += [f"{unknown} whose truth is not known"] if unknown else []
    raw = [name for label, name in found.column_names().items() if found.thresholds[label] is None]
    unit = "Scores are in units of each method's own threshold" + (
        f"; raw, without a threshold: {', '.join(name.removesuffix(' (raw)') for name in raw)}" if raw else ""
    )
    text = f"{', '.join(counts)}. {analysis.main.label}, lights {', '.join(analysis.main.lights)}. {unit}."
    problem = ""
    try:
        analysis.notes().of(dataset.split)
    except ValueError as error:
        problem = str(error)
    return macros(TEMPLATE).summary(dataset, text, problem)


def slider(analysis: Analysis, found: ErrorTable, at: float | None) -> gr.Slider:
    """The threshold, over the range of the scores."""
    top = max(*found.scores[found.run], *found.calibration, at or 0.0)
    own = analysis.judged(analysis.main).threshold
    if own is not None:
        label = f"Threshold (1 promises at most {own.alpha:.0%} false alarms)"
        return gr.Slider(0, round(max(2.0, top) + 0.05, 1), value=at, step=0.01, label=label, visible=True)
    if at is None:
        return gr.Slider(visible=False)
    label = "Threshold by hand, in raw scores"
    return gr.Slider(0, float(f"{top * 1.1:.2g}"), value=at, step=0.001, label=label, visible=True)


def counts(found: ErrorTable, at: float | None) -> str:
    """The confusion counts at this threshold, of the run and of the method beside it."""
    if not found.known.any():
        text = "The truth of this split is not known, so there is nothing to count."
        called = found.called(at)
        if called is not None:
            text += f" {int(called.sum())} of {len(found)} samples are called anomalous."
        return macros(TEMPLATE).no_counts(text)
    own = found.confusion(at)
    if own is None:
        return macros(TEMPLATE).no_counts("Without a threshold there are no verdicts to count.")
    of_label = {label: found.confusion(at, label) for label in (found.run, found.other) if label}
    rows = [(short(found, label), count) for label, count in of_label.items() if count is not None]
    behind = (
        f"{own.calibration_above} of the {own.calibration} good samples that set the threshold lie above it."
        if own.calibration
        else "Set by hand, it promises nothing; it began where F1 is best on these samples."
    )
    total = f"Of {own.found + own.missed} bad and {own.false_alarms + own.passed} good samples. {behind}"
    return macros(TEMPLATE).counts(rows, total)


def sheet(view: View) -> dict[str, Any]:
    """The table: numbers to sort by, texts to read, wrong verdicts and scores above the threshold marked."""

    found, frame = view.found, view.frame.iloc[view.rows]
    levels = {name: found.threshold_of(label, view.at) for label, name in found.column_names().items()}
    columns = [str(name) for name in frame]
    values, texts, styles = [], [], []
    for line in frame.itertuples(index=False):
        cells = list(zip(columns, line, strict=True))
        values.append([OPEN, *(_plain(value) for value in line)])
        texts.append([OPEN, *(afrd.analysis.reports.errors.cell_text(name, value) for name, value in cells)])
        styles.append(["", *(_style(levels.get(name), value) for name, value in cells)])
    return {
        "headers": ["", *columns],
        "data": values,
        "metadata": {"display_value": texts, "styling": styles},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return None if value != value else float(value)  # NaN is no JSON
    return value


def _style(level: float | None, value: Any) -> str:
    if value in WRONG:
        return "color: var(--wrong); font-weight: 600"
    return "color: var(--above); font-weight: 600" if level is not None and value > level else ""


def axes(view: View, across: str | None, up: str | None) -> tuple[list[str], str, str]:
    """Names of the columns that can be drawn, and the two that are: by default the run and the method beside it."""
    found, frame = view.found, view.frame
    names = [str(name) for name in frame if frame[name].dtype.kind == "f" and frame[name].notna().any()]
    own = found.column_names()
    first = across if across in names else own[found.run]
    fallback = own[found.other] if found.other else "disagreement" if "disagreement" in names else own[found.run]
    return names, first, up if up in names else fallback


def colour_map(found: ErrorTable) -> dict[str, str]:

    unknown = {TRUTHS["unknown"]: afrd.figures.NEUTRAL_COLOUR} if not found.known.all() else {}
    return {
        DULL: "#80889066",
        "good": afrd.figures.GOOD_COLOUR,
        "bad": afrd.figures.ANOMALOUS_COLOUR,
        **unknown,
        CHOSEN: "#e8328c",
    }


def points(view: View, sample: str | None, across: str, up: str) -> pd.DataFrame:
    """A point a sample: dull where it is not in the table, and the selected row over all others."""
    import pandas as pd

    frame, kept, order = view.frame, set(view.rows), list(colour_map(view.found))
    kinds = [
        CHOSEN if name == sample else DULL if row not in kept else TRUTHS.get(truth, truth)
        for row, (name, truth) in enumerate(zip(frame["sample"], frame["truth"], strict=True))
    ]
    data = pd.DataFrame({ACROSS: frame[across], UP: frame[up], "samples": kinds})
    data[TOLD] = frame[TOLD]
    # one empty point a kind first: the plot gives its colours away in the order of appearance
    head = pd.DataFrame({"samples": order} | dict.fromkeys(TOLD, ""))
    data = data.sort_values("samples", key=lambda column: column.map(order.index), kind="stable")
    return pd.concat([head, data], ignore_index=True)[list(data)]


def card_of(analysis: Analysis, found: ErrorTable, at: float | None, sample: str | None) -> str:
    """The selected sample: pictures, maps, measures and scores."""

    if sample is None or sample not in analysis.dataset.names:
        return macros(TEMPLATE).nothing("Select a row to see its pictures, its maps and its notes here.")
    row = analysis.dataset.names.index(sample)
    beside = analysis.beside(found.other)
    judged = [analysis.judged(analysis.main)]
    if beside is not None and found.other == beside.label:
        judged.append(analysis.judged(beside))
    try:
        return afrd.analysis.reports.errors.card_html(
            afrd.analysis.reports.errors.card(
                found, row, analysis.dataset, judged, None, at, analysis.selection.shown, side=224
            )
        )
    except PROBLEMS as error:
        return macros(TEMPLATE).nothing(error)


def count_line(view: View) -> str:
    """How many rows, and which filters are on."""
    filters = view.filters
    on = []
    if filters.question != "all":
        on.append(question_titles(view.found).get(filters.question, ""))
    if filters.kind != "all":
        on.append(filters.kind)
    if filters.text.strip():
        on.append(f"“{filters.text.strip()}”")
    if filters.region is not None:
        column, low, high = filters.region
        on.append(f"{column} from {low:.2f} to {high:.2f}")
    return f"{len(view.rows)} of {len(view.found)} samples" + (f": {'; '.join(on)}" if on else "")


def menus(library: Library, selection: Selection) -> list:
    """Values of the menus of category, run and split."""
    entries = library.categories()
    entry = next((e for e in entries if e.key == selection.category), None)
    splits: list[str] = []
    if entry is not None:
        with suppress(*PROBLEMS):
            splits = splits_of(library, entry)
    return [
        gr.Dropdown(category_choices(entries), value=selection.category),
        gr.Dropdown(run_choices(entry.fused if entry else ()), value=str(selection.run or "")),
        gr.Dropdown(splits, value=selection.split),
    ]


def kinds_of(dataset: MultiLightDataset, chosen: str) -> gr.Dropdown:
    found = kinds(dataset)
    return gr.Dropdown(found, value=chosen if chosen in found else "all")
