"""`afrd lights`: advice about the lights of a run, as tables, JSON and an HTML page."""

from __future__ import annotations

import argparse
import math
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import afrd.analysis.lights
import afrd.analysis.reports
import afrd.data
import afrd.files
import afrd.metrics
import afrd.runs
from afrd.cli.common import Bars, add_region_option, as_path, with_region

if TYPE_CHECKING:
    import pandas as pd

    from afrd.analysis.lights.advice import Advice
    from afrd.analysis.lights.survey import Survey


def add_command(commands: Any) -> None:
    """Adds the command `lights`."""
    p = commands.add_parser("lights", help="which lights are needed; every set of them is judged on a test split")
    p.add_argument("run_folder", type=as_path, metavar="RUN")
    p.add_argument("--data", type=as_path, metavar="ROOT", help="data set to use instead of the one it was trained on")
    p.add_argument("--split", help="default test_public, or test in the folder layout")
    add_region_option(p, "instead of the run's own, for this call")
    p.add_argument("--metric", default="image_auroc", help="what a rig should be good at (image_auroc)")
    p.add_argument("--delta", type=float, metavar="D", help="how much of it a smaller rig may lose (0.05)")
    p.add_argument(
        "--cost",
        action="append",
        default=[],
        metavar="LIGHT=C[,...]",
        help="of a light, in any unit; 1 where not given",
    )
    p.add_argument("--unit", help="of the costs, such as ms or EUR")
    p.add_argument("--json", type=as_path, metavar="FILE")
    p.add_argument("--report", type=as_path, metavar="HTML", help="also write a page to print")
    p.add_argument("--device", default="auto")
    p.set_defaults(run=lights)


def lights(options: argparse.Namespace) -> None:
    run = afrd.runs.load_run(options.run_folder, options.device)
    costs = afrd.analysis.lights.checked_costs(parse_costs(options.cost), run.lights)  # before the long work
    delta = afrd.analysis.lights.checked_delta(afrd.analysis.lights.DELTA if options.delta is None else options.delta)
    data = afrd.data.open_dataset(options.data or run.config.data_root, run.config.category, run.config.views)
    run = with_region(run, options.roi, lambda: data)
    with ExitStack() as bars:
        survey = afrd.analysis.lights.survey.survey(
            run, data[options.split or data.test_split], options.metric, Bars(bars)
        )
    advice = afrd.analysis.lights.advise(survey, options.metric, delta, costs, options.unit)
    _show(survey, advice)
    if options.json is not None:
        afrd.files.save_json(options.json, afrd.analysis.reports.lights.as_json(survey, advice))
    if options.report is not None:
        page = afrd.analysis.reports.lights.report(survey, advice)
        with afrd.files.replacing(options.report) as path:
            path.write_text(page, encoding="utf-8")


def parse_costs(entries: list[str]) -> dict[str, float]:
    """`["top=2,box=0.5"]` as numbers by light.

    Raises:
        ValueError: an entry that is not LIGHT=NUMBER, or a light named twice.
    """
    costs: dict[str, float] = {}
    for entry in (entry.strip() for text in entries for entry in text.split(",") if entry.strip()):
        light, equals, number = (piece.strip() for piece in entry.rpartition("="))
        try:
            cost = float(number)
        except ValueError:
            cost = math.nan
        if not equals or not light or math.isnan(cost):
            raise ValueError(f"--cost {entry!r} is not LIGHT=NUMBER, such as top=2")
        if light in costs:
            raise ValueError(f"light {light!r} has two costs, {costs[light]:g} and {cost:g}")
        costs[light] = cost
    return costs


def _show(survey: Survey, advice: Advice) -> None:
    good, bad = int((~survey.anomalous).sum()), int(survey.anomalous.sum())
    coverage = f"{survey.searched} sets of lights searched" if survey.searched else f"all {len(survey)} sets of lights"
    print(f"{survey.method}; {survey.category}/{survey.split}: {good} good and {bad} anomalous samples; {coverage}")
    rows = advice.sets.front | (advice.sets.lights == ", ".join(advice.smallest_rig))
    rows.iloc[survey.whole] = True
    columns = ["lights", "cost", *afrd.metrics.METRICS, "missed", "false_alarms"]
    name = afrd.metrics.METRIC_NAMES[advice.metric]
    print(f"\nthe best in {name} for each cost (in {advice.unit}), the smallest rig, and all lights")
    _table(advice.sets[rows].sort_values("cost")[columns].set_index("lights"))
    budget = f"so many {advice.unit}" if advice.unit == afrd.analysis.lights.UNIT_LIGHTS else f"so much ({advice.unit})"
    print(f"\nfor at most {budget}: sets chosen on one half, judged on the other; ", end="")
    print("change against all lights, each end at 95 % confidence")
    _table(advice.budgets.set_index("budget").drop(columns=["size", "cost"]))
    print(f"\nlights: {name} alone, Shapley value, change without it")
    _table(advice.lights)
    if len(advice.defects):
        print("\ndefect types: image AUROC with all lights, with the smallest rig, and its change on other samples")
        _table(advice.defects.assign(lost_without=advice.defects.lost_without.map(", ".join)))
    samples, min_samples = len(survey.anomalous), afrd.analysis.lights.survey.MIN_CORRELATED_SAMPLES
    if samples < min_samples:
        print(
            f"\nno rank correlation of the lights' own scores: {samples} samples are too few; {min_samples} are needed"
        )
    else:
        print("\nrank correlation of the lights' own scores")
        _table(afrd.analysis.lights.redundancy(survey).table, 2)
    print(f"\n{advice.sentence}")
    for note in advice.notes:
        print(f"- {note}")


def _table(table: pd.DataFrame, digits: int = 3) -> None:
    integer_columns = [name for name in table if name in ("cost", "missed", "false_alarms")]
    table = table.assign(
        **{name: [f"{number:g}" if number == number else "-" for number in table[name]] for name in integer_columns}
    )
    table.index = [f"{entry:g}" if isinstance(entry, float) else entry for entry in table.index]
    print(table.to_string(float_format=f"{{:.{digits}f}}".format, na_rep="-"))
