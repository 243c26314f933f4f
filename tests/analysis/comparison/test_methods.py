"""Methods side by side, late fusion and what tells two methods apart, against scikit-learn and naive loops."""

from __future__ import annotations

import math
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from sklearn.metrics import auc, average_precision_score, roc_auc_score, roc_curve

import afrd
from afrd import figures
from afrd.analysis.comparison import differences
from afrd.analysis.comparison.methods import Method, late_fusion, methods_of, reference_of
from afrd.metrics.bootstrap import Resampler
from afrd.metrics.predictions import Predictions
from afrd.metrics.threshold import Threshold
from afrd.metrics.words import METRICS
from afrd.runs.loading import load_run


def predictions(shift: float = 1.0, noise_seed: int = 0, samples: int = 20, light: str = "top") -> Predictions:
    """Smooth noise with bright discs in every second sample, of two defect types and once of both."""
    rng = np.random.default_rng(0)
    masks = np.zeros((samples, 32, 32), bool)
    y, x = np.mgrid[:32, :32]
    for i in range(1, samples, 2):
        cy, cx, r = rng.integers((6, 6, 2), (26, 26, 5))
        masks[i] = (y - cy) ** 2 + (x - cx) ** 2 <= r * r
    noise = np.random.default_rng(noise_seed).standard_normal(masks.shape)
    maps = (ndimage.gaussian_filter(noise, (0, 2, 2)) * 5 + shift * masks + 5).astype(np.float32)
    scores = maps.max((1, 2)).astype(float)
    threshold = Threshold(float(np.median(scores)), 0.05, 19, 0.05)
    table = pd.DataFrame(
        {
            "sample": [f"{i:02d}" for i in range(samples)],
            "anomalous": pd.Series([i % 2 == 1 for i in range(samples)], dtype=object),
            "defects": [
                "" if i % 2 == 0 else "dents+bumps" if i == 3 else ("dents", "bumps")[i % 3 % 2] for i in range(samples)
            ],
            "score": scores,
            "verdict": [threshold.verdict(s) for s in scores],
        }
    )
    return Predictions(table, maps, masks, np.ones(samples, bool), f"{light} {shift}", (light,), threshold)


def a_run(folder: str, lights: str, method: str = "afrd", fusion: str = "attention", target: str = "lights"):
    """What `methods_of` asks a run for."""
    config = SimpleNamespace(method=method, fusion=fusion, target=target)
    model = SimpleNamespace(config=config, learned=None)
    return SimpleNamespace(lights=tuple(lights.split()), model=model, folder=Path(folder), name=Path(folder).name)


def a_method(label: str, **known) -> Method:
    return Method(label, (a_run("runs/x", known.pop("lights", "top box"), **known),), ("top", "box"), None)


# ---- methods


def test_every_method_is_listed_once_with_its_lights_and_the_runs_own_fusion_first():
    runs = [
        a_run("r/afrd", "top left box", fusion="mean"),
        a_run("r/fused", "top left box", target="fused", fusion="concat"),
        a_run("r/memory", "top left box", method="memory"),
        a_run("r/box", "box"),
        a_run("r/top", "top"),
    ]
    found = methods_of(runs)
    assert [m.label for m in found] == [
        "AFRD, mean over evidence",
        "AFRD, attention over evidence",
        "AFRD, max over evidence",
        "AFRD, concat over features",
        "patch memory, attention over evidence",
        "patch memory, mean over evidence",
        "patch memory, max over evidence",
        "single-light RD, top",
        "single-light RD, box",
        "single-light RDs, late mean",
        "single-light RDs, late max",
    ]
    assert found[0].lights == ("top", "left", "box") and found[-1].lights == ("top", "box")
    assert [m.late for m in found] == [False] * 9 + [True] * 2
    assert [m.single for m in found] == [False] * 7 + [True] * 2 + [False] * 2
    assert sum(m.memory for m in found) == 3


def test_only_the_chosen_lights_take_part_and_one_light_needs_no_fusion():
    runs = [a_run("r/afrd", "top left box"), a_run("r/box", "box"), a_run("r/top", "top")]
    found = methods_of(runs, "top")
    assert [(m.label, m.lights) for m in found] == [
        ("AFRD, attention over evidence", ("top",)),
        ("single-light RD, top", ("top",)),
    ]
    assert {m.lights for m in methods_of(runs, ["box", "top"]) if not m.single} == {("top", "box")}
    with pytest.raises(ValueError, match="light 'dome' is not known"):
        methods_of(runs, "dome")
    assert methods_of([]) == []


