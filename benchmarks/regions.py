"""What a region of interest changes: every run of a folder judged on the whole picture, and inside the silhouette.

python -m benchmarks.regions data/candies runs/demo/Licorice            # after `make demo`
python -m benchmarks.regions data/candies runs/demo/Licorice --noise    # how far places inside see outside

The silhouette is that of `--roi auto`. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

import afrd
import afrd.runs
from afrd.data.dataset import MultiLightDataset
from afrd.metrics import Predictions, region_share
from afrd.metrics.words import outcome

SAMPLES, DISTANCES = (0, 5, 25, 30), (1, 8, 16, 32, 48, 64)  # of `--noise`
METRICS = ("image_auroc", "pixel_ap", "pixel_auroc", "aupro")


def row(predictions: Predictions) -> list[str]:
    """The metrics, missed defects, false alarms and the threshold."""
    metrics, table = predictions.metrics(), predictions.table
    outcomes = [outcome(truth, v == "anomalous") for truth, v in zip(table.anomalous, table.verdict, strict=True)]
    threshold = f"{predictions.threshold.value:.3g}" if predictions.threshold else "–"
    counts = [str(outcomes.count(word)) for word in ("missed", "false alarm")]
    return [*(f"{metrics[name]:.3f}" for name in METRICS), *counts, threshold]


def noise(run: afrd.runs.Run, region: np.ndarray, test: MultiLightDataset) -> None:
    """Prints how much scores change, in thresholds, when all beyond a distance from the region becomes noise."""
    inside, whole = run.with_region(region), run.with_region(None)
    far = torch.from_numpy(distance_transform_edt(~region))
    samples = [test.select(run.lights)[i] for i in SAMPLES]
    draw = torch.Generator().manual_seed(0)
    print("| beyond, pixels | share of the picture | score inside, largest change | of the whole picture, smallest |")
    print("|---|---|---|---|")
    for distance in DISTANCES:
        replaced = far > distance
        noisy = [
            replace(s, images=torch.where(replaced, torch.rand(s.images.shape, generator=draw), s.images))
            for s in samples
        ]
        changes = [
            [
                abs(one.predict(b).score - one.predict(a).score) / one.threshold().value
                for a, b in zip(samples, noisy, strict=True)
            ]
            for one in (inside, whole)
        ]
        share = float(replaced.float().mean())
        print(f"| {distance} | {share:.0%} | {max(changes[0]):.2f} | {min(changes[1]):.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="root of the data set")
    parser.add_argument("runs", type=Path, help="folder of runs of one category")
    parser.add_argument("--noise", action="store_true", help="replace what lies outside, for the run of most lights")
    options = parser.parse_args()
    if options.noise:
        run = max((afrd.load_run(f) for f in afrd.runs.find_runs(options.runs)), key=lambda run: len(run.lights))
        data = afrd.open_dataset(options.data, run.config.category, run.config.views)
        return noise(run, afrd.runs.silhouette(data["train"]), data[data.test_split])
    head = ["run", "judged", "image AUROC", "pixel AP", "pixel AUROC", "AUPRO", "missed", "false alarms", "threshold"]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for folder in afrd.runs.find_runs(options.runs):
        run = afrd.load_run(folder)
        data = afrd.open_dataset(options.data, run.config.category, run.config.views)
        region = afrd.runs.silhouette(data["train"])
        test = data[data.test_split]
        for where, judged in (("everywhere", run.with_region(None)), (region_share(region), run.with_region(region))):
            print(f"| {' | '.join([folder.name, where, *row(judged.evaluate(test))])} |", flush=True)


if __name__ == "__main__":
    main()
