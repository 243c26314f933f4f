"""Figures say what the data say: positions, units, colours that do not stretch, and small payloads."""

import base64
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from afrd import figures
from afrd.data.dataset import Sample
from afrd.metrics.threshold import Threshold
from afrd.runs.run import Prediction

LIGHTS = ("spots", "bottom", "right", "top", "left", "box")


def make_sample(lights: tuple[str, ...] = LIGHTS, height: int = 48, width: int = 64) -> Sample:
    images = torch.rand(len(lights), 3, height, width, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[10:20, 30:50] = True
    return Sample("25", images, lights, True, ("dents",), mask)


def make_prediction(
    lights: tuple[str, ...] = LIGHTS, height: int = 48, width: int = 64, threshold: float | None = 0.5
) -> Prediction:
    generator = np.random.default_rng(0)
    light_maps = generator.random((len(lights), height, width)).astype(np.float32)
    light_maps[:, 12, 34] = 3.0
    attention = np.full(light_maps.shape, 1 / len(lights), np.float32)
    anomaly_map = (attention * light_maps).sum(0)
    limit = None if threshold is None else Threshold(threshold, 0.05, 20, 0.05)
    return Prediction(anomaly_map, light_maps, attention, float(anomaly_map.max()), lights, limit)


def decode(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))


def heatmaps(figure: go.Figure) -> list[go.Heatmap]:
    return [trace for trace in figure.data if trace.type == "heatmap"]


def test_overlay_shows_the_map_in_units_of_the_threshold_on_a_fixed_scale():
    said = make_prediction(threshold=0.5)
    figure = figures.overlay(make_sample(), said)
    (heatmap,) = heatmaps(figure)
    assert np.allclose(heatmap.z, said.anomaly_map / 0.5, atol=6e-4)
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0, 2)
    assert "1.0 threshold" in figure.layout.coloraxis.colorbar.ticktext
    assert "score 6.00 × threshold: anomalous" in figure.layout.title.text


def test_overlay_draws_the_true_defect_and_the_threshold_line_in_pixels():
    figure = figures.overlay(make_sample(), make_prediction())
    lines = {trace.name: trace for trace in figure.data if trace.showlegend and trace.type == "scatter"}
    truth = lines["true defect"]
    assert (np.nanmin(truth.x), np.nanmax(truth.x)) == (30, 50)
    assert (np.nanmin(truth.y), np.nanmax(truth.y)) == (10, 20)
    assert lines["threshold"].line.color == figures.THRESHOLD_COLOUR


def test_overlay_puts_row_zero_on_top_and_the_picture_where_the_map_is():
    figure = figures.overlay(make_sample(), make_prediction(), light="top")
    assert tuple(figure.layout.yaxis.range) == (48, 0)
    assert tuple(figure.layout.xaxis.range) == (0, 64)
    (picture,) = figure.layout.images
    assert (picture.x, picture.y, picture.sizex, picture.sizey) == (0, 0, 64, 48)
    (heatmap,) = heatmaps(figure)
    assert (heatmap.x0, heatmap.dx, heatmap.y0, heatmap.dy) == (0.5, 1, 0.5, 1)


def test_without_threshold_the_scale_is_that_of_the_error_and_says_so():
    said = make_prediction(threshold=None)
    figure = figures.overlay(make_sample(), said)
    assert np.allclose(heatmaps(figure)[0].z, said.anomaly_map, atol=6e-4)
    assert figure.layout.coloraxis.colorbar.title.text == "error (no threshold)"
    assert "1.0 threshold" not in figure.layout.coloraxis.colorbar.ticktext
    assert "no verdict" in figure.layout.title.text


def test_an_unknown_light_is_refused_by_name():
    with pytest.raises(ValueError, match="dome"):
        figures.overlay(make_sample(), make_prediction(), light="dome")


def test_a_sample_of_unknown_truth_has_no_outline_and_the_title_says_so():
    known = make_sample()
    sample = Sample("7", known.images, known.lights)
    figure = figures.overlay(sample, make_prediction())
    assert not [trace for trace in figure.data if trace.name == "true defect"]
    assert "truth not known" in figure.layout.title.text


def test_compared_maps_are_each_in_their_own_threshold_on_one_scale():
    one, other = make_prediction(threshold=0.5), make_prediction(("top",), threshold=2.0)
    figure = figures.compare_maps(make_sample(), one, other)
    left, right = heatmaps(figure)
    assert np.allclose(left.z, one.anomaly_map / 0.5, atol=6e-4)
    assert np.allclose(right.z, other.anomaly_map / 2.0, atol=6e-4)
    assert left.coloraxis == right.coloraxis == "coloraxis"
    titles = [annotation.text for annotation in figure.layout.annotations]
    assert titles[0].startswith("AFRD") and "1.50 × threshold: anomalous" in titles[1]


@pytest.mark.parametrize("count", [1, 3, 9])
def test_any_number_of_lights_gets_its_places(count: int):
    lights = tuple(f"led {i}" for i in range(count))
    sample, said = make_sample(lights), make_prediction(lights)
    for figure, maps in (
        (figures.light_strip(sample), 0),
        (figures.attention_maps(sample, said), count),
        (figures.light_error_maps(sample, said), count),
    ):
        assert len(figure.layout.images) == count
        assert len({(image.xref, image.yref) for image in figure.layout.images}) == count
        assert len(heatmaps(figure)) == maps
        places = {(heatmap.xaxis, heatmap.yaxis) for heatmap in heatmaps(figure)}
        assert places <= {(image.xref, image.yref) for image in figure.layout.images}


