"""Operating points of a run: named rates of false alarms, with the costs they were chosen for."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from afrd.files import load_json, save_json
from afrd.metrics.consequences import OperatingPoint

FILE = "operating_points.json"
MAX_NAME = 60  # characters


def operating_points(folder: Path) -> dict[str, OperatingPoint]:
    """The operating points of the run in this folder, by name.

    Raises:
        ValueError: the file cannot be read, or holds something else.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        return TypeAdapter(dict[str, OperatingPoint]).validate_python(load_json(path))
    except ValidationError as error:
        raise ValueError(f"{path} does not hold operating points ({error.errors()[0]['msg']})") from error


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
        ValueError: a name that is empty, longer than MAX_NAME or has a line break.
    """
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise ValueError(f"{name!r} is no name of an operating point; choose 1 to {MAX_NAME} characters on one line")
    points = operating_points(folder)
    points.pop(name, None)
    if point is not None:
        points[name] = point
    save_json(folder / FILE, {key: asdict(value) for key, value in sorted(points.items())})