def test_runs_of_the_same_kind_are_told_apart_by_their_folders():
    runs = [a_run("r/one/afrd", "top box"), a_run("r/two/afrd", "top box"), a_run("r/two/top", "top")]
    labels = [m.label for m in methods_of(runs)]
    assert len(set(labels)) == len(labels)
    assert "AFRD, attention over evidence (one/afrd)" in labels and "AFRD, mean over evidence (two/afrd)" in labels
    assert "single-light RD, top" in labels


def test_a_light_with_two_runs_counts_once_in_late_fusion():
    late = methods_of([a_run("r/top", "top"), a_run("r/top2", "top"), a_run("r/box", "box")])[-1]
    assert [run.name for run in late.runs] == ["top", "box"] and late.lights == ("top", "box")
    assert not any(m.late for m in methods_of([a_run("r/top", "top"), a_run("r/top2", "top")]))


def test_the_reference_is_the_shown_runs_own_fusion():
    methods = methods_of([a_run("r/afrd", "top box"), a_run("r/afrd2", "top box", fusion="max")])
    assert reference_of(methods, Path("r/afrd2")).label == "AFRD, max over evidence (afrd2)"
    assert reference_of(methods) is reference_of(methods, Path("elsewhere")) is methods[0]
    with pytest.raises(ValueError, match="no run to judge with these lights"):
        reference_of([])


# ---- late fusion


@pytest.mark.parametrize("how", ["mean", "max"])
def test_late_fusion_agrees_with_a_loop_over_pixels_and_calibration_samples(how: str):
    singles = [predictions(s, n, light=light) for s, n, light in ((0.5, 1, "top"), (1.0, 2, "left"), (2.0, 3, "box"))]
    rng = np.random.default_rng(5)
    calibration = [rng.gamma(2.0, size=(23, 8, 9)).astype(np.float32) for _ in singles]
    fused = late_fusion(singles, how, calibration)

    put = np.mean if how == "mean" else np.max
    for i in (0, 3, 19):
        for row, column in ((0, 0), (7, 21), (31, 31)):
            values = [float(p.maps[i, row, column]) for p in singles]
            assert fused.maps[i, row, column] == pytest.approx(put(values), rel=1e-6)
    assert fused.table.score.to_numpy() == pytest.approx([fused.maps[i].max() for i in range(20)])

    highest = sorted(max(put([c[i, y, x] for c in calibration]) for y in range(8) for x in range(9)) for i in range(23))
    k = math.ceil(24 * 0.95)  # the 23rd smallest of 23 keeps the promise of 5 %
    assert fused.threshold is not None and fused.threshold.value == pytest.approx(highest[k - 1], rel=1e-6)
    assert fused.threshold.samples == 23 and fused.threshold.alpha == 0.05
    expected = ["anomalous" if s > highest[k - 1] else "good" for s in fused.table.score]
    assert list(fused.table.verdict) == expected
    assert fused.lights == ("top", "left", "box") and fused.method == f"single-light RDs, late {how}"
    assert singles[0].table.score.tolist() == predictions(0.5, 1).table.score.tolist()  # what was given is as it was


@pytest.mark.parametrize("shapes", [[], [(5, 8, 8)], [(5, 8, 8), (4, 8, 8)], [(5, 8, 8), (5, 9, 8)], [(0, 8, 8)] * 2])
def test_without_the_same_calibration_samples_of_every_network_there_is_no_threshold(shapes: list[tuple]):
    fused = late_fusion([predictions(1), predictions(2)], "max", [np.ones(s, np.float32) for s in shapes])
    assert fused.threshold is None and set(fused.table.verdict) == {""}


def test_late_fusion_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="'median'; choose one of mean, max"):
        late_fusion([predictions()], "median")
    with pytest.raises(ValueError, match="about different samples"):
        late_fusion([predictions(), predictions(samples=10)], "mean")
    two_categories = [replace(predictions(), category=name, split="test") for name in ("box", "lid")]
    with pytest.raises(ValueError, match=r"lid/test and .* box/test are about different samples and cannot be fused"):
        late_fusion(two_categories, "mean")


