"""Lamps and shading: what the camera gets of a candy on the mat under every light of a rig.

Shadow rays and ambient occlusion march through the same distance function as the camera's rays, so a change of the
surface changes the picture of every light consistently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import ndimage

from afrd.candies.camera import Camera, Surface, dot, sphere, unit
from afrd.candies.shapes import Array, Paint, Solid


@dataclass(frozen=True)
class Light:
    """One picture of a rig: a lamp, or several together.

    Args:
        name: unique in its rig.
        kind: "spot" a lamp on a stand; "dome" a box of light round the candy; "spots" all spots of the rig together.
        azimuth: of a spot, degrees: 0 the right of the picture, 90 behind the candy, 180 left, 270 the viewer's side.
        elevation: of a spot above the mat, degrees.
        intensity: brightness of the lamp.
        exposure: of this picture: the camera's factor on the light that comes in, before the tone curve.
    """

    name: str
    kind: Literal["spot", "dome", "spots"]
    azimuth: float = 0.0
    elevation: float = 40.0
    intensity: float = 1.0
    exposure: float = 1.0


EYECANDIES_RIG: tuple[Light, ...] = (
    Light("spots", "spots", exposure=0.62),
    Light("bottom", "spot", azimuth=270, elevation=42, intensity=0.7),
    Light("right", "spot", azimuth=0, elevation=36, intensity=1.15),
    Light("top", "spot", azimuth=90, elevation=42, intensity=1.1),
    Light("left", "spot", azimuth=180, elevation=36, intensity=1.15),
    Light("box", "dome"),
)
_LAMP_DISTANCE = 4.2
_BEAM = np.cos(np.deg2rad([13.0, 30.0]))  # a spot is full within the first angle and dark outside the second
_SOFT = 9.0  # how hard the edge of a cast shadow is: lamp distance over lamp size


def check_rig(lights: Sequence[Light]) -> None:
    """Raises ValueError in one sentence when these lights are no rig."""
    if not lights:
        raise ValueError("a rig needs at least one light; EYECANDIES_RIG has six")
    names = [light.name for light in lights]
    for light in lights:
        if names.count(light.name) > 1:
            raise ValueError(f"two lights of the rig are called '{light.name}'; give every light a name of its own")
        if light.kind not in ("spot", "dome", "spots"):
            raise ValueError(f"light '{light.name}' is of kind '{light.kind}'; allowed are spot, dome and spots")
    if any(light.kind == "spots" for light in lights) and not any(light.kind == "spot" for light in lights):
        raise ValueError("the rig has a light of kind 'spots' but no spot that it could sum; add some of kind 'spot'")


def spot_ring(count: int, elevation: float = 36.0) -> tuple[Light, ...]:
    """A rig of `count` spots evenly round the candy, named by their azimuth, and the light box at the end."""
    angles = [round(360 * k / count) for k in range(count)]
    return (*(Light(f"spot{a:03d}", "spot", azimuth=a, elevation=elevation) for a in angles), Light("box", "dome"))


def _shadow(solid: Solid, bounds: tuple[Array, float], points: Array, toward: Array) -> Array:
    """Share of a lamp's light that reaches the points (N,), with a soft edge; `toward` (3, N) points to the lamp."""
    enter, leave = sphere(points, toward, *bounds)
    light = np.ones(points.shape[1], np.float32)
    live = np.flatnonzero((leave > enter) & (leave > 0))
    t = np.maximum(enter[live], np.float32(0.02))
    start, ray, far, open_ = points[:, live], toward[:, live], leave[live], light[live]
    for step in range(40):
        d = solid(start + ray * t)
        open_ = np.minimum(open_, np.float32(0.5) + np.float32(0.5 * _SOFT) * d / t)
        t = t + np.clip(d * np.float32(0.95), np.float32(0.018) + np.float32(0.025) * t, np.float32(0.4))
        if step % 3 == 2:
            done = (open_ <= 0) | (t + d * np.float32(0.7) >= far)  # nothing is nearer than d
            light[live[done]] = open_[done]
            go = ~done
            live, start, ray, far, open_, t = live[go], start[:, go], ray[:, go], far[go], open_[go], t[go]
            if not live.size:
                break
    light[live] = open_
    light = np.clip(light, 0, 1)
    return light * light * (3 - 2 * light)


