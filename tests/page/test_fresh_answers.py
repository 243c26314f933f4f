"""What the page keeps is made anew as soon as a file changes that the answer depends on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import afrd
from afrd.data.uploads import Upload
from afrd.files import snapshot
from afrd.page.common import keys
from afrd.page.common.library import Library
from afrd.page.common.samples import first_selection
from afrd.page.light_table.scene import scene
from afrd.page.lights.sample import SamplePart
from afrd.page.lights.subject import Surveys
from afrd.page.upload.sample import SampleEvaluator, UploadedSample
from afrd.runs.run_folder import copy_run, read_config


@pytest.fixture
def candies_of_my_own(candies: Path, tmp_path: Path) -> Path:
    shutil.copytree(candies / "Praline", tmp_path / "data" / "Praline")
    return tmp_path / "data"


@pytest.fixture
def plain(candies: Path, tmp_path: Path) -> Path:
    """The train split as folders of one's own rig."""
    data = afrd.open_dataset(candies, "Praline")
    for split, kind, source in (("train", "good", "train"), ("test", "dents", "test_public")):
        for i, name in enumerate(data[source].names):
            folder = tmp_path / "plain" / "Praline" / split / kind / name
            folder.mkdir(parents=True)
            for light in ("top", "box"):
                shutil.copy(data[source].picture(i, light), folder / f"{light}.png")
    return tmp_path / "plain"


