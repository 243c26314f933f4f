"""What the notebooks of the course share: the style of figures, checks of exercises, and texts that numbers support."""

from __future__ import annotations

import base64
import html
import io
import json
import os
import string
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
import torch
from IPython.display import HTML, SVG
from PIL import Image
from plotly.colors import hex_to_rgb
from plotly.subplots import make_subplots

import afrd.figures
from afrd import Prediction, Run, Sample
from afrd.model import fuse_evidence

COLOURS = [afrd.figures.GOOD_COLOUR, afrd.figures.ANOMALOUS_COLOUR, "#009e73", "#cc79a7", "#b8860b", "#56b4e9"]
TEXT_COLOUR = "#757575"  # at least 4.5:1 on white and on black: a figure's paper is transparent
LARGEST_MAP = 64  # values a side of an interactive map; the method's own maps have 32
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
pd.set_option("display.max_colwidth", None)  # file names and lists of lights in full


def show(figure: go.Figure, alternative: str) -> None:
    """Shows a figure in the course's style, its pictures and maps small enough for a notebook.

    Args:
        alternative: what the figure shows, in words, for people who cannot see it. The build copies it to the picture
            kept beside the interactive figure.
    """
    lighten(figure)
    if figure.layout.legend.font.color == afrd.figures.drawing.CLEAR_LEGEND["font_color"]:
        figure.update_layout(legend_font_color=TEXT_COLOUR)
    figure.update_layout(
        meta={"alt": alternative},
        font_color=TEXT_COLOUR,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    figure.show()


def lighten(figure: go.Figure) -> None:
    """Makes a figure's pictures WebP, and its large maps coarser."""
    for trace in (trace for part in (figure, *figure.frames) for trace in part.data):
        if trace.type == "image" and trace.z is not None:
            trace.update(source=picture_uri(Image.fromarray(np.asarray(trace.z, np.uint8))), z=None)
        elif trace.type == "image":
            trace.source = without_png(trace.source)
        elif trace.type == "heatmap" and trace.x is None and np.issubdtype(np.asarray(trace.z).dtype, np.floating):
            thin(trace)
    for picture in figure.layout.images:
        picture.source = without_png(picture.source)


def thin(heatmap: go.Heatmap) -> None:
    """Keeps at most `LARGEST_MAP` values a side, the highest of each block, in single precision, drawn smoothly."""
    values = np.asarray(heatmap.z, np.float32)
    small = afrd.figures.drawing.shrink(values, LARGEST_MAP)
    for axis, name in ((1, "x"), (0, "y")):
        start, step = (
            default if heatmap[key] is None else heatmap[key] for key, default in ((f"{name}0", 0), (f"d{name}", 1))
        )
        ratio = values.shape[axis] / small.shape[axis]
        heatmap.update({f"{name}0": start + step * (ratio - 1) / 2, f"d{name}": step * ratio})
    heatmap.update(z=small, zsmooth="best" if small.size < values.size else None)


def without_png(uri: str) -> str:
    """A picture's data URI, as WebP if it was a PNG."""
    kind, _, content = uri.partition(";base64,")
    return picture_uri(Image.open(io.BytesIO(base64.b64decode(content)))) if kind == "data:image/png" else uri


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


def diagram(rows: dict[str, list[str]], alternative: str) -> SVG:
    """Boxes joined by arrows, one row for each name, in the style of all diagrams of the course.

    Args:
        rows: the text before each row, and the texts of its boxes from left to right (a line break begins a new line).
        alternative: the diagram in words.
    """
    lead = max(len(name) for name in rows) * 7.5 + 16 if any(rows) else 8
    parts, right, top = [], 0.0, 8.0
    for name, boxes in rows.items():
        height = 22 + 16 * max(box.count("\n") for box in boxes) + 12
        left, middle = lead, top + height / 2
        parts.append(f'<text x="4" y="{middle + 4:.0f}" font-weight="600">{html.escape(name)}</text>')
        for i, box in enumerate(boxes):
            lines = box.split("\n")
            width = max(len(line) for line in lines) * 7.3 + 20
            if i:
                parts.append(
                    f'<path d="M{left - 24:.0f} {middle:.0f}h18" marker-end="url(#tip)" stroke="{TEXT_COLOUR}"/>'
                )
            parts.append(
                f'<rect x="{left:.0f}" y="{top:.0f}" width="{width:.0f}" height="{height:.0f}" rx="6" fill="none" '
                f'stroke="{COLOURS[0]}" stroke-width="1.5"/>'
            )
            for k, line in enumerate(lines):
                y = middle + 4 + 16 * (k - (len(lines) - 1) / 2)
                parts.append(
                    f'<text x="{left + width / 2:.0f}" y="{y:.0f}" text-anchor="middle">{html.escape(line)}</text>'
                )
            left += width + 28
        right, top = max(right, left - 20), top + height + 14
    tip = (
        '<marker id="tip" markerWidth="7" markerHeight="8" refX="4" refY="4" orient="auto">'
        f'<path d="M0 0L7 4L0 8z" fill="{TEXT_COLOUR}"/></marker>'
    )
    return SVG(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right:.0f} {top:.0f}" width="{right:.0f}" role="img" '
        f'style="max-width: 100%" font-family="system-ui, sans-serif" font-size="13" fill="{TEXT_COLOUR}">'
        f"<title>{html.escape(alternative)}</title><defs>{tip}</defs>{''.join(parts)}</svg>"
    )


