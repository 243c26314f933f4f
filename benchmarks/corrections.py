"""What corrections of false alarms do to the parts that were not used for them.

    python -m benchmarks.corrections RUN DATA [--split test_public] [--corrections 3]

The false alarms of the split are corrected one after another, the highest score first, each by a click on the maximum
of its map. Nothing is kept. After each, it prints the consequences on the split, alarms and misses on the parts not
used, and the processor time of the correction: the proposal and its table of consequences. Without a false alarm the
good sample with the highest score is corrected.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import afrd
from afrd.analysis.comparison.scores import Scores, split_scores
from afrd.analysis.errors import changes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="test_public")
    parser.add_argument("--corrections", type=int, default=3)
    options = parser.parse_args()
    run = afrd.load_run(options.run, "cpu")
    dataset = afrd.open_dataset(options.data, run.config.category)[options.split]
    good = np.array([label is False for label in dataset.anomalous])
    bad = np.array([label is True for label in dataset.anomalous])
    scores = first = split_scores(run, dataset)
    print(f"{run.method()}; {dataset.category}/{dataset.split}: {good.sum()} good, {bad.sum()} anomalous")
    print(f"threshold {scores.threshold}; {errors(scores, good, bad)}")
    used: list[int] = []
    for _ in range(options.corrections):
        alarms = [int(i) for i in np.flatnonzero(called(scores) & good) if i not in used]
        if not alarms and used:
            break
        if not alarms:
            print("no false alarm; the good sample with the highest score is corrected, for the time that it takes")
            alarms = np.flatnonzero(good).tolist()
        index = max(alarms, key=lambda i: scores.values[i])
        anomaly_map = run.predict_stored(dataset, index).anomaly_map
        row, column = np.unravel_index(int(anomaly_map.argmax()), anomaly_map.shape)
        started = time.process_time()
        candidate = afrd.runs.propose(run, dataset, index, (int(column), int(row)))
        changed = changes(run, candidate, dataset, scored=scores)
        seconds = time.process_time() - started
        used.append(index)
        run, scores = candidate, split_scores(candidate, dataset)
        rest = np.array([i not in used for i in range(len(dataset))])
        print(f"\ncorrected {dataset.names[index]} at x {column}, y {row} in {seconds:.2f} s: {changed.sentence()}")
        print(f"parts not used, before: {errors(first, good & rest, bad & rest)}")
        print(f"parts not used, after:  {errors(scores, good & rest, bad & rest)}")


def called(scores: Scores) -> np.ndarray:
    assert scores.anomalous is not None, "the run has no threshold"
    return scores.anomalous


def errors(scores: Scores, good: np.ndarray, bad: np.ndarray) -> str:
    alarms, missed = int((called(scores) & good).sum()), int((~called(scores) & bad).sum())
    return f"{alarms} false alarms of {good.sum()}, {missed} missed of {bad.sum()}"


if __name__ == "__main__":
    main()
