"""Every figure and overlay: data in, a Plotly figure out; nothing is shown or saved here.

Maps are drawn in units of the run's own threshold, from 0 to 2, and never stretched per picture, so that a good part
looks calm and two methods can be compared by eye. The colours, and the way a map covers its picture, are defined here
once; the page draws with the same.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from contourpy import contour_generator
from PIL import Image
from plotly.colors import hex_to_rgb, sample_colorscale
from plotly.subplots import make_subplots

if TYPE_CHECKING:  # the page draws its first screen before torch is loaded
    from torch import Tensor

    from afrd.datasets import Sample
    from afrd.runs import Prediction

LIMIT = 2.0  # maps are drawn from 0 to this many thresholds
CLEAR, FULL = 0.45, 1.1  # below the first, a map over a picture is transparent; from the second on it covers
ERROR_COLOURS = "Inferno"  # perceptual, light and dark in every kind of colour vision
SHARE_COLOURS = "Cividis"  # of attention, which is another quantity, from 0 to 1
TRUTH_COLOUR, THRESHOLD_COLOUR = "#2ee6d6", "#ffffff"  # lines over pictures
GOOD_COLOUR, ANOMALOUS_COLOUR, NEUTRAL_COLOUR = "#0072b2", "#d55e00", "#808890"  # Okabe & Ito's blue and vermilion
MAP_SIDE = 256  # pixels of a map that is drawn, longer side
TILE = 230  # pixels of one picture among several


def colours(scale: str, count: int = 256) -> list[str]:
    """`count` colours of a scale as `#rrggbb`, from low to high."""
    found = sample_colorscale(scale, np.linspace(0, 1, count).tolist(), colortype="tuple")
    return ["#{:02x}{:02x}{:02x}".format(*(round(255 * c) for c in rgb)) for rgb in found]


def coverage(value: np.ndarray | float) -> np.ndarray:
    """How much of the picture a map of this value (in thresholds) covers, 0..1: nothing when calm, all beyond 1.1."""
    t = np.clip((np.asarray(value) - CLEAR) / (FULL - CLEAR), 0, 1)
    return t * t * (3 - 2 * t)


def main_light(lights: Sequence[str]) -> str:
    """The light to show first: the light box where there is one, else the last."""
    return "box" if "box" in lights else lights[-1]


def unit_of(prediction: Prediction) -> float:
    """What 1 means in a drawn map: the threshold, or an error of 1 where the run has none."""
    return prediction.threshold.value if prediction.threshold else 1.0


def unit_name(prediction: Prediction) -> str:
    return "× threshold" if prediction.threshold else "error (no threshold)"


def picture_uri(picture: Tensor, side: int = 512) -> str:
    """A picture (3, H, W) in 0..1 as a data URI, its longer side at most `side` pixels."""
    array = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()  # (H, W, 3)
    image = Image.fromarray(array)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return _uri(image, "webp", quality=92, method=2)


def map_uri(values: np.ndarray, limit: float = LIMIT, side: int = MAP_SIDE) -> str:
    """A map (H, W) as the data URI of a grey PNG: 0 is 0, 255 is `limit` and more."""
    small = shrink(values, side)
    grey = np.clip(np.nan_to_num(small) / limit * 255, 0, 255).round().astype(np.uint8)
    return _uri(Image.fromarray(grey), "png", compress_level=3)


def _uri(image: Image.Image, kind: str, **options: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def shrink(values: np.ndarray, side: int = MAP_SIDE) -> np.ndarray:
    """A map (H, W) with its longer side at most `side`; blocks are replaced by their maximum, so no peak is lost."""
    height, width = values.shape
    factor = side / max(height, width)
    if factor >= 1:
        return values
    target = (max(1, round(height * factor)), max(1, round(width * factor)))
    rows, columns = (np.arange(n) * full // n for n, full in zip(target, values.shape, strict=True))
    return np.maximum.reduceat(np.maximum.reduceat(values, rows, axis=0), columns, axis=1)


def contour_lines(values: np.ndarray, level: float, size: tuple[int, int] | None = None) -> list[np.ndarray]:
    """Closed lines around where a map (h, w) lies above `level`: (points, 2) arrays of x, y in pixels of `size`."""
    height, width = size or values.shape
    padded = np.pad(values.astype(float), 1, mode="edge")
    inside = padded[1:-1, 1:-1].copy()
    padded = np.minimum(padded, 2 * level - padded)  # so that a line along the border lies on it, half way to the ring
    padded[1:-1, 1:-1] = inside
    scale = np.array([width / values.shape[1], height / values.shape[0]])
    lines = [np.asarray(line) for line in contour_generator(z=padded).lines(level)]  # pixel i is at i + 1
    return [np.clip((line - 0.5) * scale, 0, [width, height]) for line in lines if len(line) > 2]


def truth_lines(sample: Sample) -> list[np.ndarray]:
    """Outline of the defective pixels; empty for a good sample and where they are not known."""
    return [] if sample.mask is None or not sample.mask.any() else contour_lines(sample.mask.numpy(), 0.5)


def truth_text(sample: Sample) -> str:
    """`good`, `anomalous: bumps`, or that it is not known."""
    if sample.anomalous is None:
        return "truth not known"
    if not sample.anomalous:
        return "good"
    return f"anomalous: {', '.join(sample.defects)}" if sample.defects else "anomalous"


def score_text(prediction: Prediction) -> str:
    """Such as `score 1.34 × threshold: anomalous`."""
    if prediction.threshold is None:
        return f"score {prediction.score:.3g}: no verdict without a threshold"
    return f"score {prediction.score / unit_of(prediction):.2f} × threshold: {prediction.verdict}"


def overlay(sample: Sample, prediction: Prediction, light: str | None = None, title: str | None = None) -> go.Figure:
    """The anomaly map over the picture of one light, with the true defect's outline and the threshold's line.

    Args:
        sample: what was looked at.
        prediction: what a run says of it.
        light: whose picture to show; the light box or the last light by default.
        title: above the figure; the sample's name, truth and score by default.

    Raises:
        ValueError: the sample has no such light.
    """
    figure = _grid([light or main_light(sample.lights)], sample, columns=1, tile=440)
    _add_map(figure, sample, prediction.anomaly_map / unit_of(prediction), 1, 1, unit_name(prediction))
    _add_lines(figure, sample, prediction, 1, 1)
    text = title or f"{sample.name}, {truth_text(sample)}<br>{score_text(prediction)}"
    return _finish(figure, text, error_unit=unit_name(prediction))


def compare_maps(
    sample: Sample,
    prediction: Prediction,
    other: Prediction,
    names: tuple[str, str] = ("AFRD", "single-light RD"),
    light: str | None = None,
) -> go.Figure:
    """Two methods' maps of one sample side by side, each in units of its own threshold, on one colour scale."""
    shown = light or main_light(sample.lights)
    titles = [f"{n}<br>{score_text(p)}" for n, p in zip(names, (prediction, other), strict=True)]
    figure = _grid([shown, shown], sample, columns=2, tile=360, titles=titles)
    for column, said in enumerate((prediction, other), 1):
        _add_map(figure, sample, said.anomaly_map / unit_of(said), 1, column, unit_name(said))
        _add_lines(figure, sample, said, 1, column, legend=column == 1)
    units = unit_name(prediction) if unit_name(prediction) == unit_name(other) else "in each run's own unit"
    return _finish(figure, f"{sample.name}, {truth_text(sample)}", error_unit=units, top=110)


