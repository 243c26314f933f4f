"""Anomaly maps without each light's own: those that all lights' maps and attention give."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from afrd.analysis.explain.shapley import coalitions
from afrd.model.afrd import make_model
from afrd.model.config import ModelConfig
from afrd.model.evidence import Evidence, anomaly_maps, to_maps
from afrd.model.fusion import fuse_evidence

FUSIONS = ("attention", "mean", "max")


def evidence_of(samples: int, lights: int, grid: tuple[int, int], seed: int) -> Evidence:
    """Random evidence from 1e-4 to 1, and 0 at some places."""
    values = 1e-4 ** torch.rand(2, samples, lights, *grid, generator=torch.Generator().manual_seed(seed))
    values[:, :, 0, 0] = values[0, :, -1, 1] = values[1, 0, 0, :, 0] = 0.0
    return Evidence(*values, torch.ones(samples, lights, dtype=torch.bool), fused=False)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_they_are_those_of_fuse_evidence_for_any_sets_and_sizes(data):
    grid = data.draw(st.tuples(st.integers(2, 9), st.integers(2, 9)))
    size = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    lights, samples = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 3))
    evidence = evidence_of(samples, lights, grid, data.draw(st.integers(0, 99)))
    a_set = st.lists(st.booleans(), min_size=lights, max_size=lights).filter(any)
    members = torch.tensor(data.draw(st.lists(a_set, min_size=samples, max_size=samples)))
    fusion = data.draw(st.sampled_from(FUSIONS))
    maps = anomaly_maps(evidence, members, size, fusion)
    enlarged = [F.interpolate(part, size, mode="bilinear") for part in (evidence.errors, evidence.weights)]
    expected, attention = fuse_evidence(*enlarged, members, fusion)
    torch.testing.assert_close(maps, expected, rtol=1e-5, atol=1e-7)
    of_lights = to_maps(evidence.rows(slice(None), members), size, fusion)
    torch.testing.assert_close(of_lights.anomaly_map, maps)
    torch.testing.assert_close(of_lights.attention, attention, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(of_lights.light_maps, enlarged[0] * members[:, :, None, None])


@pytest.mark.parametrize("fusion", FUSIONS)
def test_many_sets_of_one_sample_and_the_empty_one(fusion: str):
    evidence, members = evidence_of(1, 4, (5, 7), seed=0), torch.from_numpy(coalitions(4))
    maps = anomaly_maps(evidence, members, (5, 7), fusion)
    assert maps[0].abs().max() == 0
    for k in range(1, 16):
        alone, _ = fuse_evidence(evidence.errors, evidence.weights, members[k : k + 1], fusion)
        torch.testing.assert_close(maps[k], alone[0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("samples", [1, 3])
def test_scores_are_the_maxima_of_the_maps_inside_the_region(fusion: str, samples: int):
    torch.manual_seed(0)
    config = ModelConfig(("a", "b", "c"), "efficientnet_lite0", (40, 112), (8, 16), memory=0)
    model, evidence = make_model(config), evidence_of(samples, 3, (6, 5), seed=3)
    members = torch.tensor([[True, True, False], [False, True, True], [True, False, False]])
    for region in (None, torch.arange(30 * 25).reshape(30, 25) % 7 < 3):
        model.region = region
        scores, maps = (of(evidence, members, (30, 25), fusion) for of in (model.scores, model.anomaly_maps))
        assert torch.equal(scores, maps.amax((1, 2)))


def test_what_an_absent_light_holds_does_not_matter():
    evidence, there = evidence_of(2, 3, (4, 4), seed=1), torch.tensor([[True, False, True], [True, True, False]])
    values = [part.masked_fill(~there[:, :, None, None], torch.nan) for part in (evidence.errors, evidence.weights)]
    for fusion in FUSIONS:
        maps = anomaly_maps(Evidence(*values, there, fused=False), there, (9, 9), fusion)
        torch.testing.assert_close(maps, anomaly_maps(evidence, there, (9, 9), fusion))


def test_lights_that_share_one_error_have_its_map():
    evidence = evidence_of(2, 3, (4, 5), seed=2)
    shared = Evidence(evidence.errors[:, :1], evidence.weights, evidence.present, fused=True)
    maps = anomaly_maps(shared, shared.present, (8, 10), "attention")
    torch.testing.assert_close(maps, to_maps(shared, (8, 10), "attention").anomaly_map)


def test_a_fusion_that_evidence_does_not_have_is_refused():
    with pytest.raises(ValueError, match="'concat'"):
        anomaly_maps(evidence_of(1, 2, (2, 2), seed=0), torch.ones(1, 2, dtype=torch.bool), (4, 4), "concat")
