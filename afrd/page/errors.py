"""The Errors tab: every test sample, sortable, with the scores of all methods."""

from __future__ import annotations

import gradio as gr

from afrd.page.way import Way


def errors_tab(tab: gr.Tab, way: Way) -> None:
    """Lays the tab out and connects it."""
    gr.Markdown("not there yet")
