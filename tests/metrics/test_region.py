"""Metrics inside a region of interest, against scikit-learn and a slow loop on the pixels inside alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, roc_auc_score

from afrd.metrics.bootstrap import Resampler
from afrd.metrics.predictions import Predictions, region_share
from afrd.metrics.ranking import FPR_LIMIT, pixel_metrics, pro_curve
from afrd.metrics.words import METRICS
from tests.metrics.test_ranking import random_set, regions_of


def slow_aupro(masks, maps, region, limit):
    """Every threshold counted anew, over the pixels inside only."""
    pieces = [(i, piece) for i, mask in enumerate(masks & region) for piece in regions_of(mask)]
    normal = maps[:, region][~masks[:, region]]
    points = [(0.0, 0.0)]
    for threshold in sorted(set(maps[:, region].ravel().tolist()), reverse=True):
        overlap = np.mean([np.mean([maps[i][place] >= threshold for place in piece]) for i, piece in pieces])
        points.append((float(np.mean(normal >= threshold)), float(overlap)))
    x, y = np.array(points).T
    end = int(np.argmax(x >= limit))  # the first one: the curve may rise further at the same rate
    last = y[end - 1] + (y[end] - y[end - 1]) * (limit - x[end - 1]) / (x[end] - x[end - 1])
    return np.trapezoid(np.append(y[:end], last), np.append(x[:end], limit)) / limit


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), region=hnp.arrays(bool, (12, 12)), levels=st.sampled_from([None, 4]))
def test_pixel_metrics_inside_agree_with_scikit_learn_on_the_inside(seed, region, levels):
    masks, maps = random_set(seed, levels=levels)
    truth, values = masks[:, region].ravel(), maps[:, region].ravel()
    found = pixel_metrics(masks, maps, region)
    if not truth.any() or truth.all():
        assert np.isnan(found["pixel_auroc"]) and (np.isnan(found["pixel_ap"]) or truth.all())
        return
    assert found["pixel_auroc"] == pytest.approx(roc_auc_score(truth, values))
    assert found["pixel_ap"] == pytest.approx(average_precision_score(truth, values))
    assert pixel_metrics(masks, np.where(region, maps, 0), region) == found  # what lies outside does not matter
    if levels is None:  # without ties the curve has no steps
        assert found["aupro"] == pytest.approx(slow_aupro(masks, maps, region, FPR_LIMIT), abs=1e-9)
    fpr, pro = pro_curve(masks, maps, 1.0, region)
    assert fpr[-1] == pro[-1] == 1


def test_the_whole_picture_as_a_region_changes_nothing():
    masks, maps = random_set(3)
    assert pixel_metrics(masks, maps, np.ones(masks.shape[1:], bool)) == pixel_metrics(masks, maps)
    with pytest.raises(ValueError, match=r"a region of shape \(3, 3\)"):
        pixel_metrics(masks, maps, np.ones((3, 3), bool))


def predictions(region: np.ndarray | None) -> Predictions:
    """Eight samples, every second one with a defect, whose maps are 0 outside the region."""
    masks, maps = random_set(5, samples=9, size=40)
    masks, maps = masks[:8], maps[:8]
    masks[::2] = False
    masks[1] = False
    masks[1, 1:4, 36:39] = True
    masks[3:8:2, 10:14, 20:25] = True
    maps = maps if region is None else np.where(region, maps, 0)
    table = pd.DataFrame(
        {
            "sample": [f"{i}" for i in range(8)],
            "anomalous": pd.Series([i % 2 == 1 for i in range(8)], dtype=object),
            "defects": ["dents" * (i % 2) for i in range(8)],
            "score": maps.max((1, 2)).astype(float),
            "verdict": [""] * 8,
        }
    )
    return Predictions(table, maps, masks, np.ones(8, bool), "method", ("top",), region=region)


@pytest.fixture
def region() -> np.ndarray:
    mask = np.zeros((40, 40), bool)
    mask[4:38, :30] = True
    return mask


def test_draws_of_all_samples_once_have_the_exact_metrics(region: np.ndarray):
    p = predictions(region)
    resampler = Resampler(p._labels(), p.table.score.to_numpy(), p.masks, p.maps, p.masked, region)
    drawn = dict(zip(METRICS, resampler.metrics(np.ones((1, 8)))[0], strict=True))
    exact = p.metrics()
    assert drawn == pytest.approx(exact, abs=5e-3)
    without = Resampler(p._labels(), p.table.score.to_numpy(), p.masks, p.maps, p.masked)
    everywhere = dict(zip(METRICS, without.metrics(np.ones((1, 8)))[0], strict=True))
    assert everywhere["pixel_ap"] < 0.9 * exact["pixel_ap"]  # a defect outside would count as missed


def test_predictions_say_what_they_are_judged_on(region: np.ndarray):
    inside = predictions(region)
    assert inside.outside() == ["1"] and inside.masks[1].any() and not inside.judged_masks[1].any()
    assert inside.region_note() == (
        "Judged inside a region of 64 % of the picture; pixels outside are left out. The whole defect of 1 sample lies "
        "outside (1): it counts as anomalous all the same."
    )
    whole = predictions(None)
    assert whole.region_note() == "" and whole.outside() == []
    assert region_share(np.eye(400, dtype=bool)) == "0.25 %"


def test_methods_judged_in_different_regions_are_not_compared(region: np.ndarray):
    inside, whole = predictions(region), predictions(None)
    with pytest.raises(ValueError, match="different regions of the picture"):
        inside.compare(whole)
    assert (inside.compare(inside, repeats=20).difference.fillna(0) == 0).all()
    replace(whole, region=np.ones((40, 40), bool)).compare(whole, repeats=5)  # the whole picture is no other region


def test_a_region_is_saved_with_the_predictions(tmp_path: Path, region: np.ndarray):
    inside = predictions(region)
    inside.save(tmp_path)
    back = Predictions.load(tmp_path)
    assert back.region is not None
    np.testing.assert_array_equal(back.region, region)
    assert back.metrics() == pytest.approx(inside.metrics())
    predictions(None).save(tmp_path)
    assert Predictions.load(tmp_path).region is None and not (tmp_path / "region.npy").exists()
