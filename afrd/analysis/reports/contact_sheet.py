"""The maps of many samples at once, on one scale: in the page and in the report of an error analysis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import afrd.figures
from afrd.analysis.errors.words import truth_word
from afrd.analysis.reports.rendering import style, template

if TYPE_CHECKING:  # torch takes seconds to import; the page starts before
    from afrd.analysis.errors.table import ErrorTable
    from afrd.data.dataset import MultiLightDataset
    from afrd.metrics.predictions import Predictions

MAX_TILES = 200
TILE_SIDE = 150  # pixels of a tile
ORDERS: dict[str, Callable[[ErrorTable, str], Any] | None] = {  # key of a row, the smallest first
    "as in the table": None,
    "highest score": lambda table, label: -table.scores[label],
    "lowest score": lambda table, label: table.scores[label],
    "largest defect": lambda table, label: [-len(values) for values in table.inside],
    "smallest defect": lambda table, label: [len(values) or math.inf for values in table.inside],
    "name": lambda table, label: table.samples["sample"],
}


@dataclass(frozen=True)
class Tile:
    """One sample: data URI, outlines as SVG paths in a picture of `width` x `height`, and texts."""

    row: int
    name: str
    truth: str
    outcome: str
    score: str
    uri: str
    width: int
    height: int
    defect: str
    passed: str


def contact_sheet(
    table: ErrorTable,
    rows: Sequence[int],
    dataset: MultiLightDataset,
    predictions: Predictions,
    label: str | None = None,
    at: float | None = 1.0,
    light: str | None = None,
    order: str = "as in the table",
    does: str = "",
) -> str:
    """HTML with the picture and map of every sample; maps are drawn from 0 to twice the threshold, as everywhere.

    Args:
        table: the error table of `dataset`.
        rows: positions of the samples.
        dataset: the split, for its pictures.
        predictions: whose maps are shown.
        label: of their method in the table; `table.run` by default.
        at: the threshold, see `afrd.analysis.errors.table`.
        light: whose picture is under the maps; the light box or the last light by default.
        order: one of `ORDERS`.
        does: name of the event that a click on a tile is in the page; "" for a link to the sample's card.

    Raises:
        ValueError: more than `MAX_TILES` samples, no such order, or a picture that cannot be read.
    """
    label = label or table.run
    if len(rows) > MAX_TILES:
        raise ValueError(
            f"a contact sheet holds at most {MAX_TILES} samples, and these are {len(rows)}; filter the table first"
        )
    if order not in ORDERS:
        raise ValueError(f"there is no order {order!r}; there are {', '.join(ORDERS)}")
    key = ORDERS[order]
    if key is not None:
        values = list(key(table, label))
        rows = sorted(rows, key=lambda row: values[row])
    pictures = dataset.select([light if light in dataset.lights else afrd.figures.main_light(dataset.lights)])
    outcomes, level = table.outcome(at, label), table.threshold_of(label, at)
    tiles = [_tile(table, row, pictures, predictions, label, outcomes[row], level) for row in rows]
    return template("contact_sheet.html").render(tiles=tiles, does=does)


def css() -> str:
    return style("contact_sheet.css")


def _tile(
    table: ErrorTable,
    row: int,
    pictures: MultiLightDataset,
    predictions: Predictions,
    label: str,
    outcome: str,
    level: float | None,
) -> Tile:
    picture = pictures[row].images[0]  # (3, H, W)
    height, width = picture.shape[-2:]
    values = afrd.figures.shrink(predictions.maps[row]) / (
        predictions.threshold.value if predictions.threshold else 1.0
    )
    mask = predictions.masks[row]
    has_mask = predictions.masked[row] and mask.any()
    truth = truth_word(table.samples.anomalous[row])
    defects = table.samples.defects[row].replace("+", ", ")
    return Tile(
        row,
        table.samples["sample"][row],
        defects or {"unknown": "truth not known"}.get(truth, truth),
        outcome,
        f"{table.scores[label][row]:.2f}",
        afrd.figures.covered_uri(picture, values, TILE_SIDE),
        width,
        height,
        afrd.figures.svg_path(afrd.figures.contour_lines(mask.astype(float), 0.5)) if has_mask else "",
        afrd.figures.svg_path(afrd.figures.contour_lines(values, level, (height, width))) if level is not None else "",
    )
