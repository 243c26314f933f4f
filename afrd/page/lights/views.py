"""Values of the Lights tab's components: texts, tables and figures from the core's advice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import gradio as gr

import afrd.analysis.explain
import afrd.analysis.lights
import afrd.figures
import afrd.metrics
from afrd.page.common.html import macros
from afrd.page.common.messages import message, working
from afrd.page.common.tables import number, number_text, table_value

if TYPE_CHECKING:
    from afrd.analysis.lights.advice import Advice
    from afrd.analysis.lights.survey import Survey
    from afrd.background.jobs import Job
    from afrd.data.dataset import MultiLightDataset
    from afrd.runs.run import Run

BOLD, GREEN = "font-weight: 650", "font-weight: 650; color: #009e73"
TEMPLATE = "lights/macros.html"


def not_yet(run: Run, dataset: MultiLightDataset) -> str:
    """The offer to make the survey, with its estimated duration."""
    count = len(run.lights)
    if count <= afrd.analysis.explain.MAX_EXACT_LIGHTS:
        evaluated = (
            f"All {2**count - 1} sets of the {count} lights are judged on the {len(dataset)} samples of {dataset.split}"
        )
    else:
        evaluated = f"{2**count - 1} sets of {count} lights are too many, so the best of each size are searched for"
    duration = _duration_text(afrd.analysis.lights.survey.estimated_seconds(run, dataset))
    text = f"{evaluated}. That takes {duration}, can be cancelled, and is kept with the run."
    return macros(TEMPLATE).offer(message("Which lights are needed?", text))


def _duration_text(seconds: float) -> str:
    return (
        "some seconds" if seconds < 15 else "less than a minute" if seconds < 50 else f"some {seconds / 60:.0f} minutes"
    )


def progress(job: Job) -> str:
    titles = {"samples read": "The run evaluates the samples", "sets of lights judged": "Sets of lights are judged"}
    title = titles.get(job.what, f"Lights: {job.what}")
    count = f" ({job.done})" if job.done and not job.total else ""
    return macros(TEMPLATE).progress(working(title + count, job.done, job.total))


def card(survey: Survey, advice: Advice) -> str:
    """The answer as sentences."""
    good, bad = int((~survey.anomalous).sum()), int(survey.anomalous.sum())
    coverage = f"{survey.searched} sets of lights searched" if survey.searched else f"all {len(survey)} sets of lights"
    text = f"{survey.method}; {good} good and {bad} anomalous samples; {coverage}"
    return macros(TEMPLATE).answer(survey, text, advice)


def set_rows(survey: Survey, advice: Advice) -> dict[str, Any]:
    """A row a set, the best first, as `gr.Dataframe` takes it: sorted by numbers, shown as texts."""
    rig = ", ".join(advice.smallest_rig)
    table = advice.sets.reset_index().sort_values(["value", "cost"], ascending=[False, True])
    headers = ["Lights", "Count", "Cost", "Against all lights"]
    headers += [*afrd.metrics.METRIC_NAMES.values(), "Missed", "False alarms"]
    values, texts, styles = [], [], []
    for row in table.to_dict("records"):
        numbers = [row[name] for name in (*afrd.metrics.METRIC_NAMES, "missed", "false_alarms")]
        change = f"{row['difference']:+.3f} [{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"
        values.append([row["lights"], row["size"], row["cost"], row["difference"], *map(number, numbers)])
        forms = [*[".3f"] * len(afrd.metrics.METRIC_NAMES), ".0f", ".0f"]
        number_texts = map(number_text, numbers, forms)
        texts.append([row["lights"], str(row["size"]), f"{row['cost']:g}", change, *number_texts])
        style = GREEN if row["lights"] == rig else BOLD if row["size"] == len(survey.lights) else ""
        styles.append([style] + [""] * (len(headers) - 1))
    return table_value(headers, values, texts, styles)


def cost_rows(costs: Iterable[tuple[str, float]]) -> dict[str, Any]:
    return {"headers": ["Light", "Cost"], "data": [list(row) for row in costs]}


def read_costs(rows: Any, lights: tuple[str, ...]) -> dict[str, float]:
    """Costs from the table as a browser sends it.

    Raises:
        ValueError: a cost is not a number.
    """
    prices: dict[str, float] = {}
    for row in rows or []:
        light, cost = (str(row[0]), row[1]) if len(row) > 1 else ("", None)
        if light not in lights or cost is None or (isinstance(cost, str) and not cost.strip()):
            continue
        try:
            prices[light] = float(cost)
        except (TypeError, ValueError):
            raise ValueError(f"the cost of light {light!r} is {cost!r}; it must be a number, 0 or more") from None
    return prices


def drawn(survey: Survey, advice: Advice, which: str) -> dict[str, Any]:
    """Values of the components that show the advice, by name; `which` samples the lights agree on, see `redundancy`."""
    try:
        redundancy = afrd.figures.redundancy_map(afrd.analysis.lights.redundancy(survey, which))
    except ValueError:  # too few samples
        redundancy = None
    defects = afrd.figures.defect_lights(advice) if len(advice.without) else None
    return {
        "status": card(survey, advice),
        "pareto": afrd.figures.pareto_front(advice),
        "worth": afrd.figures.light_values(advice),
        "sets": set_rows(survey, advice),
        "same": gr.Plot(redundancy, visible=redundancy is not None),
        "defects": gr.Plot(defects, visible=defects is not None),
    }
