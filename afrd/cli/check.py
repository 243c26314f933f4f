"""The command `afrd check`: what is wrong with a data set."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import afrd.data
import afrd.runs
from afrd.cli.common import as_path
from afrd.files import visible

if TYPE_CHECKING:
    from afrd.data.dataset import Category, Problem


def add_command(commands: Any) -> None:
    """Adds the command `check`."""
    p = commands.add_parser("check", help="list what is wrong with a data set")
    p.add_argument("root", type=as_path)
    p.set_defaults(run=check)


def check(options: argparse.Namespace) -> int:
    problems = afrd.data.dataset.check(options.root)
    for name in afrd.data.list_categories(options.root):
        try:
            data = afrd.data.open_dataset(options.root, name)
        except ValueError:  # reported among the problems
            continue
        splits = ", ".join(f"{split} {len(dataset)}" for split, dataset in data.items())
        print(visible(f"{name}: {splits}; {len(data.lights)} lights: {', '.join(data.lights)}"))
        for sentence in data.description:
            print(visible(f"  {sentence}"))
        problems += _of_the_region(data)
    for problem in problems:
        print(visible(f"{problem.file}: {problem.what}"))
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        print(f"afrd: {options.root} has {count}", file=sys.stderr)
        return 2
    print("no problems")
    return 0


def _of_the_region(data: Category) -> list[Problem]:
    """What is wrong with `roi.png` of a category."""
    path = afrd.runs.data_region(data)
    try:
        if path is not None:
            afrd.runs.region.read_region(path, next(iter(data.values())).image_size)
    except (ValueError, OSError) as error:
        said = str(error)
        if path is not None and said.startswith(f"{path} "):  # else a picture of a sample is meant, found already
            return [afrd.data.dataset.Problem(path.relative_to(data.root).as_posix(), said.removeprefix(f"{path} "))]
    return []
