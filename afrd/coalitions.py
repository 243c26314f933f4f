"""Sets of lights: all of them at once, their maps out of one set of light maps, and exact Shapley values."""

from __future__ import annotations

from math import factorial

import numpy as np
import torch
from torch import Tensor

from afrd.fusion import LEAST

MOST = 10  # lights of which all 2^L sets are looked at


def coalitions(lights: int) -> np.ndarray:
    """All sets of lights, (2^L, L) bool; row i holds light l where bit l of i is set, so row 0 is the empty set."""
    return (np.arange(2**lights)[:, None] >> np.arange(lights) & 1).astype(bool)


def shapley_weights(lights: int) -> np.ndarray:
    """(L, 2^L) matrix that turns the sets' values, in the order of `coalitions`, into Shapley values.

    phi_l = sum over sets S without l of |S|! (L - |S| - 1)! / L! (v(S with l) - v(S))  (Shapley, 1953). The values are
    exact, so they sum to v(all) - v(nothing).
    """
    members = coalitions(lights)  # (2^L, L)
    size = members.sum(1)
    total = factorial(lights)
    joins = np.array([factorial(max(s - 1, 0)) * factorial(lights - s) / total for s in range(lights + 1)])
    leaves = np.array([factorial(s) * factorial(max(lights - s - 1, 0)) / total for s in range(lights + 1)])
    return np.where(members, joins[size][:, None], -leaves[size][:, None]).T


def shapley(values: np.ndarray) -> np.ndarray:
    """Exact Shapley values.

    Args:
        values: (..., 2^L) of all sets in the order of `coalitions`, the empty set first.

    Returns:
        (..., L) in the unit of the values; they sum to the value of all lights minus that of none.

    Raises:
        ValueError: the number of values is no power of two.
    """
    values = np.asarray(values, dtype=float)
    lights = values.shape[-1].bit_length() - 1
    if values.shape[-1] != 2**lights:
        raise ValueError(f"{values.shape[-1]} values are not those of all sets of some lights; 2^L are needed")
    return values @ shapley_weights(lights).T


def coalition_maps(evidence: Tensor, weights: Tensor, members: Tensor, fusion: str) -> Tensor:
    """Anomaly maps of many sets of lights at once; that of the empty set is zero.

    With attention the map of a set is the quotient of two sums over its lights, of w E and of w, so that all sets are
    two matrix products; it agrees with `fuse_evidence` up to rounding.

    Args:
        evidence: (L, ...) not negative, every light's error map E.
        weights: (L, ...) not negative, w; only attention looks at them.
        members: (K, L) bool, the sets.
        fusion: `attention`, `mean` or `max`.

    Returns:
        (K, ...) anomaly maps.
    """
    place = evidence.shape[1:]
    flat = evidence.flatten(1)  # (L, P)
    inside = members.to(flat.dtype)
    if fusion == "attention":
        telling = weights.flatten(1).clamp_min(LEAST)
        found = (inside @ (telling * flat)) / (inside @ telling).clamp_min(LEAST)  # the empty set has no sum
    elif fusion == "mean":
        found = (inside @ flat) / inside.sum(1, keepdim=True).clamp_min(1)
    elif fusion == "max":
        found = flat.new_zeros(len(members), flat.shape[1])
        for light, map_ in enumerate(flat):
            rows = members[:, light].nonzero()[:, 0]
            found[rows] = torch.maximum(found[rows], map_)
    else:
        raise ValueError(f"evidence cannot be fused by {fusion!r}; choose attention, mean or max")
    return found.unflatten(1, place)
