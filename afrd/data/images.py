"""Reading of picture and mask files: upright, with errors that name the file."""

import errno
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile
from torch import Tensor

EXTENSIONS = frozenset(
    {".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".jp2", ".pbm", ".pgm", ".ppm"}
)
# By content, whatever the name says. Pillow knows more: an EPS called .png would be run as a program, by Ghostscript.
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "JPEG2000", "PPM")
MAX_PIXELS = 100_000_000  # of a picture; six lights of this size take 7 GB
MAX_LABEL = 15  # a mask whose largest value is not above it holds class numbers, all but 0 of them defective
LOSSY_FORMATS = frozenset({"JPEG", "MPO"})  # in which a mask has no exact values: half of the full range decides
_ORIENTATION = 0x0112  # EXIF and TIFF tag; 5 to 8 swap height and width
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257  # tags: as stored
# Pillow warns at its own limit, which is below ours, and of broken tags; what matters here is raised
warnings.filterwarnings("ignore", module=r"PIL\.")


class PictureError(ValueError):
    """A file that cannot be used as a picture: `path`, and `reason` as the rest of the sentence."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.path, self.reason = path, reason

    def __reduce__(self) -> tuple:  # so that worker processes can return it
        return type(self), (self.path, self.reason)


def is_picture(name: str) -> bool:
    """Whether a file name is that of a picture: a known extension, not hidden."""
    return not name.startswith(".") and Path(name).suffix.lower() in EXTENSIONS


def decode(path: str | Path) -> np.ndarray:
    """Decode a picture as it is stored, upright.

    Args:
        path: A PNG, JPEG, BMP, TIFF, WebP, GIF, JPEG 2000 or PNM file; palettes become colours, alpha is dropped, EXIF
            orientation is applied.

    Returns:
        (H, W) or (H, W, 3) array, uint8, or uint16 for 16 bit grey; of 16 bit colour, the upper 8.

    Raises:
        FileNotFoundError: There is no such file.
        PictureError: It cannot be opened, is not a picture, is damaged, holds several pictures, has more than
            `MAX_PIXELS`, or holds numbers whose range is not known (floating point).
        MemoryError: There is too little memory for it.
    """
    with _opened(Path(path)) as picture:
        return _values(Path(path), picture)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The single picture of a file, upright; raises as `decode`."""
    # from an open file: given a path, Pillow 12 maps an uncompressed TIFF into memory with height and width swapped
    # where the picture is to be turned
    with _explained(path), open(path, "rb") as file, Image.open(file, formats=FORMATS) as stored:
        _check_pixels(path, *stored.size)
        frames = 1 if stored.format == "MPO" else getattr(stored, "n_frames", 1)  # phones: a preview behind the picture
        if frames > 1:
            raise PictureError(path, f"holds {frames} pictures (animation or pages); save the one that is meant")
        picture = ImageOps.exif_transpose(stored)
        picture.format = stored.format
        yield picture


def _values(path: Path, picture: Image.Image) -> np.ndarray:
    if picture.mode == "F":
        raise PictureError(path, "holds floating-point numbers of unknown range; save it with 8 or 16 bits")
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        return _sixteen_bit(path, np.array(picture))
    return np.array(picture if picture.mode in ("L", "RGB") else picture.convert(_plain_mode(picture.mode)))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns all errors inside the block into those of `decode`, one sentence with the file's name."""
    try:
        yield
    except PictureError:
        raise
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} does not exist") from None
    except MemoryError as error:
        raise MemoryError(f"{path} does not fit into memory; close other programs or shrink the picture") from error
    except Image.DecompressionBombError as error:  # Pillow's own limit, nearly twice ours
        match = re.search(r"\(([0-9]+) pixels\)", str(error))
        raise _too_large(path, int(match[1]) if match else 2 * MAX_PIXELS) from error
    except Exception as error:  # decoders fail in many ways on damaged files, all of them mean the same here
        if isinstance(error, OSError) and error.errno is not None:  # it is the system that failed, not a decoder
            if error.errno == errno.ELOOP:
                raise PictureError(path, "is a link that leads back to itself; mend or delete it") from error
            raise PictureError(path, f"cannot be opened ({error.strerror}); check the file and its rights") from error
        identified = not isinstance(error, Image.UnidentifiedImageError)
        detail = f" ({type(error).__name__}: {error})" if identified else ""
        raise PictureError(path, f"cannot be read as a picture{detail}; copy or export it again") from error


