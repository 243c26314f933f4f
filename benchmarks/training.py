"""Training of single-light reverse distillation: this package, anomalib's, and RD4AD's loop written anew.

    python -m benchmarks.training [--teacher resnet18] [--size 256] [--batch 16] [--samples 40] [--device cpu]

All three train the same network (RD4AD's student) on the same pictures, the good ones of a rendered category under one
light. This package is `afrd.fit` as it is, which first stores the teacher's features. anomalib's model is trained in a
plain loop that holds all decoded pictures in memory, with its own loss and optimiser; without anomalib
(`benchmarks/requirements-peers.txt`) it is left out. RD4AD's loop decodes the pictures and asks the teacher in every
epoch, as its description says (Deng & Li, CVPR 2022, https://arxiv.org/abs/2201.10703). The weights of the teacher are
random by default: they do not change how long anything takes. The validation loss is RD4AD's on good samples that were
not trained on, in float32; this package is also trained for as many epochs as it needs to have a peer's.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import afrd
from afrd.candies import EYECANDIES_RIG, render_category
from afrd.data.dataset import Category, MultiLightDataset
from afrd.model.student import RD4ADStudent
from afrd.model.teacher import Teacher, load_teacher
from afrd.model.weights import TIMM_NAMES
from afrd.runs.run import Run
from afrd.runs.training import StepReport
from benchmarks.measuring import clock_of, report

RATE = 0.005  # of RD4AD's Adam
MOST_EPOCHS = 2  # times those of the peers, in which this package may reach their loss


class Training(NamedTuple):
    """What a training took, and how good the student is.

    Attributes:
        before: seconds before the first step.
        epochs: seconds of each epoch.
        loss: RD4AD's, on the validation split.
    """

    before: float
    epochs: list[float]
    loss: float

    @property
    def total(self) -> float:
        """Seconds in all."""
        return self.before + sum(self.epochs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="resnet18", choices=["resnet18", "wide_resnet50_2"])
    parser.add_argument("--weights", type=Path, help="of the teacher; random by default")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cpu":
        torch.set_num_threads(1)  # processor time is then the wall time of an idle machine
    with tempfile.TemporaryDirectory() as name:
        os.environ["AFRD_CACHE"] = name
        rows = measure(
            Path(name),
            options.teacher,
            options.weights,
            options.size,
            options.batch,
            options.samples,
            options.epochs,
            device,
        )
    about = {key: getattr(options, key) for key in ("teacher", "size", "batch", "samples", "epochs")}
    about["weights"] = str(options.weights or "random")
    file = f"training_{options.teacher}" + ("" if device.type == "cpu" else f"_{device.type}")
    report(file, "Training of single-light reverse distillation", rows, about, device)


def measure(
    folder: Path,
    teacher: str,
    weights: Path | None,
    size: int,
    batch: int,
    samples: int,
    epochs: int,
    device: torch.device,
) -> list[dict[str, Any]]:
    """A row a method.

    Args:
        folder: for pictures, weights, features and the run.
        teacher, weights: see `load_teacher`; random weights by default.
        size: of the square pictures, in pixels.
        batch, samples, epochs: of the trainings.
        device: to train on.
    """
    box = [light for light in EYECANDIES_RIG if light.name == "box"]
    numbers = {"train": samples, "val": min(8, samples), "test_good": 1, "test_bad": 1}
    render_category(folder / "data", "Praline", lights=box, size=size, workers=1, **numbers)
    data = afrd.open_dataset(folder / "data", "Praline")
    if weights is None:
        torch.manual_seed(0)
        weights = folder / f"{teacher}.safetensors"
        save_file(timm.create_model(TIMM_NAMES[teacher]).state_dict(), weights)
    fit = partial(
        afrd.fit,
        data,
        teacher=teacher,
        weights=weights,
        size=size,
        batch=batch,
        device=str(device),
        show_progress=False,
    )
    trained = {
        "afrd": ours(fit, data, folder / "run", batch, epochs, device),
        "RD4AD's loop": rd4ad(data, load_teacher(teacher, weights).to(device), weights, batch, epochs, device),
    }
    with suppress(ImportError):
        trained["anomalib"] = anomalib(data, load_teacher(teacher, weights).to(device), size, batch, epochs, device)
    mine = trained["afrd"]
    epoch, total = statistics.median(mine.epochs), mine.total
    losses = [mine.loss if number == epochs else None for number in range(1, MOST_EPOCHS * epochs + 1)]

    def seconds_to(loss: float) -> float | None:
        """Of this package, features included, to a loss no higher than this one; None if it takes too many epochs."""
        for k, known in enumerate(losses):
            if known is None:  # every training begins anew, and the features are stored
                again = fit(out=folder / f"run{k + 1}", epochs=k + 1)
                losses[k] = validation_loss(data, again.teacher, again.model.student)
            if losses[k] <= loss:
                return mine.before + (k + 1) * epoch
        return None

    reached = {name: mine.total if name == "afrd" else seconds_to(of.loss) for name, of in trained.items()}
    return [
        {
            "method": name,
            "s before the first epoch": of.before,
            "s an epoch": statistics.median(of.epochs),
            "times afrd's": statistics.median(of.epochs) / epoch,
            "s in all": of.total,
            "times afrd's in all": of.total / total,
            "validation loss": of.loss,
            "afrd's s to that loss": reached[name] or "",
            "times it": of.total / reached[name] if reached[name] else "",
        }
        for name, of in trained.items()
    ]


def ours(fit: Callable[..., Run], data: Category, out: Path, batch: int, epochs: int, device: torch.device) -> Training:
    """`afrd.fit`, given with its other arguments as `fit`, with features that are computed first."""
    clock, ends = clock_of(device), []

    def note_step(report: StepReport) -> None:
        ends.append(clock())

    began = clock()
    steps = math.ceil(len(data["train"]) / batch)
    run = fit(out=out, epochs=epochs, on_step=note_step)
    student = run.model.student
    first_step = (ends[-1] - ends[0]) / (len(ends) - 1)  # of its own length nothing is known
    at = [ends[0] - first_step, *ends[steps - 1 :: steps]]
    return Training(at[0] - began, [b - a for a, b in pairwise(at)], validation_loss(data, run.teacher, student))


def rd4ad(data: Category, teacher: Teacher, weights: Path, batch: int, epochs: int, device: torch.device) -> Training:
    """RD4AD's loop: float32, the teacher as it comes and in every step, pictures from their files."""
    backbone = timm.create_model(TIMM_NAMES[teacher.name], features_only=True, out_indices=(1, 2, 3))
    backbone.load_state_dict(load_file(weights), strict=False)  # without the head
    backbone.to(device).eval()
    torch.manual_seed(0)
    student = RD4ADStudent(teacher.channels, teacher.strides, 1, teacher.name == "wide_resnet50_2").to(device).train()
    optimiser = torch.optim.Adam(student.parameters(), RATE, betas=(0.5, 0.999))
    train = data["train"]

    def step(index: list[int]) -> None:
        with torch.no_grad():
            features = backbone(teacher.normalise(torch.cat([train[i].images for i in index]).to(device)))
        regressed = student([f[:, None] for f in features])[0]
        descend(rd4ad_loss(features, [r[:, 0] for r in regressed]), optimiser)

    seconds = timed_epochs(step, len(train), batch, epochs, device)
    return Training(0.0, seconds, validation_loss(data, teacher, student.eval()))


