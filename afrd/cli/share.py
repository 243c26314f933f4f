"""The command `afrd share`: the light table of some samples as one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from afrd.cli.common import as_path
from afrd.files import replacing


def add_command(commands: Any) -> None:
    """Adds the command `share`."""
    p = commands.add_parser("share", help="the light table of some samples as one HTML file, to send or to host")
    p.add_argument("run_folder", type=as_path, metavar="RUN", help="a run of several lights that fuses their evidence")
    p.add_argument("--samples", type=int, default=12, metavar="N", help="how many, of each type of defect in turn (12)")
    p.add_argument("--sample", action="append", metavar="NAME", help="this one, may be given several times")
    p.add_argument("--split", help="default: the test split")
    p.add_argument("--data", type=as_path, metavar="ROOT", help="data set, where it is not where the run was trained")
    p.add_argument("--beside", type=as_path, metavar="RUN", help="the run beside it, default: one of a single light")
    p.add_argument("--out", type=as_path, default=Path("table.html"), metavar="HTML", help="default table.html")
    p.set_defaults(run=share)


def share(options: argparse.Namespace) -> None:
    from afrd.page.light_table.share import shared_page  # with the page, which other commands do without

    page = shared_page(
        options.run_folder, options.sample or options.samples, options.split, options.data, options.beside
    )
    with replacing(options.out) as unfinished:
        unfinished.write_text(page, encoding="utf-8")
    print(
        f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB; open it in a browser, or put it on any web server"
    )