def light_strip(sample: Sample) -> go.Figure:
    """The pictures of a sample under all its lights, with the true defect's outline."""
    figure = _grid(sample.lights, sample)
    for i in range(len(sample.lights)):
        _add_lines(figure, sample, None, *_place(i, len(sample.lights)), legend=i == 0)
    return _finish(figure, f"{sample.name}, {truth_text(sample)}")


def light_error_maps(sample: Sample, prediction: Prediction) -> go.Figure:
    """The error map of every light that was used, over its own picture, on the scale of the anomaly map."""
    figure = _grid(prediction.lights, sample)
    for i, errors in enumerate(prediction.light_maps):
        place = _place(i, len(prediction.lights))
        _add_map(figure, sample, errors / unit_of(prediction), *place, unit_name(prediction), side=MAP_SIDE // 2)
        _add_lines(figure, sample, None, *place, legend=i == 0)
    text = f"{sample.name}: error under each light; {score_text(prediction)}"
    return _finish(figure, text, error_unit=unit_name(prediction))


def attention_maps(sample: Sample, prediction: Prediction) -> go.Figure:
    """How much each light had to say at each place, from 0 to 1; in the titles its mean, and at the map's peak."""
    mean, peak = attention_weights(prediction)
    titles = [f"{n}<br>mean {m:.2f}, at peak {p:.2f}" for n, m, p in zip(prediction.lights, mean, peak, strict=True)]
    figure = _grid(prediction.lights, sample, titles=titles)
    for i, share in enumerate(prediction.attention):
        place = _place(i, len(prediction.lights))
        _add_map(figure, sample, share, *place, "of the attention", axis="coloraxis2", opacity=0.75, side=MAP_SIDE // 2)
        _add_lines(figure, sample, None, *place, legend=i == 0)
    return _finish(figure, f"{sample.name}: attention over the lights", shares=True, top=110)


def attention_weights(prediction: Prediction) -> tuple[np.ndarray, np.ndarray]:
    """Each light's attention, mean over the picture and at the anomaly map's maximum: twice (L,)."""
    row, column = np.unravel_index(int(prediction.anomaly_map.argmax()), prediction.anomaly_map.shape)
    return prediction.attention.mean((1, 2)), prediction.attention[:, row, column]


def score_bars(predictions: Mapping[str, Prediction]) -> go.Figure:
    """Scores of several methods on one sample, each in units of its own threshold, which is the line at 1."""
    names = list(predictions)
    values = [p.score / unit_of(p) for p in predictions.values()]
    bar_colours = [
        {"anomalous": ANOMALOUS_COLOUR, "good": GOOD_COLOUR}.get(p.verdict or "", NEUTRAL_COLOUR)
        for p in predictions.values()
    ]
    said = [p.verdict or "no threshold" for p in predictions.values()]
    bars = go.Bar(
        x=values,
        y=names,
        orientation="h",
        marker_color=bar_colours,
        text=[f"{v:.2f} {s}" for v, s in zip(values, said, strict=True)],
        hovertemplate="%{y}: %{text}<extra></extra>",
    )
    figure = go.Figure(bars)
    figure.add_vline(x=1, line_dash="dash", line_color=NEUTRAL_COLOUR, annotation_text="threshold")
    figure.update_xaxes(title="score in units of the method's threshold", range=[0, max(LIMIT, *values) * 1.05])
    figure.update_yaxes(autorange="reversed", automargin=True)
    return _finish(figure, "Scores").update_layout(height=150 + 32 * len(names), width=None)


def training_curve(history: pd.DataFrame) -> go.Figure:
    """The loss of every step, and its running mean over an epoch; `history` as `Run.history` gives it."""
    window = max(1, round(len(history) / max(1, history.epoch.nunique())))
    smooth = history.loss.rolling(window, min_periods=1).mean()
    figure = go.Figure(
        [
            go.Scattergl(x=history.step, y=history.loss, name="each step", line_color="rgba(128, 136, 144, 0.5)"),
            go.Scatter(x=history.step, y=smooth, name="mean over an epoch", line_color=GOOD_COLOUR),
        ]
    )
    figure.update_traces(mode="lines", hovertemplate="step %{x}: %{y:.3f}<extra></extra>")
    figure.update_xaxes(title="step").update_yaxes(title="loss")
    return _finish(figure, "Training").update_layout(height=320, width=None)


def _place(i: int, count: int, columns: int = 6) -> tuple[int, int]:
    columns = min(count, columns)
    return i // columns + 1, i % columns + 1


def _grid(
    lights: Sequence[str],
    sample: Sample,
    columns: int = 6,
    tile: int = TILE,
    titles: Sequence[str] | None = None,
) -> go.Figure:
    """Pictures under these lights, a light a place, ready for maps and lines over them."""
    images = [sample.select([light]).images[0] for light in dict.fromkeys(lights)]  # each (3, H, W)
    of_light = dict(zip(dict.fromkeys(lights), images, strict=True))
    height, width = sample.images.shape[-2:]
    columns = min(len(lights), columns)
    rows = -(-len(lights) // columns)
    titles = list(titles or lights)
    figure = make_subplots(rows, columns, subplot_titles=titles, horizontal_spacing=0.015, vertical_spacing=0.12 / rows)
    for i, light in enumerate(lights):
        row, column = _place(i, len(lights), columns)
        uri = picture_uri(of_light[light], 2 * tile if tile > TILE else 256)
        figure.add_layout_image(
            source=uri, x=0, y=0, sizex=width, sizey=height, sizing="stretch", layer="below", row=row, col=column
        )
        # a trace that shows nothing gives an otherwise empty subplot its axes
        figure.add_scatter(x=[None], y=[None], showlegend=False, hoverinfo="skip", row=row, col=column)
        number = (row - 1) * columns + column
        axis = f"x{number if number > 1 else ''}"
        figure.update_xaxes(visible=False, range=[0, width], constrain="domain", row=row, col=column)
        figure.update_yaxes(visible=False, range=[height, 0], scaleanchor=axis, constrain="domain", row=row, col=column)
    figure.update_annotations(font_size=12)
    lines = 1 + max(title.count("<br>") for title in titles)
    figure.update_layout(width=tile * columns + 110, height=round(rows * tile * height / width) + 110 + 18 * lines)
    return figure


def _add_map(
    figure: go.Figure,
    sample: Sample,
    values: np.ndarray,
    row: int,
    column: int,
    unit: str,
    axis: str = "coloraxis",
    opacity: float = 1.0,
    side: int = MAP_SIDE,
) -> None:
    small = shrink(values, side)
    height, width = sample.images.shape[-2:]
    step_y, step_x = height / small.shape[0], width / small.shape[1]
    figure.add_heatmap(
        z=np.round(small, 3).astype(np.float32),
        x0=step_x / 2,
        dx=step_x,
        y0=step_y / 2,
        dy=step_y,
        coloraxis=axis,
        opacity=opacity,
        hovertemplate=f"x %{{x:.0f}}, y %{{y:.0f}}<br>%{{z:.2f}} {unit}<extra></extra>",
        row=row,
        col=column,
    )


def _add_lines(
    figure: go.Figure, sample: Sample, prediction: Prediction | None, row: int, column: int, legend: bool = True
) -> None:
    """The true defect's outline, and where the map passes the threshold."""
    height, width = sample.images.shape[-2:]
    kinds = [("true defect", truth_lines(sample), TRUTH_COLOUR, "solid")]
    if prediction is not None and prediction.threshold is not None:
        passed = contour_lines(shrink(prediction.anomaly_map) / unit_of(prediction), 1.0, (height, width))
        kinds.append(("threshold", passed, THRESHOLD_COLOUR, "dot"))
    for name, lines, colour, dash in kinds:
        if not lines:
            continue
        gap = np.full((1, 2), np.nan)
        points = np.concatenate([part for line in lines for part in (line, gap)]).round(1)
        for line_width, line_colour in ((4, "rgba(0, 0, 0, 0.55)"), (2, colour)):  # a dark edge, to be seen anywhere
            figure.add_scatter(
                x=points[:, 0],
                y=points[:, 1],
                mode="lines",
                name=name,
                legendgroup=name,
                showlegend=legend and line_width == 2,
                line={"color": line_colour, "width": line_width, "dash": dash if line_width == 2 else "solid"},
                hoverinfo="skip",
                row=row,
                col=column,
            )


def _finish(
    figure: go.Figure, title: str, error_unit: str | None = None, shares: bool = False, top: int = 80
) -> go.Figure:
    bar = {"thickness": 14, "outlinewidth": 0, "len": 0.9}
    if error_unit:
        name = "1.0 threshold" if "threshold" in error_unit and "no" not in error_unit else "1.0"
        ticks = {"tickvals": [0, 0.5, 1, 1.5, 2], "ticktext": ["0", "0.5", name, "1.5", "≥ 2"]}
        title_of_bar = {"text": error_unit, "side": "top"}
        figure.update_layout(
            coloraxis={
                "colorscale": _covering_colours(),
                "cmin": 0,
                "cmax": LIMIT,
                "colorbar": bar | ticks | {"title": title_of_bar},
            }
        )
    if shares:
        axis = {"colorscale": SHARE_COLOURS, "cmin": 0, "cmax": 1, "colorbar": bar | {"title": {"text": "attention"}}}
        figure.update_layout(coloraxis2=axis)
    figure.update_layout(
        title={"text": title, "font_size": 15, "x": 0.01, "xanchor": "left"},
        template="plotly_white",
        font={"family": "system-ui, sans-serif", "color": NEUTRAL_COLOUR},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 16, "r": 16, "t": top, "b": 40},
        legend={"orientation": "h", "x": 0, "y": -0.03, "yanchor": "top"},
        hoverlabel={"namelength": 0},
    )
    figure.update_layout(title={"y": 1, "yanchor": "top", "yref": "container", "pad": {"t": 12}})
    # dark as the pictures are: the threshold's line is white
    return figure.update_layout(legend={"bgcolor": "#33373d", "font": {"color": "#ffffff"}})


def _covering_colours(count: int = 41) -> list[tuple[float, str]]:
    """The error scale, transparent where the map is calm, so that the picture is seen there."""
    places = np.linspace(0, 1, count)
    rgb = [hex_to_rgb(c) for c in colours(ERROR_COLOURS, count)]
    alpha = coverage(places * LIMIT) * 0.9
    return [(float(p), f"rgba({r},{g},{b},{a:.3f})") for p, (r, g, b), a in zip(places, rgb, alpha, strict=True)]
