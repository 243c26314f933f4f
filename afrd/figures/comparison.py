"""Figures of several methods on one split: differences with their intervals, ROC and PRO curves, defect types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from afrd.figures.drawing import ANOMALOUS_COLOUR, CLEAR_LEGEND, GOOD_COLOUR, NEUTRAL_COLOUR, finish

if TYPE_CHECKING:
    from afrd.analysis.comparison.differences import Curves

# Okabe & Ito's colours for lines on light and dark ground, each with a dash and a mark of its own
METHOD_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#808890")
METHOD_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
METHOD_MARKS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")
GRID_LINE_COLOUR = "rgba(128, 136, 144, 0.28)"  # visible on light and dark ground
VERDICT_STYLES = {  # verdict on the other method: colour, mark, legend
    "worse": (GOOD_COLOUR, "circle", "the reference is better"),
    "even": (NEUTRAL_COLOUR, "circle-open", "not told apart"),
    "better": (ANOMALOUS_COLOUR, "diamond", "the other is better"),
}


def difference_forest(differences: pd.DataFrame, quantity: str, reference: str) -> go.Figure:
    """The reference minus every other method, dot and paired interval, with the line of no difference.

    Args:
        differences: as `afrd.analysis.comparison.differences.differences` gives it.
        quantity: name of the metric.
        reference: name of the reference method.
    """
    figure = go.Figure()
    for verdict, (colour, mark, legend) in VERDICT_STYLES.items():
        rows = differences[differences.verdict == verdict]
        figure.add_scatter(
            x=rows.difference,
            y=rows.method,
            error_x={
                "type": "data",
                "symmetric": False,
                "array": rows.high - rows.difference,
                "arrayminus": rows.difference - rows.low,
                "thickness": 2,
                "width": 4,
            },
            mode="markers",
            marker={"color": colour, "symbol": mark, "size": 10, "line": {"color": colour, "width": 2}},
            name=legend,
            showlegend=bool(len(rows)),
            customdata=np.stack([rows.low, rows.high], 1) if len(rows) else None,
            hovertemplate="%{y}<br>%{x:+.3f} [%{customdata[0]:+.3f}, %{customdata[1]:+.3f}]<extra></extra>",
        )
    figure.add_vline(x=0, line_color=NEUTRAL_COLOUR, line_width=1.5)
    figure.update_xaxes(
        title=f"difference in {quantity}, 95 % interval<br>← the other is better · the reference is better →",
        gridcolor=GRID_LINE_COLOUR,
        tickformat="+.2~f",
    )
    order = list(differences.method)
    figure.update_yaxes(categoryorder="array", categoryarray=order[::-1], automargin=True, gridcolor=GRID_LINE_COLOUR)
    title = f"{reference}, minus each other method: {quantity}"
    return _with_legend(figure, title, 140 + 25 * len(order), top=70, bottom=62)


def roc_curves(curves: Mapping[str, Curves]) -> go.Figure:
    """Receiver operating characteristic of the image scores, with a mark at each method's own threshold."""
    figure = go.Figure()
    for i, (name, of_method) in enumerate(curves.items()):
        figure.add_scatter(x=of_method.image.fpr, y=of_method.image.tpr, **_line(i, name), hovertemplate=_hover(name))
        if of_method.at is not None:
            figure.add_scatter(
                x=[of_method.at[0]],
                y=[of_method.at[1]],
                mode="markers",
                marker={"color": _colour(i), "symbol": METHOD_MARKS[i % len(METHOD_MARKS)], "size": 11},
                legendgroup=name,
                showlegend=False,
                hovertemplate=f"{name}<br>at its threshold: "
                + "%{y:.2f} detected, %{x:.2f} false alarms<extra></extra>",
            )
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": NEUTRAL_COLOUR, "dash": "dot", "width": 1}, showlegend=False
    )
    figure.update_xaxes(
        title="false alarms, share of the good samples", range=[-0.02, 1.02], gridcolor=GRID_LINE_COLOUR
    )
    figure.update_yaxes(
        title="detected, share of the anomalous samples", range=[-0.02, 1.04], gridcolor=GRID_LINE_COLOUR
    )
    return _with_legend(figure, "Samples: ROC (marks: at the own threshold)", 390, top=48, below=len(curves), bottom=52)


