"""The look-up against a naive loop in float64: any scales, any size of blocks, many samples, and its gradients."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch
from torch import Tensor

from afrd.model import lookup
from afrd.model.lookup import distance_to_few, embed, look_up

GRIDS = [((8, 8), (4, 4)), ((6, 10), (3, 5), (2, 3)), ((5, 7), (5, 7), (2, 4)), ((1, 1),)]  # finest first
CHANNELS = (3, 5, 4)


def features_of(grids: tuple[tuple[int, int], ...], samples: int, seed: int) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    pairs = zip(CHANNELS, grids, strict=False)
    return [torch.randn(samples, 2, c, *grid, generator=draw) for c, grid in pairs]


def naive(features: list[Tensor], patches: Tensor, usual: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    """Distance and regression of all places (B, L, places), each distance on its own."""
    places = embed([f.double() for f in features])  # a test of its own holds it to a loop
    squares = (places[:, :, :, None] - patches.double()[:, None]).square().sum(-1)  # (B, L, places, patches)
    weights = torch.exp(-squares / reach.double()[:, None, None])
    return squares.amin(-1).sqrt(), (weights * usual.double()[:, None]).sum(-1) / weights.sum(-1)


@pytest.mark.parametrize("grids", GRIDS)
@pytest.mark.parametrize("size", [1, 2**19])
@pytest.mark.parametrize("fewest", [3, 128])
def test_a_look_up_is_that_of_every_place_among_all_patches(
    monkeypatch: pytest.MonkeyPatch, grids: tuple[tuple[int, int], ...], size: int, fewest: int
):
    monkeypatch.setattr(lookup, "LOOKUP_SIZE", size)
    monkeypatch.setattr(lookup, "FEWEST_PATCHES", fewest)
    features = features_of(grids, 3, seed=0)
    patches = torch.cat([*embed(features_of(grids, 4, seed=1))], 1)[:, :37]
    usual, reach = torch.rand(patches.shape[:2]), torch.tensor([0.3, 1.1])
    distance, mean = look_up(features, patches, usual, reach)
    expected = naive(features, patches, usual, reach)
    torch.testing.assert_close(distance.flatten(2).double(), expected[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(mean.flatten(2).double(), expected[1], rtol=1e-5, atol=1e-5)
    alone, nothing = look_up(features, patches, None, reach)
    assert torch.equal(alone, distance) and not nothing.any()


def test_gradients_of_a_look_up_are_those_of_the_naive_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lookup, "FEWEST_PATCHES", 7)
    monkeypatch.setattr(lookup, "LOOKUP_SIZE", 1)
    grids = ((6, 10), (3, 5), (2, 3))
    patches = torch.cat([*embed(features_of(grids, 4, seed=1))], 1)
    usual, reach = torch.rand(patches.shape[:2]), torch.tensor([0.3, 1.1])
    gradients = []
    for judge in (look_up, naive):
        features = [f.requires_grad_() for f in features_of(grids, 2, seed=0)]
        distance, mean = judge(features, patches, usual, reach)
        (distance.flatten(2) + 3 * mean.flatten(2)).square().sum().backward()
        gradients.append([f.grad for f in features])
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", [0, 1, 2])
def test_gradients_of_one_scale_alone_are_those_of_all(scale: int):
    grids = ((6, 10), (3, 5), (2, 3))
    patches = torch.cat([*embed(features_of(grids, 1, seed=1))], 1)
    gradients = []
    for wanted in ((scale,), range(3)):
        features = [f.requires_grad_(i in wanted) for i, f in enumerate(features_of(grids, 2, seed=0))]
        look_up(features, patches, None, torch.ones(2))[0].square().sum().backward()
        gradients.append(features[scale].grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_features_that_require_gradients_are_as_far_where_gradients_are_off(mode: Callable[[], AbstractContextManager]):
    features = features_of(GRIDS[0], 1, seed=0)
    patches = embed(features_of(GRIDS[0], 1, seed=1))[0]
    expected, _ = look_up(features, patches, None, torch.ones(2))
    with mode():
        distance, _ = look_up([f.requires_grad_() for f in features], patches, None, torch.ones(2))
    torch.testing.assert_close(distance, expected)


def test_a_light_that_is_absent_is_as_far_as_its_nearest_patch_is_long():
    features = [f * torch.tensor([1.0, 0.0])[:, None, None, None] for f in features_of(GRIDS[0], 1, seed=0)]
    patches = 0.5 * torch.cat([*embed(features_of(GRIDS[0], 1, seed=1))], 1)
    distance, _ = look_up(features, patches, None, torch.ones(2))
    torch.testing.assert_close(distance[:, 1], torch.full((1, 8, 8), 0.5 * 2**0.5))


def test_the_distance_to_few_patches_is_that_of_their_embeddings():
    asked, known = features_of(GRIDS[0], 2, seed=0), features_of(GRIDS[0], 1, seed=1)
    few = embed(known)[0][:, [3, 17, 40]].half()
    distance = distance_to_few(asked, few)
    expected = torch.cdist(embed(asked).double(), few.double()).amin(-1).unflatten(-1, (8, 8))
    torch.testing.assert_close(distance, expected.float(), rtol=1e-4, atol=1e-4)
    itself = distance_to_few(known, few)[0].flatten(1)[:, [3, 17, 40]]
    assert itself.max() < 5e-3  # what float16 and float32 leave of zero
