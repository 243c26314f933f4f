"""Frozen pretrained backbones, by name: pictures in, features at a few scales out.

EfficientNet-Lite0 is a variant of EfficientNet (Tan & Le, ICML 2019, https://arxiv.org/abs/1905.11946). ResNet: He et
al., CVPR 2016, https://arxiv.org/abs/1512.03385; Wide ResNet: Zagoruyko & Komodakis, BMVC 2016,
https://arxiv.org/abs/1605.07146. The networks are timm's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from afrd.model.config import DEFAULT_TEACHER
from afrd.model.folding import features_of, optimized_for_inference
from afrd.model.weights import (
    TIMM_NAMES,
    TORCHVISION_WEIGHTS,
    check_timm_model,
    digest,
    load_classifier,
    timm_backbone,
)

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# EfficientNet-Lite was trained on (x - 127) / 128 of 0..255; ImageNet's mean and deviation ruin its features.
IMAGENET_LITE = ((127 / 255,) * 3, (128 / 255,) * 3)
TEACHERS = (DEFAULT_TEACHER, *TORCHVISION_WEIGHTS, "timm:NAME")

_in_use: WeakValueDictionary[tuple[str, str, torch.device], Teacher] = WeakValueDictionary()  # by name, digest, device
_loading = Lock()


class Teacher(nn.Module):
    """A frozen backbone in eval mode that normalises pictures as its weights expect.

    Attributes:
        name: as given to `load_teacher`.
        channels, strides: per scale, finest first.
        digest: the first 16 hex digits of the weights' SHA-256, which identifies the teacher in run
            folders and in the feature store.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        name: str,
        backbone: nn.Module,
        normalisation: tuple[tuple[float, ...], tuple[float, ...]],
        channels: tuple[int, ...],
        strides: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.name, self.channels, self.strides = name, channels, strides
        self.backbone = backbone.to(memory_format=torch.channels_last)  # twice as fast on a CPU
        mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in normalisation)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.digest = digest(backbone.state_dict())
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Teacher:
        """Stays in eval mode for any `mode`: a frozen teacher keeps its batch statistics."""
        return super().train(False)

    def normalise(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in 0..1 as the weights expect them."""
        return (pictures - self.mean) / self.deviation

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Features of pictures.

        Args:
            pictures: (B, 3, H, W), sRGB in 0..1; H and W multiples of the strides, see `teacher_size`.

        Returns:
            One tensor (B, C, h, w) per scale, finest first, with h = H / stride.
        """
        return self.read(pictures)

    def read(self, pictures: Tensor) -> list[Tensor]:
        """`forward` with gradients with respect to the pictures (the weights stay frozen)."""
        x = self.normalise(pictures).contiguous(memory_format=torch.channels_last)
        scales = features_of(self.backbone, x)
        # some of timm's transformers (Swin) give channels last
        return [
            f if f.shape[1] == c or f.shape[-1] != c else f.permute(0, 3, 1, 2)
            for f, c in zip(scales, self.channels, strict=True)
        ]


class KnownTeacher(NamedTuple):
    """What the feature store needs of a teacher, which is loaded only where features must be computed.

    Attributes:
        name, digest, strides: as of `Teacher`.
        load: gives that teacher, on the device that is to compute.
    """

    name: str
    digest: str
    strides: tuple[int, ...]
    load: Callable[[], Teacher]


@torch.inference_mode(False)  # a teacher outlives the caller's mode, and is shared
def load_teacher(name: str = DEFAULT_TEACHER, weights: str | Path | None = None) -> Teacher:
    """A pretrained teacher, ready to use.

    Args:
        name: `efficientnet_lite0` (weights come with the installation), `resnet18` or `wide_resnet50_2` (torchvision's
            ImageNet weights: cache or download), or `timm:NAME` for any timm backbone that gives feature maps of
            pictures of any size, transformers such as DINOv2 included.
        weights: a local state dict (`.pth`, `.safetensors`) to use instead of the weights that belong to the name.

    Raises:
        ValueError: the name is not known, or the file does not fit the backbone.
        WeightsUnavailable: the weights cannot be loaded or downloaded. Random weights are never used.
    """
    import timm  # see `afrd.model.weights`

    check_teacher(name)
    if name in TIMM_NAMES:
        scales = (1, 2, 3) if name in TORCHVISION_WEIGHTS else (2, 3)
        backbone = timm.create_model(TIMM_NAMES[name], features_only=True, out_indices=scales)
        backbone.load_state_dict(load_classifier(name, weights).state_dict(), strict=False)  # without the head
        info: Any = backbone.feature_info
        normalisation = IMAGENET if name in TORCHVISION_WEIGHTS else IMAGENET_LITE
        return _folded(Teacher(name, backbone, normalisation, tuple(info.channels()), tuple(info.reduction())))
    backbone = timm_backbone(name.removeprefix("timm:"), weights)
    config = timm.data.resolve_model_data_config(backbone)
    info = backbone.feature_info
    channels, strides = tuple(info.channels()), tuple(info.reduction())
    return _folded(_checked(Teacher(name, backbone, (config["mean"], config["std"]), channels, strides)))


@torch.inference_mode(False)
def shared_teacher(name: str, weights: str | Path | None, digest: str, device: torch.device) -> Teacher:
    """The teacher of this digest that the process uses already; else a new one, whose digest may differ.

    Args:
        name, weights: for `load_teacher`, as is what is raised.
        digest: of the weights that are meant.
        device: on which it computes.
    """
    with _loading:
        teacher = _in_use.get((name, digest, device))
        if teacher is None:
            teacher = load_teacher(name, weights).to(device)
            _in_use[name, teacher.digest, device] = teacher
    return teacher


def check_teacher(name: str) -> None:
    """Raises ValueError if `load_teacher` would not know the name; nothing is loaded."""
    if name.startswith("timm:"):
        check_timm_model(name.removeprefix("timm:"))
    elif name not in TIMM_NAMES:
        raise ValueError(f"teacher {name!r} is not known; choose one of {', '.join(TEACHERS)}")


def _checked(teacher: Teacher) -> Teacher:
    """The teacher, checked on one small picture that is not square.

    Raises:
        ValueError: it reads only pictures of the size that it was trained on, or gives no feature maps.
    """
    small = _small_picture(teacher)
    height, width = small.shape[-2:]
    why = "its features are no maps of the picture"
    try:
        maps = teacher(small)
        scales = zip(teacher.channels, teacher.strides, strict=True)
        fitting = [tuple(f.shape[1:]) for f in maps] == [(c, height // s, width // s) for c, s in scales]
    except (RuntimeError, AssertionError, ValueError, IndexError) as error:
        fitting, why = False, " ".join(str(error).split())
    if not fitting:
        raise ValueError(
            f"teacher {teacher.name!r} cannot read pictures of {width}x{height} pixels ({why}); choose another"
        )
    return teacher


def side_multiple(strides: Sequence[int]) -> int:
    """The number of which both sides of a teacher's input are multiples.

    It is 32 where all strides divide 32, else the strides' least common multiple: a transformer with patches of 14
    pixels reads multiples of 14.
    """
    multiple = math.lcm(*strides)  # 1 of no strides
    return 32 if 32 % multiple == 0 else multiple


def _folded(teacher: Teacher) -> Teacher:
    teacher.backbone = optimized_for_inference(teacher.backbone, _small_picture(teacher))
    return teacher


def _small_picture(teacher: Teacher) -> Tensor:
    """A picture, not square, of a size that the teacher should be able to read."""
    multiple = side_multiple(teacher.strides)
    return torch.linspace(0, 1, 3 * 2 * multiple * 3 * multiple).reshape(1, 3, 2 * multiple, 3 * multiple)
