"""What all commands share: the parser, paths, progress bars, writing JSON, how a command ends."""

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
from typing import Any, NoReturn

import afrd.files


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def as_path(text: str) -> Path:
    """A path of the command line; `~` is the home folder also behind `--out=`, where a shell leaves it as it is."""
    if not text.strip():
        raise argparse.ArgumentTypeError("a path is empty")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text} names the home folder of a user who is not known here") from error


def any_text_prints() -> None:
    """Letters that the terminal's encoding lacks are printed as \\x.. or \\u...., and end no command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":
            stream.reconfigure(errors="backslashreplace")


def end_well(command: Callable[[], int | None]) -> int:
    """Runs a command, and turns whatever fails into one sentence on stderr.

    Returns:
        The exit status: 0, or what the command returns; 2 for wrong input, 1 for anything else that failed.
    """
    try:
        try:
            return command() or 0
        finally:
            sys.stdout.flush()  # here, where a closed pipe is still noticed, and not at the interpreter's end
    except BrokenPipeError:  # as in `afrd check data | head`: nobody reads on, which is no fault
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        return _failed(error, 2)
    except KeyboardInterrupt:
        print("afrd: stopped; the same command goes on from what is done", file=sys.stderr)
        return 1
    except (MemoryError, RuntimeError, OSError, ArithmeticError) as error:  # no weights, no space, a loss that is NaN
        return _failed(error, 1)


def _failed(error: BaseException, status: int) -> int:
    print(f"afrd: {sentence(error)}", file=sys.stderr)
    return status


def sentence(error: BaseException) -> str:
    """What failed, in one line, with the file where the system names one, and what to do where that is known."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        what = error.strerror[:1].lower() + error.strerror[1:]
        full = "; free some space there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        return f"{os.fsdecode(error.filename)}: {what}{full}" if error.filename else f"{what}{full}"
    if isinstance(error, MemoryError) or "not enough memory" in text or "out of memory" in text.lower():
        named = text if isinstance(error, MemoryError) and "; " in text else "memory ran out"
        return named if named != "memory ran out" else f"{named}; choose a smaller --size or --batch, or fewer lights"
    return text or type(error).__name__


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
