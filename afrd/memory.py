"""What good parts looked like, remembered patch by patch.

PatchCore's idea (Roth et al., CVPR 2022, section 3) on the teacher features that the student reads: the distance to
the nearest remembered patch of a good part is an error. Every light has a memory of its own. The patches are a random
choice, where PatchCore thins them out greedily. AFRD weighs its student's errors by it (`afrd.model`); alone, as
`PatchMemory`, it is what people would use without training, to compare with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from afrd.evidence import Evidence, Maps, resize, smooth, to_maps
from afrd.features import Features

if TYPE_CHECKING:
    from afrd.model import ModelConfig

PATCHES = 4096  # remembered for each light where the memory stands alone


class PatchBank(nn.Module):
    """Remembered patches of each light.

    Args:
        lights: how many.
        channels: of all scales together.
        patches: how many to remember of each light.
    """

    patches: Tensor  # (L, patches, channels) float16, as precise as the stored features

    def __init__(self, lights: int, channels: int, patches: int) -> None:
        super().__init__()
        self.wanted = patches
        self.register_buffer("patches", torch.zeros(lights, 0, channels, dtype=torch.float16))
        self.register_load_state_dict_pre_hook(_make_room)

    def fill(self, features: Features, index: Sequence[int], positions: Sequence[int], seed: int) -> None:
        """Remembers patches of each light, drawn at random from the samples at `index`, as many from each sample.

        Args:
            features: of good samples.
            index: which of them.
            positions: of this model's lights in `features`.
            seed: of the choice.
        """
        height, width = features.scales[0].shape[-2:]
        generator = torch.Generator().manual_seed(seed)
        share = min(1.0, self.wanted / (len(index) * height * width))
        kept: list[Tensor] = []
        for i in index:
            patches = embed([f.float() for f in features.batch([i], list(positions))])[0]  # (L, places, C)
            # The same number from every sample, so that none is forgotten.
            chosen = torch.randperm(height * width, generator=generator)[: max(1, round(share * height * width))]
            kept.append(patches[:, chosen].half())
        self.patches = torch.cat(kept, 1).to(self.patches.device)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Distance of every place to its nearest remembered patch: (B, L, C, h, w) per scale -> (B, L, h, w)."""
        places = embed([f.float() for f in features])  # (B, L, places, C)
        known = self.patches.float()
        if places.requires_grad:  # only the nearest patch has a gradient, and that of `cdist` to all of them is slow
            which = torch.stack([torch.cdist(one, known).argmin(-1) for one in places.detach()])  # (B, L, places)
            light = torch.arange(len(known), device=known.device)[:, None]
            nearest = (places - known[light, which]).norm(dim=-1)
        else:
            nearest = torch.stack([torch.cdist(one, known).amin(-1) for one in places])  # (B, L, places)
        return nearest.unflatten(-1, features[0].shape[-2:])


def _make_room(bank: PatchBank, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """How many patches a file holds is known when it is read."""
    stored = state.get(f"{prefix}patches")
    if stored is not None and stored.ndim == 3:
        bank.patches = bank.patches.new_zeros(len(bank.patches), stored.shape[1], bank.patches.shape[2])


class PatchMemory(nn.Module):
    """The memory alone: distances are the errors, fused late as AFRD's evidence is."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.bank = PatchBank(len(config.lights), sum(config.channels), PATCHES)

    def evidence(self, features: Sequence[Tensor], present: Tensor) -> Evidence:
        """Smoothed distances; see `PatchBank` and `Evidence`.

        Args:
            features: per scale (B, L, C, h, w), finest first.
            present: (B, L) bool.
        """
        there = present[:, :, None, None, None]
        errors = smooth(self.bank([f.masked_fill(~there, 0.0) for f in features]))
        return Evidence(errors, None, present, errors)

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
