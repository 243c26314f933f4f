"""Reports of an error analysis: a self-contained HTML file, and a CSV.

predictions = [method.judge(dataset) for method in methods[:2]]
Path("missed.html").write_text(report(table, table.answer("missed"), dataset, predictions))
Path("missed.csv").write_text(csv(table.frame(rows=table.answer("missed"))))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup

from afrd.analysis.errors.notes import Note
from afrd.analysis.errors.table import ErrorTable
from afrd.analysis.errors.words import truth_word
from afrd.analysis.reports.contact_sheet import contact_sheet
from afrd.analysis.reports.contact_sheet import css as contact_sheet_css
from afrd.analysis.reports.groups import EXPLANATION as GROUPS_EXPLAINED
from afrd.analysis.reports.groups import group_texts
from afrd.analysis.reports.rendering import style, template
from afrd.figures import MAP_LIMIT, contour_lines, covered_uri, main_light, shrink, svg_path
from afrd.metrics.predictions import Predictions

if TYPE_CHECKING:
    from afrd.data.dataset import MultiLightDataset

MAX_REPORT_SAMPLES = 200  # samples of a report: about 15 MB
FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r")  # beginnings of a text that a spreadsheet would take for a formula
EXPLANATIONS = (
    "Scores are in units of each method's own threshold, so 1 is the threshold that promises its rate of false alarms; "
    "a method without one has raw scores and (raw) behind its name. A sample's score is the maximum of its map.",
    "Pictures: the turquoise line surrounds the true defect; the white dashed one runs where the map passes the "
    "threshold. Bars end at twice the threshold.",
    "Defect found: the part of the defective pixels over which the map passes the threshold. Best IoU: intersection "
    "over union of the defect and the thresholded map, at the threshold that makes it largest. Peak off: pixels from "
    "the map's maximum to the nearest defective pixel, 0 inside the defect.",
    "Disagreement: the score that each light alone would have, in units of that light's own threshold; the highest "
    "minus the lowest of them. Lights above: those that alone would call the sample anomalous.",
)


@dataclass(frozen=True)
class Shot:
    """One picture of a card: data URI, outlines as SVG paths, and the text below."""

    title: str
    text: str
    uri: str
    truth: str = ""
    passed: str = ""


@dataclass(frozen=True)
class Score:
    """A bar: `filled` and `mark` (the threshold, None where there is none) in per cent of its length."""

    label: str
    name: str
    value: str
    verdict: str
    filled: float
    mark: float | None


@dataclass(frozen=True)
class Card:
    """The content of one sample's card."""

    row: int
    name: str
    truth: str
    truth_text: str
    outcome: str
    width: int
    height: int
    shots: tuple[Shot, ...]
    measures: tuple[tuple[str, str], ...]
    scores: tuple[Score, ...]
    tags: tuple[str, ...]
    note: str


def report(
    table: ErrorTable,
    rows: Sequence[int],
    dataset: MultiLightDataset,
    predictions: Sequence[Predictions],
    notes: Mapping[str, Note] | None = None,
    at: float | None = 1.0,
    chosen: str = "",
    light: str | None = None,
    groups: pd.DataFrame | None = None,
) -> str:
    """A self-contained HTML page: counts, groups, a table, and pictures, maps, scores and notes of every sample.

    Args:
        table: the error table of `dataset`.
        rows: positions of the samples, in the order of the report.
        dataset: the split, for its pictures.
        predictions: of `table.run` and, optionally, of another method on the same split, for their maps.
        notes: by sample name.
        at: the threshold, see `afrd.analysis.errors.table`.
        chosen: text that names the selection of samples.
        light: whose picture is shown under the maps; the light box or the last light by default.
        groups: metrics of groups of these samples, as `group_metrics` gives them.

    Raises:
        ValueError: more than `MAX_REPORT_SAMPLES` samples, or a picture that cannot be read.
    """
    if len(rows) > MAX_REPORT_SAMPLES:
        raise ValueError(
            f"a report holds at most {MAX_REPORT_SAMPLES} samples, and these are {len(rows)}; filter the table first"
        )
    cards = [card(table, row, dataset, predictions, notes, at, light) for row in rows]
    frame = table.frame(at, rows, notes).drop(columns="note")
    visible = frame.loc[:, :"tags"]
    head = [str(name) for name in visible]
    numbers = [i for i, name in enumerate(head) if pd.api.types.is_numeric_dtype(visible[name])]
    labels = [table.run, *([table.other] if table.other else [])]
    counts = [(name, table.confusion(at, name)) for name in labels]
    methods = [of_method.method + ": lights " + ", ".join(of_method.lights) for of_method in predictions]
    methods_text = " ".join([f"{'; '.join(methods)}.", *filter(None, [p.note() for p in predictions[:1]])])
    return template("report.html").render(
        title=f"Error analysis: {dataset.category} / {dataset.split}",
        chosen=f"{chosen + ': ' if chosen else ''}{len(rows)} of {len(table)} samples. {methods_text}",
        threshold=threshold_sentence(table, at),
        made=f"Made on {datetime.now().astimezone():%Y-%m-%d %H:%M %Z} by AFRD explorer {version('afrd')}.",
        counts=[(name, count) for name, count in counts if count is not None and table.labelled.any()],
        head=head,
        numbers=numbers,
        lines=[[cell_text(*cell) for cell in zip(head, line, strict=True)] for line in visible.itertuples(index=False)],
        cards=cards,
        groups=None if groups is None else group_texts(groups, table.column_names()),
        contact=Markup(contact_sheet(table, rows, dataset, predictions[0], at=at, light=light)),
        explained=EXPLANATIONS + (() if groups is None else (GROUPS_EXPLAINED,)),
        with_note=True,
        css=card_css() + contact_sheet_css(),
    )


