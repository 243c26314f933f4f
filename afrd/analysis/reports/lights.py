"""The advice about lights as a self-contained HTML page and as JSON."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from plotly.offline import get_plotlyjs

from afrd import figures
from afrd.analysis.lights.advice import Advice
from afrd.analysis.lights.sentences import UNIT_LIGHTS
from afrd.analysis.lights.survey import Survey, redundancy
from afrd.analysis.reports.rendering import template
from afrd.metrics.words import METRIC_NAMES, METRICS

FIGURE_WIDTH = 500  # pixels of a figure


def report(survey: Survey, advice: Advice) -> str:
    """The HTML page with its figures embedded (Plotly, about 5 MB)."""
    name = METRIC_NAMES[advice.metric]
    charts = [figures.pareto_front(advice), figures.light_values(advice)]
    if min(len(survey.anomalous), len(survey.lights)) > 2:
        charts.append(figures.redundancy_map(redundancy(survey)))
    if len(advice.without):
        charts.append(figures.defect_lights(advice))
    good, bad = int((~survey.anomalous).sum()), int(survey.anomalous.sum())
    return template("lights.html").render(
        title=f"Lights for {survey.category}",
        made=f"{survey.method}, judged on {survey.category}/{survey.split}: {good} good and {bad} anomalous samples; "
        f"quality is the {name}, and {advice.delta:g} of it may be lost.",
        sentence=advice.sentence,
        notes=advice.notes,
        plotly=get_plotlyjs(),
        figures=[_fixed(figure) for figure in charts],
        tables=[
            ("Rigs", budget_rows(advice)),
            ("Lights", light_rows(advice)),
            ("Defect types", defect_rows(advice)),
        ],
    )


def _fixed(figure: Any) -> str:
    figure.update_layout(width=FIGURE_WIDTH, font_color="#3a4048", legend_font_color="#3a4048")
    return figure.to_html(full_html=False, include_plotlyjs=False, config={"displayModeBar": False})


def budget_rows(advice: Advice) -> pd.DataFrame:
    """Budgets as rounded text, a row each."""
    name = "At most lights" if advice.unit == UNIT_LIGHTS else f"At most {advice.unit}"
    rows = advice.budgets
    return pd.DataFrame(
        {
            name: [f"{budget:g}" for budget in rows.budget],
            "Best set": rows.lights,
            "Change on other samples": _signed(rows.change),
            "At 95 % confidence at least": _signed(rows.at_least),
            "Verdict": rows.verdict,
        }
    )


def light_rows(advice: Advice) -> pd.DataFrame:
    """Lights as rounded text, a row each."""
    rows = advice.lights
    return pd.DataFrame(
        {
            "Light": rows.index,
            f"Cost ({advice.unit})" if advice.unit != UNIT_LIGHTS else "Cost": [f"{cost:g}" for cost in rows.cost],
            "Alone": [f"{value:.3f}" for value in rows.alone],
            "Shapley value": _ranged("{:.3f}", rows.shapley, rows.shapley_low, rows.shapley_high),
            "Change without it": _ranged("{:+.3f}", rows.without, rows.without_low, rows.without_high),
            "Verdict": rows.verdict,
        }
    )


def defect_rows(advice: Advice) -> pd.DataFrame:
    """Defect types as rounded text, a row each."""
    rows = advice.defects
    if not len(rows):
        return pd.DataFrame()
    return pd.DataFrame(
        {
            "Defect": rows.index,
            "Samples": rows.samples.astype(str),
            "All lights": [f"{value:.3f}" for value in rows.all_lights],
            "Smallest rig": [f"{value:.3f}" for value in rows.rig],
            "Change on other samples": _ranged("{:+.3f}", rows.change, rows.change_low, rows.change_high),
            "Verdict": rows.verdict,
            "Lost without": [", ".join(lost) or "–" for lost in rows.lost_without],
        }
    )


def _signed(values: pd.Series) -> list[str]:
    return [f"{value:+.3f}" for value in values]


def _ranged(form: str, value: pd.Series, low: pd.Series, high: pd.Series) -> list[str]:
    return [
        "–" if v != v else form.format(v) + (f" [{form.format(a)}, {form.format(b)}]" if a == a else "")
        for v, a, b in zip(value, low, high, strict=True)
    ]


def as_json(survey: Survey, advice: Advice) -> dict[str, Any]:
    """The content of `--json`; an undefined metric is null."""

    sets = [
        {"lights": list(survey.named(k)), **{metric: _plain(survey.metrics[k, m]) for m, metric in enumerate(METRICS)}}
        for k in range(len(survey))
    ]
    worth = survey.shapley("image_auroc").value
    return {
        "subsets": sets,
        "shapley": {light: _plain(value) for light, value in worth.items()},
        "smallest_rig": list(advice.smallest_rig),
        "advice": advice.text,
    }


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
