"""Figures about lights: Shapley values, cost against quality of rigs, redundancy, and pixel attributions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from PIL import Image
from plotly.colors import hex_to_rgb
from plotly.subplots import make_subplots
from scipy.cluster.hierarchy import dendrogram

from afrd.analysis.lights.sentences import UNIT_COST, UNIT_LIGHTS
from afrd.figures.drawing import ANOMALOUS_COLOUR, CLEAR_LEGEND, GOOD_COLOUR, NEUTRAL_COLOUR, finish
from afrd.figures.painting import blended
from afrd.metrics.words import METRIC_NAMES

if TYPE_CHECKING:
    from afrd.analysis.explain.light_score import LightAttribution
    from afrd.analysis.explain.pixel_score import PixelAttribution
    from afrd.analysis.lights.advice import Advice
    from afrd.analysis.lights.survey import Redundancy
    from afrd.data.dataset import Sample

RIG_COLOUR = "#009e73"  # Okabe & Ito's green: the recommended rig
# from values that lower a number (blue) over none (a light grey) to values that raise it (vermilion)
SIGNED_COLOURS = [(0.0, GOOD_COLOUR), (0.5, "#dfe3e7"), (1.0, ANOMALOUS_COLOUR)]
SMALL_PICTURE_SIDE = 256  # pixels of a picture among several
COLOUR_BAR: dict[str, Any] = {"thickness": 12, "outlinewidth": 0, "len": 0.9}


def pareto_front(advice: Advice) -> go.Figure:
    """Every set of lights by its cost and quality, the best for each cost, and the quality of such rigs on samples
    other than those they were selected on."""
    sets, name, unit = advice.sets, METRIC_NAMES[advice.metric], advice.unit
    all_lights = sets.iloc[-1]
    figure = go.Figure()
    figure.add_hrect(
        y0=all_lights.value - advice.delta,
        y1=all_lights.value,
        fillcolor=RIG_COLOUR,
        opacity=0.1,
        line_width=0,
        layer="below",
    )
    figure.add_hline(y=all_lights.value, line={"color": NEUTRAL_COLOUR, "dash": "dash", "width": 1})
    figure.add_annotation(
        x=1,
        xref="paper",
        y=all_lights.value - advice.delta,
        text=f"all lights, and {advice.delta:g} below",
        showarrow=False,
        xanchor="right",
        yanchor="top",
        font_size=11,
    )
    others = sets[~sets.front]
    figure.add_scatter(
        x=others.cost,
        y=others.value,
        mode="markers",
        name="other sets",
        marker={"color": NEUTRAL_COLOUR, "size": 5, "opacity": 0.55},
        customdata=others.lights,
        hovertemplate=f"%{{customdata}}<br>{name} %{{y:.3f}}, %{{x:g}} {unit}<extra></extra>",
    )
    front = sets[sets.front].sort_values("cost")
    figure.add_scatter(
        x=front.cost,
        y=front.value,
        mode="lines+markers",
        name="Pareto front, 95 % interval",
        line={"color": GOOD_COLOUR, "shape": "hv"},
        marker={"size": 9},
        error_y=_errors(front.value, front.low, front.high),
        customdata=np.stack([front.lights, front.low.round(3), front.high.round(3)], 1),
        hovertemplate=f"%{{customdata[0]}}<br>{name} %{{y:.3f}} [%{{customdata[1]}}, %{{customdata[2]}}], "
        f"%{{x:g}} {unit}<extra></extra>",
    )
    budgets = advice.budgets
    unbiased = all_lights.value + budgets.change
    figure.add_scatter(
        x=budgets.cost + 0.02 * all_lights.cost,  # beside the intervals of the front
        y=unbiased,
        mode="markers",
        name="selected on one half, evaluated on the other",
        marker={"color": ANOMALOUS_COLOUR, "symbol": "diamond-open", "size": 10, "line_width": 2},
        error_y=_errors(
            unbiased, all_lights.value + budgets.at_least, (all_lights.value + budgets.at_most).clip(upper=1)
        ),
        customdata=np.stack([budgets[n] for n in ("budget", "at_least", "at_most", "verdict")], 1),
        hovertemplate=f"rigs for at most %{{customdata[0]:g}} {unit}: {name} %{{y:.3f}}<br>against all lights "
        "%{customdata[1]:+.3f} to %{customdata[2]:+.3f}: %{customdata[3]}<extra></extra>",
    )
    rig = sets[sets.lights == ", ".join(advice.smallest_rig)]
    figure.add_scatter(
        x=rig.cost,
        y=rig.value,
        mode="markers",
        name=_short(f"smallest rig: {', '.join(advice.smallest_rig)}") if advice.enough else "all lights",
        marker={"color": "rgba(0,0,0,0)", "size": 19, "line": {"color": RIG_COLOUR, "width": 3}},
        customdata=rig.lights,
        hovertemplate="%{customdata}<extra></extra>",
    )
    titles = {UNIT_LIGHTS: "number of lights", UNIT_COST: "cost of the lights"}
    figure.update_xaxes(title=titles.get(unit, f"cost in {unit}"), rangemode="tozero")
    figure.update_yaxes(title=name)
    return _framed(figure, "What a rig costs and brings", 420, legend=True)


def light_values(advice: Advice) -> go.Figure:
    """Each light's Shapley value, and the change when it alone is left out."""
    lights, name = advice.lights.iloc[::-1], METRIC_NAMES[advice.metric]
    titles = [f"Shapley value, {name}", f"change of {name} without it"]
    figure = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=titles)
    figure.add_bar(
        x=lights.shapley,
        y=lights.index,
        orientation="h",
        marker_color=GOOD_COLOUR,
        error_x=_errors(lights.shapley, lights.shapley_low, lights.shapley_high),
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        row=1,
        col=1,
    )
    marks = {"needed": (ANOMALOUS_COLOUR, "circle"), "dispensable": (RIG_COLOUR, "diamond")}
    styles = [marks.get(verdict, (NEUTRAL_COLOUR, "circle-open")) for verdict in lights.verdict]
    colour, symbol = zip(*styles, strict=True)
    figure.add_scatter(
        x=lights.without,
        y=lights.index,
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": 10, "line": {"color": colour, "width": 2}},
        error_x=_errors(lights.without, lights.without_low, lights.without_high),
        customdata=lights.verdict,
        hovertemplate="without %{y}: %{x:+.3f}, %{customdata}<extra></extra>",
        row=1,
        col=2,
    )
    figure.add_vline(x=0, line={"color": NEUTRAL_COLOUR, "width": 1}, row=1, col=2)
    figure.add_vline(x=-advice.delta, line={"color": RIG_COLOUR, "width": 1, "dash": "dash"}, row=1, col=2)
    figure.update_xaxes(title="share in the quality", row=1, col=1)
    figure.update_xaxes(title=f"dashed: the tolerance, {-advice.delta:g}", tickformat="+.2~f", row=1, col=2)
    figure.update_yaxes(automargin=True)
    figure.update_layout(showlegend=False)
    figure.update_annotations(font_size=12)
    return _framed(figure, "Value of each light, 95 % intervals", 150 + 27 * len(lights), top=64)


