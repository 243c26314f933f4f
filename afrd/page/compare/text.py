"""Tables, sentences and links of the Compare tab."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import afrd.analysis.comparison
import afrd.metrics
from afrd.metrics.words import ANOMALOUS, OUTCOMES, label_word, outcome
from afrd.page.common.html import macros
from afrd.page.common.messages import download
from afrd.page.common.tables import number, number_text, table_value

if TYPE_CHECKING:
    import pandas as pd

    from afrd.analysis.comparison.differences import MethodResult
    from afrd.analysis.comparison.methods import Method
    from afrd.data.dataset import MultiLightDataset

TEMPLATE = "compare/macros.html"
REFERENCE_SUFFIX = " (ref.)"
VERDICT_MARKS = {"better": " ▲", "worse": " ▼", "even": ""}
BOLD_STYLE = "font-weight: 650"


def method_rows(results: Sequence[MethodResult], lights: Sequence[str]) -> dict[str, Any]:
    """A row a method, with numbers for sorting and texts for display; `lights` are all of the data set."""
    values, texts, styles = [], [], []
    for entry in results:
        is_reference = entry.difference is None
        names = [
            entry.method.label + (REFERENCE_SUFFIX if is_reference else ""),
            lights_text(entry.method.lights, lights),
        ]
        rows = entry.intervals.loc[list(afrd.metrics.METRIC_NAMES), ["value", "low", "high"]].to_numpy()
        cells = [
            "–" if math.isnan(value) else f"{value:.3f} [{low:.3f}, {high:.3f}]{VERDICT_MARKS[entry.verdict(metric)]}"
            for metric, (value, low, high) in zip(afrd.metrics.METRIC_NAMES, rows, strict=True)
        ]
        values.append([*names, *(number(value) for value, _, _ in rows)])
        texts.append([*names, *cells])
        styles.append([BOLD_STYLE if is_reference else "", *[""] * (len(cells) + 1)])
    return table_value(["Method", "Lights", *afrd.metrics.METRIC_NAMES.values()], values, texts, styles)


def sample_rows(table: pd.DataFrame, metric: str) -> dict[str, Any]:
    """A row a sample of `afrd.analysis.comparison.differences.telling_samples`, with the columns for the metric."""
    image = metric.startswith("image")
    detail, name, form = ("rank", "Rank", ".0f") if image else ("pixel_ap", "Pixel AP", ".3f")
    headers = ["Sample", "Truth", "Effect", f"{name}, ref.", f"{name}, other", "Score, ref.", "Score, other"]
    headers += ["Verdict, ref.", "Verdict, other"]
    values, texts, styles = [], [], []
    for row in table.to_dict("records"):
        truth = label_word(row["anomalous"], row["defects"].replace("+", ", ") or ANOMALOUS)
        numbers = [
            row["effect"],
            *(row[f"{who}_{column}"] for column in (detail, "score") for who in ("this", "other")),
        ]
        verdicts = [row["this_verdict"], row["other_verdict"]]
        outcomes = [outcome(row["anomalous"], verdict == ANOMALOUS) if verdict else "–" for verdict in verdicts]
        values.append([row["sample"], truth, *map(number, numbers), *outcomes])
        number_texts = map(number_text, numbers, ("+.4f", form, form, ".2f", ".2f"))
        texts.append([row["sample"], truth, *number_texts, *outcomes])
        styles.append([""] * 7 + [BOLD_STYLE if word in OUTCOMES[1:] else "" for word in outcomes])
    return table_value(headers, values, texts, styles)


def label_in(row: Sequence[Any] | None) -> str:
    """The first cell of a row as a browser sends it: a method's label or a sample's name, which may be unknown."""
    return str(row[0]).removesuffix(REFERENCE_SUFFIX) if row else ""


def lights_text(used: Sequence[str], lights: Sequence[str]) -> str:
    """Such as `all 6` or `top, box`."""
    return f"all {len(used)}" if len(used) > 2 and set(used) == set(lights) else ", ".join(used)


def headline(dataset: MultiLightDataset, lights: Sequence[str], region_note: str) -> str:
    labels = list(dataset.anomalous)
    good, bad, unknown = (sum(label is kind for label in labels) for kind in (False, True, None))
    left_out = f", {unknown} of unknown truth left out" if unknown else ""
    text = (
        f"{good} good and {bad} anomalous samples{left_out}; lights {', '.join(lights)}; in brackets 95 % intervals, "
        "by bootstrap over the samples"
    )
    if region_note:
        text += f". {region_note}"
    return macros(TEMPLATE).headline(dataset, text)


def notes(dataset: MultiLightDataset, results: Sequence[MethodResult], left_out: Mapping[str, str]) -> str:
    """Notes below the table: legend, download link, and runs that could not be evaluated."""
    table = afrd.analysis.comparison.results_table(results)
    link = download(table, f"compare-{dataset.category}-{dataset.split}.csv")
    return macros(TEMPLATE).notes(len(results) > 1, link, left_out)


def words(results: Sequence[MethodResult], metric: str) -> str:
    """Sentences on the reference against the others, and on those that are better."""
    comparisons = (len(results) - 1) * int(results[0].intervals.value.notna().sum())
    chance = (
        f"These are {comparisons} differences. If no method differed from the reference, about "
        f"{max(1, round(comparisons / 40))} of them would be called better, and as many worse, by chance."
    )
    better = afrd.analysis.comparison.beaten_by(results)
    return macros(TEMPLATE).words(afrd.analysis.comparison.summary(results, metric), better, chance)


def alone(reference: Method, command: str) -> str:
    """Text for a comparison without other methods."""
    return macros(TEMPLATE).alone(reference.label, f"{command} --lights {reference.lights[0]}")


def samples_heading(
    dataset: MultiLightDataset, reference: Method, method: Method, metric: str, table: pd.DataFrame
) -> str:
    link = download(table, f"samples-{dataset.category}-{dataset.split}.csv")
    return macros(TEMPLATE).samples_heading(afrd.metrics.METRIC_NAMES[metric], reference.label, method, link)
