"""Scores of a whole split without its maps: for a list of samples, and to choose lights by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from afrd.data.dataset import MultiLightDataset, parse_lights
from afrd.metrics.threshold import Threshold
from afrd.model.evidence import Evidence, resize, to_maps
from afrd.runs.calibration import MAPS_BATCH_SIZE
from afrd.runs.run import Run


@dataclass(frozen=True, eq=False)
class Scores:
    """What a run says of every sample of a split.

    Attributes:
        values: (N,) scores.
        threshold: of the run and its lights; None for a run without calibration samples.
    """

    values: np.ndarray
    threshold: Threshold | None

    @property
    def relative(self) -> np.ndarray:
        """(N,) in units of the threshold, or the scores themselves where there is none."""
        return self.values / (self.threshold.value if self.threshold else 1.0)

    @property
    def anomalous(self) -> np.ndarray | None:
        """(N,) bool verdicts; None without a threshold."""
        return self.threshold.exceeded_by(self.values) if self.threshold else None


@torch.no_grad()
def split_scores(run: Run, dataset: MultiLightDataset, lights: str | Sequence[str | int] | None = None) -> Scores:
    """The scores of `run.evaluate(dataset, lights)`, to the bit; the maps are given up batch by batch.

    Args:
        run: of several lights or of one.
        dataset: a split; its teacher features are computed where the store has none.
        lights: a subset of the run's; all by default.

    Raises:
        ValueError: a light that the run does not know, or a run that does not fit the data.
    """
    used = parse_lights(lights, run.lights)
    evidence = run.evidence(dataset, used)
    rows = [run.lights.index(light) for light in used]  # an absent light has no weight and need not be brought to size
    errors, weights = evidence.errors if evidence.fused else evidence.errors[:, rows], evidence.weights[:, rows]
    present = torch.ones(1, len(used), dtype=torch.bool, device=errors.device)
    values = np.empty(len(errors))
    for start in range(0, len(values), MAPS_BATCH_SIZE):
        some = slice(start, start + MAPS_BATCH_SIZE)
        part = Evidence(errors[some], weights[some], present.expand(len(errors[some]), -1), evidence.fused)
        values[some] = to_maps(part, dataset.image_size, run.model.config.fusion).score.cpu().numpy()
    return Scores(values, run.threshold(used))


@torch.no_grad()
def light_scores(run: Run, dataset: MultiLightDataset, lights: Sequence[str]) -> pd.DataFrame:
    """What each light says by itself: the score of the run with this light alone, in units of its own threshold.

    Args:
        run: with target `lights`; with target `fused` there is one error for all lights, and no columns come back.
        dataset: one split, N samples.
        lights: of the run's.

    Returns:
        (N, L), a column a light, in the run's order; raw where the run has no threshold. No columns for a single light.
    """
    used = [light for light in run.lights if light in lights]
    if run.model.config.target == "fused" or len(used) < 2:
        return pd.DataFrame(index=range(len(dataset)))
    errors = run.evidence(dataset).errors[:, [run.lights.index(light) for light in used]]  # (N, L, h, w)
    batches = errors.split(MAPS_BATCH_SIZE)
    peaks = [resize(batch, dataset.image_size).clamp_min(0).amax((2, 3)) for batch in batches]  # (B, L)
    thresholds = [run.threshold([light]) for light in used]
    units = np.array([threshold.value if threshold else 1.0 for threshold in thresholds])
    values = np.concatenate([part.cpu().numpy() for part in peaks]) if peaks else np.empty((0, len(used)))
    return pd.DataFrame(values / units, columns=used)
