"""Why a run says what it says of one place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import afrd
from afrd.analysis.explain.place import MAX_SEARCHED_SAMPLES, searched, similar_places, why
from afrd.data.dataset import Category, Sample
from afrd.model.evidence import SUBTRACTED_SHARE, resize, smooth
from afrd.runs.loading import load_run
from afrd.runs.run import Run

PLACE = (41, 22)


@pytest.fixture(scope="module")
def data(candies: Path) -> Category:
    return afrd.open_dataset(candies, "Praline")


@pytest.fixture(scope="module")
def run(tiny_runs: Path) -> Run:
    return load_run(tiny_runs / "Praline" / "afrd", device="cpu")


@pytest.fixture(scope="module")
def sample(data: Category) -> Sample:
    return data["test_public"][1]


def test_the_evidence_is_the_maps_value_and_the_sum_of_what_the_lights_add(run: Run, sample: Sample):
    x, y = PLACE
    seen, found = run.predict(sample), why(run, sample, PLACE)
    assert (found.x, found.y) == PLACE
    assert found.evidence == pytest.approx(seen.anomaly_map[y, x], rel=1e-5)
    assert sum(r.attention * r.error for r in found.lights) == pytest.approx(found.evidence, rel=1e-5)
    assert sum(r.attention for r in found.lights) == pytest.approx(1, abs=1e-5)
    for reason, light_map, attention in zip(found.lights, seen.light_maps, seen.attention, strict=True):
        assert reason.error == pytest.approx(light_map[y, x], rel=1e-5)
        assert reason.attention == pytest.approx(attention[y, x], rel=1e-5)
    telling = [r.error * r.plain * r.contrast for r in found.lights]  # products of maps that were enlarged before
    assert [part / sum(telling) for part in telling] == pytest.approx([r.attention for r in found.lights], abs=0.05)


def test_without_a_memory_an_error_is_the_sum_over_the_scales(data: Category, sample: Sample, tmp_path: Path):
    alone = afrd.fit(data, "all", tmp_path, memory=0, size=64, width=16, epochs=1, show_progress=False)
    found = why(alone, sample, PLACE)
    assert found.strides == (8, 16)
    for reason in found.lights:
        assert len(reason.scales) == 2 and min(reason.scales) > 0 and reason.distance is None
        assert sum(reason.scales) == pytest.approx(reason.error, rel=1e-5)


def test_with_a_memory_the_scales_are_weighed_by_the_distance_to_good_parts(run: Run, sample: Sample):
    x, y = PLACE
    features = run.inputs(sample, run.lights).features
    with torch.inference_mode():
        distance, usual = (resize(smooth(found), (64, 64))[0, :, y, x] for found in run.model.bank(features))  # (L,)
    assert usual.min() > 0
    for light, reason in enumerate(why(run, sample, PLACE).lights):
        assert reason.distance == pytest.approx(float(distance[light]), rel=1e-5)
        assert reason.usual == pytest.approx(float(usual[light]), rel=1e-5)
        # the root is taken before the map is enlarged
        expected = max(0.0, (sum(reason.scales) * reason.distance) ** 0.5 - SUBTRACTED_SHARE * reason.usual)
        assert expected == pytest.approx(reason.error, rel=0.05)


def test_a_light_that_is_hidden_has_nothing_to_say(run: Run, sample: Sample):
    x, y = PLACE
    found = why(run, sample, PLACE, "top,box")
    assert [reason.light for reason in found.lights] == ["top", "box"]
    assert found.evidence == pytest.approx(run.predict(sample, "top,box").anomaly_map[y, x], rel=1e-5)


def test_features_at_hand_give_the_same_answer(run: Run, data: Category, sample: Sample):
    stored = run.stored_inputs(data["test_public"], 1)
    assert why(run, sample, PLACE, inputs=stored).evidence == pytest.approx(why(run, sample, PLACE).evidence, rel=1e-4)


def test_fused_features_have_one_error_for_all_lights(data: Category, sample: Sample, tmp_path: Path):
    x, y = PLACE
    fused = afrd.fit(data, "all", tmp_path, target="fused", size=64, width=16, epochs=1, show_progress=False)
    found = why(fused, sample, PLACE)
    assert len({round(reason.error, 6) for reason in found.lights}) == 1
    assert found.evidence == pytest.approx(fused.predict(sample).anomaly_map[y, x], rel=1e-5)
    assert sum(found.lights[3].scales) == pytest.approx(found.lights[3].error, rel=1e-5)
    assert found.lights[3].distance is None


def test_a_patch_memory_has_an_error_without_scales(data: Category, sample: Sample, tmp_path: Path):
    x, y = PLACE
    memory = afrd.fit(data, "all", tmp_path, method="memory", size=64, show_progress=False)
    found = why(memory, sample, PLACE)
    assert all(reason.scales == () and reason.distance == reason.error for reason in found.lights)
    assert found.evidence == pytest.approx(memory.predict(sample).anomaly_map[y, x], rel=1e-5)


def patches(run: Run, data: Category, split: str, light: str) -> np.ndarray:
    """(N, rows, columns, C): each scale's mean of 3x3 places (zeros beyond the border), at the finest grid, at unit
    length; written apart from `afrd.model.lookup.embed`."""
    features = run.features(data[split])
    position = features.lights.index(light)
    scales = []
    for scale in features.scales:
        f = np.asarray(scale[:, position], np.float64)  # (N, C, h, w)
        padded = np.pad(f, ((0, 0), (0, 0), (1, 1), (1, 1)))
        mean = sum(
            padded[:, :, i : i + f.shape[2], j : j + f.shape[3]] for i in range(3) for j in range(3)
        ) / np.float64(9)
        fine = F.interpolate(
            torch.from_numpy(mean), features.scales[0].shape[-2:], mode="bilinear", align_corners=False
        ).numpy()
        scales.append(fine / np.linalg.norm(fine, axis=1, keepdims=True))
    return np.concatenate(scales, 1).transpose(0, 2, 3, 1)


def test_the_most_similar_places_are_the_nearest_patches_of_other_samples(run: Run, data: Category, sample: Sample):
    found = similar_places(run, sample, PLACE, data["train"])
    assert tuple(found) == run.lights
    x, y = PLACE
    for light in ("top", "box"):
        train, test = patches(run, data, "train", light), patches(run, data, "test_public", light)
        grid = train.shape[1:3]
        wanted = test[1, y * grid[0] // 64, x * grid[1] // 64]
        distances = np.linalg.norm(train - wanted, axis=-1).reshape(len(train), -1)
        nearest = np.argsort(distances.min(1))[:3]
        neighbours = found[light].neighbours
        assert [n.distance for n in neighbours] == pytest.approx(distances.min(1)[nearest], rel=1e-2)
        assert [n.index for n in neighbours] == nearest.tolist()
        for n in neighbours:
            row, column = divmod(int(distances[n.index].argmin()), grid[1])
            assert (n.x * grid[1] // 64, n.y * grid[0] // 64) == (column, row)
        chosen = [train[n.index, n.y * grid[0] // 64, n.x * grid[1] // 64] for n in neighbours]
        between = [np.linalg.norm(chosen[i] - chosen[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
        assert found[light].spread == pytest.approx(np.mean(between), rel=1e-2)


def test_a_training_sample_is_not_its_own_neighbour(run: Run, data: Category):
    train = data["train"]
    its_own = similar_places(run, train[2], PLACE, train, "top")["top"].neighbours
    assert its_own[0].index == 2 and its_own[0].distance == pytest.approx(0, abs=0.02)
    others = similar_places(run, train[2], PLACE, train, "top", itself=2)["top"].neighbours
    assert 2 not in [n.index for n in others] and others[0].distance > its_own[0].distance


def test_a_large_training_set_is_searched_at_even_distances():
    assert list(searched(5)) == [0, 1, 2, 3, 4]
    assert len(searched(MAX_SEARCHED_SAMPLES)) == MAX_SEARCHED_SAMPLES
    assert len(searched(1000)) <= MAX_SEARCHED_SAMPLES and searched(1000)[-1] > 900


def test_what_cannot_be_answered_is_one_sentence(run: Run, sample: Sample, data: Category):
    with pytest.raises(ValueError, match="place x 64, y 3 is not in the picture, which has 64x64 pixels"):
        why(run, sample, (64, 3))
    with pytest.raises(ValueError, match="place x -1, y 3 is not in the picture"):
        similar_places(run, sample, (-1, 3), data["train"])
    stranger = replace(sample, images=sample.images[:1], lights=("dome",))
    with pytest.raises(ValueError, match="has lights dome, but run"):
        why(run, stranger, PLACE)
