"""A memory that is looked up on the coarser grid of the teacher's features, a quarter of the places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from afrd.model.evidence import Evidence, resize
from benchmarks.lead_evidence import SPLITS, Case, with_memory
from benchmarks.lead_memory import DRAWN_PATCHES, look_up, remember, samples_of


def coarse_places(case: Case) -> Iterator[tuple[str, Evidence, Evidence]]:
    """D and U on the coarse grid, enlarged; the memory keeps patches of the fine grid, or of the coarse one as well."""
    grids = [scale.shape[-2:] for scale in case.features("train").scales]
    errors = resize(case.errors.unflatten(2, grids[0]), grids[-1]).flatten(2)
    train = coarsened(samples_of(case.features("train")))
    memories = {"fine": case.memory, "coarse": remember(train, errors, DRAWN_PATCHES, case.run.config.seed, joined)}
    for origin, memory in memories.items():
        usual, terms = (memory.errors * memory.distance).sqrt()[None], {}
        for split in SPLITS:
            found = look_up(coarsened(samples_of(case.features(split))), memory, usual, (), joined)
            nearest, expected = (resize(maps, grids[0]) for maps in (found.nearest, found.usual[0]))
            terms[split] = with_memory(case.student[split], nearest, expected)
        yield case.both(f"looked up on the coarse grid, patches of the {origin} one", terms)


def coarsened(samples: Iterable[Sequence[Tensor]]) -> Iterator[list[Tensor]]:
    """Samples whose scales are means of 3x3 places on the coarsest grid."""
    for scales in samples:
        grid = scales[-1].shape[-2:]
        pooled = [F.avg_pool2d(f.flatten(0, 1), 3, stride=1, padding=1) for f in scales]
        yield [resize(f, grid).unflatten(0, scales[0].shape[:2]) for f in pooled]


def joined(scales: Sequence[Tensor]) -> Tensor:
    """`embed` of coarsened samples."""
    return torch.cat([F.normalize(f, dim=2) for f in scales], 2).flatten(3).transpose(2, 3)
