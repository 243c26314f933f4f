"""Places that look alike, and what would have found a place: against slow references."""

from pathlib import Path

import numpy as np
import pytest
import torch

import afrd
from afrd.analysis.explain.alike import alike, reach
from afrd.model.lookup import embed

PLACE = (20, 30)


@pytest.fixture(scope="module")
def test(candies: Path):
    return afrd.open_dataset(candies, "Praline")["test_public"]


@pytest.fixture(scope="module")
def run(tiny_runs: Path):
    return afrd.load_run(tiny_runs / "Praline" / "afrd", "cpu")


def test_the_most_similar_places_are_those_of_the_embeddings(run, test):
    found = alike(run, test, 2, PLACE, test, "top,box")
    rows = [run.lights.index(light) for light in ("top", "box")]
    samples = [embed([f[:, rows] for f in run.stored_inputs(test, i).features])[0] for i in range(4)]  # (2, 64, C)
    patch = samples[2][:, (PLACE[1] // 8) * 8 + PLACE[0] // 8]
    naive = {i: (samples[i] - patch[:, None]).square().sum(-1).mean(0).sqrt() for i in (0, 1, 3)}  # (64,)
    assert [one.index for one in found] == sorted(naive, key=lambda i: float(naive[i].min()))
    for one in found:
        assert one.sample == test.names[one.index]
        assert one.distance == pytest.approx(float(naive[one.index].min()), abs=2e-3)
        near = naive[one.index][one.y // 8 * 8 + one.x // 8]
        assert float(near) == pytest.approx(one.distance, abs=2e-3)
        assert np.sqrt(np.mean(np.square(one.by_light))) == pytest.approx(one.distance, rel=1e-4)
    assert len(alike(run, test, 2, PLACE, test, count=1)) == 1


def test_a_place_is_found_again_in_another_split_that_holds_it(run, test, candies: Path):
    twins = afrd.open_dataset(candies, "Praline")["twins"]
    found = alike(run, test, 2, (4, 4), twins)
    assert len(found) == len(twins)


def test_what_would_have_found_it_agrees_with_predictions(run, test):
    whole = reach(run, test, 2, PLACE)
    assert whole is not None
    disc = afrd.analysis.explain.around((PLACE[0] + 0.5, PLACE[1] + 0.5), (64, 64))
    for lights in (("top",), ("top", "box"), run.lights):
        prediction = run.predict_stored(test, 2, lights)
        value = float(prediction.anomaly_map[disc].max())
        found = dict(whole.sets).get(tuple(light for light in run.lights if light in lights))
        assert (found is not None) == bool(prediction.threshold.exceeded_by(value))
        if found is not None:
            assert found == pytest.approx(value / prediction.threshold.value, rel=1e-3)
    values = [value for _, value in whole.sets]
    assert values == sorted(values, reverse=True)
    value = run.predict_stored(test, 2).anomaly_map[disc].max()
    above = int((run.calibration_scores() >= value).sum())
    assert whole.per_thousand == 1000 * (above + 1) / 4
    assert torch.is_grad_enabled()


def test_a_place_outside_is_one_sentence(run, test):
    with pytest.raises(ValueError, match="is not in the picture"):
        alike(run, test, 2, (64, 0), test)
    with pytest.raises(ValueError, match="is not in the picture"):
        reach(run, test, 2, (0, -1))
