"""Explanation of one place of an anomaly map: every light's attention and error, scale by scale, and the most similar
places of good parts.

    reason = why(run, sample, place=(120, 88))              # reason.lights[0].attention, .error, .scales
    similar_places(run, sample, (120, 88), data["train"])   # light -> the most similar places of good parts
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from afrd.data.dataset import MultiLightDataset, Sample
from afrd.model.evidence import resize
from afrd.model.inputs import Inputs
from afrd.model.lookup import embed
from afrd.model.patch_memory import PatchMemory
from afrd.runs.run import Run
from afrd.runs.sizes import check_place

MAX_NEIGHBOURS = 3
MAX_SEARCHED_SAMPLES = 64  # training samples searched, evenly spaced in a larger set
SEARCH_CHUNK_SIZE = 8  # training samples searched at a time


@dataclass(frozen=True)
class LightReason:
    """One light's contribution to the anomaly map at a place.

    Attributes:
        light: its name.
        attention: its weight in the anomaly map here, 0..1.
        error: its error here, in the unit of the maps; with target `fused` that of the fused features.
        plain: the sum of the student's errors before variance, memory and attention weigh it.
        contrast: of its picture here, in grey levels (`afrd.model.inputs.local_contrast`).
        scales: contribution of each of the teacher's scales, finest first, to the student's error; empty for a patch
            memory.
        distance: to the nearest patch in the run's memory of good parts; None without a memory.
        usual: the expected normal evidence U of the most similar remembered patches; None where the run stores none.

    The error is sum(scales), or `distance` where there are no scales; with both it is that of `EvidenceTerms`, and
    attention over evidence goes with error * plain * contrast, up to interpolation errors of the maps.
    """

    light: str
    attention: float
    error: float
    plain: float
    contrast: float
    scales: tuple[float, ...]
    distance: float | None
    usual: float | None = None


@dataclass(frozen=True)
class Why:
    """The anomaly map at pixel (x, y), decomposed: `evidence` is the sum over `lights` of attention * error.

    `strides` are those of the teacher's scales.
    """

    x: int
    y: int
    evidence: float
    strides: tuple[int, ...]
    lights: tuple[LightReason, ...]


@dataclass(frozen=True)
class Neighbour:
    """A place of a good part: pixel (x, y) of training sample `index`, and how far it is from the place in question.

    The distance is Euclidean between the patches of `afrd.model.lookup.embed`, 0..2 for each scale
    (root of the sum of squares).
    """

    index: int
    x: int
    y: int
    distance: float


@dataclass(frozen=True)
class Similar:
    """The most similar places of good parts under one light, each of another sample, nearest first.

    `spread` is the mean distance between these places themselves (0 for fewer than two): a place whose distance to
    them is much larger differs from them.
    """

    neighbours: tuple[Neighbour, ...]
    spread: float


@torch.no_grad()
def why(
    run: Run,
    sample: Sample,
    place: tuple[int, int],
    lights: str | Sequence[str | int] | None = None,
    inputs: Inputs | None = None,
) -> Why:
    """Decomposes a run's anomaly map at one place.

    Args:
        run: any run.
        sample: to be explained.
        place: (x, y) in pixels of the sample's pictures.
        lights: use these of the sample's lights only.
        inputs: of the sample, of at least these lights, if computed already (`Run.inputs`).

    Raises:
        ValueError: the place is not in the picture, or the sample has none of the run's lights.
    """
    height, width = _within(sample, place)
    x, y = place
    used = run.lights_of(sample, lights)
    inputs = run.inputs(sample, used, inputs)
    terms = run.model.terms(*inputs)
    maps = run.model.maps(run.model.evidence_from(terms, inputs.present), (height, width))

    def at_place(values: Tensor) -> list[float]:  # (1, L, h, w), or (1, 1, h, w) with target `fused` -> a value a light
        return resize(values, (height, width))[0, :, y, x].expand(len(run.lights)).tolist()

    scales = [] if isinstance(run.model, PatchMemory) else [at_place(values) for values in terms.scales]
    plain, strength = at_place(terms.plain), at_place(terms.contrast)
    distance, usual = (None if values is None else at_place(values) for values in (terms.distance, terms.usual))
    reasons = []
    for light in used:
        i = run.lights.index(light)
        attention, error = float(maps.attention[0, i, y, x]), float(maps.light_maps[0, i, y, x])
        of_scales = tuple(scale[i] for scale in scales)
        light_distance, light_usual = (None if values is None else values[i] for values in (distance, usual))
        reasons.append(
            LightReason(light, attention, error, plain[i], strength[i], of_scales, light_distance, light_usual)
        )
    return Why(x, y, float(maps.anomaly_map[0, y, x]), run.model.config.strides, tuple(reasons))


@torch.no_grad()
def similar_places(
    run: Run,
    sample: Sample,
    place: tuple[int, int],
    train: MultiLightDataset,
    lights: str | Sequence[str | int] | None = None,
    itself: int | None = None,
    inputs: Inputs | None = None,
) -> dict[str, Similar]:
    """For each light the places of good parts most similar to this one, by the distance of the patch memory.

    Args:
        run: whose teacher and lights are used.
        sample, place, lights, inputs: see `why`.
        train: the split of good parts; its teacher features are computed where the store has none. Of a split with more
            than `MAX_SEARCHED_SAMPLES` samples, evenly spaced ones are searched.
        itself: the sample's own index in `train`, if it is one of them, so that it is left out.

    Raises:
        ValueError: see `why`.
    """
    height, width = _within(sample, place)
    used = run.lights_of(sample, lights)
    features = run.inputs(sample, used, inputs).features
    stored = run.features(train)
    rows, columns = features[0].shape[-2:]
    target_cell = place[1] * rows // height * columns + place[0] * columns // width
    index = [i for i in searched(len(train)) if i != itself]
    similar: dict[str, Similar] = {}
    for light in used:
        target = embed([f[:, [run.lights.index(light)]] for f in features])[0, 0, target_cell]  # (C,)
        patches, cells = [], []  # the nearest of every training sample
        for start in range(0, len(index), SEARCH_CHUNK_SIZE):
            batch = stored.batch(index[start : start + SEARCH_CHUNK_SIZE], [stored.lights.index(light)])
            candidates = embed([f.to(run.device).float() for f in batch])[:, 0]  # (chunk, places, C)
            cell = (candidates - target).square().sum(-1).argmin(1)
            cells += cell.tolist()
            patches += list(candidates[torch.arange(len(candidates)), cell])
        similar[light] = _nearest(train, index, target, patches, cells, (rows, columns))
    return similar


def searched(count: int) -> range:
    """Indices among `count` training samples that `similar_places` searches."""
    return range(0, count, max(1, -(-count // MAX_SEARCHED_SAMPLES)))


def _nearest(
    train: MultiLightDataset,
    index: list[int],
    target: Tensor,
    patches: list[Tensor],
    cells: list[int],
    grid: tuple[int, int],
) -> Similar:
    if not index:
        return Similar((), 0.0)
    (rows, columns), (height, width) = grid, train.image_size
    distances = torch.stack([(patch - target).norm() for patch in patches])
    nearest = distances.argsort()[:MAX_NEIGHBOURS].tolist()
    neighbours = tuple(
        Neighbour(
            index[i],
            int((cells[i] % columns + 0.5) * width / columns),
            int((cells[i] // columns + 0.5) * height / rows),
            float(distances[i]),
        )
        for i in nearest
    )
    between = torch.pdist(torch.stack([patches[i] for i in nearest]))
    return Similar(neighbours, float(between.mean()) if len(between) else 0.0)


def _within(sample: Sample, place: tuple[int, int]) -> tuple[int, int]:
    """(H, W) of the pictures, if the place is in them."""
    size = sample.images.shape[-2], sample.images.shape[-1]
    check_place(place, size)
    return size
