"""The About tab: the method in one figure, what a colour means, and the limits."""

from __future__ import annotations

import textwrap

import gradio as gr

import afrd.figures
from afrd.page.common.html import macros

METHOD_STEPS = (
    ("Pictures", "one of every light, of one part that does not move"),
    ("Teacher", "frozen; trained on ordinary photographs, it describes every place of every picture"),
    ("Student and memory", "of good parts only: one learns to regress the description, one stores patches of it"),
    ("Error of every light", "student error and patch distance, less what good parts raise too"),
    ("Attention", "at every place the lights count most that show most plainly what is wrong"),
    ("Map and score", "the weighted sum of the errors; its maximum is compared with the threshold"),
)
LINE_WIDTH = 24  # letters: an SVG breaks no lines itself


def about_tab() -> None:
    """Lays the tab out."""
    error_colours = afrd.figures.colours(afrd.figures.ERROR_COLOURS)  # of the maps, from low to high
    steps = [(name, textwrap.wrap(text, LINE_WIDTH)) for name, text in METHOD_STEPS]
    gr.HTML(macros("about.html").page(error_colours, steps))
