"""Metrics against scikit-learn, against a slow loop over all thresholds, and against numbers worked out by hand."""

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from afrd.metrics.ranking import aupro, f1_max, image_metrics, pixel_metrics, pro_curve


def regions_of(mask):
    """8-connected components by flood fill: a list of lists of (row, column)."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    regions = []
    while left:
        edge, region = [left.pop()], []
        while edge:
            y, x = edge.pop()
            region.append((y, x))
            for near in [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
                if near in left:
                    left.remove(near)
                    edge.append(near)
        regions.append(region)
    return regions


def naive_pro_curve(masks, maps):
    """One point a distinct threshold, everything counted anew, in float64."""
    maps = maps.astype(np.float64)
    regions = [(i, region) for i, mask in enumerate(masks) for region in regions_of(mask)]
    points = [(0.0, 0.0)]
    for threshold in sorted(set(maps.ravel().tolist()), reverse=True):
        found = maps >= threshold
        overlaps = [sum(bool(found[i][place]) for place in region) / len(region) for i, region in regions]
        points.append(((found & ~masks).sum() / (~masks).sum(), sum(overlaps) / len(overlaps)))
    return points


def naive_aupro(masks, maps, limit):
    area, points = 0.0, naive_pro_curve(masks, maps)
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x0 >= limit:
            break
        if x1 > limit:
            x1, y1 = limit, y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
        area += (x1 - x0) * (y0 + y1) / 2
    return area / limit


def random_set(seed, samples=4, size=12, levels=None):
    """Masks with a few blobs, the last one empty, and maps that partly follow them; `levels` makes ties."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((samples, size, size), dtype=bool)
    for mask in masks[:-1]:
        for _ in range(rng.integers(1, 4)):
            y, x = rng.integers(0, size - 2, 2)
            mask[y : y + rng.integers(1, 4), x : x + rng.integers(1, 4)] = True
    maps = rng.random(masks.shape) + 0.4 * masks
    if levels:
        maps = np.round(maps * levels) / levels
    return masks, maps.astype(np.float32)


def best_f1(anomalous, scores):
    precision, recall, _ = precision_recall_curve(anomalous, scores)
    return max(2 * p * r / (p + r) if p + r else 0.0 for p, r in zip(precision, recall, strict=True))


@pytest.mark.parametrize("levels", [None, 3, 20], ids=["no ties", "many ties", "some ties"])
@pytest.mark.parametrize("seed", range(5))
def test_image_metrics_agree_with_scikit_learn(seed, levels):
    rng = np.random.default_rng(seed)
    anomalous = rng.random(50) < 0.4
    scores = rng.normal(size=50) + anomalous
    scores = scores if levels is None else np.round(scores * levels) / levels
    values = image_metrics(anomalous, scores)
    assert values["image_auroc"] == pytest.approx(roc_auc_score(anomalous, scores), abs=1e-12)
    assert values["image_ap"] == pytest.approx(average_precision_score(anomalous, scores), abs=1e-12)
    assert values["image_f1max"] == pytest.approx(best_f1(anomalous, scores), abs=1e-12)


@pytest.mark.parametrize("levels", [None, 4, 50], ids=["no ties", "many ties", "some ties"])
@pytest.mark.parametrize("seed", range(4))
def test_pixel_metrics_agree_with_scikit_learn_and_the_slow_loop(seed, levels):
    masks, maps = random_set(seed, levels=levels)
    values = pixel_metrics(masks, maps)
    assert values["pixel_auroc"] == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-12)
    assert values["pixel_ap"] == pytest.approx(average_precision_score(masks.ravel(), maps.ravel()), abs=1e-12)
    assert values["aupro"] == pytest.approx(naive_aupro(masks, maps, 0.3), abs=1e-12)


@pytest.mark.parametrize("limit", [0.01, 0.05, 0.3, 0.77, 1.0])
def test_aupro_agrees_with_the_slow_loop_at_any_limit(limit):
    for levels in (None, 5):
        masks, maps = random_set(7, levels=levels)
        assert aupro(masks, maps, limit) == pytest.approx(naive_aupro(masks, maps, limit), abs=1e-12)


def test_the_curve_runs_through_every_threshold_of_the_slow_loop():
    for levels in (None, 6):
        masks, maps = random_set(3, levels=levels)
        fpr, pro = pro_curve(masks, maps)
        assert (np.diff(fpr) >= 0).all() and (np.diff(pro) >= 0).all()
        corners = list(zip(fpr, pro, strict=True))
        for x, y in naive_pro_curve(masks, maps):
            # on the polyline: on one of its corners, or between two of them
            assert any(
                (abs(x - x0) < 1e-12 and y0 - 1e-12 <= y <= y1 + 1e-12)
                or (x0 < x < x1 and abs(y0 + (y1 - y0) * (x - x0) / (x1 - x0) - y) < 1e-12)
                or (abs(x - x1) < 1e-12 and abs(y - y1) < 1e-12)
                for (x0, y0), (x1, y1) in itertools.pairwise(corners)
            )


