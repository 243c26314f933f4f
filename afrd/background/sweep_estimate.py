"""Estimate of a sweep's cells, hours and gigabytes, from finished cells or short trainings."""

from __future__ import annotations

import math
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from afrd.analysis.comparison.sweep_results import load_results
from afrd.background.sweep import default_workers
from afrd.background.sweep_check import check_folder
from afrd.background.sweep_status import DONE, sweep_status
from afrd.data.dataset import Category, open_dataset
from afrd.metrics.words import counted
from afrd.model.inputs import compute_inputs
from afrd.model.teacher import Teacher, load_teacher
from afrd.runs.feature_store import features_stored, load_features, stored_under
from afrd.runs.plan import plan as plan_training
from afrd.runs.sweep_plan import Cell, Group, SweepPlan
from afrd.runs.training import StepReport, train

Kind = tuple[str, str, int, int]  # method, teacher, size, number of lights
PROBE_EPOCHS = 2
PROBE_SAMPLES = 4  # whose features are computed to measure the teacher


@dataclass(frozen=True)
class SweepEstimate:
    """Estimated size and duration of a sweep.

    Attributes:
        cells, missing: trainings in all, and those to be done.
        workers, hours: parallel trainings, and the duration with them.
        run_gigabytes, feature_gigabytes: on disk.
        measured: basis of the estimate, as text.
    """

    cells: int
    missing: int
    workers: int
    hours: float
    run_gigabytes: float
    feature_gigabytes: float
    measured: str


def estimate_sweep(plan: SweepPlan, workers: int | None = None) -> SweepEstimate:
    """Estimates a sweep from its finished cells, else from a training of two epochs in a temporary folder.

    The time of evaluations is known only where some groups have been evaluated.

    Raises:
        ValueError: see `run_sweep`.
    """
    groups, out = plan.groups(), Path(plan.out)
    cells = list(dict.fromkeys(cell for group in groups for cell in group.cells))
    check_folder(plan, cells)
    status = {cell_status.name: cell_status for cell_status in sweep_status(out, cells)}
    missing = [cell for cell in cells if status[cell.name].state != DONE]
    seconds: dict[Kind, float] = {}
    size: dict[Kind, float] = {}
    measured_cells = probed_kinds = 0
    for kind, kind_cells in _by_kind(cells).items():
        finished = [cell for cell in kind_cells if status[cell.name].state == DONE]
        times = [took for cell in finished if (took := status[cell.name].seconds) is not None]
        if times:
            seconds[kind] = float(np.mean(times))
            size[kind] = float(np.mean([_bytes(out / cell.folder) for cell in finished]))
            measured_cells += len(times)
        elif any(cell in missing for cell in kind_cells):
            seconds[kind], size[kind] = _probe(plan, kind_cells[0])
            probed_kinds += 1
    features, pictures_seconds = _features(plan, cells)
    count = workers or default_workers(max(1, len(missing)))
    training = sum(seconds[_kind(cell)] for cell in missing) / count
    evaluation, evaluated = _evaluation(out, groups)
    return SweepEstimate(
        len(cells),
        len(missing),
        count,
        (training + pictures_seconds / count + evaluation / count) / 3600,
        sum(size.get(_kind(cell), 0.0) for cell in cells) / 1e9,
        features / 1e9,
        f"{counted(measured_cells, 'finished cell')} and {counted(probed_kinds, 'short training')} of {PROBE_EPOCHS} "
        "epochs on this machine; "
        + (f"evaluation from {counted(evaluated, 'evaluated group')}" if evaluated else "without evaluation"),
    )


def _evaluation(out: Path, groups: list[Group]) -> tuple[float, int]:
    """Seconds to evaluate the groups that have not been, and the number of those that tell."""
    results = load_results(out, groups)
    measured = [result.seconds for result in results if not math.isnan(result.seconds)]
    return (float(np.mean(measured)) * (len(groups) - len(results)) if measured else 0.0), len(measured)


def _kind(cell: Cell) -> Kind:
    """Cells of one kind take about the same time."""
    return cell.method, cell.options.teacher, cell.options.size, len(cell.lights)


def _by_kind(cells: list[Cell]) -> dict[Kind, list[Cell]]:
    kinds: dict[Kind, list[Cell]] = {}
    for cell in cells:
        kinds.setdefault(_kind(cell), []).append(cell)
    return kinds


def _probe(plan: SweepPlan, cell: Cell) -> tuple[float, float]:
    """Seconds and bytes of a full training, extrapolated from the steps of a short one."""
    data = open_dataset(plan.data, cell.category, cell.views)
    teacher = load_teacher(cell.options.teacher, cell.options.weights)
    times: list[float] = []

    def report(step: StepReport) -> None:
        times.append(time.monotonic())

    with tempfile.TemporaryDirectory() as folder:
        full_steps = plan_training(data, cell.lights, Path(folder) / "whole", cell.options, teacher=teacher).steps
        options = replace(cell.options, epochs=PROBE_EPOCHS)
        short = plan_training(data, cell.lights, Path(folder) / "run", options, teacher=teacher)
        for split in ("train", "val"):  # features are estimated separately
            if split in data:
                load_features(data[split], teacher, cell.options.size)
        began = time.monotonic()
        train(short, show_progress=False, on_step=report)
        seconds, size = time.monotonic() - began, _bytes(Path(folder))
    step = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0
    return seconds + (full_steps - len(times)) * step, size


def _features(plan: SweepPlan, cells: list[Cell]) -> tuple[float, float]:
    """Bytes of all features, and seconds to compute those that are not stored."""
    size = seconds = 0.0
    rates: dict[tuple[str, int], float] = {}
    teachers: dict[str, Teacher] = {}
    for category, name, side in dict.fromkeys((c.category, c.options.teacher, c.options.size) for c in cells):
        data = open_dataset(plan.data, category, plan.views)
        teacher = teachers.setdefault(name, load_teacher(name, plan.weights.get(name)))
        for split in _splits(data):
            dataset = data[split]
            pictures = len(dataset) * len(dataset.lights)
            stored = features_stored(dataset, teacher, side)
            if stored:
                size += _bytes(stored_under(dataset, teacher, side))
                continue
            if (name, side) not in rates:
                rates[name, side] = _teacher_seconds(data, teacher, side)
            seconds += pictures * rates[name, side]
            scales = zip(teacher.strides, teacher.channels, strict=True)
            size += 2.0 * pictures * sum((side // stride) ** 2 * channels for stride, channels in scales)  # float16
    return size, seconds


def _teacher_seconds(data: Category, teacher: Teacher, side: int) -> float:
    """Seconds of the teacher for one picture, including reading it."""
    samples = [data["train"][i] for i in range(min(PROBE_SAMPLES, len(data["train"])))]
    began = time.monotonic()
    for sample in samples:
        compute_inputs(teacher, sample.images, side)
    return (time.monotonic() - began) / (len(samples) * len(data.lights))


def _splits(data: Category) -> list[str]:
    return [split for split in ("train", "val", data.test_split) if split in data]


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
