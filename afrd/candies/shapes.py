"""The candies: solids as distance functions, with the relief and the paint that lie on them.

Every candy is drawn at random from a generator. It has a frame of its own: about one unit in radius, standing on
z = 0, x to the right, y away from the viewer, z up. Points are float32 arrays of shape (3, N).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.floating]  # float32, but for numbers that need no speed
Solid = Callable[[Array], Array]  # points (3, N) -> distance to the surface (N,), negative inside

EXTENT = 2.0  # half the width of the square that textures cover, in units of the candy


@dataclass(frozen=True)
class Paint:
    """Optical properties of N surface points."""

    albedo: Array  # (3, N) linear RGB, 0..1
    roughness: Array  # (N,) of the specular lobe, 0 mirror .. 1 matte
    gloss: Array  # (N,) reflectance at normal incidence


@dataclass(frozen=True)
class Candy:
    """One candy, posed on the mat.

    `solid`, `relief` and `paint` live in the candy's own frame; `distance` and `look` take points of the world.
    """

    solid: Solid
    paint: Callable[[Array, Array], Paint]  # own points (3, N), texture coordinates (2, N)
    height: float  # of its top, in its own units
    radius: float  # of a sphere around (0, 0, height / 2) that holds the whole candy
    relief: Array | None = None  # (R, R) height that is added along the surface's normal
    wrap: float = 0.0  # how far light creeps round the edge into the shade: 0 opaque, 0.5 jelly
    yaw: float = 0.0
    scale: float = 1.0
    offset: tuple[float, float] = (0.0, 0.0)

    def _own(self, points: Array) -> Array:
        c, s = np.float32(np.cos(self.yaw) / self.scale), np.float32(np.sin(self.yaw) / self.scale)
        x, y = points[0] - np.float32(self.offset[0]), points[1] - np.float32(self.offset[1])
        return np.stack((c * x + s * y, c * y - s * x, points[2] * np.float32(1 / self.scale)))

    def _unwrap(self, own: Array) -> Array:
        # seen from above, but the flanks are folded outwards, so that a texture does not smear down them
        stretch = 1 + np.clip(self.height - own[2], 0, None) / np.maximum(np.hypot(own[0], own[1]), np.float32(0.3))
        return own[:2] * stretch

    def smooth(self, points: Array) -> Array:
        """Signed distance of world points (3, N) to the surface without its relief (N,)."""
        return self.solid(self._own(points)) * np.float32(self.scale)

    def distance(self, points: Array) -> Array:
        """Signed distance of world points (3, N) to the surface (N,)."""
        own = self._own(points)
        d = self.solid(own)
        if self.relief is not None:
            d = d - sample(self.relief, self._unwrap(own))
        return d * np.float32(self.scale)

    def look(self, points: Array) -> Paint:
        """The paint at world points (3, N) of the surface."""
        own = self._own(points)
        return self.paint(own, self._unwrap(own))

    @property
    def bounds(self) -> tuple[Array, float]:
        """Centre (3,) and radius of a sphere around the candy, in the world."""
        centre = np.array([*self.offset, self.height / 2 * self.scale], np.float32)
        return centre, self.radius * self.scale


# ---------------------------------------------------------------- textures


def sample(texture: Array, uv: Array) -> Array:
    """Bilinear look-up of a square texture at uv (2, N), each from -EXTENT to EXTENT -> (N,)."""
    side = texture.shape[0]
    at = np.clip((uv + np.float32(EXTENT)) * np.float32((side - 1) / (2 * EXTENT)), 0, np.float32(side - 1.001))
    low = at.astype(np.int32)
    fx, fy = at - low
    flat = texture.ravel()
    k = low[1] * side + low[0]
    top = flat[k] + fx * (flat[k + 1] - flat[k])
    k += side
    bottom = flat[k] + fx * (flat[k + 1] - flat[k])
    return top + fy * (bottom - top)


def _grid(side: int) -> tuple[Array, Array]:
    line = np.linspace(-EXTENT, EXTENT, side, dtype=np.float32)
    return np.broadcast_to(line[None, :], (side, side)), np.broadcast_to(line[:, None], (side, side))


def _noise(rng: np.random.Generator, side: int, grain: float) -> Array:
    """Smooth noise of mean 0 and deviation 1; `grain` is its correlation length in units of the candy."""
    cells = max(4, min(side, round(2 * EXTENT / grain * 2)))
    coarse = rng.standard_normal((cells, cells)).astype(np.float32)
    coarse = ndimage.gaussian_filter(coarse, 0.8, mode="wrap")
    fine = ndimage.zoom(coarse, side / cells, order=1, grid_mode=True, mode="grid-wrap")[:side, :side]
    return (fine - fine.mean()) / max(float(fine.std()), 1e-6)


def _smoothstep(low: float, high: float, x: Array) -> Array:
    t = np.clip((x - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


# ---------------------------------------------------------------- solids


def _box(half: tuple[float, float, float], rounding: float, dome: float) -> Solid:
    """A box with rounded edges on z = 0, its top lowered by dome * (x^2 + y^2)."""
    hx, hy, hz = (np.float32(h - rounding) for h in half)

    def solid(p: Array) -> Array:
        z = p[2] - np.float32(half[2])
        if dome:
            z = z + np.float32(dome) * (p[0] * p[0] + p[1] * p[1]) * np.clip(p[2] / np.float32(2 * half[2]), 0, 1)
        x, y, z = np.abs(p[0]) - hx, np.abs(p[1]) - hy, np.abs(z) - hz
        ox, oy, oz = np.maximum(x, 0), np.maximum(y, 0), np.maximum(z, 0)
        inside = np.minimum(np.maximum(np.maximum(x, y), z), 0)
        return np.sqrt(ox * ox + oy * oy + oz * oz) + inside - np.float32(rounding)

    return solid


def _disc(
    radius: float, height: float, rounding: float, dome: float, wobble: tuple[float, float, float, float]
) -> Solid:
    """A cylinder with rounded edges on z = 0; `wobble` are the amplitudes of the outline's 2nd and 3rd harmonic."""
    c2, s2, c3, s3 = (np.float32(w) for w in wobble)

    def solid(p: Array) -> Array:
        x, y = p[0], p[1]
        square = x * x + y * y
        rho = np.sqrt(square)
        z = p[2] - np.float32(height / 2) + np.float32(dome) * square
        out = rho - np.float32(radius - rounding)
        if any(wobble):
            unit = 1 / np.maximum(rho, np.float32(0.2))
            cx, cy = x * unit, y * unit  # cosine and sine of the polar angle, multiplied out below
            cos2, sin2 = cx * cx - cy * cy, 2 * cx * cy
            out = out - (c2 * cos2 + s2 * sin2 + c3 * (cx * cos2 - cy * sin2) + s3 * (cx * sin2 + cy * cos2))
        z = np.abs(z) - np.float32(height / 2 - rounding)
        ox, oz = np.maximum(out, 0), np.maximum(z, 0)
        return np.sqrt(ox * ox + oz * oz) + np.minimum(np.maximum(out, z), 0) - np.float32(rounding)

    return solid


