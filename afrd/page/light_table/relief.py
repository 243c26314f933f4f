"""The relief of a sample for `virtual.js`: normals and albedo as pictures, or why there are none."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import afrd.data
import afrd.figures
from afrd.page.common import keys
from afrd.runs.cache import MB, Cache

if TYPE_CHECKING:
    from afrd.data.sample import Sample

RELIEF_SIDE = 256  # of the pictures as sent
NO_LAMP = "No virtual lamp"
_reliefs = Cache(20 * MB)


def known_relief(key: Hashable, sample: Sample, folder: Path) -> dict[str, Any]:
    """`relief_on_table`, computed once for a sample of this key."""
    rig = tuple(keys.of_file(file) for file in afrd.data.rig_files(folder))
    return _reliefs.get((key, rig), lambda: relief_on_table(sample, folder))


def relief_on_table(sample: Sample, folder: Path) -> dict[str, Any]:
    """The entry of a scene on the shape of a sample: `normals` and `albedo` as data URIs and the `lights` that they are
    estimated from, or the sentence `missing`.

    Args:
        sample: to be shown.
        folder: of its category, with a file of the lamps' directions.
    """
    try:
        lamps = afrd.data.lamps_of(folder)
    except ValueError as error:
        return {"missing": f"{NO_LAMP}: {error}."}
    lights = [light for light in sample.lights if light in lamps]
    if not lamps:
        return {"missing": f"{NO_LAMP}: the directions of these lights are not known; a rig.yaml can give them."}
    if not afrd.data.enough([lamps[light].direction for light in lights]):
        return {"missing": f"{NO_LAMP}: it needs three lights of known directions that do not lie in one plane."}
    relief = afrd.data.sample_relief(sample, lamps, RELIEF_SIDE)
    pictures = {"normals": (relief.normals + 1) / 2, "albedo": afrd.data.srgb(relief.albedo)}
    return {"lights": lights} | {
        name: afrd.figures.picture_uri(picture, RELIEF_SIDE) for name, picture in pictures.items()
    }
