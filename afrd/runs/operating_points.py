"""Operating points of a run: named rates of false alarms, with the costs they were chosen for.

They are a file in the run's folder, so that `afrd predict --point NAME` also finds them in a copy of it. The states
before the latest changes are stored beside it, so that every change can be undone, including removals.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from afrd.files import load_json, save_json
from afrd.metrics.consequences import OperatingPoint
from afrd.runs.lock import held

FILE, EARLIER_FILE = "operating_points.json", "operating_points_earlier.json"
MAX_NAME = 60  # characters
MAX_EARLIER = 20  # changes that can be undone
LOCK_FILE, WAIT_SECONDS = ".operating_points.lock", 10.0  # for somebody else who is writing
Points = dict[str, OperatingPoint]
T = TypeVar("T")


def operating_points(folder: Path) -> Points:
    """The operating points of the run in this folder, by name.

    Raises:
        ValueError: the file cannot be read, or holds something else.
    """
    path = folder / FILE
    return _read(path, TypeAdapter(Points)) if path.is_file() else {}


def operating_point(folder: Path, name: str) -> OperatingPoint:
    """One operating point.

    Raises:
        ValueError: there is none of this name; the message lists the existing ones.
    """
    points = operating_points(folder)
    if name not in points:
        others = f"it has {', '.join(points)}" if points else "it has none; `afrd points --save` makes one"
        raise ValueError(f"run {folder} has no operating point {name!r}: {others}")
    return points[name]


def save_operating_point(folder: Path, name: str, point: OperatingPoint | None) -> None:
    """Stores a point under a name, replacing an existing one; None removes it.

    Raises:
        ValueError: a name that is empty, longer than MAX_NAME or has a line break, or somebody else is writing.
    """
    check_name(name)
    with _alone(folder):
        before = operating_points(folder)
        after = {key: value for key, value in before.items() if key != name}
        if point is not None:
            after[name] = point
        if after != before:
            _save_earlier(folder, [*_earlier(folder), before][-MAX_EARLIER:])
            save_json(folder / FILE, _as_json(after))


def undo_operating_point(folder: Path) -> Points:
    """Undoes the latest change of the run's points, by any user; returns the current points.

    Raises:
        ValueError: there is no change to undo, or somebody else is writing.
    """
    with _alone(folder):
        earlier = _earlier(folder)
        if not earlier:
            raise ValueError(f"run {folder} has no change of its operating points to undo")
        save_json(folder / FILE, _as_json(earlier[-1]))
        _save_earlier(folder, earlier[:-1])
        return earlier[-1]


def check_name(name: str) -> None:
    """Raises ValueError if this cannot be the name of an operating point."""
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise ValueError(f"{name!r} is no name of an operating point; choose 1 to {MAX_NAME} characters on one line")


def _earlier(folder: Path) -> list[Points]:
    """The points before each of the latest changes, the oldest first."""
    path = folder / EARLIER_FILE
    return _read(path, TypeAdapter(list[Points])) if path.is_file() else []


def _read(path: Path, content: TypeAdapter[T]) -> T:
    try:
        return content.validate_python(load_json(path))
    except ValidationError as error:
        raise ValueError(f"{path} does not hold operating points ({error.errors()[0]['msg']})") from error


def _save_earlier(folder: Path, earlier: list[Points]) -> None:
    save_json(folder / EARLIER_FILE, list(map(_as_json, earlier)))


def _as_json(points: Points) -> dict[str, Any]:
    return {name: asdict(point) for name, point in sorted(points.items())}


def _alone(folder: Path) -> AbstractContextManager[None]:
    """Holds the lock of the points of the run in this folder, in this process and across processes."""
    taken = f"the operating points of {folder} are being written by somebody else; try again"
    return held(folder / LOCK_FILE, WAIT_SECONDS, taken)
