"""AFRD against other methods over several categories and seeds: means, and paired intervals over all their samples.

    python -m benchmarks.method data/candies Praline Licorice Peppermint Gumdrop --seeds 0 1 2 --out runs/method

For every category and seed: AFRD by the defaults of `afrd train`, its fusions of the evidence, ablations of its
memory, each of its lights alone; the patch memory; a reverse distillation of each light, and these fused late. With
`--faithful` also attention, mean, max and concatenation of features, and the drift of attention over features. The
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
from afrd.metrics.words import METRICS
from afrd.model.config import EVIDENCE_FUSIONS, FEATURE_FUSIONS, FORMULA_FUSIONS
from afrd.model.evidence import Evidence
from afrd.model.teacher import Teacher, load_teacher
from afrd.runs.feature_store import load_features
from afrd.runs.loading import load_run
from afrd.runs.run import Run

REPORTED_METRICS = ["image_auroc", "pixel_ap", "aupro"]
REFERENCE = "AFRD, learned"
BOOTSTRAP_DRAWS = 1000


def plans(options: argparse.Namespace, lights: tuple[str, ...]) -> dict[str, dict]:
    # with the learned fusion a run can be fused by the others as well: the student and the memory are the same
    options_by_run: dict[str, dict] = {"afrd": {"lights": "all", "fusion": "learned"}}
    options_by_run |= {"memory": {"lights": "all", "method": "memory"}}
    options_by_run |= {f"single-{light}": {"lights": light, "epochs": options.single_epochs} for light in lights}
    if options.faithful:
        options_by_run |= {
            f"fused-{how}": {"lights": "all", "target": "fused", "fusion": how} for how in FEATURE_FUSIONS
        }
    return options_by_run


def train(data: Category, folder: Path, training_options: dict) -> float:
    """Trains, and returns the seconds from the features to the finished run; 0 for an existing run."""
    if (folder / "model.safetensors").exists():
        return 0.0
    began = time.monotonic()
    afrd.fit(data, out=folder, show_progress=False, **training_options)
    return time.monotonic() - began


def evaluations(folder: Path, data: Category, teacher: Teacher, faithful: bool) -> Iterator[tuple[str, Predictions]]:
    """Predictions of every method on the test split, one at a time, as all maps together need much memory."""
    test, runs = data[data.test_split], {}

    def run(name: str) -> Run:
        if name not in runs:
            runs[name] = load_run(folder / name, teacher=teacher)
        return runs[name]

    for how in EVIDENCE_FUSIONS:
        yield f"AFRD, {how}", run("afrd").evaluate(test, fusion=how)
    for light in data.lights:
        yield f"AFRD, light {light} alone", run("afrd").evaluate(test, light, "attention")
    for how in FORMULA_FUSIONS:
        yield f"patch memory, {how}", run("memory").evaluate(test, fusion=how)
    # ablations of the memory with the same student; thresholds do not matter
    strict = load_run(folder / "afrd", teacher=teacher)
    strict.model.bank.usual.zero_()
    yield "AFRD, nothing subtracted, attention", strict.evaluate(test, fusion="attention")
    yield "AFRD, attention by the error alone", by_error_alone(folder, teacher).evaluate(test, fusion="attention")
    alone = load_run(folder / "afrd", teacher=teacher)
    alone.model.bank = alone.model.learned = None
    for how in FORMULA_FUSIONS:
        yield f"AFRD without memory, {how}", alone.evaluate(test, fusion=how)
    singles = [run(f"single-{light}").evaluate(test) for light in data.lights]
    for light, predictions in zip(data.lights, singles, strict=True):
        yield f"single-light RD, {light}", predictions
    for how in LATE_FUSIONS:
        yield f"single-light RDs, late {how}", late_fusion(singles, how)
    for how in FEATURE_FUSIONS if faithful else ():
        yield f"{how} over features", run(f"fused-{how}").evaluate(test)


def by_error_alone(folder: Path, teacher: Teacher) -> Run:
    """AFRD whose attention is a soft maximum over the errors: E^2 instead of the weights, without contrast."""
    run = load_run(folder / "afrd", teacher=teacher)
    run.model.config, run.model.learned = replace(run.model.config, fusion="attention"), None
    evidence_of = run.model.evidence

    def squared(*inputs: torch.Tensor) -> Evidence:
        evidence = evidence_of(*inputs)
        return replace(evidence, weights=evidence.errors.square())

    run.model.evidence = squared
    return run


@dataclass
class CellResult:
    """Results of one category and seed: a row and `BOOTSTRAP_DRAWS` draws for each method, and messages to print."""

    rows: list[dict]
    draws: dict[str, np.ndarray]
    messages: list[str]


def run_cell(options: argparse.Namespace, category: str, seed: int) -> CellResult:
    """Trains and evaluates every method, with one thread."""
    torch.set_num_threads(1)
    data, teacher = afrd.open_dataset(options.root, category), load_teacher()
    folder = options.out / category / f"seed{seed}"
    seconds = {
        name: train(data, folder / name, plan | {"seed": seed}) for name, plan in plans(options, data.lights).items()
    }
    result = CellResult(
        [], {}, [f"{category}, seed {seed}: " + ", ".join(f"{n} {s:.0f} s" for n, s in seconds.items())]
    )
    for label, predictions in evaluations(folder, data, teacher, options.faithful):
        result.rows.append({"method": label, "category": category, "seed": seed, **predictions.metrics()})
        # the same test samples are drawn for all methods and seeds of a category
        result.draws[label] = predictions.resampler.draw(BOOTSTRAP_DRAWS, options.categories.index(category))
    if "twins" in data:
        hits = measure(load_run(folder / "afrd", teacher=teacher), data).summary().loc["all"]
        result.rows[0] |= {f"hit, {kind}": hits[kind, "hit"] for kind in hits.index.get_level_values(0).unique()}
        alone = measure(by_error_alone(folder, teacher), data).summary().loc["all"]
        result.rows[0] |= {"hit, attention by the error alone": alone["attention", "hit"]}
        result.rows[0] |= {"hit, chance": hits["error", "chance"], "shown, attention": hits["attention", "shown"]}
    if options.faithful:
        result.messages.append(sentence(drift(load_run(folder / "fused-attention", teacher=teacher), data["train"])))
    return result


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
        for split in ("train", "val", data.test_split):  # before parallel processes need the same features
            if split in data:
                load_features(data[split], teacher, 512)
    rows: list[dict] = []
    draws: dict[str, list[np.ndarray]] = {}
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        tasks = {
            seed: [pool.submit(run_cell, options, category, seed) for category in options.categories]
            for seed in options.seeds
        }
        for number, of_seed in enumerate(tasks.values(), 1):
            for task in of_seed:
                result = task.result()
                print("\n".join(result.messages), flush=True)
                rows += result.rows
                for label, sample_draws in result.draws.items():
                    draws.setdefault(label, []).append(sample_draws)
                pd.DataFrame(rows).to_csv(options.out / "scores.csv", index=False)
            report(pd.DataFrame(rows), draws, options.categories, options.seeds[:number])  # of the results so far


def report(scores: pd.DataFrame, draws: dict[str, list[np.ndarray]], categories: list[str], seeds: list[int]) -> None:
    """Means over categories and seeds, and AFRD minus each method with 95 % paired bootstrap intervals."""
    means = scores.groupby("method", sort=False)[REPORTED_METRICS].mean()
    columns = [METRICS.index(metric) for metric in REPORTED_METRICS]
    mean_draws = {label: np.nanmean(seed_draws, 0)[:, columns] for label, seed_draws in draws.items()}
    table = pd.DataFrame(index=means.index)
    for m, metric in enumerate(REPORTED_METRICS):
        cells, changes = [], []
        for label in means.index:
            low, high = np.quantile(mean_draws[label][:, m], [0.025, 0.975])
            cells.append(f"{means[metric][label]:.3f} [{low:.3f}, {high:.3f}]")
            low, high = np.quantile(mean_draws[REFERENCE][:, m] - mean_draws[label][:, m], [0.025, 0.975])
            changes.append(f"{means[metric][REFERENCE] - means[metric][label]:+.3f} [{low:+.3f}, {high:+.3f}]")
        table[metric], table[f"AFRD minus it, {metric}"] = cells, changes
    print(f"\n{', '.join(categories)}; seeds {seeds}; means, [95 % bootstrap interval over the samples]")
    print(table.to_string())
    print("\nby category, mean over seeds")
    print(
        scores.pivot_table(index="method", columns="category", values=REPORTED_METRICS, sort=False).round(3).to_string()
    )
    hits = [column for column in scores if column.startswith(("hit", "shown"))]
    if hits:
        print("\nattribution, top-1 hit rate; and what the light with the most attention shows, best light 1")
        print(scores.dropna(subset=hits).groupby("category")[hits].mean().round(3).to_string(), flush=True)


if __name__ == "__main__":
    main()
