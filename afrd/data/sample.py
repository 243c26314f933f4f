"""`Sample`: all pictures of one object, with its label and mask if known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from afrd.data.images import PictureError, pixels_text, read_picture
from afrd.data.names import checked_lights


@dataclass(frozen=True, eq=False)  # tensors have no single answer to ==
class Sample:
    """All pictures of one object, with its label and mask if known.

    Attributes:
        name: Unique in its split: the index as padded on disk ("25"), or defect and folder ("scratch/007").
        images: (L, 3, H, W) float32 in 0..1, sRGB as stored; grey repeated to three channels.
        lights: The L light names, in the order of `images`.
        anomalous: None where the truth is not known.
        defects: Defect types; empty for a good sample and where they are not known.
        mask: (H, W) bool, all False for a good sample; None where the defective pixels are not known.
    """

    name: str
    images: Tensor
    lights: tuple[str, ...]
    anomalous: bool | None = None
    defects: tuple[str, ...] = ()
    mask: Tensor | None = None

    def select(self, lights: Sequence[str]) -> Sample:
        """The same sample with these lights only, in this order.

        Raises:
            ValueError: A light that the sample does not have, one named twice, or none at all.
        """
        selected = checked_lights(lights, self.lights, f"sample {self.name}")
        return replace(self, images=self.images[[self.lights.index(light) for light in selected]], lights=selected)


def read_sample(pictures: Mapping[str, str | Path], name: str = "sample") -> Sample:
    """Read the pictures of one object without label and mask.

    Args:
        pictures: Light name -> picture file, in the order that the lights are to have.
        name: Name of the sample.

    Returns:
        A `Sample` without label and mask.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: No picture, a file that is not a readable picture, or pictures of different sizes.
    """
    if not pictures:
        raise ValueError(f"sample {name} has no picture; pass one picture a light")
    images = [read_picture(path) for path in pictures.values()]  # each (3, H, W)
    for path, image in zip(pictures.values(), images, strict=True):
        if image.shape != images[0].shape:
            first = next(iter(pictures.values()))
            raise PictureError(
                Path(path),
                f"is {pixels_text(image.shape[-2:])} pixels, but {first} is {pixels_text(images[0].shape[-2:])}; "
                "all pictures of a sample must have one size",
            )
    return Sample(name, torch.stack(images), tuple(pictures))  # (L, 3, H, W)
