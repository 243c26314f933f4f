"""Reports of a sweep: Markdown, CSV, LaTeX (booktabs) and a self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from afrd import figures
from afrd.analysis.comparison.sweep_results import BOOTSTRAP_DRAWS, GroupResult, example_samples, load_results
from afrd.analysis.comparison.sweep_tables import (
    RankComparison,
    common_methods,
    comparable,
    overview_table,
    rank_comparison,
    scores_table,
    summary_table,
)
from afrd.analysis.reports.published import published_table
from afrd.analysis.reports.rendering import template
from afrd.files import replacing
from afrd.metrics.words import METRIC_NAMES, REPORTED_METRICS, counted
from afrd.runs.sweep_plan import Group, SweepPlan
from afrd.runs.sweep_runs import difference, is_trained

EXAMPLE_PIXELS = 150  # pixels
SIGNIFICANCE_LEVEL = 0.05
MAX_NAMED = 5  # runs in a sentence
MINUS = "\N{MINUS SIGN}"
OVERVIEW = "All metrics, means over the categories"
OVERVIEW_NAMES = {"object_auroc": "object AUROC"} | METRIC_NAMES
PUBLISHED_NOTE = "Means over all categories, as published; other modalities and protocols are not the same task."
LATEX = str.maketrans({character: f"\\{character}" for character in "&%$#_{}"})
LATEX |= str.maketrans({"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"})
DIAGRAM_WIDTH, DIAGRAM_MARGIN = 1080, 310  # pixels; the margins hold the labels


@dataclass(frozen=True, eq=False)
class ResultSection:
    """One section of a report: results averaged together, of one subset of lights, teacher and size.

    Attributes:
        title, results: of the section.
        left_out: labels of the methods that some category or seed lacks.
        overview: see `overview_table`.
        tables: metric to `summary_table`.
        ranks: metric to `rank_comparison`.
        published: see `published_table`; None for data that are not a public data set's.
    """

    title: str
    results: list[GroupResult]
    left_out: list[str]
    overview: pd.DataFrame
    tables: dict[str, pd.DataFrame]
    ranks: dict[str, RankComparison]
    published: pd.DataFrame | None = None


def write_report(plan: SweepPlan, folder: Path, out: Path) -> list[Path]:
    """Writes `report.md`, `report.html`, `report.tex` and `scores.csv` (unrounded), and returns their paths.

    Args:
        plan: of the sweep in `folder`.
        out: folder, created where missing.

    Raises:
        ValueError: no group has been evaluated, or one of its files is broken.
    """
    groups = plan.groups()
    results = load_results(folder, groups)
    if not results:
        raise ValueError(f"{folder} holds no results yet; run `afrd sweep` first")
    sections = [_section(plan, title, together) for title, together in titled(comparable(results)).items()]
    about = [*_unfinished(folder, groups, results), *_about(plan, results)]
    contents = {
        "report.md": _markdown(about, sections),
        "report.tex": _latex(about, sections),
        "report.html": _page(plan, folder, about, sections),
        "scores.csv": scores_table(results).to_csv(index=False),
    }
    for name, text in contents.items():
        with replacing(out / name) as path:
            path.write_text(text, encoding="utf-8")
    return [out / name for name in contents]


def titled(groups: dict[tuple[str, str, int], list[GroupResult]]) -> dict[str, list[GroupResult]]:
    """Results as `comparable` groups them, by the headings of the report's sections."""
    return {
        f"Lights {lights}; teacher {teacher}, {size} pixels": section_results
        for (lights, teacher, size), section_results in groups.items()
    }


def _section(plan: SweepPlan, title: str, results: list[GroupResult]) -> ResultSection:
    tables = {metric: summary_table(results, metric) for metric in REPORTED_METRICS}
    ranks = {metric: comparison for metric in REPORTED_METRICS if (comparison := rank_comparison(results, metric))}
    common = common_methods(results)
    left_out = [m for m in dict.fromkeys(m for result in results for m in result.methods) if m not in common]
    overview, published = overview_table(results), published_table(plan, results)
    return ResultSection(title, results, left_out, overview, tables, ranks, published)


