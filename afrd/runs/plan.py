"""Plan of a training: checked and complete before a picture is read, to be shown, listed or executed."""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from afrd.data.dataset import Category, MultiLightDataset, open_dataset, parse_lights
from afrd.model.config import ModelConfig
from afrd.model.device import pick_device
from afrd.model.teacher import Teacher, load_teacher
from afrd.model.weights import TORCHVISION_WEIGHTS
from afrd.runs.calibration import HELD_OUT, calibration_index
from afrd.runs.options import TrainingOptions
from afrd.runs.region import data_region, read_region, region_of
from afrd.runs.run_folder import FitConfig, is_finished

MEMORY_PATCHES = 512  # patches that AFRD stores of each light
NARROW_STUDENT_STEPS = 500  # for any number of samples
RD4AD_EPOCHS = 200
UNCOMPRESSED = (".bmp", ".tif", ".tiff", ".pbm", ".pgm", ".pnm", ".ppm")  # file size is no sign of content
CHECKED_BYTES = 4096  # at a quarter, the half and three quarters of a file


@dataclass(frozen=True, eq=False)
class TrainingPlan:
    """A checked training, to be executed by `afrd.runs.train`.

    Attributes:
        data: the category.
        folder: of the run.
        model, config: content of the run's `config.json`.
        teacher: on `device`.
        train_index: samples of the train split that are trained on.
        calibration: the split whose good samples set the threshold; None: those of train that are held out.
        finished: whether the folder holds this run already.
        region: (H, W) bool, where parts will be judged; None: in the whole picture.
        sets_region: whether it is stored with the run; a finished run keeps its own where none is given.
    """

    data: Category
    folder: Path
    model: ModelConfig
    config: FitConfig
    teacher: Teacher
    device: torch.device
    train_index: tuple[int, ...]
    calibration: MultiLightDataset | None
    finished: bool
    region: np.ndarray | None = None
    sets_region: bool = False

    @property
    def steps(self) -> int:
        """Training steps in all; 0 for a patch memory alone."""
        return self.config.epochs * math.ceil(len(self.train_index) / self.config.batch)

    @property
    def calibration_index(self) -> list[int]:
        """Good samples that set the threshold, in `calibration`, or in train where that is None."""
        if self.calibration is not None:
            return calibration_index(self.calibration, held_out=False)
        return sorted(set(range(len(self.data["train"]))) - set(self.train_index))


def plan(
    data: Category,
    lights: str | Sequence[str | int] = "all",
    out: str | Path = "runs/afrd",
    options: TrainingOptions | None = None,
    *,
    device: str = "auto",
    teacher: Teacher | None = None,
    roi: str | Path | None = None,
) -> TrainingPlan:
    """Checks everything that a training needs and plans it; nothing is written.

    Args:
        data: from `open_dataset`; needs a train split. The validation split gives the threshold; where there is none,
            every fifth training sample is held out for it.
        lights: "all", names, or numbers.
        out: the run folder.
        options: the defaults if None.
        device: `auto` (CUDA, else MPS, else CPU) or a torch device.
        teacher: a loaded one instead of `options.teacher`.
        roi: where to judge: a picture, `auto` (the silhouette of the parts) or `none`; by default a new run takes
            `roi.png` in the category's folder, where there is one, and a finished run keeps its region.

    Raises:
        ValueError: a bad option, a bad label, a region that does not fit, or a folder that holds another run.
        WeightsUnavailable: see `load_teacher`.
    """
    options = options or TrainingOptions()
    light_names = parse_lights(lights, data.lights)
    torch_device = pick_device(device)
    if "train" not in data:
        raise ValueError(f"category {data.name} has no train split; its splits are {', '.join(data.splits)}")
    options.check()
    if any(data["train"].anomalous):
        bad = data["train"].names[data["train"].anomalous.index(True)]
        raise ValueError(f"training sample {bad} of {data.name} is labelled anomalous; train holds good samples only")
    teacher = (teacher or load_teacher(options.teacher, options.weights)).to(torch_device)
    model = model_config(options, light_names, teacher.name, teacher.channels, teacher.strides)
    train_index, calibration = split_train(data)
    epochs = options.epochs or default_epochs(teacher.name, len(train_index), options.batch)
    config = FitConfig(
        data_root=str(data.root.resolve()),
        category=data.name,
        teacher_digest=teacher.digest,
        weights=str(Path(options.weights).resolve()) if options.weights else None,
        size=options.size,
        picture_size=data["train"].select(model.lights).image_size,
        epochs=0 if options.method == "memory" else epochs,
        batch=options.batch,
        seed=options.seed,
        calibration=calibration.split if calibration is not None else "held out of train",
        views=data.views,
        pictures=fingerprint(light_names, data["train"], *([] if calibration is None else [calibration])),
    )
    folder = Path(out)
    finished = is_finished(folder, model, config)
    region, of_data = None, data_region(data)
    if roi is not None:
        region = region_of(roi, config.picture_size, lambda: data)
    elif of_data is not None and not finished:
        region = read_region(of_data, config.picture_size)
    samples, sets_region = tuple(train_index), roi is not None or not finished
    return TrainingPlan(
        data, folder, model, config, teacher, torch_device, samples, calibration, finished, region, sets_region
    )


