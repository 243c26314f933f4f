"""Training: `fit` makes and executes a plan, in one loop over stored teacher features."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from afrd.data.dataset import Category
from afrd.model.afrd import AFRD, make_model
from afrd.model.device import autocast
from afrd.model.student import RD4ADStudent
from afrd.model.teacher import Teacher
from afrd.runs.calibration import calibrate
from afrd.runs.checkpoint import load_checkpoint, save_checkpoint
from afrd.runs.feature_store import Features, load_features
from afrd.runs.loading import load_run
from afrd.runs.lock import locked
from afrd.runs.options import TrainingOptions
from afrd.runs.plan import TrainingPlan, plan
from afrd.runs.region import save_region
from afrd.runs.run import Run
from afrd.runs.run_folder import finish_run, is_finished, start_run
from afrd.runs.run_log import log_event
from afrd.runs.training_parts import parts_table, save_training_parts

# pixels of each side of the teacher's input that a training step reads, so that its cost does not depend on the size
STUDENT_WINDOW = 304
STUDENT_WINDOW_WITH_MEMORY = 256  # with a memory: a quarter less time, and the maps are as good
MAX_CROP_SHARE = 0.8  # largest window relative to a side, so that windows vary
CHECKPOINT_SECONDS = 10.0

Maps = TypeVar("Maps", Tensor, np.ndarray)


class Cancelled(Exception):
    """Training was stopped by `on_step`; the same call continues from the last checkpoint in the run folder."""


@dataclass(frozen=True)
class StepReport:
    """Argument of `on_step`: steps done and in all, the last loss, seconds left."""

    step: int
    steps: int
    loss: float
    seconds_left: float


def fit(
    data: Category,
    lights: str | Sequence[str | int] = "all",
    out: str | Path = "runs/afrd",
    *,
    teacher: str | Teacher | None = None,
    device: str = "auto",
    compiled: bool = False,
    show_progress: bool = True,
    on_step: Callable[[StepReport], bool | None] | None = None,
    on_features: Callable[[int, int], None] | None = None,
    roi: str | Path | None = None,
    **options: Any,
) -> Run:
    """Trains on the good samples of a category and returns the finished run: `train` of a `plan`.

    The same call on the folder of an interrupted training continues from its last checkpoint and ends with the weights
    of an uninterrupted one; on the folder of a finished run it returns that run.

    Args:
        data, lights, out, device, roi: see `plan`.
        teacher: a name (see `TrainingOptions`), or a loaded teacher.
        compiled, show_progress, on_step, on_features: see `train`.
        options: the fields of `TrainingOptions`: `method`, `target`, `fusion`, `weights`, `size`, `width`, `memory`,
            `epochs`, `batch`, `seed`.

    Raises:
        TypeError: an unknown option.
        ValueError: a bad option, a bad picture, or a folder that holds another run.
        WeightsUnavailable: see `load_teacher`.
    """
    names = [field.name for field in fields(TrainingOptions)]
    for name in options:
        if name not in names:
            raise TypeError(f"fit has no option {name!r}; its options are {', '.join(names)}")
    if isinstance(teacher, str):
        options["teacher"] = teacher
    loaded = teacher if isinstance(teacher, Teacher) else None
    training_plan = plan(data, lights, out, TrainingOptions(**options), device=device, teacher=loaded, roi=roi)
    return train(
        training_plan, compiled=compiled, show_progress=show_progress, on_step=on_step, on_features=on_features
    )


@torch.inference_mode(False)
def train(
    plan: TrainingPlan,
    *,
    compiled: bool = False,
    show_progress: bool = True,
    on_step: Callable[[StepReport], bool | None] | None = None,
    on_features: Callable[[int, int], None] | None = None,
) -> Run:
    """Executes a plan and returns the finished run.

    Args:
        plan: from `afrd.runs.plan`.
        compiled: use torch.compile for the training step.
        show_progress: a bar on stderr, with loss and time left.
        on_step: called after every step; returning True stops training by `Cancelled`.
        on_features: called with (done, all) while teacher features are computed.

    Raises:
        ValueError: a bad picture, or the run folder is being trained already.
        Cancelled: by `on_step`.
    """
    if plan.finished:
        if plan.sets_region:
            save_region(plan.folder, plan.region)
        return _load(plan)
    with locked(plan.folder):
        if not is_finished(plan.folder, plan.model, plan.config):  # another process may have finished it
            _train_into_folder(plan, compiled, show_progress, on_step, on_features)
    return _load(plan)


def _train_into_folder(
    plan: TrainingPlan,
    compiled: bool,
    show_progress: bool,
    on_step: Callable[[StepReport], bool | None] | None,
    on_features: Callable[[int, int], None] | None,
) -> None:
    lights = plan.model.lights
    with _features_progress("train", show_progress, on_features) as progress:
        features = load_features(plan.data["train"], plan.teacher, plan.config.size, progress, lights)
    positions = features.positions(lights)
    # after the features, so that a broken picture leaves no folder behind
    start_run(plan.folder, plan.model, plan.config)
    versions = {"afrd": version("afrd"), "torch": torch.__version__}
    log_event(plan.folder, "training", **versions, device=plan.device, samples=len(plan.train_index))
    with torch.random.fork_rng(devices=[]):  # keeps the caller's random state
        torch.default_generator.manual_seed(plan.config.seed)
        model = make_model(plan.model)
    model.to(plan.device)
    history: list[dict[str, float]] = []
    if isinstance(model, AFRD):
        model.to(memory_format=torch.channels_last)
        history = _train(plan, model, features, positions, compiled, show_progress, on_step)
    samples = (features.batch([i], positions) for i in plan.train_index)
    distances = model.remember(samples, len(plan.train_index), plan.config.seed)
    parts = None
    if distances is not None:
        names = [plan.data["train"].names[i] for i in plan.train_index]
        grid = features.contrast.shape[-2:]
        parts = parts_table(distances, grid, names, plan.model.lights, plan.config.picture_size)

    if plan.calibration is not None:
        with _features_progress("val", show_progress, on_features) as progress:
            features = load_features(plan.calibration, plan.teacher, plan.config.size, progress, lights)
        positions = features.positions(lights)
    evidence = calibrate(model, features, plan.calibration_index, positions)
    if model.learned is not None:
        if not len(evidence.errors):  # without calibration samples the training samples define what is normal
            features = load_features(plan.data["train"], plan.teacher, plan.config.size, lights=lights)
            normal = calibrate(model, features, plan.train_index, features.positions(lights)).terms
        else:
            normal = evidence.terms
        assert normal is not None
        model.learned.set_normal(normal)
    save_region(plan.folder, plan.region)
    if parts is not None:
        save_training_parts(plan.folder, parts)
    finish_run(plan.folder, model, evidence, history)
    details: dict[str, Any] = {"loss": history[-1]["loss"]} if history else {}
    details |= {} if parts is None else {"unusual_training_parts": int(parts.unusual.sum())}
    log_event(plan.folder, "finished", steps=len(history), **details, calibration_samples=len(evidence.errors))


def _load(plan: TrainingPlan) -> Run:
    return load_run(plan.folder, device=str(plan.device), teacher=plan.teacher)


def crop(scales: Sequence[Maps], largest: int, rng: np.random.Generator) -> list[Maps]:
    """Views of one random window in every scale (B, L, C, h, w), finest first.

    Args:
        scales: features.
        largest: of the window's sides, in places of the coarsest scale; `MAX_CROP_SHARE` of a side where that is less.
        rng: draws its position.
    """
    height, width = scales[-1].shape[-2:]
    rows, columns = (max(1, min(largest, round(side * MAX_CROP_SHARE))) for side in (height, width))
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    windows = []
    for scale in scales:
        r = scale.shape[-2] // height
        windows.append(scale[..., top * r : (top + rows) * r, left * r : (left + columns) * r])
    return windows


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over the first 5 % of the steps, then half a cosine down to a hundredth of the peak."""
    warm_up = max(1, steps // 20)
    if step < warm_up:
        return peak * (step + 1) / warm_up
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up))))


