"""Corrections of a run without training: patches of a place that a person calls normal are added to its memory.

    candidate = propose(run, data["test_public"], 7, place=(120, 88))  # nothing is written
    run = keep(candidate)                                              # now it is, in the folder of the run
    run = correct(run, data["test_public"], 7, place=(120, 88), why="a seam")  # both at once
    run = undo(run, run.corrections[-1].about.id)

The patches of the place count as stored ones, under each light: the distance D of `afrd.model.patch_memory` is the
smaller of the two distances. No weight changes, so the evidence of a light can only fall. Thresholds follow from the
calibration samples, judged in the same way. A corrected sample no longer counts, neither for the threshold nor in any
metric. `with_corrections` with fewer corrections restores the earlier state bit for bit.
"""

from __future__ import annotations

import getpass
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from afrd.data.dataset import MultiLightDataset
from afrd.model.evidence import Evidence, smooth
from afrd.model.lookup import embed
from afrd.model.patch_memory import PatchBank
from afrd.runs.calibration import distances_to, stored_inputs
from afrd.runs.correction_files import (
    FOLDER,
    MAX_PATCHES,
    MAX_TEXT,
    About,
    Correction,
    bring_back,
    new_id,
    normal,
    read_corrections,
    remove_correction,
    removed_correction,
    save_correction,
)
from afrd.runs.plan import calibration_split
from afrd.runs.run import Run
from afrd.runs.sizes import Size, cell_of
from afrd.runs.tensors import load_tensors, save_tensors

HOT_SHARE = 0.7  # of the threshold, from which on a place belongs to a hot one
LOOKUPS_FILE = "calibration.safetensors"  # distances of calibration samples, for runs whose own file has none


@torch.inference_mode(False)  # as for `load_run`
def propose(
    run: Run,
    dataset: MultiLightDataset,
    index: int,
    place: tuple[int, int] | None = None,
    why: str = "",
    who: str | None = None,
    kind: str = "normal",
) -> Run:
    """The run with one more correction; nothing is written.

    Args:
        run: with a patch memory, and with its earlier corrections.
        dataset: a split of the lights of the run; features are computed where the store has none.
        index: the sample in it.
        place: (x, y) in pixels of its pictures. If it lies in a hot place, all patches of that are taken, else those of
            the 3x3 places around it. None: all hot places of the part. A place is hot where the map reaches
            `HOT_SHARE` of the threshold.
        why: the reason, in up to `MAX_TEXT` characters.
        who: a name; the user's account by default.
        kind: `normal`, or `defect` for a missed defect, which is remembered for searches and changes no verdict.

    Raises:
        ValueError: the run has no memory, the place is not in the picture, no place is hot, a text is too long, or
            the calibration samples are not available.
    """
    bank = memory_of(run)
    index = range(len(dataset))[index]
    who = _user() if who is None else who
    for text in (why, who):
        if len(text) > MAX_TEXT or not text.isprintable():
            raise ValueError(f"a reason or a name has up to {MAX_TEXT} characters, on one line")
    features = run.stored_inputs(dataset, index).features
    grid = features[0].shape[-2], features[0].shape[-1]
    cells = _hot_cells(run, dataset, index, place, grid) if kind == "normal" else None
    if cells is None:
        cells = _around(place, dataset.image_size, grid)
    patches = embed(features)[0][:, cells].half()  # (L, K, C)
    at, nearer, row = torch.zeros(0, dtype=torch.int64), torch.zeros(0), None
    if kind == "normal" and run.calibration is not None:
        at, nearer, row = _nearer_calibration(run, patches, dataset, index)
    about = About(
        id=new_id(),
        kind=kind,
        category=dataset.category,
        split=dataset.split,
        sample=dataset.names[index],
        place=place,
        who=who,
        when=datetime.now(UTC).isoformat(timespec="microseconds"),
        why=why,
        memory=digest_of(bank),
        calibration_row=row,
    )
    return with_corrections(run, [*run.corrections, Correction(about, patches.cpu(), at, nearer)])


def keep(run: Run) -> Run:
    """Writes the latest correction of a proposed run into its folder; returns the same run.

    Raises:
        OSError: it cannot be written.
    """
    save_correction(run.folder, run.corrections[-1])
    return run


def correct(
    run: Run,
    dataset: MultiLightDataset,
    index: int,
    place: tuple[int, int] | None = None,
    why: str = "",
    who: str | None = None,
    kind: str = "normal",
) -> Run:
    """The run with one more correction, which is written to its folder; see `propose`."""
    return keep(propose(run, dataset, index, place, why, who, kind))


