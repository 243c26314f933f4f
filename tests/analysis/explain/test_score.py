"""Which light and which pixels made a score: against slow definitions, and on cases whose answer is known."""

from __future__ import annotations

import gc
from itertools import permutations
from math import factorial
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation

import afrd
from afrd.analysis.explain import light_score, pixel_score
from afrd.analysis.explain import score as explain
from afrd.analysis.explain.score import METHODS, alike, around, pixels
from afrd.analysis.explain.shapley import coalitions
from afrd.runs.corrections import propose

SIX = ("spots", "bottom", "right", "top", "left", "box")


@pytest.fixture(scope="module")
def data(candies: Path):
    return afrd.open_dataset(candies, "Praline")


@pytest.fixture(scope="module")
def run(tiny_runs: Path):
    return afrd.load_run(tiny_runs / "Praline" / "afrd", "cpu")


@pytest.fixture(scope="module")
def runs(run, data, tmp_path_factory: pytest.TempPathFactory):
    """Runs of every kind, with few lights."""
    folder = tmp_path_factory.mktemp("kinds")
    usual = {"size": 64, "show_progress": False}
    fused = afrd.fit(data, "top,left,box", folder / "f", target="fused", width=16, epochs=1, **usual)
    memory = afrd.fit(data, "top,left,box", folder / "m", method="memory", **usual)
    return {"lights": run, "fused": fused, "memory": memory}


def value(run, dataset, index: int, lights: list[str], region: np.ndarray | None) -> float:
    """The game, by the way that users go: the maximum of the map with these lights."""
    if not lights:
        return 0.0
    found = run.predict_stored(dataset, index, lights).anomaly_map
    return float(found.max() if region is None else found[region].max())


@pytest.mark.parametrize("kind", ["lights", "fused", "memory"])
@pytest.mark.parametrize("whole", [True, False])
def test_shapley_values_of_a_sample_are_the_mean_over_all_orders_of_the_lights(runs, data, kind: str, whole: bool):
    run, dataset = runs[kind], data["test_public"]
    used = ("top", "left", "box")
    region = None if whole else around((20, 30), dataset.image_size)
    found = explain.lights(run, dataset, 1, region, used)
    values = {}
    for members in coalitions(3):
        names = [light for light, there in zip(used, members, strict=True) if there]
        values[frozenset(names)] = value(run, dataset, 1, names, region)
    expected = dict.fromkeys(used, 0.0)
    for order in permutations(used):
        for n, light in enumerate(order):
            expected[light] += (values[frozenset(order[: n + 1])] - values[frozenset(order[:n])]) / factorial(3)
    assert found.lights == used and found.exact and found.empty == 0
    assert found.shapley == pytest.approx([expected[light] for light in used], rel=1e-4)
    assert found.score == pytest.approx(values[frozenset(used)], rel=1e-5)
    assert found.shapley.sum() == pytest.approx(found.score, abs=1e-6)  # efficiency
    assert found.alone == pytest.approx([values[frozenset([light])] for light in used], rel=1e-5)
    without = [found.score - values[frozenset(used) - {light}] for light in used]
    assert found.without == pytest.approx(without, abs=1e-5)


def test_what_is_lost_without_a_light_is_captums_ablation_of_it(run, data):
    dataset = data["test_public"]

    def forward(present: torch.Tensor) -> torch.Tensor:
        names = [light for light, there in zip(SIX, present[0], strict=True) if there]
        return torch.tensor([value(run, dataset, 0, names, None)])

    expected = FeatureAblation(forward).attribute(torch.ones(1, 6))[0]
    assert explain.lights(run, dataset, 0).without == pytest.approx(expected.numpy(), abs=1e-5)


def test_another_worth_of_no_light_shifts_all_values_alike(run, data):
    first = explain.lights(run, data["test_public"], 1)
    other = explain.lights(run, data["test_public"], 1, empty=0.6)
    assert other.shapley == pytest.approx(first.shapley - 0.1)
    assert other.shapley.sum() == pytest.approx(other.score - 0.6)


def test_too_many_lights_are_sampled_in_random_orders_and_still_sum_to_the_score(run, data, monkeypatch):
    exact = explain.lights(run, data["test_public"], 1)
    monkeypatch.setattr(light_score, "MAX_EXACT_LIGHTS", 5)
    found = explain.lights(run, data["test_public"], 1)
    assert not found.exact and found.score == exact.score
    assert found.shapley.sum() == pytest.approx(found.score, abs=1e-5)
    assert found.shapley == pytest.approx(exact.shapley, abs=0.1 * exact.score)
    assert found.shapley == pytest.approx(explain.lights(run, data["test_public"], 1).shapley)  # the same every time


