"""Consequences of a threshold: counted by hand, bounds from the binomial distribution itself."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from afrd.metrics.consequences import at_most, consequences
from afrd.metrics.predictions import Predictions


@pytest.mark.parametrize(("count", "total"), [(0, 20), (1, 20), (7, 30), (0, 1), (19, 20)])
def test_the_bound_is_the_rate_at_which_so_few_events_have_five_per_cent(count: int, total: int):
    assert binom.cdf(count, total, at_most(count, total)) == pytest.approx(0.05, rel=1e-6)


def test_bounds_at_the_ends():
    assert at_most(0, 20) == pytest.approx(1 - 0.05 ** (1 / 20))  # the rule of three, exactly: 13.9 %
    assert at_most(20, 20) == 1 and at_most(0, 0) == 1


def predictions(scores: list[float], truth: list[bool | None]) -> Predictions:
    table = pd.DataFrame({"sample": map(str, range(len(scores))), "score": scores})
    table["anomalous"] = pd.Series(truth, dtype=object)
    nothing = np.zeros((len(scores), 2, 2))
    return Predictions(table, nothing, nothing > 0, np.zeros(len(scores), bool), "method", ("top",))


def test_counts_and_cost_by_hand():
    calibration = np.arange(1.0, 100.0)  # 99 scores: 10 per thousand can be promised
    judged = predictions([96, 50, 200, 99.5, 60, 97], [False, False, True, True, True, None])
    table = consequences(judged, calibration, [100, 10, 1], missed_cost=10, alarm_cost=2)
    assert table.threshold.tolist() == [90, 99, 99] and table.promised.tolist() == pytest.approx([100, 10, 10])
    assert table.false_alarms.tolist() == [1, 0, 0] and table.missed.tolist() == [1, 1, 1]
    assert table.good.tolist() == [2] * 3 and table.anomalous.tolist() == [3] * 3
    assert table.cost.tolist() == [12, 10, 10]
    assert table.false_alarms_at_most[1] == pytest.approx(1000 * at_most(0, 2))


def test_what_cannot_be_promised_is_refused():
    judged = predictions([1.0], [False])
    for asked in (0, 1000, float("nan")):
        with pytest.raises(ValueError, match="cannot be promised"):
            consequences(judged, np.ones(3), [asked])
    with pytest.raises(ValueError, match="a cost is -1"):
        consequences(judged, np.ones(3), missed_cost=-1)
    with pytest.raises(ValueError, match="at least one good sample"):
        consequences(judged, np.array([]))