@pytest.fixture(scope="module")
def other_run(candies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of all lights, trained anew with another seed."""
    folder = tmp_path_factory.mktemp("other") / "afrd"
    data = afrd.open_dataset(candies, "Praline")
    afrd.fit(data, "all", folder, size=64, width=16, epochs=2, seed=7, show_progress=False)
    return folder


def train_again(folder: Path, other: Path) -> None:
    """The files of a run become those of another training."""
    shutil.rmtree(folder)
    shutil.copytree(other, folder)


def test_a_new_sample_in_plain_folders_is_seen(plain: Path, tmp_path: Path):
    library = Library(tmp_path / "none", plain)
    data = library.data_of(library.category("Praline"))
    before = len(data["train"])
    assert library.data_of(library.category("Praline")) is data  # nothing changed
    shutil.copytree(plain / "Praline" / "train" / "good" / data["train"].names[0].split("/")[-1], tmp_path / "sample")
    shutil.move(tmp_path / "sample", plain / "Praline" / "train" / "good" / "new")
    assert len(library.data_of(library.category("Praline"))["train"]) == before + 1


def test_a_label_that_is_corrected_is_seen(candies_of_my_own: Path, tmp_path: Path):
    library = Library(tmp_path / "none", candies_of_my_own)

    def labels() -> list[bool | None]:
        return library.data_of(library.category("Praline"))["test_public"].anomalous

    before = labels()
    position = before.index(True)
    names = library.data_of(library.category("Praline"))["test_public"].names
    file = candies_of_my_own / "Praline" / "test_public" / "data" / f"{names[position]}_metadata.yaml"
    with file.open("r+") as text:  # in place, so that no folder changes
        content = text.read().replace("1", "0").replace("true", "false")
        text.seek(0)
        text.write(content)
        text.truncate()
    os.utime(file, ns=(1, 1))
    assert before[position] is True and labels()[position] is False


def test_pictures_that_are_overwritten_by_larger_ones_are_shown(candies_of_my_own: Path, tmp_path: Path):
    library = Library(tmp_path / "none", candies_of_my_own)

    def side() -> int:
        dataset = library.data_of(library.category("Praline"))["test_public"]
        return library.sample(dataset, 0).images.shape[-1]

    assert side() == 64
    for file in (candies_of_my_own / "Praline").rglob("*.png"):
        with Image.open(file) as picture:
            larger = picture.resize((96, 96), Image.Resampling.NEAREST)
        larger.save(file)  # in place, so that no folder changes
    assert side() == 96


def test_your_own_sample_is_judged_by_the_run_as_it_is_now(runs: Path, other_run: Path, candies: Path):
    evaluator = SampleEvaluator(Library(runs, None))
    folder = runs / "Praline" / "afrd"
    dataset = afrd.open_dataset(candies, "Praline")["test_public"]
    uploads = tuple(Upload(dataset.picture(0, light), f"{light}.png", light) for light in dataset.lights)
    own = replace(evaluator.with_run(UploadedSample(), str(folder)), uploads=uploads)

    def score() -> float:
        sample, _ = evaluator.sample(own, evaluator.library.run(folder))
        return evaluator.predict(own, sample, folder, dataset.lights).score

    before = score()
    assert score() == before
    train_again(folder, other_run)
    assert score() == pytest.approx(afrd.load_run(other_run).predict(dataset[0]).score, rel=1e-5)
    assert score() != before


def test_a_prediction_is_that_of_the_run_and_the_picture_as_they_are_now(
    runs: Path, other_run: Path, candies_of_my_own: Path
):
    library = Library(runs, candies_of_my_own)
    folder = runs / "Praline" / "afrd"

    def score() -> float:
        dataset = library.data_of(library.category("Praline"))["test_public"]
        return library.prediction(folder, dataset, 0, dataset.lights).score

    scores = [score()]
    train_again(folder, other_run)
    scores.append(score())
    dataset = afrd.open_dataset(candies_of_my_own, "Praline")["test_public"]
    for light in dataset.lights:
        shutil.copy(dataset.picture(1, light), dataset.picture(0, light))
    scores.append(score())
    assert len(set(scores)) == 3


def test_reasons_show_the_training_pictures_as_they_are_now(runs: Path, candies_of_my_own: Path):
    library = Library(runs, candies_of_my_own)
    selection = replace(first_selection(library, "Praline"), pinned=(30, 30))

    def neighbours() -> list:
        lights = json.loads(scene(library, selection))["why"]["lights"]
        return [light["neighbours"] for light in lights]

    before = neighbours()
    assert all(before) and neighbours() == before
    train = afrd.open_dataset(candies_of_my_own, "Praline")["train"]
    for i in range(len(train)):
        for light in train.lights:
            with Image.open(train.picture(i, light)) as picture:
                turned = picture.transpose(Image.Transpose.ROTATE_180)
            turned.save(train.picture(i, light))
    after = neighbours()
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert [[n["distance"] for n in near] for near in before] != [[n["distance"] for n in near] for near in after]


def test_a_category_keeps_its_key_when_another_root_has_one_of_the_same_name(runs: Path, candies: Path, tmp_path: Path):
    library = Library(runs, None)
    selection = first_selection(library, None)
    root = library.category(selection.category).root
    shutil.copytree(candies / "Praline", tmp_path / "another" / "Praline")
    config = read_config(runs / "Praline" / "afrd")[1]
    copy_run(runs / "Praline" / "afrd", runs / "A" / "first", replace(config, data_root=str(tmp_path / "another")))
    entries = {entry.key: entry.root for entry in library.categories()}
    assert entries[selection.category] == root  # the view that is open stays what it was
    assert entries[f"Praline ({tmp_path / 'another'})"] == tmp_path / "another" and len(entries) == 2
    assert "message" not in json.loads(scene(library, selection))


def test_two_roots_that_are_there_from_the_start_are_told_apart(runs: Path, candies: Path, tmp_path: Path):
    shutil.copytree(candies / "Praline", tmp_path / "another" / "Praline")
    config = read_config(runs / "Praline" / "afrd")[1]
    copy_run(runs / "Praline" / "afrd", runs / "A" / "first", replace(config, data_root=str(tmp_path / "another")))
    keys_of = {entry.key for entry in Library(runs, None).categories()}
    assert keys_of == {f"Praline ({root})" for root in (tmp_path / "another", config.data_root)}


def test_a_second_explanation_of_pixels_is_by_the_method_that_was_asked_for(runs: Path, candies: Path, monkeypatch):
    surveys = Surveys(Library(runs, candies))
    asked: list[tuple[str, str, str]] = []

    class Part(SamplePart):
        def __init__(self) -> None:
            self.surveys = surveys
            self.components = self  # type: ignore[assignment]

        def filled(self, values: dict) -> dict:
            return values

    def explained(subject, method, baseline, light, report):
        asked.append((method, baseline, light))
        while len(asked) < 2:  # the first one goes on until the second one has been asked for
            report("waits", 0, 0)
        raise ValueError(f"{method} against {baseline} of {light}")

    monkeypatch.setattr("afrd.page.lights.sample.explained", explained)
    monkeypatch.setattr("afrd.page.lights.sample.CHECK_SECONDS", 0.01)
    monkeypatch.setattr(surveys.jobs, "_worker", _AtOnce())

    class Session:
        selection = first_selection(surveys.library, "Praline")

    first = Part().which_pixels(Session(), "occlusion", "black", "all lights")  # type: ignore[arg-type]
    next(first)
    second = list(Part().which_pixels(Session(), "ablation", "black", "top"))  # type: ignore[arg-type]
    assert "ablation against black of top" in second[-1]["progress"]
    assert "occlusion against black of all lights" in list(first)[-1]["progress"]


class _AtOnce:
    """A worker that gives every job a thread of its own."""

    def submit(self, work, title):
        from afrd.background.jobs import Worker

        return Worker().submit(work, title)


@pytest.mark.parametrize("kind", ["function", "generator"])
def test_an_event_sees_every_file_as_it_was_when_it_first_looked(tmp_path: Path, kind: str):
    file = tmp_path / "file"
    file.write_text("a")

    def look() -> tuple:
        first = keys.of_file(file)
        os.utime(file, ns=(len(seen) + 1, len(seen) + 1))
        return first, keys.of_file(file)

    def steps() -> Iterator[tuple]:
        yield look()
        yield look()

    seen: list[tuple] = []
    for _ in range(2):
        handler = keys.in_snapshot(look if kind == "function" else steps)
        seen.append(handler() if kind == "function" else sum(handler(), ()))
    assert all(len(set(states)) == 1 for states in seen) and seen[0][0] != seen[1][0]
    with snapshot():
        assert keys.of_file(file) != seen[1][0]


def test_results_are_measured_by_the_memory_that_they_take():
    from afrd.runs.cache import size_of

    maps = np.zeros((3, 64, 64), np.float32)
    assert size_of(maps) == pytest.approx(maps.nbytes, rel=0.01)
    assert size_of([maps, {"a": maps}]) == pytest.approx(2 * maps.nbytes, rel=0.05)
    assert size_of("x" * 10_000) == pytest.approx(10_000, rel=0.01)
    import pandas as pd

    assert size_of(pd.DataFrame({"a": np.zeros(1000)})) == pytest.approx(8000, rel=0.1)


def test_samples_and_predictions_stay_within_their_bytes(runs: Path, candies: Path):
    library = Library(runs, candies)
    dataset = library.data_of(library.category("Praline"))["test_public"]
    one = dataset[0].images.nbytes
    from afrd.runs.cache import Cache

    library._samples = Cache(2.5 * one)
    for i in range(len(dataset)):
        library.sample(dataset, i)
    assert one < library._samples.size <= 2.5 * one
