"""Conformal thresholds: from scores of good calibration samples to a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ALPHA = 0.05


@dataclass(frozen=True)
class Threshold:
    """A sample is called anomalous when its score lies above `value`.

    Attributes:
        value: in units of the score.
        alpha: promised rate of false alarms on good parts that are exchangeable with the calibration samples.
        samples: number of good samples it comes from.
        wanted: the rate that was asked for; lower than `alpha` where `samples` are too few to promise it.
    """

    value: float
    alpha: float
    samples: int
    wanted: float

    def __str__(self) -> str:
        promise = f"at most {self.alpha:.1%} false alarms, from {self.samples} good samples"
        if self.alpha > self.wanted:
            promise += f"; {self.wanted:.0%} cannot be promised with fewer than {math.ceil(1 / self.wanted) - 1}"
        return f"{self.value:.4g} ({promise})"

    def verdict(self, score: float) -> str:
        return "anomalous" if score > self.value else "good"


def conformal_threshold(scores: Sequence[float] | np.ndarray, alpha: float = ALPHA) -> Threshold:
    """The score that a good part exceeds with probability at most `alpha` (split conformal prediction).

    It is the k-th smallest of the n calibration scores with k = ceil((n + 1)(1 - alpha)) (Vovk et al., 2005; Bates et
    al., Annals of Statistics 2023, section 2). Where k > n the largest score is taken, which promises 1 / (n + 1) only,
    and the result says so.

    Args:
        scores: of good samples that the model was not trained on.
        alpha: between 0 and 1.

    Raises:
        ValueError: no scores, a score that is not finite, or alpha out of range.
    """
    ordered = np.sort(np.asarray(scores, dtype=float))
    if not len(ordered) or not np.isfinite(ordered).all():
        raise ValueError("a threshold needs at least one good sample, and finite scores")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}, but a false-alarm rate lies between 0 and 1")
    n = len(ordered)
    k = math.ceil((n + 1) * (1 - alpha) - 1e-9)
    if k > n:
        return Threshold(float(ordered[-1]), 1 / (n + 1), n, alpha)
    return Threshold(float(ordered[k - 1]), alpha, n, alpha)
