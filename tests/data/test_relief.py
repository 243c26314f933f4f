"""Photometric stereo: exact on what fulfils its law, and within bounds on rendered candies, whose normals are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion

from afrd.candies.lamps import EYECANDIES_RIG
from afrd.candies.sample import render_sample
from afrd.data.relief import linear, relief, sample_relief, srgb
from afrd.data.rig import Lamp, rendered_lamp, towards
from afrd.data.sample import Sample

ALBEDO = np.array([0.6, 0.4, 0.2])


def degrees(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Between two fields of unit vectors (3, H, W)."""
    return np.rad2deg(np.arccos(np.clip((a * b).sum(0), -1, 1)))


def ball(side: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Normals (3, H, W) of a ball seen from afar, and where it is (H, W)."""
    y, x = np.mgrid[side : -side - 1 : -2, -side : side + 1 : 2] / side / 0.95
    z = np.sqrt(np.clip(1 - x**2 - y**2, 0, 1))
    return np.stack((x, y, z)), z > 0.3


def shone_on(normals: np.ndarray, directions: list) -> np.ndarray:
    """Pictures (L, 3, H, W) in uint8 sRGB of a matt surface."""
    light = np.maximum(np.einsum("li,ihw->lhw", np.array(directions), normals), 0)
    coloured = torch.from_numpy(light[:, None] * ALBEDO[:, None, None])
    return (srgb(coloured) * 255).round().byte().numpy()


def test_the_values_of_light_and_of_srgb_belong_together():
    light = torch.linspace(0, 1, 50)
    assert linear(srgb(light).numpy()) == pytest.approx(light.numpy(), abs=1e-6)


@pytest.mark.parametrize("count", [4, 6])
def test_a_matt_ball_is_found_as_it_is(count: int):
    normals, there = ball()
    directions = [towards(360 * i / count, 45) for i in range(count)]
    found = relief(shone_on(normals, directions), directions, [1] * count)
    off = degrees(found.normals.numpy(), normals)[there]
    assert np.median(off) < 1 and np.quantile(off, 0.95) < 5  # largest where only two lamps shine
    colour = found.albedo.numpy()[:, there].mean(1)
    assert colour / colour[0] == pytest.approx(ALBEDO / ALBEDO[0], abs=0.02)


def test_brighter_lamps_are_no_slopes():
    normals, there = ball()
    directions, powers = [towards(a, 50) for a in (0, 90, 180, 270)], [1.0, 0.5, 0.8, 0.7]
    light = np.maximum(np.einsum("li,ihw->lhw", np.array(directions), normals), 0) * np.array(powers)[:, None, None]
    pictures = (srgb(torch.from_numpy(light[:, None] * ALBEDO[:, None, None])) * 255).round().byte().numpy()
    found = relief(pictures, directions, powers)
    assert np.median(degrees(found.normals.numpy(), normals)[there]) < 1


def test_a_cast_shadow_and_a_highlight_are_left_out():
    normals, _ = ball()
    directions = [towards(60 * i, 45) for i in range(6)]
    pictures = shone_on(normals, directions)
    middle = (slice(None), slice(24, 40), slice(24, 40))
    clean = relief(pictures, directions, [1] * 6).normals.numpy()
    pictures[0][middle] = 5
    pictures[2][middle] = 255
    spoilt = relief(pictures, directions, [1] * 6).normals.numpy()
    assert degrees(spoilt, clean)[middle[1:]].max() < 6
    plain = np.linalg.lstsq(np.array(directions), linear(pictures / 255).mean(1).reshape(6, -1), rcond=None)[0]
    plain = (plain / np.linalg.norm(plain, axis=0)).reshape(normals.shape)
    assert np.median(degrees(plain, normals)[middle[1:]]) > 15  # least squares alone


@pytest.mark.parametrize("seed", [0, 1])
def test_the_slopes_of_a_rendered_ball_are_found_within_bounds(seed: int):
    """A lollipop under the four spots: near lamps, highlights, shadows and a tone curve, none of which the law has."""
    rendered = render_sample("Lollipop", size=128, seed=seed)
    spots = {
        light.name: rendered_lamp(light.azimuth, light.elevation, light.intensity)
        for light in EYECANDIES_RIG
        if light.kind == "spot"
    }
    images = torch.from_numpy(rendered.images).permute(0, 3, 1, 2) / 255
    sample = Sample("lollipop", images, tuple(light.name for light in EYECANDIES_RIG))
    found = sample_relief(sample, spots).normals.numpy()
    true, mat = rendered.normals.transpose(2, 0, 1), np.array(towards(0, 90, 40))[:, None, None]
    ball = binary_erosion(np.abs(true - mat).sum(0) > 0.08, iterations=2)
    off = degrees(found, true)[ball]
    assert np.median(off) < 20 and np.quantile(off, 0.9) < 35
    facing = np.broadcast_to(np.array([0, 0, 1.0])[:, None, None], true.shape)
    assert np.median(degrees(facing, true)[ball]) > 35  # of a flat surface in its place


def test_large_pictures_are_made_smaller_first():
    sample = Sample("part", torch.rand(3, 3, 40, 60), ("a", "b", "c"))
    lamps = {name: Lamp(towards(120 * i, 45), 1.0) for i, name in enumerate("abc")}
    found = sample_relief(sample, lamps, side=30)
    assert found.normals.shape == found.albedo.shape == (3, 20, 30)
    assert torch.linalg.norm(found.normals, dim=0).numpy() == pytest.approx(1, abs=1e-5)
    assert found.albedo.min() >= 0 and found.albedo.max() <= 1
