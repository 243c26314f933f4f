"""The files of a run folder: config, weights, history, calibration. Nothing is unpickled: reading is safe."""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch
from pydantic import TypeAdapter, ValidationError

from afrd.data.images import MAX_PIXELS
from afrd.files import load_json, replacing, save_json
from afrd.model.config import ModelConfig
from afrd.model.evidence import Evidence
from afrd.runs.file_names import CALIBRATION, CHECKPOINT, CONFIG, WEIGHTS
from afrd.runs.lock import LOCK_FILE
from afrd.runs.region import copy_region
from afrd.runs.tensors import load_tensors, save_tensors

FORMAT = 2
MAX_LIGHTS = 1000  # of a run that is read; more would take long before its weights can be compared
T = TypeVar("T")


@dataclass(frozen=True)
class FitConfig:
    """How a run was trained; see `TrainingOptions`.

    `picture_size` is the (H, W) of the training pictures, `pictures` their `fingerprint`; empty where it is not known.
    `views` are the names of the objects' views that were trained on; empty for data without views.
    """

    data_root: str
    category: str
    teacher_digest: str
    weights: str | None
    size: int
    picture_size: tuple[int, int]
    epochs: int
    batch: int
    seed: int
    calibration: str
    pictures: str = ""
    views: tuple[str, ...] = ()


def find_runs(root: str | Path) -> list[Path]:
    """Folders of finished runs anywhere under `root`, sorted."""
    return sorted(path.parent for path in Path(root).glob("**/model.safetensors") if (path.parent / CONFIG).exists())


def read_config(folder: Path) -> tuple[ModelConfig, FitConfig]:
    """Raises ValueError that names the file and what is wrong in it."""
    content = load_json(folder / CONFIG)
    try:
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}, where this version reads {FORMAT}: train the run anew")
        model, fit = _read(ModelConfig, content["model"]), _read(FitConfig, content["fit"])
        _check_numbers(model, fit)
        return model, fit
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / 'config.json'} is not the config of a run ({error})") from error


def _read(kind: type[T], values: dict[str, Any]) -> T:
    """A dataclass from JSON; every entry must be present and have exactly its type."""
    names = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    needed = {f.name for f in fields(kind) if f.default is MISSING}  # type: ignore[arg-type]
    if not needed <= set(values) <= names:
        raise ValueError(f"its entries should be {', '.join(sorted(names))}")
    try:
        return TypeAdapter(kind).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        first_error = error.errors()[0]
        location = ".".join(map(str, first_error["loc"]))
        where = f"{location} is {first_error['input']!r:.80}: " if location else ""
        raise ValueError(where + first_error["msg"].removeprefix("Value error, ")) from error


def _check_numbers(model: ModelConfig, fit: FitConfig) -> None:
    """Raises ValueError for numbers that no training writes, before anything is allocated for them."""
    if not 1 <= len(model.lights) <= MAX_LIGHTS or len(set(model.lights)) < len(model.lights):
        raise ValueError(f"its lights should be 1 to {MAX_LIGHTS:,} different names")
    if not 0 < len(model.channels) == len(model.strides) or min(*model.channels, *model.strides) < 1:
        raise ValueError("its channels and strides should be positive numbers, as many of one as of the other")
    if min(fit.size, *fit.picture_size) < 1 or max(fit.size**2, math.prod(fit.picture_size)) > MAX_PIXELS:
        raise ValueError(
            f"its size {fit.size} and picture_size {fit.picture_size} should be of 1 to {MAX_PIXELS:,} pixels"
        )


def is_finished(folder: Path, model: ModelConfig, config: FitConfig) -> bool:
    """Whether the folder holds this run, finished; False if it is unfinished or missing.

    Raises:
        ValueError: the folder holds another run, or other files.
    """
    if (folder / CONFIG).is_file():
        existing = read_config(folder)
        if not (existing[1].pictures and config.pictures):  # not known for the shipped runs
            config = replace(config, pictures=existing[1].pictures)
        elif existing == (model, replace(config, pictures=existing[1].pictures)) and existing[1] != config:
            then, now = (one.pictures.partition(";")[0] for one in (existing[1], config))
            what = now if then != now else f"{now}, but not the same files"
            raise ValueError(
                f"{folder} was trained on other pictures ({then}) than {config.data_root} holds now ({what}); "
                "choose another folder, or delete this one to train anew"
            )
        if existing != (model, config):
            raise ValueError(
                f"{folder} holds a run with {first_difference(existing, (model, config))}; choose another folder"
            )
        return (folder / WEIGHTS).is_file()
    if folder.exists() and (not folder.is_dir() or any(path.name != LOCK_FILE for path in folder.iterdir())):
        raise ValueError(f"{folder} exists and is no run folder; choose a new or an empty folder")
    return False


def first_difference(existing: tuple[ModelConfig, FitConfig], new: tuple[ModelConfig, FitConfig]) -> str:
    """Such as `epochs 25, not 50`; empty where both are the same."""
    before, after = ({**asdict(model), **asdict(config)} for model, config in (existing, new))
    return next((f"{key} {before[key]!r}, not {after[key]!r}" for key in after if before[key] != after[key]), "")


def start_run(folder: Path, model: ModelConfig, config: FitConfig) -> None:
    """Creates the folder, with the config; raises ValueError for one that `read_config` would refuse."""
    _check_numbers(model, config)
    folder.mkdir(parents=True, exist_ok=True)
    save_json(folder / CONFIG, {"format": FORMAT, "model": asdict(model), "fit": asdict(config)})


def finish_run(folder: Path, model: torch.nn.Module, calibration: Evidence, history: list[dict[str, float]]) -> None:
    """Writes the files of a finished run; the weights come last and mark it as finished."""
    with replacing(folder / "history.csv") as path:
        pd.DataFrame(history, columns=["step", "epoch", "loss"]).to_csv(path, index=False)
    if len(calibration.errors):
        tensors = {"errors": calibration.errors, "weights": calibration.weights}
        if calibration.terms is not None:
            tensors["terms"] = calibration.terms  # in float32: the sample that sets the threshold is no alarm
        if calibration.nearest is not None:  # for corrections, see `afrd.runs.corrections`
            tensors["nearest"] = calibration.nearest
        if calibration.usual is not None:
            tensors["usual"] = calibration.usual
        save_tensors(folder / CALIBRATION, tensors)
    save_tensors(folder / WEIGHTS, model.state_dict())
    (folder / CHECKPOINT).unlink(missing_ok=True)


def copy_run(folder: Path, to: Path, config: FitConfig, half: bool = False) -> None:
    """Copies a finished run with another `config`; `half`: numbers in half precision."""
    start_run(to, read_config(folder)[0], config)
    with replacing(to / "history.csv") as path:
        pd.read_csv(folder / "history.csv").to_csv(path, index=False, float_format="%.5g" if half else None)
    copy_region(folder, to)
    for name in (CALIBRATION, WEIGHTS):  # the weights come last and mark it as finished
        if (folder / name).is_file():
            tensors, about = load_tensors(folder / name)
            if half:
                tensors = {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}
            save_tensors(to / name, tensors, about)
