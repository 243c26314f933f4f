"""Comparison on one category: both variants of AFRD, every fusion, single lights, late fusion; with intervals.

    python -m benchmarks.compare data/candies Praline --out runs/compare/Praline

Trains what is not trained yet (11 models with six lights, and a patch memory), evaluates all on the test split, and
writes `table.csv` beside the runs. The number of epochs is that of `afrd train`, fixed beforehand; nothing is chosen on
the test split.
"""

import argparse
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch

import afrd
from afrd.analysis.comparison.methods import methods_of
from afrd.metrics.predictions import Predictions
from afrd.model.config import FEATURE_FUSIONS
from afrd.model.teacher import load_teacher
from afrd.runs.feature_store import load_features
from afrd.runs.loading import load_run


def plans(lights: tuple[str, ...]) -> dict[str, dict]:
    options = {"afrd": {"lights": "all"}}
    options |= {f"fused-{how}": {"lights": "all", "target": "fused", "fusion": how} for how in FEATURE_FUSIONS}
    options["memory"] = {"lights": "all", "method": "memory"}
    return options | {f"single-{light}": {"lights": light} for light in lights}


def train(root: Path, category: str, folder: Path, options: dict, threads: int) -> float:
    """Trains, and returns the seconds it took; 0 for an existing run."""
    torch.set_num_threads(threads)
    if (folder / "model.safetensors").exists():
        return 0.0
    began = time.monotonic()
    afrd.fit(afrd.open_dataset(root, category), out=folder, show_progress=False, **options)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("category")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="trainings at once, one thread each")
    options = parser.parse_args()

    data = afrd.open_dataset(options.root, options.category)
    test = data[data.test_split]
    training_options = plans(data.lights)
    common = {"size": options.size, "seed": options.seed}
    for split in ("train", "val", test.split):  # before parallel processes need the same features
        if split in data:
            load_features(data[split], load_teacher(), options.size)
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        jobs = {
            name: pool.submit(train, options.root, options.category, options.out / name, common | plan, 1)
            for name, plan in training_options.items()
        }
        seconds = {name: job.result() for name, job in jobs.items()}

    evaluated: dict[str, Predictions] = {}
    training_seconds: dict[str, float] = {}
    for method in methods_of([load_run(options.out / name) for name in training_options]):
        run = method.runs[0]
        label = method.label if method.late else run.method(fusion=method.fusion)
        evaluated[label] = method.judge(test)
        training_seconds[label] = 0.0 if method.late else seconds[run.name]

    rows = []
    for label, predictions in evaluated.items():
        interval = predictions.intervals()
        cells = interval.apply(lambda r: f"{r.value:.3f} [{r.low:.3f}, {r.high:.3f}]", axis=1)
        rows.append({"method": label, **cells, "seconds": round(training_seconds[label])})
    table = pd.DataFrame(rows).set_index("method")
    table.to_csv(options.out / "table.csv")
    print(f"{options.category}: {len(test)} test samples, seed {options.seed}, size {options.size}; [95 % intervals]")
    print(table.to_string())
    (first, best), *others = evaluated.items()
    print(f"\n{first}, minus each of the others; [95 % paired bootstrap interval]")
    differences = {label: best.compare(p) for label, p in others}
    cells_by_method = {
        method: d.apply(lambda r: f"{r.difference:+.3f} [{r.low:+.3f}, {r.high:+.3f}]", axis=1)
        for method, d in differences.items()
    }
    print(pd.DataFrame(cells_by_method).T.to_string())
    print(f"peak memory of one process {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
