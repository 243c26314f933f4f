"""Figures of one sample: its pictures with anomaly maps, error maps and attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from afrd.figures.drawing import (
    MAP_SIDE,
    THRESHOLD_COLOUR,
    TILE_PIXELS,
    TRUTH_COLOUR,
    contour_lines,
    finish,
    main_light,
    picture_uri,
    score_text,
    shrink,
    truth_lines,
    truth_text,
    unit_name,
    unit_of,
)

if TYPE_CHECKING:
    from afrd.data.dataset import Sample
    from afrd.runs.prediction import Prediction


def overlay(sample: Sample, prediction: Prediction, light: str | None = None, title: str | None = None) -> go.Figure:
    """The anomaly map over the picture of one light, with the true defect's outline and the threshold's line.

    Args:
        sample: the sample.
        prediction: of a run on this sample.
        light: whose picture to show; the light box or the last light by default.
        title: above the figure; the sample's name, truth and score by default.

    Raises:
        ValueError: the sample has no such light.
    """
    figure = _grid([light or main_light(sample.lights)], sample, columns=1, tile=440)
    _add_map(figure, sample, prediction.anomaly_map / unit_of(prediction), 1, 1, unit_name(prediction))
    _add_lines(figure, sample, prediction, 1, 1)
    text = title or f"{sample.name}, {truth_text(sample)}<br>{score_text(prediction)}"
    return finish(figure, text, error_unit=unit_name(prediction))


def compare_maps(
    sample: Sample,
    prediction: Prediction,
    other: Prediction,
    names: tuple[str, str] = ("AFRD", "single-light RD"),
    light: str | None = None,
) -> go.Figure:
    """Two methods' maps of one sample side by side, each in units of its own threshold, on one colour scale."""
    base_light = light or main_light(sample.lights)
    titles = [f"{n}<br>{score_text(p)}" for n, p in zip(names, (prediction, other), strict=True)]
    figure = _grid([base_light, base_light], sample, columns=2, tile=360, titles=titles)
    for column, of_method in enumerate((prediction, other), 1):
        _add_map(figure, sample, of_method.anomaly_map / unit_of(of_method), 1, column, unit_name(of_method))
        _add_lines(figure, sample, of_method, 1, column, legend=column == 1)
    units = unit_name(prediction) if unit_name(prediction) == unit_name(other) else "in each run's own unit"
    return finish(figure, f"{sample.name}, {truth_text(sample)}", error_unit=units, top=110)


def light_strip(sample: Sample) -> go.Figure:
    """The pictures of a sample under all its lights, with the true defect's outline."""
    figure = _grid(sample.lights, sample)
    for i in range(len(sample.lights)):
        _add_lines(figure, sample, None, *_cell(i, len(sample.lights)), legend=i == 0)
    return finish(figure, f"{sample.name}, {truth_text(sample)}")