def test_a_region_must_fit_the_pictures(run, data):
    for region in (np.zeros((64, 64), bool), np.ones((64, 32), bool)):
        with pytest.raises(ValueError, match="does not fit pictures of 64x64"):
            explain.lights(run, data["test_public"], 0, region)
        with pytest.raises(ValueError, match="does not fit pictures of 64x64"):
            pixels(run, data["test_public"][0], region=region)


def test_a_clicked_place_is_a_disc_around_it():
    disc = around((3, 10), (20, 32), radius=2.5)
    y, x = np.nonzero(disc)
    assert disc.shape == (20, 32) and (x.min(), x.max(), y.min(), y.max()) == (1, 4, 8, 11)
    assert around((0, 0), (20, 32)).any() and around((31, 19), (20, 32)).any()


# ---------------------------------------------------------------- pixels


def test_integrated_gradients_sum_to_what_the_pictures_changed(run, data):
    sample = data["test_public"][1]
    good = alike(sample, data["train"])
    steps: list[tuple[int, int]] = []
    found = pixels(run, sample, baseline=good, steps=16, progress=lambda *step: steps.append(step))
    assert found.values.shape == (6, 64, 64) and found.lights == SIX and found.method == METHODS[0]
    assert found.baseline == f"the pictures of {good.name}"
    assert found.score - found.base - found.values.sum() == pytest.approx(found.error, abs=1e-4)
    assert abs(found.error) < 0.15 * np.abs(found.values).sum()
    assert steps[-1] == (16, 16)
    seen = run.predict(sample)
    assert found.score == pytest.approx(seen.score, rel=0.01)  # stored features are rounded to half precision
    assert found.region[np.unravel_index(seen.anomaly_map.argmax(), (64, 64))]


def test_gradients_are_those_of_small_steps(run, data):
    """Integrated gradients from a baseline close by are the gradient times the step: checked by going that way."""
    sample = data["test_public"][1]
    near = data["test_public"][1]
    random = torch.Generator().manual_seed(0)
    near.images.add_(0.002 * torch.randn(near.images.shape, generator=random)).clamp_(0, 1)
    found = pixels(run, sample, baseline=near, steps=4)
    assert found.values.sum() == pytest.approx(found.score - found.base, abs=0.1 * abs(found.score - found.base) + 1e-4)


@pytest.mark.parametrize("kind", ["lights", "fused", "memory"])
@pytest.mark.parametrize("method", ["occlusion", "ablation"])
def test_a_replaced_window_is_worth_what_the_score_loses(runs, data, kind: str, method: str, monkeypatch):
    monkeypatch.setattr(pixel_score, "OCCLUSION_WINDOW", 1 / 2)
    run, sample = runs[kind], data["test_public"][1].select(["top", "left", "box"])
    region = around((40, 24), (64, 64), 9)
    found = pixels(run, sample, method, "black", region, lights="top,left,box", of=["left"])
    assert np.isnan(found.values[[0, 2]]).all() and np.isfinite(found.values[1]).all() and np.isnan(found.error)
    with torch.no_grad():
        score_of = pixel_score._Score(run, found.lights, sample.images, torch.from_numpy(region))
        lost = []
        for y, x in ((0, 0), (0, 32), (32, 0), (32, 32)):
            picture = sample.images[1].clone()
            picture[:, y : y + 32, x : x + 32] = 0
            lost.append(found.score - float(score_of(picture[None, None], [1])[0]))
    if method == "ablation":
        corners = [found.values[1, y, x] for y, x in ((5, 5), (5, 60), (60, 5), (60, 60))]
        assert corners == pytest.approx(lost, abs=1e-5)
    else:  # a corner is covered by one window only; windows that overlap are averaged
        corners = [found.values[1, y, x] for y, x in ((0, 0), (0, 63), (63, 0), (63, 63))]
        assert corners == pytest.approx(lost, abs=1e-5)


def test_pixels_under_a_light_that_is_not_used_do_not_count(run, data):
    sample = data["test_public"][1]
    found = pixels(run, sample, "ablation", lights="top,box", of=["box"])
    changed = data["test_public"][1]
    changed.images[SIX.index("left")] = 0.0
    again = pixels(run, changed, "ablation", lights="top,box", of=["box"])
    assert found.lights == ("top", "box")
    assert np.nanmax(np.abs(found.values - again.values)) == 0


