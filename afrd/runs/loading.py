"""`load_run`: a run folder becomes a `Run`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from afrd.model.afrd import make_model
from afrd.model.config import ModelConfig
from afrd.model.device import pick_device
from afrd.model.evidence import TERMS, Evidence
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
        _check_fit(model_config, tensors)
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
            raise ValueError(f"{folder / CALIBRATION} is broken; the run must be trained anew")
        errors, weights = (stored[name].to(torch_device).float() for name in ("errors", "weights"))
        present = torch.ones(len(weights), len(model_config.lights), dtype=torch.bool, device=torch_device)
        terms, nearest, usual = (
            stored[name].to(torch_device).float() if name in stored else None for name in ("terms", "nearest", "usual")
        )
        fused = model_config.target == "fused"
        calibration = Evidence(errors, weights, present, fused, terms, nearest, usual)
        if not _is_sound(calibration, len(model_config.lights)):
            raise ValueError(f"{folder / CALIBRATION} is not of this run; the run must be trained anew")
    run = Run(folder, model, config, calibration, torch_device)
    if teacher is not None:
        run.use_teacher(teacher)
    region = stored_region(folder, config.picture_size)
    if region is not None:
        run = run.with_region(region)
    return with_kept_corrections(run)


def _check_fit(config: ModelConfig, tensors: Mapping[str, Tensor]) -> None:
    """Raises ValueError where weights do not fit a model or are no numbers; nothing is allocated for the model."""
    formula = replace(config, fusion="attention") if config.fusion == "learned" else config  # that one loads weights
    with torch.device("meta"):
        expected = make_model(formula).state_dict()
    least = torch.empty(len(config.lights), device="meta")  # older files lack some numbers of each light
    if any(tensor.numel() > tensors.get(name, least).numel() for name, tensor in expected.items()):
        raise ValueError("weights are missing or too few")
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise ValueError("weights are no finite numbers")


def _is_sound(evidence: Evidence, lights: int) -> bool:
    """Whether stored evidence is of so many lights, all of it finite and on one grid."""
    weights = evidence.weights
    if weights.ndim != 4 or weights.shape[1] != lights or not min(weights.shape[2:]):
        return False
    samples, _, *grid = weights.shape
    parts = [
        (weights, weights.shape),
        (evidence.errors, (samples, 1 if evidence.fused else lights, *grid)),
        (evidence.terms, (samples, lights, len(TERMS), *grid)),
        (evidence.nearest, weights.shape),
        (evidence.usual, weights.shape),
    ]
    return all(part is None or (part.shape == shape and bool(part.isfinite().all())) for part, shape in parts)
