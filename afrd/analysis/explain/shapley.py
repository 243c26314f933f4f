"""Sets of lights: all of them at once, and exact Shapley values.

Shapley, A value for n-person games, 1953, https://doi.org/10.1515/9781400881970-018; as explanations of a model:
Lundberg & Lee, NeurIPS 2017, https://arxiv.org/abs/1705.07874.
"""

from __future__ import annotations

from math import factorial

import numpy as np

MAX_EXACT_LIGHTS = 10  # lights of which all 2^L sets are looked at


def coalitions(lights: int) -> np.ndarray:
    """All sets of lights, (2^L, L) bool; row i holds light l where bit l of i is set, so row 0 is the empty set."""
    return (np.arange(2**lights)[:, None] >> np.arange(lights) & 1).astype(bool)


def shapley_weights(lights: int) -> np.ndarray:
    """(L, 2^L) matrix that turns the sets' values, in the order of `coalitions`, into Shapley values.

    phi_l = sum over sets S without l of |S|! (L - |S| - 1)! / L! (v(S with l) - v(S))  (Shapley 1953). The values are
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
