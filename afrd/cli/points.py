"""`afrd points`: consequences of thresholds, and operating points stored with a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import afrd.data
import afrd.metrics
import afrd.runs
from afrd.cli.common import as_path

if TYPE_CHECKING:
    from afrd.metrics.consequences import OperatingPoint
    from afrd.runs.run import Run


def add_command(commands: Any) -> None:
    """Adds the command `points`."""
    p = commands.add_parser("points", help="consequences of a rate of false alarms, and rates kept with a run by name")
    p.add_argument("run_folder", type=as_path, metavar="RUN")
    p.add_argument("--lights", default="all", help="a subset of the run's lights (all)")
    p.add_argument("--split", help="to judge on; default: the test split")
    p.add_argument("--data", type=as_path, metavar="ROOT", help="data set, where it is not where the run was trained")
    p.add_argument("--per-thousand", type=float, metavar="X", help="false alarms per thousand good parts")
    p.add_argument("--missed-cost", type=float, default=1.0, metavar="A", help="of one missed defect (1)")
    p.add_argument("--alarm-cost", type=float, default=1.0, metavar="B", help="of one false alarm (1)")
    p.add_argument("--save", metavar="NAME", help="keep --per-thousand with the run, for `afrd predict --point NAME`")
    p.add_argument("--remove", metavar="NAME", help="remove the operating point of this name")
    p.add_argument("--undo", action="store_true", help="undo the latest change of the run's operating points")
    p.set_defaults(run=points)


def points(options: argparse.Namespace) -> None:
    folder: Path = options.run_folder
    if options.save is not None and options.per_thousand is None:
        raise ValueError("--save needs --per-thousand: the false alarms that the operating point promises")
    run = afrd.runs.load_run(folder, device="cpu")
    if options.undo:
        points = afrd.runs.undo_operating_point(folder)
        print(f"{folder}: undone; {'it has ' + ', '.join(points) if points else 'it has no operating point'} now")
        return
    if options.remove is not None:
        afrd.runs.operating_point(folder, options.remove)  # says so where there is none
        afrd.runs.save_operating_point(folder, options.remove, None)
        print(f"{folder}: removed {options.remove}; `afrd points {folder} --undo` brings it back")
        return
    show_consequences(run, options)
    if options.save is not None:  # at the end, so that nothing is kept where the rest fails
        point = afrd.metrics.OperatingPoint(options.per_thousand, options.missed_cost, options.alarm_cost)
        afrd.runs.save_operating_point(folder, options.save, point)
    for name, point in afrd.runs.operating_points(folder).items():
        print(describe(run, name, point))


def show_consequences(run: Run, options: argparse.Namespace) -> None:
    lights = afrd.data.parse_lights(options.lights, run.lights)
    data = afrd.data.open_dataset(options.data or run.config.data_root, run.config.category, run.config.views)
    dataset = data[options.split or data.test_split]
    promises = afrd.metrics.PER_THOUSAND if options.per_thousand is None else [options.per_thousand]
    calibration = run.calibration_scores(lights)
    costs = options.missed_cost, options.alarm_cost
    predictions = run.evaluate(dataset, lights)
    table = afrd.metrics.consequences(predictions, calibration, promises, *costs)
    good, bad, few = table.good[0], table.anomalous[0], table[table.promised > table.asked * (1 + 1e-9)]
    print(f"{run.method(lights)}; {dataset.split}: {good} good and {bad} anomalous samples")
    if note := predictions.note():
        print(note)
    print("false alarms and missed defects, with upper bounds of their rates per thousand, at 95 % confidence")
    print(table.drop(columns=["good", "anomalous"]).to_string(index=False, float_format="{:.4g}".format))
    if len(few):
        print(f"{len(calibration)} calibration samples promise {few.promised.max():.3g} per thousand")


def describe(run: Run, name: str, point: OperatingPoint) -> str:
    return f"operating point {name}: {point.per_thousand:g} per thousand, threshold {run.threshold(alpha=point.alpha)}"
