"""The region in which a run judges, for the browser: its outline, and which pixels are inside."""

from __future__ import annotations

from typing import Any

import numpy as np
from contourpy import contour_generator

import afrd.figures
import afrd.metrics

OUTLINE_TOLERANCE = 0.006  # of the longer side: how far an outline to be corrected may run beside the region


def region_on_table(region: np.ndarray | None) -> dict[str, Any] | None:
    """The entry of a scene on a region (H, W) bool: None without one.

    `lengths` are those of its runs of equal pixels, row by row, the first one outside; `outline` is an SVG path.
    """
    if region is None:
        return None
    flat = region.ravel()
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, flat.size)
    lengths = np.diff(ends, prepend=0).tolist()
    return {
        "lengths": [0, *lengths] if flat[0] else lengths,
        "outline": afrd.figures.svg_path(afrd.figures.contour_lines(region.astype(float), 0.5)),
        "share": afrd.metrics.region_share(region),
    }


def polygons_of(region: np.ndarray) -> list[list[list[int]]]:
    """The outer outlines of a region (H, W) as polygons of few corners [x, y], to be corrected by hand.

    Holes are left out, and pieces so small that three corners do not remain.
    """
    height, width = region.shape
    padded = np.pad(region.astype(float), 1)
    reach = OUTLINE_TOLERANCE * max(region.shape)
    polygons = []
    for line in contour_generator(z=padded).lines(0.5):
        points = np.asarray(line)[:-1] - 0.5  # pixel i is at i + 1, and its middle at i + 0.5
        x, y = points.T
        if (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() <= 0:  # clockwise: a hole
            continue
        half = int(np.hypot(*(points - points[0]).T).argmax())  # a closed line is simplified in two halves
        corners = _simplified(points[: half + 1], reach)[:-1] + _simplified([*points[half:], points[0]], reach)[:-1]
        whole = [[int(np.clip(x, 0, width)), int(np.clip(y, 0, height))] for x, y in np.round(corners)]
        different = [corner for corner, before in zip(whole, [whole[-1], *whole], strict=False) if corner != before]
        if len(different) > 2:
            polygons.append(different)
    return polygons


def _simplified(points: Any, reach: float) -> list[np.ndarray]:
    """The line with fewer points, none further from it than `reach` (Douglas and Peucker 1973,
    https://doi.org/10.3138/FM57-6770-U75U-7727)."""
    points = np.asarray(points)
    if len(points) < 3:
        return list(points)
    along = points[-1] - points[0]
    away = points - points[0]
    distance = np.abs(along[0] * away[:, 1] - along[1] * away[:, 0]) / max(float(np.hypot(*along)), 1e-9)
    furthest = int(distance.argmax())
    if distance[furthest] <= reach:
        return [points[0], points[-1]]
    return _simplified(points[: furthest + 1], reach)[:-1] + _simplified(points[furthest:], reach)
