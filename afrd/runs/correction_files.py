"""Files of corrections: one safetensors file each, in the folder `corrections` of a run, beside its weights.

An undone correction keeps its file under another suffix, so that it can be restored.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from afrd.data.dataset import MultiLightDataset
from afrd.metrics.words import counted
from afrd.runs.tensors import load_tensors, save_tensors

FOLDER = "corrections"
KINDS = ("normal", "defect")
MAX_PATCHES = 64  # of one correction, for each light
MAX_TEXT = 500  # characters of a reason
MAX_FILE = 64 * 10**6  # bytes of one file
MAX_CORRECTIONS = 1000  # of one run
ENDING, REMOVED_ENDING = ".safetensors", ".removed"
MAX_REMOVED = 20  # files of undone corrections that are kept, the latest
ID = "[0-9a-f]{6}"


@dataclass(frozen=True)
class About:
    """Description of a correction: the place, who corrected it, when and why.

    Attributes:
        id: six hexadecimal digits, the name of its file.
        kind: `normal`: the place is no defect, so its patches join the memory; `defect`: it is one that was missed, and
            is remembered for searches only.
        category, split, sample: where it is.
        place: (x, y) in pixels of the sample's pictures; None: the whole part.
        who, when, why: name, time (ISO 8601, UTC) and reason.
        memory: digest of the patch memory that it was made for.
        calibration_row: of the sample among the run's calibration samples, if it is one; thresholds leave it out.
    """

    id: str
    kind: str
    category: str
    split: str
    sample: str
    place: tuple[int, int] | None
    who: str
    when: str
    why: str
    memory: str
    calibration_row: int | None


@dataclass(frozen=True, eq=False)
class Correction:
    """One correction.

    Attributes:
        about: its description.
        patches: (L, K, C) float16, as in `PatchBank.patches`.
        nearer_at, nearer: (M,) int64 and float32: where the calibration samples are nearer to these patches than to the
            memory, as positions in their flattened distances (n, L, h, w), and the distance there.
    """

    about: About
    patches: Tensor
    nearer_at: Tensor
    nearer: Tensor


def normal(corrections: Sequence[Correction]) -> list[Correction]:
    """Those that change verdicts, that is, all but missed defects."""
    return [correction for correction in corrections if correction.about.kind == "normal"]


def corrected_samples(corrections: Sequence[Correction], dataset: MultiLightDataset) -> set[int]:
    """Positions of the samples of a split that were corrected; they count in no metric and no threshold."""
    about = [correction.about for correction in normal(corrections)]
    names = {one.sample for one in about if (one.category, one.split) == (dataset.category, dataset.split)}
    return {i for i, name in enumerate(dataset.names) if name in names}


def corrections_suffix(corrections: Sequence[Correction]) -> str:
    """The end of a method's name: `, with 2 corrections`; empty without any."""
    count = len(normal(corrections))
    return f", with {counted(count, 'correction')}" if count else ""


def new_id() -> str:
    return secrets.token_hex(3)


def correction_ids(folder: Path) -> list[str]:
    """Ids of the corrections of the run in this folder, in arbitrary order."""
    return sorted(path.stem for path in (folder / FOLDER).glob(f"*{ENDING}") if re.fullmatch(ID, path.stem))


def removed_ids(folder: Path) -> list[str]:
    """Ids of the corrections of the run in this folder that were undone, the latest first."""
    paths = [path for path in (folder / FOLDER).glob(f"*{REMOVED_ENDING}") if re.fullmatch(ID, path.stem)]
    return [path.stem for path in sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.stem), reverse=True)]


def correction_file(folder: Path, correction: str) -> Path:
    """The file of one correction.

    Raises:
        ValueError: there is none; the message lists the ids.
    """
    ids = correction_ids(folder)
    if correction not in ids:
        others = f"it has {', '.join(ids)}" if ids else "it has none"
        raise ValueError(f"run {folder} has no correction {correction!r}: {others}")
    return folder / FOLDER / f"{correction}{ENDING}"