def _unfinished(folder: Path, groups: Sequence[Group], results: Sequence[GroupResult]) -> list[str]:
    """Sentences about what the plan has and the tables do not."""
    cells = list(dict.fromkeys(cell for group in groups for cell in group.cells))
    others = {cell.name: what for cell in cells if (what := difference(folder, cell))}
    missing = [cell.name for cell in cells if cell.name not in others and not is_trained(folder, cell)]
    sentences = []
    if len(results) < len(groups):
        sentences.append(
            f"Unfinished: {len(results)} of {len(groups)} combinations of category, lights and seed are evaluated."
        )
    if missing:
        sentences.append(f"Not trained, or failed: {len(missing)} of {counted(len(cells), 'run')}, {_some(missing)}.")
    if others:
        of_others = _some([f"{name}: {what}" for name, what in others.items()])
        sentences.append(f"Left out, as they were trained otherwise than the plan says: {of_others}.")
    return sentences


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(names[:MAX_NAMED])}{' and others' if len(names) > MAX_NAMED else ''}"


def _about(plan: SweepPlan, results: Sequence[GroupResult]) -> list[str]:
    """Sentences about the data, seeds and statistics behind the tables."""
    categories = list(dict.fromkeys(result.group.category for result in results))
    samples = {result.group.category: result.samples for result in results}
    counts = ", ".join(f"{name} {good} + {bad}" for name, (good, bad) in samples.items())
    options = ", ".join(f"{k} {v}" for k, v in plan.options.items()) or "the defaults"
    special = "; ".join(
        f"{method}: {', '.join(f'{k} {v}' for k, v in method_options.items())}"
        for method, method_options in plan.method_options.items()
    )
    seeds = dict.fromkeys(str(result.group.seed) for result in results)
    return [
        f"Data: {Path(plan.data).name}, {counted(len(categories), 'category', 'categories')}; test samples, good + "
        f"anomalous: {counts}.",
        f"Seeds: {', '.join(seeds)}. Training options: {options}{f'; {special}' if special else ''}.",
        f"Values are means over seeds, ± their standard deviation; [95 % interval] by {BOOTSTRAP_DRAWS} bootstrap "
        "draws of the test samples. Difference: the first method minus this one, on the same draws; p: two-sided, "
        "corrected by Holm's procedure.",
        "An independent re-implementation of AFRD; no figure was chosen on the test samples. "
        f"Made on {datetime.now().astimezone():%Y-%m-%d} by AFRD explorer {version('afrd')}.",
    ]


def table_in_words(table: pd.DataFrame) -> pd.DataFrame:
    """A `summary_table` as rounded text: a row a method, a column for each category, `Mean`, `Difference` and `p`."""
    categories = list(table.columns[: list(table.columns).index("mean")])
    rows = []
    for method, row in table.iterrows():
        deviation = "" if np.isnan(row.deviation) else f" ± {row.deviation:.3f}"
        rows.append(
            {
                "Method": method,
                **{category: _number(row[category]) for category in categories},
                "Mean": f"{_number(row['mean'])}{deviation}{_span(row.low, row.high)}",
                "Difference": "–"
                if np.isnan(row.p)
                else f"{_signed(row.difference)} [{_signed(row.difference_low)}, {_signed(row.difference_high)}]",
                "p": "–" if np.isnan(row.p) else _p(row.p).removeprefix("= "),
            }
        )
    return pd.DataFrame(rows)


def overview_in_words(table: pd.DataFrame) -> pd.DataFrame:
    """An `overview_table` as rounded text: a row a method, a column a metric."""
    words = {"Method": list(table.index)}
    for metric in table.columns.get_level_values(0).unique():
        values = table[metric]
        words[OVERVIEW_NAMES[metric]] = [
            f"{_number(mean)}{'' if np.isnan(deviation) else f' ± {deviation:.3f}'}"
            for mean, deviation in zip(values["mean"], values["deviation"], strict=True)
        ]
    return pd.DataFrame(words)


