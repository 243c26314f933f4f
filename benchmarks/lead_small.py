"""Memories of fewer patches than AFRD keeps, drawn at random as it draws them or selected as PatchCore selects."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from afrd.model.evidence import Evidence
from benchmarks.lead_evidence import SPLITS, Case, other_memory, with_memory
from benchmarks.lead_memory import Memory, look_up, remember, samples_of, to_other_parts

FEWER, SELECTED = (1024, 512), (2048, 1024, 512, 256)  # patches of each light, drawn at random and selected
CANDIDATES = 40_960  # of each light, drawn at random, among which is selected


def small_memories(case: Case) -> Iterator[tuple[str, Evidence, Evidence]]:
    seed = case.run.config.seed
    for count in FEWER:
        yield other_memory(case, f"memory of {count} patches", count)
    candidates = remember(samples_of(case.features("train")), case.errors, CANDIDATES, seed)
    orders = [greedy_order(patches, max(SELECTED)) for patches in candidates.patches]
    for count in SELECTED:
        by_light = [selected(candidates, light, order[:count]) for light, order in enumerate(orders)]
        terms = {}
        for split in SPLITS:
            found = [
                look_up(
                    ([f[:, [light]] for f in scales] for scales in samples_of(case.features(split))),
                    memory,
                    (memory.errors * memory.distance).sqrt()[None],
                )
                for light, memory in enumerate(by_light)
            ]
            nearest, usual = torch.cat([f.nearest for f in found], 1), torch.cat([f.usual[0] for f in found], 1)
            terms[split] = with_memory(case.student[split], nearest, usual)
        yield case.both(f"memory of {count} patches, selected greedily", terms)


def greedy_order(patches: Tensor, count: int) -> Tensor:
    """Positions (count,) of patches (P, C), each the farthest from those before it (PatchCore, algorithm 1)."""
    squares = patches.square().sum(-1)
    order, nearest = [0], torch.full_like(squares, torch.inf)
    for _ in range(count - 1):
        last = order[-1]
        nearest = torch.minimum(nearest, squares + squares[last] - 2 * patches @ patches[last])
        order.append(int(nearest.argmax()))
    return torch.tensor(order)


def selected(memory: Memory, light: int, index: Tensor) -> Memory:
    """One light's patches at these positions, with their distances to one another."""
    patches, owner = memory.patches[light : light + 1, index], memory.owner[index]
    errors = memory.errors[light : light + 1, index]
    return Memory(patches, owner, errors, *to_other_parts(patches, owner))