def pro_curves(curves: Mapping[str, Curves]) -> go.Figure:
    """Per-region overlap of the anomaly maps against false alarms, up to the limit of AUPRO."""
    figure = go.Figure()
    for i, (name, of_method) in enumerate(curves.items()):
        figure.add_scatter(
            x=of_method.regions.fpr, y=of_method.regions.pro, **_line(i, name), hovertemplate=_hover(name)
        )
    figure.update_xaxes(
        title="false alarms, share of the normal pixels", range=[-0.006, 0.306], gridcolor=GRID_LINE_COLOUR
    )
    figure.update_yaxes(
        title="detected, mean share of a defective region", range=[-0.02, 1.04], gridcolor=GRID_LINE_COLOUR
    )
    return _with_legend(figure, "Pixels: per-region overlap (PRO) up to 0.3", 390, top=48, below=len(curves), bottom=52)


def defect_bars(tables: Mapping[str, pd.DataFrame]) -> go.Figure:
    """Methods by defect type: image AUROC of its samples against all good ones, pixel AP over its samples.

    Args:
        tables: by method, as `afrd.analysis.comparison.differences.by_defect` gives them.
    """
    panels = {"image_auroc": "image AUROC, against all good samples", "pixel_ap": "pixel AP, over its samples"}
    figure = make_subplots(1, 2, subplot_titles=list(panels.values()), horizontal_spacing=0.07)
    for i, (name, table) in enumerate(tables.items()):
        kinds = [f"{kind}<br>n = {n}" for kind, n in zip(table.defect, table.samples, strict=True)]
        for column, metric in enumerate(panels, 1):
            value, low, high = (table[f"{metric}{end}"] for end in ("", "_low", "_high"))
            figure.add_bar(
                x=kinds,
                y=value,
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": high - value,
                    "arrayminus": value - low,
                    "color": NEUTRAL_COLOUR,
                    "thickness": 1.5,
                    "width": 3,
                },
                marker={"color": _colour(i), "pattern": {"shape": ("", "/", ".", "x", "-", "\\")[i % 6], "size": 5}},
                name=name,
                legendgroup=name,
                showlegend=column == 1,
                customdata=np.stack([low, high], 1) if len(table) else None,
                hovertemplate=f"{name}<br>%{{x}}: %{{y:.3f}} [%{{customdata[0]:.3f}}, %{{customdata[1]:.3f}}]"
                "<extra></extra>",
                row=1,
                col=column,
            )
    figure.update_xaxes(title="defect type").update_yaxes(range=[0, 1.05], gridcolor=GRID_LINE_COLOUR)
    figure.update_yaxes(title="image AUROC", row=1, col=1).update_yaxes(title="pixel AP", row=1, col=2)
    figure.update_annotations(font_size=12)
    figure.update_layout(barmode="group", bargap=0.25)
    return _with_legend(figure, "By defect type, with 95 % intervals", 380, top=74, below=len(tables), bottom=72)


def _colour(i: int) -> str:
    return METHOD_COLOURS[i % len(METHOD_COLOURS)]


def _line(i: int, name: str) -> dict:
    line = {"color": _colour(i), "dash": METHOD_DASHES[i % len(METHOD_DASHES)], "width": 2.6 if i == 0 else 2}
    return {"mode": "lines", "name": name, "legendgroup": name, "line": line}


def _hover(name: str) -> str:
    return f"{name}<br>%{{y:.3f}} detected at %{{x:.3f}} false alarms<extra></extra>"


def _with_legend(figure: go.Figure, title: str, height: int, top: int, below: int = 0, bottom: int = 40) -> go.Figure:
    """The layout, with a legend without a ground of its own, as there are no white lines here.

    Args:
        height: of everything but the legend.
        top: margin.
        below: number of methods in the legend below the axes; 0: the legend lies between title and axes.
        bottom: margin for the axis.
    """
    finish(figure, title, top=top)
    legend: dict = CLEAR_LEGEND | {"font_size": 11.5, "y": 1, "yanchor": "bottom"}
    lines = -(-below // 2)
    if below:
        legend |= {"yref": "container", "y": 0}
    figure.update_xaxes(zeroline=False).update_yaxes(zeroline=False)  # drawn white on dark ground
    return figure.update_layout(legend=legend, height=height + 21 * lines, width=None, margin_b=bottom + 21 * lines)
