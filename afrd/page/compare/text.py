"""Tables, sentences and links of the Compare tab."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import afrd.analysis.comparison
import afrd.metrics
from afrd.page.common.messages import download
from afrd.page.common.samples import mark_of

if TYPE_CHECKING:
    import pandas as pd

    from afrd.analysis.comparison.differences import Standing
    from afrd.analysis.comparison.methods import Method
    from afrd.data.dataset import MultiLightDataset

REFERENCE = " (ref.)"
MARKS = {"better": " ▲", "worse": " ▼", "even": ""}
BOLD = "font-weight: 650"


def method_rows(standings: Sequence[Standing], lights: Sequence[str]) -> dict[str, Any]:
    """A row a method, numbers to sort by and texts to read; `lights` are all of the data set."""

    values, texts, styles = [], [], []
    for one in standings:
        first = one.difference is None
        names = [one.method.label + (REFERENCE if first else ""), lights_text(one.method.lights, lights)]
        rows = one.intervals.loc[list(afrd.metrics.METRIC_NAMES), ["value", "low", "high"]].to_numpy()
        cells = [
            "–" if math.isnan(value) else f"{value:.3f} [{low:.3f}, {high:.3f}]{MARKS[one.verdict(metric)]}"
            for metric, (value, low, high) in zip(afrd.metrics.METRIC_NAMES, rows, strict=True)
        ]
        values.append([*names, *(_number(value) for value, _, _ in rows)])
        texts.append([*names, *cells])
        styles.append([BOLD if first else "", *[""] * (len(cells) + 1)])
    return _frame(["Method", "Lights", *afrd.metrics.METRIC_NAMES.values()], values, texts, styles)


def sample_rows(table: pd.DataFrame, metric: str) -> dict[str, Any]:
    """A row a sample of `afrd.analysis.comparison.differences.telling_samples`, with what bears on the metric."""
    image = metric.startswith("image")
    detail, name, form = ("rank", "Rank", ".0f") if image else ("pixel_ap", "Pixel AP", ".3f")
    headers = ["Sample", "Truth", "Effect", f"{name}, ref.", f"{name}, other", "Score, ref.", "Score, other"]
    headers += ["Verdict, ref.", "Verdict, other"]
    values, texts, styles = [], [], []
    for row in table.to_dict("records"):
        truth = (row["defects"].replace("+", ", ") or "anomalous") if row["anomalous"] else "good"
        told = [row["effect"], *(row[f"{who}_{what}"] for what in (detail, "score") for who in ("this", "other"))]
        said = [row["this_verdict"], row["other_verdict"]]
        marks = [mark_of(row["anomalous"], verdict == "anomalous") if verdict else "–" for verdict in said]
        values.append([row["sample"], truth, *map(_number, told), *marks])
        forms = ("+.4f", form, form, ".2f", ".2f")
        texts.append([row["sample"], truth, *map(_read, told, forms), *marks])
        styles.append([""] * 7 + [BOLD if mark in ("missed", "false alarm") else "" for mark in marks])
    return _frame(headers, values, texts, styles)


def label_in(row: Sequence[Any] | None) -> str:
    """The first cell of a row as a browser sends it: a method's label or a sample's name, which may be none of ours."""
    return str(row[0]).removesuffix(REFERENCE) if row else ""


def lights_text(used: Sequence[str], lights: Sequence[str]) -> str:
    """Such as `all 6` or `top, box`."""
    return f"all {len(used)}" if len(used) > 2 and set(used) == set(lights) else ", ".join(used)


def headline(dataset: MultiLightDataset, lights: Sequence[str]) -> str:
    labels = list(dataset.anomalous)
    good, bad, unknown = (sum(label is kind for label in labels) for kind in (False, True, None))
    left_out = f", {unknown} of unknown truth left out" if unknown else ""
    return (
        f'<div class="line" role="status"><b>{escape(dataset.category)} / {escape(dataset.split)}</b>'
        f"<span>{good} good and {bad} anomalous samples{left_out}; lights {escape(', '.join(lights))}; in brackets "
        "95 % intervals, by bootstrap over the samples</span></div>"
    )


def notes(dataset: MultiLightDataset, standings: Sequence[Standing], left_out: Mapping[str, str]) -> str:
    """Below the table: what its marks mean, a download, and who could not judge."""

    key = (
        "▲ better, ▼ worse than the reference (ref.): the paired 95 % interval of the difference leaves out zero. "
        "Choose a row to see the samples that make its difference; the ⋮ of a heading sorts."
        '<span class="sideways"> More metrics: move the table sideways.</span>'
    )
    link = download(
        afrd.analysis.comparison.standings_table(standings), f"compare-{dataset.category}-{dataset.split}.csv"
    )
    missing = "".join(f"<p>Left out: {escape(label)}. {escape(why)}</p>" for label, why in left_out.items())
    return f'<div class="line small"><span>{key if len(standings) > 1 else ""}</span>{link}</div>{missing}'


def words(standings: Sequence[Standing], metric: str) -> str:
    """How the reference does against the others, and plainly who is better."""

    others = len(standings) - 1
    listed = "".join(f"<li>{escape(sentence)}</li>" for sentence in afrd.analysis.comparison.beaten_by(standings))
    if listed:
        told = f"<p>Better than the reference, beyond the interval:</p><ul>{listed}</ul>"
    else:
        told = "<p>No other method is better than the reference beyond its interval, in any of the metrics.</p>"
    looked_at = others * int(standings[0].intervals.value.notna().sum())
    chance = (
        f"These are {looked_at} differences. If no method differed from the reference, about "
        f"{max(1, round(looked_at / 40))} of them would be called better, and as many worse, by chance."
    )
    summary = escape(afrd.analysis.comparison.summary(standings, metric))
    return f'<p><b>{summary}</b></p>{told}<p class="small">{chance}</p>'


def alone(reference: Method, command: str) -> str:
    """Where there is no other method."""
    return (
        f'<p class="alone"><b>{escape(reference.label)} is the only method with these lights.</b> Another one joins '
        "here once it is trained, a light alone for example:</p>"
        f"<p><code>{escape(command)} --lights {escape(reference.lights[0])}</code></p>"
    )


def samples_heading(
    dataset: MultiLightDataset, reference: Method, method: Method, metric: str, table: pd.DataFrame
) -> str:

    link = download(table, f"samples-{dataset.category}-{dataset.split}.csv")
    return (
        f"<h3>What makes the difference in {afrd.metrics.METRIC_NAMES[metric]}</h3>"
        f"<p>{escape(reference.label)} (ref.) against <b>{escape(method.label)}</b> (other), "
        f"light{'s' if len(method.lights) > 1 else ''}: {escape(', '.join(method.lights))}</p>"
        '<div class="line small"><span>Scores in units of each method\'s threshold. Effect: what the difference loses '
        f"without the sample; + speaks for the reference. Choose a row to open it in Explore.</span>{link}</div>"
    )


def _frame(headers: list[str], values: list, texts: list, styles: list) -> dict[str, Any]:
    """A table of `gr.Dataframe`, which sorts by the values and shows the texts."""
    return {"headers": headers, "data": values, "metadata": {"display_value": texts, "styling": styles}}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _read(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)
