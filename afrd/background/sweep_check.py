"""Before a sweep trains: the runs in its folder must be those of its plan; broken ones are begun anew."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from afrd.data.dataset import Category, open_dataset
from afrd.files import load_json, snapshot
from afrd.metrics.words import counted
from afrd.model.teacher import Teacher, load_teacher
from afrd.runs.file_names import CONFIG
from afrd.runs.plan import TrainingPlan
from afrd.runs.plan import plan as plan_training
from afrd.runs.run_folder import start_run
from afrd.runs.sweep_plan import PLAN_FILE, Cell, SweepPlan
from afrd.runs.sweep_runs import TENSOR_FILES, broken_file, difference


def check_folder(plan: SweepPlan, cells: Sequence[Cell]) -> None:
    """Checks that the sweep's folder holds no other sweep, and no run with options or pictures other than the plan's.

    Raises:
        ValueError: it does, in one sentence.
    """
    out = Path(plan.out)
    if (out / PLAN_FILE).exists():
        data = load_json(out / PLAN_FILE).get("data")
        if Path(str(data)).resolve() != Path(plan.data).resolve():
            raise ValueError(f"{out} holds a sweep on {data}, not on {plan.data}; choose another folder")
    load, open_, others = cache(load_teacher), cache(open_dataset), {}
    with snapshot():  # each file is inspected once, and not for each cell
        for cell in cells:
            if (out / cell.folder / CONFIG).exists() and not broken_file(out / cell.folder):
                what = difference(out, cell)
                try:
                    if not what:
                        _planned(plan, cell, out / cell.folder, load, open_)
                except ValueError as error:
                    what = str(error)
                except RuntimeError:  # its teacher's weights are not here, so nothing can be trained with it either
                    pass
                if what:
                    others[cell.name] = what
    if others:
        name, what = next(iter(others.items()))
        runs = counted(len(others), "run")
        raise ValueError(
            f"{out} holds {runs} that this plan would train otherwise ({name}: {what}), so nothing was trained; give "
            "the plan another folder or the former options, or delete what is to be trained anew"
        )


def begin_anew(plan: SweepPlan, cells: Sequence[Cell]) -> None:
    """Removes from broken runs what a training wrote, so that they are trained again; what people keep there stays."""
    for cell in cells:
        folder = Path(plan.out) / cell.folder
        if not broken_file(folder):
            continue
        for name in TENSOR_FILES:
            (folder / name).unlink(missing_ok=True)
        if broken_file(folder) or not (folder / CONFIG).exists():
            with tempfile.TemporaryDirectory() as elsewhere:
                run = _planned(plan, cell, Path(elsewhere) / "run", load_teacher, open_dataset)
            start_run(folder, run.model, run.config)


def _planned(
    plan: SweepPlan, cell: Cell, folder: Path, load: Callable[..., Teacher], open_: Callable[..., Category]
) -> TrainingPlan:
    teacher = load(cell.options.teacher, cell.options.weights)
    data = open_(plan.data, cell.category, cell.views)
    return plan_training(data, cell.lights, folder, cell.options, teacher=teacher)