def _train(
    plan: TrainingPlan,
    model: AFRD,
    features: Features,
    positions: list[int],
    compiled: bool,
    show_progress: bool,
    on_step: Callable[[StepReport], bool | None] | None,
) -> list[dict[str, float]]:
    """Trains `model` in place, from the folder's checkpoint if there is one; returns a row a step."""
    config, device, folder, train_index = plan.config, plan.device, plan.folder, list(plan.train_index)
    rd4ad = isinstance(model.student, RD4ADStudent)
    largest = (STUDENT_WINDOW_WITH_MEMORY if model.config.memory else STUDENT_WINDOW) // model.config.strides[-1]
    # RD4AD's own settings for its student; the narrow student trains better with AdamW and a cosine schedule.
    optimiser: torch.optim.Optimizer = (
        torch.optim.Adam(model.parameters(), 0.005, betas=(0.5, 0.999))
        if rd4ad
        else torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.01)
    )
    peak = optimiser.param_groups[0]["lr"]
    steps_an_epoch = math.ceil(len(train_index) / config.batch)
    steps = plan.steps
    first_epoch, history = load_checkpoint(folder, model, optimiser)
    if first_epoch:
        log_event(folder, "continued", epoch=first_epoch, epochs=config.epochs)
    features.check(train_index)  # the windows of a training step are not, as they are parts of the samples
    loss_of = torch.compile(model.loss) if compiled else model.loss
    on_gpu = _features_on_gpu(features, train_index, positions, device)
    saved = began = time.monotonic()
    first_step = first_epoch * steps_an_epoch
    model.train()
    with _bar(show_progress, total=steps, initial=first_step, desc=f"train {folder.name}") as bar:
        for epoch in range(first_epoch, config.epochs):
            order = np.random.default_rng((config.seed, epoch)).permutation(len(train_index))
            for start in range(0, len(order), config.batch):
                # sorted, for reading from disk in order; also on a GPU, for the same result
                order_index = np.sort(order[start : start + config.batch])
                rng = np.random.default_rng((config.seed, epoch, start))
                if on_gpu is not None:  # cropped first in either case, so that nothing outside the window is read
                    window = on_gpu if rd4ad else crop(on_gpu, largest, rng)
                    batch_features = [scale[torch.from_numpy(order_index).to(device)] for scale in window]
                else:
                    windows = features.scales if rd4ad else tuple(crop(features.scales, largest, rng))
                    batch_features = replace(features, scales=windows, checksums=None).batch(
                        np.array(train_index)[order_index], positions
                    )
                batch = [scale.to(device).float() for scale in batch_features]
                present = torch.ones(len(order_index), len(positions), dtype=torch.bool, device=device)
                step = len(history)
                if not rd4ad:
                    optimiser.param_groups[0]["lr"] = learning_rate(step, steps, peak)
                with autocast(device):
                    loss = loss_of(batch, present)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                history.append({"step": step, "epoch": epoch, "loss": float(loss.detach())})
                if not math.isfinite(history[-1]["loss"]):
                    raise FloatingPointError(
                        f"the loss is {history[-1]['loss']} at step {step}; the run folder is {folder}"
                    )
                bar.set_postfix(loss=f"{history[-1]['loss']:.3f}", refresh=False)
                bar.update()
                steps_done = step + 1 - first_step
                seconds_left = (time.monotonic() - began) / steps_done * (steps - step - 1)
                if on_step and on_step(StepReport(step + 1, steps, history[-1]["loss"], seconds_left)):
                    log_event(folder, "stopped", step=step + 1, steps=steps)
                    raise Cancelled(f"training of {folder} was stopped at step {step + 1} of {steps}")
            if time.monotonic() - saved > CHECKPOINT_SECONDS or epoch + 1 == config.epochs:
                save_checkpoint(folder, model, optimiser, epoch + 1, history)
                saved = time.monotonic()
    return history


def _features_on_gpu(
    features: Features, train_index: list[int], positions: list[int], device: torch.device
) -> list[Tensor] | None:
    """All training features on the GPU, if `device` is one and they take less than half of its free memory."""
    if device.type != "cuda":
        return None
    size = sum(scale[0, 0].nbytes for scale in features.scales) * len(train_index) * len(positions)
    free, _ = torch.cuda.mem_get_info(device)
    return [scale.to(device) for scale in features.batch(train_index, positions)] if size < free / 2 else None


def _bar(show: bool, **options: Any) -> tqdm:
    return tqdm(leave=False, dynamic_ncols=True, disable=None if show else True, **options)  # None: not into a pipe


@contextmanager
def _features_progress(
    split: str, show: bool, on_features: Callable[[int, int], None] | None
) -> Iterator[Callable[[int, int], None]]:
    """A progress callback with a bar that appears with the first sample and is always closed."""
    bar: tqdm | None = None

    def report(done: int, total: int) -> None:
        nonlocal bar
        bar = bar if bar is not None else _bar(show, total=total, desc=f"features of {split}")
        bar.update(done - bar.n)
        if on_features:
            on_features(done, total)

    try:
        yield report
    finally:
        if bar is not None:
            bar.close()
