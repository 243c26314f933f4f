"""The light table as a Gradio component: a scene of `scene.py`, drawn in the browser by the scripts in this folder."""

from __future__ import annotations

import gradio as gr

from afrd.page.common.scripts import joined
from afrd.page.light_table.scene import message
from afrd.page.light_table.style import SCRIPTS, style


def light_table(elem_id: str) -> gr.HTML:
    """A light table; its value is what `scene` or `sample_scene` gives.

    Events: `lights` (`event.lights`, the lamps that are lit), `lit` (the same where the browser has fused them;
    `event.number` is to be answered by `scene.heard`), `shown` (`event.light`), `step` (`event.by`, -1 or 1) and
    `pinned` (`event.place`, [x, y] in pixels of the sample's pictures, empty when the pin is removed).

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
