"""How far each training part is from all others, by its patches in the memory.

A defect in a training part is taken for normal, and defects like it are missed afterwards. But a part with one is
farther from the others than these are from one another, so it can be named once the memory is filled. The table is a
file in the run's folder, written before the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from afrd.files import replacing, visible
from afrd.model.patch_memory import PartDistances

FILE = "training_parts.csv"
COLUMNS = {"part": str, "ratio": float, "light": str, "x": int, "y": int, "deviation": float, "unusual": bool}
UNUSUAL = 4.5  # of 60 sets of good parts alone 4 had one above it, 3 of these sets of ten parts (docs/method.md)
MAD_OF_A_NORMAL = 0.6745  # median absolute deviation of a normal distribution, in standard deviations
LEAST_PARTS = 10  # with fewer the spread of their distances says little
MAX_NAMED = 5  # parts in one sentence


def parts_table(
    distances: PartDistances,
    grid: tuple[int, int],
    names: Sequence[str],
    lights: Sequence[str],
    picture_size: tuple[int, int],
) -> pd.DataFrame:
    """The training parts, the most unusual first.

    Args:
        distances: of N parts under L lights.
        grid: (h, w) of their places.
        names: of the parts, N.
        lights: L names.
        picture_size: (H, W).

    Returns:
        Columns `part`; `ratio`, its distance to all others relative to that of the median part, under the `light` where
        this is largest; `x`, `y` (pixels) of the patch there; `deviation`, the ratio's modified z-score (Iglewicz and
        Hoaglin 1993: from the median, in median absolute deviations scaled to standard deviations); `unusual`, whether
        this is above `UNUSUAL`, never with fewer than `LEAST_PARTS` parts. Parts of which nothing is remembered, most
        of them where there are more parts than patches in the memory, have ratio 0 and do not count for the medians.
    """
    distance = distances.distance.cpu().double().numpy()
    medians = np.array([_median(of_light[of_light > 0]) for of_light in distance])
    ratios = distance / np.maximum(medians, 1e-12)[:, None]  # (L, N)
    light = ratios.argmax(0)
    ratio = ratios.max(0)
    remembered = ratio > 0
    away = ratio - _median(ratio[remembered])
    spread = _median(np.abs(away[remembered])) / MAD_OF_A_NORMAL
    deviation = away / spread if spread > 0 else np.zeros_like(ratio)
    place = distances.place.cpu().numpy()[light, np.arange(len(names))]
    rows, columns = np.divmod(place, grid[1])
    table = pd.DataFrame(
        {
            "part": list(names),
            "ratio": ratio,
            "light": [lights[k] for k in light],
            "x": ((columns + 0.5) * picture_size[1] / grid[1]).astype(int),
            "y": ((rows + 0.5) * picture_size[0] / grid[0]).astype(int),
            "deviation": deviation,
            "unusual": (deviation > UNUSUAL) & (remembered.sum() >= LEAST_PARTS),
        }
    )
    # not by the deviation, which is 0 for all where most ratios are equal
    return table.sort_values("ratio", ascending=False, ignore_index=True, kind="stable")


def _median(values: np.ndarray) -> float:
    """0 without any value."""
    return float(np.median(values)) if len(values) else 0.0


def save_training_parts(folder: Path, table: pd.DataFrame) -> None:
    """Writes the table of `parts_table` into a run folder."""
    with replacing(folder / FILE) as path:
        # with this end of lines a carriage return in a name is quoted; unquoted it would be read as one
        table.to_csv(path, index=False, float_format="%.4g", lineterminator="\r\n")


def training_parts(folder: Path) -> pd.DataFrame:
    """The table of a run (see `parts_table`), empty for one without a memory and for those that come with the package.

    Raises:
        ValueError: the file cannot be read, or is another table.
    """
    path = folder / FILE
    if not path.is_file():
        return pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)
    try:
        return pd.read_csv(path, dtype=COLUMNS, keep_default_na=False)[list(COLUMNS)]
    except (ValueError, KeyError, OSError) as error:  # pandas' and Unicode's errors are ValueErrors
        raise ValueError(
            f"{path} is not the table of a run's training parts ({error}); delete it, and only this table is lost"
        ) from error


def unusual_text(table: pd.DataFrame) -> str:
    """A sentence about the unusual parts of a table; empty where there are none."""
    unusual = table[table.unusual]
    if unusual.empty:
        return ""
    named = [
        visible(f"{row.part} (light {row.light}, x {row.x}, y {row.y})") for row in unusual[:MAX_NAMED].itertuples()
    ]
    more = f" and {len(unusual) - MAX_NAMED} more" if len(unusual) > MAX_NAMED else ""
    which, it = ("training part differs", "it") if len(unusual) == 1 else ("training parts differ", "them")
    return (
        f"{len(unusual)} {which} much from all others: {', '.join(named)}{more}; look at {it}, because what a "
        "training part shows is taken for normal, a defect as well"
    )
