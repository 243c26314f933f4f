"""The Lights tab: which lights are needed."""

from __future__ import annotations

import gradio as gr

from afrd.page.way import Way


def lights_tab(tab: gr.Tab, way: Way) -> None:
    """Lays the tab out and connects it."""
    gr.Markdown("not there yet")