def test_a_tiny_map_gives_the_numbers_worked_out_by_hand():
    # two regions: A of 2 pixels (0.9, 0.5), B of 1 pixel (0.7); 5 normal pixels: 0.8, 0.6, 0.5, 0.1, 0.1
    masks = np.array([[[1, 0, 0, 0], [1, 0, 0, 1]]], dtype=bool)
    maps = np.array([[[0.9, 0.8, 0.6, 0.5], [0.5, 0.1, 0.1, 0.7]]])
    # 0.9 gives (0, 1/4), 0.8 (1/5, 1/4), 0.7 (1/5, 3/4), 0.6 (2/5, 3/4), 0.5 (3/5, 1) and 0.1 (1, 1)
    fpr, pro = pro_curve(masks, maps)
    assert fpr == pytest.approx([0, 0, 0, 1 / 5, 1 / 5, 2 / 5, 3 / 5, 1])
    assert pro == pytest.approx([0, 0, 1 / 4, 1 / 4, 3 / 4, 3 / 4, 1, 1])
    # up to 0.3: 1/5 * 1/4 + 1/10 * 3/4 = 1/8; divided by 0.3
    assert aupro(masks, maps) == pytest.approx(0.125 / 0.3)
    # up to 0.5 the slope between 2/5 and 3/5 is cut in its middle, at an overlap of 7/8
    assert aupro(masks, maps, 0.5) == pytest.approx((1 / 20 + 3 / 20 + 0.1 * (3 / 4 + 7 / 8) / 2) / 0.5)
    values = pixel_metrics(masks, maps)
    # pairs in order: 0.9 beats 5, 0.7 beats 4, 0.5 beats 2 and ties with 1
    assert values["pixel_auroc"] == pytest.approx((5 + 4 + 2.5) / 15)
    # precision 1/1 at 0.9, 2/3 at 0.7, 3/6 at 0.5
    assert values["pixel_ap"] == pytest.approx((1 + 2 / 3 + 1 / 2) / 3)


def test_pixels_that_touch_at_a_corner_are_one_region():
    masks = np.zeros((1, 3, 4), dtype=bool)
    masks[0, 0, :2] = masks[0, 1, 2] = True
    maps = np.zeros((1, 3, 4))
    maps[0, 1, 2] = 1
    # one pixel of three is found; were it a region of its own, the overlap would be (1 + 0) / 2
    assert pro_curve(masks, maps)[1][2] == pytest.approx(1 / 3)


def test_regions_of_neighbouring_samples_do_not_grow_together():
    masks = np.zeros((2, 3, 3), dtype=bool)
    masks[:, 1, 1] = True
    maps = np.zeros((2, 3, 3))
    maps[0, 1, 1], maps[1, 1, 1] = 2, 1
    assert pro_curve(masks, maps)[1].tolist() == [0, 0, 0.5, 0.5, 1, 1]


def test_best_f1_comes_with_the_threshold_that_gives_it():
    anomalous, scores = [False, True, False, True, True], [0.1, 0.4, 0.5, 0.8, 0.9]
    # at 0.4: all three found, one false alarm: 6 / 7; at 0.8: two found, none false: 4 / 5
    assert f1_max(anomalous, scores) == (pytest.approx(6 / 7), 0.4)


def test_of_equally_good_thresholds_the_highest_is_given():
    # 0.9: 2 / 3; 0.7: 2 of 2 found with 2 false alarms: 4 / 6
    assert f1_max([1, 0, 0, 1], [0.9, 0.8, 0.75, 0.7]) == (pytest.approx(2 / 3), 0.9)


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=1, max_size=25))
def test_the_threshold_of_the_best_f1_gives_that_f1_and_no_score_gives_more(samples):
    anomalous = np.array([label for label, _ in samples])
    scores = np.array([float(score) for _, score in samples])
    best, threshold = f1_max(anomalous, scores)
    if not anomalous.any():
        assert math.isnan(best) and math.isnan(threshold)
        return

    def f1(at):
        alarms = scores >= at
        return 2 * (alarms & anomalous).sum() / (alarms.sum() + anomalous.sum())

    assert best == pytest.approx(f1(threshold)) and best == pytest.approx(max(map(f1, scores)))


sets = hnp.arrays(np.bool_, (3, 5, 6)).flatmap(
    lambda masks: st.tuples(st.just(masks), hnp.arrays(np.int16, masks.shape, elements=st.integers(-20, 20)))
)


@settings(max_examples=60, deadline=None)
@given(sets)
def test_pixel_metrics_agree_with_independent_code_and_stay_in_range(pair):
    masks, maps = pair
    values = pixel_metrics(masks, maps)
    if masks.any() and not masks.all():
        assert values["pixel_auroc"] == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-12)
        assert values["pixel_ap"] == pytest.approx(average_precision_score(masks.ravel(), maps.ravel()), abs=1e-12)
        assert values["aupro"] == pytest.approx(naive_aupro(masks, maps, 0.3), abs=1e-12)
        assert all(0 <= value <= 1 for value in values.values())


