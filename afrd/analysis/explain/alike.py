"""Search for places similar to a missed defect, and for the lights and thresholds that would have found it.

    alike(run, data["test_public"], 7, (120, 88), data["test_public"])  # places like it, the most similar first
    reach(run, data["test_public"], 7, (120, 88))  # sets of lights, and the threshold, that would have found it

The nearest places of good parts are `similar_places` of `afrd.analysis.explain.place`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from afrd.analysis.explain.region import around
from afrd.analysis.explain.shapley import coalitions
from afrd.data.dataset import MultiLightDataset, parse_lights
from afrd.model.lookup import distance_to_few, embed
from afrd.runs.calibration import stored_inputs
from afrd.runs.run import Run
from afrd.runs.sizes import cell_of, check_place
from afrd.runs.thresholds import subset_thresholds

MOST_ALIKE = 12
MAX_LIGHTS = 8  # whose subsets are tried one by one: 255


@dataclass(frozen=True)
class Alike:
    """A place that looks like another one.

    Attributes:
        index, sample: in the searched split.
        x, y: in pixels of the sample's pictures.
        distance: root of the mean over the lights of the squared distance between the patches (`embed`).
        by_light: the distance under each light, in the order of the lights used.
    """

    index: int
    sample: str
    x: int
    y: int
    distance: float
    by_light: tuple[float, ...]


@dataclass(frozen=True)
class Reach:
    """What would have found a place.

    Attributes:
        evidence: the largest value of the map around the place under all lights, in units of its threshold.
        sets: sets of lights whose map exceeds their own threshold there, the clearest first, each with the value in
            units of that threshold.
        per_thousand: the lowest rate of false alarms per thousand good parts, under all lights, whose threshold the
            place exceeds, as the calibration samples tell it; 1000 where all of them score higher.
    """

    evidence: float
    sets: tuple[tuple[tuple[str, ...], float], ...]
    per_thousand: float


@torch.no_grad()
def alike(
    run: Run,
    dataset: MultiLightDataset,
    index: int,
    place: tuple[int, int],
    among: MultiLightDataset,
    lights: str | Sequence[str | int] | None = None,
    count: int = MOST_ALIKE,
) -> list[Alike]:
    """The places of a split that look most like one place, at most one of each sample, the most similar first.

    Args:
        run: whose teacher and lights are used.
        dataset, index, place: the place (x, y) in pixels of a sample of a split.
        among: the split to search; the sample itself is left out. Features are computed where the store has none.
        lights: under which the places are compared, all of the run's by default.
        count: how many places.

    Raises:
        ValueError: the place is not in the picture.
    """
    used = parse_lights(lights, run.lights)
    rows = [run.lights.index(light) for light in used]
    features = [f[:, rows] for f in run.stored_inputs(dataset, index).features]
    grid = features[0].shape[-2:]
    row, column = cell_of(place, dataset.image_size, (grid[0], grid[1]))
    patch = embed(features)[0][:, [row * grid[1] + column]]  # (L, 1, C)
    stored = run.features(among)
    itself = index if (among.category, among.split) == (dataset.category, dataset.split) else None
    places, (height, width) = [], among.image_size
    for i in range(len(among)):
        if i == itself:
            continue
        inputs = stored_inputs(stored, [i], stored.positions(used), torch.ones(1, len(used), dtype=torch.bool))
        by_light = distance_to_few([f.to(patch.device) for f in inputs.features], patch)[0]  # (L, h, w)
        distance = by_light.square().mean(0).sqrt()
        at = int(distance.argmin())
        y, x = divmod(at, distance.shape[1])
        places.append(
            Alike(
                i,
                among.names[i],
                int((x + 0.5) * width / distance.shape[1]),
                int((y + 0.5) * height / distance.shape[0]),
                float(distance[y, x]),
                tuple(by_light[:, y, x].tolist()),
            )
        )
    return sorted(places, key=lambda one: one.distance)[:count]


@torch.no_grad()
def reach(run: Run, dataset: MultiLightDataset, index: int, place: tuple[int, int]) -> Reach | None:
    """Which sets of lights, and which threshold, would have found a place; None for a run without a threshold.

    Raises:
        ValueError: the place is not in the picture.
    """
    size = dataset.image_size
    check_place(place, size)
    threshold = run.threshold()
    if threshold is None:
        return None
    near = around((place[0] + 0.5, place[1] + 0.5), size)
    value = float(run.predict_stored(dataset, index).anomaly_map[near].max())
    calibration = run.calibration_scores()
    above = int((calibration >= value).sum())
    per_thousand = 1000 * min(1.0, (above + 1) / (len(calibration) + 1))
    return Reach(value / threshold.value, tuple(_sets_that_find(run, dataset, index, near)), per_thousand)


def _sets_that_find(
    run: Run, dataset: MultiLightDataset, index: int, near: np.ndarray
) -> list[tuple[tuple[str, ...], float]]:
    count = len(run.lights)
    if run.model.config.target == "fused" or not 1 < count <= MAX_LIGHTS:
        return []
    members = coalitions(count)[1:]
    evidence = run.stored_evidence(dataset, index)
    maps = run.model.anomaly_maps(evidence, torch.from_numpy(members).to(run.device), dataset.image_size)
    values = maps[:, torch.from_numpy(near).to(run.device)].amax(1).cpu().numpy()
    sets = []
    for row, value, threshold in zip(members, values, subset_thresholds(run, members), strict=True):
        if threshold is not None and threshold.exceeded_by(value):
            lights = tuple(light for light, present in zip(run.lights, row, strict=True) if present)
            sets.append((lights, float(value / threshold.value)))
    return sorted(sets, key=lambda one: -one[1])