def _occlusion(solid: Solid, points: Array, normals: Array) -> Array:
    """Openness 0..1 of points to the sky, from distances probed along the normal (the mat counts too)."""
    closed = np.zeros(points.shape[1], np.float32)
    for reach, weight in ((0.05, 0.9), (0.12, 0.7), (0.28, 0.55), (0.6, 0.45)):
        probe = points + normals * np.float32(reach)
        free = np.minimum(solid(probe), probe[2])
        closed += np.float32(weight / reach) * np.clip(np.float32(reach) - free, 0, np.float32(reach)) * np.float32(0.6)
    return np.exp(-closed)


# ---------------------------------------------------------------- shading


def _without_glitter(surface: Surface, paint: Paint, size: int) -> Paint:
    """Roughness plus the spread of normals within a pixel, or else one ray a pixel would turn edges into dotted lines.

    Variance of the slope is added to the GGX width: Tokuyoshi and Kaplanyan, "Improved geometric specular
    antialiasing", I3D 2019.
    """
    field = np.zeros((3, size * size), np.float32)
    field[:, surface.pixel] = surface.normals
    covered = np.zeros(size * size, bool)
    covered[surface.pixel] = True
    spread = np.zeros(surface.pixel.size, np.float32)
    for step in (1, -1, size, -size):
        beside = np.clip(surface.pixel + step, 0, size * size - 1)
        change = field[:, beside] - surface.normals
        spread += np.where(covered[beside], dot(change, change), 0)
    wide = paint.roughness**4 + np.minimum(np.float32(0.2) * spread, np.float32(0.18))
    return replace(paint, roughness=np.minimum(np.sqrt(np.sqrt(wide)), 1))


def _lobe(paint: Paint, at: Surface, lamp: Array, facing: Array) -> Array:
    """Specular reflection of a lamp (N,), times pi * cosine.

    GGX (Walter et al., EGSR 2007, https://www.cs.cornell.edu/~srm/publications/EGSR07-btdf.pdf) with the visibility of
    Kelemen and Szirmay-Kalos (Eurographics 2001).
    """
    half = unit(at.toward + lamp)
    nh, lh = np.maximum(dot(at.normals, half), 0), np.maximum(dot(lamp, half), np.float32(0.15))
    a2 = (paint.roughness * paint.roughness) ** 2 + np.float32(0.0012)  # a lamp has a size
    ggx = a2 / (nh * nh * (a2 - 1) + 1) ** 2
    fresnel = paint.gloss + (1 - paint.gloss) * (1 - lh) ** 5
    return ggx * fresnel / (4 * lh * lh) * np.maximum(facing, 0)


def _spot(
    light: Light, solid: Solid, bounds: tuple[Array, float], at: Surface, paint: Paint, open_: Array, wrap: float
) -> Array:
    """Radiance (3, N) that the surface sends to the camera under one spot."""
    e, a = np.deg2rad(light.elevation), np.deg2rad(light.azimuth)
    place = (_LAMP_DISTANCE * np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])).astype(np.float32)
    aim = np.array([0, 0, 0.3], np.float32) - place
    aim /= np.linalg.norm(aim)
    to_lamp = place[:, None] - at.points
    square = dot(to_lamp, to_lamp)
    lamp = to_lamp / np.sqrt(square)
    beam = np.clip((-dot(lamp, aim[:, None]) - np.float32(_BEAM[1])) / np.float32(_BEAM[0] - _BEAM[1]), 0, 1)
    power = beam * beam * (3 - 2 * beam) * np.float32(light.intensity * _LAMP_DISTANCE**2) / square
    facing = dot(at.normals, lamp)
    soft = np.clip((facing + np.float32(wrap)) / np.float32(1 + wrap), 0, 1)
    lambert = np.maximum(facing, 0)
    lit = np.flatnonzero((facing > 0) & (power > 0))
    shadow = np.zeros_like(power)
    shadow[lit] = _shadow(solid, bounds, at.points[:, lit] + at.normals[:, lit] * np.float32(0.012), lamp[:, lit])
    through = np.float32(0.6) * power * (soft - lambert)  # light that passed through jelly casts no shadow
    bounce = np.float32(0.012 * light.intensity) * open_  # what the lit mat and the walls send back
    shadow *= power
    return paint.albedo * (lambert * shadow + through + bounce) + _lobe(paint, at, lamp, facing) * shadow


