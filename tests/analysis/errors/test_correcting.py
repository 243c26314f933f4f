"""The table of consequences is what evaluating anew gives."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import afrd
from afrd.analysis.errors import changes
from afrd.metrics.words import outcome
from afrd.runs import corrections


@pytest.fixture
def run(tiny_runs: Path, tmp_path: Path):
    shutil.copytree(tiny_runs / "Praline" / "afrd", tmp_path / "run")
    return afrd.load_run(tmp_path / "run", "cpu")


@pytest.mark.parametrize("lights", [None, ("top", "box")])
@pytest.mark.parametrize("sample", range(4))
def test_the_table_of_consequences_equals_recomputing_from_scratch(run, candies: Path, sample: int, lights):
    test = afrd.open_dataset(candies, "Praline")["test_public"]
    candidate = corrections.propose(run, test, sample, (32, 32))
    changed = changes(run, candidate, test, lights)
    corrections.keep(candidate)
    anew = afrd.load_run(run.folder, "cpu")  # nothing is cached for it
    before, after = run.evaluate(test, lights).table, anew.evaluate(test, lights).table
    assert changed.threshold_after.value == pytest.approx(anew.threshold(lights).value, rel=1e-5)
    moved = before.index[before.verdict != after.verdict]
    assert list(changed.table["sample"]) == list(before.loc[moved, "sample"])
    assert list(changed.table.verdict) == list(after.loc[moved, "verdict"])
    np.testing.assert_allclose(
        changed.table.after.to_numpy(float), after.score[moved] / anew.threshold(lights).value, rtol=1e-4
    )
    counts = []
    for table in (before, after):
        outcomes = [
            outcome(truth, verdict == "anomalous")
            for i, (truth, verdict) in enumerate(zip(test.anomalous, table.verdict, strict=True))
            if i != sample
        ]
        counts.append((outcomes.count("false alarm"), outcomes.count("missed")))
    assert list(zip(changed.alarms, changed.missed, strict=True)) == counts
    lost = [
        name
        for i, (name, one, two) in enumerate(zip(test.names, before.verdict, after.verdict, strict=True))
        if i != sample and test.anomalous[i] and (one, two) == ("anomalous", "good")
    ]
    assert list(changed.lost) == lost and changed.corrected == (test.names[sample],)
    assert changed.good + changed.bad == 3
    assert f"of {changed.good} good samples" in changed.sentence()


def test_the_error_table_marks_corrected_samples(run, candies: Path):
    test = afrd.open_dataset(candies, "Praline")["test_public"]
    corrected = corrections.propose(run, test, 1, (32, 32))
    methods = afrd.analysis.comparison.methods_of([corrected])[:1]
    table = afrd.analysis.errors.table.table(methods, test)
    truths = ["bad" if label else "good" for label in test.anomalous]
    assert list(table.frame().truth) == [truths[0], "corrected", *truths[2:]]
    assert table.confusion().unknown == 1
