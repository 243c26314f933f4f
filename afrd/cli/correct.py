"""`afrd correct`: marks a place of a sample as normal or as a missed defect; lists, undoes, restores corrections."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import afrd.analysis.errors
import afrd.analysis.explain
import afrd.data
import afrd.runs
from afrd.analysis.errors.words import truth_word
from afrd.cli.common import as_path
from afrd.runs.file_names import CONFIG

if TYPE_CHECKING:
    from afrd.data.dataset import MultiLightDataset
    from afrd.runs.run import Run

MAX_SHOWN = 8  # places that look alike, and sets of lights


def add_command(commands: Any) -> None:
    """Adds the command `correct`."""
    p = commands.add_parser("correct", help="mark a place as normal or as a missed defect, without training")
    p.add_argument("run_folder", type=as_path, metavar="RUN")
    p.add_argument("sample", nargs="?", metavar="SAMPLE", help="its name in the split")
    where = p.add_mutually_exclusive_group()
    where.add_argument("--place", type=as_place, metavar="X,Y", help="in pixels of the pictures, as the page shows it")
    where.add_argument("--whole", action="store_true", help="the whole part: all its hot places")
    p.add_argument("--why", default="", metavar="TEXT", help="the reason, kept with the correction")
    p.add_argument("--who", metavar="NAME", help="default: the name of your account")
    p.add_argument("--split", help="of the sample; default: the test split")
    p.add_argument("--data", type=as_path, metavar="ROOT", help="data set, where it is not where the run was trained")
    p.add_argument("--missed", action="store_true", help="a missed defect: it is stored, no verdict changes")
    p.add_argument("--dry-run", action="store_true", help="say what would change, and keep nothing")
    what = p.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="list the corrections of the run")
    what.add_argument("--undo", metavar="ID", help="undo the correction of this id")
    what.add_argument("--restore", metavar="ID", help="restore a correction that was undone")
    p.set_defaults(run=correct)


def as_place(text: str) -> tuple[int, int]:
    try:
        x, y = (int(number) for number in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a place; give two whole numbers, such as 120,88") from error
    return x, y


def correct(options: argparse.Namespace) -> None:
    folder: Path = options.run_folder
    if options.undo is not None:
        afrd.runs.remove_correction(folder, options.undo)  # also one whose file is broken
        again = f"`afrd correct {folder} --restore {options.undo}` brings it back"
        print(f"{folder}: undid correction {options.undo}; {again}")
        return
    if options.restore is not None:
        run = afrd.runs.restore(afrd.runs.load_run(folder), options.restore)
        print(f"{folder}: correction {options.restore} holds again; it has {len(run.corrections)} now")
        return
    if options.list:
        show_corrections(folder)
        return
    if options.sample is None or not (options.place or options.whole):
        raise ValueError(
            "name a SAMPLE and its place (--place X,Y, or --whole); --list, --undo and --restore need neither"
        )
    if options.missed and options.place is None:
        raise ValueError("a missed defect needs its place (--place X,Y)")
    run = afrd.runs.load_run(folder)
    data = afrd.data.open_dataset(options.data or run.config.data_root, run.config.category, run.config.views)
    dataset = data[options.split or data.test_split]
    if options.sample not in dataset.names:
        names = f"{dataset.names[0]} to {dataset.names[-1]}" if len(dataset) else "none"
        raise ValueError(f"{dataset.category}/{dataset.split} has no sample {options.sample!r}; it has {names}")
    index = list(dataset.names).index(options.sample)
    kind = "defect" if options.missed else "normal"
    candidate = afrd.runs.propose(run, dataset, index, options.place, options.why, options.who, kind)
    if options.missed:
        show_missed(run, dataset, index, options.place)
    else:
        show_changes(run, candidate, dataset)
    if options.dry_run:
        print("nothing is kept (--dry-run)")
        return
    afrd.runs.keep(candidate)
    name = candidate.corrections[-1].about.id
    print(f"kept as correction {name}; `afrd correct {folder} --undo {name}` takes it back")


def show_corrections(folder: Path) -> None:
    if not (folder / CONFIG).is_file():
        raise ValueError(f"{folder} is not a run folder: it has no config.json")
    corrections = afrd.runs.read_corrections(folder)
    for one in (correction.about for correction in corrections):
        place = "whole part" if one.place is None else f"x {one.place[0]}, y {one.place[1]}"
        what = "normal" if one.kind == "normal" else "missed defect"
        where = f"{one.category}/{one.split}/{one.sample}, {place}"
        print("  ".join(filter(None, (one.id, one.when[:16].replace("T", " "), one.who, what, where, one.why))))
    print(f"{len(corrections)} corrections of {folder}")
    if removed := afrd.runs.removed_ids(folder):
        print(f"undone, the latest first: {', '.join(removed)}; --restore ID brings one back")


def show_changes(run: Run, candidate: Run, dataset: MultiLightDataset) -> None:
    changed = afrd.analysis.errors.changes(run, candidate, dataset)
    print(f"{dataset.split}: {changed.sentence()}")
    if len(changed.table):
        print("verdicts that change, scores in units of the threshold")
        print(changed.table.to_string(index=False, float_format="{:.2f}".format))


def show_missed(run: Run, dataset: MultiLightDataset, index: int, place: tuple[int, int]) -> None:
    reached = afrd.analysis.explain.reach(run, dataset, index, place)
    if reached is not None:
        print(f"evidence there {reached.evidence:.2f} × threshold")
        if reached.per_thousand < 1000:
            print(f"a threshold for {reached.per_thousand:.0f} false alarms per thousand good parts would find it")
        else:
            print("all calibration samples score higher, so no threshold tells it from them")
        for lights, value in reached.sets[:MAX_SHOWN]:
            print(f"  lights {', '.join(lights)}: {value:.2f} × their threshold")
        if not reached.sets:
            print("no set of its lights finds it at its own threshold")
    print(f"places of {dataset.split} that look like it, with their distance")
    for one in afrd.analysis.explain.alike(run, dataset, index, place, dataset, count=MAX_SHOWN):
        truth = truth_word(dataset.anomalous[one.index])
        print(f"  {one.sample:12} x {one.x}, y {one.y}  {one.distance:.3f}  {truth}")
