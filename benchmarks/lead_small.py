"""Memories of fewer patches than the leads start from, drawn at random or selected as `PatchBank.fill` selects."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from afrd.model.evidence import Evidence
from afrd.model.patch_memory import CANDIDATES, farthest_first
from benchmarks.lead_evidence import SPLITS, Case, other_memory, with_memory
from benchmarks.lead_memory import Memory, look_up, remember, samples_of, to_other_parts

FEWER, SELECTED = (1024, 512), (2048, 1024, 512, 256)  # patches of each light, drawn at random and selected


def small_memories(case: Case) -> Iterator[tuple[str, Evidence, Evidence]]:
    seed = case.run.config.seed
    for count in FEWER:
        yield other_memory(case, f"memory of {count} patches", count)
    candidates = remember(samples_of(case.features("train")), case.errors, CANDIDATES, seed)
    orders = [farthest_first(patches, max(SELECTED)) for patches in candidates.patches]
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


def selected(memory: Memory, light: int, index: Tensor) -> Memory:
    """One light's patches at these positions, with their distances to one another."""
    patches, owner = memory.patches[light : light + 1, index], memory.owner[index]
    errors = memory.errors[light : light + 1, index]
    return Memory(patches, owner, errors, *to_other_parts(patches, owner))
