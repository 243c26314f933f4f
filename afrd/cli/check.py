"""The command `afrd check`: what is wrong with a data set."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import afrd.data
from afrd.cli.common import as_path


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
        print(f"{name}: {splits}; {len(data.lights)} lights: {', '.join(data.lights)}")
        for sentence in data.description:
            print(f"  {sentence}")
    for problem in problems:
        print(f"{problem.file}: {problem.what}")
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        print(f"afrd: {options.root} has {count}", file=sys.stderr)
        return 2
    print("no problems")
    return 0
