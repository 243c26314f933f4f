"""Thresholds, intervals and comparisons, against what theory and slow computations say."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from afrd.metrics.bootstrap import Resampler, interval
from afrd.metrics.predictions import Predictions
from afrd.metrics.ranking import image_metrics, pixel_metrics
from afrd.metrics.threshold import Threshold, conformal_threshold
from afrd.metrics.words import METRICS, outcome


def predictions(shift: float = 1.0, seed: int = 0, samples: int = 24, noise_seed: int = 0) -> Predictions:
    """Smooth noise with bright discs in every second sample."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((samples, 48, 48), bool)
    y, x = np.mgrid[:48, :48]
    for i in range(1, samples, 2):
        cy, cx, r = rng.integers((8, 8, 2), (40, 40, 6))
        masks[i] = (y - cy) ** 2 + (x - cx) ** 2 <= r * r
    noise = np.random.default_rng(noise_seed).standard_normal(masks.shape)
    maps = (ndimage.gaussian_filter(noise, (0, 2, 2)) * 5 + shift * masks + 5).astype(np.float32)
    table = pd.DataFrame(
        {
            "sample": [f"{i:02d}" for i in range(samples)],
            "anomalous": pd.Series([i % 2 == 1 for i in range(samples)], dtype=object),
            "defects": ["dents" if i % 2 else "" for i in range(samples)],
            "score": maps.max((1, 2)).astype(float),
            "verdict": ["" for _ in range(samples)],
        }
    )
    return Predictions(table, maps, masks, np.ones(samples, bool), f"shift {shift}", ("top",), None)


def test_the_conformal_threshold_by_hand():
    scores = np.arange(1, 101)
    assert conformal_threshold(scores, 0.05) == Threshold(96.0, 0.05, 100, 0.05)  # ceil(101 * 0.95) = 96
    assert conformal_threshold(np.arange(1, 20), 0.05).value == 19.0  # ceil(20 * 0.95) = 19 of 19
    few = conformal_threshold(np.arange(1, 13), 0.05)
    assert few.value == 12.0 and few.alpha == pytest.approx(1 / 13)
    assert "5% cannot be promised with fewer than 19" in str(few)
    assert "; 0.5% cannot be promised with fewer than 199" in str(conformal_threshold(scores, 0.005))
    assert few.verdict(12.0) == "good" and few.verdict(12.1) == "anomalous"


@pytest.mark.parametrize(("samples", "alpha"), [(19, 0.05), (12, 0.05), (100, 0.1), (40, 0.2)])
def test_the_promised_false_alarm_rate_is_kept(samples, alpha):
    rng = np.random.default_rng(0)
    trials = rng.gamma(2.0, size=(20_000, samples + 1))
    thresholds = [conformal_threshold(row[:-1], alpha) for row in trials]
    rate = np.mean([t.verdict(s) == "anomalous" for t, s in zip(thresholds, trials[:, -1], strict=True)])
    promised = thresholds[0].alpha
    assert rate <= promised + 3 * np.sqrt(promised / len(trials))
    assert rate >= promised - 1 / (samples + 1) - 3 * np.sqrt(promised / len(trials))  # and not wastefully low


@pytest.mark.parametrize("scores", [[], [1.0, float("nan")], [float("inf")]])
def test_a_threshold_of_nothing_is_refused(scores):
    with pytest.raises(ValueError, match="at least one good sample, and finite scores"):
        conformal_threshold(scores)


def test_resampled_metrics_agree_with_the_exact_ones_on_every_draw():
    p = predictions()
    labels = np.array([bool(v) for v in p.table.anomalous])
    resampler = Resampler(labels, p.table.score.to_numpy(), p.masks, p.maps, p.masked)
    rng = np.random.default_rng(1)
    for _ in range(5):
        picked = rng.integers(len(labels), size=len(labels))
        exact = image_metrics(labels[picked], p.table.score.to_numpy()[picked])
        exact |= pixel_metrics(p.masks[picked], p.maps[picked])
        fast = resampler.metrics(np.bincount(picked, minlength=len(labels))[None])[0]
        np.testing.assert_allclose(fast[:3], [exact[m] for m in METRICS[:3]], atol=1e-9)
        np.testing.assert_allclose(fast[3:], [exact[m] for m in METRICS[3:]], atol=2e-3)


def test_a_method_is_not_better_than_itself_and_a_clearly_better_one_is():
    weak, strong = predictions(0.5), predictions(2.5)
    same = weak.compare(weak, repeats=100)
    assert (same.difference == 0).all() and not same.better.any()
    table = strong.compare(weak, repeats=200)
    assert table.better[["image_auroc", "pixel_ap", "aupro"]].all()
    assert ((table.low <= table.difference + 1e-2) & (table.difference <= table.high + 1e-2)).all()


def test_paired_intervals_are_narrower_than_unpaired_ones():
    # Two methods with nearly the same errors: pairing must take the common part of the noise away.
    a, b = predictions(1.0), predictions(1.2)
    paired = a.compare(b, repeats=300).loc["pixel_ap"]
    first, second = a.intervals(300), b.intervals(300)
    unpaired = sum((t.loc["pixel_ap", "high"] - t.loc["pixel_ap", "low"]) for t in (first, second))
    assert paired.high - paired.low < unpaired / 2


