"""All that is to be known of a graphics card, in one go of at most ten minutes.

    python -m benchmarks.gpu [--device cuda] [--without-tests] [--tiny]

The test suite on the card; training (`benchmarks.training`), inference (`benchmarks.inference`) and the look-up
(`benchmarks.lookup`) there; the share of the card's peak that the teacher reaches (its floating-point operations
against those of a large matrix product in the same precision, both measured); peak memory; and how far maps and scores
of the card are from those of the processor. `--tiny` makes everything small, to try the script; with `--device cpu` it
runs without a card, and then says nothing about one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import afrd
from afrd.runs.plan import MEMORY_PATCHES
from afrd.runs.run import Run
from benchmarks import inference, lookup, training
from benchmarks.measuring import RESULTS, alternating, report

ROOT = Path(__file__).parents[1]
TEST_SECONDS = 360


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--without-tests", action="store_true")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    try:
        device = torch.device(options.device)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        parser.error(
            f"{options.device} cannot be used here ({str(error).splitlines()[0]}); --device cpu tries the script"
        )
    if not options.without_tests:
        run_tests()
    size, samples, epochs, batches = (64, 4, 2, [1, 2]) if options.tiny else (512, 40, 5, [1, 16, 64])
    with tempfile.TemporaryDirectory() as name:
        os.environ["AFRD_CACHE"], folder = str(Path(name) / "cache"), Path(name)
        for teacher in ("resnet18", "wide_resnet50_2")[: 1 if options.tiny else 2]:
            small = min(size, 256)
            rows = training.measure(folder / teacher, teacher, None, small, min(16, samples), samples, epochs, device)
            settings = {"teacher": teacher, "weights": "random", "size": small, "samples": samples, "epochs": epochs}
            report(f"gpu_training_{teacher}", "Training of single-light RD", rows, settings, device, options.out)
        run, pictures = inference.trained(folder / "inference", "efficientnet_lite0", None, size, options.device)
        rows = [row for batch in batches for row in inference.measure(run, pictures, batch, 5)]
        settings = {"teacher": "efficientnet_lite0", "size": size, "lights": pictures.shape[1]}
        report("gpu_inference", "From pictures to maps and scores", rows, settings, device, options.out)
        features = lookup.rendered_features(folder / "lookup", size, min(8, samples), options.device)
        rows = lookup.measure(features, 256 if options.tiny else MEMORY_PATCHES, 5, device)
        report("gpu_lookup", "Look-up of one sample in the memory", rows, {"size": size}, device, options.out)
        rows = [peak(run, pictures, batches[-1]), *differences(run, folder)]
        report(
            "gpu_card", "Use of the card, and agreement with the processor", rows, {"size": size}, device, options.out
        )


def run_tests() -> None:
    """The suite, in which `auto` is the card; says how it ended."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "--dist", "loadfile", "-m", "not browser"]
    began = time.monotonic()
    try:
        ended = subprocess.run(command, cwd=ROOT, timeout=TEST_SECONDS, capture_output=True, text=True)
        print("tests:", ended.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        print(f"tests: not at their end after {time.monotonic() - began:.0f} s")


@torch.no_grad()
def peak(run: Run, pictures: torch.Tensor, batch: int) -> dict[str, Any]:
    """What share of a matrix product's rate the teacher reaches, and the peak of memory at this batch."""
    device = run.device
    chosen = pictures[torch.arange(batch) % len(pictures)].flatten(0, 1).to(device).float() / 255
    chosen = chosen.contiguous(memory_format=torch.channels_last)
    with FlopCounterMode(display=False) as counter:
        run.teacher(chosen[:1])
    side = 8192 if device.type == "cuda" else 1024
    square = torch.rand(side, side, device=device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = alternating({"teacher": lambda: run.teacher(chosen), "product": lambda: square @ square}, 5, device)
    rates = {
        "teacher": counter.get_total_flops() * len(chosen) / seconds["teacher"],
        "product": 2 * side**3 / seconds["product"],
    }
    megabytes = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else float("nan")
    return {
        "what": f"teacher, {len(chosen)} pictures: TFLOP/s; its share of a float32 matrix product's; peak MiB",
        "value": f"{rates['teacher'] / 1e12:.3g}; {rates['teacher'] / rates['product']:.0%}; {megabytes:.0f}",
    }


def differences(run: Run, folder: Path) -> list[dict[str, Any]]:
    """How far maps and scores of the run's device are from those of the processor, on one split."""
    data = afrd.open_dataset(folder / "inference" / "data", "Praline")["test_public"]
    other = afrd.load_run(run.folder, device="cpu")
    pairs = [(run.predict(sample), other.predict(sample)) for sample in data]
    in_maps = max(float(abs(a.anomaly_map - b.anomaly_map).max() / b.score) for a, b in pairs)
    in_scores = max(abs(a.score / b.score - 1) for a, b in pairs)
    return [
        {"what": "largest difference of a map, as a share of its score", "value": f"{in_maps:.1e}"},
        {"what": "largest difference of a score, as a share of it", "value": f"{in_scores:.1e}"},
        {"what": "verdicts that differ", "value": sum(a.verdict != b.verdict for a, b in pairs)},
    ]


if __name__ == "__main__":
    main()
