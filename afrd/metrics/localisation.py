"""How well one sample's anomaly map localises its defects, without a threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt


@dataclass(frozen=True)
class Localisation:
    """How well one map agrees with one mask.

    Attributes:
        best_iou: intersection over union of mask and thresholded map, at the threshold that makes it largest; 0..1.
        peak_off: pixels between the map's maximum and the nearest defective pixel, 0 inside the mask.
        inside: the values of the map inside the mask, rising.
    """

    best_iou: float
    peak_off: float
    inside: np.ndarray


def localise(values: np.ndarray, mask: np.ndarray | None) -> Localisation:
    """Compares an anomaly map (H, W) with the mask of the defects.

    Args:
        values: the map, any unit, higher is more anomalous.
        mask: (H, W) bool; None where it is not known. Without a defective pixel the results are NaN, NaN and no values.
    """
    if mask is None or not mask.any():
        return Localisation(np.nan, np.nan, np.empty(0, np.float32))
    order = np.argsort(-values, axis=None)
    falling = values.ravel()[order]
    hits = np.cumsum(mask.ravel()[order])  # defective pixels among the k highest
    union = np.arange(1, len(order) + 1) + mask.sum() - hits
    last_of_tie = np.append(falling[1:] != falling[:-1], True)  # a threshold cannot separate equal values
    peak = np.unravel_index(int(values.argmax()), values.shape)
    off = distance_transform_edt(~mask)[peak]
    return Localisation(float((hits / union)[last_of_tie].max()), float(off), np.sort(values[mask]))
