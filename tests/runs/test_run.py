"""Run folders: predictions that agree with each other, and files that may come from strangers."""

import gc
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import afrd
from afrd.metrics.words import METRICS
from afrd.page.common.library import Library
from afrd.runs.run_folder import find_runs


@pytest.fixture(scope="module")
def run(tiny_runs):
    return afrd.load_run(tiny_runs / "Praline" / "afrd", device="cpu")


@pytest.fixture(scope="module")
def test_set(candies):
    return afrd.open_dataset(candies, "Praline")["test_public"]


def test_a_prediction_agrees_with_the_evaluation_and_with_the_stored_features(run, test_set):
    table = run.evaluate(test_set)
    for i in (0, 3):
        fresh, stored = run.predict(test_set[i]), run.predict_stored(test_set, i)
        np.testing.assert_allclose(fresh.anomaly_map, table.maps[i], rtol=2e-2, atol=1e-3)
        np.testing.assert_allclose(stored.anomaly_map, table.maps[i], rtol=1e-4, atol=1e-5)
        assert stored.score == pytest.approx(table.table.score[i], rel=1e-4)
        assert stored.verdict == table.table.verdict[i]
    assert set(table.metrics()) == set(METRICS)
    assert list(table.table.columns) == ["sample", "anomalous", "defects", "score", "verdict"]


def test_a_prediction_explains_itself(run, test_set):
    seen = run.predict(test_set[1], lights=["top", "box"])
    assert seen.lights == ("top", "box")
    assert seen.anomaly_map.shape == (64, 64) and seen.light_maps.shape == seen.attention.shape == (2, 64, 64)
    np.testing.assert_allclose(seen.attention.sum(0), 1, rtol=1e-5)
    np.testing.assert_allclose((seen.attention * seen.light_maps).sum(0), seen.anomaly_map, rtol=1e-4, atol=1e-6)
    assert seen.score == pytest.approx(seen.anomaly_map.max())


def test_the_order_in_which_lights_are_given_does_not_matter(run, test_set):
    sample = test_set[2]
    turned = sample.select(tuple(reversed(sample.lights)))
    np.testing.assert_allclose(run.predict(turned).anomaly_map, run.predict(sample).anomaly_map, rtol=1e-4, atol=1e-6)


def test_a_sample_may_lack_lights_and_bring_unknown_ones(run, test_set):
    sample = test_set[2]
    part = run.predict(sample.select(["top", "left"]))
    np.testing.assert_allclose(part.anomaly_map, run.predict(sample, "top,left").anomaly_map, rtol=1e-4, atol=1e-6)
    strange = afrd.Sample("s", sample.images[:2], ("top", "infrared"))
    assert run.predict(strange).lights == ("top",)
    with pytest.raises(ValueError, match=r"has lights infrared, but run .* was trained on spots, bottom"):
        run.predict(strange.select(["infrared"]))
    with pytest.raises(ValueError, match="light 'box' is not known"):
        run.predict(sample.select(["top"]), lights=["box"])


def test_a_threshold_belongs_to_its_lights(run):
    alone, together = run.threshold("top"), run.threshold()
    assert alone.samples == together.samples == 3 and alone.value != together.value
    assert together.alpha == pytest.approx(0.25) and "5% cannot be promised with fewer than 19" in str(together)


def test_the_threshold_is_a_score_that_a_calibration_sample_really_has(run, candies):
    val = run.evaluate(afrd.open_dataset(candies, "Praline")["val"], "top,box")
    assert run.threshold("top,box").value == pytest.approx(val.table.score.max(), rel=1e-6)


def test_the_fused_target_has_thresholds_for_any_lights_too(candies, tmp_path):
    data = afrd.open_dataset(candies, "Praline")
    options = {"size": 64, "width": 16, "epochs": 1, "show_progress": False}
    run = afrd.fit(data, "all", tmp_path / "run", target="fused", **options)
    val = run.evaluate(data["val"], "top,box")
    assert run.threshold("top,box").value == pytest.approx(val.table.score.max(), rel=1e-5)
    assert run.threshold().value == pytest.approx(run.evaluate(data["val"]).table.score.max(), rel=1e-5)


def test_runs_are_found_and_know_what_they_are(tiny_runs):
    found = find_runs(tiny_runs)
    assert [path.name for path in found] == ["afrd", "single-top"]
    assert [afrd.load_run(path).method() for path in found] == [
        "AFRD, attention over evidence, all lights",
        "single-light RD, top",
    ]


def test_another_rig_is_refused_in_one_sentence(run, candies, tmp_path: Path):
    shutil.copytree(candies / "Praline" / "train", tmp_path / "Praline" / "train")
    for picture in (tmp_path / "Praline" / "train" / "data").glob("*_image_5.png"):
        picture.unlink()
    other = afrd.open_dataset(tmp_path, "Praline")["train"]
    with pytest.raises(ValueError, match="has no light"):
        run.evaluate(other)


