"""Judging six lights: pictures to maps and scores, against the bare teacher's forward over the same pictures.

    python -m benchmarks.inference [--size 512] [--teacher efficientnet_lite0] [--batches 1 16] [--device cpu]

The run is AFRD with its defaults, trained for a few steps on a rendered category (training longer changes no time). The
bare teacher is timed at its best without a loss of precision: channels last, batch norm folded, float32, on a processor
one picture at a time, on a card the six of a sample. Rows "of it" are parts of the run's own time.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import afrd
from afrd.candies import render_category
from afrd.model.inputs import compute_inputs
from afrd.runs.calibration import evidence_batch_size
from afrd.runs.run import Run
from benchmarks.measuring import alternating, report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="efficientnet_lite0")
    parser.add_argument("--weights", type=Path, help="of the teacher, where it needs some")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cpu":
        torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        os.environ["AFRD_CACHE"] = name
        run, pictures = trained(Path(name), options.teacher, options.weights, options.size, options.device)
        rows = [row for batch in options.batches for row in measure(run, pictures, batch, options.repeats)]
    about = {"teacher": options.teacher, "size": options.size, "lights": pictures.shape[1], "repeats": options.repeats}
    file = f"inference_{options.teacher}" + ("" if device.type == "cpu" else f"_{device.type}")
    report(file, "From pictures of six lights to maps and scores", rows, about, device)


def trained(folder: Path, teacher: str, weights: Path | None, size: int, device: str) -> tuple[Run, Tensor]:
    """A run of a few steps, and the pictures (N, L, 3, H, W) of a split, uint8."""
    render_category(folder / "data", "Praline", size=size, train=4, val=2, test_good=1, test_bad=1, workers=1)
    data = afrd.open_dataset(folder / "data", "Praline")
    options = {"teacher": teacher, "weights": weights, "size": size, "epochs": 2, "batch": 4, "device": device}
    run = afrd.fit(data, "all", folder / "run", show_progress=False, **options)
    split = data["train"]
    pictures = torch.stack([split[i].images for i in range(len(split))])
    return run, (pictures * 255).round().byte()


def measure(run: Run, pictures: Tensor, batch: int, repeats: int) -> list[dict[str, Any]]:
    """A row for the run, for each of its parts, and for each way to compute the bare teacher.

    Args:
        run: with target `lights`.
        pictures: (N, L, 3, H, W) uint8; samples are repeated up to the batch.
        batch: samples judged at a time, `B` below.
        repeats: of which the median counts.
    """
    chosen = pictures[torch.arange(batch) % len(pictures)].to(run.device)  # (B, L, 3, H, W)
    size = (pictures.shape[-2], pictures.shape[-1])
    as_floats = (chosen.flatten(0, 1).float() / 255).contiguous(memory_format=torch.channels_last)
    present = run.everything.expand(batch, -1)

    @torch.no_grad()
    def inputs() -> tuple[list[Tensor], Tensor]:
        samples = [compute_inputs(run.teacher, sample.float() / 255, run.config.size) for sample in chosen]
        scales = [torch.stack(scale).float() for scale in zip(*[features for features, _ in samples], strict=True)]
        return scales, torch.stack([contrast for _, contrast in samples]).float()

    @torch.no_grad()
    def judge() -> None:
        scales, of_pictures = inputs()
        for index in portions:
            run.model([f[index] for f in scales], of_pictures[index], present[index], size).score.tolist()

    features, contrast = inputs()
    at_once = evidence_batch_size(contrast[0].numel(), run.device) if run.device.type == "cpu" else batch
    portions = torch.arange(batch).split(at_once)  # as in `Run.evaluate`
    with torch.no_grad():
        evidence = [
            run.model.evidence([f[index] for f in features], contrast[index], present[index]) for index in portions
        ]
    masked = [[f[index].float() for f in features] for index in portions]
    bank = run.model.bank
    assert bank is not None
    parts: dict[str, Callable[[], Any]] = {
        "AFRD, pictures to maps and scores": judge,
        "of it the inputs (teacher, contrast)": inputs,
        "of it the student": torch.no_grad()(lambda: [run.model.student(portion) for portion in masked]),
        "of it the memory": torch.no_grad()(lambda: [bank(portion) for portion in masked]),
        "of it fusion and maps": torch.no_grad()(lambda: [run.model.maps(portion, size) for portion in evidence]),
        "bare teacher": torch.no_grad()(
            lambda: [run.teacher(part) for part in as_floats.split(1 if run.device.type == "cpu" else 6)]
        ),
    }
    seconds = alternating(parts, repeats, run.device)
    bare = seconds["bare teacher"]
    return [
        {"what": what, "samples at a time": batch, "ms a sample": 1000 * s / batch, "times the bare teacher": s / bare}
        for what, s in seconds.items()
    ]


if __name__ == "__main__":
    main()
