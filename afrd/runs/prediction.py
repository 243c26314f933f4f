"""`Prediction`: what a run says of one sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from afrd.metrics.threshold import Threshold


@dataclass(frozen=True, eq=False)
class Prediction:
    """Prediction of a run for one sample.

    Attributes:
        anomaly_map: (H, W) float32 at the pictures' size, the sum over lights of `attention` * `light_maps`.
        light_maps, attention: (L, H, W) float32; attention sums to 1 over the lights at every place.
        score: the map's maximum.
        lights: the L lights used, in the run's order.
        threshold: of this run and these lights; None for a run without calibration samples.
        verdict: `good` or `anomalous`, None without a threshold.
    """

    anomaly_map: np.ndarray
    light_maps: np.ndarray
    attention: np.ndarray
    score: float
    lights: tuple[str, ...]
    threshold: Threshold | None

    @property
    def verdict(self) -> str | None:
        return self.threshold.verdict(self.score) if self.threshold else None

    @property
    def peak_attention(self) -> np.ndarray:
        """(L,) attention at the maximum of the anomaly map."""
        row, column = np.unravel_index(int(self.anomaly_map.argmax()), self.anomaly_map.shape)
        return self.attention[:, row, column]
