"""Candies of random categories, `Random1`, `Random2`, ...: any number of kinds of parts from one factory.

A random category takes the solid of one category of `afrd.candies.shapes` and the texture of one, mostly another, in
other colours, with another gloss, relief and translucency. Its number determines all of that, so that the candies of a
category differ among themselves as those of a named category do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from afrd.candies.shapes import CATEGORIES, Array, Candy, Paint, make_candy

RANDOM = "Random"


def random_number(category: str) -> int | None:
    """The number of a random category, None for any other name."""
    match = re.fullmatch(rf"{RANDOM}([1-9]\d{{0,8}})", category)
    return int(match[1]) if match else None


def random_sources(number: int) -> tuple[str, str]:
    """The categories whose solid and whose texture the random category of this number takes; they can be the same."""
    return _sources(np.random.default_rng([number, 0]))


def _sources(kind: np.random.Generator) -> tuple[str, str]:
    shape, texture = (CATEGORIES[k] for k in kind.integers(len(CATEGORIES), size=2))
    return shape, texture


def random_candy(number: int, rng: np.random.Generator, size: int) -> Candy:
    """Draws one candy of the random category of this number.

    Args:
        number: 1 or more.
        rng: the source of chance of this one candy; the category's own is its number.
        size: side of the picture in pixels, which sets how fine the textures are.
    """
    kind = np.random.default_rng([number, 0])
    shape, texture = _sources(kind)
    candy = make_candy(shape, rng, size)
    textured = candy if texture == shape else make_candy(texture, rng, size)
    relief = textured.relief
    if relief is not None:
        relief = relief * np.float32(np.exp(kind.uniform(np.log(0.4), np.log(1.6))))
    return replace(
        candy,
        paint=_repainted(textured.paint, kind),
        relief=relief,
        wrap=float(kind.choice([0.0, 0.0, 0.1, 0.3])),
        scale=candy.scale * float(kind.uniform(0.85, 1.05)),
    )


def _repainted(paint: Callable[[Array, Array], Paint], kind: np.random.Generator) -> Callable[[Array, Array], Paint]:
    """The paint in other colours and with another gloss."""
    channels = np.eye(3)[kind.permutation(3)]
    mixed = 0.7 * channels + 0.3 * kind.dirichlet(np.ones(3), 3)  # rows sum to one: grey stays grey
    exponent = float(kind.uniform(0.55, 1.3))
    tint = kind.uniform(0.6, 1.0, 3)[:, None]
    rougher, gloss = float(kind.uniform(-0.15, 0.3)), float(kind.uniform(0.6, 1.6))
    matrix = (tint * mixed).astype(np.float32)

    def repainted(own: Array, uv: Array) -> Paint:
        old = paint(own, uv)
        albedo = np.clip(matrix @ old.albedo, 0.005, 0.95) ** np.float32(exponent)
        roughness = np.clip(old.roughness + np.float32(rougher), 0.12, 1).astype(np.float32)
        return Paint(albedo, roughness, old.gloss * np.float32(gloss))

    return repainted