@settings(max_examples=60, deadline=None)
@given(sets, st.permutations(range(3)))
def test_neither_a_rising_transform_nor_another_order_of_samples_changes_anything(pair, order):
    masks, maps = pair
    before = pixel_metrics(masks, maps)
    assert pixel_metrics(masks, np.arctan(maps / 5.0) * 3 + 7) == pytest.approx(before, nan_ok=True)
    assert pixel_metrics(masks[order], maps[order]) == pytest.approx(before, nan_ok=True)
    labels, scores = masks[:, 0, 0], maps[:, 0, 0].astype(float)
    before = image_metrics(labels, scores)
    assert image_metrics(labels, np.exp(scores)) == pytest.approx(before, nan_ok=True)
    assert image_metrics(labels[order], scores[order]) == pytest.approx(before, nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.bool_, (2, 6, 6)).filter(lambda masks: masks.any() and not masks.all()))
def test_a_perfect_map_gives_one_and_a_reversed_one_gives_nothing(masks):
    noise = np.random.default_rng(0).random(masks.shape)
    assert pixel_metrics(masks, masks + 0.5 * noise) == {"pixel_auroc": 1, "pixel_ap": 1, "aupro": pytest.approx(1)}
    reversed_map = pixel_metrics(masks, 0.5 * noise - masks)
    assert reversed_map["pixel_auroc"] == pytest.approx(0, abs=1e-12) and reversed_map["aupro"] == 0


def test_constant_scores_give_the_documented_values():
    masks, maps = random_set(1)
    share = masks.mean()
    constant = pixel_metrics(masks, np.full_like(maps, 0.2))
    assert constant == pytest.approx({"pixel_auroc": 0.5, "pixel_ap": share, "aupro": 0.15})
    assert image_metrics([0, 0, 0, 1], [2, 2, 2, 2]) == pytest.approx(
        {"image_auroc": 0.5, "image_ap": 0.25, "image_f1max": 2 * 0.25 / 1.25}
    )


def test_what_is_undefined_is_nan_and_what_is_defined_is_not():
    good = image_metrics([False, False], [0.1, 0.2])
    assert all(math.isnan(value) for value in good.values())
    bad = image_metrics([True, True], [0.1, 0.2])
    assert math.isnan(bad["image_auroc"]) and bad["image_ap"] == bad["image_f1max"] == 1
    assert all(math.isnan(value) for value in image_metrics([], []).values())
    maps = np.random.default_rng(0).random((2, 3, 3))
    assert all(math.isnan(value) for value in pixel_metrics(np.zeros((2, 3, 3), bool), maps).values())
    full = pixel_metrics(np.ones((2, 3, 3), bool), maps)
    assert math.isnan(full["pixel_auroc"]) and math.isnan(full["aupro"]) and full["pixel_ap"] == 1
    assert all(math.isnan(value) for value in pixel_metrics(np.zeros((0, 3, 3), bool), np.zeros((0, 3, 3))).values())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused_with_the_first_bad_sample(bad):
    with pytest.raises(ValueError, match="sample 2 "):
        image_metrics([0, 1, 0, 1], [0.1, 0.2, bad, bad])
    maps = np.zeros((4, 2, 2))
    maps[1:3, 1, 0] = bad
    with pytest.raises(ValueError, match="sample 1 "):
        pixel_metrics(np.zeros((4, 2, 2), bool), maps)


def test_shapes_that_differ_are_refused_with_both_shapes():
    with pytest.raises(ValueError, match=r"\(3,\).*\(2,\)"):
        image_metrics([0, 1, 0], [0.1, 0.2])
    with pytest.raises(ValueError, match=r"\(2, 3, 3\).*\(2, 3, 4\)"):
        aupro(np.zeros((2, 3, 3), bool), np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="must be"):
        pixel_metrics(np.zeros((3, 3), bool), np.zeros((3, 3)))


def test_unknown_truth_and_impossible_limits_are_refused():
    with pytest.raises(ValueError, match=r"sample 1 .*unknown truth"):
        image_metrics(np.array([True, None, False]), [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="label 2"):
        f1_max([0, 2], [0.1, 0.2])
    masks, maps = random_set(0)
    for limit in (0, -0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="fpr_limit"):
            aupro(masks, maps, limit)


def test_half_precision_and_double_precision_maps_are_ranked_as_they_are():
    masks, maps = random_set(5)
    half = maps.astype(np.float16)
    assert pixel_metrics(masks, half) == pixel_metrics(masks, half.astype(np.float64))
    close = 1 + masks * 1e-12  # one and the same number in single precision
    assert pixel_metrics(masks, close)["pixel_auroc"] == 1


def test_inputs_are_left_as_they_were():
    masks, maps = random_set(6)
    before = masks.copy(), maps.copy()
    pixel_metrics(masks, maps)
    assert (masks == before[0]).all() and (maps == before[1]).all()


def test_forty_maps_take_less_than_the_time_they_may():
    rng = np.random.default_rng(0)
    masks = np.zeros((40, 256, 256), dtype=bool)
    masks[::2, 30:70, 50:90] = True
    maps = rng.random(masks.shape, dtype=np.float32)
    started = time.process_time()
    pixel_metrics(masks, maps)
    assert time.process_time() - started < 1.5
