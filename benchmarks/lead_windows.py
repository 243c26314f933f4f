"""Evidence of overlapping windows: every picture is read four times, as two by two crops, and their maps are joined.

High-resolution pictures are read like this (tiled ensembles, https://arxiv.org/abs/2403.04932). At the usual scale the
crops change what surrounds a place; enlarged ones show small defects larger. The student stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from afrd.model.afrd import AFRD, VARIANCE_EXPONENT
from afrd.model.evidence import EvidenceTerms, cosine_errors, resize, smooth
from afrd.model.inputs import compute_inputs, teacher_size
from benchmarks.lead_evidence import SPLITS, Case, Leads
from benchmarks.lead_memory import DRAWN_PATCHES, Memory, look_up, remember

WINDOWS = 4  # of a picture, two by two
WINDOW_SHARE = 5 / 8  # of a side, so that neighbours share a quarter of it

Features = list[Tensor]  # of one window, per scale (1, L, C, h, w)


@dataclass(frozen=True)
class Layout:
    """How a picture is cut into windows.

    Attributes:
        whole: (H, W) in pixels to which the picture is brought.
        window: (H, W) of each window, at the corners of the whole.
        stride: of the teacher's finest scale, in pixels.
    """

    whole: tuple[int, int]
    window: tuple[int, int]
    stride: int

    @property
    def grid(self) -> tuple[int, int]:
        return self.whole[0] // self.stride, self.whole[1] // self.stride

    def corners(self, unit: int) -> list[tuple[slice, slice]]:
        """Rows and columns of each window, in pixels (unit 1) or in places (unit `stride`)."""
        spans = [
            (slice(0, part // unit), slice((side - part) // unit, side // unit))
            for side, part in zip(self.whole, self.window, strict=True)
        ]
        return [(rows, columns) for rows in spans[0] for columns in spans[1]]

    def cut(self, maps: Tensor) -> Tensor:
        """(L, H, W) on the grid of the whole -> (4, L, h, w), those of the windows."""
        return torch.stack([maps[:, rows, columns] for rows, columns in self.corners(self.stride)])

    def join(self, maps: Tensor) -> Tensor:
        """(4, K, h, w) on the windows' grids -> (K, H, W): means, in which a window counts less towards its border."""
        height, width = maps.shape[-2:]
        weight = tent(height)[:, None] * tent(width)
        total, weights = maps.new_zeros(maps.shape[1], *self.grid), maps.new_zeros(self.grid)
        for of_window, (rows, columns) in zip(maps, self.corners(self.stride), strict=True):
            total[:, rows, columns] += weight * of_window
            weights[rows, columns] += weight
        return total / weights


def tent(count: int) -> Tensor:
    """1, 2, ..., 2, 1."""
    steps = torch.arange(1.0, count + 1)
    return torch.minimum(steps, steps.flip(0))


def layouts(case: Case) -> tuple[Layout, Layout]:
    """Windows at the usual scale, and enlarged ones that are each as large as the usual input."""
    teacher = case.run.teacher
    height, width = case.split("test")[0].images.shape[-2:]
    usual = teacher_size((height, width), case.run.config.size, teacher.strides)
    part = teacher_size(usual, round(WINDOW_SHARE * max(usual)), teacher.strides)
    whole = teacher_size(usual, round(max(usual) / WINDOW_SHARE), teacher.strides)
    return Layout(usual, part, teacher.strides[0]), Layout(whole, usual, teacher.strides[0])


def read(case: Case, name: str, layout: Layout) -> Iterator[list[Features]]:
    """The windows of one sample after another, in the float16 of the feature store."""
    split = case.split(name).select(case.run.lights)
    for i in range(len(split)):
        images = split[i].images
        if images.shape[-2:] != layout.whole:
            images = F.interpolate(images, layout.whole, mode="bilinear", antialias=True, align_corners=False)
        windows = []
        for rows, columns in layout.corners(1):
            features, _ = compute_inputs(case.run.teacher, images.clamp(0, 1)[:, :, rows, columns], max(layout.window))
            windows.append([f[None] for f in features])
        yield windows


