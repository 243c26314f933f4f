"""The Train tab: a training, with its loss as it runs."""

from __future__ import annotations

import gradio as gr

from afrd.page.way import Way


def train_tab(tab: gr.Tab, way: Way) -> None:
    """Lays the tab out and connects it."""
    gr.Markdown("not there yet")