def _drop(low: float, high: float, stem: float, belly: float) -> Solid:
    """A round cone of radii `low` and `high`, `stem` apart, flat at z = 0, widest at the height `belly`.

    Distance to a round cone: Inigo Quilez, "distance functions", sdRoundCone.
    """
    b = (low - high) / stem
    a = float(np.sqrt(1 - b * b))

    def solid(p: Array) -> Array:
        rho, z = np.hypot(p[0], p[1]), p[2] - np.float32(belly)
        k = np.float32(a) * z - np.float32(b) * rho
        side = np.float32(a) * rho + np.float32(b) * z - np.float32(low)
        foot = np.hypot(rho, z) - np.float32(low)
        tip = np.hypot(rho, z - np.float32(stem)) - np.float32(high)
        d = np.where(k < 0, foot, np.where(k > np.float32(a * stem), tip, side))
        cut, soft = -p[2], np.float32(0.12)  # a smooth maximum rounds the edge of the cut
        h = np.maximum(soft - np.abs(d - cut), 0)
        return np.maximum(d, cut) + h * h / (4 * soft)

    return solid


def _ball_on_stick(radius: float, at: float, stick: float) -> Solid:
    """A ball whose centre lies at x = `at`, and a stick from it towards -x, sinking to the mat."""
    r = np.float32(radius)
    start, end = np.array([at, 0, radius], np.float32), np.array([-1.35, 0, stick + 0.01], np.float32)
    along = end - start
    square = np.float32(float(along @ along))

    def solid(p: Array) -> Array:
        x, y, z = p[0] - start[0], p[1], p[2] - start[2]
        ball = np.sqrt(x * x + y * y + z * z) - r
        t = np.clip((x * along[0] + z * along[2]) / square, 0, 1)
        sx, sz = x - t * along[0], z - t * along[2]
        return np.minimum(ball, np.sqrt(sx * sx + y * y + sz * sz) - np.float32(stick))

    return solid


