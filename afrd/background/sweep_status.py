"""Status of a sweep while it runs: a note beside each run folder, written by the process that trains it.

for status in sweep_status(Path(plan.out), plan.cells()):
    print(status.name, status.state, status.seconds_left)
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from afrd.files import load_json
from afrd.runs.sweep_plan import Cell

STALE_SECONDS = 120.0  # without a note, after which the worker of a running cell counts as dead
WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"


@dataclass(frozen=True)
class CellStatus:
    """Status of one cell.

    Attributes:
        name: of the cell.
        state: waiting, running, done or failed.
        step, steps, seconds_left: progress of a running training; else None.
        seconds: duration of a finished training; None if unknown.
        host: name of its worker's machine.
        error: of a failed cell, one sentence.
    """

    name: str
    state: str
    step: int | None = None
    steps: int | None = None
    seconds_left: float | None = None
    seconds: float | None = None
    host: str = ""
    error: str = ""


def sweep_status(out: Path, cells: Sequence[Cell]) -> list[CellStatus]:
    """The state of every cell; a running one without a note for two minutes counts as `waiting` again."""
    statuses = []
    for cell in cells:
        note = read_note(out, cell)
        silent = time.time() - note.get("updated", 0.0) > STALE_SECONDS
        if is_trained(out, cell):
            state = DONE
        elif note.get("state") == FAILED:
            state = FAILED
        else:
            state = RUNNING if note.get("state") == RUNNING and not silent else WAITING
        entries = {
            key: note[key] for key in ("step", "steps", "seconds_left", "seconds", "host", "error") if key in note
        }
        statuses.append(CellStatus(cell.name, state, **entries))
    return statuses


def is_trained(out: Path, cell: Cell) -> bool:
    return (out / cell.folder / "model.safetensors").is_file()


def sweep_progress(statuses: Sequence[CellStatus]) -> str:
    """How many cells are done, running, waiting and failed, and about how long the rest takes while some run."""
    counts = Counter(status.state for status in statuses)
    text = ", ".join(f"{counts[state]} {state}" for state in (DONE, RUNNING, WAITING, FAILED))
    times = [status.seconds for status in statuses if status.state == DONE and status.seconds is not None]
    if times and counts[RUNNING]:
        rest = sum(times) / len(times) * (counts[RUNNING] + counts[WAITING]) / counts[RUNNING]
        text += f"; about {duration(rest)} left"
    return text


def duration(seconds: float) -> str:
    """As text in the unit that fits."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def note_file(out: Path, cell: Cell) -> Path:
    return out / f"{cell.name}.json"


def read_note(out: Path, cell: Cell) -> dict[str, Any]:
    try:
        note = load_json(note_file(out, cell))
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}


def cell_error(out: Path, cell: Cell) -> str:
    note = read_note(out, cell)
    return str(note.get("error", "")) if note.get("state") == FAILED else ""
