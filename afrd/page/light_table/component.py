"""The light table as a component: what `scene.py` says, drawn in the browser by the scripts beside this file."""

from __future__ import annotations

import json
from pathlib import Path

import gradio as gr

from afrd.figures import ERROR_COLOURS, colours
from afrd.page.light_table.scene import message

SCRIPTS = ("maps.js", "lamps.js", "view.js", "why.js", "keys.js", "table.js")
SCALES = (ERROR_COLOURS, "Viridis", "Cividis", "Gray")  # light and dark in every kind of colour vision


def light_table(elem_id: str, script_constants: str) -> gr.HTML:
    """A light table; its value is what `scene` or `sample_scene` gives.

    Events: `lights` (`event.lights`, the lamps that are lit), `shown` (`event.light`), `step` (`event.by`, -1 or 1) and
    `pinned` (`event.place`, [x, y] in pixels of the sample's pictures, empty when the pin is taken out).

    Args:
        elem_id: of this component in the page.
        script_constants: the colours, as JavaScript.
    """
    folder = Path(__file__).parent
    scales = {name: colours(name, 33) for name in SCALES}
    script = "\n".join([f"const SCALES = {json.dumps(scales)};", *((folder / name).read_text() for name in SCRIPTS)])
    return gr.HTML(
        message("Loading …"),
        html_template='<div class="light-table"></div>',
        js_on_load=script_constants + script,
        apply_default_css=False,
        elem_id=elem_id,
    )
