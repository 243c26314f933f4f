"""From features to errors on a grid, and on to maps at a picture's size; all methods share this code.

The error is that of reverse distillation (Deng & Li, CVPR 2022, https://arxiv.org/abs/2201.10703): one minus the cosine
of regressed and teacher features at every place, summed over scales, smoothed with a Gaussian. What AFRD adds for each
light, the predicted variance, the patch memory and the weight, is defined at `EvidenceTerms.evidence`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Size, Tensor

from afrd.model.fusion import MIN_WEIGHT, fuse_evidence

TERMS = ("finest", "coarsest", "plain", "contrast", "distance", "usual", "evidence")  # see EvidenceTerms.stacked
SUBTRACTED_SHARE = 0.5  # of the evidence of the most similar good patches, subtracted; see docs/method.md
SMOOTHING = 4 / 256  # Gaussian sigma as a fraction of the picture's longer side: RD4AD's 4 pixels of 256


@dataclass(frozen=True)
class Evidence:
    """A model's errors and weights on the grid of the finest scale, before they are resized to a picture's size.

    Attributes:
        errors: (B, L, h, w); with target `fused` (B, 1, h, w), one for all lights.
        weights: (B, L, h, w), not negative; attention is a light's share of their sum over the lights present. With
            target `lights` the weight w of `EvidenceTerms.evidence`, with target `fused` a light's share in the fused
            features.
        present: (B, L) bool.
        fused: whether the lights' features were fused before the student, so that all lights share one error.
        terms: (B, L, T, h, w), see `EvidenceTerms.stacked`; None where no learned fusion will read them.
        nearest, usual: (B, L, h, w) D before it is smoothed, and U; None without a memory. `nearer` reads them.
    """

    errors: Tensor
    weights: Tensor
    present: Tensor
    fused: bool
    terms: Tensor | None = None
    nearest: Tensor | None = None
    usual: Tensor | None = None

    def rows(self, rows: slice | list[int], present: Tensor) -> Evidence:
        """Evidence of some samples, with these lights present, (1, L) or (B, L) bool."""
        errors = self.errors[rows]
        terms, nearest, usual = (None if t is None else t[rows] for t in (self.terms, self.nearest, self.usual))
        return Evidence(errors, self.weights[rows], present.expand(len(errors), -1), self.fused, terms, nearest, usual)

    def nearer(self, distance: Tensor) -> Evidence:
        """The evidence of a memory that also holds patches at this distance (B, L, h, w), without its student.

        D falls to D', so sqrt(S D) = E + U / 2 falls by the factor sqrt(D' / D); where E is 0, it stays 0. Up to
        rounding, this equals computing everything anew.
        """
        assert self.nearest is not None
        nearest = torch.minimum(self.nearest, distance)
        smoothed = smooth(nearest)
        before = smooth(self.nearest)
        ratio = smoothed / before.clamp_min(1e-12)
        if self.usual is None:  # the memory alone: E and the plain error in its weight are D
            return replace(self, errors=smoothed, weights=self.weights * ratio.square(), nearest=nearest)
        excused = SUBTRACTED_SHARE * self.usual
        errors = ((self.errors + excused) * ratio.sqrt() - excused).clamp_min(0.0)
        errors = torch.where((self.errors > 0) & (smoothed < before), errors, self.errors)  # exact where D stays
        weights = self.weights * errors / self.errors.clamp_min(1e-30)
        terms = self.terms
        if terms is not None:
            terms = terms.clone()
            terms[:, :, TERMS.index("distance")], terms[:, :, TERMS.index("evidence")] = smoothed, errors
        return replace(self, errors=errors, weights=weights, terms=terms, nearest=nearest)


@dataclass(frozen=True)
class EvidenceTerms:
    """The terms of the evidence, smoothed, on the grid of the finest scale: (B, L, h, w) each.

    Attributes:
        scales: per scale the student's errors e exp(-v / 2); S is their sum.
        plain: the sum of e over the scales.
        contrast: of the pictures (`afrd.model.inputs.local_contrast`).
        distance, usual: D and U of `afrd.model.patch_memory`; None without a memory.
        shares: of the lights in the fused features; None with target `lights`.
        nearest: D before it is smoothed; None without a memory.
    """

    scales: list[Tensor]
    plain: Tensor
    contrast: Tensor
    distance: Tensor | None
    usual: Tensor | None
    shares: Tensor | None
    nearest: Tensor | None = None

    def evidence(self, present: Tensor) -> Evidence:
        """The error E and the weight w of every light.

        E is S, the sum of the scales, or with a memory max(0, sqrt(S D) - U / 2). w is E times plain error times
        contrast: a cosine error measures how unexpected the direction of a feature is, regardless of its magnitude, and
        the contrast stands for the magnitude, so their product estimates the difference to a good part. With target
        `fused`, w is the lights' shares in the fused features.
        """
        errors = torch.stack(self.scales).sum(0)
        if self.distance is not None and self.usual is not None:
            errors = ((errors * self.distance).clamp_min(0.0).sqrt() - SUBTRACTED_SHARE * self.usual).clamp_min(0.0)
        if self.shares is not None:
            return Evidence(errors, self.shares, present, fused=True)
        weights = errors * self.plain * self.contrast
        return Evidence(errors, weights, present, fused=False, nearest=self.nearest, usual=self.usual)

    def stacked(self, errors: Tensor) -> Tensor:
        """The terms in the order of `TERMS`, (B, L, T, h, w): what the learned fusion reads.

        Args:
            errors: (B, L, h, w) E of the evidence made of them.

        Raises:
            ValueError: the terms are those of a model without a memory.
        """
        if self.distance is None or self.usual is None:
            raise ValueError("learned fusion reads distances to a memory, and this model has none")
        finest, coarsest = self.scales[0], self.scales[-1]
        terms = (finest, coarsest, self.plain, self.contrast, self.distance, self.usual, errors)
        return torch.stack(terms, 2)


@dataclass(frozen=True)
class Maps:
    """`anomaly_map` (B, H, W) = sum over lights of `attention` * `light_maps`, both (B, L, H, W); `score` (B,).

    `attention` sums to 1 over the lights, and is 0 for an absent one, as is its light map. With target `fused` there is
    one error only, which every present light's map holds.
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
        f = torch.empty_like(r).copy_(f)  # same memory format as r, for contiguous access
        # Half the memory traffic of F.cosine_similarity, which matters on a CPU.
        lengths = (r.square().sum(2) * f.square().sum(2)).clamp_min(1e-12).sqrt()
        errors.append(1 - (r * f).sum(2) / lengths)
    return errors


