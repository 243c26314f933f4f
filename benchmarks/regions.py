"""What a region of interest changes: every run of a folder judged on the whole picture, and inside the silhouette.

python benchmarks/regions.py data/candies runs/demo/Licorice    # after `make demo`

The silhouette is that of `--roi auto`. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import afrd
import afrd.runs
from afrd.metrics import Predictions, region_share
from afrd.metrics.threshold import outcome

METRICS = ("image_auroc", "pixel_ap", "pixel_auroc", "aupro")


def row(predictions: Predictions) -> list[str]:
    """The metrics, missed defects, false alarms and the threshold."""
    metrics, table = predictions.metrics(), predictions.table
    outcomes = [outcome(truth, v == "anomalous") for truth, v in zip(table.anomalous, table.verdict, strict=True)]
    threshold = f"{predictions.threshold.value:.3g}" if predictions.threshold else "–"
    counts = [str(outcomes.count(word)) for word in ("missed", "false alarm")]
    return [*(f"{metrics[name]:.3f}" for name in METRICS), *counts, threshold]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="root of the data set")
    parser.add_argument("runs", type=Path, help="folder of runs of one category")
    options = parser.parse_args()
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
