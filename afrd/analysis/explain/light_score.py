"""Attribution of a score to the lights: exact Shapley values, from the cached features of a split.

Shapley values as explanations: Lundberg & Lee, NeurIPS 2017, https://arxiv.org/abs/1705.07874. Here each light is a
player, and absent lights are left out of the model, so no background distribution is needed for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import lazy_loader as lazy
import numpy as np
import torch
from torch import Tensor

from afrd.analysis.explain.region import checked_region
from afrd.analysis.explain.shapley import MAX_EXACT_LIGHTS, coalitions, shapley
from afrd.data.dataset import MultiLightDataset, parse_lights
from afrd.runs.calibration import batches_of_maps
from afrd.runs.run import Run

captum = lazy.load("captum")  # takes a second to import, as it imports matplotlib

SAMPLED_ORDERS = 100  # random orders of the lights, where all sets are too many


@dataclass(frozen=True, eq=False)
class LightAttribution:
    """Attribution of one score to the lights.

    Attributes:
        lights: L names.
        score: of all these lights together, in the unit of the anomaly map; `empty` is that of no light.
        shapley: (L,), sums to `score` - `empty`.
        alone: (L,) the score under each light only.
        without: (L,) decrease of the score when that light alone is left out; these need not sum to the score.
        exact: over all sets of the lights; False where random orders of them were drawn.
    """

    lights: tuple[str, ...]
    score: float
    empty: float
    shapley: np.ndarray
    alone: np.ndarray
    without: np.ndarray
    exact: bool


def lights(
    run: Run,
    dataset: MultiLightDataset,
    index: int,
    region: np.ndarray | None = None,
    lights: str | Sequence[str | int] | None = None,
    empty: float = 0.0,
) -> LightAttribution:
    """Shapley values of the lights for one sample's score, from the cached features of its split.

    The game: the value of a set of lights is the maximum of the map that these lights give, over the whole picture or
    over a region. An absent light is hidden from the run, as when a user switches it off. The empty set has the
    value `empty`; another number there shifts all values equally.

    Up to `MAX_EXACT_LIGHTS` lights all 2^L sets are fused at once and weighted exactly; Captum's `ShapleyValues` gives
    the same numbers from all L! orders, which takes minutes. Beyond that its `ShapleyValueSampling` draws
    orders.

    Args:
        run: of any target.
        dataset, index: the sample.
        region: (H, W) bool, not empty; the whole picture by default.
        lights: a subset of the run's; all by default.
        empty: in the unit of the anomaly map.

    Raises:
        ValueError: an unknown light, or a region of another size or empty.
    """
    used = parse_lights(lights, run.lights)
    value = _value_of_sets(
        run, dataset, range(len(dataset))[index], checked_region(region, dataset.image_size), used, empty
    )
    count = len(used)
    everything = np.ones((1, count), bool)
    score = float(value(everything)[0])
    alone, without = value(np.eye(count, dtype=bool)), score - value(~np.eye(count, dtype=bool))
    exact = count <= MAX_EXACT_LIGHTS
    worth = shapley(value(coalitions(count))) if exact else _sampled(value, count)
    return LightAttribution(used, score, empty, worth, alone, without, exact)


def _value_of_sets(
    run: Run, dataset: MultiLightDataset, index: int, region: Tensor, used: tuple[str, ...], empty: float
) -> Callable[[np.ndarray], np.ndarray]:
    """A function from sets (K, L) bool to their values (K,)."""
    positions = [run.lights.index(light) for light in used]
    size = dataset.image_size

    def best(maps: Tensor) -> Tensor:  # (K, H, W) -> (K,)
        return maps[:, region.to(maps.device)].amax(1)

    @torch.no_grad()
    def of_evidence(members: np.ndarray) -> np.ndarray:
        sets = torch.zeros(len(members), len(run.lights), dtype=torch.bool, device=run.device)
        sets[:, positions] = torch.from_numpy(members).to(run.device)
        values = best(run.model.anomaly_maps(evidence, sets, size))
        return np.where(members.any(1), values.cpu().double().numpy(), empty)

    @torch.no_grad()
    def of_features(members: np.ndarray) -> np.ndarray:
        present = torch.zeros(len(members), len(run.lights), dtype=torch.bool, device=run.device)
        present[:, positions] = torch.from_numpy(members).to(run.device)
        values = np.full(len(members), empty)
        nonempty = np.flatnonzero(members.any(1))
        for some in batches_of_maps(len(nonempty), run.device):
            rows = nonempty[some]
            batch = [f.expand(len(rows), *f.shape[1:]) for f in features]
            batch_contrast = contrast.expand(len(rows), *contrast.shape[1:])
            maps = run.model.maps(run.model.evidence(batch, batch_contrast, present[rows]), size).anomaly_map
            values[rows] = best(maps).cpu().double().numpy()
        return values

    if run.model.config.target == "lights":
        evidence = run.evidence(dataset).rows(slice(index, index + 1), run.everything)
        return of_evidence
    features, contrast, _ = run.stored_inputs(dataset, index)
    return of_features


def _sampled(value: Callable[[np.ndarray], np.ndarray], count: int) -> np.ndarray:
    def forward(present: Tensor) -> Tensor:  # (B, L) of 0 and 1
        return torch.from_numpy(value(present.numpy() > 0.5))

    with torch.random.fork_rng(devices=[]):  # reproducible orders
        torch.default_generator.manual_seed(0)
        values = captum.attr.ShapleyValueSampling(forward).attribute(
            torch.ones(1, count, dtype=torch.double), n_samples=SAMPLED_ORDERS, perturbations_per_eval=64
        )
    return values[0].numpy()