def test_real_runs_are_judged_as_they_evaluate_themselves(candies: Path, tiny_runs: Path, tmp_path: Path):
    data = afrd.open_dataset(candies, "Praline")
    afrd.fit(data, "box", tmp_path / "single-box", size=64, width=16, epochs=1, show_progress=False)
    runs = [load_run(tiny_runs / "Praline" / name, "cpu") for name in ("afrd", "single-top")]
    runs.append(load_run(tmp_path / "single-box", "cpu"))
    found = {m.label: m.judge(data["test_public"]) for m in methods_of(runs, "top,box")}
    for label, judged in found.items():
        assert judged.method == label
        assert judged.lights == (
            ("top",) if label.endswith("RD, top") else ("box",) if label.endswith("RD, box") else ("top", "box")
        )
    same = runs[0].evaluate(data["test_public"], "top,box", "max")
    np.testing.assert_array_equal(found["AFRD, max over evidence"].maps, same.maps)
    assert found["AFRD, max over evidence"].threshold == same.threshold

    late = found["single-light RDs, late max"]
    singles = [found["single-light RD, top"], found["single-light RD, box"]]
    np.testing.assert_array_equal(late.maps, np.maximum(*(p.maps for p in singles)))
    kept = np.maximum(*(np.concatenate(list(run.calibration_maps())) for run in runs[1:])).max((1, 2))
    assert late.threshold is not None and late.threshold.value == pytest.approx(kept.max())  # 3 samples: the largest


# ---- method_result


def test_figures_and_differences_are_those_of_the_predictions():
    ours, theirs = predictions(0.6), predictions(2.0, 1)
    results = differences.method_result(a_method("them"), theirs, ours)
    pd.testing.assert_frame_equal(results.intervals, predictions(2.0, 1).intervals())
    pd.testing.assert_frame_equal(results.difference, predictions(0.6).compare(predictions(2.0, 1)))
    assert results.verdict("pixel_ap") == "better"
    assert differences.method_result(a_method("us"), ours, theirs).verdict("pixel_ap") == "worse"
    alone = differences.method_result(a_method("us"), ours, ours)
    assert alone.difference is None and alone.verdict("pixel_ap") == "even"


def test_draws_in_portions_are_draws_at_once():
    p = predictions()
    labels = np.array([bool(v) for v in p.table.anomalous])
    resampler = Resampler(labels, p.table.score.to_numpy(), p.masks, p.maps, p.masked)
    counts = np.random.default_rng(7).multinomial(20, [1 / 20] * 20, size=150)
    np.testing.assert_allclose(resampler.draw(150, 7), resampler.metrics(counts), rtol=1e-6)


def three_results() -> list[differences.MethodResult]:
    def made(
        label: str, edges: dict[str, tuple[float, float]], values: float = 0.5, **known
    ) -> differences.MethodResult:
        intervals = pd.DataFrame({"value": values, "low": 0.4, "high": 0.6}, index=list(METRICS))
        apart = pd.DataFrame({"difference": 0.0, "low": -0.1, "high": 0.1}, index=list(METRICS))
        for metric, (low, high) in edges.items():
            apart.loc[metric] = [(low + high) / 2, low, high]
        return differences.MethodResult(a_method(label, **known), intervals, apart)

    us = replace(made("AFRD, mean over evidence", {}), difference=None)
    memory = made(
        "patch memory, max over evidence", {"pixel_ap": (-0.05, -0.01), "aupro": (-0.3, -0.1)}, method="memory"
    )
    return [us, memory, made("single-light RD, top", {"pixel_ap": (0.02, 0.06)}, lights="top")]


def test_it_is_said_plainly_who_is_better():
    results = three_results()
    assert differences.summary(results, "pixel_ap") == (
        "In pixel AP, AFRD, mean over evidence is better than 1 of the 2 other methods, worse than 1 and not told "
        "apart from none, by the paired 95 % interval."
    )
    assert differences.beaten_by(results) == [
        "Patch memory, max over evidence is better in pixel AP by 0.030 [0.010, 0.050] and AUPRO by "
        "0.200 [0.100, 0.300]."
    ]
    assert differences.summary(results[:1], "pixel_ap") == "" and differences.beaten_by(results[:1]) == []
    assert list(differences.differences(results, "pixel_ap").verdict) == ["better", "worse"]
    assert list(differences.differences(results, "image_ap").verdict) == ["even", "even"]