def redundancy_map(redundancy: Redundancy) -> go.Figure:
    """Rank correlations between the lights' scores, clustered; the tree joins those that agree most first."""
    table = redundancy.table
    count = len(table)
    figure = make_subplots(2, 1, shared_xaxes=True, row_heights=[0.2, 0.8], vertical_spacing=0.01)
    tree = dendrogram(redundancy.tree, no_plot=True)
    for x, y in zip(tree["icoord"], tree["dcoord"], strict=True):
        figure.add_scatter(
            x=(np.array(x) - 5) / 10,  # leaves lie at 5, 15, 25 ...
            y=y,
            mode="lines",
            line={"color": NEUTRAL_COLOUR, "width": 1.5},
            hoverinfo="skip",
            showlegend=False,
            row=1,
            col=1,
        )
    figure.add_heatmap(
        x=list(range(count)),
        y=list(range(count)),
        z=table.to_numpy(),
        text=np.char.mod("%.2f", table.to_numpy()) if count <= 12 else None,
        texttemplate="%{text}" if count <= 12 else None,
        colorscale=SIGNED_COLOURS,
        zmin=-1,
        zmax=1,
        colorbar=COLOUR_BAR | {"title": {"text": "rank<br>correlation", "side": "top"}, "len": 0.8, "y": 0.4},
        customdata=[[f"{a} and {b}" for b in table] for a in table.index],
        hovertemplate="%{customdata}: %{z:.2f}<extra></extra>",
        row=2,
        col=1,
    )
    names = {"tickvals": list(range(count)), "ticktext": list(table), "showgrid": False, "zeroline": False}
    figure.update_xaxes(visible=False, range=[-0.5, count - 0.5], row=1, col=1)
    figure.update_yaxes(visible=False, row=1, col=1)
    figure.update_xaxes(**names, title=f"light (its own scores of {redundancy.samples} samples)", row=2, col=1)
    figure.update_yaxes(**names, autorange="reversed", automargin=True, row=2, col=1)
    kind = "" if redundancy.which == "all" else f", {redundancy.which} samples only"
    return _framed(figure, f"Redundancy of the lights{kind}", 210 + 34 * count, top=40)