def anomalib(data: Category, teacher: Teacher, size: int, batch: int, epochs: int, device: torch.device) -> Training:
    """anomalib's model with its own loss and optimiser, on decoded pictures.

    Raises:
        ImportError: it is not installed.
    """
    from anomalib.models.image.reverse_distillation.anomaly_map import AnomalyMapGenerationMode
    from anomalib.models.image.reverse_distillation.loss import ReverseDistillationLoss
    from anomalib.models.image.reverse_distillation.torch_model import ReverseDistillationModel

    torch.manual_seed(0)
    layers, mode = ["layer1", "layer2", "layer3"], AnomalyMapGenerationMode.ADD
    model = ReverseDistillationModel(teacher.name, (size, size), layers, mode, pre_trained=False).to(device).train()
    optimiser = torch.optim.Adam([*model.decoder.parameters(), *model.bottleneck.parameters()], RATE, betas=(0.5, 0.99))
    loss_of, clock = ReverseDistillationLoss(), clock_of(device)
    began = clock()
    pictures = teacher.normalise(pictures_of(data["train"]).to(device))
    before = clock() - began

    def step(index: list[int]) -> None:
        descend(loss_of(*model(pictures[index])), optimiser)

    seconds = timed_epochs(step, len(pictures), batch, epochs, device)
    model.bottleneck.eval(), model.decoder.eval()  # the whole model in eval mode gives anomaly maps
    with torch.no_grad():
        features, regressed = model(teacher.normalise(pictures_of(data["val"]).to(device)))
    return Training(before, seconds, float(rd4ad_loss(features, regressed)))


def timed_epochs(
    step: Callable[[list[int]], None], samples: int, batch: int, epochs: int, device: torch.device
) -> list[float]:
    """Seconds of each epoch of a loop that takes the samples in random order."""
    order, clock, seconds = torch.Generator().manual_seed(0), clock_of(device), []
    for _ in range(epochs):
        began = clock()
        for index in torch.randperm(samples, generator=order).split(batch):
            step(index.tolist())
        seconds.append(clock() - began)
    return seconds


def rd4ad_loss(features: Sequence[Tensor], regressed: Sequence[Tensor]) -> Tensor:
    """Sum over scales of 1 - cosine of whole flattened maps (B, C, h, w), the mean over samples."""
    pairs = zip(features, regressed, strict=True)
    return torch.stack([(1 - F.cosine_similarity(r.flatten(1), f.flatten(1))).mean() for f, r in pairs]).sum()


def descend(loss: Tensor, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    loss.item()  # as all of them report it


@torch.no_grad()
def validation_loss(data: Category, teacher: Teacher, student: nn.Module) -> float:
    features = teacher(pictures_of(data["val"]).to(teacher.mean.device))
    return float(rd4ad_loss(features, [r[:, 0] for r in student([f[:, None] for f in features])[0]]))


def pictures_of(dataset: MultiLightDataset) -> Tensor:
    """(N, 3, H, W) of the only light."""
    return torch.cat([dataset[i].images for i in range(len(dataset))])


if __name__ == "__main__":
    main()
