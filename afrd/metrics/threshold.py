"""Conformal thresholds: from scores of good calibration samples to a verdict.

Conformal prediction: Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World, Springer 2005,
https://doi.org/10.1007/b106715; an introduction: Angelopoulos & Bates, https://arxiv.org/abs/2107.07511.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from afrd.metrics.words import counted, verdict_word

ALPHA = 0.05  # promised rate of false alarms
SCORE_TOLERANCE = 1e-5  # scores that differ relatively by less count as equal


@dataclass(frozen=True)
class Threshold:
    """A sample is called anomalous when its score lies above `value`.

    Attributes:
        value: in units of the score.
        alpha: promised rate of false alarms on good parts that are exchangeable with the calibration samples.
        samples: number of good samples it comes from.
        wanted: the requested rate; lower than `alpha` where `samples` are too few to promise it.
    """

    value: float
    alpha: float
    samples: int
    wanted: float

    def __str__(self) -> str:
        promise = f"at most {self.alpha:.1%} false alarms, from {counted(self.samples, 'good sample')}"
        if self.alpha > self.wanted:
            promise += f"; {100 * self.wanted:.3g}% cannot be promised with fewer than {math.ceil(1 / self.wanted) - 1}"
        return f"{self.value:.4g} ({promise})"

    def exceeded_by(self, scores: ArrayLike) -> np.ndarray:
        """Whether scores are anomalous, bool of their shape.

        A score counts as higher if it exceeds the value by more than a share of `SCORE_TOLERANCE`: the last bits of a
        score differ between batch sizes, numbers of threads and devices, and the sample that set the threshold must be
        good in all of them.
        """
        return np.asarray(scores) > self.value * (1 + SCORE_TOLERANCE)

    def verdict(self, score: float) -> str:
        return verdict_word(bool(self.exceeded_by(score)))


def conformal_threshold(scores: Sequence[float] | np.ndarray, alpha: float = ALPHA) -> Threshold:
    """The score that a good part exceeds with probability at most `alpha` (split conformal prediction).

    It is the k-th smallest of the n calibration scores with k = ceil((n + 1)(1 - alpha)); Bates et al., Testing for
    outliers with conformal p-values, Annals of Statistics 2023, https://arxiv.org/abs/2104.08279. Where k > n the
    largest score is taken, which promises 1 / (n + 1) only, and the result says so.

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
