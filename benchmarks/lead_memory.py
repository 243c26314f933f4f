"""A patch memory like that of `afrd.model.patch_memory`, open to other embeddings and kinds of U.

Its patches are drawn at random, of the same places under every light, as AFRD's were when the leads were tried. One of
the leads, `benchmarks.lead_small`, led to the selected patches of today.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from afrd.model.lookup import LEAST_LOGIT, LOOKUP_SIZE, embed
from afrd.model.patch_memory import USUAL_REACH, nearest_of_others
from afrd.runs.feature_store import Features

DRAWN_PATCHES = 2048  # of each light

Embedding = Callable[[Sequence[Tensor]], Tensor]  # as `embed`: per scale (B, L, C, h, w) -> (B, L, places, C)
Residual = Callable[[Tensor], Tensor]  # (L, places, C) -> (L, places)


@dataclass(frozen=True)
class Memory:
    """Patches of training parts.

    Attributes:
        patches: (L, P, C).
        owner: (P,) the part of each.
        errors: (L, P) the student's errors S there.
        distance, neighbour: (L, P) distance to and position of the nearest patch of another part.
    """

    patches: Tensor
    owner: Tensor
    errors: Tensor
    distance: Tensor
    neighbour: Tensor


@dataclass(frozen=True)
class LookedUp:
    """What `look_up` gives for N samples: nearest (N, L, h, w), usual (K, N, L, h, w), residuals (R, N, L, h, w)."""

    nearest: Tensor
    usual: Tensor
    residuals: Tensor


def samples_of(features: Features) -> Iterator[list[Tensor]]:
    """The features of one sample after another, per scale (1, L, C, h, w)."""
    for i in range(len(features)):
        yield [scale.float() for scale in features.batch([i])]


@torch.no_grad()
def remember(
    samples: Iterable[Sequence[Tensor]],
    errors: Tensor | None,
    capacity: int,
    seed: int,
    embedded: Embedding = embed,
    windows: int = 1,
) -> Memory:
    """Draws patches at random, the same number from every sample.

    Args:
        samples: of the training parts, see `samples_of`.
        errors: S of these parts (N, L, places); None: a patch's distance stands for the student's error.
        capacity: patches of each light.
        seed: of the run.
        embedded: in the place of `embed`.
        windows: samples of each part, which follow one another.
    """
    all_samples = list(samples)
    generator = torch.Generator().manual_seed(seed)
    places = all_samples[0][0].shape[-2:].numel()
    each = max(1, round(min(1.0, capacity / (len(all_samples) * places)) * places))
    drawn, of_student = [], []
    for i, sample in enumerate(all_samples):
        index = torch.randperm(places, generator=generator)[:each]
        drawn.append(embedded(sample)[0][:, index].half().float())
        if errors is not None:
            of_student.append(errors[i][:, index])
    patches, owner = torch.cat(drawn, 1), (torch.arange(len(drawn)) // windows).repeat_interleave(each)
    distance, neighbour = to_other_parts(patches, owner)
    return Memory(patches, owner, distance if errors is None else torch.cat(of_student, 1), distance, neighbour)


def to_other_parts(patches: Tensor, owner: Tensor) -> tuple[Tensor, Tensor]:
    """Distance to the nearest patch of another part, and its position, (L, P) each."""
    nearest = [nearest_of_others(of_light, owner, of_light, owner) for of_light in patches]
    distance, neighbour = (torch.stack(tensors) for tensors in zip(*nearest, strict=True))
    return distance, neighbour


@torch.no_grad()
def look_up(
    samples: Iterable[Sequence[Tensor]],
    memory: Memory,
    usual: Tensor,
    residuals: Sequence[Residual] = (),
    embedded: Embedding = embed,
) -> LookedUp:
    """`PatchBank.forward` of samples one by one, with several kinds of expected normal evidence in one pass.

    Args:
        samples: see `samples_of`.
        memory: of `remember`.
        usual: (K, L, P) expected normal evidence of the patches.
        residuals: further distances of embedded places.
        embedded: in the place of `embed`, that of the memory.
    """
    reach = (USUAL_REACH * memory.distance.square().mean(1).clamp_min(1e-6))[:, None]  # (L, 1)
    slope = (2 * memory.patches.mT / reach[:, None]).contiguous()
    offset = (-memory.patches.square().sum(-1) / reach)[:, None]
    values = torch.cat([usual, torch.ones_like(usual[:1])]).permute(1, 2, 0).contiguous()  # (L, P, K + 1)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for sample in samples:
        places = embedded(sample)[0]  # (L, places, C)
        nearest, expected = [], []
        for part in places.split(max(1, LOOKUP_SIZE // offset.shape[-1]), 1):
            logits = torch.baddbmm(offset, part, slope)
            largest = logits.amax(-1)
            nearest.append((part.square().sum(-1) - reach * largest).clamp_min(0.0).sqrt())
            sums = (logits - largest[..., None]).clamp_min_(LEAST_LOGIT).exp_() @ values
            expected.append((sums[..., :-1] / sums[..., -1:]).permute(2, 0, 1))
        further = torch.stack([residual(places) for residual in residuals]) if residuals else places.new_zeros(0)
        maps = (torch.cat(nearest, 1), torch.cat(expected, 2), further)
        found.append(tuple(m.unflatten(-1, sample[0].shape[-2:]) if m.numel() else m for m in maps))  # type: ignore
    nearest_maps, expected_maps, further_maps = zip(*found, strict=True)
    return LookedUp(
        torch.stack(nearest_maps), torch.stack(expected_maps, 1), torch.stack(further_maps, 1 if residuals else 0)
    )
