"""Trains the demo's first category and puts its AFRD and single-light runs, in half precision, into the package.

    python -m benchmarks.demo_runs [--data data/candies] [--work runs/demo-runs]

What is in the working folder already is used as it is.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from afrd.demo import prepare as demo
from afrd.runs.run_folder import copy_run, find_runs, read_config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/candies"))
    parser.add_argument("--work", type=Path, default=Path("runs/demo-runs"))
    options = parser.parse_args()
    demo.CATEGORIES = demo.CATEGORIES[:1]
    preparation = demo.Preparation(options.data, options.work, shipped_runs=options.work / "none")
    preparation.start()
    preparation.wait()
    for run in find_runs(options.work / demo.CATEGORIES[0]):
        model, config = read_config(run)
        if model.method == "memory":
            continue  # filled in seconds
        to = demo.SHIPPED_RUNS / config.category / run.name
        # the fingerprint is of files whose sizes depend on the machine that renders them
        copy_run(run, to, replace(config, data_root="data/candies", pictures=""), half=True)
        print(f"{to}: {sum(file.stat().st_size for file in to.iterdir()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
