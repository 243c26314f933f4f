"""The patch memory: what people would use without training, to compare with.

PatchCore's idea (Roth et al., CVPR 2022, section 3) on the same teacher features: remember patches of good parts, and
take the distance to the nearest remembered one as the error. Every light has a memory of its own, and their errors are
fused late, as AFRD's evidence is. The patches are a random choice, where PatchCore thins them out greedily.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from afrd.evidence import Evidence, Maps, resize, smooth, to_maps
from afrd.features import Features
from afrd.model import ModelConfig

PATCHES = 4096  # remembered for each light


class PatchMemory(nn.Module):
    """Distances to the nearest remembered patches, light by light."""

    bank: Tensor  # (L, patches, C)

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("bank", torch.empty(0))
        self.make_room(0)

    def make_room(self, patches: int) -> None:
        self.bank = self.bank.new_zeros(len(self.config.lights), patches, sum(self.config.channels))

    def fill(self, features: Features, index: Sequence[int], positions: Sequence[int], seed: int) -> None:
        """Remembers up to `PATCHES` patches of each light, drawn at random from the samples at `index`.

        Args:
            features: of good samples.
            index: which of them.
            positions: of this model's lights in `features`.
            seed: of the choice.
        """
        height, width = features.scales[0].shape[-2:]
        generator = torch.Generator().manual_seed(seed)
        share = min(1.0, PATCHES / (len(index) * height * width))
        kept: list[Tensor] = []
        for i in index:
            patches = embed([f.float() for f in features.batch([i], list(positions))])[0]  # (L, places, C)
            # The same number from every sample, so that none is forgotten.
            chosen = torch.randperm(height * width, generator=generator)[: max(1, round(share * height * width))]
            kept.append(patches[:, chosen])
        self.bank = torch.cat(kept, 1).to(self.bank.device)

    def evidence(self, features: Sequence[Tensor], present: Tensor) -> Evidence:
        """Euclidean distance of every place to its nearest remembered patch, smoothed; see `Evidence`.

        Args:
            features: per scale (B, L, C, h, w), finest first.
            present: (B, L) bool.
        """
        there = present[:, :, None, None, None]
        grid = features[0].shape[-2:]
        patches = embed([f.float().masked_fill(~there, 0.0) for f in features])  # (B, L, places, C)
        errors = torch.stack([torch.cdist(one, self.bank).amin(-1) for one in patches])  # (B, L, places)
        return Evidence(smooth(errors.unflatten(-1, grid)), None, present)

    def forward(self, features: Sequence[Tensor], present: Tensor, size: tuple[int, int]) -> Maps:
        return to_maps(self.evidence(features, present), size, self.config.fusion)


def embed(features: Sequence[Tensor]) -> Tensor:
    """Each place with its 3x3 neighbourhood (mean), all scales at the finest grid: (B, L, places, C of all scales).

    Every scale is brought to unit length, so that each has the same say in a distance.
    """
    grid = features[0].shape[-2:]
    scales = [resize(F.avg_pool2d(f.flatten(0, 1), 3, stride=1, padding=1), grid) for f in features]
    scales = [F.normalize(scale, dim=1) for scale in scales]
    return torch.cat(scales, 1).flatten(2).transpose(1, 2).unflatten(0, features[0].shape[:2])
