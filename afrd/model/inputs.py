"""From pictures to a model's inputs: teacher features, and the contrast of the pictures.

The same function serves a split that is stored, one sample that is uploaded, and attributions with gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from afrd.model.teacher import Teacher, side_multiple


class Inputs(NamedTuple):
    """A model's inputs for B samples under L lights; `model(*inputs, size)` gives their maps.

    Attributes:
        features: the teacher's, per scale (B, L, C, h, w), finest first.
        contrast: of the pictures, (B, L, h, w) on the finest grid, see `local_contrast`.
        present: (B, L) bool. Values of absent lights do not matter.
    """

    features: list[Tensor]
    contrast: Tensor
    present: Tensor


def teacher_size(picture: tuple[int, int], size: int, strides: Sequence[int] = ()) -> tuple[int, int]:
    """The (H, W) at which a teacher reads a picture: longer side about `size`, proportions kept.

    Args:
        picture: (H, W) in pixels.
        size: wanted longer side in pixels.
        strides: of the teacher's scales; both sides are multiples of `side_multiple(strides)`.
    """
    multiple = side_multiple(strides)
    scale = size / max(picture)
    height, width = (max(multiple, round(side * scale / multiple) * multiple) for side in picture)
    return height, width


def read_pictures(teacher: Teacher, pictures: Tensor, size: int) -> tuple[list[Tensor], Tensor]:
    """Teacher features and local contrast of pictures; gradients flow back to the pictures.

    Args:
        teacher: on the device that is to compute.
        pictures: (B, 3, H, W) in 0..1.
        size: longer side of the teacher's input, in pixels.

    Returns:
        Features (B, C, h, w) per scale, finest first, and the contrast (B, h, w), on the teacher's device.
    """
    pictures = pictures.to(teacher.mean.device)
    x, height_width = pictures, teacher_size((pictures.shape[-2], pictures.shape[-1]), size, teacher.strides)
    if x.shape[-2:] != height_width:
        x = F.interpolate(x, height_width, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
    features = teacher.read(x)
    return features, local_contrast(pictures, features[0].shape[-2:])


@torch.no_grad()
def compute_inputs(teacher: Teacher, pictures: Tensor, size: int) -> tuple[list[Tensor], Tensor]:
    """`read_pictures` without gradients, in the float16 of the feature store, so that stored and new pictures agree.

    On a processor the pictures are read one at a time: what lies between the layers then fits its caches.
    """
    at_once = 1 if teacher.mean.device.type == "cpu" else len(pictures)
    read = [read_pictures(teacher, part, size) for part in pictures.split(at_once)]
    features = [torch.cat(of_scale).half() for of_scale in zip(*(features for features, _ in read), strict=True)]
    return features, torch.cat([contrast for _, contrast in read]).half()


def as_read(features: Tensor) -> Tensor:
    """(B, L, C, h, w) as float32 with the channels of a place together, as convolutions read them fastest."""
    together = features.flatten(0, 1).to(torch.float32, memory_format=torch.channels_last)
    return together.unflatten(0, features.shape[:2])


def local_contrast(pictures: Tensor, grid: tuple[int, int] | torch.Size) -> Tensor:
    """Strength of the structure in pictures around every place of a grid.

    It is the standard deviation of the grey levels in the place's cell and the eight around it, the root mean square
    over the three channels.

    Args:
        pictures: (B, 3, H, W) in 0..1.
        grid: rows and columns, those of the teacher's finest scale.

    Returns:
        (B, rows, columns) in grey levels, 0..127.5.
    """

    def around(levels: Tensor) -> Tensor:
        cells = F.adaptive_avg_pool2d(levels, (grid[0], grid[1]))
        return F.avg_pool2d(cells, 3, stride=1, padding=1, count_include_pad=False)

    levels = 255 * pictures - 127.5  # centred, so that the squares lose few digits
    return (around(levels.square()) - around(levels).square()).mean(1).clamp_min(1e-4).sqrt()