def interval_text(row: pd.Series) -> str:
    """A difference with its interval, from a row of `Predictions.compare`: "+0.12 [+0.05, +0.20]"."""
    return f"{row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"


def light_mixer(sample: Sample, run: Run) -> HTML:
    """A sample whose lights can be switched on and off, and the softmax temperature moved, without a kernel.

    The weight of light l is w_l^(1/T) / sum of w_k^(1/T) over the lights that are on, a softmax of log(w) / T: T = 1 is
    AFRD's attention, a high T the mean, a low one the light with the largest w. The map is drawn on the evidence's own
    grid, from zero to its maximum with all lights.
    """
    with torch.no_grad():
        read = run.inputs(sample, run.lights)
        seen = run.model.evidence(read.features, read.contrast, read.present)
    errors, weights = (part[0].float().cpu() for part in (seen.errors, seen.weights))
    fused, _ = fuse_evidence(errors[None], weights[None], torch.ones(1, len(errors), dtype=torch.bool))
    limit = float(fused.max())
    first = max(range(len(errors)), key=lambda light: float(weights[light].max()))
    pictures = [picture_uri(afrd.figures.painted(sample, None, light, 320)) for light in run.lights]
    logits = weights.clamp_min(1e-12).log()
    data = {
        "lights": list(run.lights),
        "first": first,
        "side": list(errors.shape[-2:]),
        "limit": limit,
        "palette": afrd.figures.colours(afrd.figures.ERROR_COLOURS),
        "pictures": pictures,
        "errors": [base64.b64encode(e.numpy().astype("<f4").tobytes()).decode() for e in errors],
        "weights": [base64.b64encode(w.numpy().astype("<f4").tobytes()).decode() for w in logits],
    }
    return HTML(
        template("light_mixer").substitute(
            id=f"mixer-{sample.name}",
            picture=pictures[first],
            map=map_picture(fused[0].numpy() / limit),
            alternative=f"sample {sample.name} under one light, its defect outlined",
            first=f"picture under light {run.lights[first]}; the outline is the defect",
            data=json.dumps(data),
        )
    )