def test_without_any_change_nothing_is_attributed(run, data):
    sample = data["test_public"][1]
    found = pixels(run, sample, "ablation", sample, of=["top"])
    assert np.nanmax(np.abs(found.values)) == pytest.approx(0, abs=1e-5)
    assert found.score == pytest.approx(found.base)


def test_work_on_pixels_can_be_cancelled(run, data):
    def stop(done: int, total: int) -> None:
        if done >= 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        pixels(run, data["test_public"][1], steps=50, progress=stop)


def test_the_most_alike_good_part_is_the_one_that_differs_least(data):
    sample = data["train"][4]
    assert alike(sample, data["train"]).name == sample.name
    other = data["test_public"][1]
    distances = [float((one.images - other.images).square().mean()) for one in data["train"]]
    assert alike(other, data["train"]).name == data["train"].names[int(np.argmin(distances))]
    small = data["test_public"][1]
    object.__setattr__(small, "images", small.images[..., :32])
    with pytest.raises(ValueError, match="pictures of another size than Praline/train"):
        alike(small, data["train"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "saliency"}, "method 'saliency' is not known; choose one of integrated gradients, occlusion"),
        ({"baseline": "white"}, "baseline 'white' is not known; choose one of blurred, black"),
        ({"lights": "dome"}, "light 'dome' is not known"),
        ({"of": ["dome"]}, "light 'dome' is not known"),
    ],
)
def test_what_cannot_be_explained_is_one_sentence(run, data, options, said):
    with pytest.raises(ValueError, match=said):
        pixels(run, data["test_public"][0], **options)


def test_the_gradient_of_a_memory_is_that_of_its_distances():
    from afrd.model.lookup import embed
    from afrd.model.patch_memory import PatchBank

    random = torch.Generator().manual_seed(0)
    bank = PatchBank(2, 5, 7)
    bank.patches, bank.usual = torch.randn(2, 7, 5, generator=random).half(), torch.rand(2, 7, generator=random)
    features = [torch.randn(3, 2, c, 4, 4, generator=random, requires_grad=True) for c in (2, 3)]
    distance, usual = bank(features)
    (distance.square() + 3 * usual).sum().backward()
    found = [f.grad.clone() for f in features]
    for f in features:
        f.grad = None
    apart = torch.cdist(embed(features), bank.patches.float()[None])  # (B, L, places, patches)
    weights = (-apart.square()).softmax(-1)
    (apart.amin(-1).square() + 3 * (weights * bank.usual[:, None]).sum(-1)).sum().backward()
    for mine, f in zip(found, features, strict=True):
        torch.testing.assert_close(mine, f.grad, atol=1e-5, rtol=1e-4)


def test_the_run_is_as_before_after_explaining(run, data):
    dataset = data["test_public"]
    before = run.predict(dataset[1]).anomaly_map
    pixels(run, dataset[1], steps=2)
    assert not any(parameter.grad is not None for parameter in run.model.parameters())
    assert not run.model.training and np.array_equal(run.predict(dataset[1]).anomaly_map, before)


def test_what_was_loaded_in_a_callers_inference_mode_can_be_explained_after_it(tiny_runs, data, tmp_path):
    gc.collect()  # no other test's teacher is shared
    region, sample = np.ones((64, 64), bool), data["test_public"][1]
    with torch.inference_mode():
        first = afrd.load_run(tiny_runs / "Praline" / "afrd", "cpu")
        first.predict(sample)
        trained = afrd.fit(data, "top,box", tmp_path, size=64, width=16, epochs=1, memory=16, show_progress=False)
        corrected = propose(trained, data["test_public"], 1, (30, 30))
        within = first.with_region(region)
    for run in (first, within, afrd.load_run(tiny_runs / "Praline" / "single-top"), corrected):
        assert np.isfinite(pixels(run, sample, steps=1, of=["top"]).error)


def test_pixels_can_be_explained_first_thing_in_a_new_process(tiny_runs, data):
    run = afrd.load_run(tiny_runs / "Praline" / "afrd", device="cpu")  # its teacher is not loaded yet
    found = explain.pixels(run, data["test_public"][2], steps=2)
    assert np.isfinite(found.values).all()