def _best(table: pd.DataFrame) -> dict[str, str]:
    """The best method by column of `overview_in_words`."""
    means = {metric: table[metric]["mean"] for metric in table.columns.get_level_values(0).unique()}
    return {OVERVIEW_NAMES[metric]: str(mean.idxmax()) for metric, mean in means.items() if mean.notna().any()}


def _p(value: float) -> str:
    return f"= {value:.3f}" if value >= 0.001 else "< 0.001"


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", MINUS)


def _span(low: float, high: float) -> str:
    return "" if np.isnan(low) else f" [{low:.3f}, {high:.3f}]"


def _markdown(about: Sequence[str], sections: Sequence[ResultSection]) -> str:
    lines = ["# Results", "", *(f"- {sentence}" for sentence in about)]
    for section in sections:
        lines += ["", f"## {section.title}", ""]
        if section.left_out:
            lines += [_left_out(section), ""]
        lines += [f"### {OVERVIEW}", ""]
        lines += [_markdown_table(overview_in_words(section.overview))]
        for metric, table in section.tables.items():
            lines += ["", f"### {METRIC_NAMES[metric]}", "", _markdown_table(table_in_words(table))]
            if metric in section.ranks:
                lines += ["", _rank_sentence(section.ranks[metric])]
        if section.published is not None:
            lines += ["", "### Published results", "", PUBLISHED_NOTE, "", _markdown_table(section.published)]
    return "\n".join(lines) + "\n"


def _left_out(section: ResultSection) -> str:
    return f"Not in the tables, as some category or seed lacks them: {', '.join(section.left_out)}."


def _markdown_table(table: pd.DataFrame) -> str:
    rows = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)


def _rank_sentence(comparison: RankComparison) -> str:
    ranks = ", ".join(f"{method} {rank:.2f}" for method, rank in comparison.ranks.items())
    return (
        f"Mean ranks over {comparison.categories} categories: {ranks}. Friedman's test: p {_p(comparison.p)}; mean "
        f"ranks that differ by less than {comparison.critical_difference:.2f} are not told apart (Nemenyi, 95 %)."
    )


def _latex(about: Sequence[str], sections: Sequence[ResultSection]) -> str:
    """Tables with booktabs' rules; the best mean of each is bold."""
    tables = ["% \\usepackage{booktabs}", *(f"% {sentence}" for sentence in about)]
    for section in sections:
        words = overview_in_words(section.overview)
        if section.left_out:
            tables.append(f"% {_left_out(section)}")
        tables.append(_latex_table(words, f"{OVERVIEW}. {section.title}.", _best(section.overview)))
        for metric, table in section.tables.items():
            best = {"Mean": str(table["mean"].idxmax())} if table["mean"].notna().any() else {}
            tables.append(_latex_table(table_in_words(table), f"{METRIC_NAMES[metric]}. {section.title}.", best))
    return "\n".join(tables).replace("±", "$\\pm$").replace("–", "--").replace(MINUS, "$-$")


def _latex_table(words: pd.DataFrame, caption: str, best: dict[str, str]) -> str:
    """One table; `best` names the row of a column that is bold."""
    words = words.set_index("Method").rename_axis(index=None, columns="Method")
    style = words.style.format(escape="latex").format_index(escape="latex").format_index(escape="latex", axis=1)
    for column, method in best.items():
        style = style.map(lambda _: "textbf:--rwrap;", subset=([method], [column]))
    columns = "l" + "c" * len(words.columns)
    return str(
        style.to_latex(hrules=True, caption=caption.translate(LATEX), column_format=columns, position_float="centering")
    )


