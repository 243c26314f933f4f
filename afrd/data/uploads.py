"""Pictures of one sample from a user: matched to a run's lights, read, and resized to one size.

lights = match_lights(["part_left.png", "part_top.png"], run.lights)        # ["left", "top"]
uploads = [Upload(path, path.name, light) for path, light in zip(paths, lights)]
sample, notes = read_uploads(uploads, run.lights)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from afrd.data.images import PictureError, decode, is_picture
from afrd.data.layouts import EYECANDIES_LIGHTS
from afrd.data.records import files, natural, subfolders
from afrd.data.sample import Sample

MAX_UPLOAD_SIDE = 1024  # pixels; larger pictures are shrunk, as no teacher here reads more
PROPORTION_TOLERANCE = 0.01  # relative difference up to which proportions count as equal
_EYECANDIES = re.compile(r"(?:.*_)?image_([0-9]+)")


@dataclass(frozen=True)
class Upload:
    """One picture: its path, its name as shown to the user, and its light (None: it is ignored)."""

    path: Path
    name: str
    light: str | None = None


def uploads_of(pictures: Sequence[str], lights: Sequence[str]) -> list[Upload]:
    """Pictures given on a command line as `PICTURE`, `LIGHT=PICTURE` or a folder, each with its light.

    A folder means all of its pictures; those of no light of the run are ignored. The path of an existing file is always
    a picture. Otherwise the longest light of the run that precedes a `=` is the light. The others are matched by their
    names as in `match_lights`; if no name identifies a light, the given order counts.

    Args:
        pictures: at least one.
        lights: of the run.

    Raises:
        ValueError: a light that is not in the run or has two pictures, a picture whose light cannot be
            determined, or another number of pictures than lights where only their order identifies them.
    """
    uploads: list[Upload] = []
    for text in pictures:
        prefixes = [light for light in lights if text.startswith(f"{light}=")]
        if (folder := Path(text).expanduser()).is_dir():
            uploads += _uploads_in(folder, lights)
        elif Path(text).is_file() or "=" not in text:
            uploads.append(Upload(Path(text).expanduser(), Path(text).name))
        elif prefixes:
            light = max(prefixes, key=len)
            if not text[len(light) + 1 :].strip():
                raise ValueError(f"{text!r} names no picture; write LIGHT=PICTURE")
            path = Path(text[len(light) + 1 :]).expanduser()
            uploads.append(Upload(path, path.name, light))
        else:
            name = text.partition("=")[0]
            raise ValueError(f"light {name!r} is not in this run; it was trained on {', '.join(lights)}")
    unnamed = [i for i, upload in enumerate(uploads) if upload.light is None]
    matched = _lights_by_name([uploads[i].name for i in unnamed], lights)
    if matched is None and len(unnamed) == len(uploads) == len(lights):
        matched = list(lights)
    if matched is None and len(unnamed) == len(uploads):
        count = "1 picture does" if len(uploads) == 1 else f"{len(uploads)} pictures do"
        raise ValueError(
            f"{count} not fit the run's {len(lights)} lights ({', '.join(lights)}); "
            "give one each in this order, or LIGHT=PICTURE for those you have"
        )
    for i, matched_light in zip(unnamed, matched or [None] * len(unnamed), strict=True):
        if matched_light is None:
            path = uploads[i].path
            if not path.exists():
                raise ValueError(f"{path} does not exist")
            raise ValueError(f"{path} does not say which of {', '.join(lights)} it is; give it as LIGHT={path}")
        uploads[i] = replace(uploads[i], light=matched_light)
    owner: dict[str | None, Upload] = {}
    for upload in uploads:
        if upload.light in owner:
            raise ValueError(f"light {upload.light!r} is given twice: {owner[upload.light].path} and {upload.path}")
        owner[upload.light] = upload
    return uploads


def _uploads_in(folder: Path, lights: Sequence[str]) -> list[Upload]:
    names = sorted(filter(is_picture, files(folder)), key=natural)
    if not names:
        inner = next((path for path in subfolders(folder) if any(map(is_picture, files(path)))), None)
        raise ValueError(f"{folder} holds no pictures{f'; pass {inner} instead' if inner else ''}")
    matched = _lights_by_name(names, lights)
    if matched is None and len(names) == len(lights):
        matched = list(lights)
    if matched is None:
        raise ValueError(f"no picture in {folder} is named after one of the lights {', '.join(lights)}")
    return [Upload(folder / name, name, light) for name, light in zip(names, matched, strict=True) if light is not None]


def match_lights(names: Sequence[str], lights: Sequence[str]) -> list[str | None]:
    """Guesses the light of each file from its name; to be shown to the user and corrected.

    A file whose name is a light's, or holds one as a word (`part-07_left.png`), is of this light. Files named as in
    Eyecandies (`25_image_3.png`) go by number. If no name identifies a light, the files in the order of their names
    get the lights in the run's order.

    Args:
        names: file names.
        lights: of the run.

    Returns:
        A light or None for each name, in the same order; two files can have the same light.
    """
    matched = _lights_by_name(names, lights)
    if matched is None:
        matched = [None] * len(names)
        places = sorted(range(len(names)), key=lambda i: (natural(names[i]), i))
        for place, light in zip(places, lights, strict=False):
            matched[place] = light
    return matched


def _lights_by_name(names: Sequence[str], lights: Sequence[str]) -> list[str | None] | None:
    """The light that each name identifies, or None; None instead of the list if no name identifies any."""
    matched = [named_light(name, lights) for name in names]
    numbers = [_EYECANDIES.fullmatch(Path(name).stem) for name in names]
    if not any(matched) and all(numbers):
        by_number = EYECANDIES_LIGHTS if set(lights) <= set(EYECANDIES_LIGHTS) else tuple(lights)
        numbered = [int(number[1]) for number in numbers if number is not None]
        matched = [by_number[n] if n < len(by_number) and by_number[n] in lights else None for n in numbered]
    return matched if any(matched) else None


def added(before: Sequence[Upload], new: Sequence[Upload], lights: Sequence[str]) -> tuple[Upload, ...]:
    """The old pictures and new ones with their lights; a new picture replaces the old one of its light.

    So a missing picture can be added later, and the pictures of the next part replace those of this one.

    Args:
        before: pictures with their lights.
        new: pictures whose lights are to be guessed, see `match_lights`; if the names identify none, they get the
            lights without a picture, if there are enough.
        lights: of the run.
    """
    names = [upload.name for upload in new]
    candidates = [i for i, name in enumerate(names) if is_picture(name)] or list(range(len(names)))
    used_lights = {upload.light for upload in before}
    free = [light for light in lights if light not in used_lights]
    any_named = any(named_light(name, lights) for name in names)
    candidate_lights = lights if any_named or len(candidates) > len(free) else free
    guessed = dict(zip(candidates, match_lights([names[i] for i in candidates], candidate_lights), strict=True))
    new_uploads = [replace(upload, light=guessed.get(i)) for i, upload in enumerate(new)]
    replaced = {upload.light for upload in new_uploads if upload.light is not None}
    return (*(upload for upload in before if upload.light not in replaced), *new_uploads)


def named_light(name: str, lights: Sequence[str]) -> str | None:
    """The light that a file name contains; None if it contains none or several."""
    stem = Path(name).stem
    equal = [light for light in lights if light.casefold() == stem.casefold()]
    if equal:
        return stem if stem in equal else equal[0] if len(equal) == 1 else None
    words = _words(stem)
    contained = {light: _words(light) for light in lights if _holds(words, _words(light))}
    # `top` does not count in a name that holds `top left`, if that is a light too
    longest = [
        light
        for light in contained
        if not any(_holds(o, contained[light]) and o != contained[light] for o in contained.values())
    ]
    return longest[0] if len(longest) == 1 else None


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())


def _holds(words: list[str], sequence: list[str]) -> bool:
    return bool(sequence) and any(
        words[i : i + len(sequence)] == sequence for i in range(len(words) - len(sequence) + 1)
    )


def read_uploads(
    uploads: Sequence[Upload], lights: Sequence[str], name: str = "your sample", side: int = MAX_UPLOAD_SIDE
) -> tuple[Sample, list[str]]:
    """Reads pictures as one sample, with notes on how they were changed.

    Colour, grey, palettes, CMYK, 8 and 16 bit are read, and pictures are turned upright as their EXIF says. Pictures of
    equal proportions are resized to the smallest.

    Args:
        uploads: at most one a light; those without a light are ignored.
        lights: allowed lights, in the order of the sample.
        name: of the sample.
        side: longer side in pixels to which larger pictures are shrunk.

    Returns:
        A `Sample` without label and mask, and sentences for the user, such as that pictures were resized.

    Raises:
        ValueError: No picture, an unknown light, two pictures for one light, pictures of different proportions, or a
            file that is no picture, is damaged, too large or has several frames; in one sentence, with its name.
    """
    assigned = [upload for upload in uploads if upload.light is not None]
    if not assigned:
        raise ValueError(f"no picture has a light; choose for at least one which of {', '.join(lights)} it is")
    owner: dict[str, Upload] = {}
    for upload in assigned:
        assert upload.light is not None
        if upload.light not in lights:
            raise ValueError(f"{upload.name} is of light {upload.light!r}, but the run knows {', '.join(lights)}")
        if upload.light in owner:
            names = f"{owner[upload.light].name} and {upload.name}"
            raise ValueError(
                f"light {upload.light!r} has two pictures, {names}; leave one out or give it another light"
            )
        owner[upload.light] = upload
    pictures = [(owner[light], *read_upload(owner[light], side)) for light in lights if light in owner]
    _same_proportions([(upload, size) for upload, _, size in pictures])
    notes = []
    sizes = {size for _, _, size in pictures}
    smallest = min(sizes)
    height, width = _fitted(smallest, side)
    if len(sizes) > 1:
        notes.append(f"The pictures have {len(sizes)} sizes and the same proportions; they were made {width}×{height}.")
    elif (height, width) != smallest:
        notes.append(f"The pictures were shrunk from {size_text(smallest)} to {width}×{height}.")
    missing = [light for light in lights if light not in owner]
    if missing:
        notes.append(f"No picture for: {', '.join(missing)} (left out).")
    images = torch.stack([_resized(image, (height, width)) for _, image, _ in pictures])  # (L, 3, H, W)
    return Sample(name, images, tuple(upload.light or "" for upload, _, _ in pictures)), notes


def read_upload(upload: Upload, side: int = MAX_UPLOAD_SIDE) -> tuple[Tensor, tuple[int, int]]:
    """Reads one picture, averaged over blocks of pixels if it is at least twice as large as `side`.

    Returns:
        (3, h, w) float32 in 0..1, and the (H, W) of the picture itself, upright.

    Raises:
        ValueError: it is no picture, damaged, too large, or has several frames; in one sentence, with its name.
    """
    try:
        values = decode(upload.path)  # (H, W) or (H, W, 3)
    except PictureError as error:
        raise ValueError(f"{upload.name} {error.reason}") from None
    except FileNotFoundError:
        raise ValueError(f"{upload.name} does not exist") from None
    except MemoryError as error:
        raise MemoryError(f"{upload.name} does not fit into memory; shrink it first") from error
    size = (values.shape[0], values.shape[1])
    block = max(1, max(size) // side)
    rows, columns = (max(1, length // block) for length in size)
    max_value = 65535 if values.dtype == np.uint16 else 255
    if block > 1 and min(size) >= block:
        cropped = values[: rows * block, : columns * block]
        values = cropped.reshape(rows, block, columns, block, *values.shape[2:]).mean((1, 3), dtype=np.float32)
    pixels = torch.from_numpy(values.astype(np.float32) / max_value)
    image = pixels.expand(3, -1, -1) if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    return image.contiguous(), size


def _same_proportions(sizes: Sequence[tuple[Upload, tuple[int, int]]]) -> None:
    first, size = sizes[0]
    for upload, upload_size in sizes[1:]:
        if not same_proportions(upload_size, size):
            raise ValueError(
                f"{upload.name} is {size_text(upload_size)} pixels, but {first.name} is {size_text(size)}; the "
                "pictures of a "
                "sample must have one size, or at least the same proportions"
            )


def same_proportions(size: tuple[int, int], other: tuple[int, int]) -> bool:
    a, b = size[0] * other[1], other[0] * size[1]
    return abs(a - b) <= PROPORTION_TOLERANCE * max(a, b)


def _fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(image.shape[-2:]) == size:
        return image
    return F.interpolate(image[None], size, mode="bilinear", antialias=True, align_corners=False)[0].clamp(0, 1)


def size_text(size: tuple[int, int]) -> str:
    return f"{size[1]}×{size[0]}"
