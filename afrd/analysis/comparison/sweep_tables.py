"""Tables over all groups of a sweep: scores, means with intervals, ranks.

results = load_results(folder, plan.groups())
table = summary_table(results, "image_auroc")    # a row a method
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from afrd.analysis.comparison.sweep_results import GroupResult
from afrd.metrics.bootstrap import interval
from afrd.metrics.words import METRICS, REPORTED_METRICS


def scores_table(results: Sequence[GroupResult]) -> pd.DataFrame:
    """A row a group and method: `category`, `lights`, `teacher`, `size`, `seed`, `method`, `runs`, and `METRICS`.

    Where a sample is one view of an object, `object_auroc` as well.
    """
    rows = [
        {
            "category": result.group.category,
            "lights": "+".join(result.group.lights),
            "teacher": result.group.teacher,
            "size": result.group.size,
            "seed": result.group.seed,
            "method": label,
            "runs": runs,
            **dict(zip(METRICS, values.tolist(), strict=True)),
            **({} if math.isnan(whole) else {"object_auroc": whole}),
        }
        for result in results
        for label, runs, values, whole in zip(
            result.methods,
            result.runs,
            result.metrics,
            result.objects or [math.nan] * len(result.methods),
            strict=True,
        )
    ]
    return pd.DataFrame(rows)


def common_methods(results: Sequence[GroupResult]) -> list[str]:
    """Labels of the methods that all groups have, in the order of the first group: only these can be averaged."""
    if not results:
        return []
    return [label for label in results[0].methods if all(label in result.methods for result in results)]


def summary_table(results: Sequence[GroupResult], metric: str, level: float = 0.95) -> pd.DataFrame:
    """Each method's mean over categories and seeds, compared with the first method's.

    Args:
        results: of one subset of lights, teacher and size, see `comparable`.
        metric: one of `METRICS`.
        level: of the intervals.

    Returns:
        Index method; a column for each category (mean over seeds), `mean`, `deviation` (standard deviation, over the
        seeds that have every category, of the mean over categories; NaN for one seed), `low`, `high` (bootstrap
        interval of the mean over the test samples), `difference` (the reference minus the method) with
        `difference_low`, `difference_high`, and `p` (two-sided, of the paired bootstrap, corrected for the number of
        methods by Holm's procedure).
    """
    labels, m = common_methods(results), METRICS.index(metric)
    scores = scores_table(results)
    scores = scores[scores.method.isin(labels)]
    table = scores.pivot_table(index="method", columns="category", values=metric, dropna=False).loc[labels]
    table = table[list(dict.fromkeys(result.group.category for result in results))]
    table["mean"] = table.mean(axis=1, skipna=False)
    table["deviation"] = _deviation(scores, metric).loc[labels]
    draws = {label: _drawn_means(results, label, m) for label in labels}
    edges = np.array([interval(draws[label].astype(float), level) for label in labels])
    table["low"], table["high"] = edges[:, 0], edges[:, 1]
    reference = labels[0]
    table["difference"] = table["mean"][reference] - table["mean"]
    changes = np.array([draws[reference] - draws[label] for label in labels]).astype(float)
    table["difference_low"], table["difference_high"] = interval(changes, level, axis=1)
    p = np.array([_two_sided(change) for change in changes[1:]])
    table["p"] = [np.nan, *holm(p)]
    return table


def overview_table(results: Sequence[GroupResult]) -> pd.DataFrame:
    """Each method's means over categories and seeds.

    Args:
        results: of one subset of lights, teacher and size, see `comparable`.

    Returns:
        Index method; columns (metric, `mean`) and (metric, `deviation`) as in `summary_table`, for `REPORTED_METRICS`,
        and first `object_auroc` where samples are views of objects.
    """
    labels, scores = common_methods(results), scores_table(results)
    scores = scores[scores.method.isin(labels)]
    columns = {}
    for metric in ("object_auroc", *REPORTED_METRICS):
        if metric in scores:
            table = scores.pivot_table(index="method", columns="category", values=metric, dropna=False).loc[labels]
            columns[metric, "mean"] = table.mean(axis=1, skipna=False)
            columns[metric, "deviation"] = _deviation(scores, metric).loc[labels]
    return pd.DataFrame(columns)


def _deviation(scores: pd.DataFrame, metric: str) -> pd.Series:
    """Each method's standard deviation, over the seeds that have every category, of the mean over the categories."""
    categories_of = scores.groupby("seed").category.nunique()
    whole = scores[scores.seed.isin(categories_of.index[categories_of == scores.category.nunique()])]
    by_seed = whole.pivot_table(index="method", columns="seed", values=metric, dropna=False)
    return by_seed.std(axis=1, ddof=1).reindex(scores.method.unique())


def _drawn_means(results: Sequence[GroupResult], label: str, metric: int) -> np.ndarray:
    """A method's means over the categories, each the mean over its seeds, by bootstrap draw."""
    by_category: dict[str, list[np.ndarray]] = {}
    for result in results:
        draws = result.draws[result.methods.index(label), :, metric]
        by_category.setdefault(result.group.category, []).append(draws)
    return np.mean([np.mean(draws, axis=0) for draws in by_category.values()], axis=0)


def comparable(results: Sequence[GroupResult]) -> dict[tuple[str, str, int], list[GroupResult]]:
    """Results by what must be the same to be averaged: lights (joined by +), teacher, size."""
    groups: dict[tuple[str, str, int], list[GroupResult]] = {}
    for result in results:
        group = result.group
        groups.setdefault(("+".join(group.lights), group.teacher, group.size), []).append(result)
    return groups


def holm(p: np.ndarray) -> np.ndarray:
    """P-values corrected by Holm's step-down procedure.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6
    (1979), https://www.jstor.org/stable/4615733. NaN stays NaN and is not counted.
    """
    corrected = np.full(len(p), np.nan)
    valid = np.flatnonzero(~np.isnan(p))
    order = valid[np.argsort(p[valid], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return corrected


@dataclass(frozen=True)
class RankComparison:
    """Ranks of the methods over the categories.

    Attributes:
        ranks: mean rank of each method, 1 is the best; best first.
        p: of Friedman's test that all methods rank alike.
        critical_difference: of mean ranks, above which two methods differ at 95 % confidence (Nemenyi).
        categories: how many were ranked.
    """

    ranks: pd.Series
    p: float
    critical_difference: float
    categories: int


def rank_comparison(results: Sequence[GroupResult], metric: str) -> RankComparison | None:
    """Friedman's test and Nemenyi's critical difference over the categories, each the mean over its seeds.

    Source: J. Demšar, Statistical comparisons of classifiers over multiple data sets, JMLR 7 (2006), section 3.2.2,
    https://jmlr.org/papers/v7/demsar06a.html.

    Returns:
        None with fewer than three methods or categories, or where the metric is not defined in one of them.
    """
    labels = common_methods(results)
    scores = scores_table(results)
    if len(labels) < 3 or scores.category.nunique() < 3:
        return None
    values = scores[scores.method.isin(labels)].pivot_table(
        index="category", columns="method", values=metric, dropna=False
    )[labels]
    if values.isna().any(axis=None):
        return None
    ranks = pd.DataFrame(rankdata(-values.to_numpy(), axis=1), columns=labels).mean().sort_values(kind="stable")
    k, n = len(labels), len(values)
    q = studentized_range.ppf(0.95, k, np.inf) / np.sqrt(2)
    p = float(friedmanchisquare(*values.to_numpy().T).pvalue) if values.nunique(axis=1).max() > 1 else 1.0
    return RankComparison(ranks, p, float(q * np.sqrt(k * (k + 1) / (6 * n))), n)


def _two_sided(change: np.ndarray) -> float:
    """Bootstrap p-value of "no difference": twice the smaller tail of the draws around zero."""
    change = change[~np.isnan(change)]
    if not len(change):
        return float("nan")
    tail = min((change <= 0).sum(), (change >= 0).sum())
    return float(min(1.0, 2 * (tail + 1) / (len(change) + 1)))
