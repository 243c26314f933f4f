"""`afrd notes`: export and import of notes and groups of the runs in a folder; undoing; notes of a run for its copy."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import afrd.analysis.errors
import afrd.files
from afrd.cli.common import as_path
from afrd.metrics.words import counted
from afrd.runs import shared_file
from afrd.runs.file_names import CONFIG

if TYPE_CHECKING:
    from afrd.runs.shared_file import Key

MAX_SHOWN = 20  # samples that a list names
MAX_EXPORT_BYTES = 256_000_000  # of a file that is imported; a correction has about 300,000


def add_command(commands: Any) -> None:
    """Adds the command `notes`."""
    p = commands.add_parser("notes", help="notes and groups of the runs in a folder: list, export, import, undo, copy")
    actions = p.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=type(p))
    for name, title, handler in (
        ("list", "what is noted on which sample", show),
        ("export", "write notes, groups, corrections and operating points to a JSON file", export_notes),
        ("import", "add what an export holds; nothing is overwritten", import_notes),
        ("undo", "undo the latest change of notes and groups, such as a removal or an import", undo),
    ):
        action = actions.add_parser(name, help=title)
        action.add_argument("runs", type=as_path, metavar="RUNS", help="folder that holds the runs")
        if name in ("export", "import"):
            action.add_argument("file", type=as_path, metavar="FILE")
        action.set_defaults(run=handler)
    action = actions.add_parser("copy", help="add the notes of a run to those of another, such as its renamed folder")
    action.add_argument("source", type=as_path, metavar="RUN", help="folder of the run, also if it is gone")
    action.add_argument("to", type=as_path, metavar="TO", help="folder of the run that gets them as well")
    action.set_defaults(run=copy)


def show(options: argparse.Namespace) -> None:
    content = afrd.analysis.errors.exported(checked(options.runs))
    for run, splits in content["runs"].items():
        for split, samples in splits.items():
            for sample, note in samples.items():
                tags = f" [{', '.join(note['tags'])}]" if note["tags"] else ""
                print(f"{run}  {split}  {sample}{tags}  {' '.join(note['text'].split())}".rstrip())
    for name, value in content["groups"].items():
        print(f"group {name}: {afrd.analysis.errors.groups.group_of(value).words()}")
    for run, corrections in content["corrections"].items():
        print(f"{run}  {counted(len(corrections), 'correction')}: afrd correct {options.runs / run} --list")
    for run, points in content["operating_points"].items():
        for name, point in points.items():
            print(f"{run}  operating point {name}: {point['per_thousand']:g} per thousand")
    print(f"{count_of(content)} in {options.runs}{elsewhere(options.runs, content)}")
    gone = [run for run in content["runs"] if not (options.runs / run).is_dir()]
    if gone:
        print(f"there is no run {', '.join(gone)}; `afrd notes copy` gives its notes to another one")


def export_notes(options: argparse.Namespace) -> None:
    content = afrd.analysis.errors.exported(checked(options.runs))
    afrd.files.save_json(options.file, content)
    print(f"{count_of(content)} of {options.runs} written to {options.file}{elsewhere(options.runs, content)}")


def import_notes(options: argparse.Namespace) -> None:
    folder = checked(options.runs)
    if options.file.is_file() and options.file.stat().st_size > MAX_EXPORT_BYTES:
        limit = MAX_EXPORT_BYTES // 1_000_000
        raise ValueError(f"{options.file} is larger than {limit} MB, so it is not imported")
    content = afrd.files.load_json(options.file)
    try:
        result = afrd.analysis.errors.imported(folder, content)
    except ValueError as error:
        raise ValueError(f"{options.file} cannot be imported into {folder}: {error}") from error
    print(f"{len(result.added)} added, {len(result.merged)} merged, {len(result.same)} already there")
    if result.left:
        print(f"left as they were, as both notes together are too long: {named(result.left)}")
    for name, new_name in result.renamed.items():
        print(f"another group is called {name}; the imported one is called {new_name}")
    missing = sorted(
        {key.run for key in (*result.added, *result.merged) if key.run and not (folder / key.run).is_dir()}
    )
    if missing:
        print(f"{folder} has no run {', '.join(missing)}; its notes wait for a run of that name")
    for kind, names in (("corrections", result.corrections), ("operating points", result.points)):
        if names:
            print(f"{kind} added: {', '.join(names)}")
    for sentence in result.left_out:
        print(sentence)


def copy(options: argparse.Namespace) -> None:
    source, to = options.source.resolve(), options.to.resolve()
    result = afrd.analysis.errors.copied(source, to)
    print(f"{to}: {len(result.added)} added, {len(result.merged)} merged, {len(result.same)} already there")
    if result.left:
        print(f"left as they were, as both notes together are too long: {named(result.left)}")


def undo(options: argparse.Namespace) -> None:
    keys = afrd.analysis.errors.undo_latest(checked(options.runs))
    print(f"undone: {named(keys)}")


def checked(folder: Path) -> Path:
    """The folder that holds runs.

    Raises:
        ValueError: it is none, or is itself a run.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give the one that holds the runs")
    if (folder / CONFIG).is_file():
        parent = folder.resolve().parent
        raise ValueError(f"{folder} is a run, and its notes are kept beside it; give the folder {parent}")
    return folder


def count_of(content: dict[str, Any]) -> str:
    notes = sum(len(samples) for splits in content["runs"].values() for samples in splits.values())
    of_runs = [sum(map(len, content[section].values())) for section in ("corrections", "operating_points")]
    words = ("note", "group", "correction", "operating point")
    *others, last = map(counted, (notes, len(content["groups"]), *of_runs), words)
    return f"{', '.join(others)} and {last}"


def elsewhere(folder: Path, content: dict[str, Any]) -> str:
    """Where notes are, if not in this folder."""
    below = sorted(str(path.parent) for path in folder.glob(f"*/**/{shared_file.FILE}"))
    return (
        f"; there are notes in {', '.join(below[:MAX_SHOWN])}"
        if below and not content["runs"] and not content["groups"]
        else ""
    )


def named(keys: list[Key]) -> str:
    names = [" ".join(filter(None, (key.kind, key.run, key.split, key.name))) for key in keys[:MAX_SHOWN]]
    return ", ".join(names) + (f" and {len(keys) - MAX_SHOWN} more" if len(keys) > MAX_SHOWN else "")
