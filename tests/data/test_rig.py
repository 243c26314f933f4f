"""Where lamps stand: read from rig.yaml, or from what candies were rendered with."""

from __future__ import annotations

from pathlib import Path

import pytest

from afrd.data.rig import enough, lamps_of, towards


def test_directions_are_those_of_the_picture():
    assert towards(0, 0) == pytest.approx((1, 0, 0))
    assert towards(90, 30) == pytest.approx((0, 0.75**0.5, 0.5))
    assert towards(123, 90) == pytest.approx((0, 0, 1))
    # a camera 40 degrees above the mat looks along a lamp that stands there, at the viewer's side
    assert towards(270, 40, camera=40) == pytest.approx((0, 0, 1))
    assert towards(0, 0, camera=40) == pytest.approx((1, 0, 0))


def test_a_rig_file_of_the_category_comes_before_that_of_all(tmp_path: Path):
    category = tmp_path / "Part"
    category.mkdir()
    assert lamps_of(category) == {}
    (tmp_path / "rig.yaml").write_text("lights: {left: {azimuth: 180, elevation: 0}}")
    assert lamps_of(category)["left"].direction == pytest.approx((-1, 0, 0))
    (category / "rig.yaml").write_text("camera: 40\nlights: {a: {azimuth: 270, elevation: 40, intensity: 0.5}}")
    found = lamps_of(category)
    assert list(found) == ["a"] and found["a"].intensity == 0.5
    assert found["a"].direction == pytest.approx((0, 0, 1))


def test_rendered_candies_say_where_their_spots_stood(candies: Path):
    lamps = lamps_of(candies / "Praline")
    assert {"bottom", "right", "top", "left"} < set(lamps) and not {"spots", "box"} & set(lamps)
    right, left = lamps["right"].direction, lamps["left"].direction
    assert right[0] > 0.8 and right[1:] == pytest.approx(left[1:]) and right[0] == pytest.approx(-left[0])
    assert lamps["top"].direction[1] > 0.9 and lamps["bottom"].intensity == 0.7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lights: [1", "cannot be read as YAML"),
        ("[]", "is no rig: it needs `lights:`"),
        ("lights: {a: 3}", "is no rig: it needs `lights:`"),
        ("lights: {a: {azimuth: 10}}", "the elevation of light a is None, but must be a number from 0 to 90"),
        ("lights: {a: {azimuth: 10, elevation: 120}}", "the elevation of light a is 120, but must be a number"),
        ("lights: {a: {azimut: 10}}", "light a has 'azimut'; known are azimuth, elevation and intensity"),
        ("camera: down\nlights: {}", "camera is 'down', but must be a number from 0 to 90"),
    ],
)
def test_a_wrong_rig_file_is_one_sentence_that_names_it(tmp_path: Path, text: str, said: str):
    (tmp_path / "rig.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"rig\.yaml") as error:
        lamps_of(tmp_path / "Part")
    assert said in str(error.value)


def test_three_directions_in_one_plane_tell_no_slopes():
    assert enough([towards(a, 40) for a in (0, 120, 240)])
    assert not enough([towards(0, e) for e in (10, 50, 80)])
    assert not enough([towards(a, 40) for a in (0, 120)])