def save_correction(folder: Path, correction: Correction) -> None:
    """Writes the file of a correction atomically.

    Raises:
        ValueError: the run has `MAX_CORRECTIONS`.
        OSError: it cannot be written, as on a full disk.
    """
    if len(correction_ids(folder)) >= MAX_CORRECTIONS:
        raise ValueError(f"run {folder} has {MAX_CORRECTIONS} corrections; undo some, or train it anew")
    tensors = {name: getattr(correction, name) for name in ("patches", "nearer_at", "nearer")}
    path = folder / FOLDER / f"{correction.about.id}{ENDING}"
    save_tensors(path, tensors, {"about": json.dumps(asdict(correction.about))})


def read_corrections(folder: Path) -> list[Correction]:
    """The corrections of the run in this folder, oldest first.

    Raises:
        ValueError: a file is broken or not a correction; the message names it.
    """
    corrections = []
    for name in correction_ids(folder):
        path = folder / FOLDER / f"{name}{ENDING}"
        try:
            corrections.append(read_correction(path))
        except ValueError as error:
            raise ValueError(f"{error}; `afrd correct {folder} --undo {name}` removes it") from error
    return sorted(corrections, key=lambda correction: (correction.about.when, correction.about.id))


def removed_correction(folder: Path, correction: str) -> Correction:
    """A correction that was undone.

    Raises:
        ValueError: there is none of this id, or its file is broken; the message says so.
    """
    ids = removed_ids(folder)
    if correction not in ids:
        others = f"there are {', '.join(ids)}" if ids else "there is none"
        raise ValueError(f"run {folder} has no undone correction {correction!r}: {others}")
    return read_correction(folder / FOLDER / f"{correction}{REMOVED_ENDING}")


def read_correction(path: Path, name: str | None = None) -> Correction:
    """The correction in a file.

    Args:
        path: of the file.
        name: the correction's id, where the file is not named after it.

    Raises:
        ValueError: it is broken or not a correction; the message names it.
    """
    try:
        if path.stat().st_size > MAX_FILE:
            raise ValueError(f"it has more than {MAX_FILE // 10**6} MB")
        tensors, texts = load_tensors(path)
        about = TypeAdapter(About).validate_json(texts["about"], strict=True)
        correction = Correction(about, tensors["patches"], tensors["nearer_at"], tensors["nearer"])
        _check(correction, name or path.stem)
        return correction
    except (OSError, ValidationError, ValueError, KeyError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise ValueError(f"{path} is no correction ({what})") from error


def _check(correction: Correction, name: str) -> None:
    about, patches, at, nearer = correction.about, correction.patches, correction.nearer_at, correction.nearer
    named = about.id == name and re.fullmatch(ID, name) is not None and about.kind in KINDS
    if not named or len(about.why) > MAX_TEXT or len(about.who) > MAX_TEXT:
        raise ValueError("its description is not possible")
    shapes = patches.ndim == 3 and 1 <= patches.shape[1] <= MAX_PATCHES and at.ndim == 1 and at.shape == nearer.shape
    types = (patches.dtype, at.dtype, nearer.dtype) == (torch.float16, torch.int64, torch.float32)
    if not (shapes and types and bool(patches.isfinite().all()) and bool(nearer.isfinite().all())):
        raise ValueError("its tensors are not those of a correction")


def remove_correction(folder: Path, correction: str) -> None:
    """Removes one correction; its file is kept under another suffix, for `bring_back`.

    Raises:
        ValueError: there is none.
    """
    path = correction_file(folder, correction)
    removed = path.with_suffix(REMOVED_ENDING)
    try:
        os.replace(path, removed)
        os.utime(removed)  # the time of its removal
    except FileNotFoundError as error:
        raise ValueError(f"correction {correction} of {folder} was undone by somebody else meanwhile") from error
    for name in removed_ids(folder)[MAX_REMOVED:]:
        (folder / FOLDER / f"{name}{REMOVED_ENDING}").unlink(missing_ok=True)


def bring_back(folder: Path, correction: str) -> None:
    """Gives the file of an undone correction its name again.

    Raises:
        ValueError: there is none.
    """
    removed_correction(folder, correction)  # raises if there is none
    path = folder / FOLDER / f"{correction}{ENDING}"
    os.replace(path.with_suffix(REMOVED_ENDING), path)
