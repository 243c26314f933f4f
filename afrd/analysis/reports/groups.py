"""The table of groups and their metrics, as texts."""

from __future__ import annotations

import math

import pandas as pd

from afrd.analysis.errors.group_metrics import GROUP_METRICS
from afrd.metrics.words import METRIC_NAMES

EXPLANATION = (
    "Metrics of groups: in brackets 95 % bootstrap intervals over the samples; ▲ and ▼ in the second method's line: "
    "the paired interval excludes zero, in favour of the first method and against it. Behind a count of missed "
    "defects or false alarms, an upper bound of their rate (95 %, Clopper and Pearson). A group "
    "without good samples is ranked against all good ones of the split, one without bad samples against all bad ones."
)


def group_texts(metrics: pd.DataFrame, short: dict[str, str] | None = None) -> pd.DataFrame:
    """The table to be read.

    Args:
        metrics: of `afrd.analysis.errors.group_metrics.group_metrics`.
        short: names of the methods, by label.

    Returns:
        Texts, a row a group and method.
    """
    lines = []
    for line in metrics.to_dict("records"):
        against = f", against {line['against']}" if line["against"] else ""
        text = {
            "group": line["group"],
            "method": (short or {}).get(line["method"], line["method"]),
            "samples": f"{line['samples']}: {line['good']} good, {line['bad']} bad{against}",
            "missed": _count(line["missed"], line["bad"], line["missed_at_most"]),
            "false alarms": _count(line["false_alarms"], line["good"], line["false_alarms_at_most"]),
        }
        lines.append(text | {METRIC_NAMES[name]: _metric(line, name) for name in GROUP_METRICS})
    return pd.DataFrame(lines)


def _count(count: float, total: int, at_most: float) -> str:
    return "–" if math.isnan(count) or not total else f"{count:.0f} of {total} (≤ {at_most:.0%})"


def _metric(line: dict, name: str) -> str:
    if math.isnan(line[name]):
        return "–"
    low, high = line[f"{name}_difference_low"], line[f"{name}_difference_high"]
    mark = " ▲" if low > 0 else " ▼" if high < 0 else ""
    return f"{line[name]:.3f} [{line[f'{name}_low']:.3f}, {line[f'{name}_high']:.3f}]{mark}"
