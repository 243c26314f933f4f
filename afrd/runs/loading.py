"""`load_run`: a run folder becomes a `Run`."""

from __future__ import annotations

from pathlib import Path

import torch

from afrd.model.afrd import make_model
from afrd.model.device import pick_device
from afrd.model.evidence import Evidence
from afrd.model.teacher import Teacher
from afrd.runs.corrections import with_kept_corrections
from afrd.runs.file_names import CALIBRATION, CONFIG, WEIGHTS
from afrd.runs.region import stored_region
from afrd.runs.run import Run
from afrd.runs.run_folder import read_config
from afrd.runs.tensors import load_tensors


@torch.inference_mode(False)  # a run outlives the caller's mode
def load_run(folder: str | Path, device: str = "auto", teacher: Teacher | None = None) -> Run:
    """A finished run, with its region and its corrections where it has some; nothing in the folder is ever executed.

    Raises:
        ValueError: the folder is no finished run, or a file in it is broken.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise ValueError(f"{folder} is not a run folder: it has no config.json; `afrd train` makes one")
    model_config, config = read_config(folder)
    if not (folder / WEIGHTS).is_file():
        raise ValueError(f"run {folder} is not finished; the `afrd train` command that began it continues it")
    tensors, _ = load_tensors(folder / WEIGHTS)
    try:
        with torch.random.fork_rng(devices=[]):  # initial weights must not change the caller's random state
            model = make_model(model_config)
        model.load_state_dict(tensors)
    except (RuntimeError, ValueError, TypeError, KeyError, IndexError) as error:
        raise ValueError(f"the weights in {folder} do not fit its config.json; the run must be trained anew") from error
    torch_device = pick_device(device)
    calibration = None
    if (folder / CALIBRATION).is_file():
        stored, _ = load_tensors(folder / CALIBRATION)
        if not {"errors", "weights"} <= set(stored):
            raise ValueError(f"{folder / 'calibration.safetensors'} is broken; the run must be trained anew")
        errors, weights = (stored[name].to(torch_device).float() for name in ("errors", "weights"))
        present = torch.ones(weights.shape[:2], dtype=torch.bool, device=torch_device)
        terms, nearest, usual = (
            stored[name].to(torch_device).float() if name in stored else None for name in ("terms", "nearest", "usual")
        )
        fused = model_config.target == "fused"
        calibration = Evidence(errors, weights, present, fused, terms, nearest, usual)
    run = Run(folder, model, config, calibration, torch_device)
    if teacher is not None:
        run.use_teacher(teacher)
    region = stored_region(folder, config.picture_size)
    if region is not None:
        run = run.with_region(region)
    return with_kept_corrections(run)
