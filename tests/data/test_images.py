"""Reading single picture files of every kind that cameras and tools write."""

import os
import pickle
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from afrd.data.images import PictureError, decode, is_picture, picture_size, read_mask, read_picture

GRADIENT = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 14  # (H, W, 3)


def save(path, picture, **how):
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture.save(path, **how)
    return path


@pytest.mark.parametrize("extension", ["png", "bmp", "tif", "PNG"])
def test_colours_come_back_as_they_were_stored(tmp_path, extension):
    image = read_picture(save(tmp_path / f"a.{extension}", GRADIENT))
    assert image.dtype == torch.float32 and image.is_contiguous()
    assert torch.equal(image, torch.from_numpy(GRADIENT.transpose(2, 0, 1).astype(np.float32)) / 255)


def test_a_jpeg_comes_back_nearly_as_it_was_stored(tmp_path):
    flat = np.full((16, 16, 3), (200, 100, 50), dtype=np.uint8)
    image = read_picture(save(tmp_path / "a.jpg", flat, quality=95))
    assert image.mean(dim=(1, 2)) == pytest.approx(np.array([200, 100, 50]) / 255, abs=0.01)


def test_grey_is_repeated_to_three_channels(tmp_path):
    image = read_picture(str(save(tmp_path / "a.png", GRADIENT[:, :, 0])))
    assert image.shape == (3, 2, 3) and torch.equal(image[0], image[2]) and image[0, 1, 2] == 15 * 14 / 255


@pytest.mark.parametrize("extension", ["png", "tiff"])
def test_sixteen_bits_are_scaled_by_65535(tmp_path, extension):
    values = np.array([[0, 1, 256], [32768, 65534, 65535]], dtype=np.uint16)
    image = read_picture(save(tmp_path / f"a.{extension}", values))
    assert torch.equal(image[1], torch.from_numpy(values.astype(np.float32)) / 65535)


def test_a_32_bit_tiff_is_read_where_its_values_fit_16_bits_and_refused_where_not(tmp_path):
    fits = save(tmp_path / "fits.tif", np.array([[0, 65535]], dtype=np.int32))
    assert read_picture(fits)[0].tolist() == [[0, 1]]
    with pytest.raises(ValueError, match=r"large\.tif holds values from 0 to 65536"):
        decode(save(tmp_path / "large.tif", np.array([[0, 65536]], dtype=np.int32)))


def test_floating_point_numbers_are_refused_in_one_sentence(tmp_path):
    with pytest.raises(PictureError, match=r"a\.tif holds floating-point numbers"):
        read_picture(save(tmp_path / "a.tif", np.ones((2, 2), dtype=np.float32)))


def test_alpha_is_dropped_and_not_blended(tmp_path):
    clear = np.dstack([GRADIENT, np.zeros((2, 3), dtype=np.uint8)])
    assert (decode(save(tmp_path / "rgba.png", clear)) == GRADIENT).all()
    grey = Image.fromarray(GRADIENT[:, :, 0]).convert("LA")
    assert (decode(save(tmp_path / "la.png", grey)) == GRADIENT[:, :, 0]).all()


def test_palettes_become_colours_and_two_levels_become_black_and_white(tmp_path):
    flag = np.zeros((2, 4, 3), dtype=np.uint8)
    flag[:, 1:3] = (255, 0, 10)
    indexed = Image.fromarray(flag).convert("P", palette=Image.Palette.ADAPTIVE)
    assert (decode(save(tmp_path / "p.png", indexed)) == flag).all()
    assert decode(save(tmp_path / "1.png", np.array([[True, False]]))).tolist() == [[255, 0]]


@pytest.mark.parametrize(
    ("extension", "how"), [("png", {}), ("jpg", {}), ("tif", {}), ("tif", {"compression": "tiff_lzw"})]
)
def test_the_orientation_that_a_camera_noted_is_applied(tmp_path, extension, how):
    upright = np.zeros((16, 32), dtype=np.uint8)
    upright[:, 16:] = 255  # the right half is bright
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn clockwise by a quarter": stored lying, shown standing
    path = save(tmp_path / f"a.{extension}", upright, exif=exif, **how)
    image = read_picture(path)
    assert image.shape == (3, 32, 16) and picture_size(path) == (32, 16)
    assert image[0, :15].max() < 0.1 and image[0, 17:].min() > 0.9  # right went down


def test_a_mask_of_two_values_is_true_where_any_colour_is_not_zero(tmp_path):
    colours = np.zeros((2, 3, 4), dtype=np.uint8)
    colours[..., 3] = 255
    colours[1, 2, 2] = 1
    expected = [[False, False, False], [False, False, True]]
    assert read_mask(save(tmp_path / "rgba.png", colours)).tolist() == expected
    assert read_mask(save(tmp_path / "grey.png", colours[..., 2])).tolist() == expected
    assert read_mask(save(tmp_path / "16.png", colours[..., 2].astype(np.uint16))).tolist() == expected


def test_damaged_and_foreign_files_are_named_in_one_sentence(tmp_path):
    whole = save(tmp_path / "whole.png", np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8))
    broken = tmp_path / "broken.png"
    broken.write_bytes(whole.read_bytes()[:2000])
    text = tmp_path / "text.png"
    text.write_text("no picture")
    empty = tmp_path / "empty.jpg"
    empty.write_bytes(b"")
    for path in (broken, text, empty):
        with pytest.raises(PictureError, match=rf"{path.name} cannot be read as a picture") as caught:
            read_picture(path)
        assert "\n" not in str(caught.value)
    assert picture_size(whole) == (40, 40)
    with pytest.raises(PictureError, match=r"text\.png cannot"):
        picture_size(text)
    for read in (read_picture, picture_size):
        with pytest.raises(FileNotFoundError, match=r"gone\.png does not exist"):
            read(tmp_path / "gone.png")