def fingerprint(lights: Sequence[str], *splits: MultiLightDataset) -> str:
    """Identifies the pictures behind a run: samples of each split, and a digest of their names and file sizes.

    It is the same for a copied or moved data set, and changes when samples are added, removed or replaced by files of
    another size, or of other content where files are not compressed.
    """
    sha = hashlib.sha256()
    for split in splits:
        for i, name in enumerate(split.names):
            files = [_file_print(split.picture(i, light)) for light in lights]
            sha.update(f"{split.split} {name} {files}\n".encode(errors="surrogateescape"))
    counts = ", ".join(f"{len(split)} of {split.split}" for split in splits)
    return f"{counts}; {sha.hexdigest()[:16]}"


def calibration_split(
    config: FitConfig, lights: Sequence[str], folder: Path, otherwise: str
) -> tuple[MultiLightDataset, list[int]]:
    """The split of a run's calibration samples, and their positions in it.

    Args:
        config, lights, folder: of the run.
        otherwise: what is not possible without these samples, for the message.

    Raises:
        ValueError, FileNotFoundError: the data set does not exist, or does not hold the pictures of the training.
    """
    data = open_dataset(config.data_root, config.category, config.views)
    held_out = config.calibration not in data
    dataset = data["train" if held_out else config.calibration]
    pictures = fingerprint(lights, data["train"], *([] if held_out else [dataset]))
    if config.pictures not in ("", pictures):
        then, now = (text.partition(";")[0] for text in (config.pictures, pictures))
        raise ValueError(
            f"{config.data_root} does not hold the pictures that run {folder} was trained on ({then}; now {now}), so "
            f"{otherwise}"
        )
    return dataset, calibration_index(dataset, held_out)


def _file_print(path: Path) -> tuple[int, ...] | int | None:
    """A file's size, with a checksum of parts of it where all pictures have files of one size; None: no file."""
    try:
        size = path.stat().st_size
        if path.suffix.lower() not in UNCOMPRESSED:
            return size
        checksum = 0
        with path.open("rb") as file:
            for quarter in (1, 2, 3):
                file.seek(size * quarter // 4)
                checksum = zlib.crc32(file.read(CHECKED_BYTES), checksum)
        return size, checksum
    except OSError:
        return None


def model_config(
    options: TrainingOptions,
    lights: tuple[str, ...],
    teacher: str,
    channels: tuple[int, ...],
    strides: tuple[int, ...],
) -> ModelConfig:
    """The model configuration for these options, with the defaults that depend on lights and teacher.

    Raises:
        ValueError: options that exclude each other.
    """
    memory = default_memory(options, teacher, len(lights)) if options.memory is None else options.memory
    return ModelConfig(
        lights=lights,
        teacher=teacher,
        channels=channels,
        strides=strides,
        target=options.target,
        fusion=options.fusion or default_fusion(memory),
        width=options.width,
        method=options.method,
        memory=memory,
    )


def default_memory(options: TrainingOptions, teacher: str, lights: int) -> int:
    """Default patches of each light beside the student; none where the run is the published reverse distillation."""
    several = options.method == "afrd" and options.target == "lights" and lights > 1
    return MEMORY_PATCHES if several and teacher not in TORCHVISION_WEIGHTS else 0


def default_fusion(memory: int) -> str:
    """Default fusion of a model with this many patches beside the student: the learned one reads distances to them."""
    return "learned" if memory else "attention"


def default_epochs(teacher: str, samples: int, batch: int) -> int:
    """Default epochs for this many training samples: RD4AD's own number for its student, else about 500 steps."""
    return (
        RD4AD_EPOCHS if teacher in TORCHVISION_WEIGHTS else math.ceil(NARROW_STUDENT_STEPS / math.ceil(samples / batch))
    )


def split_train(data: Category) -> tuple[list[int], MultiLightDataset | None]:
    """Training positions, and the validation split if it has good samples; else some of train are held out."""
    everything = list(range(len(data["train"])))
    if "val" in data and False in data["val"].anomalous:
        return everything, data["val"]
    if len(everything) < 2:
        return everything, None
    return [i for i in everything if i % HELD_OUT != HELD_OUT - 1 or len(everything) < HELD_OUT], None