def test_the_reference_the_best_single_light_and_the_memory_are_drawn_first():
    results = three_results()
    better = replace(
        results[2],
        method=replace(results[2].method, label="single-light RD, box"),
        intervals=results[2].intervals + 0.1,
    )
    late = replace(
        results[2], method=Method("late", (a_run("r/a", "top"), a_run("r/b", "box")), ("top", "box"), "mean")
    )
    assert differences.worth_drawing([*results, better, late], "pixel_ap") == [
        "AFRD, mean over evidence",
        "single-light RD, box",
        "late",
        "patch memory, max over evidence",
    ]
    assert differences.worth_drawing(results[:1], "pixel_ap") == ["AFRD, mean over evidence"]


def test_the_table_for_download_has_every_figure_unrounded():
    ours, theirs = predictions(0.6), predictions(2.0, 1)
    table = differences.results_table(
        [differences.method_result(a_method(m), p, ours) for m, p in (("us", ours), ("them", theirs))]
    )
    back = pd.read_csv(StringIO(table.to_csv(index=False)))
    assert list(back.reference) == [True, False] and list(back.lights) == ["top+box"] * 2
    apart = ours.compare(theirs)
    for metric, value in theirs.metrics().items():
        assert back[metric][1] == value
        assert back[f"{metric}_difference_low"][1] == apart.low[metric]
        assert np.isnan(back[f"{metric}_difference"][0])


def test_curves_are_those_of_scikit_learn_and_their_areas_the_metrics():
    p = predictions(0.5)
    labels, scores = [bool(v) for v in p.table.anomalous], p.table.score
    found = differences.curves(p)
    fpr, tpr, _ = roc_curve(labels, scores)
    np.testing.assert_array_equal(found.image[["fpr", "tpr"]].to_numpy().T, [fpr, tpr])
    assert auc(found.image.fpr, found.image.tpr) == pytest.approx(p.metrics()["image_auroc"])
    assert auc(found.regions.fpr, found.regions.pro) / 0.3 == pytest.approx(p.metrics()["aupro"], abs=2e-3)
    called = scores > p.threshold.value
    assert found.at == (called[::2].mean(), called[1::2].mean())
    assert differences.curves(replace(p, threshold=None)).at is None


def test_curves_that_are_not_defined_are_empty():
    p = predictions()
    good = replace(
        p, table=p.table.assign(anomalous=pd.Series([False] * 20, dtype=object)), masks=np.zeros_like(p.masks)
    )
    found = differences.curves(good)
    assert found.image.empty and found.regions.empty and found.at is None


def test_a_defect_type_is_judged_by_its_own_samples_against_all_good_ones():
    p = predictions(0.5)
    table = differences.by_defect(p, repeats=300).set_index("defect")
    assert list(table.index) == ["bumps", "dents"]
    for kind, row in table.iterrows():
        mine = p.table.defects.str.contains(kind).to_numpy()  # the sample with both counts twice
        there = mine | ~p.table.anomalous.astype(bool).to_numpy()
        assert row.samples == mine.sum()
        assert row.image_auroc == pytest.approx(roc_auc_score(mine[there], p.table.score[there]))
        naive = average_precision_score(p.masks[mine].ravel(), p.maps[mine].ravel())
        assert row.pixel_ap == pytest.approx(naive)
        assert row.image_auroc_low <= row.image_auroc <= row.image_auroc_high
        assert row.pixel_ap_low - 0.01 <= row.pixel_ap <= row.pixel_ap_high + 0.01
    assert table.samples.sum() == 11
    assert differences.by_defect(replace(p, table=p.table.assign(defects=""))).empty


def test_intervals_of_a_defect_type_are_those_of_a_naive_bootstrap():
    p = predictions(0.4)
    row = differences.by_defect(p, repeats=400).set_index("defect").loc["dents"]
    mine = np.flatnonzero(p.table.defects.str.contains("dents"))
    there = np.union1d(mine, np.arange(0, 20, 2))
    labels, rng, drawn = np.isin(there, mine), np.random.default_rng(3), []
    for _ in range(400):
        picked = rng.integers(len(there), size=len(there))
        if len(set(labels[picked])) == 2:
            drawn.append(roc_auc_score(labels[picked], p.table.score.to_numpy()[there[picked]]))
    assert [row.image_auroc_low, row.image_auroc_high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.06)


