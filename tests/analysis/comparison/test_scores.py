"""Scores without maps, and the best pair of lights, against the slow way and scikit-learn."""

from __future__ import annotations

import shutil
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

import afrd
from afrd.analysis.comparison.scores import best_pair, split_scores
from afrd.runs.run import Run, load_run


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


def test_the_best_pair_has_the_highest_auroc_of_all_pairs(run: Run, test_split):
    labels = np.array(test_split.anomalous, dtype=bool)
    found = best_pair(run, test_split)
    assert found is not None and (found.good, found.bad) == (2, 2)

    def rank(lights: tuple[str, ...]) -> tuple[float, float]:
        scores = run.evaluate(test_split, lights).table.score
        return roc_auc_score(labels, scores), average_precision_score(labels, scores)

    best = max(map(rank, combinations(run.lights, 2)))
    assert rank(found.lights) == pytest.approx(best)
    assert found.image_auroc == pytest.approx(best[0])


def test_good_samples_alone_name_no_best_pair(run: Run, candies: Path, tiny_runs: Path):
    data = afrd.open_dataset(candies, "Praline")
    assert best_pair(run, data["val"]) is None
    assert best_pair(load_run(tiny_runs / "Praline" / "single-top", device="cpu"), data["test_public"]) is None


def test_the_preset_is_there_where_validation_has_bad_samples(tiny_runs: Path, candies: Path, tmp_path: Path):
    from afrd.page.common.library import Library
    from afrd.page.common.moves import first_choice
    from afrd.page.explore.best_pair import best_two

    without = Library(tiny_runs, candies)
    assert best_two(without, without.category("Praline"), first_choice(without, "Praline")) == []
    shutil.copytree(candies / "Praline", tmp_path / "Praline", ignore=shutil.ignore_patterns("twins", "val"))
    shutil.copytree(candies / "Praline" / "test_public", tmp_path / "Praline" / "val")
    library = Library(tiny_runs, tmp_path)
    (preset,) = best_two(library, library.category("Praline"), first_choice(library, "Praline"))
    assert preset["name"] == "best two on val" and len(preset["lights"]) == 2
    assert "2 good and 2 bad samples of val" in preset["title"] and "image AUROC" in preset["title"]
