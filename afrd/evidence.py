"""From features to errors on a grid, and on to maps at a picture's size: what every method here ends with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torchvision.transforms.functional import gaussian_blur

from afrd.fusion import fuse_evidence

SMOOTHING = 4 / 256  # Gaussian sigma as a part of the picture's longer side: RD4AD's 4 pixels of 256


@dataclass(frozen=True)
class Evidence:
    """What a model found, on the grid of the finest scale, before it is brought to a picture's size.

    Attributes:
        errors: (B, L, h, w) with target `lights`; (B, 1, h, w) with target `fused`.
        shares: (B, L, h, w), the lights' shares in the fused features; None with target `lights`.
        present: (B, L) bool.
        plain: the errors before the student's uncertainty weighs them, of the same shape; None where nobody asked.
    """

    errors: Tensor
    shares: Tensor | None
    present: Tensor
    plain: Tensor | None = None


@dataclass(frozen=True)
class Maps:
    """`anomaly_map` (B, H, W) = sum over lights of `attention` * `light_maps`, both (B, L, H, W); `score` (B,).

    `attention` sums to 1 over the lights, and is 0 for an absent one, as is its light map. With target `fused` there is
    one error only, which stands in every present light's map.
    """

    anomaly_map: Tensor
    light_maps: Tensor
    attention: Tensor
    score: Tensor


def cosine_errors(regressed: Sequence[Tensor], features: Sequence[Tensor]) -> list[Tensor]:
    """1 - cosine over the channels at every place: (B, L, C, h, w) twice -> (B, L, h, w), per scale, in 0..2."""
    errors = []
    for r, f in zip(regressed, features, strict=True):
        r = r.float()
        f = torch.empty_like(r).copy_(f)  # in the layout of r, else each product below would read one of them in jumps
        # Half the memory traffic of F.cosine_similarity, which matters on a CPU.
        lengths = (r.square().sum(2) * f.square().sum(2)).clamp_min(1e-12).sqrt()
        errors.append(1 - (r * f).sum(2) / lengths)
    return errors


def joined(parts: Sequence[Evidence]) -> Evidence:
    """Evidence of several batches in one piece."""
    shares = [part.shares for part in parts if part.shares is not None]
    plain = [part.plain for part in parts if part.plain is not None]
    return Evidence(
        torch.cat([part.errors for part in parts]),
        torch.cat(shares) if shares else None,
        torch.cat([part.present for part in parts]),
        torch.cat(plain) if plain else None,
    )


def to_maps(evidence: Evidence, size: tuple[int, int], fusion: str) -> Maps:
    """Maps at a picture's size (H, W); `fusion` says how evidence is put together where there is one error a light."""
    light_maps = resize(evidence.errors, size).clamp_min(0.0)
    if evidence.shares is None:
        anomaly_map, attention = fuse_evidence(light_maps, evidence.present, fusion)
    else:
        anomaly_map, attention = light_maps[:, 0], resize(evidence.shares, size)
    light_maps = light_maps * evidence.present[:, :, None, None]
    return Maps(anomaly_map, light_maps, attention, anomaly_map.flatten(1).amax(1))


def resize(maps: Tensor, size: tuple[int, int] | Size) -> Tensor:
    """Bilinear, (B, L, h, w) -> (B, L, H, W)."""
    if maps.shape[-2:] == tuple(size):
        return maps
    return F.interpolate(maps, tuple(size), mode="bilinear", align_corners=False)


def smooth(maps: Tensor) -> Tensor:
    """Gaussian of sigma `SMOOTHING` times the longer side, on (B, L, h, w)."""
    sigma = SMOOTHING * max(maps.shape[-2:])
    radius = min(max(1, round(4 * sigma)), min(maps.shape[-2:]) - 1)
    return gaussian_blur(maps, [2 * radius + 1] * 2, [sigma] * 2) if radius > 0 else maps
