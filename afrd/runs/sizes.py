"""Pictures of another size than those of the training, and places in pictures."""

from __future__ import annotations

from afrd.data.uploads import same_proportions, size_text
from afrd.model.config import ModelConfig
from afrd.model.inputs import teacher_size
from afrd.runs.run_folder import FitConfig

Size = tuple[int, int]


def same_grid(size: Size, model: ModelConfig, fit: FitConfig) -> bool:
    """Whether the teacher reads pictures of this (H, W) at the size at which it read those of the training."""
    return _read_at(size, model, fit) == _read_at(fit.picture_size, model, fit)


def size_notes(size: Size, model: ModelConfig, fit: FitConfig) -> list[str]:
    """Sentences on pictures of this (H, W) for their owner; none if they have the size of the training."""
    if size == fit.picture_size:
        return []
    read = size_text(_read_at(size, model, fit))
    notes = [f"The run was trained on pictures of {size_text(fit.picture_size)}; it reads these at {read}."]
    if not same_proportions(size, fit.picture_size):
        notes.append("Their proportions are not those of the training, so the score is hardly comparable.")
    return notes


def check_place(place: tuple[int, int], size: Size) -> None:
    """Raises ValueError where a place (x, y) in pixels is not in a picture of this (H, W)."""
    (x, y), (height, width) = place, size
    if not (0 <= x < width and 0 <= y < height):
        raise ValueError(f"place x {x}, y {y} is not in the picture, which has {width}x{height} pixels")


def cell_of(place: tuple[int, int], size: Size, grid: Size) -> tuple[int, int]:
    """Row and column of a place (x, y) of a picture on a grid of (rows, columns); raises as `check_place`."""
    check_place(place, size)
    (x, y), (height, width) = place, size
    return y * grid[0] // height, x * grid[1] // width


def _read_at(size: Size, model: ModelConfig, fit: FitConfig) -> Size:
    return teacher_size(size, fit.size, model.strides)
