"""Corrections and operating points of the runs in a folder, for an export of all notes.

Corrections and operating points change how a run judges, so they are files in its folder and move with it. An export
includes them as well.
"""

from __future__ import annotations

import base64
import binascii
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

import afrd.runs
from afrd.metrics.consequences import OperatingPoint
from afrd.runs.correction_files import Correction, correction_file, read_correction, save_correction
from afrd.runs.corrections import with_one_more
from afrd.runs.operating_points import MAX_NAME, check_name

Corrections = dict[str, dict[str, Correction]]  # by run and id
Points = dict[str, dict[str, OperatingPoint]]  # by run and name
SECTIONS = "corrections", "operating_points"  # of an export


def exported_of_runs(folder: Path) -> dict[str, Any]:
    """`corrections` of the runs in a folder, by run and id, as base64 of their files; `operating_points` by name.

    Raises:
        ValueError: a file is broken; the message names it.
    """
    corrections, points = {}, {}
    for run in runs_in(folder):
        if files := {name: correction_file(run, name) for name in afrd.runs.correction_ids(run)}:
            afrd.runs.read_corrections(run)  # says so where one is broken
            encoded = {name: base64.b64encode(path.read_bytes()).decode("ascii") for name, path in files.items()}
            corrections[run.name] = encoded
        if named := afrd.runs.operating_points(run):
            points[run.name] = {name: asdict(point) for name, point in named.items()}
    return dict(zip(SECTIONS, (corrections, points), strict=True))


def read_of_runs(content: dict[str, Any]) -> tuple[Corrections, Points]:
    """Corrections and operating points of an export, all checked.

    Raises:
        ValueError: they are none.
    """
    try:
        encoded, points = (content.get(section, {}) for section in SECTIONS)
        files = TypeAdapter(dict[str, dict[str, str]]).validate_python(encoded, strict=True)
        named = TypeAdapter(Points).validate_python(points)
        for name in (name for of_run in named.values() for name in of_run):
            check_name(name)
        with tempfile.TemporaryDirectory() as temporary:
            return {run: dict(_decoded(Path(temporary), of_run)) for run, of_run in files.items()}, named
    except ValidationError as error:
        raise ValueError(f"it is no export of notes ({error.errors()[0]['msg']})") from error


def _decoded(temporary: Path, files: dict[str, str]) -> Iterator[tuple[str, Correction]]:
    for name, text in files.items():
        path = temporary / "correction.safetensors"
        try:
            path.write_bytes(base64.b64decode(text, validate=True))
            one = read_correction(path, name)
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"its correction {name:.20} is none") from error
        # copies: the tensors that were read are those of the file, which the next correction overwrites
        yield name, Correction(one.about, one.patches.clone(), one.nearer_at.clone(), one.nearer.clone())


def add_corrections(folder: Path, corrections: Corrections) -> tuple[list[str], list[str]]:
    """Adds corrections to the runs of these names in a folder.

    Returns:
        Those that were added, as `run id`, and a sentence on each that was not.
    """
    added, left = [], []
    for name, of_run in corrections.items():
        new = {key: one for key, one in of_run.items() if key not in _ids(folder, name)}
        if not new:
            continue
        try:
            run = afrd.runs.load_run(_run(folder, name), "cpu")
            for key, correction in new.items():
                run = with_one_more(run, correction)
                save_correction(run.folder, correction)
                added.append(f"{name} {key}")
        except (ValueError, OSError) as error:
            left.append(f"corrections of {name} are left out: {error}")
    return added, left


def add_points(folder: Path, points: Points) -> tuple[list[str], list[str]]:
    """Adds operating points to the runs of these names in a folder; where another one has the name, it gets a new one.

    Returns:
        Those that were added, as `run: name`, and a sentence on each run that could not be changed.
    """
    added, left = [], []
    for name, of_run in points.items():
        try:
            run = _run(folder, name)
            for key, point in of_run.items():
                stored = afrd.runs.operating_points(run)
                names = [key, *(f"{key[: MAX_NAME - 5]} ({number})" for number in range(2, len(stored) + 3))]
                free = next(one for one in names if stored.get(one, point) == point)
                if free not in stored:
                    afrd.runs.save_operating_point(run, free, point)
                    added.append(f"{name}: {free}")
        except (ValueError, OSError) as error:
            left.append(f"operating points of {name} are left out: {error}")
    return added, left


def runs_in(folder: Path) -> list[Path]:
    """The folders of the runs in a folder."""
    return sorted(path.parent for path in folder.glob("*/config.json"))


def _ids(folder: Path, name: str) -> list[str]:
    return afrd.runs.correction_ids(folder / name) if folder / name in runs_in(folder) else []


def _run(folder: Path, name: str) -> Path:
    """The run of a name that comes from an untrusted file.

    Raises:
        ValueError: the folder has none.
    """
    run = next((candidate for candidate in runs_in(folder) if candidate.name == name), None)
    if run is None:
        raise ValueError(f"{folder} has no run {name!r:.80}")
    return run
