"""Evaluation: exact AUPRO, and the metrics of every set of six lights.

    python -m benchmarks.evaluation [--samples 40] [--size 256]

AUPRO of random smooth maps against a loop over 4,001 thresholds, which is how it is usually described, and anomalib's
where it is installed (`benchmarks/requirements-peers.txt`). The sets of lights: all 63 of a run at once
(`afrd.lights`' way) against 63 evaluations one by one, each with the evidence of all lights computed already, and each
as a command of its own has it (`load_run`, stored features); of the two latter a few are timed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage

import afrd
from afrd.analysis.explain.shapley import coalitions
from afrd.analysis.lights.subsets import SubsetEvaluation
from afrd.candies import render_category
from afrd.metrics.ranking import FPR_LIMIT, aupro
from benchmarks.measuring import alternating, report

THRESHOLDS = 4001
TIMED = 4  # single evaluations of which the mean counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = aupro_rows(options.samples, options.size, options.repeats)
    with tempfile.TemporaryDirectory() as name:
        os.environ["AFRD_CACHE"] = name
        rows += subset_rows(Path(name), options.samples, options.size, options.repeats)
    about = {"samples": options.samples, "size": options.size, "repeats": options.repeats}
    report("evaluation", "Exact AUPRO, and all sets of six lights", rows, about)


def aupro_rows(samples: int, size: int, repeats: int) -> list[dict[str, Any]]:
    """A row for each way to AUPRO."""
    masks, maps = random_maps(samples, size)
    ways: dict[str, Callable[[], float]] = {
        "AUPRO, exact": lambda: aupro(masks, maps),
        f"AUPRO, loop over {THRESHOLDS:,} thresholds": lambda: by_thresholds(masks, maps),
    }
    try:
        from anomalib.metrics.aupro import _AUPRO
    except ImportError:
        pass
    else:

        def by_anomalib() -> float:
            metric = _AUPRO(fpr_limit=FPR_LIMIT)
            metric.update(torch.from_numpy(maps), torch.from_numpy(masks))
            return float(metric.compute())

        ways["AUPRO, anomalib"] = by_anomalib
    values = {name: way() for name, way in ways.items()}
    seconds = alternating(ways, repeats)
    first = next(iter(seconds.values()))
    return [
        {"what": name, "s": s, "times the first": s / first, "result": f"{values[name]:.6f}"}
        for name, s in seconds.items()
    ]


def random_maps(samples: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks with up to three round defects, in every second sample, and smooth maps that are higher there."""
    rng, (rows, columns) = np.random.default_rng(0), np.ogrid[:size, :size]
    masks = np.zeros((samples, size, size), bool)
    for mask in masks[::2]:
        for _ in range(rng.integers(1, 4)):
            (y, x), radius = rng.integers(0, size, 2), rng.integers(2, max(3, size // 16))
            mask |= (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    noise = rng.normal(size=masks.shape)
    maps = [ndimage.gaussian_filter(one, size / 64) * size / 32 for one in noise + 0.5 * masks]
    return masks, np.array(maps, np.float32)


def by_thresholds(masks: np.ndarray, maps: np.ndarray) -> float:
    """AUPRO by thresholds at quantiles of the values, region by region."""
    regions = [(i, labels == n) for i, (labels, count) in enumerate(map(labelled, masks)) for n in range(1, count + 1)]
    scores_of_regions = [np.sort(maps[i][region]) for i, region in regions]
    normal = np.sort(maps[~masks])
    thresholds = np.quantile(maps, np.linspace(1, 0, THRESHOLDS))
    fpr, pro = [0.0], [0.0]
    for threshold in thresholds:
        fpr.append(float((normal >= threshold).mean()))
        pro.append(float(np.mean([(scores >= threshold).mean() for scores in scores_of_regions])))
    inside = np.array(fpr) < FPR_LIMIT
    x, y = np.append(np.array(fpr)[inside], FPR_LIMIT), np.append(np.array(pro)[inside], np.interp(FPR_LIMIT, fpr, pro))
    return float(np.trapezoid(y, x) / FPR_LIMIT)


def labelled(mask: np.ndarray) -> tuple[np.ndarray, int]:
    return ndimage.label(mask, np.ones((3, 3)))  # type: ignore[return-value]


def subset_rows(folder: Path, samples: int, size: int, repeats: int) -> list[dict[str, Any]]:
    """A row for each way to the metrics of all 63 sets."""
    counts = {"train": 4, "val": 4, "test_good": samples // 2, "test_bad": samples - samples // 2}
    render_category(folder / "data", "Praline", size=size, **counts)
    data = afrd.open_dataset(folder / "data", "Praline")
    run = afrd.fit(data, "all", folder / "run", size=size, epochs=2, batch=4, device="cpu", show_progress=False)
    split, lights = data["test_public"], run.lights
    members = coalitions(len(lights))[1:]
    run.evidence(split)
    some = [[lights[light] for light in np.flatnonzero(members[n])] for n in np.linspace(0, 62, TIMED).astype(int)]

    def at_once() -> None:
        evaluation = SubsetEvaluation(run, split, np.arange(len(split)), 0, lambda *_: None)
        list(evaluation._results(members, draw=False))

    def one_by_one() -> None:
        for chosen in some:
            run.evaluate(split, chosen).metrics()

    def anew() -> None:
        for chosen in some:
            afrd.load_run(run.folder, device="cpu", teacher=run.teacher).evaluate(split, chosen).metrics()

    seconds = alternating({"at once": at_once, "one by one": one_by_one, "anew": anew}, repeats)
    share = len(members) / TIMED
    times = {
        "63 sets of lights at once": seconds["at once"],
        "63 sets one by one, evidence known": seconds["one by one"] * share,
        "63 sets one by one, each from stored features": seconds["anew"] * share,
    }
    return [
        {"what": name, "s": s, "times the first": s / seconds["at once"], "result": "metrics of each set"}
        for name, s in times.items()
    ]


if __name__ == "__main__":
    main()
