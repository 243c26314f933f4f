"""Tables of `gr.Dataframe` that sort by numbers and show texts."""

from __future__ import annotations

import math
from typing import Any


def table_value(headers: list[str], values: list, texts: list, styles: list) -> dict[str, Any]:
    """A table's value: what a column is sorted by, what is read in each cell, and its style sheet."""
    return {"headers": headers, "data": values, "metadata": {"display_value": texts, "styling": styles}}


def number(value: Any) -> Any:
    """A cell to sort by: None for NaN, which JSON does not have; what is no number stays as it is."""
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else float(value)


def number_text(value: float, form: str) -> str:
    """A cell to read."""
    return "–" if math.isnan(value) else format(value, form)
