"""Only the pictures of the lights that were asked for are read, in training, evaluating and explaining."""

import shutil
from pathlib import Path

import pytest

import afrd
import afrd.runs.store
from afrd.runs.feature_store import features_stored, load_features


@pytest.fixture
def own_store(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("AFRD_CACHE", str(tmp_path / "cache"))


def fit(root: Path, out: Path, lights: list[str]):
    data = afrd.open_dataset(root, "Praline")
    return data, afrd.fit(data, lights, out, method="memory", size=64, show_progress=False)


def test_a_missing_picture_of_another_light_stops_nothing(candies, tmp_path: Path, own_store):
    root = tmp_path / "data"
    shutil.copytree(candies / "Praline", root / "Praline")
    for split in ("train", "val", "test_public"):
        next((root / "Praline" / split / "data").glob("*_image_3.png")).unlink()  # top
    data, run = fit(root, tmp_path / "run", ["left", "box"])
    scores = run.evaluate(data["test_public"]).table.score
    assert run.predict(data["test_public"].select(["left", "box"])[1]).score == pytest.approx(scores[1], rel=1e-3)
    with pytest.raises(FileNotFoundError, match="no picture under light 'top'"):
        fit(root, tmp_path / "other", ["top"])
    assert not (tmp_path / "other").exists()


def test_features_of_all_lights_serve_some_of_them_and_others_are_not_computed(candies, tmp_path: Path, own_store):
    data, run = fit(candies, tmp_path / "run", ["box", "left"])
    assert {entry.about.lights for entry in afrd.runs.store.entries()} == {("left", "box")}
    train, teacher = data["train"], run.teacher
    assert features_stored(train, teacher, 64, ["box", "left"]) and not features_stored(train, teacher, 64)
    some = load_features(train, teacher, 64, lights=["box", "left"])
    whole = load_features(train, teacher, 64)
    assert load_features(train, teacher, 64, lights=["box", "left"]).lights == train.lights
    box = [some.positions(["box"]), whole.positions(["box"])]
    for few, every in zip(some.batch([1], box[0]), whole.batch([1], box[1]), strict=True):
        assert few.allclose(every, rtol=1e-2, atol=1e-2)


def test_runs_on_some_lights_are_the_same_from_either_features(candies, tmp_path: Path, own_store):
    data, first = fit(candies, tmp_path / "first", ["top"])
    load_features(data["train"], first.teacher, 64)
    load_features(data["val"], first.teacher, 64)
    load_features(data["test_public"], first.teacher, 64)
    _, second = fit(candies, tmp_path / "second", ["top"])
    scores = [run.evaluate(data["test_public"]).table.score.to_numpy() for run in (first, second)]
    assert scores[0] == pytest.approx(scores[1], rel=1e-2)
