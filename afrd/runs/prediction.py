"""`Prediction`: the result of a run for one sample; predictions of a split, and the name of the method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from afrd.data.dataset import MultiLightDataset
from afrd.metrics.predictions import Predictions
from afrd.metrics.threshold import Threshold
from afrd.model.config import ModelConfig
from afrd.runs.correction_files import Correction, corrected_samples, normal


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


def split_predictions(
    dataset: MultiLightDataset,
    maps: np.ndarray,
    scores: np.ndarray,
    method: str,
    lights: tuple[str, ...],
    threshold: Threshold | None,
    region: np.ndarray | None,
    corrections: Sequence[Correction] = (),
) -> Predictions:
    """The predictions of a split from its maps (N, H, W) and scores (N,); samples that were corrected do not count."""
    corrected = corrected_samples(corrections, dataset)
    truth = [None if i in corrected else label for i, label in enumerate(dataset.anomalous)]
    masks, masked = dataset.masks()
    table = pd.DataFrame(
        {
            "sample": dataset.names,
            "anomalous": pd.Series(truth, dtype=object),
            "defects": ["+".join(d) for d in dataset.defects],
            "score": scores,
            "verdict": [threshold.verdict(s) if threshold else "" for s in scores],
        }
    )
    if corrections:
        table["corrected"] = [i in corrected for i in range(len(table))]
    return Predictions(
        table,
        maps,
        masks,
        masked & [i not in corrected for i in range(len(masks))],
        method,
        lights,
        threshold,
        dataset.category,
        dataset.split,
        region,
        len(normal(corrections)),
    )


def method_name(config: ModelConfig, lights: tuple[str, ...], fusion: str | None = None) -> str:
    """Name of a method with these lights, such as `AFRD, attention over evidence, lights top, box`."""
    memory = config.method == "memory"
    fusion = fusion or config.fusion
    if len(config.lights) == 1:
        return f"single-light {'memory' if memory else 'RD'}, {lights[0]}"
    fused_quantity = "evidence" if config.target == "lights" else "features"
    lights_text = "all lights" if lights == config.lights else f"lights {', '.join(lights)}"
    if memory:
        return f"patch memory, {fusion} over evidence, {lights_text}"
    without_memory = "" if config.memory or fused_quantity == "features" else " without memory"
    return f"AFRD{without_memory}, {fusion} over {fused_quantity}, {lights_text}"
