"""Figures of the error analysis: the scores of a split against a threshold, and pictures that carry their map."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from afrd.figures.drawing import (
    ANOMALOUS_COLOUR,
    GOOD_COLOUR,
    LIMIT,
    NEUTRAL_COLOUR,
    finish,
)

if TYPE_CHECKING:
    from afrd.analysis.errors.table import ErrorTable

HISTOGRAM_BINS = 36  # about so many across the scores


def score_histogram(found: ErrorTable, at: float | None = 1.0) -> go.Figure:
    """How the scores of good and bad samples lie about the threshold, the good calibration samples behind them.

    Args:
        found: the scores are those of its `run`, in its unit.
        at: where the line stands; None draws none.
    """
    scores = found.scores[found.run].to_numpy()
    groups = [
        ("calibration", found.calibration, NEUTRAL_COLOUR, 0.35),
        ("good", scores[found.known & ~found.bad], GOOD_COLOUR, 0.75),
        ("bad", scores[found.bad], ANOMALOUS_COLOUR, 0.7),
        ("truth not known", scores[~found.known], NEUTRAL_COLOUR, 0.75),
    ]
    every = np.concatenate([values for _, values, _, _ in groups])
    low, high, step = _bins(every)
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
        low, high = min(low, at - step), max(high, at + step)  # the line never leaves the figure
        figure.add_vline(x=at, line={"color": NEUTRAL_COLOUR, "width": 2, "dash": "dash"})
        figure.add_annotation(x=at, y=1, yref="paper", yanchor="bottom", text=f"threshold {at:.2f}", showarrow=False)
    unit = "× threshold" if found.thresholds[found.run] is not None else "raw: no threshold"
    figure.update_xaxes(title=f"score ({unit})", range=[low, high], zeroline=False, gridcolor="rgba(128,136,144,0.2)")
    figure.update_yaxes(title="samples", gridcolor="rgba(128,136,144,0.2)", zerolinecolor="rgba(128,136,144,0.5)")
    name = found.column_names()[found.run].removesuffix(" (raw)")
    finish(figure, f"Scores of {name}", top=58)
    figure.update_layout(barmode="overlay", bargap=0.06, height=222, margin={"l": 8, "r": 8, "b": 64, "t": 44})
    clear = {"bgcolor": "rgba(0,0,0,0)", "font": {"color": NEUTRAL_COLOUR}, "x": 0}
    return figure.update_layout(legend=clear | {"yref": "container", "y": 0.01, "yanchor": "bottom"})


def _bins(values: np.ndarray) -> tuple[float, float, float]:
    """First edge, last edge and width of bins with round numbers, 1 among the edges."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, LIMIT)
    rough = max(high - low, 1e-6) / HISTOGRAM_BINS
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough)
    return step * math.floor(low / step - 1), step * math.ceil(high / step + 1), step
