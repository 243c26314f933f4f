"""The light table in a notebook: its traits in Python."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import traitlets

import afrd
from afrd.runs.loading import load_run
from afrd.runs.run import Run


@pytest.fixture(scope="module")
def run(tiny_runs: Path) -> Run:
    return load_run(tiny_runs / "Praline" / "afrd", "cpu")


@pytest.fixture(scope="module")
def split(candies: Path):
    return afrd.open_dataset(candies, "Praline")["test_public"]


def scene_of(table) -> dict:
    return json.loads(table._scene)


def test_samples_lights_and_places_are_set_in_python(run: Run, split):
    table = afrd.explore(run, split, sample=1, lights=["box", "top"])
    assert table.lights == ["top", "box"] and scene_of(table)["header"]["name"] == split.names[1]
    assert [light["name"] for light in scene_of(table)["lights"] if light["on"]] == ["top", "box"]
    assert len(json.loads(table._fusion)["thresholds"]["attention"]) == 63
    assert scene_of(table)["panels"][1]["made_by"] == "lights: top"  # the single-light run beside it
    table.sample = 2
    assert scene_of(table)["header"]["name"] == split.names[2]
    table.pinned = [10, 20]
    assert [light["name"] for light in scene_of(table)["why"]["lights"]] == ["top", "box"]
    table.lights = ["left"]
    assert [light["name"] for light in scene_of(table)["why"]["lights"]] == ["left"]
    with pytest.raises(traitlets.TraitError, match="light 'moon' is not on this table; it has spots, bottom"):
        table.lights = ["moon"]
    with pytest.raises(traitlets.TraitError, match="sample 4 is not here; there are 0 to 3"):
        table.sample = 4


def test_one_sample_is_fused_by_a_run_or_shows_a_prediction(run: Run, split):
    sample = split[0].select(["top", "box", "left"])
    table = afrd.light_table(sample, run=run)
    assert table.lights == ["top", "left", "box"]  # the run's order
    assert all(light["evidence"] for light in scene_of(table)["lights"]) and scene_of(table)["steps"] is False
    shown = scene_of(afrd.light_table(sample, run.predict(sample)))
    assert shown["panels"][0]["map"] and json.loads(afrd.light_table(sample, run.predict(sample))._fusion) is None


def test_a_saved_notebook_has_a_picture_and_a_sentence(run: Run, split):
    table = afrd.explore(run, split)
    picture, sentence = table._source.saved(0, ("top",))
    assert picture.startswith("data:image/webp") and sentence.startswith(f"Sample {split.names[0]} (")
    assert "lights top: score" in sentence


def test_a_run_and_a_data_set_that_do_not_belong_together_are_one_sentence(tiny_runs: Path, split):
    with pytest.raises(ValueError, match="it is a run of 1 lights, not of 2 to 10"):
        afrd.explore(load_run(tiny_runs / "Praline" / "single-top", "cpu"), split)
