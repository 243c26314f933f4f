"""Light advisor: from a survey of subsets of lights to advice for building a rig.

advice = advise(survey(run, data["test_public"]), delta=0.05, costs={"box": 3})
advice.sentence        # "3 of the 6 lights are enough: spots, bottom, right. ..."
advice.smallest_rig    # ("spots", "bottom", "right")

docs/lights.md explains the procedure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from afrd.analysis.lights.advice import Advice
from afrd.analysis.lights.sentences import (
    DEFECT_KEPT,
    DEFECT_LOST,
    DISPENSABLE,
    ENOUGH,
    FEW_SAMPLES,
    LOSES,
    NEEDED,
    UNIT_COST,
    UNIT_LIGHTS,
    UNKNOWN,
    answer,
    notes,
)
from afrd.analysis.lights.subsets import rank
from afrd.analysis.lights.survey import Survey
from afrd.metrics.bootstrap import drawn_image_auroc, interval
from afrd.metrics.words import METRIC_NAMES, METRICS

DELTA = 0.05  # of a metric that a rig may lose: one more anomalous part in twenty
CONFIDENCE_LEVEL = 0.95
MIN_DEFECT_SAMPLES = 5  # samples of a defect type, below which its verdict is `cannot tell`
MAX_BUDGETS = 16  # evaluated; more levels of cost are thinned


def advise(
    survey: Survey,
    metric: str = "image_auroc",
    delta: float = DELTA,
    costs: Mapping[str, float] | None = None,
    unit: str | None = None,
) -> Advice:
    """Weighs the quality of the subsets of lights against their costs.

    Args:
        survey: of at least two lights.
        metric: one of `METRICS`, the measure of quality.
        delta: how much of it a smaller rig may lose, above 0.
        costs: of single lights, in any additive unit such as euros or milliseconds of exposure; those not named cost 1.
        unit: of the costs, as text; the number of lights where all cost 1.

    Raises:
        ValueError: a metric that is not known or not defined here, a delta or a cost out of range, or an unknown light.
    """
    prices = checked_costs(costs or {}, survey.lights)
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r} is not known; choose one of {', '.join(METRICS)}")
    delta = checked_delta(delta)
    m = METRICS.index(metric)
    if np.isnan(survey.metrics[:, m]).any():
        raise ValueError(
            f"{METRIC_NAMES[metric]} is not defined on {survey.category}/{survey.split}, which has no masks of "
            "defects; choose one of the image metrics"
        )
    cost = survey.members @ np.array(list(prices.values()))
    sets = _sets(survey, m, cost)
    budgets, choices = _budgets(survey, m, delta, cost)
    passed = [row.verdict == ENOUGH for row in budgets.itertuples()]
    # From the most expensive budget down until one fails: a fixed order of tests needs no correction for their number.
    accepted = passed.index(False) if False in passed else len(passed)
    rig = survey.row(budgets.lights[accepted - 1].split(", ")) if accepted else survey.whole
    rig_choices = choices[accepted - 1] if accepted else np.full(survey.halves.shape[1:3], survey.whole)
    lights = _lights(survey, m, delta, prices)
    defects, without, without_high = _defects(survey, rig, rig_choices, delta)
    advice = Advice(
        metric=metric,
        delta=delta,
        costs=prices,
        unit=unit or (UNIT_LIGHTS if all(price == 1 for price in prices.values()) else UNIT_COST),
        sentence="",
        notes=(),
        smallest_rig=survey.named(rig),
        enough=bool(accepted),
        sets=sets,
        budgets=budgets,
        lights=lights,
        defects=defects,
        without=without,
        without_high=without_high,
    )
    return replace(advice, sentence=answer(survey, advice), notes=tuple(notes(survey, advice)))


def checked_delta(delta: float) -> float:
    """The number, if it is valid.

    Raises:
        ValueError: it does not lie between 0 and 1.
    """
    if not 0 < delta < 1:
        raise ValueError(f"delta is {delta:g}; what a rig may lose lies between 0 and 1")
    return delta


def checked_costs(costs: Mapping[str, float], lights: Sequence[str]) -> dict[str, float]:
    """A cost for every light, 1 where none is named.

    Raises:
        ValueError: a light that is not known, a cost that is negative or not a number, or costs that are all zero.
    """
    for light, cost in costs.items():
        if light not in lights:
            raise ValueError(f"light {light!r} has a cost but is not in this run; its lights are {', '.join(lights)}")
        if not (isinstance(cost, int | float) and math.isfinite(cost) and cost >= 0):
            raise ValueError(f"the cost of light {light!r} is {cost!r}; it must be a number, 0 or more")
    prices = {light: float(costs.get(light, 1.0)) for light in lights}
    if not any(prices.values()):
        raise ValueError("all lights cost nothing, so there is nothing to save; give at least one a cost")
    return prices


def _sets(survey: Survey, m: int, cost: np.ndarray) -> pd.DataFrame:
    draws = survey.draws[:, :, m].astype(float)  # (K, R)
    table = survey.table()
    table["cost"] = cost
    table["value"] = survey.metrics[:, m]
    table["low"], table["high"] = interval(draws, CONFIDENCE_LEVEL, axis=1)
    table["difference"] = table.value - table.value[survey.whole]
    table["difference_low"], table["difference_high"] = interval(draws - draws[survey.whole], CONFIDENCE_LEVEL, axis=1)
    order = np.lexsort((-rank(survey.metrics, m), cost))  # cheapest first, best first
    best = np.maximum.accumulate(table.value.to_numpy()[order])
    front = np.append(True, best[1:] > best[:-1])
    table["front"] = front[np.argsort(order)]
    return table


def _budgets(survey: Survey, m: int, delta: float, cost: np.ndarray) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """The table of budgets, and for each the sets (R, 2) selected on the halves of the draws."""
    ranks, halves = rank(survey.halves, m), survey.halves[..., m].astype(float)  # (K, R, 2)
    within = survey.members[:, None] & ~survey.members[None]  # (K, K, L)
    contained = ~within.any(2) & ~np.eye(len(cost), dtype=bool)  # set k is contained in another
    draws = np.arange(halves.shape[1])
    enough_samples = min(survey.anomalous.sum(), (~survey.anomalous).sum()) >= FEW_SAMPLES
    rows, choices, listed_sets = [], [], set()
    for budget in _levels(cost):
        cheap = cost <= budget + 1e-9
        # Only maximal sets: with few samples, smaller ones would often be selected by chance.
        maximal = np.flatnonzero(cheap & ~(contained & cheap).any(1))
        if tuple(maximal) in listed_sets:
            continue
        listed_sets.add(tuple(maximal))
        choice = maximal[ranks[maximal].argmax(0)]  # (R, 2)
        choices.append(choice)
        changes = [halves[choice[:, a], draws, 1 - a] - halves[survey.whole, draws, 1 - a] for a in (0, 1)]
        change = np.mean(changes, 0)  # selected on one half, evaluated on the other
        low, high = np.nanquantile(change, [1 - CONFIDENCE_LEVEL, CONFIDENCE_LEVEL])
        best = maximal[rank(survey.metrics[maximal], m).argmax()]
        verdict = LOSES if high < -delta else ENOUGH if low >= -delta and enough_samples else UNKNOWN
        rows.append(
            {
                "budget": budget,
                "lights": ", ".join(survey.named(best)),
                "size": int(survey.members[best].sum()),
                "cost": cost[best],
                "change": float(np.nanmean(change)),
                "at_least": float(low),
                "at_most": float(high),
                "same": float((choice == best).mean()),
                "verdict": verdict,
            }
        )
    return pd.DataFrame(rows), choices


def _levels(cost: np.ndarray) -> np.ndarray:
    """Budgets below the cost of all lights, the most expensive first."""
    levels = np.unique(np.round(cost, 9))[::-1]
    levels = levels[levels < cost[-1] - 1e-9]
    if len(levels) > MAX_BUDGETS:
        levels = levels[np.unique(np.linspace(0, len(levels) - 1, MAX_BUDGETS).round().astype(int))]
    return levels


def _lights(survey: Survey, m: int, delta: float, costs: dict[str, float]) -> pd.DataFrame:
    value, draws = survey.metrics[:, m], survey.draws[:, :, m].astype(float)
    worth = survey.shapley(METRICS[m])
    rows = {}
    for light, cost in costs.items():
        alone, without = survey.row([light]), survey.row([other for other in survey.lights if other != light])
        change = draws[without] - draws[survey.whole]
        low, high = interval(change[None], CONFIDENCE_LEVEL, axis=1)
        rows[light] = {
            "cost": cost,
            "alone": value[alone],
            "shapley": worth.value[light],
            "shapley_low": worth.low[light],
            "shapley_high": worth.high[light],
            "without": value[without] - value[survey.whole],
            "without_low": low[0],
            "without_high": high[0],
            "verdict": NEEDED if high[0] < 0 else DISPENSABLE if low[0] >= -delta else UNKNOWN,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _defects(
    survey: Survey, rig: int, choices: np.ndarray, delta: float
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    kinds = sorted({kind for defects in survey.defects for kind in defects.split("+") if kind})
    good = ~survey.anomalous
    but_one = [survey.row([other for other in survey.lights if other != light]) for light in survey.lights]
    counts, draws = survey.counts.astype(np.float32), np.arange(len(survey.counts))
    rows, without, without_high = {}, {}, {}
    for kind in kinds:
        bad = np.array([kind in defects.split("+") for defects in survey.defects]) & survey.anomalous
        exact = drawn_image_auroc(survey.scores, bad, good, np.ones((1, len(good))))[:, 0]  # (K,)
        in_draws = drawn_image_auroc(survey.scores[[*but_one, survey.whole]], bad, good, counts.sum(1))
        change = in_draws[:-1] - in_draws[-1]  # (L, R)
        without[kind] = dict(zip(survey.lights, exact[but_one] - exact[survey.whole], strict=True))
        without_high[kind] = dict(zip(survey.lights, interval(change, CONFIDENCE_LEVEL, axis=1)[1], strict=True))
        # (K, R, 2)
        halves = np.stack([drawn_image_auroc(survey.scores, bad, good, counts[:, half]) for half in (0, 1)], 2)
        changes = [halves[choices[:, a], draws, 1 - a] - halves[survey.whole, draws, 1 - a] for a in (0, 1)]
        low, high = interval(_mean(np.array(changes))[None], CONFIDENCE_LEVEL, axis=1)
        too_few, enough_samples = bad.sum() < MIN_DEFECT_SAMPLES, bad.sum() >= FEW_SAMPLES
        rows[kind] = {
            "samples": int(bad.sum()),
            "all_lights": exact[survey.whole],
            "rig": exact[rig],
            "change": float(_mean(_mean(np.array(changes)))),
            "change_low": low[0],
            "change_high": high[0],
            "verdict": DEFECT_LOST
            if high[0] < 0 and not too_few
            else DEFECT_KEPT
            if low[0] >= -delta and enough_samples
            else UNKNOWN,
            "lost_without": [light for light in survey.lights if not too_few and without_high[kind][light] < 0],
        }
    return (
        pd.DataFrame.from_dict(rows, orient="index"),
        pd.DataFrame.from_dict(without, orient="index", columns=list(survey.lights)),
        pd.DataFrame.from_dict(without_high, orient="index", columns=list(survey.lights)),
    )


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean along the first axis, without undefined values."""
    defined = np.isfinite(values)
    return np.divide(
        np.where(defined, values, 0).sum(0),
        defined.sum(0),
        out=np.full(values.shape[1:], np.nan),
        where=defined.sum(0) > 0,
    )
