"""Patch memory: features of patches of good parts.

PatchCore's idea (Roth et al., CVPR 2022, section 3, https://arxiv.org/abs/2106.08265) on the teacher features that the
student reads: the distance to the nearest stored patch of a good part is an error. Every light has a memory of its own,
whose patches are selected greedily, as PatchCore selects them. AFRD weighs its student's errors by the distance
(`afrd.model.afrd`) and stores with every patch how much evidence it raised itself, though its part was good; alone, as
`PatchMemory`, it is the baseline that needs no training. Patches of places that a person called normal
(`afrd.runs.corrections`) count as stored ones: the distance is the smaller of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from afrd.model.evidence import Evidence, EvidenceTerms, Maps, smooth
from afrd.model.lookup import distance_to_few, embed, look_up
from afrd.model.maps import EvidenceModel

if TYPE_CHECKING:
    from afrd.model.config import ModelConfig

MEMORY_ALONE_PATCHES = 1024  # remembered for each light where the memory stands alone
CANDIDATES = 40_960  # of each light, drawn at random, from which its patches are selected
AHEAD = 16  # patches that may be selected next, to which distances are computed together
DISTANCES_AT_ONCE = 4_194_304  # between patches; all of them would take gigabytes
USUAL_REACH = 0.1  # of the mean squared distance between parts: the width of the kernel regression of U


@dataclass(frozen=True)
class PartDistances:
    """How far each of the N samples that a memory was filled with is from all others.

    Attributes:
        distance: (L, N) of that remembered patch of the sample which is farthest from the candidates of all other
            samples; 0 where nothing of the sample is remembered, or where there is no other.
        place: (L, N) of that patch on the finest grid, row by row.
    """

    distance: Tensor
    place: Tensor


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
    ) -> PartDistances:
        """Selects patches of each light, each the farthest from those before it (see `farthest_first`).

        The candidates are places drawn at random, the same number from every sample. With `errors_of`, each patch is
        stored with its expected normal evidence sqrt(S D): S its error, D the distance to the nearest stored patch of
        *another* sample, as for a patch of a new part. Where all patches of a light are of one sample it stays 0.

        Args:
            samples: teacher features of good samples, per scale (1, L, C, h, w), finest first.
            count: how many samples there are.
            seed: of the random choice.
            errors_of: the student's errors S (1, L, h, w) of one sample's features (1, L, C, h, w) per scale.

        Returns:
            How far each sample is from all others; a defect in one of them makes it far.
        """
        on_device = ([f.to(self.patches.device).float() for f in sample] for sample in samples)
        # Not rounded up, so that nothing is selected where the memory is larger than the candidates: this would take
        # hours to leave out a handful.
        drawn = _draw(on_device, max(1, max(CANDIDATES, self.capacity) // count), seed, errors_of)
        kept_by_light, patches_by_light, apart_by_light = [], [], []
        for candidates in drawn.by_light():
            kept = farthest_first(candidates, self.capacity)
            kept_by_light.append(kept)
            patches_by_light.append(candidates[kept].half())
            apart_by_light.append(_farthest_of_each_sample(candidates, kept, drawn.owner))
        kept, self.patches = torch.stack(kept_by_light), torch.stack(patches_by_light)  # (L, P), (L, P, C)
        self.usual, self.reach = self.patches.new_zeros(kept.shape).float(), torch.ones_like(self.reach)
        if drawn.errors is not None:
            self._set_usual(drawn.owner[kept], drawn.errors.gather(1, kept))
        distances, farthest = (torch.stack(tensors) for tensors in zip(*apart_by_light, strict=True))
        return PartDistances(distances, drawn.places[farthest])

    def _set_usual(self, owner: Tensor, errors: Tensor) -> None:
        """Expected normal evidence of the patches, of these owners and with these errors, both (L, P)."""
        for k, patches in enumerate(self.patches.float()):
            if (owner[k] != owner[k, 0]).any():
                distance, _ = nearest_of_others(patches, owner[k], patches, owner[k])
                self.usual[k] = (errors[k] * distance).sqrt()
                self.reach[k] = USUAL_REACH * distance.square().mean().clamp_min(1e-6)

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
            The distance to the nearest remembered patch, that of a correction included, and the expected normal
            evidence of the patches of good parts around, the mean of `look_up`. Both (B, L, h, w), and differentiable.
        """
        has_usual = torch.compiler.is_exporting() or self.has_usual
        distance, usual = look_up(features, self.patches, self.usual if has_usual else None, self.reach)
        if self.corrections.shape[1]:
            distance = torch.minimum(distance, distance_to_few(features, self.corrections))
        return distance, usual


