"""From pictures to what the model reads: teacher features, and the contrast of the pictures."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from afrd.model.teacher import Teacher


def teacher_size(picture: tuple[int, int], size: int) -> tuple[int, int]:
    """The (H, W) at which the teacher reads a picture: longer side `size`, proportions kept, multiples of 32."""
    scale = size / max(picture)
    height, width = (max(32, round(side * scale / 32) * 32) for side in picture)
    return height, width


def compute_features(teacher: Teacher, pictures: Tensor, size: int) -> list[Tensor]:
    """Features of the pictures (L, 3, H, W) of one sample: (L, C, h, w) float16 per scale, on the teacher's device."""
    wanted = teacher_size((pictures.shape[-2], pictures.shape[-1]), size)
    x = pictures.to(teacher.mean.device)
    if x.shape[-2:] != wanted:
        x = F.interpolate(x, wanted, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
    return [f.half() for f in teacher(x)]


def local_contrast(pictures: Tensor, grid: tuple[int, int] | torch.Size) -> Tensor:
    """How strong the structure of the pictures is around every place of a grid.

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

    levels = 255 * pictures - 127.5  # about zero, where squares lose the fewest digits
    return (around(levels.square()) - around(levels).square()).mean(1).clamp_min(1e-4).sqrt()
