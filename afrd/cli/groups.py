"""`afrd groups`: metrics of groups of samples, which are filters saved by name for all runs of a folder."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import afrd.analysis.comparison
import afrd.analysis.errors
import afrd.analysis.reports
import afrd.data
import afrd.files
import afrd.runs
from afrd.cli.common import as_path

if TYPE_CHECKING:
    import pandas as pd

    from afrd.analysis.comparison.methods import Method
    from afrd.analysis.errors.groups import Group
    from afrd.analysis.errors.table import ErrorTable
    from afrd.runs.run import Run

SHOWN_COLUMNS = ("sample", "truth", "defects", "outcome")  # columns of the list of samples, before the scores


def add_command(commands: Any) -> None:
    """Adds the command `groups`."""
    p = commands.add_parser("groups", help="metrics of groups of samples, such as small dents; kept by name")
    p.add_argument("run_folder", type=as_path, metavar="RUN")
    p.add_argument("--where", metavar="EXPR", help="a condition over columns, as \"'dents' in defects and score < 1\"")
    p.add_argument("--group", metavar="NAME", help="the samples of the group of this name")
    p.add_argument("--save", metavar="NAME", help="keep --where as a group, for all runs in the folder of RUN")
    p.add_argument("--remove", metavar="NAME", help="remove the group of this name; `afrd notes undo` brings it back")
    p.add_argument("--beside", type=as_path, metavar="RUN", help="another run on the same data, side by side")
    p.add_argument("--csv", type=as_path, metavar="FILE", help="the samples of --where or --group, else the metrics")
    p.add_argument("--lights", default="all", help="a subset of the run's lights (all)")
    p.add_argument("--split", help="to judge on; default: the test split")
    p.add_argument("--data", type=as_path, metavar="ROOT", help="data set, where it is not where the run was trained")
    p.add_argument("--device", default="auto")
    p.set_defaults(run=groups)


def groups(options: argparse.Namespace) -> None:
    if options.where is not None and options.group is not None:
        raise ValueError("--where and --group each name a group; give one of them")
    if options.where is not None and not options.where.strip():
        raise ValueError("--where is empty; write a condition such as score > 1")
    if options.save is not None and options.where is None:
        raise ValueError("--save needs --where: the condition that the group is")
    run = afrd.runs.load_run(options.run_folder, options.device)
    shared = afrd.analysis.errors.Groups(run.folder.resolve().parent)
    if options.remove is not None:
        shared.get(options.remove)  # says so where there is none
        shared.save(options.remove, None)
        print(f"{shared.file.folder}: removed group {options.remove}")
        return
    one = chosen(options, shared)
    table, predictions = judged(run, options)
    at = table.first_threshold
    notes = afrd.analysis.errors.Notes(run.folder).of(table.split)
    if one is None:
        rows = rows_of(table, {"all samples": afrd.analysis.errors.Group()} | shared.all(), at, notes)
    else:
        name, group = one
        rows = {name: group.rows(table, at, notes)}
    if options.save is not None:
        shared.save(options.save, one[1] if one else None)
    metrics = afrd.analysis.errors.group_metrics.group_metrics(table, rows, predictions, at)
    print(f"{table.category}/{table.split}, lights {', '.join(predictions[0].lights)}")
    texts = afrd.analysis.reports.groups.group_texts(metrics, table.column_names())
    print(texts.to_string(index=False))
    frame = table.frame(at, next(iter(rows.values())), notes)
    if one is not None:
        show_samples(table, frame)
    if options.csv is not None:
        with afrd.files.replacing(options.csv) as path:
            path.write_text(afrd.analysis.reports.errors.csv(metrics if one is None else frame), encoding="utf-8")


def chosen(options: argparse.Namespace, shared: afrd.analysis.errors.Groups) -> tuple[str, Group] | None:
    """The group that the options name, and what it is called; None for all groups."""
    if options.where is not None:
        return options.save or options.where, afrd.analysis.errors.Group(where=options.where)
    return None if options.group is None else (options.group, shared.get(options.group))


def rows_of(table: ErrorTable, groups: dict[str, Group], at: float | None, notes: dict) -> dict[str, list[int]]:
    """Samples of each group; one that this table cannot answer is named and left out."""
    rows = {}
    for name, group in groups.items():
        try:
            rows[name] = group.rows(table, at, notes)
        except ValueError as error:
            print(f"group {name} is left out: {error}")
    return rows


def judged(run: Run, options: argparse.Namespace) -> tuple[ErrorTable, list]:
    """The error table of the run, with the run beside it, and the predictions behind it."""
    data = afrd.data.open_dataset(options.data or run.config.data_root, run.config.category, run.config.views)
    dataset = data[options.split or data.test_split]
    lights = None if options.lights == "all" else afrd.data.parse_lights(options.lights, run.lights)
    runs = [run] if options.beside is None else [run, afrd.runs.load_run(options.beside, options.device)]
    for other in runs[1:]:
        if other.config.category != run.config.category:
            raise ValueError(f"{other.folder} is a run on {other.config.category}, and not on {run.config.category}")
    all_methods = afrd.analysis.comparison.methods_of(runs, lights) + afrd.analysis.comparison.methods_of(runs)
    methods = [method_of(of_run, all_methods) for of_run in runs]
    predictions = {method.label: method.judge(dataset) for method in methods}
    labels = [method.label for method in methods]
    table = afrd.analysis.errors.table.table(
        methods, dataset, labels[0], labels[1] if len(labels) > 1 else None, lambda method, _: predictions[method.label]
    )
    return table, list(predictions.values())


def method_of(run: Run, methods: list[Method]) -> Method:
    """The run in its own fusion, with those of the chosen lights that it has."""
    return next(method for method in methods if not method.late and method.runs[0] is run)


def show_samples(table: ErrorTable, frame: pd.DataFrame) -> None:
    names = table.column_names()
    scores = [names[label] for label in (table.run, table.other) if label]
    if not len(frame):
        print("no sample fulfils it")
        return
    print(frame[[*SHOWN_COLUMNS, *scores, "tags"]].to_string(index=False, float_format="{:.2f}".format))
