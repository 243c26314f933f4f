"""A region of interest: what is judged inside, what outside no longer matters, and what is said of wrong ones."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from sklearn.metrics import average_precision_score, roc_auc_score

import afrd
import afrd.runs
from afrd.analysis.comparison.methods import methods_of
from afrd.analysis.comparison.scores import light_scores, split_scores
from afrd.analysis.explain.light_score import lights as light_attribution
from afrd.analysis.lights.survey import load_survey, survey
from afrd.candies.render import render_category
from afrd.cli.commands import main
from afrd.demo.prepare import SHIPPED_RUNS
from afrd.runs.region import (
    REGION_FILE,
    checked_region,
    drawn_region,
    read_region,
    save_region,
    silhouette,
    stored_region,
)
from afrd.runs.thresholds import subset_thresholds


def right_part() -> np.ndarray:
    region = np.zeros((64, 64), bool)
    region[:, 16:] = True
    return region


@pytest.fixture(scope="module")
def run(tiny_runs: Path) -> afrd.runs.Run:
    return afrd.load_run(tiny_runs / "Praline" / "afrd", device="cpu")


@pytest.fixture(scope="module")
def test_set(candies: Path):
    return afrd.open_dataset(candies, "Praline")["test_public"]


@pytest.fixture
def run_folder(tiny_runs: Path, tmp_path: Path) -> Path:
    """A copy of a run, to be changed."""
    return Path(shutil.copytree(tiny_runs / "Praline" / "afrd", tmp_path / "afrd"))


def test_scores_and_maps_are_those_of_the_inside(run, test_set):
    region = right_part()
    inside, whole = run.with_region(region), run.evaluate(test_set)
    judged = inside.evaluate(test_set)
    np.testing.assert_array_equal(judged.maps, np.where(region, whole.maps, 0))
    np.testing.assert_array_equal(judged.table.score, whole.maps[:, region].max(1))
    truth, values = whole.masks[:, region].ravel(), whole.maps[:, region].ravel()
    assert judged.metrics()["pixel_auroc"] == pytest.approx(roc_auc_score(truth, values))
    assert judged.metrics()["pixel_ap"] == pytest.approx(average_precision_score(truth, values))
    calibration = np.concatenate([maps[:, region].max(1) for maps in run.calibration_maps()])
    np.testing.assert_allclose(inside.calibration_scores(), calibration)
    one = inside.predict(test_set[3], ["top", "box"])
    assert (one.light_maps[:, ~region] == 0).all() and one.score == one.anomaly_map[region].max()
    np.testing.assert_allclose((one.attention * one.light_maps).sum(0), one.anomaly_map, rtol=1e-4, atol=1e-6)


def test_a_run_without_a_region_is_as_it_was(run, test_set):
    inside = run.with_region(right_part())
    inside.evaluate(test_set)
    again = inside.with_region(None)
    assert run.region is None and again.region is None and inside.region is not None
    np.testing.assert_array_equal(again.evaluate(test_set).maps, run.evaluate(test_set).maps)
    assert again.threshold() == run.threshold() and again.method() == run.method()
    assert inside.method() == f"{run.method()}, within 75 % of the picture"


def test_all_that_judges_lights_and_methods_respects_the_region(run, test_set, run_folder):
    region = right_part()
    inside = afrd.load_run(run_folder, device="cpu").with_region(region)
    judged = inside.evaluate(test_set)
    np.testing.assert_array_equal(split_scores(inside, test_set).values, judged.table.score)
    assert split_scores(inside, test_set).threshold == judged.threshold
    members = np.array([[True] * 6, [True, False, True, False, False, True]])
    found = subset_thresholds(inside, members)
    np.testing.assert_allclose([t.value for t in found], [inside.threshold(s).value for s in (None, "spots,right,box")])
    alone = light_scores(inside, test_set, ["top"])
    assert alone.empty
    two = light_scores(inside, test_set, ["top", "box"])
    top = inside.evaluate(test_set, "top")
    np.testing.assert_allclose(two.top, top.table.score / top.threshold.value, rtol=1e-4)
    method = next(m for m in methods_of([inside]) if m.fusion == "max")
    assert (method.judge(test_set).maps[:, ~region] == 0).all()
    attribution = light_attribution(inside, test_set, 3)
    assert attribution.score == pytest.approx(judged.table.score[3], rel=1e-4)
    surveyed = survey(inside, test_set, repeats=2)
    assert load_survey(inside, test_set) is not None and load_survey(inside.with_region(None), test_set) is None
    np.testing.assert_allclose(surveyed.scores[-1], judged.table.score, rtol=1e-4)
    metrics = judged.metrics()
    np.testing.assert_allclose(surveyed.metrics[-1], [metrics[name] for name in metrics], rtol=1e-3)
    assert surveyed.method.endswith("within 75 % of the picture")


def test_pictures_of_another_size_are_judged_in_the_same_place(run, test_set):
    sample = test_set[3]
    larger = replace(sample, images=torch.nn.functional.interpolate(sample.images, (128, 96)))
    anomaly_map = run.with_region(right_part()).predict(larger).anomaly_map
    assert (anomaly_map[:, :24] == 0).all() and (anomaly_map[:, 24:] > 0).any()


def test_a_background_that_changes_far_from_the_region_changes_no_score(tmp_path: Path):
    """Features near the border see beyond it, see docs/regions.md; 72 of 256 pixels away little is left of that."""
    run = afrd.load_run(SHIPPED_RUNS / "Licorice" / "afrd", device="cpu")
    region = np.zeros((256, 256), bool)
    region[60:160, 60:160] = True
    inside, far = run.with_region(region), torch.from_numpy(ndimage.distance_transform_edt(~region)) > 72
    draw = torch.Generator().manual_seed(0)
    render_category(tmp_path, "Licorice", size=96, train=1, val=1, test_good=1, test_bad=1, workers=1)
    part = afrd.open_dataset(tmp_path, "Licorice")["test_public"][1].select(run.lights)
    images = torch.nn.functional.interpolate(part.images, (256, 256), mode="bilinear")
    sample = replace(part, images=images)
    noisy = torch.where(far, torch.rand(6, 3, 256, 256, generator=draw), images)
    changed = replace(sample, images=noisy)
    unit = inside.threshold().value
    assert abs(inside.predict(changed).score - inside.predict(sample).score) < 0.05 * unit
    assert run.predict(changed).score - run.predict(sample).score > 0.5 * run.threshold().value


def test_a_region_is_kept_with_the_run_and_copied_with_it(run_folder: Path, tmp_path: Path, test_set):
    save_region(run_folder, right_part())
    stored = afrd.load_run(run_folder, device="cpu")
    np.testing.assert_array_equal(stored.region, right_part())
    afrd.runs.copy_run(run_folder, tmp_path / "copy", stored.config)
    np.testing.assert_array_equal(afrd.load_run(tmp_path / "copy").region, right_part())
    save_region(run_folder, None)
    save_region(run_folder, None)
    assert afrd.load_run(run_folder).region is None
    (run_folder / REGION_FILE).write_text("no picture")
    with pytest.raises(ValueError, match=f"{REGION_FILE} cannot be read as a picture"):
        afrd.load_run(run_folder)


@given(
    polygons=st.lists(
        st.lists(st.tuples(st.floats(-30, 70), st.floats(-30, 70)), min_size=3, max_size=7), min_size=1, max_size=3
    )
)
def test_a_pixel_is_inside_where_its_middle_is(polygons):
    """Against a slow test of every pixel: how many edges a ray to the right crosses."""
    expected = np.zeros((20, 25), bool)
    for y, x in np.ndindex(expected.shape):
        for corners in polygons:
            crossed = 0
            for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
                if (y0 <= y + 0.5) != (y1 <= y + 0.5):
                    crossed += x0 + (y + 0.5 - y0) * (x1 - x0) / (y1 - y0) > x + 0.5
            expected[y, x] |= crossed % 2 == 1
    if not expected.any():
        with pytest.raises(ValueError, match="the region is empty"):
            drawn_region(polygons, (20, 25))
        return
    assert (drawn_region(polygons, (20, 25)) != expected).sum() <= 2  # middles that lie on an edge


def test_polygons_by_hand():
    region = drawn_region([[(10, 5), (30, 5), (30, 20), (10, 20)], [(40, 30), (49, 30), (49, 39)]], (40, 50))
    assert region[5:20, 10:30].all() and region.sum() == 300 + 45 and region[35, 48] and not region[35, 41]
    with pytest.raises(ValueError, match="at least three corners"):
        drawn_region([[(1, 1), (2, 2)]], (40, 50))
    with pytest.raises(ValueError, match="more than 4000 corners"):
        drawn_region([[(1, 1)] * 5000], (40, 50))


def test_the_silhouette_holds_the_parts_and_little_else(tmp_path: Path):
    render_category(tmp_path, "Licorice", size=96, train=8, val=1, test_good=1, test_bad=2, workers=1)
    data = afrd.open_dataset(tmp_path, "Licorice")
    region = silhouette(data["train"])
    assert 0.25 < region.mean() < 0.6 and ndimage.label(region)[1] == 1
    assert not region[:4].any() and region[48, 48]
    defects = torch.stack([data["test_public"].mask(i) for i in range(3)]).numpy()
    assert defects.any() and not defects[:, ~region].any()
    with pytest.raises(ValueError, match="Licorice/test_public has 3 samples"):
        silhouette(data["test_public"])


def test_pictures_that_vary_everywhere_have_no_silhouette(tmp_path: Path):
    rng = np.random.default_rng(0)
    for i in range(5):
        folder = tmp_path / "part" / "train" / "good" / f"{i}"
        folder.mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, (40, 40), np.uint8)).save(folder / "top.png")
    with pytest.raises(ValueError, match="no silhouette stands out"):
        silhouette(afrd.open_dataset(tmp_path, "part")["train"])


def test_pictures_as_regions_are_checked(tmp_path: Path):
    Image.fromarray(np.kron(right_part(), np.ones((2, 2), bool))).save(tmp_path / "double.png")
    np.testing.assert_array_equal(read_region(tmp_path / "double.png", (64, 64)), right_part())
    Image.fromarray(np.full((64, 48), 255, np.uint8)).save(tmp_path / "narrow.png")
    with pytest.raises(ValueError, match=r"narrow\.png is 48x64 pixels, but the pictures are 64x64"):
        read_region(tmp_path / "narrow.png", (64, 64))
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "black.png")
    with pytest.raises(ValueError, match=r"black\.png is black everywhere"):
        read_region(tmp_path / "black.png", (64, 64))
    with pytest.raises(FileNotFoundError, match=r"none\.png does not exist"):
        read_region(tmp_path / "none.png", (64, 64))
    with pytest.raises(ValueError, match="the region is empty"):
        checked_region(np.zeros((64, 64), bool), (64, 64))
    with pytest.raises(ValueError, match=r"has the shape \(2, 64, 64\)"):
        checked_region(np.ones((2, 64, 64), bool), (64, 64))


def test_from_the_command_line(run_folder: Path, candies: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    mask, found = tmp_path / "mask.png", tmp_path / "found.json"
    Image.fromarray(right_part()).save(mask)
    pictures = [str(p) for p in sorted((candies / "Praline" / "test_public" / "data").glob("01_image_*.png"))]

    def evaluate(*more: str) -> dict:
        assert main(["evaluate", str(run_folder), "--json", str(found), *more]) == 0
        return json.loads(found.read_text())

    own = evaluate()
    assert own["region"] is None and "within" not in capsys.readouterr().out
    assert evaluate("--roi", str(mask))["region"] == 0.75
    assert "Judged inside a region of 75 % of the picture" in capsys.readouterr().out
    assert evaluate() == own  # for that call only
    automatic = evaluate("--roi", "auto")
    assert 0.2 < automatic["region"] < 0.8 and automatic["pixel_auroc"] != own["pixel_auroc"]
    capsys.readouterr()
    assert main(["predict", str(run_folder), *pictures, "--roi", str(mask)]) == 0
    assert "judged inside a region of 75 % of the picture" in capsys.readouterr().out
    assert not (run_folder / REGION_FILE).exists()

    train = ["train", str(candies), "Praline", "--out", str(run_folder), "--size", "64", "--width", "16"]
    train += ["--epochs", "2", "--fusion", "attention"]
    weights = (run_folder / "model.safetensors").read_bytes()
    assert main([*train, "--roi", str(mask)]) == 0 and (run_folder / REGION_FILE).exists()
    assert "within 75 % of the picture" in capsys.readouterr().out
    assert evaluate()["region"] == 0.75 and evaluate("--roi", "none") == own
    assert main(train) == 0 and (run_folder / REGION_FILE).exists()  # as it is
    assert main([*train, "--roi", "none"]) == 0 and evaluate() == own
    assert weights == (run_folder / "model.safetensors").read_bytes()


def test_a_wrong_file_costs_no_training(candies: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    out = tmp_path / "new"
    train = ["train", str(candies), "Praline", "--out", str(out), "--size", "64", "--roi", str(tmp_path / "no.png")]
    assert main(train) == 2 and not out.exists()
    assert f"{tmp_path / 'no.png'} does not exist" in capsys.readouterr().err
    assert main([*train[:-1], str(tmp_path)]) == 2 and not out.exists()
    assert str(tmp_path) in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([*train[:-1], ""])
    assert "--roi" in capsys.readouterr().err


def test_a_region_beside_the_data_is_that_of_new_runs(candies: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    root, out = tmp_path / "data", tmp_path / "run"
    shutil.copytree(candies / "Praline", root / "Praline")
    picture = root / "Praline" / "roi.png"
    Image.fromarray(right_part()).save(picture)
    assert not afrd.data.dataset.check(root)
    train = ["train", str(root), "Praline", "--size", "64", "--width", "16", "--epochs", "1", "--memory", "64"]
    assert main([*train, "--out", str(out)]) == 0 and (stored_region(out, (64, 64)) == right_part()).all()
    assert f"judged inside the region of the data set, {picture}" in capsys.readouterr().out
    save_region(out, None)  # as in the page; it stays the whole picture
    assert main([*train, "--out", str(out)]) == 0 and stored_region(out, (64, 64)) is None
    assert "of the data set" not in capsys.readouterr().out
    assert main([*train, "--out", str(tmp_path / "whole"), "--roi", "none"]) == 0
    assert stored_region(tmp_path / "whole", (64, 64)) is None
    picture.write_bytes(b"no picture")
    assert main([*train, "--out", str(tmp_path / "new")]) == 2 and not (tmp_path / "new").exists()
    assert str(picture) in capsys.readouterr().err
