"""The chart of training losses."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from afrd.figures.drawing import CLEAR_LEGEND, GOOD_COLOUR, finish


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