def test_no_program_is_run_to_read_a_picture(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    for name in ("gs", "gswin32c", "gswin64c"):  # Ghostscript, as Pillow searches it
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    picture = tmp_path / "top.png"
    picture.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 40\n%%EndComments\nshowpage\n")
    for read in (decode, read_mask, picture_size):
        with pytest.raises(PictureError, match=r"top\.png cannot be read as a picture; copy or export it again"):
            read(picture)
    assert not (tmp_path / "ran").exists()


def test_a_picture_of_too_many_pixels_is_told_from_a_damaged_one_with_the_numbers(tmp_path):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 10_000, 8, 2, 0, 0, 0))
    path = tmp_path / "huge.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b""))  # no pixel is needed
    for read in (read_picture, read_mask, picture_size):
        with pytest.raises(PictureError) as caught:
            read(path)
        assert caught.value.reason == "has 200,000,000 pixels, more than the limit of 100,000,000; shrink it or cut it"


def test_a_picture_that_memory_does_not_hold_is_not_called_damaged(tmp_path, monkeypatch):
    def exhausted(picture):
        raise MemoryError

    path = save(tmp_path / "a.png", GRADIENT)
    monkeypatch.setattr("PIL.ImageOps.exif_transpose", exhausted)
    with pytest.raises(MemoryError, match=r"a\.png does not fit into memory; close other programs"):
        read_picture(path)


def test_a_file_that_the_system_does_not_open_is_not_called_damaged(tmp_path):
    (tmp_path / "folder.png").mkdir()
    for read in (read_picture, picture_size):
        with pytest.raises(PictureError, match=r"folder\.png cannot be opened \(.+\); check the file and its rights"):
            read(tmp_path / "folder.png")


def test_the_error_survives_the_way_back_from_a_worker_process(tmp_path):
    error = pickle.loads(pickle.dumps(PictureError(tmp_path, "is a folder")))
    assert str(error) == f"{tmp_path} is a folder" and error.reason == "is a folder"


@pytest.mark.parametrize("extension", ["webp", "gif", "jp2", "ppm"])
def test_the_other_formats_of_cameras_and_tools_are_read(tmp_path, extension):
    flat = np.full((8, 9, 3), (200, 100, 50), dtype=np.uint8)
    how = {"lossless": True} if extension == "webp" else {}
    path = save(tmp_path / f"a.{extension}", flat, **how)
    assert is_picture(path.name) and picture_size(path) == (8, 9)
    assert np.abs(decode(path).astype(int) - flat).max() <= 1


def test_a_file_of_several_pictures_is_refused_wherever_it_is_read(tmp_path):
    pages = [Image.fromarray(np.full((4, 5), value, dtype=np.uint8)) for value in (0, 255)]
    for extension in ("tif", "gif"):
        path = tmp_path / f"a.{extension}"
        pages[0].save(path, save_all=True, append_images=pages[1:])
        for read in (decode, read_mask):
            with pytest.raises(PictureError, match=r"holds 2 pictures \(animation or pages\)"):
                read(path)


def spot(low, high):
    values = np.full((32, 32), low, dtype=np.uint8)
    values[8:24, 8:24] = high
    return values


SPOT = spot(0, 1).astype(bool)


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0, 1, SPOT), (0, 255, SPOT), (1, 255, SPOT), (0, 128, SPOT), (0, 0, SPOT & False)]
)
def test_two_values_of_a_mask_are_told_apart_whatever_they_are(tmp_path, low, high, expected):
    assert (read_mask(save(tmp_path / "m.png", spot(low, high))).numpy() == expected).all()


def test_values_of_236_to_255_are_all_defective_and_so_is_every_class_number(tmp_path):
    shaded, classes = spot(0, 255), spot(0, 1)
    shaded[8:12, 8:24], classes[8:12, 8:24] = 236, 3
    assert (read_mask(save(tmp_path / "shaded.png", shaded)).numpy() == SPOT).all()
    assert (read_mask(save(tmp_path / "classes.png", classes)).numpy() == SPOT).all()


def test_a_mask_saved_as_jpeg_or_resized_keeps_its_size(tmp_path):
    jpeg = read_mask(save(tmp_path / "m.jpg", spot(0, 255), quality=60)).numpy()
    assert (jpeg == SPOT).all() and not read_mask(save(tmp_path / "0.jpg", spot(0, 3), quality=60)).any()
    larger = Image.fromarray(spot(0, 255)).resize((64, 64), Image.Resampling.BILINEAR)
    assert int(read_mask(save(tmp_path / "m.png", larger)).sum()) == pytest.approx(4 * SPOT.sum(), rel=0.03)


def test_what_is_transparent_in_a_mask_is_not_defective(tmp_path):
    white = np.full((32, 32, 4), 255, dtype=np.uint8)
    white[..., 3] = spot(0, 255)
    assert (read_mask(save(tmp_path / "rgba.png", white)).numpy() == SPOT).all()
    grey = Image.fromarray(white[..., 3]).convert("P")
    grey.save(tmp_path / "p.png", transparency=0)
    assert (read_mask(tmp_path / "p.png").numpy() == SPOT).all()
