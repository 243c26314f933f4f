"""Scores of a whole split without its maps: for lists of samples and for choosing lights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from afrd.data.dataset import MultiLightDataset, parse_lights
from afrd.metrics.threshold import Threshold
from afrd.runs.calibration import batches_of_maps
from afrd.runs.run import Run


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of one run on a split.

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
    """The scores of `run.evaluate(dataset, lights)`, bit for bit, with the maps of only one batch in memory.

    Args:
        run: of several lights or of one.
        dataset: a split; its teacher features are computed where the store has none.
        lights: a subset of the run's; all by default.

    Raises:
        ValueError: a light that the run does not have, or a run that does not fit the data.
    """
    used = parse_lights(lights, run.lights)
    evidence = run.evidence(dataset, used)
    present = torch.tensor([[light in used for light in run.lights]], device=run.device)
    values = np.empty(len(evidence.errors))
    for rows in batches_of_maps(len(values), run.device):
        part = evidence.rows(rows, present)
        values[rows] = run.model.scores(part, part.present, dataset.image_size).cpu().numpy()
    return Scores(values, run.threshold(used))


@torch.no_grad()
def light_scores(run: Run, dataset: MultiLightDataset, lights: Sequence[str]) -> pd.DataFrame:
    """Scores of a run with each light alone, in units of the threshold for that light.

    Args:
        run: with target `lights`; with target `fused` all lights share one error, and the table has no columns.
        dataset: one split, N samples.
        lights: of the run's.

    Returns:
        (N, L), a column a light, in the run's order; raw where the run has no threshold. No columns for a single light.
    """
    used = [light for light in run.lights if light in lights]
    if run.model.config.target == "fused" or len(used) < 2:
        return pd.DataFrame(index=range(len(dataset)))
    evidence = run.evidence(dataset)
    alone = torch.eye(len(run.lights), dtype=torch.bool, device=run.device)[[run.lights.index(light) for light in used]]
    samples = [evidence.rows(slice(i, i + 1), run.everything) for i in range(len(dataset))]
    peaks = [run.model.scores(sample, alone, dataset.image_size) for sample in samples]  # (L,)
    thresholds = [run.threshold([light]) for light in used]
    divisors = np.array([threshold.value if threshold else 1.0 for threshold in thresholds])
    values = torch.stack(peaks).cpu().numpy() if peaks else np.empty((0, len(used)))
    return pd.DataFrame(values / divisors, columns=used)
