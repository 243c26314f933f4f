"""Status of a sweep while it runs: a note beside each run folder, written by the process that trains it.

for status in sweep_status(Path(plan.out), plan.cells()):
    print(status.name, status.state, status.seconds_left)
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from afrd.files import load_json
from afrd.runs.lock import is_held
from afrd.runs.sweep_plan import Cell
from afrd.runs.sweep_runs import cell_fault, is_trained

STALE_SECONDS = 120.0  # without a note, after which a worker on another machine counts as dead
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
    """The state of every cell.

    A cell whose run is broken or of another plan is `failed`; one whose process has ended is `waiting` again.
    """
    statuses = []
    for cell in cells:
        note = read_note(out, cell)
        if error := cell_error(out, cell):
            state, note = FAILED, note | {"error": error}
        elif is_trained(out, cell):
            state = DONE
        else:
            state = RUNNING if _is_running(out, cell, note) else WAITING
        entries = {
            key: note[key] for key in ("step", "steps", "seconds_left", "seconds", "host", "error") if key in note
        }
        statuses.append(CellStatus(cell.name, state, **entries))
    return statuses


def _is_running(out: Path, cell: Cell, note: dict[str, Any]) -> bool:
    """Whether a process trains the cell: it holds its lock, or is on another machine and wrote a note lately."""
    if note.get("state") != RUNNING:
        return False
    lately = time.time() - note.get("updated", 0.0) < STALE_SECONDS
    return is_held(lock_file(out, cell)) or (lately and note.get("host") != socket.gethostname())


def sweep_progress(statuses: Sequence[CellStatus]) -> str:
    """How many cells are done, running, waiting and failed, and about how long the rest takes while some run."""
    counts = Counter(status.state for status in statuses)
    text = ", ".join(f"{counts[state]} {state}" for state in (DONE, RUNNING, WAITING, FAILED))
    times = [status.seconds for status in statuses if status.state == DONE and status.seconds is not None]
    if times and counts[RUNNING]:
        seconds_left = sum(times) / len(times) * (counts[RUNNING] + counts[WAITING]) / counts[RUNNING]
        text += f"; about {duration(seconds_left)} left"
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


def lock_file(out: Path, cell: Cell) -> Path:
    """Held by the process that trains the cell."""
    return out / f"{cell.name}.lock"


def forget_note(out: Path, cell: Cell) -> None:
    """Removes the note of a process that has ended."""
    if not is_held(lock_file(out, cell)):
        note_file(out, cell).unlink(missing_ok=True)
        lock_file(out, cell).unlink(missing_ok=True)


def cell_error(out: Path, cell: Cell) -> str:
    """Why a cell counts as failed: its run is broken or of another plan, or its training failed; else empty."""
    if fault := cell_fault(out, cell):
        return fault
    note = read_note(out, cell)
    failed = note.get("state") == FAILED and not is_trained(out, cell)
    return str(note.get("error", "") or "it failed") if failed else ""