def _box_light(direction: Array, blur: Array) -> Array:
    """Radiance of the light box in a direction (3, N): a bright ceiling and windows, blurred by a rough surface."""

    def window(x: Array, low: float, high: float) -> Array:
        return np.clip((x - low) / blur + 0.5, 0, 1) * np.clip((high - x) / blur + 0.5, 0, 1)

    x, y, z = direction
    wide_x, wide_y = np.maximum(np.abs(x), np.float32(1e-3)), np.maximum(np.abs(y), np.float32(1e-3))
    above = np.maximum(z, np.float32(1e-3))
    side = window(np.abs(y / wide_x), 0.07, 0.62) * window(z / wide_x, 0.3, 0.95)
    front = window(np.abs(x / wide_y), 0.07, 0.62) * window(z / wide_y, 0.3, 0.95)
    ceiling = window(np.maximum(np.abs(x), np.abs(y)) / above, -1, 0.36)
    walls = np.float32(0.16) * np.clip(z * 4 + np.float32(0.6), 0, 1)
    return np.float32(0.03) + walls + np.float32(2.7) * np.maximum(side, front) + np.float32(2.2) * ceiling


def _dome(light: Light, at: Surface, paint: Paint, open_: Array) -> Array:
    """Radiance (3, N) that the surface sends to the camera under the light box."""
    n = at.normals
    sky = np.float32(0.5) + np.float32(0.45) * n[2] - np.float32(0.08) * n[0]
    from_mat = np.float32(0.06) * (1 - n[2])
    diffuse = (sky * open_ + from_mat) * np.float32(0.95 * light.intensity)
    facing = np.maximum(dot(n, at.toward), np.float32(0.02))
    mirror = 2 * facing * n - at.toward
    fresnel = paint.gloss + np.maximum(1 - paint.roughness - paint.gloss, 0) * (1 - facing) ** 5
    gleam = _box_light(mirror, np.float32(0.05) + np.float32(0.9) * paint.roughness**1.5) * np.float32(light.intensity)
    return paint.albedo * diffuse + fresnel * gleam * open_


def _mat(camera: Camera, pixels: np.ndarray) -> tuple[Surface, Paint]:
    """The conveyor at the given pixels: a dark green mat with fine seams, and the grey frame at its far end."""
    rays = camera.rays()[:, pixels]
    t = camera.origin[2] / np.maximum(-rays[2], np.float32(0.02))
    points = camera.origin + rays * t
    points[2] = 0
    normals = np.zeros_like(points)
    normals[2] = 1
    x, y = points[0], points[1]
    footprint = np.float32(camera.pixel) * t / np.maximum(-rays[2], np.float32(0.1))
    seam = np.zeros_like(x)
    for across, period, width in ((x, 0.42, 0.006), (y, 0.26, 0.006)):
        away = np.abs((across / np.float32(period)) % 1 - np.float32(0.5)) * np.float32(period)
        spread = footprint + np.float32(width)
        seam = np.maximum(seam, np.clip(1 - away / spread, 0, 1) * np.float32(width) / spread)
    green = np.array([[0.028], [0.082], [0.036]], np.float32)
    frame = np.clip((y - np.float32(2.3)) / (2 * footprint), 0, 1)
    albedo = green * (1 - np.float32(0.75) * seam) * (1 - frame) + np.float32(0.03) * frame
    size = x.size
    paint = Paint(albedo, np.full(size, 0.55, np.float32), np.full(size, 0.03, np.float32))
    return Surface(pixels, points, normals, -rays, np.ones(size, np.float32), t), paint