def broken(tiny_runs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_runs / "Praline" / "single-top", tmp_path / "broken"))


def test_a_broken_run_is_named_in_one_sentence(tiny_runs, tmp_path: Path):
    folder = broken(tiny_runs, tmp_path)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be read as safetensors"):
        afrd.load_run(folder)
    torch.save({"a": torch.zeros(1)}, folder / "model.safetensors")  # a pickle under the right name
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        afrd.load_run(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="is not finished"):
        afrd.load_run(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ValueError, match="is not a run folder"):
        afrd.load_run(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(format=99),
        lambda c: c["model"].update(lights="top"),
        lambda c: c["model"].update(fusion="sum"),
        lambda c: c["model"].update(extra=1),
        lambda c: c["fit"].pop("size"),
        lambda c: c["fit"].update(size="big"),
        lambda c: c["model"].update(width=10**9),
        lambda c: c["model"].update(width=5000),
        lambda c: c["model"].update(lights=[]),
        lambda c: c["model"].update(lights=["top", "top"]),
        lambda c: c["model"].update(lights=[f"light {i}" for i in range(50_000)]),
        lambda c: c["model"].update(strides=[0, 0]),
        lambda c: c["model"].update(channels=[40]),
        lambda c: c["fit"].update(size=0),
        lambda c: c["fit"].update(picture_size=[10**6, 10**6]),
        lambda c: c.pop("model"),
    ],
)
def test_a_config_from_a_stranger_is_checked(tiny_runs, tmp_path: Path, change):
    folder = broken(tiny_runs, tmp_path)
    content = json.loads((folder / "config.json").read_text())
    change(content)
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"config\.json"):
        afrd.load_run(folder)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"format": ' + "9" * 5000 + "}", '{"x": "' + "\\u0000" * 1000])
def test_a_config_that_only_looks_like_json_breaks_no_list_of_runs(tiny_runs, tmp_path: Path, content: str):
    folder = broken(tiny_runs, tmp_path)
    (folder / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json cannot be read as JSON") as error:
        afrd.load_run(folder)
    assert len(str(error.value)) < 500
    assert Library(tmp_path, None).categories() == []


@pytest.mark.parametrize(
    "change",
    [
        lambda t: {name: part * float("nan") for name, part in t.items()},
        lambda t: t | {"weights": t["weights"][..., :3]},
        lambda t: {name: part[:, [0, 0]] for name, part in t.items()},
        lambda t: {name: part.flatten(1) for name, part in t.items()},
    ],
)
def test_a_calibration_of_another_run_is_refused_when_the_run_is_loaded(tiny_runs, tmp_path: Path, change):
    folder = broken(tiny_runs, tmp_path)
    tensors = change(load_file(folder / "calibration.safetensors"))
    save_file({name: part.contiguous() for name, part in tensors.items()}, folder / "calibration.safetensors")
    with pytest.raises(ValueError, match=r"calibration\.safetensors is not of this run; the run must be trained anew"):
        afrd.load_run(folder)


def test_weights_that_are_no_numbers_judge_nothing(tiny_runs, tmp_path: Path):
    folder = broken(tiny_runs, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    next(part for part in tensors.values() if part.is_floating_point()).view(-1)[0] = float("nan")
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ValueError, match="do not fit"):  # a score that is no number is not above any threshold
        afrd.load_run(folder)


def test_weights_of_another_model_are_refused(tiny_runs, tmp_path: Path):
    folder = broken(tiny_runs, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    name = next(iter(tensors))
    save_file(tensors | {name: torch.zeros(2, 2)}, folder / "model.safetensors")
    with pytest.raises(ValueError, match="do not fit"):
        afrd.load_run(folder)


def test_a_run_of_another_teacher_is_refused(tiny_runs, tmp_path: Path, test_set):
    folder = broken(tiny_runs, tmp_path)
    content = json.loads((folder / "config.json").read_text())
    content["fit"]["teacher_digest"] = "0" * 16
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="was trained with other weights"):
        afrd.load_run(folder).predict(test_set[0])


def test_stored_features_need_no_teacher_and_runs_of_one_teacher_share_it(tiny_runs, test_set, monkeypatch):
    first, second = (afrd.load_run(tiny_runs / "Praline" / name) for name in ("afrd", "single-top"))
    assert first.teacher is second.teacher
    first.features(test_set)
    monkeypatch.setattr("afrd.model.teacher.load_teacher", lambda *_: pytest.fail("a teacher is loaded"))
    del first, second
    gc.collect()
    run = afrd.load_run(tiny_runs / "Praline" / "afrd")
    assert run.features_stored(test_set) and len(run.evaluate(test_set).table) == len(test_set)