@pytest.mark.parametrize("metric", ["image_auroc", "pixel_ap"])
def test_the_effect_of_a_sample_is_what_the_difference_loses_without_it(metric: str):
    ours, theirs = predictions(1.2), predictions(0.7, 1)
    table = differences.telling_samples(ours, theirs, metric).set_index("sample")
    labels = np.arange(20) % 2 == 1

    def difference(kept: np.ndarray) -> float:
        a, b = (
            roc_auc_score(labels[kept], p.table.score[kept])
            if metric == "image_auroc"
            else average_precision_score(p.masks[kept].ravel(), p.maps[kept].ravel())
            for p in (ours, theirs)
        )
        return a - b

    everything = difference(np.ones(20, bool))
    for i, name in enumerate(ours.table["sample"]):
        effect = everything - difference(np.arange(20) != i)
        assert table.effect[name] == pytest.approx(effect, abs=1e-9 if metric == "image_auroc" else 5e-4)
    assert table.effect.abs().is_monotonic_decreasing


def test_a_telling_sample_is_shown_by_its_score_rank_and_place():
    ours, theirs = predictions(1.2), predictions(0.7, 1)
    table = differences.telling_samples(ours, theirs, "pixel_ap").set_index("sample")
    for i, name in enumerate(ours.table["sample"]):
        row, p = table.loc[name], theirs
        assert row.other_score == pytest.approx(p.table.score[i] / p.threshold.value)
        assert row.other_rank == 1 + sum(p.table.score > p.table.score[i])
        assert row.anomalous == (i % 2 == 1) and row.this_verdict == ours.table.verdict[i]
        if i % 2:
            assert row.other_pixel_ap == pytest.approx(average_precision_score(p.masks[i].ravel(), p.maps[i].ravel()))
        else:
            assert np.isnan(row.other_pixel_ap)


def test_samples_of_unknown_truth_tell_nothing():
    labels = pd.Series([None, None, *(i % 2 == 1 for i in range(2, 20))], dtype=object)
    ours, theirs = (
        replace(p, table=p.table.assign(anomalous=labels), masked=np.arange(20) > 1)
        for p in (predictions(1.2), predictions(0.7, 1))
    )
    table = differences.telling_samples(ours, theirs, "image_auroc")
    assert sorted(table["sample"]) == [f"{i:02d}" for i in range(2, 20)]
    assert sum(differences.by_defect(ours, repeats=50).samples) == 10  # of 9 defective samples, one with two defects
    assert len(differences.curves(ours).image)


# ---- figures


def test_the_forest_has_a_dot_and_an_interval_a_method_in_the_order_of_the_table():
    rows = differences.differences(three_results(), "pixel_ap")
    figure = figures.difference_forest(rows, "pixel AP", "AFRD")
    drawn = {
        name: (x, x + up, x - down)
        for t in figure.data
        for name, x, up, down in zip(t.y, t.x, t.error_x.array, t.error_x.arrayminus, strict=True)
    }
    assert drawn["patch memory, max over evidence"] == pytest.approx((-0.03, -0.01, -0.05))
    assert drawn["single-light RD, top"] == pytest.approx((0.04, 0.06, 0.02))
    assert figure.layout.shapes[0].x0 == figure.layout.shapes[0].x1 == 0
    assert list(figure.layout.yaxis.categoryarray) == list(rows.method)[::-1]
    assert {t.name for t in figure.data if t.showlegend} == {"the reference is better", "the other is better"}


def test_curves_and_bars_are_told_apart_without_colour():
    found = {f"method {i}": differences.curves(predictions(0.5 + i)) for i in range(4)}
    for figure in (figures.roc_curves(found), figures.pro_curves(found)):
        lines = [t for t in figure.data if t.mode == "lines" and t.name]
        assert [t.name for t in lines] == list(found)
        assert len({t.line.dash for t in lines}) == len({t.line.color for t in lines}) == 4
        assert figure.layout.xaxis.title.text and figure.layout.yaxis.title.text and figure.layout.title.text
    bars = figures.defect_bars({name: differences.by_defect(predictions(0.5), repeats=50) for name in found})
    assert len(bars.data) == 8 and len({t.marker.pattern.shape for t in bars.data}) == 4
    table = differences.by_defect(predictions(0.5), repeats=50)
    assert list(bars.data[0].x) == [f"{kind}<br>n = {n}" for kind, n in zip(table.defect, table.samples, strict=True)]
