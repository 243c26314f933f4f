"""Pictures as people bring them: matched to lights by their names, read whatever they are, or refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from afrd.data.dataset import EYECANDIES_LIGHTS, read_sample
from afrd.data.uploads import Upload, added, match_lights, read_uploads, uploads_of

LIGHTS = ("top", "left", "top left", "box")


def save(folder: Path, name: str, pixels: np.ndarray, **options) -> Path:
    path = folder / name
    Image.fromarray(pixels).save(path, **options)
    return path


def noise(height: int = 24, width: int = 32, channels: int = 3, seed: int = 0, kind: type = np.uint8) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, np.iinfo(kind).max, shape, kind)


def uploads(**paths: Path) -> list[Upload]:
    return [Upload(path, path.name, light) for light, path in paths.items()]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["top.png", "box.jpg"], ["top", "box"]),
        (["part-07_TOP.png", "part-07_top-left.png"], ["top", "top left"]),
        (["stop.png", "inbox.png", "7_left.bmp"], [None, None, "left"]),
        (["left_box.png", "box.png"], [None, "box"]),  # names two
        (["b10.png", "b9.png", "b1.png"], ["top left", "left", "top"]),  # in the order of names, as people count
        (["1.png", "2.png", "3.png", "4.png", "5.png"], ["top", "left", "top left", "box", None]),
        (["mask.png", "top.png"], [None, "top"]),
        ([], []),
    ],
)
def test_lights_are_found_in_names_and_else_taken_in_order(names: list[str], expected: list[str | None]):
    assert match_lights(names, LIGHTS) == expected


def test_eyecandies_names_go_by_number_even_when_some_are_missing():
    assert match_lights(["25_image_5.png", "25_image_0.png"], EYECANDIES_LIGHTS) == ["box", "spots"]
    assert match_lights(["image_3.png"], EYECANDIES_LIGHTS) == ["top"]
    assert match_lights(["image_9.png"], EYECANDIES_LIGHTS) == ["spots"]  # no such light: in order


light_names = st.lists(
    st.text("abcxyz019 _-é", min_size=1, max_size=8).filter(str.strip), min_size=1, max_size=9, unique_by=str.casefold
)


@given(light_names, st.randoms(), st.sampled_from([".png", ".JPG", ".tiff"]))
def test_files_named_exactly_as_the_lights_always_find_them_in_any_order(lights: list[str], random, suffix: str):
    names = [f"{light}{suffix}" for light in lights]
    random.shuffle(names)
    assert [f"{light}{suffix}" for light in match_lights(names, lights)] == names


@given(light_names, st.lists(st.text("abcxyz019 ._-é/", min_size=1, max_size=12), max_size=12))
def test_a_match_is_a_light_of_the_run_or_none_and_never_invents_one_twice_in_order(
    lights: list[str], names: list[str]
):
    found = match_lights(names, lights)
    assert len(found) == len(names) and set(found) <= {None, *lights}
    from afrd.data.uploads import named_light

    if not any(named_light(name, lights) for name in names) and not any("image" in name for name in names):
        given_away = [light for light in found if light is not None]
        assert len(set(given_away)) == len(given_away) == min(len(names), len(lights))


def test_a_missing_picture_can_be_brought_later_and_the_next_part_takes_the_place_of_this_one():
    def brought(*names: str) -> list[Upload]:
        return [Upload(Path(f"/{name}"), name) for name in names]

    def held(found: tuple[Upload, ...]) -> dict[str | None, str]:
        return {upload.light: upload.name for upload in found}

    first = added((), brought("a_top.png", "a_left.png"), LIGHTS)
    assert held(first) == {"top": "a_top.png", "left": "a_left.png"}
    more = added(first, brought("anything.png"), LIGHTS)
    assert held(more)["top left"] == "anything.png" and len(more) == 3
    again = added(more, brought("b_top.png", "b_left.png"), LIGHTS)
    assert held(again) == {"top left": "anything.png", "top": "b_top.png", "left": "b_left.png"}
    four = added(again, brought("1.png", "2.png", "3.png", "4.png"), LIGHTS)
    assert held(four) == dict(zip(LIGHTS, ("1.png", "2.png", "3.png", "4.png"), strict=True))
    assert held(added((), brought("notes.txt", "7.png"), LIGHTS)) == {None: "notes.txt", "top": "7.png"}


def test_pictures_are_read_as_those_of_a_data_set(tmp_path: Path):
    top, box = save(tmp_path, "t.png", noise(seed=1)), save(tmp_path, "b.png", noise(channels=1, seed=2))
    sample, notes = read_uploads(uploads(box=box, top=top), LIGHTS)
    assert sample.lights == ("top", "box")  # the run's order
    assert torch.equal(sample.images, read_sample({"top": top, "box": box}).images)
    assert notes == ["No picture for: left, top left (left out)."]


def test_sixteen_bit_cmyk_palette_alpha_and_turned_pictures_are_read(tmp_path: Path):
    grey = noise(channels=1, kind=np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(noise(32, 24)).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(noise()).convert("CMYK").save(tmp_path / "cmyk.tif")
    Image.fromarray(noise()).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(noise()).convert("RGBA").save(tmp_path / "alpha.png")
    paths = [
        save(tmp_path, "deep.png", grey),
        *(tmp_path / n for n in ("turned.png", "cmyk.tif", "palette.png", "alpha.png")),
    ]
    lights = [path.stem for path in paths]
    sample, notes = read_uploads([Upload(p, p.name, p.stem) for p in paths], lights)
    assert sample.images.shape == (5, 3, 24, 32) and notes == []
    np.testing.assert_allclose(sample.images[0, 1].numpy(), grey / 65535, atol=1e-6)
    turned = np.rot90(noise(32, 24), k=-1)
    np.testing.assert_allclose(sample.images[1].permute(1, 2, 0).numpy(), turned / 255, atol=1e-6)


def test_other_sizes_of_the_same_proportions_are_brought_to_the_smallest(tmp_path: Path):
    flat = np.full((48, 64, 3), 100, np.uint8)
    sample, notes = read_uploads(
        uploads(top=save(tmp_path, "t.png", flat), box=save(tmp_path, "b.png", flat[:24, :32])), LIGHTS
    )
    assert sample.images.shape == (2, 3, 24, 32)
    assert torch.allclose(sample.images, torch.tensor(100 / 255), atol=1e-6)
    assert notes[0] == "The pictures have 2 sizes and the same proportions; they were made 32×24."


def test_a_large_picture_is_shrunk_to_its_mean_and_says_so(tmp_path: Path):
    large = noise(150, 200, channels=1)
    sample, notes = read_uploads(uploads(top=save(tmp_path, "t.png", large)), LIGHTS, side=100)
    assert sample.images.shape == (1, 3, 75, 100)
    expected = large.reshape(75, 2, 100, 2).mean((1, 3)) / 255
    np.testing.assert_allclose(sample.images[0, 0].numpy(), expected, atol=1e-5)
    assert notes[0] == "The pictures were shrunk from 200×150 to 100×75."
    sample, _ = read_uploads(uploads(top=save(tmp_path, "t.png", noise(150, 199))), LIGHTS, side=100)
    assert sample.images.shape == (1, 3, 75, 100)


def broken(folder: Path) -> Path:
    path = save(folder, "broken.png", noise(200, 200))
    path.write_bytes(path.read_bytes()[:2000])
    return path


def text(folder: Path) -> Path:
    (folder / "notes.png").write_text("no picture")
    return folder / "notes.png"


def animation(folder: Path) -> Path:
    frames = [Image.fromarray(noise(seed=i)) for i in range(3)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    return folder / "moving.gif"


def huge(folder: Path) -> Path:
    Image.new("1", (12_000, 10_000)).save(folder / "huge.png")
    return folder / "huge.png"


def bomb(folder: Path) -> Path:
    Image.new("1", (20_000, 20_000)).save(folder / "bomb.png")
    return folder / "bomb.png"


def floating(folder: Path) -> Path:
    return save(folder, "depth.tif", np.zeros((24, 32), np.float32))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (broken, "broken.png cannot be read as a picture"),
        (text, "notes.png cannot be read as a picture; copy or export it again"),
        (animation, "moving.gif holds 3 pictures (animation or pages); save the one that is meant"),
        (huge, "huge.png has 120,000,000 pixels, more than the limit of 100,000,000; shrink it or cut it"),
        (bomb, "bomb.png has 400,000,000 pixels, more than the limit of 100,000,000; shrink it or cut it"),
        (floating, "depth.tif holds floating-point numbers of unknown range"),
        (lambda folder: folder / "gone.png", "gone.png does not exist"),
    ],
)
def test_what_is_no_usable_picture_is_refused_by_its_own_name(tmp_path: Path, make, said: str):
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError) as refused:
        read_uploads(uploads(top=make(tmp_path / "in")), LIGHTS)
    assert said in str(refused.value)
    assert str(tmp_path) not in str(refused.value) and "\n" not in str(refused.value)


def test_pictures_that_do_not_fit_together_are_refused_with_both_names(tmp_path: Path):
    wide, tall = save(tmp_path, "wide.png", noise(24, 32)), save(tmp_path, "tall.png", noise(32, 24))
    with pytest.raises(ValueError, match=r"tall.png is 24×32 pixels, but wide.png is 32×24; .* the same proportions"):
        read_uploads(uploads(top=wide, box=tall), LIGHTS)
    with pytest.raises(ValueError, match=r"light 'top' has two pictures, wide.png and tall.png; leave one out"):
        read_uploads([Upload(wide, "wide.png", "top"), Upload(tall, "tall.png", "top")], LIGHTS)
    with pytest.raises(ValueError, match="no picture has a light; choose for at least one"):
        read_uploads([Upload(wide, "wide.png")], LIGHTS)
    with pytest.raises(ValueError, match=r"wide.png is of light 'dome', but the run knows top, left"):
        read_uploads(uploads(dome=wide), LIGHTS)


def pairs(pictures: list[str], lights: tuple[str, ...]) -> dict[str, str]:
    return {upload.light: str(upload.path) for upload in uploads_of(pictures, lights)}


def test_pictures_of_a_command_line_are_matched_by_name_or_by_order():
    lights = ("top", "left")
    assert pairs(["a.png", "b.png"], lights) == {"top": "a.png", "left": "b.png"}
    assert pairs(["z.png", "a.png"], lights) == {"top": "z.png", "left": "a.png"}
    assert pairs(["x/left.png", "x/top.png"], lights) == {"left": "x/left.png", "top": "x/top.png"}
    assert pairs(["left=b.png"], lights) == {"left": "b.png"}
    with pytest.raises(ValueError, match="light 'dome' is not in this run; it was trained on top, left"):
        uploads_of(["dome=b.png"], lights)
    with pytest.raises(ValueError, match="'top' is given twice"):
        uploads_of(["top=a.png", "top=b.png"], lights)
    with pytest.raises(ValueError, match="3 pictures do not fit the run's 2 lights"):
        uploads_of(["a.png", "b.png", "c.png"], lights)


def test_a_command_line_and_the_page_match_pictures_alike():
    lights = ("spots", "bottom", "right", "top", "left", "box")
    names = [f"25_image_{n}.png" for n in (5, 4, 3, 2, 1, 0)]
    assert pairs(names, lights) == dict(zip(match_lights(names, lights), names, strict=True))
    assert pairs(names, lights)["box"] == "25_image_5.png"
    assert pairs(["part_left.png", "part_top.png"], lights) == {"left": "part_left.png", "top": "part_top.png"}
    assert pairs(["25_image_5.png"], ("box",)) == {"box": "25_image_5.png"}


def test_an_equals_sign_in_a_path_or_a_light_is_no_riddle(tmp_path: Path):
    file = tmp_path / "exp=10" / "box.png"
    file.parent.mkdir()
    file.write_bytes(b"")
    assert pairs([str(file)], ("box", "top")) == {"box": str(file)}
    assert pairs([f"r=90={file}"], ("r", "r=90")) == {"r=90": str(file)}
    picture = tmp_path / "b.png"
    picture.write_bytes(b"")
    with pytest.raises(ValueError, match=r"b\.png does not say which of top, left it is; give it as LIGHT=.*b\.png"):
        uploads_of(["top=a.png", str(picture)], ("top", "left"))


def test_a_folder_stands_for_its_pictures(tmp_path: Path):
    folder, lights = tmp_path / "part 7", ("top", "left")
    folder.mkdir()
    for name in ("left.png", "top.png", "ring.png"):
        save(folder, name, noise(4, 4))
    assert pairs([str(folder)], lights) == {"left": str(folder / "left.png"), "top": str(folder / "top.png")}
    with pytest.raises(ValueError, match=rf"{tmp_path} holds no pictures; pass .*part 7 instead"):
        uploads_of([str(tmp_path)], lights)
    with pytest.raises(ValueError, match=r"no picture in .*part 7 is named after one of the lights box"):
        uploads_of([str(folder)], ("box",))


@pytest.mark.parametrize("text", ["left=", "left= "])
def test_a_light_without_a_picture_is_named(text: str):
    with pytest.raises(ValueError, match=rf"'{text}' names no picture; write LIGHT=PICTURE"):
        uploads_of([text], ["left", "top"])