def _check_pixels(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise _too_large(path, width * height)


def _too_large(path: Path, pixels: int) -> PictureError:
    return PictureError(path, f"has {pixels:,} pixels, more than the limit of {MAX_PIXELS:,}; shrink it or cut it")


def _plain_mode(mode: str) -> str:
    return "L" if mode in ("1", "LA") else "RGB"


def _sixteen_bit(path: Path, values: np.ndarray) -> np.ndarray:
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise PictureError(path, f"holds values from {values.min()} to {values.max()}; 16 bit means 0 to 65535")
    return values.astype(np.uint16)


def read_picture(path: str | Path) -> Tensor:
    """Read a picture as a tensor for the teacher.

    Args:
        path: As for `decode`.

    Returns:
        (3, H, W) float32 in 0..1, sRGB as stored; grey repeated to three channels, 16 bit divided by 65535.

    Raises:
        FileNotFoundError, PictureError, MemoryError: As for `decode`.
    """
    values = decode(path)
    scale = 65535 if values.dtype == np.uint16 else 255
    pixels = torch.from_numpy(values.astype(np.float32)).div_(scale)
    if pixels.ndim == 2:
        return pixels.expand(3, -1, -1).contiguous()  # (3, H, W)
    return pixels.permute(2, 0, 1).contiguous()  # (3, H, W)


@dataclass(frozen=True)
class Mask:
    """A mask as read from its file.

    Attributes:
        defective: (H, W) bool.
        levels: Number of different values of its opaque pixels; a plain mask has one or two.
    """

    defective: np.ndarray
    levels: int


def decode_mask(path: str | Path) -> Mask:
    """Read a mask and decide by its values which pixels are defective.

    A pixel's value is the largest of its colour channels. In a file with one or two values, every value but 0, or the
    larger one, is defective (0 and 1, 0 and 255, 1 and 255). Of class numbers up to `MAX_LABEL`, all but 0 are. Of more
    values, as smoothing produces, those above half of the largest are; in a JPEG, those above half of the full range.
    Transparent pixels are not defective.

    Raises:
        As `decode` does.
    """
    path = Path(path)
    with _opened(path) as picture:
        values = _values(path, picture)
        values = values.max(axis=2) if values.ndim == 3 else values  # (H, W)
        opaque = np.array(picture.convert("RGBA").getchannel("A")) > 127 if picture.has_transparency_data else None
        lossy = picture.format in LOSSY_FORMATS
    value_counts = np.bincount(values.ravel() if opaque is None else values[opaque])
    present = np.flatnonzero(value_counts)
    if present.size == 0:
        return Mask(np.zeros(values.shape, dtype=bool), 0)
    smallest, largest = int(present[0]), int(present[-1])
    if lossy:
        limit = 127
    elif present.size <= 2:
        limit = smallest if present.size == 2 else 0
    else:
        limit = 0 if largest <= MAX_LABEL else largest // 2
    defective = values > limit if opaque is None else (values > limit) & opaque
    return Mask(defective, int(present.size))


def read_mask(path: str | Path) -> Tensor:
    """The defective pixels of a mask, (H, W) bool; see `decode_mask`."""
    return torch.from_numpy(decode_mask(path).defective)


def picture_size(path: str | Path) -> tuple[int, int]:
    """(H, W) of a picture as `read_picture` gives it, from the header where that suffices; raises as `decode` does."""
    path = Path(path)
    with _explained(path), Image.open(path, formats=FORMATS) as picture:
        width, height = picture.size
        _check_pixels(path, width, height)
        if isinstance(picture, TiffImageFile):  # whose `size` is turned already, or not yet, by version of Pillow
            width, height = picture.tag_v2[_TIFF_WIDTH], picture.tag_v2[_TIFF_HEIGHT]
        # a PNG may state its orientation behind the pixels; Pillow reads on only where it must
        swapped = picture.getexif().get(_ORIENTATION, 1) >= 5
        return (width, height) if swapped else (height, width)


def pixels_text(size: Sequence[int]) -> str:
    """A size (H, W) as text, such as `640x480`."""
    height, width = size
    return f"{width}x{height}"
