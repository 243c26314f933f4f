"""Charts of scores and of training losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go

from afrd.figures.drawing import (
    ANOMALOUS_COLOUR,
    CLEAR_LEGEND,
    GOOD_COLOUR,
    MAP_LIMIT,
    NEUTRAL_COLOUR,
    finish,
    unit_of,
)
from afrd.metrics.words import ANOMALOUS, GOOD

if TYPE_CHECKING:
    from afrd.runs.prediction import Prediction


def score_bars(predictions: Mapping[str, Prediction]) -> go.Figure:
    """Scores of several methods on one sample, each in units of its own threshold, which is the line at 1."""
    names = list(predictions)
    values = [p.score / unit_of(p) for p in predictions.values()]
    bar_colours = [
        {ANOMALOUS: ANOMALOUS_COLOUR, GOOD: GOOD_COLOUR}.get(p.verdict or "", NEUTRAL_COLOUR)
        for p in predictions.values()
    ]
    verdicts = [p.verdict or "no threshold" for p in predictions.values()]
    bars = go.Bar(
        x=values,
        y=names,
        orientation="h",
        marker_color=bar_colours,
        text=[f"{v:.2f} {s}" for v, s in zip(values, verdicts, strict=True)],
        hovertemplate="%{y}: %{text}<extra></extra>",
    )
    figure = go.Figure(bars)
    figure.add_vline(
        x=1, line_dash="dash", line_color=NEUTRAL_COLOUR, annotation_text="threshold", annotation_position="top"
    )
    figure.update_xaxes(title="score in units of the method's threshold", range=[0, max(MAP_LIMIT, *values) * 1.05])
    figure.update_yaxes(autorange="reversed", automargin=True)
    return finish(figure, "Scores").update_layout(height=150 + 32 * len(names), width=None)


def training_curve(history: pd.DataFrame) -> go.Figure:
    """The loss of every step, and its running mean over an epoch; `history` as `Run.history` gives it."""
    window = max(1, round(len(history) / max(1, history.epoch.nunique())))
    smooth = history.loss.rolling(window, min_periods=1).mean()
    figure = go.Figure(
        [
            go.Scatter(x=history.step, y=history.loss, name="each step", line_color="rgba(128, 136, 144, 0.5)"),
            go.Scatter(x=history.step, y=smooth, name="mean over an epoch", line_color=GOOD_COLOUR),
        ]
    )
    figure.update_traces(mode="lines", hovertemplate="step %{x}: %{y:.3f}<extra></extra>")
    figure.update_xaxes(title="step").update_yaxes(title="loss")
    above = {"x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"}
    return finish(figure, "Training", top=60).update_layout(height=320, width=None, legend=CLEAR_LEGEND | above)
