"""The light table as a component: what `scene.py` says, drawn in the browser by the scripts beside this file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from afrd import figures
from afrd.page.common.scripts import joined
from afrd.page.light_table.scene import message

SCRIPTS = Path(__file__).parent
CSS = SCRIPTS / "table.css"
SCALES = (figures.ERROR_COLOURS, "Viridis", "Cividis", "Gray")  # light and dark in every kind of colour vision


def light_table(elem_id: str) -> gr.HTML:
    """A light table; its value is what `scene` or `sample_scene` gives.

    Events: `lights` (`event.lights`, the lamps that are lit), `shown` (`event.light`), `step` (`event.by`, -1 or 1) and
    `pinned` (`event.place`, [x, y] in pixels of the sample's pictures, empty when the pin is taken out).

    Args:
        elem_id: of this component in the page.
    """
    return gr.HTML(
        message("Loading …"),
        html_template='<div class="light-table"></div>',
        js_on_load=joined(SCRIPTS / "gradio.js", STYLE=style()),
        apply_default_css=False,
        elem_id=elem_id,
    )


def style() -> dict[str, Any]:
    """What the scripts draw with, as the figures do: colours from low to high, and where a map begins to cover."""
    return {
        "scales": {name: figures.colours(name, 33) for name in SCALES},
        "shares": figures.colours(figures.SHARE_COLOURS),
        "limit": figures.MAP_LIMIT,
        "clear": figures.CLEAR_BELOW,
        "full": figures.OPAQUE_ABOVE,
        "truth": figures.TRUTH_COLOUR,
        "threshold": figures.THRESHOLD_COLOUR,
    }
