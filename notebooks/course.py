"""What the notebooks of the course share: the style of figures, checks of exercises, and texts that numbers support."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

import afrd.figures

COLOURS = [afrd.figures.GOOD_COLOUR, afrd.figures.ANOMALOUS_COLOUR, "#009e73", "#cc79a7", "#b8860b", "#56b4e9"]
TEXT_COLOUR = "#757575"  # at least 4.5:1 on white and on black: a figure's paper is transparent
DIFFERENT = "Your numbers differ from those for which the next text was written; rely on yours."

pio.templates["course"] = go.layout.Template(
    layout={
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": TEXT_COLOUR},
        "title": {"font": {"size": 16}, "x": 0.01, "xanchor": "left"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": {"gridcolor": "rgba(128, 136, 144, 0.25)", "zerolinecolor": "rgba(128, 136, 144, 0.5)"},
        "yaxis": {"gridcolor": "rgba(128, 136, 144, 0.25)", "zerolinecolor": "rgba(128, 136, 144, 0.5)"},
        "colorway": COLOURS,
        "margin": {"l": 60, "r": 20, "t": 60, "b": 50},
    }
)
pio.templates.default = "plotly_white+course"


def show(figure: go.Figure, alternative: str) -> None:
    """Shows a figure in the course's style.

    Args:
        alternative: what the figure shows, in words, for people who cannot see it. The build copies it to the picture
            kept beside the interactive figure.
    """
    figure.update_layout(
        meta={"alt": alternative},
        font_color=TEXT_COLOUR,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    figure.show()


def no_axes(figure: go.Figure) -> go.Figure:
    """The same figure of pictures without ticks and axis titles."""
    return figure.update_xaxes(visible=False).update_yaxes(visible=False)


def slider(labels: list[str], prefix: str, active: int = 0, top: float = 0) -> dict[str, Any]:
    """A Plotly slider that moves between frames named by `labels` and needs no kernel."""
    still = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    return {
        "active": active,
        "currentvalue": {"prefix": prefix},
        "pad": {"t": 30},
        "y": top,
        "steps": [{"label": label, "method": "animate", "args": [[label], still]} for label in labels],
    }


def check(answer: object, expected: object, hint: str, tolerance: float = 0.01) -> None:
    """Says whether the answer to an exercise is right, or what to look at; never raises.

    Args:
        expected: a number or an array (equal within `tolerance`), a text (case and spaces do not count), or a function
            of the answer that says whether it is right.
        hint: what to look at when the answer is wrong.
    """
    if answer is None:
        print("Not answered yet: put your answer in the cell above, run it, then run this cell.")
        return
    try:
        right = _is_right(answer, expected, tolerance)
    except Exception as error:  # an answer may be of any type
        print(f"This answer cannot be compared ({type(error).__name__}: {error}). {hint}")
        return
    print("Right." if right else f"Not yet. {hint}")


def _is_right(answer: Any, expected: Any, tolerance: float) -> bool:
    if callable(expected):
        return bool(expected(answer))
    if isinstance(expected, str):
        return str(answer).strip().casefold() == expected.strip().casefold()
    given, wanted = np.asarray(answer, float), np.asarray(expected, float)
    return given.shape == wanted.shape and bool(np.allclose(given, wanted, rtol=0, atol=tolerance))


@contextmanager
def as_written() -> Iterator[None]:
    """Takes the assertions on which a text rests.

    Training gives slightly different weights on another processor, or with another number of threads. Where one of the
    assertions fails, this says so and the notebook goes on. Only when the notebooks are built (`AFRD_BUILD`) does it
    fail, so that no text is out of date.
    """
    try:
        yield
    except AssertionError:
        if os.environ.get("AFRD_BUILD"):
            raise
        print(DIFFERENT)
