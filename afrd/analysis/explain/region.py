"""Regions of a picture whose score is explained."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

REGION_RADIUS = 1 / 16  # of a clicked region, as a fraction of the picture's longer side


def around(place: tuple[float, float], size: tuple[int, int], radius: float | None = None) -> np.ndarray:
    """(H, W) bool, the disc around a place (x, y) in pixels; the radius is 1/16 of the longer side by default."""
    height, width = size
    reach = max(1.0, REGION_RADIUS * max(size) if radius is None else radius)
    y, x = np.ogrid[:height, :width]
    return (x + 0.5 - place[0]) ** 2 + (y + 0.5 - place[1]) ** 2 <= reach**2


def checked_region(region: np.ndarray | None, size: tuple[int, int]) -> Tensor:
    """The region as (H, W) bool; the whole picture if it is None.

    Raises:
        ValueError: it is of another size, or empty.
    """
    if region is None:
        return torch.ones(size, dtype=torch.bool)
    if region.shape != size or not region.any():
        raise ValueError(
            f"a region of {'x'.join(map(str, region.shape[::-1]))} with {int(region.sum())} pixels inside does not fit "
            f"pictures of {size[1]}x{size[0]}"
        )
    return torch.from_numpy(np.ascontiguousarray(region, dtype=bool))
