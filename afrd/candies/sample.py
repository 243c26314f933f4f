"""One sample of the candy factory: a candy, good or bad, under every light of a rig, with its ground truth."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from afrd.candies.camera import place_camera, trace
from afrd.candies.defects import DEFECTS, Defect, defect_mask, deform, draw_defect, spoil
from afrd.candies.lamps import EYECANDIES_RIG, Light, check_rig, expose, shade
from afrd.candies.shapes import CATEGORIES, make_candy
from afrd.candies.variants import RANDOM, random_candy, random_number

MIN_SIZE, MAX_SIZE = 32, 2048


@dataclass(frozen=True)
class Rendered:
    """One candy under every light of a rig."""

    images: np.ndarray  # (L, H, W, 3) uint8 sRGB
    depth: np.ndarray  # (H, W) float32, along the camera's axis, in candy radii
    normals: np.ndarray  # (H, W, 3) float32 unit vectors: x right, y up, z towards the camera
    masks: dict[str, np.ndarray]  # defect type -> (H, W) bool, for every type
    defects: tuple[str, ...]  # of this candy; () when it is good
    pose: np.ndarray  # (4, 4) takes camera coordinates (x right, y down, z ahead) to the world's

    @property
    def mask(self) -> np.ndarray:
        """Pixels that any defect changes (H, W) bool."""
        return np.any(list(self.masks.values()), axis=0)

    @property
    def metadata(self) -> dict[str, int]:
        """The content of metadata.yaml."""
        return {"anomalous": int(bool(self.defects)), **{kind: int(kind in self.defects) for kind in sorted(DEFECTS)}}


def planned_defects(index: int, test_good: int, test_bad: int) -> tuple[str, ...]:
    """The defects of the test sample at `index`: () for a good one.

    Good and bad samples alternate as long as there are both; bad ones cycle through the defect types, every seventh
    has two.
    """
    total = test_good + test_bad
    before, after = index * test_bad // total, (index + 1) * test_bad // total
    if before == after:
        return ()
    kinds = {DEFECTS[before % 4]}
    if before % 7 == 6:
        kinds.add(DEFECTS[(before + 1 + before // 7 % 3) % 4])
    return tuple(kind for kind in DEFECTS if kind in kinds)


def _random(seed: int, category: str, split: str, index: int, purpose: int) -> np.random.Generator:
    names = [zlib.crc32(name.encode()) for name in (category, split)]
    return np.random.default_rng([seed, *names, index, purpose])


def render_sample(
    category: str,
    *,
    size: int = 256,
    seed: int = 0,
    split: str = "train",
    index: int = 0,
    defect: str | Sequence[str] | None = None,
    lights: Sequence[Light] = EYECANDIES_RIG,
    difficulty: float = 0.0,
) -> Rendered:
    """Renders one candy under every light of a rig.

    The candy, its pose and the sensor's noise depend on (seed, category, split, index) only: the same call with and
    without `defect` gives a bad sample and its good twin.

    Args:
        category: one of CATEGORIES, or `Random<number>` (`afrd.candies.variants`).
        size: side of the picture in pixels, MIN_SIZE to MAX_SIZE.
        seed: 0 or more.
        split: name of the split; its candies differ from those of all others.
        index: 0 or more, the sample in its split.
        defect: one of DEFECTS, several of them, or None for a good candy.
        lights: the rig; its order is that of the pictures.
        difficulty: 0 for plain defects, up to 1 for small, shallow and faint ones.

    Raises:
        ValueError: when an argument is not one of those allowed.
    """
    kinds = () if defect is None else (defect,) if isinstance(defect, str) else tuple(defect)
    check_arguments(category, size, seed, lights, difficulty)
    if index < 0:
        raise ValueError(f"index {index} is negative; samples count from 0")
    for kind in kinds:
        if kind not in DEFECTS:
            raise ValueError(f"unknown defect '{kind}'; choose from {', '.join(DEFECTS)}")

    rng = _random(seed, category, split, index, 0)
    number = random_number(category)
    candy = make_candy(category, rng, size) if number is None else random_candy(number, rng, size)
    camera = place_camera(size, 40 + rng.normal(0, 0.7), rng.normal(0, 1.0), 4.1, candy.height * 0.36)
    centre, radius = candy.bounds
    bounds = (centre, radius + 0.06)  # room for a bump, in the twin as well: its rays must start at the same places
    clean = trace(candy.distance, bounds, camera)
    defects: list[Defect] = []
    for kind in kinds:
        chance = _random(seed, category, split, index, 10 + DEFECTS.index(kind))
        defects.append(draw_defect(kind, chance, candy, clean, defects, difficulty))
    solid = deform(candy.distance, defects)
    surface = trace(solid, bounds, camera) if {"bumps", "dents"}.intersection(kinds) else clean
    masks = {kind: np.zeros((size, size), bool) for kind in DEFECTS}
    for flaw in defects:
        masks[flaw.kind] |= defect_mask(flaw, clean, surface, size)
    surface, paint = spoil(surface, candy.look(surface.points), defects)

    linear = shade(bounds, candy.wrap, solid, deform(candy.smooth, defects), surface, paint, camera, lights)
    noise = _random(seed, category, split, index, 1)
    images = np.stack([expose(light, noise.standard_normal(light.shape, np.float32)) for light in linear])

    rays = camera.rays()
    ahead, up_right_back = camera.pose[:3, 2].astype(np.float32), camera.pose[:3, :3].T * [[1], [-1], [-1]]
    depth = camera.origin[2] / np.maximum(-rays[2], np.float32(0.02))  # of the mat, along the ray
    depth[surface.pixel] = np.where(surface.cover >= 0.5, surface.distance, depth[surface.pixel])
    depth *= ahead[0] * rays[0] + ahead[1] * rays[1] + ahead[2] * rays[2]
    normals = np.zeros((3, size * size), np.float32)
    normals[2] = 1
    solidly = surface.cover >= 0.5
    normals[:, surface.pixel[solidly]] = surface.normals[:, solidly]
    view_normals = sum(up_right_back[:, k : k + 1].astype(np.float32) * normals[k] for k in range(3))
    return Rendered(
        images,
        depth.reshape(size, size),
        view_normals.T.reshape(size, size, 3),
        masks,
        kinds,
        camera.pose.astype(np.float64),
    )


def check_arguments(category: str, size: int, seed: int, lights: Sequence[Light], difficulty: float = 0.0) -> None:
    """Raises ValueError in one sentence when a candy cannot be rendered with these."""
    if category not in CATEGORIES and random_number(category) is None:
        raise ValueError(
            f"unknown category '{category}'; choose from {', '.join(CATEGORIES)}, or {RANDOM}1, {RANDOM}2, ..."
        )
    if not 0 <= difficulty <= 1:
        raise ValueError(f"difficulty {difficulty} is not possible; choose from 0 (plain defects) to 1 (faint ones)")
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"size {size} is not possible; choose a picture side from {MIN_SIZE} to {MAX_SIZE} pixels")
    if seed < 0:
        raise ValueError(f"seed {seed} is negative; choose 0 or more")
    check_rig(lights)
