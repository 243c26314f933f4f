"""`afrd download`: fetches a public data set from its authors' servers."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import afrd.data
from afrd.cli.common import Bars, as_path


def add_command(commands: Any) -> None:
    """Adds the command `download`."""
    p = commands.add_parser("download", help="fetch a public data set (afrd[download]); again: continues")
    p.add_argument("dataset", choices=["eyecandies"])
    p.add_argument("--category", action="append", metavar="C", help="a category; again for more; default all")
    p.add_argument("--out", type=as_path, default=Path("data/Eyecandies"), metavar="ROOT", help="(data/Eyecandies)")
    p.add_argument("--keep", action="store_true", help="keep the archives after they are unpacked")
    p.add_argument("--from", dest="address", metavar="URL", help="another server's, with {id} or {category} in it")
    p.set_defaults(run=download)


def download(options: argparse.Namespace) -> None:
    source = afrd.data.download
    archives = source.eyecandies_archives(options.category or ())
    source.check_space(archives, options.out)
    for archive in archives:
        if source.is_fetched(archive, options.out):
            print(f"{options.out / archive.category}: there already")
            continue
        with ExitStack() as bars:
            address = options.address or source.GOOGLE_DRIVE
            folder = source.fetch(archive, options.out, address, options.keep, Bars(bars))
        print(folder)
