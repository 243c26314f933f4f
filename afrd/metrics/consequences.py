"""Consequences of a threshold: false alarms and missed defects, bounds on their rates, and the cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from afrd.metrics.predictions import Predictions
from afrd.metrics.threshold import conformal_threshold

PER_THOUSAND = (200.0, 100.0, 50.0, 20.0, 10.0, 5.0)  # false alarms that a table of consequences goes through


@dataclass(frozen=True)
class OperatingPoint:
    """A promised rate of false alarms, which sets the threshold of verdicts.

    Attributes:
        per_thousand: false alarms per thousand good parts, above 0 and below 1000.
        missed_cost, alarm_cost: of one missed defect and of one false alarm, in the user's unit.
    """

    per_thousand: float
    missed_cost: float = 1.0
    alarm_cost: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.per_thousand < 1000:
            raise ValueError(
                f"{self.per_thousand:g} false alarms per thousand cannot be promised; choose between 0 and 1000"
            )
        for cost in (self.missed_cost, self.alarm_cost):
            if not 0 <= cost < float("inf"):
                raise ValueError(f"a cost is {cost}, but must be a number, 0 or more")

    @property
    def alpha(self) -> float:
        """The rate of false alarms, 0..1, as `Run.threshold` takes it."""
        return self.per_thousand / 1000


def at_most(count: int, total: int, confidence: float = 0.95) -> float:
    """Upper bound on the rate of an event seen `count` times in `total` samples, 0..1; 1 without samples.

    It is the one-sided upper bound of Clopper and Pearson (Biometrika 26, 1934, https://doi.org/10.1093/biomet/26.4.404):
    the true rate exceeds it with probability at most 1 - `confidence`.
    """
    if total == 0:
        return 1.0
    return float(binomtest(count, total, alternative="less").proportion_ci(confidence, method="exact").high)


def consequences(
    predictions: Predictions,
    calibration: np.ndarray,
    per_thousand: Sequence[float] = PER_THOUSAND,
    missed_cost: float = 1.0,
    alarm_cost: float = 1.0,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Consequences of several promised rates of false alarms on a split.

    Args:
        predictions: of the split; samples whose truth is not known do not count.
        calibration: (n,) scores of the good samples that thresholds come from, under the same lights and fusion.
        per_thousand: false alarms per thousand good parts to promise, each above 0 and below 1000.
        missed_cost, alarm_cost: of one missed defect and of one false alarm, in any unit.
        confidence: of the bounds.

    Returns:
        A row a promise, in the order given, with the columns `asked` and `promised` (per thousand; more than asked for
        where the calibration samples are too few), `threshold`, `false_alarms` of `good` samples and
        `false_alarms_at_most` (per thousand), `missed` of `anomalous` samples and `missed_at_most` (per thousand), and
        `cost` on this split.

    Raises:
        ValueError: a promise out of range, a negative cost, or no calibration samples.
    """
    points = [OperatingPoint(rate, missed_cost, alarm_cost) for rate in per_thousand]
    scores = predictions.table.score.to_numpy(float)
    truth = predictions.table.anomalous
    good, bad = scores[[t is False for t in truth]], scores[[t is True for t in truth]]
    rows = []
    for point in points:
        threshold = conformal_threshold(calibration, point.alpha)
        alarms = int(threshold.exceeded_by(good).sum())
        missed = len(bad) - int(threshold.exceeded_by(bad).sum())
        rows.append(
            {
                "asked": point.per_thousand,
                "promised": 1000 * threshold.alpha,
                "threshold": threshold.value,
                "false_alarms": alarms,
                "good": len(good),
                "false_alarms_at_most": 1000 * at_most(alarms, len(good), confidence),
                "missed": missed,
                "anomalous": len(bad),
                "missed_at_most": 1000 * at_most(missed, len(bad), confidence),
                "cost": missed * point.missed_cost + alarms * point.alarm_cost,
            }
        )
    return pd.DataFrame(rows)
