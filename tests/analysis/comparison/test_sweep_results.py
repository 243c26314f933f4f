"""Statistics over a sweep's groups, against published examples and plain loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afrd.analysis.comparison.sweep_results import GroupResult, load_results
from afrd.analysis.comparison.sweep_tables import (
    common_methods,
    comparable,
    holm,
    rank_comparison,
    summary_table,
)
from afrd.metrics.words import METRICS
from afrd.runs.sweep_plan import Group

AUROC = METRICS.index("image_auroc")


def result(category: str, values: dict[str, float], seed: int = 0, size: int = 64, draws: int = 50) -> GroupResult:
    """A group whose draws scatter around its values by the same noise for every method of the category."""
    noise = np.random.default_rng(abs(hash(category)) % 1000).normal(0, 0.01, draws)
    metrics = np.full((len(values), len(METRICS)), np.nan)
    drawn = np.full((len(values), draws, len(METRICS)), np.nan)
    metrics[:, AUROC] = list(values.values())
    drawn[:, :, AUROC] = metrics[:, AUROC, None] + noise
    group = Group(f"{category}/{seed}", category, ("top", "box"), "teacher", size, seed, ())
    return GroupResult(group, "test", (5, 5), tuple(values), tuple(values), metrics, drawn, Path("no file"), ())


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_equals_the_step_by_step_procedure(p: list[float]):
    order = sorted(range(len(p)), key=lambda i: p[i])
    expected, largest = [0.0] * len(p), 0.0
    for step, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - step) * p[i]))
        expected[i] = largest
    assert holm(np.array(p)) == pytest.approx(expected)


def test_holm_leaves_out_what_is_not_defined():
    assert holm(np.array([0.01, np.nan, 0.04])) == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)


def test_the_critical_difference_is_that_of_the_published_example():
    """Demšar (2006), section 3.2.2: four classifiers on 14 data sets have a critical difference of 1.25 at 95 %."""
    values = np.random.default_rng(0).random((14, 4))
    results = [result(str(k), dict(zip("abcd", row, strict=True))) for k, row in enumerate(values)]
    comparison = rank_comparison(results, "image_auroc")
    assert comparison.critical_difference == pytest.approx(1.25, abs=0.005)
    assert comparison.ranks.mean() == pytest.approx(2.5)


def test_ranks_are_those_of_the_means_over_seeds():
    results = [
        result(category, {"a": high, "b": 0.5, "c": 0.1}, seed)
        for category in ("x", "y", "z")
        for seed, high in enumerate((0.3, 0.9))  # its mean of 0.6 is above b's
    ]
    comparison = rank_comparison(results, "image_auroc")
    assert comparison.ranks.to_dict() == {"a": 1.0, "b": 2.0, "c": 3.0}
    assert comparison.categories == 3


@pytest.mark.parametrize("metric", ["image_auroc", "aupro"])
def test_too_little_is_not_ranked(metric: str):
    assert rank_comparison([result("x", {"a": 0.3, "b": 0.5, "c": 0.1})] * 2, metric) is None


def test_a_summary_holds_means_spread_and_paired_differences():
    results = [
        result(category, {"a": base + 0.02 * seed, "b": base - 0.1}, seed)
        for category, base in (("x", 0.8), ("y", 0.6))
        for seed in (0, 1)
    ]
    table = summary_table(results, "image_auroc")
    assert table.loc["a", ["x", "y", "mean"]].tolist() == pytest.approx([0.81, 0.61, 0.71])
    assert table.deviation["a"] == pytest.approx(np.std([0.70, 0.72], ddof=1)) and table.deviation["b"] == 0
    assert table.difference["b"] == pytest.approx(0.11)
    # the noise is the same for both methods, so the paired difference has none
    assert table.difference_low["b"] == pytest.approx(0.11) and table.difference_high["b"] == pytest.approx(0.11)
    assert table.low["a"] < 0.71 < table.high["a"] and np.isnan(table.p["a"]) and table.p["b"] < 0.05


def test_only_methods_of_all_groups_are_averaged_and_sizes_stay_apart():
    results = [result("x", {"a": 0.5, "b": 0.4}), result("y", {"a": 0.6}), result("x", {"a": 0.7}, size=128)]
    assert common_methods(results[:2]) == ["a"] and list(summary_table(results[:2], "image_auroc").index) == ["a"]
    assert {key[2]: len(part) for key, part in comparable(results).items()} == {64: 2, 128: 1}


def test_a_broken_file_of_figures_is_named(tmp_path: Path):
    group = Group("judged", "x", ("top",), "teacher", 64, 0, ())
    (tmp_path / "judged.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ValueError, match=r"judged\.safetensors cannot be read"):
        load_results(tmp_path, [group])