def _page(plan: SweepPlan, folder: Path, about: Sequence[str], sections: Sequence[ResultSection]) -> str:
    return template("sweep.html").render(
        about=about,
        overview_title=OVERVIEW,
        sections=[
            {
                "title": section.title,
                "left_out": _left_out(section) if section.left_out else "",
                "overview": overview_in_words(section.overview),
                "best": _best(section.overview),
                "metrics": [
                    {
                        "name": METRIC_NAMES[metric],
                        "table": table_in_words(table),
                        "best": table["mean"].idxmax() if table["mean"].notna().any() else None,
                        "worse": list(table.index[(table.p < SIGNIFICANCE_LEVEL) & (table.difference > 0)]),
                        "better": list(table.index[(table.p < SIGNIFICANCE_LEVEL) & (table.difference < 0)]),
                        "ranks": _rank_sentence(section.ranks[metric]) if metric in section.ranks else "",
                        "diagram": diagram(section.ranks[metric]) if metric in section.ranks else None,
                    }
                    for metric, table in section.tables.items()
                ],
                "examples": _examples(plan, section),
                "published": section.published,
                "published_note": PUBLISHED_NOTE,
            }
            for section in sections
        ],
    )


def diagram(comparison: RankComparison) -> dict[str, Any]:
    """Positions of a critical-difference diagram in pixels: ticks, methods with their labels, bars of equal methods."""
    ranks, count = comparison.ranks.to_numpy(), len(comparison.ranks)
    left, right = DIAGRAM_MARGIN, DIAGRAM_WIDTH - DIAGRAM_MARGIN

    def at(rank: float) -> float:
        return round(left + (rank - 1) / (count - 1) * (right - left), 1)

    half = (count + 1) // 2
    methods = []
    for i, (method, rank) in enumerate(comparison.ranks.items()):
        near = i < half  # the better half has its labels at the left end, the other one at the right
        row = i if near else count - 1 - i
        methods.append({"label": f"{method} ({rank:.2f})", "x": at(rank), "y": 78 + 18 * row, "near": near})
    bars: list[dict[str, Any]] = []
    for i, rank in enumerate(ranks):
        indistinct = np.flatnonzero(ranks - rank < comparison.critical_difference)
        last = int(indistinct.max())
        if last > i and not any(bar["last"] >= last for bar in bars):
            bars.append({"from": at(rank), "to": at(ranks[last]), "last": last, "y": 44 + 5 * len(bars)})
    return {
        "width": DIAGRAM_WIDTH,
        "height": 90 + 18 * half,
        "ticks": [{"x": at(rank), "rank": rank} for rank in range(1, count + 1)],
        "methods": methods,
        "bars": bars,
        "difference": min(at(1 + comparison.critical_difference), right),
    }


def _examples(plan: SweepPlan, section: ResultSection) -> list[dict[str, Any]]:
    """For each category, by its first seed: pictures of the best, median and worst sample with every method's map."""
    rows, labels = [], common_methods(section.results)
    for category in dict.fromkeys(result.group.category for result in section.results):
        result = next(result for result in section.results if result.group.category == category)
        dataset, names = example_samples(result, plan.data)
        maps = result.maps() if names else np.empty(0)
        for k, name in enumerate(names):
            sample = dataset[result.examples[k]]
            picture = sample.images[0]
            mask = None if sample.mask is None else sample.mask.numpy().astype(np.float32) * figures.MAP_LIMIT
            cells = [("picture", figures.covered_uri(picture, None, EXAMPLE_PIXELS))]
            if mask is not None:
                cells.append(("truth", figures.covered_uri(picture, mask, EXAMPLE_PIXELS)))
            for label in labels:
                values = maps[result.methods.index(label), k]
                cells.append((label, figures.covered_uri(picture, values, EXAMPLE_PIXELS)))
            defects = "+".join(dataset.defects[result.examples[k]])
            rows.append({"title": f"{category}, {name}: sample {sample.name} ({defects})", "cells": cells})
    return rows