@dataclass(frozen=True)
class _Candidates:
    """Patches drawn at random, n of each of N samples.

    Attributes:
        patches: of each sample (L, n, C) float16.
        places: (N * n,) on the finest grid, row by row.
        owner: (N * n,) the sample of each.
        errors: (L, N * n) or None.
    """

    patches: list[Tensor]
    places: Tensor
    owner: Tensor
    errors: Tensor | None

    def by_light(self) -> Iterator[Tensor]:
        """(N * n, C) float32 of one light after another, as those of all take gigabytes with a wide teacher."""
        for of_light in zip(*self.patches, strict=True):
            yield torch.cat(of_light).float()


def _draw(
    samples: Iterable[list[Tensor]],
    number: int,
    seed: int,
    errors_of: Callable[[list[Tensor]], Tensor] | None,
) -> _Candidates:
    """Draws so many places of each sample, or all; for the arguments see `PatchBank.fill`."""
    generator = torch.Generator().manual_seed(seed)
    patches, places, errors = [], [], []
    for sample in samples:
        drawn = torch.randperm(sample[0].shape[-2:].numel(), generator=generator)[:number].to(sample[0].device)
        places.append(drawn)
        patches.append(embed(sample)[0][:, drawn].half())
        if errors_of is not None:
            errors.append(errors_of(sample)[0].flatten(1)[:, drawn])
    owner = torch.arange(len(places), device=places[0].device).repeat_interleave(len(places[0]))
    return _Candidates(patches, torch.cat(places), owner, torch.cat(errors, 1) if errors else None)


def farthest_first(patches: Tensor, count: int) -> Tensor:
    """Positions (count,) of patches (P, C): the first one, then each the farthest from those before it.

    PatchCore's algorithm 1, the greedy k-center of Gonzalez (1985, https://doi.org/10.1016/0304-3975(85)90224-5): no
    choice of as many makes the largest distance of a patch to the nearest chosen one less than half of this one's. All
    positions in their order, where there are not more than `count`.

    The next ones are mostly among the `AHEAD` patches that are farthest now, so the distances of all patches to these
    are computed at once: a product of matrices, where one with a vector would wait for the machine's memory. 512 of
    40,960 take 0.3 s with the 152 channels of EfficientNet-Lite0, on one thread, in the place of 1.3 s.
    """
    if len(patches) <= count:
        return torch.arange(len(patches), device=patches.device)
    squares = patches.square().sum(-1)
    nearest = torch.full_like(squares, torch.inf)  # squared distance to the nearest chosen patch
    chosen, known = [0], dict[int, Tensor]()  # squared distances of all patches to those that were farthest
    while len(chosen) < count:
        last = chosen[-1]
        if last not in known:
            farthest = nearest.topk(min(AHEAD, len(patches))).indices.tolist()
            positions = [last, *(position for position in farthest if position != last)]
            products = patches[positions] @ patches.T
            known = dict(zip(positions, squares[positions, None] + squares - 2 * products, strict=True))
        nearest = torch.minimum(nearest, known[last])
        nearest[last] = -torch.inf
        chosen.append(int(nearest.argmax()))
    return torch.tensor(chosen, device=patches.device)


def nearest_of_others(
    patches: Tensor, owner: Tensor, candidates: Tensor, candidate_owner: Tensor
) -> tuple[Tensor, Tensor]:
    """Distance of each patch (P, C) to the nearest candidate (Q, C) of another owner, and that one's position, (P,).

    Without a candidate of another owner the distance is infinite.
    """
    block = max(1, DISTANCES_AT_ONCE // len(candidates))
    blocks = zip(patches.split(block), owner.split(block), strict=True)
    nearest = [
        torch.cdist(p, candidates).masked_fill_(o[:, None] == candidate_owner, torch.inf).min(-1) for p, o in blocks
    ]
    return torch.cat([n.values for n in nearest]), torch.cat([n.indices for n in nearest])


def _farthest_of_each_sample(candidates: Tensor, kept: Tensor, owner: Tensor) -> tuple[Tensor, Tensor]:
    """Of each of N samples the kept candidate that is farthest from those of all others: distance and position, (N,).

    Args:
        candidates: (Q, C), those of each sample in turn.
        kept: (P,) positions of candidates.
        owner: (Q,) the sample of each candidate.
    """
    distance, _ = nearest_of_others(candidates[kept], owner[kept], candidates, owner)
    distance = distance.masked_fill(distance.isinf(), 0.0)  # there is no other sample
    samples = torch.arange(int(owner[-1]) + 1, device=owner.device)
    farthest = torch.where(owner[kept] == samples[:, None], distance, -1.0).max(1)
    return farthest.values.clamp_min(0.0), kept[farthest.indices]


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
    def remember(self, samples: Iterable[Sequence[Tensor]], count: int, seed: int) -> PartDistances:
        """Fills the memory; see `PatchBank.fill`."""
        return self.bank.fill(samples, count, seed)

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
