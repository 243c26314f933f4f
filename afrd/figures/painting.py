"""Images with their map painted in, for places without Plotly: the same colours and lines as in the figures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw
from plotly.colors import hex_to_rgb

from afrd.figures.drawing import (
    ERROR_COLOURS,
    MAP_LIMIT,
    THRESHOLD_COLOUR,
    TRUTH_COLOUR,
    _uri,
    as_image,
    colours,
    contour_lines,
    coverage,
    shrink,
    truth_lines,
    unit_of,
)

if TYPE_CHECKING:
    from torch import Tensor

    from afrd.data.dataset import Sample
    from afrd.runs.prediction import Prediction

EDGE_COLOUR = (0, 0, 0, 140)


def painted(sample: Sample, prediction: Prediction | None, light: str, side: int = 512) -> Image.Image:
    """The picture of one light with the anomaly map over it, the threshold's line and the true defect's outline.

    Args:
        sample: the sample.
        prediction: of a run on this sample, drawn in units of its threshold; None for the picture alone.
        light: whose picture to show.
        side: longer side of the result in pixels.

    Raises:
        ValueError: the sample has no such light.
    """
    picture = sample.select([light]).images[0]
    scale = side / max(picture.shape[-2:])
    height, width = (max(1, round(pixels * scale)) for pixels in picture.shape[-2:])
    values = None if prediction is None else shrink(prediction.anomaly_map) / unit_of(prediction)
    image = covered(as_image(picture).resize((width, height), Image.Resampling.LANCZOS), values)
    pen = ImageDraw.Draw(image, "RGBA")
    if values is not None and prediction is not None and prediction.threshold is not None:
        for line in contour_lines(values, 1.0, (height, width)):
            _dashed(pen, line)
    for line in truth_lines(sample):
        _line(pen, line * scale, TRUTH_COLOUR)
    return image


def covered(image: Image.Image, values: np.ndarray | None) -> Image.Image:
    """A picture under its map (h, w), in units of the threshold and of any size; low values show the picture."""
    if values is None:
        return image
    finite = np.nan_to_num(values).astype(np.float32)
    sized = np.asarray(Image.fromarray(finite).resize(image.size, Image.Resampling.BILINEAR))  # (H, W)
    colour = _palette()[np.clip(sized / MAP_LIMIT * 255, 0, 255).round().astype(int)]  # (H, W, 3)
    return blended(np.asarray(image), colour, coverage(sized) * 0.9)


def blended(picture: np.ndarray, colour: np.ndarray, share: np.ndarray) -> Image.Image:
    """`share` (H, W) in 0..1 of a colour over a picture, both 0..255 and broadcast to (H, W, 3)."""
    mixed = (1 - share[..., None]) * picture + share[..., None] * colour
    return Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8))


@cache
def _palette() -> np.ndarray:
    return np.array([hex_to_rgb(colour) for colour in colours(ERROR_COLOURS)], dtype=np.float32)  # (256, 3)


def _line(pen: ImageDraw.ImageDraw, points: np.ndarray, colour: str) -> None:
    corners = [(float(x), float(y)) for x, y in points]
    if len(corners) > 1:  # a dark edge, visible on any ground
        pen.line(corners, fill=EDGE_COLOUR, width=4, joint="curve")
        pen.line(corners, fill=colour, width=2, joint="curve")


def _dashed(pen: ImageDraw.ImageDraw, points: np.ndarray, dash: float = 6.0) -> None:
    """A closed line with dashes of equal length."""
    steps = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    pen.line([(float(x), float(y)) for x, y in points], fill=EDGE_COLOUR, width=4, joint="curve")
    for start in np.arange(0, along[-1], 2 * dash):
        places = np.linspace(start, min(start + dash, along[-1]), 4)
        x, y = np.interp(places, along, points[:, 0]), np.interp(places, along, points[:, 1])
        pen.line([(float(a), float(b)) for a, b in zip(x, y, strict=True)], fill=THRESHOLD_COLOUR, width=2)


def covered_uri(picture: Tensor, values: np.ndarray | None, side: int = 320) -> str:
    """A picture under its map, as the data URI of one WebP.

    Args:
        picture: (3, H, W) in 0..1.
        values: map (H, W) in units of the threshold; low values show the picture. None: the picture alone.
        side: pixels of the longer side at most.
    """
    image = as_image(picture)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    image = covered(image, None if values is None else shrink(values, side))
    return _uri(image, "webp", quality=82, method=3)


def svg_path(lines: Sequence[np.ndarray]) -> str:
    """Closed lines of (x, y) points as the `d` of an SVG path."""
    return "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in line) + "Z" for line in lines)
