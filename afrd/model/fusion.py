"""Fusion of lights: of their evidence, or of the teacher's features of them.

Attention over features follows the abstract of AFRD (Zhang, Cao, Zhang and Shen, CASE 2024,
https://arxiv.org/abs/2406.04573). Fusion of evidence is this project's; docs/method.md compares the two.

Everywhere `present` (B, L) marks the lights a sample has; values of absent lights have no influence.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from afrd.model.config import FEATURE_FUSIONS

MIN_WEIGHT = 1e-12  # lower bound of a light's weight: where all lights have none, they count equally


def fuse_evidence(evidence: Tensor, weights: Tensor, present: Tensor, how: str = "attention") -> tuple[Tensor, Tensor]:
    """Fuses the lights' error maps into one map, and gives each light's weight at each place.

    With E_l the error of light l and a_l its weight, the anomaly map is sum_l a_l E_l, where

        attention   a_l = w_l / sum_k w_k, with w_l the weight of `EvidenceTerms.evidence`; the unit of w does
                    not matter
        mean        a_l = 1 / number of lights present
        max         a_l = 1 where E_l is largest, else 0

    One light alone has weight 1 everywhere, so its map is that of single-light reverse distillation.

    Args:
        evidence: (B, L, H, W), not negative.
        weights: (B, L, H, W), not negative, w above; only attention uses them.
        present: (B, L) bool, at least one light a sample.
        how: `attention`, `mean` or `max`.

    Returns:
        The anomaly map (B, H, W) and the weights (B, L, H, W), which sum to 1 over the lights.
    """
    mask = present[:, :, None, None]
    evidence = evidence.masked_fill(~mask, 0.0)
    if how == "attention":
        weights = weights.clamp_min(MIN_WEIGHT).masked_fill(~mask, 0.0)
        weights = weights / weights.sum(1, keepdim=True)
    elif how == "mean":
        weights = (mask / mask.sum(1, keepdim=True)).expand_as(evidence).to(evidence.dtype)
    elif how == "max":
        winner = evidence.masked_fill(~mask, -1.0).max(1, keepdim=True).indices  # argmax takes five times as long
        weights = torch.zeros_like(evidence).scatter_(1, winner, 1.0)
    else:
        raise ValueError(f"evidence cannot be fused by {how!r}; choose attention, mean or max")
    return (weights * evidence).sum(1), weights


class FeatureFusion(nn.Module):
    """Fusion of the lights' features at each scale, before the bottleneck, as AFRD's abstract describes it.

    attention   per scale and place, a softmax over the lights present of a score that a small network gives to each
                light's features (1x1 convolutions and an embedding of the light)
    mean, max   over the lights present
    concat      a 1x1 convolution over all lights' channels, absent ones being zero
    """

    def __init__(self, channels: tuple[int, ...], lights: int, how: str) -> None:
        super().__init__()
        if how not in FEATURE_FUSIONS:
            raise ValueError(f"features cannot be fused by {how!r}; choose one of {', '.join(FEATURE_FUSIONS)}")
        self.how = how
        if how == "attention":
            self.score = nn.ModuleList(LightScore(c, lights) for c in channels)
        elif how == "concat":
            # Begins as the mean of the lights, plus noise.
            self.mix = nn.ParameterList(
                torch.eye(c).expand(lights, c, c) / lights + torch.randn(lights, c, c) * (0.1 / (lights * c) ** 0.5)
                for c in channels
            )

    def forward(self, features: list[Tensor], present: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Fuses (B, L, C, h, w) of each scale.

        Returns:
            Fused features (B, C, h, w), and each light's share (B, L, h, w) in them, summing to 1: the attention;
            1/L for the mean; for max the fraction of the channels in which a light is largest; for concat the
            fraction of the summed magnitudes of the lights' contributions.
        """
        fused, shares = [], []
        for scale, f in enumerate(features):
            mask = present[:, :, None, None, None]
            f = f.masked_fill(~mask, 0.0)
            if self.how == "attention":
                logits = self.score[scale](f).masked_fill(~mask[:, :, 0], -torch.inf)
                share = logits.softmax(1)  # (B, L, h, w)
                fused.append((share[:, :, None] * f).sum(1))
            elif self.how == "mean":
                share = (mask[:, :, 0] / mask[:, :, 0].sum(1, keepdim=True)).expand(f[:, :, 0].shape).to(f.dtype)
                fused.append((share[:, :, None] * f).sum(1))
            elif self.how == "max":
                best, winner = f.masked_fill(~mask, -torch.inf).max(1)  # (B, C, h, w)
                share = torch.stack([(winner == light).float().mean(1) for light in range(f.shape[1])], 1)
                fused.append(best)
            else:
                contributions = torch.einsum("ldc,blchw->bldhw", self.mix[scale], f)
                size = contributions.detach().norm(dim=2)
                share = size / size.sum(1, keepdim=True).clamp_min(1e-12)
                fused.append(contributions.sum(1))
            shares.append(share)
        return fused, shares


class LightScore(nn.Module):
    """The logit of each light at each place, from that light's own features."""

    def __init__(self, channels: int, lights: int, hidden: int = 32) -> None:
        super().__init__()
        self.inner = nn.Conv2d(channels, hidden, 1)
        self.light = nn.Parameter(torch.zeros(lights, hidden, 1, 1))
        self.outer = nn.Conv2d(hidden, 1, 1, bias=False)
        nn.init.zeros_(self.outer.weight)  # attention begins as the mean

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.inner(features.flatten(0, 1)).unflatten(0, features.shape[:2])  # (B, L, hidden, h, w)
        return self.outer((hidden + self.light).tanh().flatten(0, 1)).unflatten(0, features.shape[:2])[:, :, 0]
