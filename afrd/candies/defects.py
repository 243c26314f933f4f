"""Defects of candies: part of the surface, the paint or the fine grain, before any light falls on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from afrd.candies.camera import Surface, dot, unit
from afrd.candies.shapes import Array, Candy, Paint, Solid

DEFECTS: tuple[str, ...] = ("bumps", "dents", "colors", "normals")
_VISIBLE = 0.02  # share of a defect's strength that counts as changed, in the masks


@dataclass(frozen=True)
class Defect:
    """One defect of a candy, in the world's coordinates."""

    kind: str  # one of DEFECTS
    centre: Array  # (3, 1) on the surface
    frame: Array  # (3, 3): rows are two tangents and the normal, each divided by the defect's reach along it
    ragged: tuple[float, float, float]  # unevenness of its outline: 2nd harmonic (cosine, sine) and 3rd
    strength: float  # bumps, dents: height in world units; colors: opacity; normals: deviation of the slope
    colour: Array | None = None  # (3, 1) of a stain
    waves: Array | None = None  # (K, 4): wave vectors (3) and phases of a rough patch

    def weight(self, points: Array) -> Array:
        """How strong the defect is at points (3, N): 1 at its centre, 0 outside (N,)."""
        x, y, z = points[0] - self.centre[0], points[1] - self.centre[1], points[2] - self.centre[2]
        f = self.frame
        u = f[0, 0] * x + f[0, 1] * y + f[0, 2] * z
        v = f[1, 0] * x + f[1, 1] * y + f[1, 2] * z
        w = f[2, 0] * x + f[2, 1] * y + f[2, 2] * z
        uu, vv = u * u, v * v
        flat = uu + vv
        c2, s2, c3 = (np.float32(r) for r in self.ragged)
        span = 1 / np.maximum(flat, np.float32(1e-6))
        uneven = (c2 * (uu - vv) + s2 * u * v + c3 * u * (uu - 3 * vv) * np.sqrt(span)) * span
        inside = np.clip(1 - flat * np.maximum(1 + uneven, np.float32(0.5)) - w * w, 0, 1)
        if self.kind in ("bumps", "dents"):
            return inside * inside
        return inside * inside * (3 - 2 * inside) if self.kind == "normals" else np.clip(inside * np.float32(3), 0, 1)

    def covers(self, points: Array) -> np.ndarray:
        """Which of the points (3, N) are changed noticeably (N,) bool."""
        return self.weight(points) > _VISIBLE


def draw_defect(
    kind: str,
    rng: np.random.Generator,
    candy: Candy,
    surface: Surface,
    taken: Sequence[Defect] = (),
    difficulty: float = 0.0,
) -> Defect:
    """Draws one defect somewhere on the visible surface of a candy.

    Args:
        kind: one of DEFECTS.
        rng: the only source of chance.
        candy: the candy without defects.
        surface: what the camera sees of it.
        taken: other defects of the same candy, which this one keeps away from.
        difficulty: 0 for the defect as it is drawn, up to 1 for one of half the reach, a quarter of the relief or
            roughness and a third of the contrast.
    """
    facing = dot(surface.normals, surface.toward)
    good = (facing > 0.4) & (surface.cover >= 1) & (surface.points[2] > 0.12)
    for other in taken:
        away = surface.points - other.centre
        good &= dot(away, away) > 0.3
    places = np.flatnonzero(good if good.any() else surface.cover >= 1)
    at = int(places[int(rng.integers(places.size))])
    centre, normal = surface.points[:, at : at + 1], surface.normals[:, at : at + 1]
    tangent = unit(np.cross(normal[:, 0], rng.normal(size=3)).astype(np.float32)[:, None])
    other_tangent = np.cross(normal[:, 0], tangent[:, 0]).astype(np.float32)[:, None]

    reach = float(np.exp(rng.uniform(np.log(0.12), np.log(0.24)))) * candy.scale  # 10 to 20 pixels of 256
    reach *= 1 - 0.5 * difficulty
    stretch = float(rng.uniform(0.75, 1.3))
    reaches = np.array([[reach * stretch], [reach / stretch], [1.6 * reach]], np.float32)
    frame = np.stack((tangent[:, 0], other_tangent[:, 0], normal[:, 0])) / reaches
    uneven = rng.normal(0, 0.16, 3)
    defect = Defect(kind, centre, frame, (uneven[0], 2 * uneven[1], uneven[2]), 0.0)
    if kind in ("bumps", "dents"):
        height = reach * float(rng.uniform(0.22, 0.5)) * (1 - 0.5 * difficulty)
        return replace(defect, strength=height if kind == "bumps" else -height)
    if kind == "colors":
        stain = _stain(rng, candy.look(centre).albedo, 1 - 0.67 * difficulty)
        return replace(defect, strength=float(rng.uniform(0.65, 0.95)), colour=stain)
    lengths = np.exp(rng.uniform(np.log(0.025), np.log(0.06), 14))  # two to five pixels of 256
    ways = rng.normal(size=(14, 3))
    ways *= (2 * np.pi / lengths / np.linalg.norm(ways, axis=1))[:, None]
    waves = np.concatenate((ways, rng.uniform(0, 2 * np.pi, (14, 1))), axis=1).astype(np.float32)
    return replace(defect, strength=float(rng.uniform(0.25, 0.5)) * (1 - 0.75 * difficulty), waves=waves)


