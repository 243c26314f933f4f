"""Thresholds of many sets of a run's lights at once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from afrd.metrics.threshold import ALPHA, Threshold, conformal_threshold
from afrd.model.config import LEARNED_COST
from afrd.model.evidence import Evidence
from afrd.runs.run import Run

MAX_CHUNK = 2**23  # numbers of all maps of a chunk of sets, times the cost of their fusion


def subset_thresholds(
    run: Run, members: np.ndarray, fusion: str | None = None, alpha: float = ALPHA
) -> list[Threshold | None]:
    """`Run.threshold` of each of K sets of lights, from one pass over the calibration samples.

    Args:
        run: any run; with target `fused` its sets are evaluated one by one.
        members: (K, L) bool, none empty.
        fusion: instead of the run's own.
        alpha: rate of false alarms.

    Returns:
        K thresholds, which agree with `Run.threshold` up to rounding; None for a run without calibration samples.
    """
    if run.model.config.target == "fused":
        named = [[light for light, present in zip(run.lights, row, strict=True) if present] for row in members]
        return [run.threshold(lights, fusion, alpha) for lights in named]
    if run.calibration is None or not len(run.calibration.errors):
        return [None] * len(members)
    scores = subset_scores(run, run.calibration, torch.from_numpy(members).to(run.device), fusion)
    return [conformal_threshold(of_set, alpha) for of_set in scores]


@torch.no_grad()
def subset_scores(run: Run, evidence: Evidence, members: Tensor, fusion: str | None) -> np.ndarray:
    """(K, N) scores of N samples under K sets of lights."""
    height, width = run.config.picture_size
    cost = LEARNED_COST if (fusion or run.model.config.fusion) == "learned" else 1
    step = max(1, MAX_CHUNK // (height * width * cost))
    scores = np.empty((len(members), len(evidence.errors)))
    for n in range(len(evidence.errors)):
        sample = evidence.rows(slice(n, n + 1), run.everything)
        for start in range(0, len(members), step):
            of_sets = run.model.scores(sample, members[start : start + step], (height, width), fusion)
            scores[start : start + step, n] = of_sets.cpu().numpy()
    return scores