def undo(run: Run, correction: str) -> Run:
    """The run without one correction, which is removed from its folder; `restore` brings it back.

    Raises:
        ValueError: the folder has no correction of this id.
    """
    remove_correction(run.folder, correction)
    return with_corrections(run, [other for other in run.corrections if other.about.id != correction])


def restore(run: Run, correction: str) -> Run:
    """The run with a correction that was undone, which is written to its folder again.

    Raises:
        ValueError: the folder has no undone correction of this id, or it was made for other weights.
    """
    restored = with_one_more(run, removed_correction(run.folder, correction))
    bring_back(run.folder, correction)
    return restored


def with_one_more(run: Run, correction: Correction) -> Run:
    """The run with a correction beside its own, in the order of their times.

    Raises:
        ValueError: it was made for another memory, or does not fit.
    """
    corrections = [*run.corrections, correction]
    return with_corrections(run, sorted(corrections, key=lambda one: (one.about.when, one.about.id)))


def with_kept_corrections(run: Run) -> Run:
    """The run with the corrections kept in its folder.

    Raises:
        ValueError: a file is broken, or was made for another run; the message names it.
    """
    corrections = read_corrections(run.folder)
    for correction in corrections:
        try:
            check_fits(run, correction)
        except ValueError as error:
            remedy = f"`afrd correct {run.folder} --undo {correction.about.id}` removes it"
            raise ValueError(f"{error}; {remedy}") from error
    return with_corrections(run, corrections) if corrections or run.corrections else run


def check_fits(run: Run, correction: Correction) -> None:
    """Raises ValueError where a correction was made for another memory than that of the run, or the run has none."""
    bank = memory_of(run)
    if correction.about.memory != digest_of(bank) or correction.patches.shape[::2] != bank.patches.shape[::2]:
        raise ValueError(f"correction {correction.about.id} was made for other weights than those of {run.folder}")


@torch.inference_mode(False)
def with_corrections(run: Run, corrections: Sequence[Correction]) -> Run:
    """The same run with these corrections instead of its own; weights, teacher and cached evidence are shared.

    Raises:
        ValueError: one was made for another memory, or does not fit.
    """
    bank, calibration = memory_of(run), run.base.calibration
    for correction in corrections:
        check_fits(run, correction)
    applied = normal(corrections)
    if calibration is not None and applied:
        calibration = _calibration_of(with_lookups(run), applied, run)
    patches = torch.cat([bank.corrections[:, :0], *(c.patches.to(run.device) for c in applied)], 1)
    return run.with_memory(corrections, patches, calibration)


def memory_of(run: Run) -> PatchBank:
    """The patch memory of the run.

    Raises:
        ValueError: it has none.
    """
    bank = run.model.bank
    if bank is None:
        raise ValueError(
            f"run {run.folder} has no patch memory, so it cannot be corrected without training; train one with a "
            "memory (`afrd train --memory 512`, target lights)"
        )
    return bank


def digest_of(bank: PatchBank) -> str:
    """Identifies the stored patches of a memory; corrections do not count."""
    return hashlib.sha256(bank.patches.cpu().numpy().tobytes()).hexdigest()[:16]


def with_lookups(run: Run, root: Path | None = None) -> Evidence:
    """Calibration evidence of the run without corrections, with its distances to the memory.

    Runs trained with this version have them; for others they are computed once and kept beside the corrections.

    Args:
        run: with calibration samples.
        root: of a data set with its pictures, if that has been moved since the training.

    Raises:
        ValueError: they are needed, and the calibration samples are not available.
    """
    base, path = run.base, run.folder / FOLDER / LOOKUPS_FILE
    assert base.calibration is not None
    if base.calibration.nearest is not None:
        return base.calibration
    shape = base.calibration.weights.shape
    if path.is_file():
        tensors, _ = load_tensors(path)
        if set(tensors) != {"nearest", "usual"} or any(t.shape != shape for t in tensors.values()):
            raise ValueError(f"{path} does not fit the run; delete it, and correct the run again")
    else:
        dataset, index = _calibration_samples(base, root)
        tensors = _lookups(base, dataset, index)
        save_tensors(path, tensors)
    usual = None if base.model.config.method == "memory" else tensors["usual"].to(base.device)
    base.calibration = replace(base.calibration, nearest=tensors["nearest"].to(base.device), usual=usual)
    return base.calibration


