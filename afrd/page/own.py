"""The Your own sample tab: the pictures of one sample, from the user's disk."""

from __future__ import annotations

import gradio as gr

from afrd.page.way import Way


def own_tab(tab: gr.Tab, way: Way) -> None:
    """Lays the tab out and connects it."""
    gr.Markdown("not there yet")