def lamp_mixer(bad: dict[str, np.ndarray], twin: dict[str, np.ndarray], mask: np.ndarray, margin: int) -> HTML:
    """The neighbourhood of a defect under lamps that can be dimmed, and what the defect changes, without a kernel.

    Light adds, so that the picture under several lamps follows from those under one lamp each: the camera's curve is
    undone, the pictures are added, and the sum is exposed to the mean brightness of the picture under `spots`.

    Args:
        bad, twin: the same part with and without its defect under each light, (H, W, 3) bytes; one is `spots`, all
            lamps together.
        mask: where the defect is, (H, W).
        margin: pixels shown around the defect.
    """
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    window = tuple(slice(max(0, at[0] - margin), at[-1] + margin + 1) for at in (rows, columns))
    lamps = [light for light in bad if light != "spots"]
    data = {
        "lamps": lamps,
        "side": mask[window].shape,
        "mask": "".join("01"[bit] for bit in mask[window].ravel().astype(int)),
        "brightness": float(linear(twin["spots"][window]).mean()),
        "bad": [lossless_uri(bad[lamp][window]) for lamp in lamps],
        "twin": [lossless_uri(twin[lamp][window]) for lamp in lamps],
    }
    return HTML(
        template("lamp_mixer").substitute(
            id="lamp-mixer",
            picture=lossless_uri(bad["spots"][window]),
            map=lossless_uri(twin["spots"][window]),
            data=json.dumps(data),
        )
    )


def linear(images: np.ndarray) -> np.ndarray:
    """Undoes the rendering camera's curve: (..., 3) grey levels -> (...) linear brightness, mean of the channels."""
    srgb = np.asarray(images, float) / 255
    toned = np.where(srgb < 0.0404, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return (-np.log(np.maximum(1 - toned, 1e-3)) / 1.35).mean(-1)


def template(name: str) -> string.Template:
    """An HTML file beside this one, with places for texts."""
    return string.Template((Path(__file__).parent / f"{name}.html").read_text(encoding="utf-8"))


def lossless_uri(picture: np.ndarray) -> str:
    """A picture (H, W, 3) of bytes as the data URI of a WebP without loss."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "webp", lossless=True, method=6)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def map_picture(values: np.ndarray) -> str:
    """A map (h, w) in 0..1 as a data URI in the colours of anomaly maps."""
    palette = np.array([hex_to_rgb(c) for c in afrd.figures.colours(afrd.figures.ERROR_COLOURS)], np.uint8)
    return picture_uri(Image.fromarray(palette[np.clip(255 * values, 0, 255).astype(int)]))


def image(picture: Image.Image) -> go.Image:
    """A picture as a trace whose axes count its pixels."""
    return go.Image(source=picture_uri(picture), hoverinfo="skip")


def picture_uri(picture: Image.Image, quality: int = 88) -> str:
    """A picture as the data URI of a WebP."""
    file = io.BytesIO()
    picture.convert("RGB").save(file, "webp", quality=quality, method=6)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def light_grid(
    sample: Sample, title: str, seen: Prediction | None = None, columns: int = 3, side: int = 320
) -> go.Figure:
    """The pictures of all lights, three in a row, with the outline of the defect as traces named "true defect".

    Args:
        seen: a prediction whose error map of each light, in units of the threshold, is drawn over its picture.
    """
    rows = -(-len(sample.lights) // columns)
    figure = make_subplots(
        rows, columns, subplot_titles=list(sample.lights), horizontal_spacing=0.01, vertical_spacing=0.06
    )
    bare, scale = replace(sample, mask=None), side / max(sample.images.shape[-2:])
    for i, light in enumerate(sample.lights):
        drawn = replace(seen, anomaly_map=seen.light_maps[i]) if seen else None
        picture = afrd.figures.painted(bare, drawn, light, side)
        row, column = i // columns + 1, i % columns + 1
        figure.add_trace(image(picture), row, column)
        for line in afrd.figures.truth_lines(sample):
            x, y = np.asarray(line).T * scale
            pen = {"color": afrd.figures.TRUTH_COLOUR, "width": 2}
            trace = go.Scatter(x=x, y=y, mode="lines", line=pen, name="true defect", showlegend=False, hoverinfo="skip")
            figure.add_trace(trace, row, column)
    return no_axes(figure).update_layout(title=title, width=320 * columns + 20, height=345 * rows + 90)