def test_maps_of_a_subset_lie_over_the_pictures_of_these_lights():
    sample, said = make_sample(), make_prediction(("top", "box"))
    figure = figures.light_error_maps(sample, said)
    assert [annotation.text for annotation in figure.layout.annotations] == ["top", "box"]
    expected = [figures.picture_uri(sample.images[LIGHTS.index(light)], 256) for light in ("top", "box")]
    assert [image.source for image in figure.layout.images] == expected


def test_attention_titles_name_the_mean_and_the_weight_at_the_peak():
    said = make_prediction(("top", "box"))
    said.attention[0], said.attention[1] = 0.25, 0.75
    said.attention[:, 12, 34] = (0.9, 0.1)
    said.anomaly_map[12, 34] = 10.0
    titles = [a.text for a in figures.attention_maps(make_sample(), said).layout.annotations]
    assert titles == ["top<br>mean 0.25, at peak 0.90", "box<br>mean 0.75, at peak 0.10"]


def test_training_curve_shows_every_step_and_the_mean_over_an_epoch():
    history = pd.DataFrame({"step": [1, 2, 3, 4], "epoch": [1, 1, 2, 2], "loss": [4.0, 2.0, 2.0, 0.0]})
    every, mean = figures.training_curve(history).data
    assert list(every.y) == [4, 2, 2, 0]
    assert list(mean.y) == [4, 3, 2, 1]


def test_a_grey_map_keeps_its_values_to_half_a_level():
    values = np.random.default_rng(1).random((40, 30)).astype(np.float32) * 2.5
    read = np.asarray(decode(figures.map_uri(values)), dtype=float) / 255 * figures.MAP_LIMIT
    assert read.shape == values.shape
    assert np.abs(read - np.minimum(values, figures.MAP_LIMIT)).max() <= 0.5 / 255 * figures.MAP_LIMIT + 1e-6


def test_a_picture_is_made_smaller_in_proportion():
    assert decode(figures.picture_uri(torch.rand(3, 480, 640), 256)).size == (256, 192)
    assert decode(figures.picture_uri(torch.rand(3, 48, 64), 256)).size == (64, 48)


def test_a_patch_lies_around_its_place_and_repeats_the_border():
    picture = torch.zeros(3, 40, 80)
    picture[0, :, 40:] = 1  # the right half is red
    inside = np.asarray(decode(figures.patch_uri(picture, (40, 20), 0.25, 42)))  # 21 pixels of the picture
    assert inside.shape == (42, 42, 3) and inside[:, :16, 0].max() < 40 and inside[:, 26:, 0].min() > 215
    assert np.asarray(decode(figures.patch_uri(picture, (79, 0), 0.25, 42)))[..., 0].min() > 215  # the corner


@given(arrays(np.float32, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.floats(0, 4, width=32)))
def test_a_shrunken_map_keeps_its_peak_and_invents_nothing(values: np.ndarray):
    small = figures.shrink(values, 16)
    assert max(small.shape) <= 16
    assert small.max() == values.max()
    assert small.min() >= values.min()


def test_shrinking_agrees_with_blocks_counted_by_hand():
    values = np.arange(32, dtype=np.float32).reshape(4, 8)
    assert figures.shrink(values, 4).tolist() == [[9, 11, 13, 15], [25, 27, 29, 31]]


def test_a_contour_closes_at_the_border_of_the_picture():
    values = np.zeros((4, 6))
    values[:2, :3] = 1
    (line,) = figures.contour_lines(values, 0.5)
    assert line[0].tolist() == line[-1].tolist()
    assert (line.min(0).tolist(), line.max(0).tolist()) == ([0, 0], [3, 2])
    (scaled,) = figures.contour_lines(values, 0.5, size=(8, 12))
    assert scaled.max(0).tolist() == [6, 4]


def test_a_calm_map_covers_nothing_and_an_anomaly_all():
    assert figures.coverage(0.0) == 0
    assert figures.coverage(figures.CLEAR_BELOW) == 0
    assert figures.coverage(1.2) == 1
    assert np.all(np.diff(figures.coverage(np.linspace(0, 2, 50))) >= 0)


def test_colours_become_lighter_with_the_value():
    for scale in (figures.ERROR_COLOURS, figures.SHARE_COLOURS):
        rgb = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in figures.colours(scale)])
        assert rgb.shape == (256, 3)
        assert np.all(np.diff(rgb @ [0.2126, 0.7152, 0.0722]) > -1)


def test_payloads_of_large_pictures_stay_small():
    y, x = np.mgrid[:512, :512] / 512
    smooth = (1.5 * np.sin(7 * x) ** 2 * np.cos(5 * y) ** 2).astype(np.float32)  # neither pictures nor maps are noise
    said = make_prediction(height=512, width=512)
    said = replace(said, anomaly_map=smooth, light_maps=np.stack([smooth] * 6))
    images = torch.from_numpy(smooth).clamp(0, 1).expand(6, 3, 512, 512)
    sample = Sample("25", images, LIGHTS, True, (), torch.from_numpy(smooth > 1))
    for figure in (
        figures.overlay(sample, said),
        figures.compare_maps(sample, said, said),
        figures.light_strip(sample),
        figures.attention_maps(sample, said),
        figures.light_error_maps(sample, said),
    ):
        assert len(figure.to_json()) < 1_500_000
