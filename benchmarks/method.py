"""AFRD against its peers over several categories and seeds: means, and paired intervals over all their samples.

    python benchmarks/method.py data/candies Praline Licorice Peppermint Gumdrop --seeds 0 1 2 --out runs/method

For every category and seed: AFRD by the defaults of `afrd train`, its fusions of the evidence, without parts of its
memory, each of its lights alone; the patch memory; a reverse distillation of each light, and these fused late. With
`--faithful` also attention, mean, max and concatenation of features, and what attention over features looks at. The
number of epochs is fixed beforehand; nothing is chosen on the test split. `scores.csv` holds every figure.
"""

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import afrd
from afrd.analysis.comparison.methods import LATE_FUSIONS, late_fusion
from afrd.analysis.explain.attention_drift import drift, sentence
from afrd.analysis.explain.visibility import measure
from afrd.data.dataset import Category
from afrd.metrics.predictions import Predictions
from afrd.metrics.ranking import METRICS
from afrd.model.evidence import Evidence
from afrd.model.fusion import EVIDENCE_FUSIONS, FEATURE_FUSIONS
from afrd.model.teacher import Teacher, load_teacher
from afrd.runs.feature_store import load_features
from afrd.runs.run import Run, load_run

SHOWN = ["image_auroc", "pixel_ap", "aupro"]
REFERENCE = "AFRD, attention"
REPEATS = 1000


def plans(options: argparse.Namespace, lights: tuple[str, ...]) -> dict[str, dict]:
    made: dict[str, dict] = {"afrd": {"lights": "all"}, "memory": {"lights": "all", "method": "memory"}}
    made |= {f"single-{light}": {"lights": light, "epochs": options.single_epochs} for light in lights}
    if options.faithful:
        made |= {f"fused-{how}": {"lights": "all", "target": "fused", "fusion": how} for how in FEATURE_FUSIONS}
    return made


def train(data: Category, folder: Path, wanted: dict) -> float:
    """Seconds that training took, from its features to the finished run; 0 if the run was there."""
    if (folder / "model.safetensors").exists():
        return 0.0
    began = time.monotonic()
    afrd.fit(data, out=folder, show_progress=False, **wanted)
    return time.monotonic() - began


def judged(folder: Path, data: Category, teacher: Teacher, faithful: bool) -> Iterator[tuple[str, Predictions]]:
    """Every method's word on the test split, one at a time: all their maps at once take much memory."""
    test, runs = data[data.test_split], {}

    def run(name: str) -> Run:
        if name not in runs:
            runs[name] = load_run(folder / name, teacher=teacher)
        return runs[name]

    for how in EVIDENCE_FUSIONS:
        yield f"AFRD, {how}", run("afrd").evaluate(test, fusion=how)
    for light in data.lights:
        yield f"AFRD, light {light} alone", run("afrd").evaluate(test, light)
    for how in EVIDENCE_FUSIONS:
        yield f"patch memory, {how}", run("memory").evaluate(test, fusion=how)
    # the same student with parts of the memory taken away; thresholds are not looked at
    strict = load_run(folder / "afrd", teacher=teacher)
    strict.model.bank.usual.zero_()
    yield "AFRD, nothing excused, attention", strict.evaluate(test)
    yield "AFRD, attention by the error alone", by_error_alone(folder, teacher).evaluate(test)
    alone = load_run(folder / "afrd", teacher=teacher)
    alone.model.bank = None
    for how in EVIDENCE_FUSIONS:
        yield f"AFRD without memory, {how}", alone.evaluate(test, fusion=how)
    singles = [run(f"single-{light}").evaluate(test) for light in data.lights]
    for light, one in zip(data.lights, singles, strict=True):
        yield f"single-light RD, {light}", one
    for how in LATE_FUSIONS:
        yield f"single-light RDs, late {how}", late_fusion(singles, how)
    for how in FEATURE_FUSIONS if faithful else ():
        yield f"{how} over features", run(f"fused-{how}").evaluate(test)


def by_error_alone(folder: Path, teacher: Teacher) -> Run:
    """AFRD whose attention is a soft maximum over the errors, E^2 in the place of the weights: contrast has no say."""
    run = load_run(folder / "afrd", teacher=teacher)
    whole = run.model.evidence

    def squared(*seen: torch.Tensor) -> Evidence:
        found = whole(*seen)
        return replace(found, weights=found.errors.square())

    run.model.evidence = squared
    return run


@dataclass
class Found:
    """What one category and seed gave: a row and `REPEATS` bootstrap draws a method, and what is to be printed."""

    rows: list[dict]
    draws: dict[str, np.ndarray]
    said: list[str]


