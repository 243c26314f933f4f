"""Figures of the error analysis: the scores of a split against a threshold, and its bins."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from afrd.figures.drawing import (
    ANOMALOUS_COLOUR,
    CLEAR_LEGEND,
    GOOD_COLOUR,
    MAP_LIMIT,
    NEUTRAL_COLOUR,
    finish,
)
from afrd.metrics.words import BAD, GOOD

if TYPE_CHECKING:
    from afrd.analysis.errors.table import ErrorTable

HISTOGRAM_BINS = 36  # approximate number across the range of scores


def score_histogram(table: ErrorTable, at: float | None = 1.0) -> go.Figure:
    """Histogram of the scores of good and bad samples around the threshold, with the good calibration samples.

    Args:
        table: the error table; the scores are those of its `run`, in its unit.
        at: threshold to draw; None draws none.
    """
    scores = table.scores[table.run].to_numpy()
    groups = [
        ("calibration", table.calibration, NEUTRAL_COLOUR, 0.35),
        (GOOD, scores[table.labelled & ~table.bad], GOOD_COLOUR, 0.75),
        (BAD, scores[table.bad], ANOMALOUS_COLOUR, 0.7),
        ("truth not known", scores[~table.labelled], NEUTRAL_COLOUR, 0.75),
    ]
    all_scores = np.concatenate([values for _, values, _, _ in groups])
    low, high, step = _bins(all_scores)
    figure = go.Figure()
    for name, values, colour, opacity in groups:
        if len(values):
            figure.add_histogram(
                x=np.round(values, 4),
                name=f"{name} ({len(values)})",
                xbins={"start": low, "end": high, "size": step},
                marker={"color": colour, "line": {"width": 0}},
                opacity=opacity,
                hovertemplate=f"{name}: %{{y}} with scores %{{x}}<extra></extra>",
            )
    if at is not None:
        low, high = min(low, at - step), max(high, at + step)  # keeps the line inside the figure
        figure.add_vline(x=at, line={"color": NEUTRAL_COLOUR, "width": 2, "dash": "dash"})
        figure.add_annotation(x=at, y=1, yref="paper", yanchor="bottom", text=f"threshold {at:.2f}", showarrow=False)
    unit = "× threshold" if table.thresholds[table.run] is not None else "raw: no threshold"
    figure.update_xaxes(title=f"score ({unit})", range=[low, high], zeroline=False, gridcolor="rgba(128,136,144,0.2)")
    figure.update_yaxes(title="samples", gridcolor="rgba(128,136,144,0.2)", zerolinecolor="rgba(128,136,144,0.5)")
    name = table.column_names()[table.run].removesuffix(" (raw)")
    finish(figure, f"Scores of {name}", top=58)
    figure.update_layout(barmode="overlay", bargap=0.06, height=222, margin={"l": 8, "r": 8, "b": 64, "t": 44})
    return figure.update_layout(legend=CLEAR_LEGEND | {"x": 0, "yref": "container", "y": 0.01, "yanchor": "bottom"})


def _bins(values: np.ndarray) -> tuple[float, float, float]:
    """First edge, last edge and width of bins at round numbers, with an edge at 1."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, MAP_LIMIT)
    rough = max(high - low, 1e-6) / HISTOGRAM_BINS
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough)
    return step * math.floor(low / step - 1), step * math.ceil(high / step + 1), step