@torch.no_grad()
def _lookups(base: Run, dataset: MultiLightDataset, index: list[int]) -> dict[str, Tensor]:
    features = base.features(dataset)
    positions, bank = features.positions(base.lights), memory_of(base)
    lookups = [bank(stored_inputs(features, [i], positions, base.everything).features) for i in index]
    return {"nearest": torch.cat([d for d, _ in lookups]), "usual": torch.cat([smooth(usual) for _, usual in lookups])}


def _nearer_calibration(
    run: Run, patches: Tensor, dataset: MultiLightDataset, index: int
) -> tuple[Tensor, Tensor, int | None]:
    """`Correction.nearer_at` and `nearer` of new patches, and the sample's row among the calibration samples."""
    nearest = with_lookups(run, dataset.root).nearest
    assert nearest is not None
    samples, rows = _calibration_samples(run, dataset.root)
    distance = distances_to(patches, run.features(samples), rows, run.lights, run.everything)
    at = (distance < nearest).flatten().nonzero()[:, 0]
    same = (samples.category, samples.split) == (dataset.category, dataset.split)  # as `corrected_samples`, by name
    names = [samples.names[i] for i in rows]
    row = names.index(dataset.names[index]) if same and dataset.names[index] in names else None
    return at.cpu(), distance.flatten()[at].float().cpu(), row


def _calibration_samples(run: Run, root: Path | None) -> tuple[MultiLightDataset, list[int]]:
    """The calibration samples where the run was trained, or else in another place of the same pictures."""
    lacking = "the threshold cannot be corrected"
    try:
        return calibration_split(run.config, run.lights, run.folder, lacking)
    except (ValueError, FileNotFoundError):
        if root is None or not run.config.pictures or root.resolve() == Path(run.config.data_root):
            raise
        return calibration_split(replace(run.config, data_root=str(root)), run.lights, run.folder, lacking)


def _calibration_of(evidence: Evidence, corrections: Sequence[Correction], run: Run) -> Evidence:
    """Calibration evidence with corrections, without the samples that were corrected."""
    assert evidence.nearest is not None
    distance = evidence.nearest.flatten().clone()
    for correction in corrections:
        at, nearer = correction.nearer_at.to(run.device), correction.nearer.to(run.device)
        if len(at) and not 0 <= int(at.min()) <= int(at.max()) < len(distance):
            raise ValueError(f"correction {correction.about.id} does not fit the calibration samples of {run.folder}")
        distance[at] = torch.minimum(distance[at], nearer)
    dropped = {correction.about.calibration_row for correction in corrections}
    counted = [row for row in range(len(evidence.errors)) if row not in dropped]
    return evidence.nearer(distance.view_as(evidence.nearest)).rows(counted, run.everything)


def _hot_cells(
    run: Run, dataset: MultiLightDataset, index: int, place: tuple[int, int] | None, grid: Size
) -> list[int] | None:
    """Positions on the flattened grid that belong to the hot place, at most `MAX_PATCHES`, those nearest to it; of the
    whole part the hottest ones. None where the place is not hot.
    """
    prediction = run.predict_stored(dataset, index)
    level = HOT_SHARE * prediction.threshold.value if prediction.threshold else np.inf
    heat = F.adaptive_max_pool2d(torch.from_numpy(prediction.anomaly_map)[None], grid)[0].numpy()  # (h, w)
    hot, far = heat > level, -heat
    if place is None:
        if not hot.any():
            raise ValueError(
                f"no place of sample {dataset.names[index]} has {HOT_SHARE:.0%} of the threshold or more, so there is "
                "nothing to correct; name a place"
            )
    else:
        pieces, _ = ndimage.label(hot, np.ones((3, 3)))
        row, column = cell_of(place, dataset.image_size, grid)
        if not hot[row, column]:
            return None
        hot = pieces == pieces[row, column]
        rows, columns = np.ogrid[: grid[0], : grid[1]]
        far = (rows - row) ** 2 + (columns - column) ** 2
    cells = np.flatnonzero(hot)
    return cells[np.argsort(far.flatten()[cells], kind="stable")[:MAX_PATCHES]].tolist()


def _around(place: tuple[int, int] | None, size: Size, grid: Size) -> list[int]:
    """Positions of the 3x3 cells around a place."""
    if place is None:
        raise ValueError("a missed defect needs a place (x, y)")
    row, column = cell_of(place, size, grid)
    rows, columns = (range(max(0, at - 1), min(n, at + 2)) for at, n in zip((row, column), grid, strict=True))
    return [r * grid[1] + c for r in rows for c in columns]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # an account without a name, as in some containers
        return ""