# ---------------------------------------------------------------- paint


def _linear(rng: np.random.Generator, colour: str, spread: float = 0.03) -> Array:
    """A colour as linear RGB (3, 1), varied a little from candy to candy."""
    rgb = np.array([int(colour[k : k + 2], 16) for k in (0, 2, 4)]) / 255
    rgb = np.clip(rgb * (1 + spread * rng.standard_normal() / 2) + spread / 2 * rng.standard_normal(3), 0.01, 0.95)
    return (rgb**2.2).astype(np.float32)[:, None]


def _mix(a: Array, b: Array, share: Array) -> Array:
    return a + share * (b - a)


def _even(value: float, like: Array) -> Array:
    return np.full(like.shape[-1], value, np.float32)


def _praline(rng: np.random.Generator, side: int) -> Candy:
    half = (rng.uniform(0.82, 0.98), rng.uniform(0.76, 0.92), rng.uniform(0.36, 0.44))
    x, y = _grid(side)
    warp = _noise(rng, side, 0.9) * np.float32(0.022)  # a hand that is not quite steady
    icing = np.zeros((side, side), np.float32)
    width = rng.uniform(0.032, 0.05)
    for angle in np.deg2rad(rng.uniform(25, 40)) * np.array([1, -1]):
        period, phase = rng.uniform(0.42, 0.56), rng.uniform()
        across = np.float32(np.sin(angle)) * x + np.float32(np.cos(angle)) * y + warp
        away = np.abs((across / np.float32(period) + np.float32(phase)) % 1 - np.float32(0.5)) * np.float32(period)
        icing = np.maximum(icing, 1 - np.clip(away / np.float32(width), 0, 1) ** 2)
    icing = ndimage.gaussian_filter(icing, 1.2 * side / 400)
    raised = ndimage.gaussian_filter(_smoothstep(0, 1, icing), 1.5 * side / 400)
    relief = raised * np.float32(rng.uniform(0.018, 0.03)) + _noise(rng, side, 0.5) * np.float32(0.003)
    chocolate = _linear(rng, "6b3418")
    cream = _linear(rng, "f0dcb8")
    rough = rng.uniform(0.2, 0.28)

    def paint(own: Array, uv: Array) -> Paint:
        iced = _smoothstep(0.03, 0.6, sample(icing, uv))
        return Paint(_mix(chocolate, cream, iced), np.float32(rough) + np.float32(0.08) * iced, _even(0.045, iced))

    return Candy(_box(half, rng.uniform(0.24, 0.32), rng.uniform(0.06, 0.12)), paint, 2 * half[2], 1.45, relief)


def _peppermint(rng: np.random.Generator, side: int) -> Candy:
    height = rng.uniform(0.5, 0.6)
    stripes, twist, phase = 6, rng.uniform(0.3, 0.9), rng.uniform(0, 2 * np.pi)
    white = _linear(rng, "f2f0ea", 0.02)
    colour = _linear(rng, "c8242c")
    sharp = rng.uniform(0.25, 0.6)
    rough = rng.uniform(0.26, 0.34)
    waver = _noise(rng, side, 0.5)

    def paint(own: Array, uv: Array) -> Paint:
        angle = np.arctan2(own[1], own[0]) + np.float32(twist) * np.hypot(own[0], own[1])
        wave = np.sin(np.float32(stripes) * angle + np.float32(phase) + np.float32(0.18) * sample(waver, uv))
        return Paint(_mix(white, colour, _smoothstep(-sharp, sharp, wave)), _even(rough, wave), _even(0.04, wave))

    relief = _noise(rng, side, 0.4) * np.float32(0.0025)
    solid = _disc(
        rng.uniform(0.94, 1.04), height, rng.uniform(0.2, 0.25), rng.uniform(0.05, 0.1), (rng.normal(0, 0.008), 0, 0, 0)
    )
    return Candy(solid, paint, height, 1.25, relief, wrap=0.12)


