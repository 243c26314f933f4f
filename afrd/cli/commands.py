"""The command `afrd`. Exit 0 done, 2 wrong input (one sentence on stderr), 1 anything else."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import afrd
from afrd import cli
from afrd.cli import (
    cache,
    check,
    correct,
    doctor,
    download,
    evaluate,
    export,
    groups,
    lights,
    notes,
    points,
    predict,
    render,
    share,
    sweep,
    train,
)
from afrd.cli.common import Parser, any_text_prints, end_well, heed_termination

# in the order of a user's work
COMMANDS = (
    render,
    check,
    train,
    evaluate,
    predict,
    lights,
    points,
    correct,
    groups,
    notes,
    cache,
    sweep,
    export,
    share,
    download,
    doctor,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[:1] == ["app"]:  # has its own parser
        return cli.app.main(argv[1:])
    any_text_prints()
    heed_termination()
    return end_well(lambda: _run(argv))


def _run(argv: Sequence[str]) -> int | None:
    options = parser().parse_args(argv)
    return options.run(options)


class _ShowVersion(argparse.Action):
    """As argparse's own, which needs the version before anyone has asked for it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"afrd {afrd.__version__}")
        parser.exit()


def parser() -> Parser:
    top = Parser(prog="afrd", description="Multi-lighting anomaly detection by attention fusion reverse distillation.")
    top.add_argument("--version", action=_ShowVersion, nargs=0, help="show the program's version and exit")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for command in COMMANDS:
        command.add_command(commands)
    commands.add_parser("app", help="open the explorer; `afrd app --help` has its options", add_help=False)
    return top


if __name__ == "__main__":
    sys.exit(main())
