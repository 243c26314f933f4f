"""Whatever is typed or lies in a file: parsers answer, or refuse with a ValueError that is one sentence."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from afrd.cli.lights import parse_costs
from afrd.data.dataset import parse_lights
from afrd.data.images import PictureError, decode, decode_mask
from afrd.data.layouts import read_metadata
from afrd.data.uploads import match_lights, uploads_of
from afrd.runs.run_folder import read_config

NAMES = st.text(min_size=1, max_size=8).filter(lambda name: name.strip() == name)
LIGHTS = st.lists(NAMES, min_size=1, max_size=5, unique=True).map(tuple)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parsed")


def is_sentence(error: Exception) -> bool:
    return bool(str(error).strip()) and "Traceback" not in str(error)


@given(LIGHTS, st.text(max_size=30))
@example(("top", "left, right"), "left, right")
def test_lights_are_some_of_those_there_are_or_refused(lights: tuple[str, ...], text: str):
    try:
        chosen = parse_lights(text, lights)
    except ValueError as error:
        assert is_sentence(error)
    else:
        assert chosen and set(chosen) <= set(lights) and list(chosen) == sorted(chosen, key=lights.index)


@given(LIGHTS)
def test_every_light_can_be_named_alone_and_all_at_once(lights: tuple[str, ...]):
    assert parse_lights("all", lights) == lights
    assert parse_lights(list(lights), lights) == lights


@given(LIGHTS, st.data())
def test_pictures_named_after_their_lights_are_matched_in_any_order(lights: tuple[str, ...], data: st.DataObject):
    plain = tuple(dict.fromkeys(light for light in lights if light.isascii() and light.isalnum() and light.islower()))
    order = data.draw(st.permutations(plain))
    names = [f"{light}.png" for light in order]
    assert match_lights(names, plain) == list(order)
    if names:
        assert [upload.light for upload in uploads_of(names, plain)] == list(order)
        swapped = uploads_of([f"{light}={name}" for light, name in zip(plain, names, strict=True)], plain)
        assert [upload.light for upload in swapped] == list(plain)  # what is said wins over what the name tells


@given(LIGHTS, st.lists(st.text(max_size=12).filter(lambda text: "\0" not in text), min_size=1, max_size=6))
def test_any_arguments_give_each_light_one_picture_or_are_refused(lights: tuple[str, ...], given_texts: list[str]):
    with tempfile.TemporaryDirectory() as empty, pytest.MonkeyPatch.context() as patch:
        patch.chdir(empty)
        texts = [text for text in given_texts if not text.startswith(("/", "~", "."))]
        if not texts:
            return
        try:
            uploads = uploads_of(texts, lights)
        except ValueError as error:
            assert is_sentence(error)
        else:
            named = [upload.light for upload in uploads]
            assert len(set(named)) == len(named) == len(texts) and set(named) <= set(lights)


@given(st.lists(st.text(max_size=12), max_size=4))
def test_costs_are_numbers_by_light_or_refused(parts: list[str]):
    try:
        costs = parse_costs(parts)
    except ValueError as error:
        assert is_sentence(error)
    else:
        assert all(isinstance(cost, float) and cost == cost for cost in costs.values())


@given(st.binary(max_size=200))
@example(b"anomalous: 1\r\nbumps: 0\r\n")
@example(b"{anomalous: 1, ? [a, b] : 1, 2026-01-01: 0}")
@example(b"&a [*a]")
@example(b"anomalous: !!python/name:os.system ''")
@example(b"a: 999999999999:99:99")
@example(b"a: 2026-99-99")
@example(b"? {b: 1}\n: 1")
def test_metadata_is_flags_or_refused_with_its_name(folder: Path, content: bytes):
    path = folder / "1_metadata.yaml"
    path.write_bytes(content)
    try:
        flags = read_metadata(path)
    except ValueError as error:
        assert is_sentence(error) and str(path) in str(error)
    else:
        assert all(isinstance(key, str) and isinstance(value, bool) for key, value in flags.items())


@st.composite
def damaged_pictures(draw: st.DrawFn) -> tuple[str, bytes]:
    suffix = draw(st.sampled_from([".png", ".jpg", ".bmp", ".tif", ".webp", ".gif", ".ppm"]))
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"picture{suffix}"
        Image.fromarray(np.arange(8 * 9 * 3, dtype=np.uint8).reshape(8, 9, 3)).save(path)
        content = bytearray(path.read_bytes())
    for at in draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[at] = draw(st.integers(0, 255))
    return suffix, bytes(content[: draw(st.integers(0, len(content)))])


@given(damaged_pictures())
def test_a_damaged_picture_is_read_or_refused_with_its_name(folder: Path, damaged: tuple[str, bytes]):
    suffix, content = damaged
    path = folder / f"damaged{suffix}"
    path.write_bytes(content)
    for read in (decode, decode_mask):
        try:
            values = read(path)
        except PictureError as error:
            assert is_sentence(error) and str(path) in str(error)
        else:
            assert values is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(JSON, st.sampled_from(["all", "model", "fit", "model.lights", "fit.size", "fit.picture_size", "fit.seed"]))
def test_a_config_with_anything_in_it_is_read_or_refused_with_its_name(tiny_runs, folder: Path, value, place: str):
    content = json.loads((tiny_runs / "Praline" / "afrd" / "config.json").read_text())
    part, _, entry = place.partition(".")
    if place == "all":
        content = value
    elif entry:
        content[part][entry] = value
    else:
        content[part] = value
    (folder / "config.json").write_text(json.dumps(content))
    try:
        read_config(folder)
    except ValueError as error:
        assert is_sentence(error) and str(folder / "config.json") in str(error)