def shade(
    bounds: tuple[Array, float],
    wrap: float,
    solid: Solid,
    outline: Solid,
    surface: Surface,
    paint: Paint,
    camera: Camera,
    lights: Sequence[Light],
) -> list[Array]:
    """Linear pictures of the candy on the mat, one for every light of the rig.

    Args:
        bounds: centre and radius of a sphere that holds the candy.
        wrap: how far light creeps into its shade, 0 opaque.
        solid: the distance function that casts shadows on the candy; its own, or one with defects in it.
        outline: the one that casts shadows on the mat, where the relief does not show.
        surface: what the camera sees of it, N pixels.
        paint: of these pixels.
        camera: the camera that saw it.
        lights: the rig, L lights.

    Returns:
        L arrays (size, size, 3), each multiplied by its light's exposure.
    """
    centre, radius = bounds
    bare = np.ones(camera.size**2, np.float32)
    bare[surface.pixel] -= surface.cover
    mat, mat_paint = _mat(camera, np.flatnonzero(bare > 0))
    share = bare[mat.pixel]
    paint = _without_glitter(surface, paint, camera.size)
    sky = _occlusion(solid, surface.points, surface.normals)
    mat_sky = np.ones(mat.pixel.size, np.float32)
    near = np.flatnonzero(np.hypot(mat.points[0] - centre[0], mat.points[1] - centre[1]) < radius + 0.6)
    mat_sky[near] = _occlusion(outline, mat.points[:, near], mat.normals[:, near])

    def picture(on_candy: Array, on_mat: Array) -> Array:
        flat = np.zeros((3, camera.size**2), np.float32)
        flat[:, mat.pixel] = on_mat * share
        flat[:, surface.pixel] += on_candy * surface.cover
        return flat

    lone = {}
    for light in lights:
        if light.kind == "spot":
            lone[light.name] = picture(
                _spot(light, solid, bounds, surface, paint, sky, wrap),
                _spot(light, outline, bounds, mat, mat_paint, mat_sky, 0.0),
            )
        elif light.kind == "dome":
            lone[light.name] = picture(_dome(light, surface, paint, sky), _dome(light, mat, mat_paint, mat_sky))
    every_spot = [lone[light.name] for light in lights if light.kind == "spot"]
    pictures = []
    for light in lights:
        flat = sum(every_spot) if light.kind == "spots" else lone[light.name]
        flat = (flat * np.float32(light.exposure)).reshape(3, camera.size, camera.size)
        flat = ndimage.correlate1d(ndimage.correlate1d(flat, _LENS, axis=1), _LENS, axis=2)
        pictures.append(flat.transpose(1, 2, 0))
    return pictures


_LENS = np.array([0.1, 0.8, 0.1], np.float32)  # no lens is perfectly sharp


# ---------------------------------------------------------------- sensor

_STEPS = 8192
_BRIGHTEST = 6.0
_linear = (np.arange(_STEPS, dtype=np.float64) / _STEPS) ** 2 * _BRIGHTEST
_toned = 1 - np.exp(-1.35 * _linear)  # a shoulder instead of a hard white, then sRGB
_srgb = np.where(_toned < 0.0031308, 12.92 * _toned, 1.055 * np.maximum(_toned, 1e-9) ** (1 / 2.4) - 0.055)
_TONE = np.round(255 * _srgb).astype(np.uint8)


def expose(linear: Array, noise: Array) -> np.ndarray:
    """An 8 bit sRGB picture of linear light.

    Args:
        linear: (H, W, 3), 0 dark, about 1 white.
        noise: (H, W, 3) standard normal numbers: photon and read noise are made of them.
    """
    sensed = np.maximum(linear + noise * np.sqrt(linear * np.float32(1.2e-5) + np.float32(4e-7)), 0)
    step = np.sqrt(np.minimum(sensed * np.float32(1 / _BRIGHTEST), np.float32(0.9999))) * _STEPS
    return _TONE[step.astype(np.int32)]
