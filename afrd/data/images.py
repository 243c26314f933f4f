"""One picture file: decoded, turned upright, and said plainly what is wrong with it when it cannot be."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile
from torch import Tensor

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
_ORIENTATION = 0x0112  # EXIF and TIFF tag; 5 to 8 swap height and width
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257  # tags: as stored


class PictureError(ValueError):
    """A file that cannot be used as a picture: `path`, and `reason` as the rest of the sentence."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.path, self.reason = path, reason

    def __reduce__(self) -> tuple:  # so that it survives the way back from a worker process
        return type(self), (self.path, self.reason)


def is_picture(name: str) -> bool:
    """Whether a file name is one of a picture: a known extension, not hidden."""
    return not name.startswith(".") and Path(name).suffix.lower() in EXTENSIONS


def decode(path: str | Path) -> np.ndarray:
    """Decode a picture as it is stored, upright.

    Args:
        path: A PNG, JPEG, BMP or TIFF file; palettes become colours, alpha is dropped, EXIF orientation is applied.

    Returns:
        (H, W) or (H, W, 3) array, uint8, or uint16 for 16 bit grey; of 16 bit colour, the upper 8.

    Raises:
        FileNotFoundError: There is no such file.
        PictureError: It cannot be opened, is not a picture, is damaged, has more pixels than Pillow decodes (twice
            `PIL.Image.MAX_IMAGE_PIXELS`), or holds numbers whose range is not known (floating point).
        MemoryError: There is too little memory for it.
    """
    path = Path(path)
    # from an open file: given a path, Pillow 12 maps an uncompressed TIFF into memory with height and width swapped
    # where the picture is to be turned
    with _explained(path), open(path, "rb") as file, Image.open(file) as stored:
        picture = ImageOps.exif_transpose(stored)
        if picture.mode == "F":
            raise PictureError(path, "holds floating-point numbers of unknown range; save it with 8 or 16 bits")
        if picture.mode == "I" or picture.mode.startswith("I;16"):
            return _sixteen_bit(path, np.array(picture))
        return np.array(picture if picture.mode in ("L", "RGB") else picture.convert(_plain_mode(picture.mode)))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Whatever fails inside is raised as `decode` promises, in one sentence with the file's name."""
    try:
        yield
    except PictureError:
        raise
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} does not exist") from None
    except MemoryError as error:
        raise MemoryError(f"{path} does not fit into memory; close other programs or shrink the picture") from error
    except Image.DecompressionBombError as error:
        pixels, limit = (f"{int(number):,}" for number in re.findall(r"[0-9]+", str(error))[:2])
        raise PictureError(path, f"has {pixels} pixels, more than the limit of {limit}; shrink it or cut it") from error
    except Exception as error:  # decoders fail in many ways on damaged files, all of them mean the same here
        if isinstance(error, OSError) and error.errno is not None:  # it is the system that failed, not a decoder
            raise PictureError(path, f"cannot be opened ({error.strerror}); check the file and its rights") from error
        known = not isinstance(error, Image.UnidentifiedImageError)
        detail = f" ({type(error).__name__}: {error})" if known else ""
        raise PictureError(path, f"cannot be read as a picture{detail}; copy or export it again") from error


def _plain_mode(mode: str) -> str:
    return "L" if mode in ("1", "LA") else "RGB"


def _sixteen_bit(path: Path, values: np.ndarray) -> np.ndarray:
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise PictureError(path, f"holds values from {values.min()} to {values.max()}; 16 bit means 0 to 65535")
    return values.astype(np.uint16)


def read_picture(path: str | Path) -> Tensor:
    """Read a picture as the teacher's side of the project wants it.

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


def read_mask(path: str | Path) -> Tensor:
    """Read a mask: (H, W) bool, True where any colour of the stored pixel is not zero. Raises as `decode` does."""
    values = decode(path)
    return torch.from_numpy(values.any(axis=2) if values.ndim == 3 else values != 0)


def picture_size(path: str | Path) -> tuple[int, int]:
    """(H, W) of a picture as `read_picture` gives it, from the header where that suffices; raises as `decode` does."""
    path = Path(path)
    with _explained(path), Image.open(path) as picture:
        width, height = picture.size
        if isinstance(picture, TiffImageFile):  # whose `size` is turned already, or not yet, by version of Pillow
            width, height = picture.tag_v2[_TIFF_WIDTH], picture.tag_v2[_TIFF_HEIGHT]
        # a PNG may state its orientation behind the pixels; Pillow reads on only where it must
        swapped = picture.getexif().get(_ORIENTATION, 1) >= 5
        return (width, height) if swapped else (height, width)