def joined(batches: Sequence[Evidence]) -> Evidence:
    """Evidence of one or more batches, concatenated."""
    one = batches[0]

    def all_of(name: str) -> Tensor | None:
        return None if getattr(one, name) is None else torch.cat([getattr(batch, name) for batch in batches])

    return Evidence(
        torch.cat([batch.errors for batch in batches]),
        torch.cat([batch.weights for batch in batches]),
        torch.cat([batch.present for batch in batches]),
        one.fused,
        all_of("terms"),
        all_of("nearest"),
        all_of("usual"),
    )


def to_maps(evidence: Evidence, size: tuple[int, int], fusion: str) -> Maps:
    """Maps at a picture's size (H, W); `fusion` applies where each light has an error of its own.

    `AFRD.maps` does the same for any fusion, also the learned one.
    """
    how, absent = "attention" if evidence.fused else fusion, ~evidence.present[:, :, None, None]
    errors = evidence.errors.clamp_min(0.0).expand_as(evidence.weights)
    light_maps = resize(errors.masked_fill(absent, 0.0), size)
    if how == "attention":  # as `fuse_evidence` does, with fewer steps at a picture's size
        weights = resize(evidence.weights.clamp_min(MIN_WEIGHT).masked_fill(absent, 0.0), size)
        attention = weights / weights.sum(1, keepdim=True)
        anomaly_map = anomaly_maps(evidence, evidence.present, size, how)
    else:
        anomaly_map, attention = fuse_evidence(light_maps, light_maps, evidence.present, how)
    return Maps(anomaly_map, light_maps, attention, anomaly_map.flatten(1).amax(1))


