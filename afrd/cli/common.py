"""Shared by all commands: parser, paths, progress bars, JSON output, error messages and exit codes."""

from __future__ import annotations

import argparse
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import afrd.data
import afrd.files
import afrd.runs
from afrd.files import visible

if TYPE_CHECKING:
    from afrd.data.dataset import Category
    from afrd.runs.run import Run


class Parser(argparse.ArgumentParser):
    """Argument parser whose errors are one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def as_path(text: str) -> Path:
    """A path of the command line; `~` is expanded here as well, since a shell does not expand it in `--out=~/x`."""
    if not text.strip():
        raise argparse.ArgumentTypeError("a path is empty")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text} names the home folder of a user who is not known here") from error


def add_region_option(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds `--roi`; `what` says what happens to the region."""
    parser.add_argument(
        "--roi",
        type=as_roi,
        metavar="FILE|auto|none",
        help=f"judge inside a region only: a picture, white inside; auto: the silhouette of the parts; {what}",
    )


def as_roi(text: str) -> Path | str:
    """A value of `--roi`: a path, or one of its words."""
    return text if text in (afrd.runs.ROI_AUTO, afrd.runs.ROI_NONE) else as_path(text)


def with_region(run: Run, roi: Path | str | None, data: Callable[[], Category]) -> Run:
    """The run with the region of `--roi`, for this call only; with its own where that was not given."""
    if roi is None:
        return run
    return run.with_region(afrd.runs.region_of(roi, run.config.picture_size, data))


def any_text_prints() -> None:
    """Prints characters that the terminal's encoding lacks as \\x.. or \\u...., rather than failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":
            stream.reconfigure(errors="backslashreplace")


def end_well(command: Callable[[], int | None]) -> int:
    """Runs a command, and turns errors into one sentence on stderr.

    Returns:
        The exit status: 0, or what the command returns; 2 for wrong input, 1 for anything else that failed.
    """
    try:
        try:
            return command() or 0
        finally:
            sys.stdout.flush()  # here, so that a closed pipe raises before the interpreter exits
    except BrokenPipeError:  # as in `afrd check data | head`
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        return _failed(error, 2)
    except KeyboardInterrupt:
        print("afrd: stopped; the same command continues from what is done", file=sys.stderr)
        return 1
    # such as missing weights, a full disk, a loss that is NaN
    except (MemoryError, RuntimeError, OSError, ArithmeticError) as error:
        return _failed(error, 1)


def _failed(error: BaseException, status: int) -> int:
    print(f"afrd: {visible(sentence(error))}", file=sys.stderr)
    return status


def sentence(error: BaseException) -> str:
    """An error in one line, with the file of a system error, and advice where there is some."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        reason = error.strerror[:1].lower() + error.strerror[1:]
        advice = "; free some space there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        return f"{os.fsdecode(error.filename)}: {reason}{advice}" if error.filename else f"{reason}{advice}"
    if isinstance(error, MemoryError) or "not enough memory" in text or "out of memory" in text.lower():
        cause = text if isinstance(error, MemoryError) and "; " in text else "memory ran out"
        return cause if cause != "memory ran out" else f"{cause}; choose a smaller --size or --batch, or fewer lights"
    return text or type(error).__name__


def heed_termination() -> None:
    """SIGTERM, as sent by `docker stop` or a batch system, ends the process like Ctrl-C, keeping a checkpoint."""
    if threading.current_thread() is threading.main_thread():  # signals can be set in the main thread only
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def write_json(file: Path | None, content: dict[str, Any]) -> None:
    if file is not None:
        afrd.files.save_json(file, content)


class Bar:
    """A progress bar that can be passed as a (done, total) callback."""

    def __init__(self, title: str) -> None:
        from tqdm import tqdm  # a fifth of the time of `afrd --help`

        self.bar = tqdm(desc=title, leave=False, dynamic_ncols=True, disable=None)  # no bar in a pipe

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def __call__(self, done: int, total: int | None) -> None:
        self.bar.total = total
        self.bar.update(done - self.bar.n)


class Bars:
    """A bar for each kind of work that a long computation reports, such as a survey or a download."""

    def __init__(self, open_bars: ExitStack) -> None:
        self.open_bars = open_bars
        self.bars: dict[str, Any] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        if what not in self.bars:
            self.bars[what] = self.open_bars.enter_context(Bar(what))
        self.bars[what](done, total or None)