def card(
    table: ErrorTable,
    row: int,
    dataset: MultiLightDataset,
    predictions: Sequence[Predictions],
    notes: Mapping[str, Note] | None = None,
    at: float | None = 1.0,
    light: str | None = None,
    side: int = 300,
) -> Card:
    """The card of one sample; arguments as of `report`, `side` is the longer side of a picture in pixels."""
    sample = table.samples.iloc[row].to_dict()
    base_light = light if light in dataset.lights else main_light(dataset.lights)
    picture = dataset.select([base_light])[row].images[0]  # (3, H, W)
    height, width = picture.shape[-2:]
    masked = predictions[0].masked[row] and predictions[0].masks[row].any()
    truth = svg_path(contour_lines(predictions[0].masks[row].astype(float), 0.5)) if masked else ""
    shots = [Shot("picture", f"under {base_light}", covered_uri(picture, None, side), truth)]
    names = table.column_names()
    for label, of_method in zip((table.run, table.other), predictions, strict=False):
        assert label is not None  # a second method's maps come with its name
        values = shrink(of_method.maps[row]) / (of_method.threshold.value if of_method.threshold else 1.0)
        level = table.threshold_of(label, at)
        passed = svg_path(contour_lines(values, level, (height, width))) if level is not None else ""
        unit = " × threshold" if table.thresholds[label] is not None else ""
        outcome = table.outcome(at, label)[row]
        text = f"{table.scores[label][row]:.2f}{unit}" + (f", {outcome}" if outcome else "")
        shots.append(Shot(names[label], text, covered_uri(picture, values, side), truth, passed))
    note = (notes or {}).get(sample["sample"], Note())
    defects = sample["defects"].replace("+", ", ")
    truth_text = truth_word(sample["anomalous"])
    measures = []
    if np.isfinite(sample["best_iou"]):
        measures += [("best IoU", f"{sample['best_iou']:.2f}"), ("peak off", f"{sample['peak_off']:.0f} px")]
        if at is not None:
            measures.insert(0, ("defect found", f"{table.defect_found(at)[row]:.0%}"))
    if table.light_scores.shape[1] > 1:
        measures.append(("disagreement", f"{table.disagreement[row]:.2f}"))
        if table.thresholds[table.run] is not None:
            measures.append(("lights above", ", ".join(table.lights_above(at)[row]) or "none"))
    return Card(
        row,
        sample["sample"],
        truth_text if truth_text != "unknown" else "",
        {"unknown": "truth not known"}.get(truth_text, truth_text) + (f": {defects}" if defects else ""),
        table.outcome(at)[row],
        width,
        height,
        tuple(shots),
        tuple(measures),
        tuple(_score(table, label, row, at) for label in table.labels),
        note.tags,
        note.text,
    )


def card_html(content: Card) -> str:
    """A single card as HTML, without its note, for a page that includes `card_css`."""
    return template("card.html").render(card=content, with_note=False)


def card_css() -> str:
    return style("card.css")


def csv(frame: pd.DataFrame) -> str:
    """The table as CSV; texts that a spreadsheet would take for formulas are prefixed with an apostrophe."""
    safe = frame.copy()
    for name in safe:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = [f"'{v}" if isinstance(v, str) and v.startswith(FORMULA_PREFIXES) else v for v in safe[name]]
    return safe.to_csv(index=False, float_format="%.6g")


def threshold_sentence(table: ErrorTable, at: float | None) -> str:
    """The threshold in one sentence."""
    own = table.thresholds[table.run]
    if own is None:
        where = "no verdicts" if at is None else f"the threshold {at:.4g} was set by hand"
        return f"This run kept no good samples for a threshold: scores are raw, and {where}."
    if at is None or abs(at - 1) < 1e-9:
        return f"Threshold: the run's own, {own:.4g}; scores are in units of it."
    return f"Threshold: {at:.2f} times each method's own (the run's is {own:.4g}); scores are in units of it."


def _score(table: ErrorTable, label: str, row: int, at: float | None) -> Score:
    value, level = float(table.scores[label][row]), table.threshold_of(label, at)
    length = MAP_LIMIT if table.thresholds[label] is not None else max(float(table.scores[label].max()), 1e-9)
    verdict = "none" if level is None else "bad" if value > level else "good"
    filled, mark = (None if v is None else round(100 * min(1.0, max(0.0, v / length)), 1) for v in (value, level))
    return Score(label, table.column_names()[label], f"{value:.2f}", verdict, filled or 0.0, mark)


def cell_text(column: str, value: object) -> str:
    """A value of `ErrorTable.frame` as text."""
    if not isinstance(value, float | np.floating):
        return str(value)
    if not np.isfinite(value):
        return "–"
    return {"defect found": f"{value:.0%}", "peak off, px": f"{value:.0f}"}.get(column, f"{value:.2f}")
