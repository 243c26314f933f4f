"""Colours for the scripts of the light table, and the paths of these scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from afrd import figures

SCRIPTS = Path(__file__).parent
CSS = SCRIPTS / "table.css"
SCALES = (figures.ERROR_COLOURS, "Viridis", "Cividis", "Gray")  # light and dark in every kind of colour vision


def style() -> dict[str, Any]:
    """Those of the figures: colours from low to high, and the values between which a map becomes opaque."""
    return {
        "scales": {name: figures.colours(name, 33) for name in SCALES},
        "shares": figures.colours(figures.SHARE_COLOURS),
        "differences": figures.colours(figures.DIFFERENCE_COLOURS, 33),
        "limit": figures.MAP_LIMIT,
        "clear": figures.CLEAR_BELOW,
        "full": figures.OPAQUE_ABOVE,
        "truth": figures.TRUTH_COLOUR,
        "threshold": figures.THRESHOLD_COLOUR,
    }
