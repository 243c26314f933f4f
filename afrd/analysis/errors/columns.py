"""Columns of an error table, as expressions name them: `score`, `best_iou`, `lights_above`, `light_top`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from afrd.analysis.errors.expression import NUMBER, TEXT, WORDS, Column
from afrd.analysis.errors.notes import Note
from afrd.analysis.errors.table import ErrorTable


def columns_of(
    table: ErrorTable,
    at: float | None = 1.0,
    notes: Mapping[str, Note] | None = None,
    frame: pd.DataFrame | None = None,
) -> dict[str, Column]:
    """The columns that an expression can name.

    Args:
        table: of N samples.
        at: the threshold, see `afrd.analysis.errors.table`.
        notes: by sample name.
        frame: `table.frame(at, notes=notes)`, where it is already made.

    Returns:
        Every column of the frame under its own name, and under a short one of small letters and underscores; sets of
        words (`defects`, `tags`, `lights_above`) as sets. Also `score` and `other_score`, of the run and of the method
        beside it, `other_outcome`, `defect_px`, the number of defective pixels (NaN where there are none or they are
        not known), and `light_NAME`, the score with this light alone.
    """
    frame = table.frame(at, notes=notes) if frame is None else frame
    notes = notes or {}
    names = table.column_names()
    sizes = np.array([len(values) or np.nan for values in table.inside], dtype=float)
    columns = {
        "sample": _texts(frame["sample"]),
        "truth": _texts(frame["truth"]),
        "defects": _words(defects.split("+") if defects else () for defects in table.samples.defects),
        "outcome": _texts(frame["outcome"]),
        "score": _numbers(table.scores[table.run]),
        "defect_px": Column(NUMBER, sizes),
        "tags": _words(notes.get(name, Note()).tags for name in table.samples["sample"]),
        "lights_above": _words(table.lights_above(at)),
        "note": _texts(frame["note"]),
    }
    if table.other:
        columns["other_score"] = _numbers(table.scores[table.other])
        columns["other_outcome"] = _texts(frame[f"outcome {names[table.other]}"])
    columns |= {f"light_{short_name(str(light))}": _numbers(table.light_scores[light]) for light in table.light_scores}
    for name in map(str, frame):
        if name not in columns and short_name(name) not in columns:
            column = frame[name]
            columns[short_name(name)] = _numbers(column) if column.dtype.kind == "f" else _texts(column)
    for name in map(str, frame):  # under their own names as well, which stand in backticks
        columns.setdefault(name, columns[short_name(name)])
    return columns


def short_name(name: str) -> str:
    """`peak off, px` as `peak_off_px`."""
    return re.sub(r"\W+", "_", name.lower()).strip("_")


def _numbers(values: pd.Series) -> Column:
    return Column(NUMBER, values.to_numpy(dtype=float))


def _texts(values: pd.Series) -> Column:
    return Column(TEXT, np.array([str(value) for value in values] or [], dtype=object))


def _words(rows: Iterable[Iterable[str]]) -> Column:
    sets = [frozenset(map(str, row)) for row in rows]
    values = np.empty(len(sets), dtype=object)
    values[:] = sets
    return Column(WORDS, values)
