"""Wording of the light advisor's advice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from afrd.metrics.bootstrap import interval
from afrd.metrics.words import METRIC_NAMES, METRICS

if TYPE_CHECKING:
    from afrd.analysis.lights.advice import Advice
    from afrd.analysis.lights.survey import Survey

ENOUGH, UNKNOWN, LOSES = "enough", "cannot tell", "loses"  # verdicts on a budget
NEEDED, DISPENSABLE = "needed", "dispensable"  # verdicts on a light
DEFECT_KEPT, DEFECT_LOST = "kept", "lost"  # verdicts on a defect type; or `UNKNOWN`
FEW_SAMPLES = 8  # good or anomalous samples below which no rig is called enough
UNIT_LIGHTS, UNIT_COST = "lights", "cost"  # units of costs: where all are 1, and where none was named
MAX_SENTENCES_OF_A_KIND = 3  # sentences of one kind at most


def answer(survey: Survey, advice: Advice) -> str:
    """The answer in words, with its confidence."""
    good, bad = int((~survey.anomalous).sum()), int(survey.anomalous.sum())
    samples, lights, name = good + bad, len(survey.lights), METRIC_NAMES[advice.metric]
    if advice.enough:
        # where sets were searched, two budgets may name one set
        rows = advice.budgets[advice.budgets.verdict == ENOUGH]
        budget = rows[rows.lights == ", ".join(advice.smallest_rig)].iloc[-1]
        count = len(advice.smallest_rig)
        price = ""
        if advice.unit != UNIT_LIGHTS:
            spent = f"{budget.cost:g} of {sum(advice.costs.values()):g}"
            price = f" (cost {spent})" if advice.unit == UNIT_COST else f" ({spent} {advice.unit})"
        loses = f"no more than {-budget.at_least:.3f}" if budget.at_least < -5e-4 else "nothing"
        value = float(advice.sets.value.iloc[survey.whole])
        return (
            f"{count} of the {lights} lights {'is' if count == 1 else 'are'} enough: {listed(advice.smallest_rig)}"
            f"{price}. At 95 % confidence, a rig {'at this cost' if price else 'of this size'} loses {loses} in {name} "
            f"against all lights ({value:.3f}). It was chosen on one half of the {samples} samples and judged on the "
            f"other, {len(survey.counts)} times; {_percent(budget.same)} of the choices were exactly this set."
        )
    if min(good, bad) < FEW_SAMPLES:
        return (
            f"It cannot be told which lights are needed: {good} good and {bad} anomalous samples are too few. "
            f"At least {FEW_SAMPLES} of each are needed for an answer, and some dozens for a precise one."
        )
    first = advice.budgets.iloc[0]
    span = f"{first.at_least:+.3f} to {first.at_most:+.3f}"
    if first.verdict == LOSES:
        return (
            f"All {lights} lights are needed: the best cheaper rigs, chosen on one half of the {samples} samples and "
            f"judged on the other, change the {name} by {span}, and {advice.delta:g} may be lost."
        )
    return (
        f"It cannot be told from {good} good and {bad} anomalous samples whether any light can be spared: cheaper "
        f"rigs, chosen on one half and judged on the other, change the {name} by {span} (each end at 95 % confidence), "
        f"and {advice.delta:g} may be lost.{_samples_needed(first, samples, advice.delta)}"
    )


def _samples_needed(budget: pd.Series, samples: int, delta: float) -> str:
    """How many samples would suffice, given that intervals shrink with the square root of their number."""
    margin = budget.change + delta
    if margin <= 0.1 * delta:
        return ""
    needed = samples * ((budget.change - budget.at_least) / margin) ** 2
    unit = 10 ** max(1, math.floor(math.log10(needed)) - 1)
    return f" About {math.ceil(needed / unit) * unit} samples would tell, if the mean of {budget.change:+.3f} holds."


def notes(survey: Survey, advice: Advice) -> list[str]:
    """Further sentences about lights, defect types, the other metric and the limits of the answer."""
    return [
        *_about_lights(advice),
        *_about_defects(advice),
        *(_other_quality(survey, advice) if advice.enough else []),
        *([_rule_of_three(int(survey.anomalous.sum()))] if advice.enough else []),
        *([_searched(survey)] if survey.searched else []),
    ]


def _about_lights(advice: Advice) -> list[str]:
    sentences, name = [], METRIC_NAMES[advice.metric]
    free = advice.lights[advice.lights.verdict == DISPENSABLE].assign(worst=lambda t: t.without_low.round(3))
    free = free.sort_values(["worst", "shapley"], ascending=[False, True])
    if len(free):
        others = (
            f"; {listed(free.index[1:], 'or')}, in its place, would also stay within the tolerance"
            if len(free) > 1
            else ""
        )
        sentences.append(f"Left out alone, {free.index[0]} costs least: {name} {_change(free.iloc[0])}{others}.")
    needed = advice.lights[advice.lights.verdict == NEEDED].sort_values("without")
    return sentences + [f"Without {light} the {name} falls: {_change(row)}." for light, row in needed.iterrows()]


def _change(light: pd.Series) -> str:
    return f"{light.without:+.3f} [{light.without_low:+.3f}, {light.without_high:+.3f}]"


def _about_defects(advice: Advice) -> list[str]:
    sentences = []
    rows: dict[str, Any] = {str(row.Index): row for row in advice.defects.itertuples()}
    lost = [(advice.without[light][kind], light, kind) for kind, row in rows.items() for light in row.lost_without]
    for change, light, kind in sorted(lost)[:MAX_SENTENCES_OF_A_KIND]:
        sentences.append(
            f"Without {light} you lose {kind}: their image AUROC falls from {rows[kind].all_lights:.2f} to "
            f"{rows[kind].all_lights + change:.2f} ({rows[kind].samples} samples)."
        )
    if not advice.enough:
        return sentences
    for verdict, text in (
        (DEFECT_LOST, "The smaller rig loses"),
        (UNKNOWN, "It cannot be told whether the smaller rig keeps"),
    ):
        kinds = [f"{kind} ({row.samples} samples)" for kind, row in rows.items() if row.verdict == verdict]
        if kinds:
            sentences.append(f"{text} {listed(kinds)}.")
    return sentences


def _other_quality(survey: Survey, advice: Advice) -> list[str]:
    """The rig's change in the other kind of metric: detection and localisation need not agree."""
    metric = "pixel_ap" if advice.metric.startswith("image") else "image_auroc"
    m, rig = METRICS.index(metric), survey.row(advice.smallest_rig)
    if np.isnan(survey.metrics[[rig, survey.whole], m]).any():
        return []
    change = survey.draws[rig, :, m].astype(float) - survey.draws[survey.whole, :, m]
    low, high = interval(change)
    verb = "falls" if high < 0 else "rises" if low > 0 else "may or may not change"
    exact = survey.metrics[rig, m] - survey.metrics[survey.whole, m]
    return [
        f"The {METRIC_NAMES[metric]} of this rig, by which it was not chosen, {verb}: {exact:+.3f} "
        f"[{low:+.3f}, {high:+.3f}] against all lights ({survey.metrics[survey.whole, m]:.3f})."
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _rule_of_three(bad: int) -> str:
    """The rule of three: a property of a share p of the parts is absent from n of them with probability (1 - p)^n."""
    share = 1 - 0.05 ** (1 / bad)
    return (
        f"{bad} anomalous samples cannot rule out a kind of defect that only the other lights show, if fewer than "
        f"{_percent(share)} of the anomalous parts have it."
    )


def _searched(survey: Survey) -> str:
    return (
        f"There are {2 ** len(survey.lights) - 1} subsets of lights, too many to evaluate all: {survey.searched} were "
        "evaluated, by a forward and a backward search with exchanges on all samples, and the halves chose among these."
    )


def listed(words: Sequence[str] | pd.Index, last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    words = [str(word) for word in words]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