def light_error_maps(sample: Sample, prediction: Prediction) -> go.Figure:
    """The error map of every light that was used, over its own picture, on the scale of the anomaly map."""
    figure = _grid(prediction.lights, sample)
    for i, errors in enumerate(prediction.light_maps):
        cell = _cell(i, len(prediction.lights))
        _add_map(figure, sample, errors / unit_of(prediction), *cell, unit_name(prediction), side=MAP_SIDE // 2)
        _add_lines(figure, sample, None, *cell, legend=i == 0)
    text = f"{sample.name}: error under each light; {score_text(prediction)}"
    return finish(figure, text, error_unit=unit_name(prediction))


def attention_maps(sample: Sample, prediction: Prediction) -> go.Figure:
    """Attention over the lights at each place, 0..1; the titles hold its mean, and its value at the map's peak."""
    mean, peak = attention_weights(prediction)
    titles = [f"{n}<br>mean {m:.2f}, at peak {p:.2f}" for n, m, p in zip(prediction.lights, mean, peak, strict=True)]
    figure = _grid(prediction.lights, sample, titles=titles)
    for i, share in enumerate(prediction.attention):
        cell = _cell(i, len(prediction.lights))
        _add_map(figure, sample, share, *cell, "of the attention", axis="coloraxis2", opacity=0.75, side=MAP_SIDE // 2)
        _add_lines(figure, sample, None, *cell, legend=i == 0)
    return finish(figure, f"{sample.name}: attention over the lights", shares=True, top=110)


def attention_weights(prediction: Prediction) -> tuple[np.ndarray, np.ndarray]:
    """Each light's attention, mean over the picture and at the anomaly map's maximum: twice (L,)."""
    return prediction.attention.mean((1, 2)), prediction.peak_attention


def _cell(i: int, count: int, columns: int = 6) -> tuple[int, int]:
    columns = min(count, columns)
    return i // columns + 1, i % columns + 1


def _grid(
    lights: Sequence[str],
    sample: Sample,
    columns: int = 6,
    tile: int = TILE_PIXELS,
    titles: Sequence[str] | None = None,
) -> go.Figure:
    """Subplots with the pictures under these lights, one each, as ground for maps and lines."""
    images = [sample.select([light]).images[0] for light in dict.fromkeys(lights)]  # each (3, H, W)
    of_light = dict(zip(dict.fromkeys(lights), images, strict=True))
    height, width = sample.images.shape[-2:]
    columns = min(len(lights), columns)
    rows = -(-len(lights) // columns)
    titles = list(titles or lights)
    figure = make_subplots(rows, columns, subplot_titles=titles, horizontal_spacing=0.015, vertical_spacing=0.12 / rows)
    for i, light in enumerate(lights):
        row, column = _cell(i, len(lights), columns)
        uri = picture_uri(of_light[light], 2 * tile if tile > TILE_PIXELS else 256)
        figure.add_layout_image(
            source=uri, x=0, y=0, sizex=width, sizey=height, sizing="stretch", layer="below", row=row, col=column
        )
        # an empty trace gives an otherwise empty subplot its axes
        figure.add_scatter(x=[None], y=[None], showlegend=False, hoverinfo="skip", row=row, col=column)
        number = (row - 1) * columns + column
        axis = f"x{number if number > 1 else ''}"
        figure.update_xaxes(visible=False, range=[0, width], constrain="domain", row=row, col=column)
        figure.update_yaxes(visible=False, range=[height, 0], scaleanchor=axis, constrain="domain", row=row, col=column)
    figure.update_annotations(font_size=12)
    lines = 1 + max(title.count("<br>") for title in titles)
    figure.update_layout(width=tile * columns + 110, height=round(rows * tile * height / width) + 110 + 18 * lines)
    return figure


def _add_map(
    figure: go.Figure,
    sample: Sample,
    values: np.ndarray,
    row: int,
    column: int,
    unit: str,
    axis: str = "coloraxis",
    opacity: float = 1.0,
    side: int = MAP_SIDE,
) -> None:
    small = shrink(values, side)
    height, width = sample.images.shape[-2:]
    step_y, step_x = height / small.shape[0], width / small.shape[1]
    figure.add_heatmap(
        z=np.round(small, 3).astype(np.float32),
        x0=step_x / 2,
        dx=step_x,
        y0=step_y / 2,
        dy=step_y,
        coloraxis=axis,
        opacity=opacity,
        hovertemplate=f"x %{{x:.0f}}, y %{{y:.0f}}<br>%{{z:.2f}} {unit}<extra></extra>",
        row=row,
        col=column,
    )


def _add_lines(
    figure: go.Figure, sample: Sample, prediction: Prediction | None, row: int, column: int, legend: bool = True
) -> None:
    """The true defect's outline, and where the map passes the threshold."""
    height, width = sample.images.shape[-2:]
    kinds = [("true defect", truth_lines(sample), TRUTH_COLOUR, "solid")]
    if prediction is not None and prediction.threshold is not None:
        passed = contour_lines(shrink(prediction.anomaly_map) / unit_of(prediction), 1.0, (height, width))
        kinds.append(("threshold", passed, THRESHOLD_COLOUR, "dot"))
    for name, lines, colour, dash in kinds:
        if not lines:
            continue
        gap = np.full((1, 2), np.nan)
        points = np.concatenate([piece for line in lines for piece in (line, gap)]).round(1)
        for line_width, line_colour in ((4, "rgba(0, 0, 0, 0.55)"), (2, colour)):  # a dark edge, visible on any ground
            figure.add_scatter(
                x=points[:, 0],
                y=points[:, 1],
                mode="lines",
                name=name,
                legendgroup=name,
                showlegend=legend and line_width == 2,
                line={"color": line_colour, "width": line_width, "dash": dash if line_width == 2 else "solid"},
                hoverinfo="skip",
                row=row,
                col=column,
            )