@torch.no_grad()
def student_maps(case: Case, layout: Layout, windows: Sequence[Features]) -> Tensor:
    """(scales + 1, L, H, W) of one sample: per scale e exp(-v / 2), and the sum of e, joined and smoothed."""
    assert isinstance(case.run.model, AFRD)
    of_windows = []
    for window in windows:
        features = [f.float() for f in window]
        regressed, log_variance = case.run.model.student(features)
        errors = cosine_errors(regressed, features)
        grid = features[0].shape[-2:]
        weighted = [e * torch.exp(-VARIANCE_EXPONENT * v) for e, v in zip(errors, log_variance, strict=True)]
        maps = [resize(e, grid) for e in (*weighted, *errors)]
        of_windows.append(torch.cat([*maps[: len(weighted)], torch.stack(maps[len(weighted) :]).sum(0)]))
    joined = layout.join(torch.stack(of_windows).flatten(1, 2))
    return smooth(joined[None])[0].unflatten(0, of_windows[0].shape[:2])


def terms_of(case: Case, name: str, layout: Layout, memory: Memory, usual: Tensor) -> list[EvidenceTerms]:
    """The terms of a split, on the grid of the usual input; one for each kind of expected normal evidence."""
    grid = case.student[name].plain.shape[-2:]
    found: list[list[Tensor]] = []
    for windows in read(case, name, layout):
        seen = look_up(([f.float() for f in window] for window in windows), memory, usual)
        kinds = torch.cat([seen.nearest[:, None], seen.usual.transpose(0, 1)], 1)  # (4, K + 1, L, h, w)
        looked_up = smooth(layout.join(kinds.flatten(1, 2))[None])[0].unflatten(0, kinds.shape[1:3])
        maps = torch.cat([student_maps(case, layout, windows), looked_up])
        if maps.shape[-2:] != grid:
            maps = F.interpolate(maps, grid, mode="bilinear", antialias=True, align_corners=False)
        found.append(list(maps))
    *scales, plain, distance = (torch.stack(of) for of in zip(*(f[: -len(usual)] for f in found), strict=True))
    contrast = case.student[name].contrast
    return [
        EvidenceTerms(scales, plain, contrast, distance, torch.stack([f[k - len(usual)] for f in found]), None)
        for k in range(len(usual))
    ]


def as_large_windows(case: Case) -> Leads:
    """Windows at the usual scale; the memory is that of the run."""
    layout, _ = layouts(case)
    usual = (case.memory.errors * case.memory.distance).sqrt()[None]
    terms = {name: terms_of(case, name, layout, case.memory, usual)[0] for name in SPLITS}
    yield case.both("overlapping windows at the usual scale", terms)


def enlarged_windows(case: Case) -> Leads:
    """Windows that are enlarged to the usual input, with a memory of such windows."""
    _, layout = layouts(case)
    train = list(read(case, "train", layout))
    of_windows, of_whole = [], []
    for windows, errors in zip(train, case.errors, strict=True):
        of_windows.append(layout.cut(student_maps(case, layout, windows)[:-1].sum(0)))
        whole = errors.unflatten(-1, case.student["train"].plain.shape[-2:])
        of_whole.append(layout.cut(resize(whole[None], layout.grid)[0]))
    memories = [
        remember(
            ([f.float() for f in window] for windows in train for window in windows),
            torch.cat(errors).flatten(2),
            DRAWN_PATCHES,
            case.run.config.seed,
            windows=WINDOWS,
        )
        for errors in (of_windows, of_whole)
    ]
    del train
    usual = torch.stack([(memory.errors * memory.distance).sqrt() for memory in memories])
    found = {name: terms_of(case, name, layout, memories[0], usual) for name in SPLITS}
    yield case.both("enlarged overlapping windows", {name: terms[0] for name, terms in found.items()})
    memory_only = {
        name: replace(case.student[name], distance=terms[1].distance, usual=terms[1].usual)
        for name, terms in found.items()
    }
    yield case.both("enlarged overlapping windows for the memory alone", memory_only)
    both = {name: mean_of(case.baseline[name], terms[0]) for name, terms in found.items()}
    yield case.both("enlarged overlapping windows and the whole picture, the mean", both)


def mean_of(one: EvidenceTerms, other: EvidenceTerms) -> EvidenceTerms:
    assert one.distance is not None and other.distance is not None
    assert one.usual is not None and other.usual is not None
    return replace(
        one,
        scales=[(a + b) / 2 for a, b in zip(one.scales, other.scales, strict=True)],
        plain=(one.plain + other.plain) / 2,
        distance=(one.distance + other.distance) / 2,
        usual=(one.usual + other.usual) / 2,
        nearest=None,
    )
