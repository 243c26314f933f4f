"""Scores without maps, and the best pair of lights, against the slow way and scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import afrd
from afrd.analysis.comparison.scores import split_scores
from afrd.runs.loading import load_run
from afrd.runs.run import Run


@pytest.fixture(scope="module")
def run(tiny_runs: Path) -> Run:
    return load_run(tiny_runs / "Praline" / "afrd", device="cpu")


@pytest.fixture(scope="module")
def test_split(candies: Path):
    return afrd.open_dataset(candies, "Praline")["test_public"]


@pytest.mark.parametrize("lights", ["all", "top", "spots,box", "bottom,right,left"])
def test_scores_and_threshold_are_those_of_the_whole_evaluation(run: Run, test_split, lights: str):
    scores, whole = split_scores(run, test_split, lights), run.evaluate(test_split, lights)
    np.testing.assert_allclose(scores.values, whole.table.score, rtol=1e-6)
    assert scores.threshold == whole.threshold and scores.threshold is not None
    assert ["anomalous" if said else "good" for said in scores.anomalous] == list(whole.table.verdict)
    np.testing.assert_allclose(scores.relative * scores.threshold.value, scores.values)


def test_scores_of_fused_features_are_those_of_the_whole_evaluation(candies: Path, tmp_path: Path):
    data = afrd.open_dataset(candies, "Praline")
    fused = afrd.fit(data, "all", tmp_path / "run", target="fused", size=64, width=16, epochs=1, show_progress=False)
    scores = split_scores(fused, data["test_public"], "top,box")
    np.testing.assert_allclose(scores.values, fused.evaluate(data["test_public"], "top,box").table.score, rtol=1e-6)
