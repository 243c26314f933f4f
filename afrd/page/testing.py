"""The page in a process of its own, for tests, measurements and screenshots."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO

START_SECONDS = 60.0
END_SECONDS = 20.0


@contextmanager
def apart(
    command: Sequence[object], output: IO[str] | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[str, int]]:
    """Runs a page while the block runs, and gives its address and the number of its process.

    Args:
        command: what Python is to run, such as `app.py --runs runs/demo`; `--port` and a free one are added.
        output: of the process; by default that of this process.
        environment: of the process; this one's by default.

    Raises:
        RuntimeError: the process ended, or did not answer within a minute.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, *map(str, command), "--port", str(port)],
        env=None if environment is None else dict(environment),
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
    )
    try:
        wait_for(address, process.poll)
        yield address, process.pid
        if process.poll() is not None:
            raise RuntimeError(f"the page ended by itself with status {process.returncode}")
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def free_port() -> int:
    """A free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(address: str, status: Callable[[], int | None]) -> None:
    """Returns when a page answers.

    Args:
        address: of the page.
        status: the exit status of its process, None while it runs.

    Raises:
        RuntimeError: the process ended, or did not answer within a minute.
    """
    began = time.monotonic()
    while time.monotonic() - began < START_SECONDS:
        if (ended := status()) is not None:
            raise RuntimeError(f"the page ended with status {ended} before it answered")
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the page did not answer on {address} within {START_SECONDS:.0f} s")