def test_intervals_hold_the_value():
    table = predictions().intervals(200)
    assert list(table.index) == list(METRICS)
    assert ((table.low <= table.value + 1e-2) & (table.value <= table.high + 1e-2)).all()


def test_different_samples_are_not_compared():
    with pytest.raises(ValueError, match="about different samples"):
        predictions().compare(predictions(samples=12))


def test_predictions_of_other_categories_or_splits_are_not_compared_though_the_sample_names_agree():
    here = replace(predictions(), category="box", split="test")
    for elsewhere in ("lid", "test"), ("box", "val"):
        there = replace(predictions(), category=elsewhere[0], split=elsewhere[1])
        with pytest.raises(ValueError, match=rf"box/test .* {'/'.join(elsewhere)} are about different samples"):
            here.compare(there, repeats=10)
    unknown = predictions()  # as saved by an older version
    assert here.compare(unknown, repeats=10).difference.abs().max() == 0


def test_predictions_saved_without_category_and_split_are_still_read(tmp_path: Path):
    saved = replace(predictions(), category="box", split="test")
    saved.save(tmp_path)
    back = Predictions.load(tmp_path)
    assert (back.category, back.split) == ("box", "test")
    about = json.loads((tmp_path / "about.json").read_text())
    del about["category"], about["split"]
    (tmp_path / "about.json").write_text(json.dumps(about))
    back = Predictions.load(tmp_path)
    assert (back.category, back.split) == ("", "") and back.metrics() == pytest.approx(saved.metrics())


def test_predictions_read_back_what_was_saved(tmp_path: Path):
    p = predictions()
    p.table.loc[3, "anomalous"] = None
    p.save(tmp_path / "p")
    back = Predictions.load(tmp_path / "p")
    pd.testing.assert_frame_equal(back.table, p.table)
    np.testing.assert_array_equal(back.maps, p.maps)
    np.testing.assert_array_equal(back.masks, p.masks)
    assert back.metrics() == pytest.approx(p.metrics()) and back.lights == p.lights
    (tmp_path / "p" / "maps.npy").write_bytes(b"half")
    with pytest.raises(ValueError, match=r"predictions in .* cannot be read"):
        Predictions.load(tmp_path / "p")


def test_samples_of_unknown_truth_do_not_count():
    p = predictions()
    table = p.table.copy()
    table["anomalous"] = pd.Series([None] * len(table), dtype=object)
    unknown = Predictions(table, p.maps, p.masks, np.zeros(len(table), bool), "m", ("top",))
    assert all(np.isnan(v) for v in unknown.metrics().values())


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.floats(0.01, 0.5))
def test_no_more_calibration_scores_lie_above_the_threshold_than_promised(scores, alpha):
    threshold = conformal_threshold(scores, alpha)
    assert sum(s > threshold.value for s in scores) <= threshold.alpha * (len(scores) + 1)


def test_a_score_that_differs_from_the_threshold_by_rounding_is_good():
    threshold = conformal_threshold([0.1, 0.2, 0.3])
    assert threshold.value == 0.3 and threshold.verdict(0.3) == "good"
    assert threshold.verdict(float(np.nextafter(np.float32(0.3), np.float32(1)))) == "good"
    assert threshold.verdict(0.30001) == "anomalous"
    assert threshold.exceeded_by([0.3, 0.300001, 0.31]).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("truth", "anomalous", "expected"),
    [
        (True, True, "right"),
        (False, False, "right"),
        (True, False, "missed"),
        (False, True, "false alarm"),
        (None, True, "anomalous"),
        (None, False, "good"),
    ],
)
def test_an_outcome_is_a_verdict_against_the_truth(truth, anomalous, expected):
    assert outcome(truth, anomalous) == expected


def test_the_interval_of_draws_leaves_out_what_is_not_defined():
    draws = np.array([[0.0, np.nan], [1.0, np.nan], [2.0, np.nan], [np.nan, np.nan]])
    low, high = interval(draws, level=0.5)
    assert (low[0], high[0]) == (0.5, 1.5) and np.isnan([low[1], high[1]]).all()
    assert np.array_equal(interval(draws.T, level=0.5, axis=1)[0], low, equal_nan=True)
    assert interval(np.array([1.0, 3.0]))[0] == pytest.approx(1.05)


def test_a_split_whose_truth_is_unknown_has_intervals_and_comparisons_without_values():
    p = predictions()
    table = p.table.assign(anomalous=pd.Series([None] * len(p.table), dtype=object))
    unknown = Predictions(table, p.maps, p.masks, np.zeros(len(table), bool), "m", ("top",), None)
    assert unknown.intervals(repeats=20).isna().all(axis=None)
    assert unknown.compare(unknown, repeats=20)[["difference", "low", "high"]].isna().all(axis=None)


def test_a_defect_that_is_called_by_a_number_stays_a_name(tmp_path: Path):
    p = predictions()
    table = p.table.assign(defects=["001" if kind else "" for kind in p.table.defects])
    Predictions(table, p.maps, p.masks, p.masked, p.method, p.lights, None).save(tmp_path)
    assert set(Predictions.load(tmp_path).table.defects) == {"001", ""}
