"""The run of a cell in its folder: whether it is finished, broken, or of another plan.

error = cell_fault(folder, cell)     # empty: as planned, or not begun
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError, safe_open

from afrd.runs.file_names import CALIBRATION, CHECKPOINT, CONFIG, WEIGHTS
from afrd.runs.plan import model_config
from afrd.runs.run_folder import first_difference, read_config
from afrd.runs.sweep_plan import Cell

TENSOR_FILES = (WEIGHTS, CALIBRATION, CHECKPOINT)


def is_trained(out: Path, cell: Cell) -> bool:
    """Whether the cell's run is finished, whole, and of the options of the cell."""
    return (out / cell.folder / WEIGHTS).is_file() and not cell_fault(out, cell)


def cell_fault(out: Path, cell: Cell) -> str:
    """What is wrong with the run in the cell's folder, in one sentence; empty if nothing is, or no run is there."""
    return broken_file(out / cell.folder) or (
        f"{out / cell.folder} has {what}" if (what := difference(out, cell)) else ""
    )


def difference(out: Path, cell: Cell) -> str:
    """How the run in the cell's folder differs from the cell, such as `epochs 25, not 50`; empty if it does not.

    Pictures and the teacher's weights are not compared: `afrd.runs.plan` does that.
    """
    try:
        model, config = read_config(out / cell.folder)
        options = cell.options
        cell_model = model_config(options, cell.lights, options.teacher, model.channels, model.strides)
    except ValueError:  # no run, or a broken one
        return ""
    cell_config = replace(
        config,
        category=cell.category,
        views=cell.views,
        size=options.size,
        seed=options.seed,
        batch=options.batch,
        epochs=0 if options.method == "memory" else options.epochs or config.epochs,
    )
    return first_difference((model, config), (cell_model, cell_config))


def broken_file(folder: Path) -> str:
    """The first file of a run folder that cannot be read, and why; empty if all can, or there is none.

    Of files of tensors, only the description and the size are checked, so that it takes no time.
    """
    if (folder / CONFIG).exists():
        try:
            read_config(folder)
        except ValueError as error:
            return str(error)
    elif (folder / WEIGHTS).exists():
        return f"{folder / 'config.json'} is missing"
    for name in TENSOR_FILES:
        file = folder / name
        try:
            if file.exists():
                with safe_open(file, "np"):
                    pass
        except (OSError, SafetensorError) as error:
            return f"{file} cannot be read ({error})"
    return ""
