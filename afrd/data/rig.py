"""Directions of the lamps of a rig, from `rig.yaml` or the `render.yaml` of rendered candies.

`rig.yaml` is in a category's folder, or in the root of the data set for all of its categories:

    camera: 90                                       # degrees above the part's plane; 90 looks straight down
    lights:
      top:  {azimuth: 90, elevation: 40}             # 0 the right of the picture, 90 behind the part, as seen from the
      left: {azimuth: 180, elevation: 35, intensity: 0.8}  # viewer's side; degrees above the plane; brightness

Lights that it does not name have no single direction, such as a light box.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

RIG, RENDERING = "rig.yaml", "render.yaml"
# Of `afrd.candies`: degrees of the camera above the mat, give or take one; the lamps' distance from a place on the mat,
# and how high above it the middle of a part is, both in part radii.
RENDERED_CAMERA, RENDERED_DISTANCE, RENDERED_MIDDLE = 40.0, 4.2, 0.5


class Lamp(NamedTuple):
    """A lamp far away: the unit vector towards it (x right, y up in the picture, z to the camera), its brightness."""

    direction: tuple[float, float, float]
    intensity: float


def lamps_of(category: Path) -> dict[str, Lamp]:
    """The lamps of known direction of a category, by the names of their lights; empty without such a file.

    Args:
        category: its folder.

    Raises:
        ValueError: the file cannot be read as a rig.
    """
    for file in rig_files(category)[:2]:
        if file.is_file():
            return _rig(file)
    file = category / RENDERING
    return _rendered(file) if file.is_file() else {}


def rig_files(category: Path) -> list[Path]:
    """The files that `lamps_of` looks for, in this order."""
    return [category / RIG, category.parent / RIG, category / RENDERING]


def towards(azimuth: float, elevation: float, camera: float = 90.0) -> tuple[float, float, float]:
    """The unit vector towards a lamp, in the picture's axes, from degrees as in `rig.yaml`."""
    a, e, c = (math.radians(angle) for angle in (azimuth, elevation, camera))
    right, ahead, above = math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)
    return right, ahead * math.sin(c) + above * math.cos(c), above * math.sin(c) - ahead * math.cos(c)


def enough(directions: Sequence[Sequence[float]]) -> bool:
    """Whether three of these directions do not lie in one plane, so that they determine slopes."""
    return len(directions) > 2 and float(np.linalg.svd(np.asarray(directions), compute_uv=False)[2]) > 0.2


def _loaded(file: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{file} cannot be read as YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{file} is no rig: it needs `lights:` with a name, azimuth and elevation for each")
    return content


def _rig(file: Path) -> dict[str, Lamp]:
    content = _loaded(file)
    lights = content.get("lights")
    if not isinstance(lights, Mapping) or not all(isinstance(light, Mapping) for light in lights.values()):
        raise ValueError(f"{file} is no rig: it needs `lights:` with a name, azimuth and elevation for each")
    camera = _number(file, "camera", content.get("camera", 90), 0, 90)
    lamps = {}
    for name, light in lights.items():
        if unknown := [key for key in light if key not in ("azimuth", "elevation", "intensity")]:
            raise ValueError(f"{file}: light {name} has {unknown[0]!r}; known are azimuth, elevation and intensity")
        angles = [
            _number(file, f"the {key} of light {name}", light.get(key), low, high)
            for key, low, high in (("azimuth", -360, 360), ("elevation", 0, 90))
        ]
        intensity = _number(file, f"the intensity of light {name}", light.get("intensity", 1), 1e-3, 1e3)
        lamps[str(name)] = Lamp(towards(angles[0], angles[1], camera), intensity)
    return lamps


def _number(file: Path, what: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{file}: {what} is {value!r}, but must be a number from {low:g} to {high:g}")
    return float(value)


def _rendered(file: Path) -> dict[str, Lamp]:
    """Of `afrd.candies.render`: a list [name, kind, azimuth, elevation, intensity, exposure] for each picture."""
    lamps: dict[str, Lamp] = {}
    try:
        for position, (name, kind, azimuth, elevation, intensity, exposure) in enumerate(_loaded(file)["lights"]):
            if kind == "spot":
                lamp = rendered_lamp(azimuth, elevation, float(intensity) * float(exposure))
                lamps |= {name: lamp, f"light{position}": lamp}  # the layout's names for rigs of other than six lights
    except (KeyError, TypeError, ValueError):
        return {}  # written by another program
    return lamps


def rendered_lamp(azimuth: float, elevation: float, intensity: float) -> Lamp:
    """A spot of the renderer, of these degrees, as seen from the middle of a part and not from the mat below it."""
    e = math.radians(elevation)
    above = math.atan2(RENDERED_DISTANCE * math.sin(e) - RENDERED_MIDDLE, RENDERED_DISTANCE * math.cos(e))
    return Lamp(towards(azimuth, math.degrees(above), RENDERED_CAMERA), intensity)