def _stain(rng: np.random.Generator, under: Array, contrast: float = 1.0) -> Array:
    """A colour that differs from the albedo under it (3, 1): visibly, not grossly; `contrast` scales by how much."""
    root = np.sqrt(under[:, 0].astype(np.float64))  # roughly even steps to the eye
    while True:
        other = np.clip(root + rng.normal(0, 0.14) + rng.normal(0, 0.13, 3), 0.03, 0.98)
        if 0.2 < np.linalg.norm(other - root) < 0.5:
            return ((root + contrast * (other - root)) ** 2).astype(np.float32)[:, None]


def deform(solid: Solid, defects: Sequence[Defect]) -> Solid:
    """The solid with its bumps and dents."""
    blobs = [defect for defect in defects if defect.kind in ("bumps", "dents")]
    if not blobs:
        return solid

    def deformed(points: Array) -> Array:
        d = solid(points)
        for blob in blobs:
            reach = np.float32(1.5 / np.linalg.norm(blob.frame[2]))
            near = np.flatnonzero(np.abs(points[0] - blob.centre[0]) < reach)
            near = near[np.abs(points[1, near] - blob.centre[1]) < reach]
            if near.size:
                d[near] -= np.float32(blob.strength) * blob.weight(points[:, near])
        return d

    return deformed


def spoil(surface: Surface, paint: Paint, defects: Sequence[Defect]) -> tuple[Surface, Paint]:
    """The surface with its rough patches, and the paint with its stains and the patches' dull gloss."""
    for defect in defects:
        if defect.kind in ("bumps", "dents"):
            continue
        at = np.flatnonzero(defect.covers(surface.points))
        weight = defect.weight(surface.points[:, at])
        if defect.colour is not None:
            albedo = np.array(paint.albedo)
            albedo[:, at] += np.float32(defect.strength) * weight * (defect.colour - albedo[:, at])
            paint = replace(paint, albedo=albedo)
        if defect.waves is not None:
            points, normals, roughness = surface.points[:, at], np.array(surface.normals), np.array(paint.roughness)
            slope = np.zeros_like(points)  # the gradient of a sum of waves, each of the same slope
            for wave in defect.waves:
                wave_vector = wave[:3, None]
                slope += unit(wave_vector) * np.cos(dot(wave_vector, points) + wave[3])
            slope *= np.float32(defect.strength * np.sqrt(6 / len(defect.waves))) * weight
            slope -= normals[:, at] * dot(slope, normals[:, at])
            normals[:, at] = unit(normals[:, at] - slope)
            roughness[at] = np.minimum(roughness[at] + np.float32(0.35 * defect.strength) * weight, 1)
            surface, paint = replace(surface, normals=normals), replace(paint, roughness=roughness)
    return surface, paint


def defect_mask(defect: Defect, clean: Surface, spoiled: Surface, size: int) -> np.ndarray:
    """Pixels whose height, albedo or normal the defect changes, as the camera sees them (size, size) bool."""
    mask = np.zeros(size * size, bool)
    for surface in (clean, spoiled):  # a dent at the outline uncovers mat: there the clean surface tells
        mask[surface.pixel[defect.covers(surface.points) & (surface.cover >= 0.5)]] = True
    return mask.reshape(size, size)
