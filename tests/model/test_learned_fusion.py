"""The learned fusion keeps what attention means: weights that sum to one, no matter the order or absent lights."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf

import afrd
from afrd.model.config import ModelConfig
from afrd.model.evidence import TERMS, Evidence, to_maps
from afrd.model.fusion import fuse_evidence
from afrd.model.learned_fusion import TERM_FLOOR, LearnedFusion

E = TERMS.index("evidence")


def network(lights: int, seed: int = 0) -> LearnedFusion:
    """One whose every weight matters, with units of its own for every light."""
    generator = torch.Generator().manual_seed(seed)
    net = LearnedFusion(lights)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(0.15 * torch.randn(weight.shape, generator=generator))
    net.set_normal(torch.rand(2, lights, len(TERMS), 3, 3, generator=generator) + 0.1)
    return net.eval()


def evidence(lights: int, seed: int, there: torch.Tensor, side: int = 5) -> Evidence:
    terms = torch.rand(len(there), lights, len(TERMS), side, side, generator=torch.Generator().manual_seed(seed))
    weights = terms[:, :, [TERMS.index(name) for name in ("evidence", "plain", "contrast")]].prod(2)
    return Evidence(terms[:, :, E], weights, there, False, terms)


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


@settings(deadline=None, max_examples=15)
@given(st.data())
def test_a_weighted_mean_blind_to_order_and_to_absent_lights(data):
    lights, seed = data.draw(st.integers(1, 7)), data.draw(st.integers(0, 999))
    there = torch.tensor([data.draw(st.lists(st.booleans(), min_size=lights, max_size=lights).filter(any))])
    net, given_ = network(lights, seed), evidence(lights, seed, there)
    normal = net.normal.clone()
    with torch.no_grad():
        fused = net(given_)
        maps = to_maps(fused, (20, 20), "attention")
        torch.testing.assert_close(fused.weights.sum(1), torch.ones(1, 5, 5))
        torch.testing.assert_close(maps.anomaly_map, (maps.attention * maps.light_maps).sum(1))
        assert (fused.weights[:, ~there[0]] == 0).all() and (maps.attention[:, ~there[0]] == 0).all()

        terms = torch.where(there[:, :, None, None, None], given_.terms, torch.tensor(float("nan")))
        blind = net(Evidence(given_.errors, given_.weights, there, False, terms))
        close(blind.errors, fused.errors)
        close(blind.weights, fused.weights)

        net.normal = normal[there[0]]  # the lights that are there, as if there were no others
        alone = net(Evidence(given_.errors, given_.weights, there[:, there[0]], False, given_.terms[:, there[0]]))
        close(alone.weights, fused.weights[:, there[0]])
        close(alone.errors, fused.errors[:, there[0]])

        order = torch.randperm(lights, generator=torch.Generator().manual_seed(seed))
        net.normal = normal[order]
        turned = net(Evidence(given_.errors, given_.weights, there[:, order], False, given_.terms[:, order]))
        close(turned.weights, fused.weights[:, order])
        close(turned.errors, fused.errors[:, order])


def test_before_its_training_it_is_the_attention_of_the_formula():
    there = torch.tensor([[True, True, False], [True, True, True]])
    given_, net = evidence(3, 1, there), LearnedFusion(3)
    net.set_normal(given_.terms)
    fused = net(given_)
    _, attention = fuse_evidence(given_.errors, given_.weights, there)
    torch.testing.assert_close(fused.weights, attention, rtol=1e-4, atol=1e-5)
    expected = given_.errors / net.normal[:, E, None, None] + TERM_FLOOR
    torch.testing.assert_close(fused.errors, expected * there[:, :, None, None])


def test_the_meeting_of_the_lights_agrees_with_a_loop_in_double_precision():
    net, there = network(3), torch.tensor([[True, False, True]])
    given_ = evidence(3, 2, there)
    terms = given_.terms / net.normal[:, :, None, None]
    with torch.no_grad():
        features, log_weights = net.light_features(terms)
        maps, attention = net.combine(terms, features, log_weights, there)
    double = {name: value.double().numpy().squeeze() for name, value in net.state_dict().items()}
    for row, column in product(range(5), range(5)):
        h = features[0, :, :, row, column].double().numpy()
        logits, values = [], []
        for light in (0, 2):
            mixed = double["own.weight"] @ h[light] + double["own.bias"]
            mixed = (
                mixed + double["mean.weight"] @ ((h[0] + h[2]) / 2) + double["largest.weight"] @ np.maximum(h[0], h[2])
            )
            mixed = mixed * (1 + erf(mixed / np.sqrt(2))) / 2
            logit, gain = double["outer.weight"] @ mixed + double["outer.bias"]
            logits.append(logit + double["sharpness"] * float(log_weights[0, light, row, column]))
            values.append((float(terms[0, light, E, row, column]) + TERM_FLOOR) * np.exp(gain))
        expected = np.exp(logits) / np.exp(logits).sum()
        np.testing.assert_allclose(attention[0, [0, 2], row, column], expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(maps[0, [0, 2], row, column], values, rtol=1e-4)


def test_it_needs_a_memory():
    with pytest.raises(ValueError, match="needs method 'afrd' and a memory"):
        ModelConfig(("a", "b"), "efficientnet_lite0", (24, 112), (8, 16), fusion="learned")


@pytest.fixture(scope="module")
def learned_run(candies: Path, tmp_path_factory: pytest.TempPathFactory) -> afrd.Run:
    data, out = afrd.open_dataset(candies, "Praline"), tmp_path_factory.mktemp("learned") / "run"
    return afrd.fit(data, ["left", "top", "box"], out, fusion="learned", size=128, memory=64, epochs=2)


def test_a_run_answers_for_every_set_of_its_lights_and_in_the_other_fusions(learned_run: afrd.Run, candies: Path):
    test = afrd.open_dataset(candies, "Praline")["test_public"]
    row = learned_run.evidence(test).rows(slice(0, 1), learned_run.everything)
    members = torch.tensor(list(product([False, True], repeat=3)))
    with torch.no_grad():
        maps = learned_run.model.anomaly_maps(row, members, test.image_size)
    assert (maps[0] == 0).all()
    several = learned_run.evidence(test).rows(slice(0, 3), learned_run.everything)
    with torch.no_grad():
        one_each = learned_run.model.anomaly_maps(several, members[[5, 0, 2]], test.image_size)
    torch.testing.assert_close(one_each[:2], maps[[5, 0]])
    for some, found in zip(members[1:], maps[1:], strict=True):
        lights = [light for light, there in zip(learned_run.lights, some, strict=True) if there]
        prediction = learned_run.predict_stored(test, 0, lights)
        np.testing.assert_allclose(found, prediction.anomaly_map, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(prediction.attention.sum(0), 1, rtol=1e-5)
        assert prediction.threshold is not None
    labels = [method.label for method in afrd.analysis.comparison.methods_of([learned_run])]
    assert labels[0] == "AFRD, learned over evidence" and len(labels) == 4


def test_a_run_is_loaded_with_the_fusion_that_it_was_finished_with(learned_run: afrd.Run, candies: Path):
    test = afrd.open_dataset(candies, "Praline")["test_public"]
    again = afrd.load_run(learned_run.folder)
    np.testing.assert_array_equal(again.evaluate(test).maps, learned_run.evaluate(test).maps)
    assert not torch.equal(again.model.learned.normal, torch.ones_like(again.model.learned.normal))
    with pytest.raises(ValueError, match="no learned fusion"):
        options = {"size": 64, "epochs": 1, "fusion": "attention"}
        attention = afrd.fit(
            afrd.open_dataset(candies, "Praline"), ["left", "box"], learned_run.folder.parent / "a", **options
        )
        attention.evaluate(test, fusion="learned")


def test_the_weights_that_come_along_are_small_and_trained():
    trained = LearnedFusion(6).load_trained()
    assert not torch.equal(trained.outer.weight, torch.zeros_like(trained.outer.weight))
    file = Path(afrd.__file__).parent / "model" / "fusion_weights.safetensors"
    assert file.stat().st_size < 500_000
