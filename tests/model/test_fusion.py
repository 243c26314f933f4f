"""Fusion over lights: weights that mean what they say, and no influence of what is not there."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from afrd.model.config import FEATURE_FUSIONS
from afrd.model.fusion import FeatureFusion, fuse_evidence


def present(*rows: tuple[int, ...]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.bool)


def test_fusion_by_hand():
    evidence, telling = (torch.tensor(values).view(1, 2, 1, 1) for values in ([1.0, 3.0], [6.0, 2.0]))
    both = present((1, 1))
    assert fuse_evidence(evidence, telling, both, "mean")[0].item() == 2
    assert fuse_evidence(evidence, telling, both, "max")[0].item() == 3
    fused, weights = fuse_evidence(evidence, telling, both, "attention")
    np.testing.assert_allclose(weights.flatten(), [6 / 8, 2 / 8], rtol=1e-6)
    np.testing.assert_allclose(fused.item(), 1 * 6 / 8 + 3 * 2 / 8, rtol=1e-6)
    torch.testing.assert_close(fuse_evidence(evidence, 1000 * telling, both)[0], fused)  # the unit does not matter


def test_lights_that_tell_nothing_count_alike():
    fused, weights = fuse_evidence(torch.tensor([1.0, 3.0]).view(1, 2, 1, 1), torch.zeros(1, 2, 1, 1), present((1, 1)))
    assert weights.flatten().tolist() == [0.5, 0.5] and fused.item() == 2


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_evidence_fusion_is_a_weighted_mean_blind_to_order_and_to_absent_lights(data):
    lights = data.draw(st.integers(1, 6))
    seed = data.draw(st.integers(0, 999))
    there = torch.tensor([data.draw(st.lists(st.booleans(), min_size=lights, max_size=lights).filter(any))])
    how = data.draw(st.sampled_from(["attention", "mean", "max"]))
    generator = torch.Generator().manual_seed(seed)
    evidence, telling = torch.rand(2, 1, lights, 3, 3, generator=generator)
    fused, weights = fuse_evidence(evidence, telling, there, how)

    torch.testing.assert_close(weights.sum(1), torch.ones(1, 3, 3))
    assert (weights[:, ~there[0]] == 0).all()
    torch.testing.assert_close(fused, (weights * evidence).sum(1))
    assert (fused <= evidence[:, there[0]].amax(1) + 1e-6).all()
    assert (fused >= evidence[:, there[0]].amin(1) - 1e-6).all()

    garbage = [torch.where(there[:, :, None, None], part, torch.tensor(float("nan"))) for part in (evidence, telling)]
    torch.testing.assert_close(fuse_evidence(*garbage, there, how)[0], fused)
    alone, _ = fuse_evidence(evidence[:, there[0]], telling[:, there[0]], there[:, there[0]], how)
    torch.testing.assert_close(alone, fused)
    order = torch.randperm(lights, generator=generator)
    turned, turned_weights = fuse_evidence(evidence[:, order], telling[:, order], there[:, order], how)
    torch.testing.assert_close(turned, fused)
    torch.testing.assert_close(turned_weights, weights[:, order])


def test_one_light_has_all_the_weight():
    evidence = torch.rand(1, 3, 2, 2)
    for how in ("attention", "mean", "max"):
        fused, weights = fuse_evidence(evidence, torch.rand(1, 3, 2, 2), present((0, 1, 0)), how)
        torch.testing.assert_close(fused, evidence[:, 1])
        assert (weights[:, 1] == 1).all()


@pytest.mark.parametrize("how", FEATURE_FUSIONS)
def test_an_absent_light_cannot_change_the_fused_features(how):
    torch.manual_seed(0)
    fusion = FeatureFusion((4, 8), lights=3, how=how)
    if how == "attention":
        for score in fusion.score:
            torch.nn.init.normal_(score.outer.weight)
    features = [torch.randn(2, 3, 4, 6, 6), torch.randn(2, 3, 8, 3, 3)]
    there = present((1, 0, 1), (0, 1, 1))
    fused, shares = fusion(features, there)
    changed = [f + 100 * torch.randn_like(f) * ~there[:, :, None, None, None] for f in features]
    again, shares_again = fusion(changed, there)
    for scale in range(2):
        torch.testing.assert_close(again[scale], fused[scale])
        torch.testing.assert_close(shares_again[scale], shares[scale])
        torch.testing.assert_close(shares[scale].sum(1), torch.ones_like(shares[scale][:, 0]))
        assert (shares[scale][~there] == 0).all()


def test_features_of_one_light_pass_through_mean_max_and_attention_unchanged():
    features, there = [torch.randn(1, 2, 4, 3, 3)], present((0, 1))
    for how in ("attention", "mean", "max"):
        fused, _ = FeatureFusion((4,), 2, how)(features, there)
        torch.testing.assert_close(fused[0], features[0][:, 1])


def test_attention_over_features_begins_as_their_mean():
    features, there = [torch.randn(1, 3, 4, 3, 3)], present((1, 1, 1))
    torch.testing.assert_close(FeatureFusion((4,), 3, "attention")(features, there)[0][0], features[0].mean(1))


def test_an_unknown_way_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="'sum'; choose attention, mean or max"):
        fuse_evidence(torch.rand(1, 1, 1, 1), torch.rand(1, 1, 1, 1), present((1,)), "sum")
    with pytest.raises(ValueError, match="features cannot be fused by 'sum'"):
        FeatureFusion((4,), 1, "sum")
