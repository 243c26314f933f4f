"""The command `afrd render`: candies as a data set."""

from __future__ import annotations

import argparse
from typing import Any

import afrd.candies
from afrd.cli.common import Bar, as_path


def add_command(commands: Any) -> None:
    """Adds the command `render`."""
    p = commands.add_parser("render", help="make the demo data: candies under six lights, in the Eyecandies layout")
    p.add_argument("out", type=as_path, help="folder of the data set")
    p.add_argument(
        "--category",
        action="append",
        metavar="C",
        help="one of the factory's, or Random1, Random2, ...; again for more; default all that have a name",
    )
    p.add_argument("--size", type=int, default=256, help="side of the pictures in pixels (256)")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--twins", action="store_true", help="also every bad test sample without its defect, in twins/")
    p.add_argument("--train", type=int, default=40, metavar="N", help="good samples to train on (40)")
    p.add_argument("--val", type=int, default=20, metavar="N", help="good samples for the threshold (20)")
    p.add_argument("--test", type=int, default=40, metavar="N", help="test samples, half of them bad (40)")
    p.add_argument(
        "--difficulty",
        type=float,
        default=0.0,
        metavar="D",
        help="of the defects: 0 plain (default), 1 small and faint",
    )
    p.set_defaults(run=render)


def render(options: argparse.Namespace) -> None:
    for name in options.category or ():
        afrd.candies.check_arguments(name, options.size, options.seed, afrd.candies.EYECANDIES_RIG, options.difficulty)
    for name in dict.fromkeys(options.category or afrd.candies.CATEGORIES):
        with Bar(f"render {name}") as bar:
            folder = afrd.candies.render_category(
                options.out,
                name,
                size=options.size,
                seed=options.seed,
                train=options.train,
                val=options.val,
                test_good=options.test - options.test // 2,
                test_bad=options.test // 2,
                twins=options.twins,
                difficulty=options.difficulty,
                progress=bar,
            )
        print(folder)
