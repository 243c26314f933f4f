"""The camera, and the surface that it sees of a candy.

The world: x to the right of the picture, y away from the viewer, z up, the mat is z = 0, one unit is about the radius
of a candy. Points and directions are float32 arrays of shape (3, N).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from afrd.candies.shapes import Array, Solid

FOCAL = 711.11 / 512  # focal length in picture widths, that of the Eyecandies camera


def dot(a: Array, b: Array) -> Array:
    """Scalar products of vectors (3, N) or (3, 1) -> (N,)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def unit(v: Array) -> Array:
    """Vectors (3, N) scaled to length one."""
    return v / np.maximum(np.sqrt(dot(v, v)), np.float32(1e-9))


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; `pose` (4, 4) takes its coordinates (x right, y down, z ahead) to the world's."""

    size: int
    pose: Array

    def rays(self) -> Array:
        """Unit directions of all pixels, row by row (3, size * size)."""
        line = (np.arange(self.size, dtype=np.float32) - self.size / 2) / np.float32(FOCAL * self.size)
        x, y = np.broadcast_to(line[None, :], (self.size,) * 2), np.broadcast_to(line[:, None], (self.size,) * 2)
        local = unit(np.stack((x.ravel(), y.ravel(), np.ones(self.size**2, np.float32))).astype(np.float32))
        r = self.pose[:3, :3].astype(np.float32)
        return np.stack([r[k, 0] * local[0] + r[k, 1] * local[1] + r[k, 2] * local[2] for k in range(3)])

    @property
    def origin(self) -> Array:
        return self.pose[:3, 3:].astype(np.float32)  # (3, 1)

    @property
    def pixel(self) -> float:
        """Width of a pixel at distance one."""
        return 1 / (FOCAL * self.size)


def place_camera(size: int, elevation: float, azimuth: float, distance: float, height: float) -> Camera:
    """A camera that looks at (0, 0, height) from `distance`; angles in degrees, azimuth 0 looks along +y."""
    e, a = np.deg2rad(elevation), np.deg2rad(azimuth)
    ahead = np.array([np.sin(a) * np.cos(e), np.cos(a) * np.cos(e), -np.sin(e)])
    right = np.array([np.cos(a), -np.sin(a), 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack((right, np.cross(ahead, right), ahead), axis=1)
    pose[:3, 3] = np.array([0, 0, height]) - distance * ahead
    return Camera(size, pose)


@dataclass(frozen=True)
class Surface:
    """The candy as the camera sees it: N pixels."""

    pixel: np.ndarray  # (N,) index into the flat picture
    points: Array  # (3, N)
    normals: Array  # (3, N)
    toward: Array  # (3, N) unit vectors to the camera
    cover: Array  # (N,) share of the pixel that the candy covers, 1 but at its outline
    distance: Array  # (N,) along the ray


def sphere(origin: Array, rays: Array, centre: Array, radius: float) -> tuple[Array, Array]:
    """Where rays enter and leave a sphere; leave < enter for those that miss it."""
    off = origin - centre[:, None]
    b = dot(off, rays)
    root = b * b - dot(off, off) + np.float32(radius) ** 2
    half = np.sqrt(np.maximum(root, 0))
    return np.where(root > 0, -b - half, 1), np.where(root > 0, -b + half, -1)


def trace(solid: Solid, bounds: tuple[Array, float], camera: Camera) -> Surface:
    """First hits of the camera's rays by sphere tracing (Hart 1996, https://doi.org/10.1007/s003710050084).

    Rays that pass within a pixel count in part.
    """
    rays, origin, pixel = camera.rays(), camera.origin, np.float32(camera.pixel)
    enter, leave = sphere(origin, rays, *bounds)
    index = np.flatnonzero(leave > enter)
    rays, far = rays[:, index], leave[index]
    t, best, best_t = enter[index].copy(), np.full(index.size, 9, np.float32), enter[index].copy()
    live = np.arange(index.size)
    for _ in range(56):
        at = t[live]
        d = solid(origin + rays[:, live] * at)
        near = d / (pixel * at)  # in pixels
        better = near < best[live]
        best[live[better]], best_t[live[better]] = near[better], at[better]
        at = at + np.maximum(d * np.float32(0.85), pixel * at * np.float32(0.1))
        t[live] = at
        live = live[(near > 0.03) & (at < far[live])]
        if not live.size:
            break
    hit = best < 1
    index, rays, t = index[hit], rays[:, hit], best_t[hit]
    points = origin + rays * t
    normals = _normals(solid, points, float(pixel * t.mean()))
    points = points - normals * solid(points)  # at the outline: the nearest point of the surface
    cover = np.clip((1 - best[hit]) * np.float32(1 / 0.96), 0, 1)  # hits stop within 0.03 pixels and cover all
    return Surface(index, points, normals, -rays, cover, t)


def _normals(solid: Solid, points: Array, step: float) -> Array:
    """Gradients by four taps at the corners of a tetrahedron."""
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32)
    e = np.float32(step * 0.9)
    total = np.zeros_like(points)
    for corner in corners:
        total += corner[:, None] * solid(points + e * corner[:, None])
    return unit(total)