def one(options: argparse.Namespace, category: str, seed: int) -> Found:
    """Trains and judges every method, with one thread."""
    torch.set_num_threads(1)
    data, teacher = afrd.open_dataset(options.root, category), load_teacher()
    folder = options.out / category / f"seed{seed}"
    seconds = {
        name: train(data, folder / name, plan | {"seed": seed}) for name, plan in plans(options, data.lights).items()
    }
    found = Found([], {}, [f"{category}, seed {seed}: " + ", ".join(f"{n} {s:.0f} s" for n, s in seconds.items())])
    for label, predictions in judged(folder, data, teacher, options.faithful):
        found.rows.append({"method": label, "category": category, "seed": seed, **predictions.metrics()})
        # the same test samples are drawn for all methods and seeds of a category
        found.draws[label] = predictions.resampler.draw(REPEATS, options.categories.index(category))
    if "twins" in data:
        hits = measure(load_run(folder / "afrd", teacher=teacher), data).summary().loc["all"]
        found.rows[0] |= {f"hit, {kind}": hits[kind, "hit"] for kind in hits.index.get_level_values(0).unique()}
        alone = measure(by_error_alone(folder, teacher), data).summary().loc["all"]
        found.rows[0] |= {"hit, attention by the error alone": alone["attention", "hit"]}
        found.rows[0] |= {"hit, chance": hits["error", "chance"], "shown, attention": hits["attention", "shown"]}
    if options.faithful:
        found.said.append(sentence(drift(load_run(folder / "fused-attention", teacher=teacher), data["train"])))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("categories", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--single-epochs", type=int, help="of each single-light RD; default that of `afrd train`")
    parser.add_argument("--faithful", action="store_true", help="also the fusions of features")
    parser.add_argument("--jobs", type=int, default=2, help="categories and seeds at once, one thread each")
    options = parser.parse_args()
    teacher = load_teacher()
    for category in options.categories:
        data = afrd.open_dataset(options.root, category)
        for split in ("train", "val", data.test_split):  # before two processes ask for the same features
            if split in data:
                load_features(data[split], teacher, 512)
    rows: list[dict] = []
    draws: dict[str, list[np.ndarray]] = {}
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        tasks = {
            seed: [pool.submit(one, options, category, seed) for category in options.categories]
            for seed in options.seeds
        }
        for number, of_seed in enumerate(tasks.values(), 1):
            for task in of_seed:
                found = task.result()
                print("\n".join(found.said), flush=True)
                rows += found.rows
                for label, drawn in found.draws.items():
                    draws.setdefault(label, []).append(drawn)
                pd.DataFrame(rows).to_csv(options.out / "scores.csv", index=False)
            report(pd.DataFrame(rows), draws, options.categories, options.seeds[:number])  # of what there is by now


def report(scores: pd.DataFrame, draws: dict[str, list[np.ndarray]], categories: list[str], seeds: list[int]) -> None:
    """Means over categories and seeds, and AFRD minus each method with 95 % paired bootstrap intervals."""
    means = scores.groupby("method", sort=False)[SHOWN].mean()
    columns = [METRICS.index(metric) for metric in SHOWN]
    drawn = {label: np.nanmean(parts, 0)[:, columns] for label, parts in draws.items()}
    table = pd.DataFrame(index=means.index)
    for m, metric in enumerate(SHOWN):
        cells, changes = [], []
        for label in means.index:
            low, high = np.quantile(drawn[label][:, m], [0.025, 0.975])
            cells.append(f"{means[metric][label]:.3f} [{low:.3f}, {high:.3f}]")
            low, high = np.quantile(drawn[REFERENCE][:, m] - drawn[label][:, m], [0.025, 0.975])
            changes.append(f"{means[metric][REFERENCE] - means[metric][label]:+.3f} [{low:+.3f}, {high:+.3f}]")
        table[metric], table[f"AFRD minus it, {metric}"] = cells, changes
    print(f"\n{', '.join(categories)}; seeds {seeds}; means, [95 % bootstrap interval over the samples]")
    print(table.to_string())
    print("\nby category, mean over seeds")
    print(scores.pivot_table(index="method", columns="category", values=SHOWN, sort=False).round(3).to_string())
    hits = [column for column in scores if column.startswith(("hit", "shown"))]
    if hits:
        print("\nattribution, top-1 hit rate; and what the light with the most attention shows, best light 1")
        print(scores.dropna(subset=hits).groupby("category")[hits].mean().round(3).to_string(), flush=True)


if __name__ == "__main__":
    main()
