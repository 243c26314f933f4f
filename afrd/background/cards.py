"""Graphics cards of this machine, one for each process that computes."""

from __future__ import annotations

import getpass
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout

POLL_SECONDS = 1.0  # between two looks for a free card


@contextmanager
def free_card() -> Iterator[str]:
    """A card that no other process in this block uses, as a torch device; `auto` where the machine has none.

    Waits until one is free. A card is identified by its UUID, not by its number: processes to which a batch system
    assigned different cards all number them from 0.
    """
    cards = [(f"cuda:{i}", _identity(i)) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    if not cards:
        yield "auto"
        return
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    folder = Path(tempfile.gettempdir()) / f"afrd-cards-{user}"
    folder.mkdir(exist_ok=True)
    while True:
        for device, identity in cards:
            lock = FileLock(folder / f"{identity}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield device
            finally:
                lock.release()
            return
        time.sleep(POLL_SECONDS)


def _identity(card: int) -> str:
    return str(getattr(torch.cuda.get_device_properties(card), "uuid", card))
