"""Training on real files: it learns, goes on where it stopped, and says what is wrong."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file

import afrd
from afrd.model.device import autocast, pick_device
from afrd.model.inputs import local_contrast, teacher_size
from afrd.model.teacher import load_teacher
from afrd.runs.calibration import calibration_index
from afrd.runs.feature_store import load_features
from afrd.runs.options import TrainingOptions
from afrd.runs.plan import plan, split_train
from afrd.runs.run_folder import read_config
from afrd.runs.training import Cancelled, crop, learning_rate, train

QUICK = {"size": 64, "width": 16, "show_progress": False}


@pytest.fixture(scope="module")
def data(candies):
    return afrd.open_dataset(candies, "Praline")


@pytest.fixture(scope="module")
def teacher():
    return load_teacher()


@pytest.fixture(autouse=True)
def checkpoint_every_epoch(monkeypatch):
    monkeypatch.setattr("afrd.runs.training.CHECKPOINT_SECONDS", 0.0)


def test_training_makes_a_whole_run_folder(data, teacher, tmp_path: Path):
    run = afrd.fit(data, "all", tmp_path / "run", teacher=teacher, epochs=30, **QUICK)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"config.json", "history.csv", "model.safetensors", "calibration.safetensors", "log.txt"} | {
        "training_parts.csv"
    }
    loss = run.history().loss
    assert len(loss) == 30 and loss.iloc[-3:].mean() < loss.iloc[:3].mean() - 0.5
    assert run.lights == data.lights and run.config.calibration == "val"
    assert run.threshold().samples == 3


def test_an_interrupted_training_ends_with_the_same_weights(data, teacher, tmp_path: Path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = {"teacher": teacher, "epochs": 6, "batch": 4, **QUICK}
    afrd.fit(data, "top,box", whole, **options)
    for stop in (3, 9):
        with pytest.raises(Cancelled, match=rf"stopped at step {stop} of 12"):
            afrd.fit(data, "top,box", parts, on_step=lambda report, stop=stop: report.step == stop, **options)
        assert (parts / "checkpoint.safetensors").exists() and not (parts / "model.safetensors").exists()
    seen = []
    resumed = afrd.fit(data, "top,box", parts, on_step=lambda report: seen.append(report.step), **options)
    assert seen[0] == 9 and len(resumed.history()) == 12  # from the last whole epoch, after step 8
    expected, found = (load_file(folder / "model.safetensors") for folder in (whole, parts))
    assert expected.keys() == found.keys()
    for name in expected:
        assert torch.equal(expected[name], found[name]), name


def test_a_checkpoint_of_another_model_is_refused_by_name(data, teacher, tmp_path: Path):
    folder = tmp_path / "run"
    with pytest.raises(Cancelled):
        afrd.fit(data, "top", folder, teacher=teacher, epochs=6, on_step=lambda report: report.step == 3, **QUICK)
    save_file({"student.weight": torch.zeros(2)}, folder / "checkpoint.safetensors", {"epoch": "1", "history": "[]"})
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors is not a checkpoint of this training; delete it"):
        afrd.fit(data, "top", folder, teacher=teacher, epochs=6, **QUICK)


def test_a_finished_run_is_not_trained_again(data, teacher, tmp_path: Path):
    options = {"teacher": teacher, "epochs": 1, **QUICK}
    afrd.fit(data, "top", tmp_path / "run", **options)
    afrd.fit(data, "top", tmp_path / "run", on_step=lambda _: pytest.fail("trained again"), **options)
    with pytest.raises(ValueError, match=r"holds a run with epochs 1, not 2; choose another folder"):
        afrd.fit(data, "top", tmp_path / "run", **(options | {"epochs": 2}))


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(data, teacher, tmp_path: Path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        afrd.fit(data, "top", tmp_path / name, teacher=teacher, epochs=2, seed=seed, **QUICK)
    a, b, c = (load_file(tmp_path / name / "model.safetensors") for name in "abc")
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not all(torch.equal(a[k], c[k]) for k in a)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch) -> Path:
    """A feature store that no other test and no page in another process writes to."""
    monkeypatch.setenv("AFRD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_features_are_computed_once_and_again_for_a_changed_picture(candies, teacher, tmp_path: Path, own_cache):
    shutil.copytree(candies / "Praline", tmp_path / "Praline")
    dataset = afrd.open_dataset(tmp_path, "Praline")["val"]
    calls: list[int] = []
    first = load_features(dataset, teacher, 64, lambda done, total: calls.append(done))
    assert (
        calls == [1, 2, 3] and first.scales[0].shape == (3, 6, 40, 8, 8) and first.scales[1].shape == (3, 6, 112, 4, 4)
    )
    load_features(dataset, teacher, 64, lambda *_: pytest.fail("computed again"))
    sample = dataset[1]
    expected = teacher(sample.images)[0].half().numpy()
    np.testing.assert_allclose(first.scales[0][1], expected, rtol=2e-2, atol=2e-2)
    np.testing.assert_allclose(first.contrast[1], local_contrast(sample.images, (8, 8)), rtol=1e-3)
    picture = dataset.picture(0, "top")
    picture.write_bytes(dataset.picture(1, "top").read_bytes())
    again = load_features(afrd.open_dataset(tmp_path, "Praline")["val"], teacher, 64)
    assert not np.array_equal(again.scales[0][0, 3], first.scales[0][0, 3])
    assert not list(own_cache.rglob(".unfinished*"))


def test_features_with_a_missing_file_are_computed_anew(candies, teacher, own_cache):
    dataset = afrd.open_dataset(candies, "Praline")["val"]
    whole = load_features(dataset, teacher, 64)
    (file,) = own_cache.rglob("contrast.npy")
    file.unlink()  # as an older version left them
    again = load_features(dataset, teacher, 64)
    assert np.array_equal(again.contrast, whole.contrast) and np.array_equal(again.scales[1], whole.scales[1])


def test_the_contrast_is_the_deviation_of_the_grey_levels_around(candies):
    pictures = afrd.open_dataset(candies, "Praline")["train"][0].images  # 64 pixels: a cell of the grid has 8
    found = local_contrast(pictures, (8, 8))
    levels = 255 * pictures.double().numpy()
    for light, row, column in ((0, 4, 4), (3, 2, 5), (5, 7, 0)):
        rows, columns = (slice(8 * max(0, k - 1), 8 * min(8, k + 2)) for k in (row, column))
        around = levels[light, :, rows, columns].reshape(3, -1)
        assert found[light, row, column].item() == pytest.approx(around.var(1).mean() ** 0.5, rel=1e-3)
    torch.testing.assert_close(local_contrast(0.25 * pictures, (8, 8)), found / 4, rtol=1e-3, atol=0.02)
    assert local_contrast(torch.full((1, 3, 64, 48), 0.9), (8, 6)).max() < 0.1  # nothing to be seen


def test_nothing_half_written_is_left_when_a_picture_is_broken(candies, teacher, tmp_path: Path, own_cache):
    shutil.copytree(candies / "Praline", tmp_path / "Praline")
    dataset = afrd.open_dataset(tmp_path, "Praline")["train"]
    dataset.picture(4, "left").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=dataset.picture(4, "left").name):
        afrd.fit(afrd.open_dataset(tmp_path, "Praline"), "all", tmp_path / "run", teacher=teacher, epochs=1, **QUICK)
    assert not (tmp_path / "run").exists()
    assert not list(own_cache.rglob(".unfinished*"))


STOPPED = """
import sys, threading, time, torch
from afrd.cli.commands import heed_termination
from afrd.data.dataset import open_dataset
from afrd.runs.feature_store import load_features
from afrd.model.teacher import load_teacher

