"""The log of a run folder: one line per event, with its time. It holds no paths and no data of the environment."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

LOG = "log.txt"


def log_event(folder: Path, event: str, **details: Any) -> None:
    """Appends one line, such as `2026-03-01T12:00:00+01:00 trained steps=500 loss=0.0123`.

    A read-only run folder, such as that of an installed package, is left unchanged.
    """
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    pairs = [f"{name}={f'{value:.4g}' if isinstance(value, float) else value}" for name, value in details.items()]
    line = " ".join(" ".join([now, event, *pairs]).split())
    with suppress(OSError), (folder / LOG).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
