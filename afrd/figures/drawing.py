"""Shared by all figures: colours, units, texts, pictures as data URIs, and the layout around a figure."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from contourpy import contour_generator
from PIL import Image
from plotly.colors import hex_to_rgb, sample_colorscale

from afrd.metrics.words import ANOMALOUS, label_word

if TYPE_CHECKING:  # the page draws its first screen before torch is loaded
    from torch import Tensor

    from afrd.data.dataset import Sample
    from afrd.runs.prediction import Prediction

MAP_LIMIT = 2.0  # maps are drawn from 0 to this many thresholds
CLEAR_BELOW, OPAQUE_ABOVE = 0.45, 1.1  # thresholds: a map over a picture is transparent below, opaque above
ERROR_COLOURS = "Inferno"  # perceptually uniform, readable with any colour vision
SHARE_COLOURS = "Cividis"  # of attention, 0..1
DIFFERENCE_COLOURS = "PuOr_r"  # of two maps, 0 in the middle; violet and orange differ in every kind of colour vision
TRUTH_COLOUR, THRESHOLD_COLOUR = "#2ee6d6", "#ffffff"  # lines over pictures
GRID_COLOUR = "rgba(128, 136, 144, 0.25)"  # visible on light and on dark ground
GOOD_COLOUR, ANOMALOUS_COLOUR, NEUTRAL_COLOUR = "#0072b2", "#d55e00", "#808890"  # Okabe & Ito's blue and vermilion
CLEAR_LEGEND = {"bgcolor": "rgba(0,0,0,0)", "font_color": NEUTRAL_COLOUR}  # where no line is white, unlike `finish`
MAP_SIDE = 256  # pixels of a drawn map, longer side
TILE_PIXELS = 230  # pixels of one picture among several


def colours(scale: str, count: int = 256) -> list[str]:
    """`count` colours of a scale as `#rrggbb`, from low to high."""
    sampled = sample_colorscale(scale, np.linspace(0, 1, count).tolist(), colortype="tuple")
    return ["#{:02x}{:02x}{:02x}".format(*(round(255 * c) for c in rgb)) for rgb in sampled]


def coverage(value: np.ndarray | float) -> np.ndarray:
    """Opacity 0..1 of a map of this value (in thresholds) over its picture; see `CLEAR_BELOW`, `OPAQUE_ABOVE`."""
    t = np.clip((np.asarray(value) - CLEAR_BELOW) / (OPAQUE_ABOVE - CLEAR_BELOW), 0, 1)
    return t * t * (3 - 2 * t)


def main_light(lights: Sequence[str]) -> str:
    """The light to show first: the light box where there is one, else the first."""
    return "box" if "box" in lights else lights[0]


def unit_of(prediction: Prediction) -> float:
    """The value that is 1 in a drawn map: the threshold, or an error of 1 where the run has none."""
    return prediction.threshold.value if prediction.threshold else 1.0


def unit_name(prediction: Prediction) -> str:
    return "× threshold" if prediction.threshold else "error (no threshold)"


def as_image(picture: Tensor) -> Image.Image:
    """A picture (3, H, W) in 0..1 as a PIL image."""
    return Image.fromarray((picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())


def picture_uri(picture: Tensor, side: int = 512) -> str:
    """A picture (3, H, W) in 0..1 as a data URI, its longer side at most `side` pixels."""
    image = as_image(picture)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return _uri(image, "webp", quality=92, method=2)


def patch_uri(picture: Tensor, place: tuple[int, int], share: float, side: int) -> str:
    """The square around a place (x, y) of a picture (3, H, W) in 0..1, as a data URI of `side` pixels.

    `share` is the square's side as a fraction of the picture's longer side. Outside the picture its border is repeated.
    """
    half = max(4, round(share * max(picture.shape[-2:]) / 2))
    padded = np.pad(np.asarray(as_image(picture)), ((half, half), (half, half), (0, 0)), mode="edge")  # (H, W, 3)
    x, y = place
    patch = Image.fromarray(padded[y : y + 2 * half + 1, x : x + 2 * half + 1])
    return _uri(patch.resize((side, side), Image.Resampling.BICUBIC), "webp", quality=92, method=2)


def map_uri(values: np.ndarray, limit: float = MAP_LIMIT, side: int = MAP_SIDE) -> str:
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
    rows, columns = (np.arange(n) * extent // n for n, extent in zip(target, values.shape, strict=True))
    return np.maximum.reduceat(np.maximum.reduceat(values, rows, axis=0), columns, axis=1)


def contour_lines(values: np.ndarray, level: float, size: tuple[int, int] | None = None) -> list[np.ndarray]:
    """Closed contours of a map (h, w) at `level`: (points, 2) arrays of x, y in pixels of `size`."""
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
    """`good`, `anomalous: bumps`, or `truth not known`."""
    if sample.anomalous is None:
        return "truth not known"
    return label_word(sample.anomalous, ": ".join(filter(None, (ANOMALOUS, ", ".join(sample.defects)))))


def score_text(prediction: Prediction) -> str:
    """Such as `score 1.34 × threshold: anomalous`."""
    if prediction.threshold is None:
        return f"score {prediction.score:.3g}: no verdict without a threshold"
    return f"score {prediction.score / unit_of(prediction):.2f} × threshold: {prediction.verdict}"


def finish(
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
                "cmax": MAP_LIMIT,
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
    figure.update_xaxes(gridcolor=GRID_COLOUR, zerolinecolor=GRID_COLOUR)
    figure.update_yaxes(gridcolor=GRID_COLOUR, zerolinecolor=GRID_COLOUR)
    figure.update_layout(title={"y": 1, "yanchor": "top", "yref": "container", "pad": {"t": 12}})
    # dark ground, as the threshold's line is white
    return figure.update_layout(legend={"bgcolor": "#33373d", "font": {"color": "#ffffff"}})


def _covering_colours(count: int = 41) -> list[tuple[float, str]]:
    """The error scale, transparent at low values, so that the picture shows there."""
    places = np.linspace(0, 1, count)
    rgb = [hex_to_rgb(c) for c in colours(ERROR_COLOURS, count)]
    alpha = coverage(places * MAP_LIMIT) * 0.9
    return [(float(p), f"rgba({r},{g},{b},{a:.3f})") for p, (r, g, b), a in zip(places, rgb, alpha, strict=True)]
