"""What the light table's scripts compute: mixed lamps, and contours as in the figures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser
from scipy.ndimage import gaussian_filter

from afrd.page.common.scripts import joined_text
from afrd.page.light_table.style import SCRIPTS


@pytest.fixture
def scripts(browser: Browser) -> Iterator:
    """Calls functions of the light table's scripts in the browser, on an empty page."""
    imports = "import { exposure, relighter } from './lamps.js';\nimport { contour } from './maps.js';\n"

    def call(body: str, given: object) -> Any:
        return page.evaluate(f"given => {{ {joined_text(imports + body, SCRIPTS / 'test.js')} }}", given)

    page = browser.new_page()
    yield call
    page.close()


def light_of(srgb: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, on 0..255."""
    s = srgb / 255
    return np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4)


def srgb_of(light: np.ndarray) -> np.ndarray:
    v = np.clip(light, 0, 1)
    return 255 * np.where(v <= 0.0031308, 12.92 * v, 1.055 * v ** (1 / 2.4) - 0.055)


@pytest.mark.browser
def test_lamps_add_up_in_linear_light(scripts):
    random = np.random.default_rng(1)
    pictures = random.integers(0, 256, (3, 12, 10, 4), dtype=np.uint8)
    pictures[..., 3] = 255
    gains, factor = [1.0, 0.4, 0.0], 0.7
    found = scripts(
        "const pictures = given.pictures.map(data => ({width: 10, height: 12, data: Uint8ClampedArray.from(data)}));"
        "const canvas = relighter()(pictures, given.gains, given.factor);"
        "return [...canvas.getContext('2d').getImageData(0, 0, 10, 12).data];",
        {"pictures": [p.ravel().tolist() for p in pictures], "gains": gains, "factor": factor},
    )
    mixed = sum(gain * factor * light_of(p[..., :3]) for gain, p in zip(gains, pictures, strict=True))
    assert np.abs(np.reshape(found, (12, 10, 4))[..., :3] - srgb_of(mixed)).max() <= 1


@pytest.mark.browser
def test_two_lamps_with_the_same_picture_both_count(scripts):
    pixels = np.random.default_rng(3).integers(0, 256, (12, 10, 4), dtype=np.uint8)
    drawn = scripts(
        "const one = { width: 10, height: 12, data: Uint8ClampedArray.from(given) }, mix = relighter();"
        "mix([one, one], [0.5, 1], 0.4);"
        "const canvas = mix([one, one], [0.5, 0.2], 0.4);"
        "return [...canvas.getContext('2d').getImageData(0, 0, 10, 12).data];",
        pixels.ravel().tolist(),
    )
    expected = srgb_of(0.4 * 0.7 * light_of(pixels[..., :3]))
    assert np.abs(np.reshape(drawn, (12, 10, 4))[..., :3] - expected).max() <= 1


@pytest.mark.browser
def test_one_lamp_alone_is_as_photographed_and_all_together_no_brighter_than_the_brightest(scripts):
    random = np.random.default_rng(2)
    pictures = random.integers(20, 200, (3, 40, 40, 4), dtype=np.uint8)
    ask = (
        "const pictures = given.map(data => ({width: 40, height: 40, data: Uint8ClampedArray.from(data)}));"
        "return exposure(pictures);"
    )
    assert scripts(ask, [pictures[0].ravel().tolist()]) == pytest.approx(1)
    weights = np.array([0.2126, 0.7152, 0.0722])
    bright = [np.quantile(light_of(p[..., :3]) @ weights, 0.99) for p in pictures]
    together = np.quantile(sum(light_of(p[..., :3]) for p in pictures) @ weights, 0.99)
    found = scripts(ask, [p.ravel().tolist() for p in pictures])
    assert found == pytest.approx(max(bright) / together, rel=0.03)


@pytest.mark.browser
def test_the_contour_is_that_of_the_figures(scripts):
    from afrd.figures import contour_lines

    values = gaussian_filter(np.random.default_rng(3).normal(size=(60, 80)), 5)
    grey = np.round(255 * (values - values.min()) / np.ptp(values)).astype(np.uint8)
    path = scripts(
        "return contour({width: 80, height: 60, limit: 2, values: Uint8Array.from(given)}, 1.1, [600, 800]);",
        grey.ravel().tolist(),
    )
    loops = [
        np.array([[float(x) for x in point.split()] for point in loop.split("L")])
        for loop in re.findall(r"M(.*?)Z", path)
    ]
    expected = contour_lines(grey / 255 * 2, 1.1, (600, 800))
    assert len(loops) == len(expected)
    assert sorted(map(area, loops)) == pytest.approx(sorted(map(area, expected)), rel=1e-2, abs=2)


def area(line: np.ndarray) -> float:
    x, y = line.T
    return abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))) / 2
