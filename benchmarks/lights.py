"""Time and memory of the light analyses, and the error rate of the advisor on simulated rigs.

    python -m benchmarks.lights runs/praline                    time and memory, on the run's own test split
    python -m benchmarks.lights --simulate 300                  simulated rigs with known truth

The first times all sets of lights, the repeated analysis, and one sample's Shapley values with stored features; the
run folder is not touched. The second draws scores of rigs whose lights show a known share of the defects, and counts
how often the advisor calls a rig enough that truly loses more than the tolerance.
"""

import argparse
import resource
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import afrd
from afrd.analysis.explain import score as explain
from afrd.analysis.explain.shapley import coalitions
from afrd.analysis.lights.advisor import DELTA, advise
from afrd.analysis.lights.subsets import drawn_halves
from afrd.analysis.lights.survey import Survey, redundancy, survey
from afrd.metrics.bootstrap import drawn_image_auroc
from afrd.metrics.words import METRICS

RIGS = [  # shares of the defects that each light alone shows
    (0.25, 0.25, 0.25, 0.25),
    (0.4, 0.3, 0.18, 0.12),
    (0.5, 0.38, 0.12),
    (0.88, 0.12),
    (0.5, 0.5, 0.0, 0.0),
    (1.0, 0.0, 0.0, 0.0),
]
DEFECT_STRENGTH = 5.0  # mean score of a shown defect, in standard deviations of the noise


def gigabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(folder: Path, root: Path | None) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(shutil.copytree(folder, Path(scratch) / "run", ignore=shutil.ignore_patterns("lights")))
        run = afrd.load_run(copy)
        data = afrd.open_dataset(root or run.config.data_root, run.config.category)
        dataset = data[data.test_split]
        run.features(dataset)  # from the store, as in every analysis but the first
        rows = []

        def timed(title: str, work, repeats: int = 1):
            seconds = []
            for _ in range(repeats):
                began = time.perf_counter()
                result = work()
                seconds.append(time.perf_counter() - began)
            rows.append((title, statistics.median(seconds), gigabytes()))
            return result

        timed("evidence of the split, stored features", lambda: run.evidence(dataset))
        result_of_survey = timed(
            "all sets of lights" if len(run.lights) <= 10 else "search", lambda: survey(run, dataset)
        )
        timed("the second look", lambda: survey(run, dataset))
        timed("advice", lambda: advise(result_of_survey), 5)
        timed("redundancy", lambda: redundancy(result_of_survey), 5)
        index = next(i for i, bad in enumerate(dataset.anomalous) if bad)
        timed("one sample's Shapley values", lambda: explain.lights(run, dataset, index), 20)
        region = explain.around((60.0, 60.0), dataset.image_size)
        timed("those of a clicked place", lambda: explain.lights(run, dataset, index, region), 20)
        sample = dataset[index]
        good = timed("the most alike good part", lambda: explain.alike(sample, data["train"]))
        timed("integrated gradients, all lights", lambda: explain.pixels(run, sample, baseline=good))
        for method in explain.METHODS[1:]:
            timed(f"{method}, one light", lambda m=method: explain.pixels(run, sample, m, good, of=run.lights[:1]))
    size = "x".join(map(str, dataset.image_size[::-1]))
    sets = (
        f"{result_of_survey.searched} sets searched, {len(result_of_survey)} judged"
        if result_of_survey.searched
        else f"{len(result_of_survey)} sets"
    )
    print(f"{run.method()}: {len(run.lights)} lights, {sets}, {len(dataset)} samples of {size}, ", end="")
    print(f"{torch.get_num_threads()} threads, {run.device}")
    print(f"{'':40} {'seconds':>9} {'peak GiB':>9}")
    for title, seconds, memory in rows:
        print(f"{title:40} {seconds:9.3f} {memory:9.2f}")


def scores(random: np.random.Generator, shares: tuple[float, ...], per_class: int) -> tuple[np.ndarray, np.ndarray]:
    """Every light's scores (2 per_class, L), good samples first, and the light that shows each anomalous one."""
    shown_by = random.choice(len(shares), per_class, p=np.array(shares) / sum(shares))
    light_scores = random.normal(size=(2 * per_class, len(shares)))
    light_scores[per_class + np.arange(per_class), shown_by] += DEFECT_STRENGTH
    return light_scores, shown_by


def rig_survey(light_scores: np.ndarray, kinds: np.ndarray, repeats: int) -> Survey:
    per_class, lights = len(kinds), light_scores.shape[1]
    members = coalitions(lights)[1:]
    members = members[np.argsort(members.sum(1), kind="stable")]
    fused = np.array([light_scores[:, row].max(1) for row in members])
    bad = np.arange(2 * per_class) >= per_class
    names = tuple("" if not b else f"kind {k}" for b, k in zip(bad, [*kinds, *kinds], strict=True))
    counts = drawn_halves(bad, names, repeats)
    draws = np.full((len(members), repeats, len(METRICS)), np.nan)
    halves = np.full((len(members), repeats, 2, len(METRICS)), np.nan)
    metrics = np.full((len(members), len(METRICS)), np.nan)
    metrics[:, 0] = drawn_image_auroc(fused, bad, ~bad, np.ones((1, 2 * per_class)))[:, 0]
    draws[..., 0] = drawn_image_auroc(fused, bad, ~bad, counts.sum(1))
    for half in (0, 1):
        halves[:, :, half, 0] = drawn_image_auroc(fused, bad, ~bad, counts[:, half])
    return Survey(
        category="made up",
        split="test",
        method="maximum",
        lights=tuple(f"light{k}" for k in range(lights)),
        members=members,
        metrics=metrics,
        scores=fused,
        thresholds=np.full(len(members), np.nan),
        names=tuple(map(str, range(2 * per_class))),
        anomalous=bad,
        defects=names,
        counts=counts,
        draws=draws,
        halves=halves,
        empty=np.full(len(METRICS), 0.5),
        searched=0,
        walks=np.empty((0, lights, len(METRICS))),
    )


def simulate(rigs: int) -> None:
    print(
        f"image AUROC, tolerance {DELTA}; {rigs} made-up test sets a line; "
        "a claim is wrong where the rig truly loses more"
    )
    print(
        f"{'shares shown by one light only':32} {'samples':>9} {'true loss of the best rig, by size':>38} "
        f"{'claims':>7} {'wrong':>6}"
    )
    for shares in RIGS:
        truth = rig_survey(*scores(np.random.default_rng(1), shares, 2000), 1)
        loss = truth.metrics[:, 0] - truth.metrics[truth.whole, 0]
        size = truth.members.sum(1)
        best = ", ".join(f"{loss[size == k].max():+.3f}" for k in range(1, len(shares)))
        for per_class in (20, 50):
            claims = wrong = 0
            for seed in range(rigs):
                light_scores, kinds = scores(np.random.default_rng(1000 + seed), shares, per_class)
                advice = advise(rig_survey(light_scores, kinds, 300))
                claims += advice.enough
                wrong += advice.enough and loss[truth.row(advice.smallest_rig)] < -DELTA
            print(f"{shares!s:32} {per_class:3d} + {per_class:3d} {best:>38} {claims:7d} {wrong:6d}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", metavar="RUN")
    parser.add_argument("--data", type=Path, metavar="ROOT")
    parser.add_argument("--threads", type=int, help="of torch; as it finds them by default")
    parser.add_argument("--simulate", type=int, metavar="N", help="made-up test sets a rig")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.run:
        measure(options.run, options.data)
    if options.simulate:
        simulate(options.simulate)


if __name__ == "__main__":
    main()
