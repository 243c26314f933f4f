"""What the table of a whole data set costs, from measured parts.

    afrd render data/candies512 --category Praline --size 512 --train 12 --val 6 --test 12
    python -m benchmarks.sweep_cost data/candies512 Praline

Measures, in seconds of the processor on one thread, how long it takes to read a picture, to read it by the teacher, a
training step, the selection of the memory's patches and the rest of a training per sample (memory, calibration) of
each method, and the evaluation per test sample; then multiplies by the numbers of a data set (those of Eyecandies by
default: ten categories of 1000, 100 and 50 samples, six lights; three seeds). Trainings have the default number of
steps. Selection takes no longer with more samples once their places are as many as the candidates.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from afrd.analysis.comparison.sweep_results import judge_group
from afrd.data.dataset import Category, open_dataset
from afrd.model.afrd import make_model
from afrd.model.config import ModelConfig
from afrd.model.inputs import compute_inputs
from afrd.model.patch_memory import CANDIDATES, farthest_first
from afrd.model.teacher import load_teacher
from afrd.runs.feature_store import load_features
from afrd.runs.options import TrainingOptions
from afrd.runs.plan import NARROW_STUDENT_STEPS
from afrd.runs.plan import plan as plan_training
from afrd.runs.sweep_plan import Cell, Group, SweepPlan
from afrd.runs.training import StepReport, train

METHODS = ["afrd", "afrd-learned", "features-attention", "memory", "single"]
STEPS = 6  # that are measured, after one that is not
SELECTED = 50  # patches whose selection is measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("category")
    parser.add_argument("--size", type=int, default=TrainingOptions.size)
    parser.add_argument("--categories", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    for split, count in (("train", 1000), ("val", 100), ("test", 50)):
        parser.add_argument(f"--{split}", type=int, default=count, metavar="N", help="samples of a category")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data, teacher = open_dataset(options.data, options.category), load_teacher()
    samples, reading = timed(lambda: list(data["train"]))
    _, computing = timed(lambda: [compute_inputs(teacher, sample.images, options.size) for sample in samples])
    pictures = len(samples) * len(data.lights)
    print(f"a picture: {1000 * reading / pictures:.0f} ms to read, {1000 * computing / pictures:.0f} ms of the teacher")
    for split in ("train", "val", data.test_split):
        load_features(data[split], teacher, options.size)
    with tempfile.TemporaryDirectory() as folder:
        plan = SweepPlan(
            data=str(options.data), out=folder, categories=[data.name], methods=METHODS, sizes=[options.size]
        )
        (group,) = plan.groups()
        training = sum(_cell(cell, data, Path(folder), options) for cell in group.cells)
        evaluation = _evaluation(group, options, Path(folder))
    a_category = (options.train + options.val + options.test) * len(data.lights)
    features = options.categories * a_category * (reading + computing) / pictures
    groups = options.categories * options.seeds
    print(
        f"features {features / 3600:.1f} h, of that reading {features * reading / (reading + computing) / 3600:.1f} h"
    )
    print(f"{groups * len(group.cells)} trainings {groups * training / 3600:.1f} h")
    print(f"{groups} evaluations {groups * evaluation / 3600:.1f} h")
    print(f"together {(features + groups * (training + evaluation)) / 3600:.1f} h of one core")


def timed(work):
    """The result, and the processor's seconds."""
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


def _cell(cell: Cell, data: Category, folder: Path, options: argparse.Namespace) -> float:
    """Seconds of a whole training, from a few steps; the same for every single light."""
    times: list[float] = []

    def note(step: StepReport) -> None:
        times.append(time.process_time())

    probe = plan_training(data, cell.lights, folder / cell.folder, _short(cell.options, len(data["train"])))
    _, seconds = timed(lambda: train(probe, show_progress=False, on_step=note))
    step = (times[-1] - times[0]) / (len(times) - 1) if times else 0.0
    places = (options.size // probe.model.strides[0]) ** 2
    measured, selection = (_selection(probe.model, count * places) for count in (len(data["train"]), options.train))
    a_sample = (seconds - step * len(times) - measured) / (len(data["train"]) + len(data["val"]))
    steps = NARROW_STUDENT_STEPS if times else 0
    whole = steps * step + selection + (options.train + options.val) * a_sample
    print(
        f"{cell.folder.name}: {1000 * step:.0f} ms a step, {selection:.0f} s to select patches, "
        f"{1000 * a_sample:.0f} ms a sample: {whole:.0f} s"
    )
    return whole


def _selection(config: ModelConfig, places: int) -> float:
    """Seconds to select the patches of a memory, from a few of them; `places` of a light in all training samples."""
    bank = make_model(config).bank
    if bank is None:
        return 0.0
    lights, _, channels = bank.patches.shape
    candidates = torch.randn(min(places, CANDIDATES), channels)
    _, seconds = timed(lambda: farthest_first(candidates, SELECTED))
    return seconds / SELECTED * bank.capacity * lights


def _short(options: TrainingOptions, samples: int) -> TrainingOptions:
    steps_an_epoch = -(-samples // options.batch)
    return TrainingOptions(**{**vars(options), "epochs": -(-(STEPS + 1) // steps_an_epoch)})


def _evaluation(group: Group, options: argparse.Namespace, folder: Path) -> float:
    """Seconds to evaluate all methods on one category's test split."""
    _, seconds = timed(lambda: judge_group(group, options.data, folder, 0, "cpu"))
    test = open_dataset(options.data, group.category)
    a_sample = seconds / len(test[test.test_split])
    print(f"evaluation: {1000 * a_sample:.0f} ms a test sample")
    return a_sample * options.test


if __name__ == "__main__":
    main()
