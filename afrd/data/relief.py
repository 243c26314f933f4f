"""Surface normals and albedo of a part, from pictures under lamps of known direction.

Photometric stereo (Woodham, "Photometric method for determining surface orientation from multiple images", Optical
Engineering 1980, https://doi.org/10.1117/12.7972479): a matt surface with albedo r and unit normal n has the brightness
I_l = r (n . d_l) under lamp l, where it shines. That is linear in g = r n, so that three lamps or more give g by least
squares. Shadows and highlights do not follow it; iteratively reweighted least squares leaves them out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from afrd.data.rig import Lamp
from afrd.data.sample import Sample

FIT_ROUNDS = 10
DARK_SHARE = 0.08  # of a place's brightest lamp: as dark as this where the surface may turn away from a lamp
RESIDUAL_SCALE = 0.15  # of a place's brightest lamp: a residual of this size halves a lamp's weight
NOISE_LEVEL = 0.004  # light of this size is noise; white is 1
FLAT_WEIGHT = 0.01  # weight of a surface that faces the camera, which decides where lamps do not


@dataclass(frozen=True)
class Relief:
    """Result of photometric stereo for a part.

    Attributes:
        normals: (3, H, W) unit vectors: x right, y up in the picture, z to the camera.
        albedo: (3, H, W) 0..1, the brightest hundredth at 1: linear red, green and blue.
    """

    normals: Tensor
    albedo: Tensor


def linear(srgb: np.ndarray) -> np.ndarray:
    """Light from sRGB values in 0..1 (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def srgb(light: Tensor) -> Tensor:
    """The sRGB values of light in 0..1, for a picture of an albedo."""
    return torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)


def sample_relief(sample: Sample, lamps: Mapping[str, Lamp], side: int = 256) -> Relief:
    """`relief` of a sample from its lights in `lamps`, its longer side at most `side` pixels."""
    lights = [light for light in sample.lights if light in lamps]
    pictures = sample.select(lights).images  # (L, 3, H, W)
    shrunk = side / max(pictures.shape[-2:])
    if shrunk < 1:
        size = [max(1, round(length * shrunk)) for length in pictures.shape[-2:]]
        pictures = F.interpolate(pictures, size, mode="bilinear", antialias=True, align_corners=False)
    stored = (pictures.clamp(0, 1) * 255).round().byte().numpy()
    return relief(stored, [lamps[light].direction for light in lights], [lamps[light].intensity for light in lights])


def relief(pictures: np.ndarray, directions: Sequence[Sequence[float]], intensities: Sequence[float]) -> Relief:
    """Normals and albedo of a part.

    Args:
        pictures: (L, 3, H, W) uint8 sRGB, one for each lamp.
        directions: L unit vectors towards the lamps, in the axes of `Relief.normals`; see `afrd.data.rig.enough`.
        intensities: L, the lamps' brightness.
    """
    towards = np.asarray(directions, np.float32)  # (L, 3)
    height, width = pictures.shape[-2:]
    light = linear(np.arange(256) / 255).astype(np.float32)[pictures].reshape(len(pictures), 3, -1)
    light /= np.asarray(intensities, np.float32)[:, None, None]
    grey = light.mean(1)  # (L, N)
    weights = _weights(grey, towards)
    g = _fitted(grey, towards, weights)  # (3, N)
    normals = g / np.maximum(np.linalg.norm(g, axis=0), np.float32(1e-9))
    cosine = np.maximum(towards @ normals, 0)  # (L, N)
    shares = np.maximum((weights * cosine * cosine).sum(0), np.float32(1e-2))
    albedo = np.stack([(weights * cosine * light[:, c]).sum(0) for c in range(3)]) / shares  # (3, N)
    bright = max(float(np.percentile(albedo, 99)), 1e-6)
    albedo = np.clip(albedo / np.float32(bright), 0, 1)
    return Relief(*(torch.from_numpy(part.reshape(3, height, width)) for part in (normals, albedo)))


def _weights(grey: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """How much every lamp counts at every place (L, N): little in the shadow of another place and in a highlight, and
    not at all where the surface turns away from it."""
    second, largest = np.partition(grey, -2, axis=0)[-2:]
    brightest = np.maximum(np.maximum(second, largest / 4), np.float32(1e-4))  # one highlight is not the measure
    weights = np.ones_like(grey)
    for _ in range(FIT_ROUNDS):
        shine = towards @ _fitted(grey, towards, weights)
        off = (grey - np.maximum(shine, 0)) / brightest
        away = (shine <= 0) & (grey < DARK_SHARE * brightest)
        weights = np.where(away, np.float32(0), 1 / (1 + (off / np.float32(RESIDUAL_SCALE)) ** 2))
    return weights


def _fitted(grey: np.ndarray, towards: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted least squares of g (3, N), pulled towards a surface facing the camera: A g = b with a symmetric A."""
    x, y, z = towards.T
    brightest = np.maximum(grey.max(0), np.float32(1e-4))
    hold = np.float32(FLAT_WEIGHT) + (np.float32(NOISE_LEVEL) / brightest) ** 2
    products = np.stack((x * x, y * y, z * z, x * y, x * z, y * z)).astype(np.float32)  # (6, L)
    xx, yy, zz, xy, xz, yz = products @ weights  # N each
    xx, yy, zz = (entry + hold for entry in (xx, yy, zz))
    b = towards.T @ (weights * grey)  # (3, N)
    b[2] += hold * brightest
    # the inverse of A by its minors
    a, d, f = yy * zz - yz * yz, xx * zz - xz * xz, xx * yy - xy * xy
    c, e, h = xz * yz - xy * zz, xy * yz - xz * yy, xy * xz - xx * yz
    determinant = xx * a + xy * c + xz * e
    rows = (a, c, e), (c, d, h), (e, h, f)
    return np.stack([row[0] * b[0] + row[1] * b[1] + row[2] * b[2] for row in rows]) / determinant
