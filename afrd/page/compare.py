"""The Compare tab: all methods side by side on the chosen lights."""

from __future__ import annotations

import gradio as gr

from afrd.page.way import Way


def compare_tab(tab: gr.Tab, way: Way) -> None:
    """Lays the tab out and connects it."""
    gr.Markdown("not there yet")