def _cookie(rng: np.random.Generator, side: int) -> Candy:
    height = rng.uniform(0.3, 0.38)
    coarse, fine = _noise(rng, side, 0.22), _noise(rng, side, 0.05)
    relief = np.float32(0.011) * coarse + np.float32(0.0055) * fine
    chips = np.zeros((side, side), np.float32)
    spots: list[tuple[float, float, float]] = []
    for _ in range(int(rng.integers(16, 30))):
        size, radius, angle = rng.uniform(0.06, 0.115), 0.88 * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
        u, v, stretch, turn = radius * np.cos(angle), radius * np.sin(angle), rng.uniform(0.75, 1.3), rng.uniform(0, 3)
        if any(np.hypot(u - a, v - b) < 0.8 * (size + s) for a, b, s in spots):
            continue
        spots.append((u, v, size))
        _stamp(chips, u, v, size, stretch, turn, rng.uniform(0.8, 1.2))
    dough, brown = _linear(rng, "b87c44"), _linear(rng, "7a4520")
    chip = _linear(rng, "341910", 0.03)
    relief = relief * (1 - np.clip(chips, 0, 1) * np.float32(0.8)) + np.float32(0.055) * np.sqrt(chips)

    def paint(own: Array, uv: Array) -> Paint:
        is_chip = _smoothstep(0.1, 0.4, sample(chips, uv))
        baked = _smoothstep(0.6, 1.05, np.hypot(own[0], own[1])) * np.float32(0.55)
        baked = np.clip(baked + np.float32(0.14) * sample(coarse, uv) + np.float32(0.1) * sample(fine, uv), 0, 1)
        albedo = _mix(_mix(dough, brown, baked), chip, is_chip)
        return Paint(
            albedo, np.float32(0.62) - np.float32(0.3) * is_chip, np.float32(0.018) + np.float32(0.017) * is_chip
        )

    wobble = tuple(float(w) for w in rng.normal(0, 0.018, 4))
    solid = _disc(rng.uniform(0.98, 1.08), height, rng.uniform(0.13, 0.16), 0.05, wobble)  # type: ignore[arg-type]
    return Candy(solid, paint, height, 1.3, relief)


def _stamp(texture: Array, u: float, v: float, size: float, stretch: float, turn: float, tall: float) -> None:
    """Raises a round blob of the given size (and height `tall`) in a texture, in place."""
    step = 2 * EXTENT / (texture.shape[0] - 1)
    reach = int(np.ceil(1.4 * size / step))
    col, row = round((u + EXTENT) / step), round((v + EXTENT) / step)
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1] * step
    a, b = np.cos(turn) * dx + np.sin(turn) * dy, np.cos(turn) * dy - np.sin(turn) * dx
    blob = np.clip(1 - (a * a * stretch + b * b / stretch) / size**2, 0, 1) * tall
    window = texture[row - reach : row + reach + 1, col - reach : col + reach + 1]
    np.maximum(window, blob, out=window)


def _gumdrop(rng: np.random.Generator, side: int) -> Candy:
    low, high, stem = rng.uniform(0.84, 0.92), rng.uniform(0.5, 0.6), rng.uniform(0.5, 0.62)
    belly = rng.uniform(0.28, 0.36)
    jelly = _linear(rng, "e2761b")
    crystal = np.clip(_noise(rng, side, 0.035), -1.2, 2.5)
    sugar = np.clip(_noise(rng, side, 0.3) * np.float32(0.18) + np.float32(rng.uniform(0.3, 0.5)), 0.1, 0.8)
    white = _linear(rng, "f4f2ee", 0.01)

    def paint(own: Array, uv: Array) -> Paint:
        grain = sample(crystal, uv)
        cover = np.clip(sample(sugar, uv) * (np.float32(0.55) + np.float32(0.45) * grain), 0, np.float32(0.85))
        rough = np.float32(0.42) - np.float32(0.05) * np.clip(grain, 0, 2)
        return Paint(_mix(jelly, white, cover), rough, _even(0.05, grain))

    relief = crystal * np.float32(0.0075) + _noise(rng, side, 0.5) * np.float32(0.006)
    return Candy(_drop(low, high, stem, belly), paint, belly + stem + high, 1.1, relief, wrap=0.3)


