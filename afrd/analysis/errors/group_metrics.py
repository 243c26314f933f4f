"""Metrics of groups of samples, of one method or of two side by side.

metrics = group_metrics(table, {"dents": dents.rows(table)}, [predictions, others])
metrics[["group", "method", "missed", "image_auroc", "image_auroc_low", "image_auroc_high"]]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from afrd.analysis.errors.table import ErrorTable
from afrd.metrics.consequences import at_most
from afrd.metrics.predictions import Predictions
from afrd.metrics.words import BAD, label_word

GROUP_METRICS = ("image_auroc", "image_ap", "pixel_ap", "aupro")
PIXEL_METRICS = ("pixel_ap", "aupro")
REPEATS = 1000  # bootstrap draws


def group_metrics(
    table: ErrorTable,
    groups: Mapping[str, Sequence[int]],
    predictions: Sequence[Predictions],
    at: float | None = 1.0,
    repeats: int = REPEATS,
) -> pd.DataFrame:
    """Counts and metrics of each group by each method.

    A group without good samples is ranked against all good ones of the split, and one without bad samples against all
    bad ones, as it would have no AUROC otherwise; pixel metrics are not defined for the latter, as it has no defect.

    Args:
        table: of the samples; its `run` is the first method, and its `other` the second.
        groups: positions of samples, by the group's name.
        predictions: of `table.run`, and of `table.other` where there is one, on the same samples.
        at: the threshold, see `afrd.analysis.errors.table`.
        repeats: bootstrap draws behind the intervals.

    Returns:
        A row a group and method: `group`, `method`, `samples`, `good`, `bad`; `missed` and `false_alarms` (NaN without
        verdicts) with an upper bound of the rate of each, `missed_at_most` and `false_alarms_at_most`
        (one-sided, 95 %); `against`, what it is ranked against, where that is not in the group; and of each of
        `GROUP_METRICS` its value and, under its name with `_low` and `_high`, its 95 % interval. In the second method's
        rows, `_difference`, `_difference_low` and `_difference_high` are the first method minus the second, paired.
    """
    lines = []
    for name, rows in groups.items():
        ranked, against = ranked_rows(table, rows)
        of_group = [of_rows(of_method, ranked) for of_method in predictions]
        for label, of_method in zip((table.run, table.other), of_group, strict=False):
            assert label is not None  # a second method's predictions come with its name
            line = {"group": name, "method": label} | _counts(table, rows, label, at) | {"against": against}
            pixels = bool(table.bad[list(rows)].any())
            line |= _values(of_method, None if of_method is of_group[0] else of_group[0], pixels, repeats)
            lines.append(line)
    return pd.DataFrame(lines)


def ranked_rows(table: ErrorTable, rows: Sequence[int]) -> tuple[list[int], str]:
    """The labelled samples of a group, with those that they are ranked against, and what these are."""
    bad, labelled = table.bad, table.labelled
    labelled_rows = [row for row in rows if labelled[row]]
    if not labelled_rows or len({bool(bad[row]) for row in labelled_rows}) == 2:
        return labelled_rows, ""
    is_bad = bool(bad[labelled_rows[0]])
    others = np.flatnonzero(labelled & (bad != is_bad)).tolist()
    return labelled_rows + others, f"all {len(others)} {label_word(not is_bad, BAD)}" if others else ""


def of_rows(predictions: Predictions, rows: Sequence[int]) -> Predictions:
    """The predictions of some samples, in this order."""
    at = np.asarray(rows, dtype=int)
    return replace(
        predictions,
        table=predictions.table.iloc[at].reset_index(drop=True),
        maps=predictions.maps[at],
        masks=predictions.masks[at],
        masked=predictions.masked[at],
    )


def _counts(table: ErrorTable, rows: Sequence[int], label: str, at: float | None) -> dict[str, Any]:
    at_rows = np.asarray(rows, dtype=int)
    bad = table.bad[at_rows]
    good = table.labelled[at_rows] & ~bad
    counts = {"samples": len(rows), "good": int(good.sum()), "bad": int(bad.sum())}
    called = table.called(at, label)
    names = ("missed", "missed_at_most", "false_alarms", "false_alarms_at_most")
    if called is None:
        return counts | dict.fromkeys(names, math.nan)
    missed, alarms = int((bad & ~called[at_rows]).sum()), int((good & called[at_rows]).sum())
    bounds = at_most(missed, counts["bad"]), at_most(alarms, counts["good"])
    return counts | dict(zip(names, (missed, bounds[0], alarms, bounds[1]), strict=True))


def _values(of_method: Predictions, first: Predictions | None, pixels: bool, repeats: int) -> dict[str, float]:
    """Metrics with their intervals, and those of the difference to a first method."""
    names = [name for name in GROUP_METRICS if pixels or name not in PIXEL_METRICS]
    line: dict[str, float] = {}
    for name in GROUP_METRICS:
        line |= dict.fromkeys((name, f"{name}_low", f"{name}_high"), math.nan)
        line |= dict.fromkeys((f"{name}_difference{end}" for end in ("", "_low", "_high")), math.nan)
    if not len(of_method.table):
        return line
    own = of_method.intervals(repeats)
    for name in names:
        line |= {name: own.value[name], f"{name}_low": own.low[name], f"{name}_high": own.high[name]}
    if first is not None:
        paired = first.compare(of_method, repeats)
        for name in names:
            line[f"{name}_difference"] = paired.difference[name]
            line[f"{name}_difference_low"] = paired.low[name]
            line[f"{name}_difference_high"] = paired.high[name]
    return line
