"""`afrd sweep`: many trainings by a plan; `afrd report`: their results as tables and an HTML page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import afrd.analysis.reports
import afrd.background
import afrd.files
import afrd.runs
from afrd.cli.common import as_path
from afrd.metrics.words import counted

if TYPE_CHECKING:
    from afrd.runs.sweep_plan import SweepPlan

LISTS = {"categories": "A,B", "views": "001,005", "methods": "afrd,single", "seeds": "0,1,2", "teachers": "T,U"}
LISTS |= {"sizes": "256,512"}  # options with an example
NUMBERS = ("seeds", "sizes")
MAX_LISTED = 20  # failed or running cells that are printed


def add_command(commands: Any) -> None:
    """Adds the commands `sweep` and `report`."""
    p = commands.add_parser("sweep", help="train every combination of categories, methods, lights, seeds, teachers")
    p.add_argument(
        "plan",
        type=as_path,
        nargs="?",
        metavar="PLAN",
        help="a .toml file, or with --status the sweep's folder; without it, the options below are the plan",
    )
    p.add_argument("--data", metavar="ROOT", help="data set; this and the following options replace the plan's")
    p.add_argument("--out", metavar="FOLDER", help="folder of the sweep")
    for name, example in LISTS.items():
        p.add_argument(f"--{name}", metavar=example)
    p.add_argument("--lights", action="append", metavar="SUBSET", help="all, or names joined by commas; again for more")
    p.add_argument("--epochs", type=int, metavar="N", help="of all trainings")
    p.add_argument("--workers", type=int, metavar="N", help="trainings at once; default what cores and memory allow")
    p.add_argument("--cluster", metavar="ADDRESS", help="train by the workers of this Dask scheduler (afrd[cluster])")
    p.add_argument("--retry", action="store_true", help="train failed cells again")
    p.add_argument("--dry-run", action="store_true", help="say how many cells, hours and gigabytes it will take")
    p.add_argument("--status", action="store_true", help="say what is done, running and failed, while it runs")
    p.set_defaults(run=sweep)

    p = commands.add_parser("report", help="tables of a sweep: Markdown, CSV, LaTeX and a page to send")
    p.add_argument("folder", type=as_path, metavar="SWEEP", help="folder of the sweep")
    p.add_argument("--out", type=as_path, metavar="FOLDER", help="where to write (SWEEP/report)")
    p.set_defaults(run=report)


def sweep(options: argparse.Namespace) -> int:
    plan = _plan(options)
    if options.workers is not None and options.workers < 1:
        raise ValueError(f"--workers is {options.workers}, but must be at least 1")
    if options.status:
        _show_status(plan)
        return 0
    if options.dry_run:
        _show_estimate(plan, options.workers)
        return 0
    summary = afrd.background.run_sweep(
        plan,
        workers=options.workers,
        cluster=options.cluster,
        retry=options.retry,
        progress=lambda line: print(line, flush=True),
    )
    done = len(summary.done)
    tables = f"; `afrd report {plan.out}` makes {'its' if done == 1 else 'their'} tables" if done else ""
    print(f"{counted(done, 'cell')} {'is' if done == 1 else 'are'} done{tables}")
    for name, error in (summary.failed | summary.not_evaluated).items():
        print(f"afrd: {name}: {error}", file=sys.stderr)
    if summary.failed:
        print("afrd: when the cause is fixed, the same command with --retry trains failed cells again", file=sys.stderr)
    if summary.not_evaluated:
        print("afrd: when the cause is fixed, the same command evaluates what is missing", file=sys.stderr)
    return 1 if summary.failed or summary.not_evaluated else 0


def report(options: argparse.Namespace) -> None:
    plan = afrd.runs.read_sweep(options.folder)
    for path in afrd.analysis.reports.sweep.write_report(
        plan, options.folder, options.out or options.folder / "report"
    ):
        print(path)


def _plan(options: argparse.Namespace) -> SweepPlan:
    overrides = {"data": options.data, "out": options.out, "lights": options.lights}
    overrides |= {name: _list(name, text) for name in LISTS if (text := getattr(options, name)) is not None}
    set_options = {name: value for name, value in overrides.items() if value is not None}
    if options.plan is None:
        plan = afrd.runs.make_sweep("the command line", **set_options)
    elif options.plan.is_dir():
        if not options.status:
            raise ValueError(f"{options.plan} is a folder; give the plan's .toml file, or --status with the folder")
        return afrd.runs.read_sweep(options.plan)
    else:
        plan = afrd.runs.load_sweep(options.plan, **set_options)
    return (
        plan
        if options.epochs is None
        else plan.model_copy(update={"options": plan.options | {"epochs": options.epochs}})
    )


def _list(name: str, text: str) -> list[str] | list[int]:
    parts = [part.strip() for part in text.split(",")]
    if name not in NUMBERS:
        return parts
    try:
        return [int(part) for part in parts]
    except ValueError as error:
        raise ValueError(f"--{name} is {text!r}, but must be whole numbers joined by commas") from error


def _show_status(plan: SweepPlan) -> None:
    statuses = afrd.background.sweep_status(Path(plan.out), plan.cells())
    print(afrd.background.sweep_progress(statuses))
    for status in [status for status in statuses if status.state == "running"][:MAX_LISTED]:
        step = f"step {status.step} of {status.steps}" if status.step is not None else "reading features"
        left = f", {status.seconds_left / 60:.1f} min left" if status.seconds_left is not None else ""
        print(f"{status.name}: {step}{left} ({status.host})")
    for status in [status for status in statuses if status.state == "failed"][:MAX_LISTED]:
        print(f"{status.name}: {status.error}")


def _show_estimate(plan: SweepPlan, workers: int | None) -> None:
    estimate = afrd.background.estimate_sweep(plan, workers)
    print(f"{counted(estimate.cells, 'cell')}, {estimate.missing} of them to train")
    print(f"{estimate.hours:.2f} h with {counted(estimate.workers, 'training')} at once")
    print(f"{estimate.run_gigabytes:.2f} GB of runs, {estimate.feature_gigabytes:.2f} GB of features")
    print(f"from {estimate.measured}")