def defect_lights(advice: Advice) -> go.Figure:
    """Change of each defect type's image AUROC when one light is left out; framed where it falls at 95 % confidence."""
    change = advice.without
    rows = [f"{kind} (n = {advice.defects.samples[kind]})" for kind in change.index]
    limit = max(0.05, float(np.nanmax(np.abs(change.to_numpy()), initial=0.0)))
    figure = go.Figure(
        go.Heatmap(
            x=list(change),
            y=rows,
            z=change.to_numpy(),
            text=np.char.mod("%+.2f", change.to_numpy()),
            texttemplate="%{text}",
            colorscale=[(1 - position, colour) for position, colour in reversed(SIGNED_COLOURS)],  # a fall is bad
            zmin=-limit,
            zmax=limit,
            xgap=2,
            ygap=2,
            colorbar=COLOUR_BAR | {"title": {"text": "change", "side": "top"}, "tickformat": "+.2~f"},
            hovertemplate="%{y} without %{x}: %{z:+.3f}<extra></extra>",
        )
    )
    for i, lost in enumerate(advice.defects.lost_without):
        for light in lost:
            j = list(change).index(light)
            figure.add_shape(
                type="rect", x0=j - 0.5, x1=j + 0.5, y0=i - 0.5, y1=i + 0.5, line={"color": NEUTRAL_COLOUR, "width": 3}
            )
    figure.update_xaxes(title="light that is left out<br>(framed: a loss beyond its 95 % interval)", showgrid=False)
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False)
    return _framed(
        figure, "Each defect type without one light: image AUROC", 176 + 34 * len(change), top=48
    ).update_layout(margin_b=72)


def light_shares(attribution: LightAttribution, unit: float = 1.0, title: str = "Shapley values") -> go.Figure:
    """Each light's contribution to one score: Shapley value, the score under it alone, and the loss without it.

    Args:
        attribution: of a sample or a region.
        unit: divisor of the numbers, such as the threshold.
        title: above the figure.
    """
    lights = list(attribution.lights)[::-1]
    shapley, alone, without = (
        values[::-1] / unit for values in (attribution.shapley, attribution.alone, attribution.without)
    )
    figure = go.Figure()
    figure.add_bar(
        x=shapley,
        y=lights,
        orientation="h",
        name="Shapley value",
        marker_color=GOOD_COLOUR,
        text=np.char.mod("%.2f", shapley),
        hovertemplate="%{y}: Shapley value %{x:.3f}<extra></extra>",
    )
    for values, name, symbol, colour in (
        (alone, "score under it alone", "circle-open", NEUTRAL_COLOUR),
        (without, "lost without it", "diamond", ANOMALOUS_COLOUR),
    ):
        figure.add_scatter(
            x=values,
            y=lights,
            mode="markers",
            name=name,
            marker={"symbol": symbol, "size": 9, "color": colour, "line": {"width": 2}},
            hovertemplate=f"%{{y}}: {name} %{{x:.3f}}<extra></extra>",
        )
    score = attribution.score / unit
    figure.add_vline(x=score, line={"color": NEUTRAL_COLOUR, "dash": "dash", "width": 1})
    figure.add_annotation(
        x=score, y=1, yref="paper", text=f"score {score:.2f}", showarrow=False, yanchor="bottom", font_size=11
    )
    figure.update_xaxes(title="anomaly score" if unit == 1.0 else "anomaly score in thresholds")
    figure.update_yaxes(automargin=True)
    return _framed(figure, title, 170 + 27 * len(lights), legend=True, top=58)


