"""What all commands share: the parser, progress bars, writing JSON, a tidy end."""

from __future__ import annotations

import argparse
import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import afrd.files


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def heed_termination() -> None:
    """SIGTERM, as sent by `docker stop` or a batch system, ends the process like Ctrl-C: tidied up, checkpoint kept."""
    if threading.current_thread() is threading.main_thread():  # no other thread may say so
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def write_json(file: Path | None, content: dict[str, Any]) -> None:
    if file is not None:
        afrd.files.save_json(file, content)


class Bar:
    """A progress bar that can be passed as a (done, total) callback."""

    def __init__(self, title: str) -> None:
        from tqdm import tqdm

        self.bar = tqdm(desc=title, leave=False, dynamic_ncols=True, disable=None)  # not into a pipe

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def __call__(self, done: int, total: int | None) -> None:
        self.bar.total = total
        self.bar.update(done - self.bar.n)


class Bars:
    """A bar for each kind of work that a survey reports."""

    def __init__(self, open_bars: ExitStack) -> None:
        self.open_bars = open_bars
        self.bars: dict[str, Any] = {}

    def __call__(self, what: str, done: int, total: int) -> None:

        if what not in self.bars:
            self.bars[what] = self.open_bars.enter_context(Bar(what))
        self.bars[what](done, total or None)
