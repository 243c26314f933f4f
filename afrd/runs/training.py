"""Training: `fit`, one loop over cached teacher features."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from afrd.data.dataset import Category, MultiLightDataset, parse_lights
from afrd.model.afrd import AFRD, make_model
from afrd.model.config import ModelConfig
from afrd.model.device import autocast, pick_device
from afrd.model.student import RD4ADStudent
from afrd.model.teacher import Teacher, load_teacher
from afrd.model.weights import TORCHVISION
from afrd.runs.calibration import HELD_OUT, calibrate
from afrd.runs.checkpoint import load_checkpoint, save_checkpoint
from afrd.runs.feature_store import Features, load_features
from afrd.runs.run import Run, load_run
from afrd.runs.run_folder import FitConfig, finish_run, is_finished, start_run

MEMORY = 2048  # patches that AFRD remembers of each light
WINDOW = 304  # pixels of the teacher's input that a training step sees of each side: a step costs the same at any size
REMEMBERING = 256  # the same where a memory stands beside the student: a quarter less time, and the map is as good
CROP = 0.8  # at most this part of a side: other surroundings every time
STEPS = 500  # of the narrow student, however many samples there are
RD4AD_EPOCHS = 200
CHECKPOINT_SECONDS = 10.0

Maps = TypeVar("Maps", Tensor, np.ndarray)


class Cancelled(Exception):
    """Training was stopped by `on_step`; the same call goes on from the last checkpoint in the run folder."""


@dataclass(frozen=True)
class StepReport:
    """What `on_step` is told: steps done and in all, the last loss, seconds left."""

    step: int
    steps: int
    loss: float
    seconds_left: float


def fit(
    data: Category,
    lights: str | Sequence[str | int] = "all",
    out: str | Path = "runs/afrd",
    *,
    method: str = "afrd",
    target: str = "lights",
    fusion: str = "attention",
    teacher: str | Teacher = "efficientnet_lite0",
    weights: str | Path | None = None,
    size: int = 512,
    width: int = 64,
    memory: int | None = None,
    epochs: int | None = None,
    batch: int = 8,
    seed: int = 0,
    device: str = "auto",
    compiled: bool = False,
    show_progress: bool = True,
    on_step: Callable[[StepReport], bool | None] | None = None,
    on_features: Callable[[int, int], None] | None = None,
    on_start: Callable[[FitConfig], None] | None = None,
) -> Run:
    """Trains AFRD on the good samples of a category and returns the finished run.

    The same call on the folder of an interrupted training goes on from its last checkpoint and ends with the weights of
    an uninterrupted one; on the folder of a finished run it returns that run.

    Args:
        data: from `open_dataset`; needs a train split. The validation split gives the threshold; where there is none,
            every fifth training sample is kept back for it.
        lights: "all", names, or numbers.
        out: the run folder.
        method, target, fusion, width: see `ModelConfig`.
        memory: patches that `afrd` remembers of each light; by default 2048 for several lights with target `lights`,
            and none where the published reverse distillation is wanted: one light, fused features, RD4AD's student.
        teacher, weights: see `load_teacher`.
        size: longer side of the teacher's input in pixels, rounded to a multiple of 32.
        epochs: passes over the training samples; by default as many as make 500 steps (RD4AD's student: 200 passes).
        batch: samples a step.
        seed: of initial weights and of the order of samples.
        device: `auto` (CUDA, else MPS, else CPU) or a torch device.
        compiled: run the step through torch.compile.
        show_progress: a bar on stderr, with loss and time left.
        on_step: called after every step; returning True stops training by `Cancelled`.
        on_features: called with (done, all) while teacher features are computed.
        on_start: called with the whole configuration when everything is checked, before a picture is read; not called
            where the run is finished. What it raises ends the call, and nothing has been written.

    Raises:
        ValueError: a bad option, a bad picture, or a folder that holds another run.
        WeightsUnavailable: see `load_teacher`.
    """
    chosen = parse_lights(lights, data.lights)
    where = pick_device(device)
    if "train" not in data:
        raise ValueError(f"category {data.name} has no train split; its splits are {', '.join(data.splits)}")
    for name, value, least in (("size", size, 32), ("width", width, 8), ("batch", batch, 1), ("epochs", epochs, 1)):
        if value is not None and value < least:
            raise ValueError(f"{name} is {value}, but must be at least {least}")
    if width % 8:
        raise ValueError(f"width is {width}, but must be a multiple of 8")
    teacher = (teacher if isinstance(teacher, Teacher) else load_teacher(teacher, weights)).to(where)
    if any(data["train"].anomalous):
        bad = data["train"].names[data["train"].anomalous.index(True)]
        raise ValueError(f"training sample {bad} of {data.name} is labelled anomalous; train holds good samples only")

    if memory is None:
        remembers = method == "afrd" and target == "lights" and len(chosen) > 1 and teacher.name not in TORCHVISION
        memory = MEMORY if remembers else 0
    model_config = ModelConfig(
        chosen, teacher.name, teacher.channels, teacher.strides, target, fusion, width, method, memory
    )
    train_index, calibration = split_train(data)
    if method == "memory":
        epochs = 0
    elif epochs is None:
        epochs = default_epochs(teacher.name, len(train_index), batch)
    config = FitConfig(
        data_root=str(data.root.resolve()),
        category=data.name,
        teacher_digest=teacher.digest,
        weights=str(Path(weights).resolve()) if weights else None,
        size=size,
        picture_size=data["train"].image_size,
        epochs=epochs,
        batch=batch,
        seed=seed,
        calibration=calibration.split if calibration is not None else "held out of train",
    )
    folder = Path(out)
    if is_finished(folder, model_config, config):
        return load_run(folder, device=device, teacher=teacher)
    if on_start:
        on_start(config)

    bar_of = _bar if show_progress else None
    features = load_features(data["train"], teacher, size, _features_progress("train", bar_of, on_features))
    start_run(folder, model_config, config)  # only now: a broken picture leaves no folder behind
    positions = [data.lights.index(light) for light in chosen]
    torch.manual_seed(seed)
    model = make_model(model_config).to(where)
    history: list[dict[str, float]] = []
    if isinstance(model, AFRD):
        model.to(memory_format=torch.channels_last)
        history = _train(model, features, train_index, positions, config, where, compiled, folder, bar_of, on_step)
    model.remember((features.batch([i], positions) for i in train_index), len(train_index), seed)

    if calibration is not None:
        on_good = load_features(calibration, teacher, size, _features_progress("val", bar_of, on_features))
        good = [i for i, label in enumerate(calibration.anomalous) if label is False]
    else:
        on_good, good = features, sorted(set(range(len(features))) - set(train_index))
    evidence = calibrate(model, on_good, good, positions)
    finish_run(folder, model, evidence, history)
    return load_run(folder, device=device, teacher=teacher)


def default_epochs(teacher: str, samples: int, batch: int) -> int:
    """Passes over so many training samples: RD4AD's own number for its student, else as many as make `STEPS` steps."""
    return RD4AD_EPOCHS if teacher in TORCHVISION else math.ceil(STEPS / math.ceil(samples / batch))


def split_train(data: Category) -> tuple[list[int], MultiLightDataset | None]:
    """Training positions, and the validation split if it has good samples; else some of train are kept back."""
    everything = list(range(len(data["train"])))
    if "val" in data and False in data["val"].anomalous:
        return everything, data["val"]
    if len(everything) < 2:
        return everything, None
    return [i for i in everything if i % HELD_OUT != HELD_OUT - 1 or len(everything) < HELD_OUT], None


def crop(scales: Sequence[Maps], largest: int, rng: np.random.Generator) -> list[Maps]:
    """A view of a random window, the same place in every scale (B, L, C, h, w), finest first.

    Args:
        scales: features.
        largest: of the window's sides, in places of the coarsest scale; `CROP` of a side where that is less.
        rng: says where.
    """
    height, width = scales[-1].shape[-2:]
    rows, columns = (max(1, min(largest, round(side * CROP))) for side in (height, width))
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    cut = []
    for scale in scales:
        r = scale.shape[-2] // height
        cut.append(scale[..., top * r : (top + rows) * r, left * r : (left + columns) * r])
    return cut


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over the first 5 % of the steps, then half a cosine down to a hundredth of the peak."""
    warm_up = max(1, steps // 20)
    if step < warm_up:
        return peak * (step + 1) / warm_up
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up))))


def _train(
    model: AFRD,
    features: Features,
    train_index: list[int],
    positions: list[int],
    config: FitConfig,
    device: torch.device,
    compiled: bool,
    folder: Path,
    bar_of: Callable[..., tqdm] | None,
    on_step: Callable[[StepReport], bool | None] | None,
) -> list[dict[str, float]]:
    """Trains `model` in place, from the folder's checkpoint if there is one; returns a row a step."""
    rd4ad = isinstance(model.student, RD4ADStudent)
    largest = (REMEMBERING if model.config.memory else WINDOW) // model.config.strides[-1]
    # RD4AD's own settings for its student; the narrow one likes AdamW with a decaying rate.
    optimiser: torch.optim.Optimizer = (
        torch.optim.Adam(model.parameters(), 0.005, betas=(0.5, 0.999))
        if rd4ad
        else torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.01)
    )
    peak = optimiser.param_groups[0]["lr"]
    steps_an_epoch = math.ceil(len(train_index) / config.batch)
    steps = config.epochs * steps_an_epoch
    first_epoch, history = load_checkpoint(folder, model, optimiser)
    loss_of = torch.compile(model.loss) if compiled else model.loss
    on_card = _resident(features, train_index, positions, device)
    saved = began = time.monotonic()
    bar = bar_of(total=steps, initial=first_epoch * steps_an_epoch, desc=f"train {folder.name}") if bar_of else None
    model.train()
    for epoch in range(first_epoch, config.epochs):
        order = np.random.default_rng((config.seed, epoch)).permutation(len(train_index))
        for start in range(0, len(order), config.batch):
            picked = np.sort(order[start : start + config.batch])  # read from disk in order, and on a card the same
            rng = np.random.default_rng((config.seed, epoch, start))
            if on_card is not None:  # cut first in either case: what lies outside the window is not even read
                window = on_card if rd4ad else crop(on_card, largest, rng)
                chosen = [scale[torch.from_numpy(picked).to(device)] for scale in window]
            else:
                there = features.scales if rd4ad else tuple(crop(features.scales, largest, rng))
                chosen = replace(features, scales=there).batch(np.array(train_index)[picked], positions)
            batch = [scale.to(device).float() for scale in chosen]
            present = torch.ones(len(picked), len(positions), dtype=torch.bool, device=device)
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
            if bar:
                bar.set_postfix(loss=f"{history[-1]['loss']:.3f}", refresh=False)
                bar.update()
            done = step + 1 - first_epoch * steps_an_epoch
            left = (time.monotonic() - began) / done * (steps - step - 1)
            if on_step and on_step(StepReport(step + 1, steps, history[-1]["loss"], left)):
                raise Cancelled(f"training of {folder} was stopped at step {step + 1} of {steps}")
        if time.monotonic() - saved > CHECKPOINT_SECONDS or epoch + 1 == config.epochs:
            save_checkpoint(folder, model, optimiser, epoch + 1, history)
            saved = time.monotonic()
    if bar:
        bar.close()
    return history


def _resident(
    features: Features, train_index: list[int], positions: list[int], device: torch.device
) -> list[Tensor] | None:
    """All training features on the card, if it is a card and they take less than half of its free memory."""
    if device.type != "cuda":
        return None
    size = sum(scale[0, 0].nbytes for scale in features.scales) * len(train_index) * len(positions)
    free, _ = torch.cuda.mem_get_info(device)
    return [scale.to(device) for scale in features.batch(train_index, positions)] if size < free / 2 else None


def _bar(**options) -> tqdm:
    return tqdm(leave=False, dynamic_ncols=True, disable=None, **options)  # None: not into a pipe


def _features_progress(
    split: str, bar_of: Callable[..., tqdm] | None, on_features: Callable[[int, int], None] | None
) -> Callable[[int, int], None]:
    bar: tqdm | None = None

    def report(done: int, total: int) -> None:
        nonlocal bar
        if bar_of:
            bar = bar or bar_of(total=total, desc=f"features of {split}")
            bar.update(done - bar.n)
            if done == total:
                bar.close()
        if on_features:
            on_features(done, total)

    return report