def pixel_shares(sample: Sample, attribution: PixelAttribution) -> go.Figure:
    """Pixels that raised the score (vermilion) or lowered it (blue), over the grey pictures.

    One scale for all pictures: full colour is the 99.9th percentile of the absolute values.
    """
    explained = [i for i in range(len(attribution.lights)) if np.isfinite(attribution.values[i]).all()]
    limit = float(np.quantile(np.abs(attribution.values[explained]), 0.999)) or 1.0
    columns = min(3, len(explained))
    rows = -(-len(explained) // columns)
    sums = attribution.values[explained].sum((1, 2), dtype=float)
    adds = attribution.method == "integrated gradients"
    titles = [
        attribution.lights[i] + (f": {total:+.2f}" if adds else "") for i, total in zip(explained, sums, strict=True)
    ]
    figure = make_subplots(rows, columns, subplot_titles=titles, horizontal_spacing=0.02, vertical_spacing=0.13 / rows)
    height, width = sample.images.shape[-2:]
    y, x = np.nonzero(attribution.region ^ _shrunk(attribution.region))
    for n, i in enumerate(explained):
        cell = {"row": n // columns + 1, "col": n % columns + 1}
        picture = sample.images[sample.lights.index(attribution.lights[i])].mean(0).numpy()  # (H, W)
        tinted = _tinted(picture, attribution.values[i] / limit)
        tinted.thumbnail((SMALL_PICTURE_SIDE, SMALL_PICTURE_SIDE))
        figure.add_layout_image(
            source=tinted, x=0, y=0, sizex=width, sizey=height, sizing="stretch", layer="below", **cell
        )
        figure.add_scatter(
            x=x + 0.5,
            y=y + 0.5,
            mode="markers",
            marker={"size": 2, "color": "#2ee6d6"},
            showlegend=False,
            hoverinfo="skip",
            **cell,
        )
        axis = f"x{n + 1 if n else ''}"
        figure.update_xaxes(visible=False, range=[0, width], constrain="domain", **cell)
        figure.update_yaxes(visible=False, range=[height, 0], scaleanchor=axis, constrain="domain", **cell)
    figure.update_annotations(font_size=12)
    error = f"; the sums miss the difference by {attribution.error:+.2f}" if adds else ""
    title = (
        f"Which pixels: {attribution.method}<br><sup>against {attribution.baseline}<br>score "
        f"{attribution.score:.2f}, with that instead {attribution.base:.2f}{error}</sup>"
    )
    tile = round((200 if rows > 1 else 300) * height / width)
    return _framed(figure, title, 110 + rows * (tile + 24), top=92).update_layout(margin_b=12)


def _short(text: str, longest: int = 44) -> str:
    return text if len(text) <= longest else text[: longest - 2].rstrip(", ") + " …"


def _tinted(picture: np.ndarray, values: np.ndarray) -> Image.Image:
    """A grey picture (H, W) in 0..1 with values (H, W) in -1..1 as colour over it."""
    strength = np.clip(np.abs(values), 0, 1) ** 0.7
    colour = np.where(values[..., None] > 0, hex_to_rgb(ANOMALOUS_COLOUR), hex_to_rgb(GOOD_COLOUR))
    grey = 40 + 0.7 * 255 * picture[..., None].clip(0, 1)
    return blended(grey, colour, strength)


def _shrunk(region: np.ndarray) -> np.ndarray:
    inside = np.pad(region, 1)
    return inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:] & region


def _errors(value: Any, low: Any, high: Any) -> dict[str, Any]:
    style = {"color": NEUTRAL_COLOUR, "thickness": 1.5, "width": 4}
    return {"type": "data", "symmetric": False, "array": high - value, "arrayminus": value - low, **style}


def _framed(figure: go.Figure, title: str, height: int, legend: bool = False, top: int = 48) -> go.Figure:
    finish(figure, title, top=top)
    figure.update_layout(height=height, width=None, margin={"b": 56, "l": 12, "r": 12})
    if legend:
        position = {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"}
        figure.update_layout(legend=CLEAR_LEGEND | {"font_size": 11} | position, margin_b=100)
    return figure
