"""`afrd app`, also run by `python app.py`: starts the explorer in the browser."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import afrd.demo
from afrd.cli.common import Parser, any_text_prints, as_path, heed_termination, sentence
from afrd.page.access import LOOPBACK, PASSWORD, access, read_auth
from afrd.page.server import DEMO_DATA, DEMO_RUNS, PORT, _end, launch


def parser() -> Parser:
    name = "afrd app" if Path(sys.argv[0]).stem == "afrd" else "app.py"
    top = Parser(prog=name, description="The AFRD explorer in the browser. Without options it prepares a demo.")
    top.add_argument("--runs", type=as_path, metavar="DIR", help=f"folder with runs anywhere below ({DEMO_RUNS})")
    top.add_argument("--data", type=as_path, metavar="DIR", help="data set to look at; default: that of the run")
    top.add_argument("--port", type=int, help=f"({PORT})")
    top.add_argument("--host", metavar="ADDRESS", help=f"to listen on ({LOOPBACK}; 0.0.0.0: all interfaces)")
    top.add_argument("--share", action="store_true", help="also reachable by a public link for a week")
    top.add_argument(
        "--auth",
        metavar="USER:FILE",
        help=f"ask for this name and the password in FILE; without FILE, for that in the variable {PASSWORD}",
    )
    top.add_argument(
        "--train",
        action=argparse.BooleanOptionalAction,
        help="whether one can train in the page; by default where only this machine reaches it, elsewhere with --auth",
    )
    return top


def in_a_space() -> bool:
    """Whether this is a public Hugging Face Space."""
    return bool(os.environ.get("SPACE_ID"))


def main(argv: Sequence[str] | None = None) -> int:
    """Starts the page and blocks until it ends; returns the exit status."""
    any_text_prints()
    top = parser()
    options = top.parse_args(argv)
    for option, folder in (("--runs", options.runs), ("--data", options.data)):
        if folder is not None and not folder.is_dir():
            top.error(f"{option} {folder} is not a folder")
    port = options.port
    if port is None:
        space_port = os.environ.get("GRADIO_SERVER_PORT", "") if in_a_space() else ""
        port = int(space_port) if space_port.isdecimal() else PORT
    if not 1 <= port <= 65535:
        top.error(f"--port {port} is not a port; ports are 1 to 65535")
    host = options.host or ("0.0.0.0" if in_a_space() else LOOPBACK)
    try:
        auth = read_auth(options.auth) if options.auth is not None else None
        page_access = access(host, options.share, auth, options.train)
    except ValueError as error:
        top.error(str(error))
    heed_termination()
    preparation = None
    runs, data = options.runs, options.data
    if runs is None and data is None:
        runs, data = DEMO_RUNS, DEMO_DATA
        preparation = afrd.demo.Preparation(data, runs)
    try:
        page = launch(runs or DEMO_RUNS.parent, data, preparation, port, page_access)
    except OSError as error:
        print(
            f"{top.prog}: {host}:{port} cannot be used ({sentence(error)}); choose another --port or --host",
            file=sys.stderr,
        )
        return 1
    except ValueError as error:  # Gradio's own check whether the page answers, as on a machine that is too busy
        print(f"{top.prog}: the page does not answer on port {port} ({error}); try again", file=sys.stderr)
        return 1
    page.block_thread()  # until Ctrl-C
    _end()
    return 0
