"""Samples of an error analysis for others to read: an HTML file that needs nothing else, and a CSV.

judged = [method.judge(dataset) for method in methods[:2]]
Path("missed.html").write_text(report(found, found.answer("missed"), dataset, judged))
Path("missed.csv").write_text(csv(found.frame(rows=found.answer("missed"))))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader

from afrd.analysis.errors.notes import Note
from afrd.analysis.errors.table import ErrorTable, truth_word
from afrd.figures import LIMIT, contour_lines, covered_uri, main_light, shrink, svg_path
from afrd.metrics.predictions import Predictions

if TYPE_CHECKING:
    from afrd.data.dataset import MultiLightDataset

TEMPLATES = Path(__file__).with_name("templates")
MAX_REPORT_SAMPLES = 200  # samples of a report: about 15 MB
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would take for a formula at the beginning of a text
EXPLAINED = (
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
    """One picture of a card: data URI, outlines as SVG paths, and what stands below."""

    title: str
    text: str
    uri: str
    truth: str = ""
    passed: str = ""


@dataclass(frozen=True)
class Score:
    """A bar: `part` and `mark` (the threshold, None where there is none) in per cent of its length."""

    label: str
    name: str
    value: str
    verdict: str
    part: float
    mark: float | None


@dataclass(frozen=True)
class Card:
    """One sample as it is shown."""

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
    found: ErrorTable,
    rows: Sequence[int],
    dataset: MultiLightDataset,
    judged: Sequence[Predictions],
    notes: Mapping[str, Note] | None = None,
    at: float | None = 1.0,
    chosen: str = "",
    light: str | None = None,
) -> str:
    """A self-contained HTML page: counts, a table, and of every sample pictures, maps, scores and notes.

    Args:
        found: the error table of `dataset`.
        rows: which samples, in the order in which they are to stand.
        dataset: where the pictures come from.
        judged: what `found.run`, and if wanted another method, says of the same split: their maps are shown.
        notes: by sample name.
        at: the threshold, see `afrd.analysis.errors.table`.
        chosen: says which samples these are.
        light: whose picture lies under the maps; the light box or the last light by default.

    Raises:
        ValueError: more than `MAX_REPORT_SAMPLES` samples, or a picture that cannot be read.
    """
    if len(rows) > MAX_REPORT_SAMPLES:
        raise ValueError(
            f"a report holds at most {MAX_REPORT_SAMPLES} samples, and these are {len(rows)}; filter the table first"
        )
    cards = [card(found, row, dataset, judged, notes, at, light) for row in rows]
    frame = found.frame(at, rows, notes).drop(columns="note")
    shown = frame.loc[:, :"tags"]
    head = [str(name) for name in shown]
    numbers = [i for i, name in enumerate(head) if pd.api.types.is_numeric_dtype(shown[name])]
    labels = [found.run, *([found.other] if found.other else [])]
    counts = [(name, found.confusion(at, name)) for name in labels]
    names = [predictions.method + ": lights " + ", ".join(predictions.lights) for predictions in judged]
    return (
        _templates()
        .get_template("report.html")
        .render(
            title=f"Error analysis: {dataset.category} / {dataset.split}",
            chosen=f"{chosen + ': ' if chosen else ''}{len(rows)} of {len(found)} samples. {'; '.join(names)}.",
            threshold=threshold_sentence(found, at),
            made=f"Made on {datetime.now().astimezone():%Y-%m-%d %H:%M %Z} by AFRD explorer {version('afrd')}.",
            counts=[(name, count) for name, count in counts if count is not None and found.known.any()],
            head=head,
            numbers=numbers,
            lines=[
                [cell_text(*cell) for cell in zip(head, line, strict=True)] for line in shown.itertuples(index=False)
            ],
            cards=cards,
            explained=EXPLAINED,
            with_note=True,
            card_css=card_css(),
        )
    )


def card(
    found: ErrorTable,
    row: int,
    dataset: MultiLightDataset,
    judged: Sequence[Predictions],
    notes: Mapping[str, Note] | None = None,
    at: float | None = 1.0,
    light: str | None = None,
    side: int = 300,
) -> Card:
    """What there is to show of one sample; arguments as of `report`, `side` is that of a picture in pixels."""
    sample = found.samples.iloc[row].to_dict()
    shown = light if light in dataset.lights else main_light(dataset.lights)
    picture = dataset.select([shown])[row].images[0]  # (3, H, W)
    height, width = picture.shape[-2:]
    known = judged[0].masked[row] and judged[0].masks[row].any()
    truth = svg_path(contour_lines(judged[0].masks[row].astype(float), 0.5)) if known else ""
    shots = [Shot("picture", f"under {shown}", covered_uri(picture, None, side), truth)]
    names = found.column_names()
    for label, said in zip((found.run, found.other), judged, strict=False):
        assert label is not None  # a second method's maps come with its name
        values = shrink(said.maps[row]) / (said.threshold.value if said.threshold else 1.0)
        level = found.threshold_of(label, at)
        passed = svg_path(contour_lines(values, level, (height, width))) if level is not None else ""
        unit = " × threshold" if found.thresholds[label] is not None else ""
        outcome = found.outcome(at, label)[row]
        text = f"{found.scores[label][row]:.2f}{unit}" + (f", {outcome}" if outcome else "")
        shots.append(Shot(names[label], text, covered_uri(picture, values, side), truth, passed))
    note = (notes or {}).get(sample["sample"], Note())
    defects = sample["defects"].replace("+", ", ")
    truth_text = truth_word(sample["anomalous"])
    measures = []
    if np.isfinite(sample["best_iou"]):
        measures += [("best IoU", f"{sample['best_iou']:.2f}"), ("peak off", f"{sample['peak_off']:.0f} px")]
        if at is not None:
            measures.insert(0, ("defect found", f"{found.defect_found(at)[row]:.0%}"))
    if found.light_scores.shape[1] > 1:
        measures.append(("disagreement", f"{found.disagreement[row]:.2f}"))
        if found.thresholds[found.run] is not None:
            measures.append(("lights above", ", ".join(found.lights_above(at)[row]) or "none"))
    return Card(
        row,
        sample["sample"],
        truth_text if truth_text != "unknown" else "",
        {"unknown": "truth not known"}.get(truth_text, truth_text) + (f": {defects}" if defects else ""),
        found.outcome(at)[row],
        width,
        height,
        tuple(shots),
        tuple(measures),
        tuple(_score(found, label, row, at) for label in found.labels),
        note.tags,
        note.text,
    )


def card_html(shown: Card) -> str:
    """A card alone, for a page that has `card_css` already; without its note."""
    return _templates().get_template("card.html").render(card=shown, with_note=False)


def card_css() -> str:
    return (TEMPLATES / "card.css").read_text()


def csv(frame: pd.DataFrame) -> str:
    """The table as CSV; a text that a spreadsheet would take for a formula gets an apostrophe before it."""
    safe = frame.copy()
    for name in safe:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = [f"'{v}" if isinstance(v, str) and v.startswith(FORMULA) else v for v in safe[name]]
    return safe.to_csv(index=False, float_format="%.6g")


def threshold_sentence(found: ErrorTable, at: float | None) -> str:
    """Where the threshold stands and what it promises."""
    own = found.thresholds[found.run]
    if own is None:
        where = "no verdicts" if at is None else f"the threshold {at:.4g} was set by hand"
        return f"This run kept no good samples for a threshold: scores are raw, and {where}."
    if at is None or abs(at - 1) < 1e-9:
        return f"Threshold: the run's own, {own:.4g}; scores are in units of it."
    return f"Threshold: {at:.2f} times each method's own (the run's is {own:.4g}); scores are in units of it."


def _score(found: ErrorTable, label: str, row: int, at: float | None) -> Score:
    value, level = float(found.scores[label][row]), found.threshold_of(label, at)
    length = LIMIT if found.thresholds[label] is not None else max(float(found.scores[label].max()), 1e-9)
    verdict = "none" if level is None else "bad" if value > level else "good"
    part, mark = (None if v is None else round(100 * min(1.0, max(0.0, v / length)), 1) for v in (value, level))
    return Score(label, found.column_names()[label], f"{value:.2f}", verdict, part or 0.0, mark)


def cell_text(column: str, value: object) -> str:
    """A value of `ErrorTable.frame` as it is shown."""
    if not isinstance(value, float | np.floating):
        return str(value)
    if not np.isfinite(value):
        return "–"
    return {"defect found": f"{value:.0%}", "peak off, px": f"{value:.0f}"}.get(column, f"{value:.2f}")


@cache
def _templates() -> Environment:
    return Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