def anomaly_maps(evidence: Evidence, members: Tensor, size: tuple[int, int], fusion: str) -> Tensor:
    """The anomaly maps alone, which are those of `fuse_evidence` up to rounding, in a small part of its time.

    Errors E and weights w are bilinear between the cells of the grid. So the sum of w E over the lights is a quadratic
    function of the row there, given by its values in both cells' rows and one mixed term: the sums over lights are
    taken before the rows are resized, and the number of lights does not matter after that.

    Args:
        evidence: of one sample, or of one for each set.
        members: (K, L) bool, sets of lights; `evidence.present` is not read.
        size: (H, W) of the maps.
        fusion: as for `fuse_evidence`; it applies where each light has an error of its own.

    Returns:
        (K, H, W); that of the empty set is zero.
    """
    errors = evidence.errors.clamp_min(0.0)
    if evidence.fused:
        return resize(errors, size)[:, 0].expand(len(members), -1, -1)
    if fusion == "mean":
        mean = _over_lights(errors, members) / members.sum(1).clamp_min(1)[:, None, None]
        return resize(mean[:, None], size)[:, 0]
    if fusion == "max":
        light_maps = resize(errors, size)
        maps = light_maps.new_zeros(len(members), *size)
        for light_map, inside in zip(light_maps.unbind(1), members[:, :, None, None].unbind(1), strict=True):
            maps = torch.maximum(maps, light_map.masked_fill(~inside, 0.0))
        return maps
    if fusion != "attention":
        raise ValueError(f"evidence cannot be fused by {fusion!r}; choose attention, mean or max")
    rows, columns = (resizing(cells, n, errors) for cells, n in zip(errors.shape[-2:], size, strict=True))
    errors, weights = errors @ columns.mT, evidence.weights.clamp_min(MIN_WEIGHT) @ columns.mT  # (B, L, h, W)
    within_rows = _over_lights(weights * errors, members)
    mixed = weights[:, :, 1:] * errors[:, :, :-1] + weights[:, :, :-1] * errors[:, :, 1:]
    quadratic = torch.cat([rows.square(), rows[:, 1:] * rows[:, :-1]], 1)
    sums = quadratic @ torch.cat([within_rows, _over_lights(mixed, members)], 1)
    return sums / (rows @ _over_lights(weights, members).clamp_min(MIN_WEIGHT))  # the empty set has no sum


def _over_lights(values: Tensor, members: Tensor) -> Tensor:
    """Sums (K, ...) over the lights of each set (K, L); values (B, L, ...) of one sample, or of one for each set."""
    if len(values) == 1 < len(members):
        return (members.to(values.dtype) @ values[0].flatten(1)).unflatten(1, values.shape[2:])
    return values.masked_fill(~members[:, :, None, None], 0.0).sum(1)


def resize(maps: Tensor, size: tuple[int, int] | Size) -> Tensor:
    """Bilinear, (B, L, h, w) -> (B, L, H, W)."""
    if maps.shape[-2:] == tuple(size):
        return maps
    return F.interpolate(maps, tuple(size), mode="bilinear", align_corners=False)


def resizing(cells: int, pixels: int, like: Tensor) -> Tensor:
    """(pixels, cells) what `resize` does along one axis, as a matrix of the dtype and device of a tensor."""
    unit = torch.eye(cells, dtype=like.dtype, device=like.device)[None]
    return F.interpolate(unit, pixels, mode="linear", align_corners=False)[0].mT


def smooth(maps: Tensor) -> Tensor:
    """Gaussian of sigma `SMOOTHING` times the longer side, on (B, L, h, w)."""
    sigma = SMOOTHING * max(maps.shape[-2:])
    radius = min(max(1, round(4 * sigma)), min(maps.shape[-2:]) - 1)
    return blur(maps, sigma, radius) if radius > 0 else maps


def blur(maps: Tensor, sigma: float, radius: int) -> Tensor:
    """Gaussian blur of (..., h, w) with mirrored borders, one axis after the other.

    torchvision's `gaussian_blur` gives the same, but multiplies by all (2 radius + 1)^2 weights, and takes two seconds
    to import.

    Args:
        maps: any dtype of floating point.
        sigma: standard deviation in places.
        radius: of the kernel, smaller than both sides.
    """
    offsets = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum())[None, None, None]  # (1, 1, 1, 2 radius + 1)
    padded = F.pad(maps.reshape(-1, 1, *maps.shape[-2:]), [radius] * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel), kernel.mT).reshape(maps.shape)