heed_termination()
torch.set_num_threads(1)
work = open_dataset(sys.argv[1], "Praline")["train"], load_teacher(), 64
stay = lambda done, total: (print("computing", flush=True), time.sleep(600))
if sys.argv[2] == "in the background":
    threading.Thread(target=load_features, args=(*work, stay), daemon=True).start()
    time.sleep(600)
load_features(*work, stay)
"""


@pytest.mark.parametrize("where", ["in the background", "in the foreground"])
def test_no_features_are_left_half_computed_when_the_process_is_told_to_end(candies, own_cache, where):
    process = subprocess.Popen([sys.executable, "-c", STOPPED, candies, where], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "computing\n" and len(list(own_cache.rglob(".unfinished*"))) == 1
    process.terminate()
    process.communicate(timeout=60)
    assert not list(own_cache.rglob(".unfinished*"))


def test_what_a_killed_process_left_is_swept_after_a_day(candies, teacher, own_cache):
    old, new = (own_cache / "features" / name for name in (".unfinished-old", ".unfinished-new"))
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "scale0.npy").write_bytes(b"half")
    for path in (old / "scale0.npy", old):
        os.utime(path, (time.time() - 25 * 3600,) * 2)
    load_features(afrd.open_dataset(candies, "Praline")["val"], teacher, 64)
    assert not old.exists() and (new / "scale0.npy").exists()


def test_without_a_validation_split_some_training_samples_are_kept_for_the_threshold(candies, teacher, tmp_path: Path):
    shutil.copytree(candies / "Praline" / "train", tmp_path / "Praline" / "train")
    alone = afrd.open_dataset(tmp_path, "Praline")
    train, calibration = split_train(alone)
    assert calibration is None and train == [0, 1, 2, 3, 5] and calibration_index(alone["train"], True) == [4]
    run = afrd.fit(alone, "top", tmp_path / "run", teacher=teacher, epochs=1, **QUICK)
    assert run.config.calibration == "held out of train" and run.threshold().samples == 1
    fused = afrd.fit(alone, "all", tmp_path / "fused", target="fused", teacher=teacher, epochs=1, **QUICK)
    assert fused.threshold("top").samples == 1


def test_grey_pictures_of_any_shape_and_number_of_lights_can_be_trained_on(teacher, tmp_path: Path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(4):
        folder = tmp_path / "relief" / "train" / "good" / f"part{i}"
        folder.mkdir(parents=True)
        for light in ("led1", "led2", "ambient"):
            Image.fromarray(rng.integers(0, 255, (48, 80), np.uint8)).save(folder / f"{light}.png")
    data = afrd.open_dataset(tmp_path, "relief")
    run = afrd.fit(data, "all", tmp_path / "run", teacher=teacher, epochs=1, **QUICK)
    seen = run.predict(data["train"][0])
    assert seen.anomaly_map.shape == (48, 80) and seen.attention.shape == (3, 48, 80)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"lights": "dome2"}, "light 'dome2' is not known"),
        ({"size": 8}, "size is 8, but must be at least 32"),
        ({"size": 10**11}, "size is 100000000000, but must be at most 10000"),
        ({"width": 8 * 10**9}, "width is 8000000000, but must be at most 4096"),
        ({"seed": -1}, r"seed is -1, but must be from 0 to 2\^63 - 1"),
        ({"seed": 10**20}, r"seed is 10{20}, but must be from 0 to 2\^63 - 1"),
        ({"epochs": 0}, "epochs is 0"),
        ({"width": 20}, "width is 20, but must be a multiple of 8"),
        ({"device": "cuda:9"}, "device 'cuda:9' cannot be used here"),
        ({"device": "abacus"}, "device 'abacus' cannot be used here"),
        ({"teacher": "vgg"}, "teacher 'vgg' is not known"),
        ({"fusion": "concat"}, "needs target 'fused'"),
    ],
)
def test_wrong_options_leave_nothing_behind(data, tmp_path: Path, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        afrd.fit(data, out=tmp_path / "run", **(QUICK | options))
    assert not (tmp_path / "run").exists()


def test_a_resnet_teacher_brings_the_student_of_rd4ad(data, tmp_path: Path):
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "r.pth")
    options = {"teacher": "resnet18", "weights": tmp_path / "r.pth", "epochs": 2, **QUICK}
    for lights, how in (("top", {}), ("top,box", {}), ("top,box", {"target": "fused", "fusion": "concat"})):
        run = afrd.fit(data, lights, tmp_path / f"{lights}{len(how)}", **how, **options)
        assert run.history().loss.iloc[-1] < run.history().loss.iloc[0]
        seen = afrd.load_run(run.folder).predict(data["test_public"][1])
        assert seen.anomaly_map.shape == (64, 64) and np.isfinite(seen.anomaly_map).all()


def test_a_folder_with_other_things_is_left_alone(data, teacher, tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match="is no run folder"):
        afrd.fit(data, "top", tmp_path, teacher=teacher, epochs=1, **QUICK)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_learning_rate_warms_up_and_falls():
    rates = [learning_rate(step, 100, 1.0) for step in range(100)]
    assert rates[0] == pytest.approx(0.2) and max(rates) == 1.0 and rates[-1] < 0.02
    assert all(a >= b for a, b in pairwise(rates[5:]))


def test_a_crop_is_the_same_place_in_every_scale():
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(32.0), indexing="ij")
    fine = torch.stack([y, x]).expand(1, 1, 2, 24, 32)
    coarse = torch.nn.functional.avg_pool2d(fine[0], 2)[None]
    for seed in range(20):
        a, b = crop([fine, coarse], 99, np.random.default_rng(seed))
        assert a.shape[-2:] == (20, 26) and b.shape[-2:] == (10, 13)
        torch.testing.assert_close(torch.nn.functional.avg_pool2d(a[0], 2)[None], b)
    one = [torch.zeros(1, 1, 2, 2, 2), torch.zeros(1, 1, 2, 1, 1)]
    assert [c.shape for c in crop(one, 99, np.random.default_rng(0))] == [o.shape for o in one]
    assert crop([fine, coarse], 7, np.random.default_rng(0))[0].shape[-2:] == (14, 14)  # no larger than asked for


def test_pictures_keep_their_proportions_before_the_teacher():
    assert teacher_size((256, 256), 384) == (384, 384)
    assert teacher_size((480, 640), 384) == (288, 384)
    assert teacher_size((10, 1000), 384) == (32, 384)


def test_the_step_can_be_compiled_and_computes_the_same(data, teacher, tmp_path: Path, monkeypatch):
    # The whole path but for the last stage, which takes a C++ compiler minutes.
    monkeypatch.setattr("torch.compile", partial(torch.compile, backend="aot_eager"))
    plain = afrd.fit(data, "top", tmp_path / "plain", teacher=teacher, epochs=1, **QUICK)
    compiled = afrd.fit(data, "top", tmp_path / "compiled", teacher=teacher, epochs=1, compiled=True, **QUICK)
    assert compiled.history().loss[0] == pytest.approx(plain.history().loss[0], rel=1e-2)


def test_features_that_stay_on_the_card_give_the_same_weights(data, teacher, tmp_path: Path, monkeypatch):
    afrd.fit(data, "all", tmp_path / "disk", teacher=teacher, epochs=2, **QUICK)
    held = lambda features, index, positions, device: features.batch(index, positions)  # noqa: E731
    monkeypatch.setattr("afrd.runs.training._features_on_gpu", held)
    afrd.fit(data, "all", tmp_path / "card", teacher=teacher, epochs=2, **QUICK)
    disk, card = (load_file(tmp_path / name / "model.safetensors") for name in ("disk", "card"))
    assert disk.keys() == card.keys() and all(torch.equal(disk[name], card[name]) for name in disk)


def test_training_leaves_the_random_numbers_of_the_caller_alone(data, teacher, tmp_path: Path):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    afrd.fit(data, "top", tmp_path / "run", teacher=teacher, epochs=1, seed=3, **QUICK)
    assert torch.equal(torch.rand(3), expected)


def test_auto_is_a_device_that_is_there():
    device = pick_device("auto")
    assert torch.zeros(1, device=device).device.type == device.type
    with autocast(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).tolist() == [[2, 2], [2, 2]]


def test_the_config_reads_back_what_was_written(data, teacher, tmp_path: Path):
    run = afrd.fit(data, "top,left", tmp_path / "run", teacher=teacher, epochs=1, **QUICK)
    model_config, config = read_config(tmp_path / "run")
    assert asdict(model_config) == asdict(run.model.config) and config == run.config
    assert model_config.lights == ("top", "left")


def test_a_plan_says_what_a_training_will_do_and_writes_nothing(data, teacher, tmp_path: Path):
    options = TrainingOptions(size=64, width=16, epochs=2, batch=4)
    made = plan(data, "top,box", tmp_path / "run", options, teacher=teacher)
    assert made.model.lights == ("top", "box") and made.config.epochs == 2
    assert (len(made.train_index), made.steps, made.finished) == (6, 4, False)
    assert made.calibration is data["val"] and made.calibration_index == [0, 1, 2]
    assert not (tmp_path / "run").exists()
    train(made, show_progress=False)
    assert plan(data, "top,box", tmp_path / "run", options, teacher=teacher).finished


def test_an_option_that_there_is_not_is_named(data, tmp_path: Path):
    with pytest.raises(TypeError, match="fit has no option 'epoch'; its options are method, target"):
        afrd.fit(data, out=tmp_path, epoch=3)


def test_a_finished_run_is_not_reused_for_other_pictures(candies: Path, teacher, tmp_path: Path):
    options = {"teacher": teacher, "size": 64, "method": "memory", "show_progress": False}
    few = tmp_path / "few"
    shutil.copytree(candies, few)
    for file in (few / "Praline" / "train" / "data").glob("005_*"):
        file.rename(tmp_path / file.name)  # a sample that is added later
    afrd.fit(afrd.open_dataset(few, "Praline"), out=tmp_path / "run", **options)
    weights = (tmp_path / "run" / "model.safetensors").read_bytes()
    afrd.fit(afrd.open_dataset(few, "Praline"), out=tmp_path / "run", **options)  # the same pictures: the same run
    for file in tmp_path.glob("005_*"):
        file.rename(few / "Praline" / "train" / "data" / file.name)
    sentence = (
        r"run was trained on other pictures \(5 of train, 3 of val\) than .*few holds now \(6 of train, 3 of val\)"
    )
    with pytest.raises(ValueError, match=sentence):
        afrd.fit(afrd.open_dataset(few, "Praline"), out=tmp_path / "run", **options)
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == weights


def test_a_checkpoint_is_not_continued_on_other_pictures(candies: Path, teacher, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("afrd.runs.training.CHECKPOINT_SECONDS", 0.0)
    root = tmp_path / "data"
    shutil.copytree(candies, root)
    options = {"teacher": teacher, "size": 64, "width": 16, "epochs": 4, "show_progress": False}
    with pytest.raises(Cancelled):
        afrd.fit(afrd.open_dataset(root, "Praline"), out=tmp_path / "run", on_step=lambda r: r.step == 3, **options)
    for file in (root / "Praline" / "train" / "data").glob("005_*"):
        file.unlink()
    with pytest.raises(ValueError, match="was trained on other pictures"):
        afrd.fit(afrd.open_dataset(root, "Praline"), out=tmp_path / "run", **options)


def test_uncompressed_pictures_of_one_size_are_told_apart(candies: Path, teacher, tmp_path: Path):
    source = afrd.open_dataset(candies, "Praline")["train"]
    for i, name in enumerate(source.names):
        (tmp_path / "data" / "P" / "train" / "good" / name).mkdir(parents=True)
        with Image.open(source.picture(i, "top")) as picture:
            picture.convert("RGB").save(tmp_path / "data" / "P" / "train" / "good" / name / "top.bmp")
    options = {"teacher": teacher, "size": 64, "method": "memory", "show_progress": False}
    afrd.fit(afrd.open_dataset(tmp_path / "data", "P"), out=tmp_path / "run", **options)
    first, second = sorted((tmp_path / "data").rglob("*.bmp"))[:2]
    shutil.copy(first, second)
    with pytest.raises(ValueError, match=r"trained on other pictures \(6 of train\) than .* \(6 of train, but not the"):
        afrd.fit(afrd.open_dataset(tmp_path / "data", "P"), out=tmp_path / "run", **options)


def test_fused_features_have_no_threshold_from_other_pictures(candies: Path, teacher, tmp_path: Path):
    root = tmp_path / "data"
    shutil.copytree(candies, root)
    options = {"teacher": teacher, "size": 64, "width": 16, "epochs": 1, "target": "fused", "show_progress": False}
    afrd.fit(afrd.open_dataset(root, "Praline"), "top,box,left", tmp_path / "run", **options)
    assert afrd.load_run(tmp_path / "run").threshold("top,box") is not None
    name = afrd.open_dataset(root, "Praline")["val"].names[-1]
    for file in (root / "Praline" / "val" / "data").glob(f"{name}_*"):
        file.unlink()
    run = afrd.load_run(tmp_path / "run")
    with pytest.raises(ValueError, match=r"trained on \(6 of train, 3 of val; now 6 of train, 2 of val\)"):
        run.threshold("top,box")
    assert run.threshold() is not None


def test_one_light_with_concatenated_features_is_trained_and_judged(data, teacher, tmp_path: Path):
    options = {"teacher": teacher, "size": 64, "width": 16, "epochs": 1, "show_progress": False}
    run = afrd.fit(data, "top", tmp_path / "run", target="fused", fusion="concat", **options)
    prediction = run.predict(data["test_public"][0])
    assert prediction.attention.shape == (1, 64, 64) and (prediction.attention == 1).all()
    assert len(run.evaluate(data["test_public"]).table) == 4 and run.threshold() is not None


@pytest.mark.parametrize(
    ("entry", "value"),
    [("lights", "ab"), ("width", True), ("channels", [16, "24"]), ("memory", 1.5), ("teacher", None)],
)
def test_a_config_with_an_entry_of_another_type_is_refused(data, teacher, tmp_path: Path, entry, value):
    afrd.fit(data, "top", tmp_path / "run", method="memory", teacher=teacher, size=64, show_progress=False)
    file = tmp_path / "run" / "config.json"
    content = json.loads(file.read_text())
    content["model"][entry] = value
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"config.json is not the config of a run \({entry}"):
        afrd.load_run(tmp_path / "run")


def test_fusion_is_learned_where_there_is_a_memory(candies: Path, tmp_path: Path):
    data = afrd.open_dataset(candies, "Praline")

    def fusion(lights: str, **options: Any) -> str:
        return plan(data, lights, tmp_path / "run", TrainingOptions(size=64, **options)).model.fusion

    assert fusion("all") == fusion("top,box") == "learned"
    assert fusion("top") == fusion("all", memory=0) == fusion("all", method="memory") == "attention"
    assert fusion("all", target="fused") == "attention" and fusion("all", fusion="mean") == "mean"