def _lollipop(rng: np.random.Generator, side: int) -> Candy:
    radius, at, stick = rng.uniform(0.66, 0.74), rng.uniform(0.42, 0.5), rng.uniform(0.05, 0.062)
    first = _linear(rng, "e8e6d8")
    second = _linear(rng, "2fa84f")
    axis = 0.25 * rng.normal(size=3) + np.array([0.3, -0.3, 1])
    axis = (axis / np.linalg.norm(axis)).astype(np.float32)
    side1 = np.cross(axis, [1, 0.2, 0]).astype(np.float32)
    side1 /= np.linalg.norm(side1)
    side2 = np.cross(axis, side1).astype(np.float32)
    arms, twist, phase = 3, rng.uniform(2.0, 2.8), rng.uniform(0, 6.28)
    cloud, paper = _noise(rng, side, 0.3), _linear(rng, "e6e2da", 0.02)
    rough = rng.uniform(0.16, 0.24)

    def paint(own: Array, uv: Array) -> Paint:
        p = np.stack((own[0] - np.float32(at), own[1], own[2] - np.float32(radius)))
        distance = np.sqrt((p * p).sum(0))
        h = (p * axis[:, None]).sum(0) / np.float32(radius)
        angle = np.arctan2((p * side2[:, None]).sum(0), (p * side1[:, None]).sum(0)) + np.float32(twist) * h
        wave = np.sin(np.float32(arms) * angle + np.float32(phase) + np.float32(0.25) * sample(cloud, uv))
        is_stick = (distance > np.float32(radius * 1.05)).astype(np.float32)
        albedo = _mix(_mix(first, second, _smoothstep(-0.22, 0.22, wave)), paper, is_stick)
        return Paint(albedo, np.float32(rough) + np.float32(0.35) * is_stick, _even(0.05, wave))

    return Candy(_ball_on_stick(radius, at, stick), paint, 2 * radius, 1.75, None, wrap=0.15)


def _licorice(rng: np.random.Generator, side: int) -> Candy:
    half = (rng.uniform(0.72, 0.82), rng.uniform(0.72, 0.82), rng.uniform(0.4, 0.48))
    count = 5
    soft = _linear(rng, "f2b6c8")
    other = _linear(rng, "ece8e2")
    black = _linear(rng, "211d1c", 0.02)
    cuts = np.linspace(0, 2 * half[2], count + 1)[1:-1] + rng.normal(0, 0.02, count - 1)
    layers = [soft if k == count - 1 else other if k % 4 == 0 else black if k % 2 else soft for k in range(count)]
    rough = rng.uniform(0.42, 0.55)
    bend, crumb = _noise(rng, side, 0.8) * np.float32(0.02), _noise(rng, side, 0.09)

    def paint(own: Array, uv: Array) -> Paint:
        height = own[2] + sample(bend, own[:2])
        albedo = np.broadcast_to(layers[0], (3, height.size))
        for cut, layer in zip(cuts, layers[1:], strict=True):
            albedo = _mix(albedo, layer, _smoothstep(cut - 0.008, cut + 0.008, height))
        albedo = albedo * (1 + np.float32(0.03) * sample(crumb, uv))
        return Paint(albedo, _even(rough, height), _even(0.035, height))

    relief = bend * np.float32(0.8) + crumb * np.float32(0.0016)
    return Candy(_box(half, rng.uniform(0.07, 0.12), 0.0), paint, 2 * half[2], 1.3, relief, wrap=0.1)


_MAKERS: dict[str, tuple[Callable[[np.random.Generator, int], Candy], float]] = {
    "Praline": (_praline, 10),  # the maker, and how far the candy is turned at most to either side, in degrees
    "Peppermint": (_peppermint, 30),
    "Cookie": (_cookie, 180),
    "Gumdrop": (_gumdrop, 180),
    "Lollipop": (_lollipop, 15),
    "Licorice": (_licorice, 12),
}
CATEGORIES: tuple[str, ...] = tuple(_MAKERS)


def make_candy(category: str, rng: np.random.Generator, size: int) -> Candy:
    """Draws one candy of a category: shape, pattern, colour, texture and pose.

    Args:
        category: one of CATEGORIES.
        rng: the only source of chance.
        size: side of the picture in pixels, which sets how fine the textures are.
    """
    maker, turn = _MAKERS[category]
    candy = maker(rng, max(128, int(size * 1.6)))
    yaw = float(np.deg2rad(rng.uniform(-turn, turn)) + (np.deg2rad(25) if category == "Licorice" else 0))
    offset = (float(rng.normal(0, 0.025)), float(rng.normal(0, 0.025)))
    return replace(candy, yaw=yaw, scale=float(rng.uniform(0.95, 1.06)), offset=offset)
