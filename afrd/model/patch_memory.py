"""Patch memory: features of patches of good parts.

PatchCore's idea (Roth et al., CVPR 2022, section 3, https://arxiv.org/abs/2106.08265) on the teacher features that the
student reads: the distance to the nearest stored patch of a good part is an error. Every light has a memory of its own.
The patches are drawn at random, where PatchCore selects them greedily. AFRD weighs its student's errors by the distance
(`afrd.model.afrd`) and stores with every patch how much evidence it raised itself, though its part was good; alone, as
`PatchMemory`, it is the baseline that needs no training. Patches of places that a person called normal
(`afrd.runs.corrections`) count as stored ones: the distance is the smaller of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from afrd.model.evidence import Evidence, EvidenceTerms, Maps, resize, resizing, smooth
from afrd.model.maps import EvidenceModel

if TYPE_CHECKING:
    from afrd.model.config import ModelConfig

LOOKUP_SIZE = 2**19  # distances of one light computed at a time, so that they stay in the processor's cache
LOOKUP_CHUNK_SIZE_CUDA = 4096  # places of all lights on a card, which takes as long for a few: 200 MB for six lights
MEMORY_ALONE_PATCHES = 4096  # remembered for each light where the memory stands alone
LEAST_LOGIT = -60.0  # below the largest one; exp of it is the smallest weight of a patch, far below rounding
USUAL_REACH = 0.1  # of the mean squared distance between parts: the width of the kernel regression of U


class PatchBank(nn.Module):
    """Remembered patches of each light.

    Args:
        lights: how many.
        channels: of all scales together.
        patches: how many to remember of each light.
    """

    patches: Tensor  # (L, patches, channels) float16, as precise as the stored features
    usual: Tensor  # (L, patches) float32, the evidence of each patch in its own good part; 0 where not computed
    reach: Tensor  # (L,) float32, width of the kernel regression of `usual`, as a squared distance
    corrections: Tensor  # (L, K, channels) float16, patches of places that a person called normal; never in the weights

    def __init__(self, lights: int, channels: int, patches: int) -> None:
        super().__init__()
        self.capacity = patches
        self.register_buffer("patches", torch.zeros(lights, 0, channels, dtype=torch.float16))
        self.register_buffer("usual", torch.zeros(lights, 0))
        self.register_buffer("reach", torch.ones(lights))
        self.register_buffer("corrections", torch.zeros(lights, 0, channels, dtype=torch.float16), persistent=False)
        self._usual_known: tuple[Tensor, bool] | None = None
        self.register_load_state_dict_pre_hook(_make_room)

    def fill(
        self,
        samples: Iterable[Sequence[Tensor]],
        count: int,
        seed: int,
        errors_of: Callable[[list[Tensor]], Tensor] | None = None,
    ) -> None:
        """Stores patches of each light, drawn at random, the same number from every sample.

        With `errors_of`, each patch is stored with its expected normal evidence sqrt(S D): S its error, D the distance
        to the nearest stored patch of *another* sample, as for a patch of a new part. With one sample it stays 0.

        Args:
            samples: teacher features of good samples, per scale (1, L, C, h, w), finest first.
            count: how many samples there are.
            seed: of the random choice.
            errors_of: the student's errors S (1, L, h, w) of one sample's features (1, L, C, h, w) per scale.
        """
        generator = torch.Generator().manual_seed(seed)
        drawn_patches: list[Tensor] = []
        errors: list[Tensor] = []
        patches_per_sample = 0
        for stored in samples:
            sample = [f.to(self.patches.device).float() for f in stored]
            places = sample[0].shape[-2:].numel()
            share = min(1.0, self.capacity / (count * places))
            patches_per_sample = max(1, round(share * places))  # at least one, so that no sample is left out
            indices = torch.randperm(places, generator=generator)[:patches_per_sample].to(self.patches.device)
            drawn_patches.append(embed(sample)[0][:, indices].half())  # (L, patches_per_sample, C)
            if errors_of is not None:
                errors.append(errors_of(sample)[0].flatten(1)[:, indices])
        self.patches = torch.cat(drawn_patches, 1)
        self.usual, self.reach = self.patches.new_zeros(self.patches.shape[:2]).float(), torch.ones_like(self.reach)
        if errors_of is not None and len(drawn_patches) > 1:
            owner = torch.arange(len(drawn_patches), device=self.patches.device).repeat_interleave(patches_per_sample)
            same_sample = owner[:, None] == owner
            for light, (patches, error) in enumerate(zip(self.patches.float(), torch.cat(errors, 1), strict=True)):
                distance = torch.cdist(patches, patches).masked_fill_(same_sample, torch.inf).amin(-1)
                self.usual[light] = (error * distance).sqrt()
                self.reach[light] = USUAL_REACH * distance.square().mean().clamp_min(1e-6)

    @property
    def has_usual(self) -> bool:
        """Whether any expected normal evidence is stored.

        A card must finish its work to tell, so that it is asked once for each tensor.
        """
        if self._usual_known is None or self._usual_known[0] is not self.usual:
            self._usual_known = self.usual, bool(self.usual.any())
        return self._usual_known[1]

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Distance and expected normal evidence of every place of features (B, L, C, h, w) per scale.

        Returns:
            The distance d to the nearest remembered patch, that of a correction included, and the expected normal
            evidence of the patches of good parts around: their mean with weights exp(-d^2 / reach), the kernel
            regression of Nadaraya and Watson (1964, https://doi.org/10.1137/1109020), which the nearest patches
            dominate and which is differentiable. Both (B, L, h, w).
        """
        places = embed([f.float() for f in features]).transpose(0, 1).flatten(1, 2)  # (L, B places, C)
        stored = self.patches.float()
        # -d^2 / reach without the term that is the same for all patches, in one matrix product
        slope = (2 * stored.mT / self.reach[:, None, None]).contiguous()
        offset = -stored.square().sum(-1) / self.reach[:, None]
        # A processor looks up a few places of one light at a time, whose distances stay in its cache: half the time.
        lights, chunk_size = 1, max(1, LOOKUP_SIZE // max(1, stored.shape[1]))
        if places.is_cuda:
            lights, chunk_size = len(places), LOOKUP_CHUNK_SIZE_CUDA
        by_light = []
        for first in range(0, len(places), lights):
            some = slice(first, first + lights)
            of_lights = stored[some], self.usual[some], self.reach[some, None], slope[some], offset[some, None]
            lookups = [self._look_up(part, *of_lights) for part in places[some].split(chunk_size, 1)]
            by_light.append([torch.cat(part, 1) for part in zip(*lookups, strict=True)])
        grid = (-1, *features[0].shape[-2:])
        distance, usual = (
            torch.cat(of_all).unflatten(1, grid).transpose(0, 1) for of_all in zip(*by_light, strict=True)
        )
        if self.corrections.shape[1]:
            distance = torch.minimum(distance, distance_to_few(features, self.corrections))
        return distance, usual

    def _look_up(
        self, places: Tensor, stored: Tensor, usual: Tensor, reach: Tensor, slope: Tensor, offset: Tensor
    ) -> tuple[Tensor, Tensor]:
        logits = torch.baddbmm(offset, places, slope)  # (L, places, patches)
        largest = logits.amax(-1, keepdim=True)
        if places.requires_grad:  # the root below has a huge gradient near zero
            light = torch.arange(len(stored), device=stored.device)[:, None]
            distance = (places - stored[light, logits.argmax(-1)]).norm(dim=-1)
        else:
            distance = (places.square().sum(-1) - reach * largest[..., 0]).clamp_min(0.0).sqrt()
        if not (torch.compiler.is_exporting() or self.has_usual):  # U is 0
            return distance, torch.zeros_like(distance)
        # A softmax whose least weights are bounded: most are so small that a processor takes four times as long.
        below = logits - largest if logits.requires_grad else logits.sub_(largest)
        weights = below.clamp_min_(LEAST_LOGIT).exp_()
        sums = weights @ torch.stack([usual, torch.ones_like(usual)], -1)  # (L, places, 2)
        return distance, sums[..., 0] / sums[..., 1]


def _make_room(bank: PatchBank, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Resizes the buffers to the number of patches in a file; older files hold no expected normal evidence."""
    stored = state.get(f"{prefix}patches")
    if stored is not None and stored.ndim == 3 and stored.shape[::2] == bank.patches.shape[::2]:
        bank.patches = bank.patches.new_zeros(len(bank.patches), stored.shape[1], bank.patches.shape[2])
        bank.usual = bank.usual.new_zeros(bank.patches.shape[:2])
        state.setdefault(f"{prefix}usual", bank.usual)
        state.setdefault(f"{prefix}reach", bank.reach)


class PatchMemory(EvidenceModel):
    """The memory alone: distances are the errors, and lights are fused late as in AFRD."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.bank = PatchBank(len(config.lights), sum(config.channels), MEMORY_ALONE_PATCHES)

    @torch.no_grad()
    def remember(self, samples: Iterable[Sequence[Tensor]], count: int, seed: int) -> None:
        """Fills the memory; see `PatchBank.fill`."""
        self.bank.fill(samples, count, seed)

    def evidence(self, features: Sequence[Tensor], contrast: Tensor, present: Tensor) -> Evidence:
        """Smoothed distances D in place of AFRD's errors, so attention is proportional to D^2 times the contrast.

        Args:
            features: per scale (B, L, C, h, w), finest first.
            contrast: of the pictures, (B, L, h, w) on the finest grid.
            present: (B, L) bool.
        """
        return self.evidence_from(self.terms(features, contrast, present), present)

    def terms(self, features: Sequence[Tensor], contrast: Tensor, present: Tensor) -> EvidenceTerms:
        """The terms of `evidence`; for the arguments see there."""
        mask = present[:, :, None, None, None]
        nearest = self.bank([torch.where(mask, f, 0.0) for f in features])[0]
        errors = smooth(nearest)
        return EvidenceTerms([errors], errors, smooth(contrast), errors, None, None, nearest)

    def forward(self, features: Sequence[Tensor], contrast: Tensor, present: Tensor, size: tuple[int, int]) -> Maps:
        return self.maps(self.evidence(features, contrast, present), size)


def embed(features: Sequence[Tensor]) -> Tensor:
    """Each place with its 3x3 neighbourhood (mean), all scales at the finest grid: (B, L, places, C of all scales).

    Every scale is normalised to unit length, so that all contribute equally to a distance.
    """
    grid = features[0].shape[-2:]
    scales = [f.flatten(0, 1).contiguous(memory_format=torch.channels_last) for f in features]
    scales = [resize(F.avg_pool2d(f, 3, stride=1, padding=1), grid) for f in scales]
    scales = [F.normalize(scale, dim=1) for scale in scales]
    return torch.cat(scales, 1).flatten(2).transpose(1, 2).unflatten(0, features[0].shape[:2])


def distance_to_few(features: Sequence[Tensor], patches: Tensor) -> Tensor:
    """Distance of every place to the nearest of a few patches, without the patch of each place that `embed` makes.

    The mean, the resizing and the products with the patches are linear, so only the products are normalised: a fifth
    of the time of `embed` alone.

    Args:
        features: per scale (B, L, C, h, w), finest first.
        patches: (L, K, C of all scales), of `embed`.

    Returns:
        (B, L, h, w), at least 1e-3, which is what float32 resolves; so its gradient is finite.
    """
    grid = features[0].shape[-2:]
    squares = patches.float().square().sum(-1)[:, :, None] + len(features)  # every scale of a place has length 1
    for f, of_scale in zip(features, patches.float().split([f.shape[2] for f in features], 2), strict=True):
        rows, columns = (_mean_and_resize(f, axis, grid[axis]) for axis in range(2))
        resized = (rows @ (f.float() @ columns.mT)).flatten(3)  # (B, L, C, h w)
        length = resized.square().sum(2, keepdim=True).sqrt().clamp_min(1e-12)
        squares = squares - 2 * (of_scale @ resized) / length  # (B, L, K, h w)
    return squares.amin(2).clamp_min(1e-6).sqrt().unflatten(2, grid)


def _mean_and_resize(features: Tensor, axis: int, size: int) -> Tensor:
    """(size, h) what `embed` does along one axis before it normalises, as a matrix."""
    pixels = features.shape[-2 + axis]
    unit = torch.eye(pixels, device=features.device)[None]
    return resizing(pixels, size, unit) @ F.avg_pool1d(unit, 3, stride=1, padding=1)[0].mT
