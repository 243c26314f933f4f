"""How far photometric stereo is from the true normals of rendered candies.

    python -m benchmarks.relief

For each category, good parts under the renderer's four spots, at 256 pixels, seeds 0 to 4: degrees between the
estimated and the true normal, on the part without its outline, where three or more lamps shine on a place and where
fewer do; and those of a surface that faces the camera everywhere.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import binary_erosion, binary_fill_holes

from afrd.candies import CATEGORIES, EYECANDIES_RIG, render_sample
from afrd.data import Lamp, Sample, sample_relief
from afrd.data.rig import rendered_lamp, towards

SEEDS = range(5)
FLAT = np.array([0, 0, 1.0])[:, None, None]


def angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Degrees between unit vectors (3, H, W)."""
    return np.rad2deg(np.arccos(np.clip((a * b).sum(0), -1, 1)))


def main() -> None:
    lamps: dict[str, Lamp] = {
        light.name: rendered_lamp(light.azimuth, light.elevation, light.intensity)
        for light in EYECANDIES_RIG
        if light.kind == "spot"
    }
    mat = np.array(towards(0, 90, 40))[:, None, None]
    print("| category | median | 90 % below | median, three lamps or more | median, fewer | facing the camera |")
    print("|---|---|---|---|---|---|")
    for category in CATEGORIES:
        found = []
        for seed in SEEDS:
            rendered = render_sample(category, seed=seed)
            images = torch.from_numpy(rendered.images).permute(0, 3, 1, 2) / 255
            sample = Sample(category, images, tuple(light.name for light in EYECANDIES_RIG))
            true = rendered.normals.transpose(2, 0, 1)
            part = binary_erosion(binary_fill_holes(np.abs(true - mat).sum(0) > 0.08), iterations=3)
            shining = sum(np.tensordot(lamp.direction, true, 1) > 0.05 for lamp in lamps.values())
            off = angles(sample_relief(sample, lamps).normals.numpy(), true)
            found.append(np.stack((off, shining, angles(FLAT, true)))[:, part])
        off, shining, flat = np.concatenate(found, 1)
        groups = off, off[shining > 2], off[shining < 3]
        median, many, few = (f"{np.median(values):.0f}°" if values.size else "–" for values in groups)
        print(f"| {category} | {median} | {np.quantile(off, 0.9):.0f}° | {many} | {few} | {np.median(flat):.0f}° |")


if __name__ == "__main__":
    main()
