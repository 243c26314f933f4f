"""Student: a bottleneck and reverse decoder that learn to reproduce the teacher's features of good parts.

A student reads the teacher's features of every light, (B, L, C, h, w) per scale, and regresses them. All lights share
one trunk; each light has a scale and shift of its own in the trunk and a last layer of its own. Lights do not influence
each other: the output of a light is the same in any subset.

Reverse distillation: Deng & Li, CVPR 2022, https://arxiv.org/abs/2201.10703. Predicted log-variance: Kendall & Gal,
NeurIPS 2017, https://arxiv.org/abs/1703.04977.
"""

from __future__ import annotations

from functools import reduce
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LOG_VARIANCE_RANGE = (-8.0, 4.0)  # range of the predicted log-variance; errors lie between 1e-3 and 1


def by_light(features: Tensor) -> Tensor:
    """(B, L, C, h, w) as one batch (L B, C, h, w), in which the samples of a light lie together for its own layers."""
    return features.transpose(0, 1).flatten(0, 1)


def by_sample(x: Tensor, lights: int) -> Tensor:
    """(L B, C, h, w) back to (B, L, C, h, w)."""
    return x.unflatten(0, (lights, -1)).transpose(0, 1)


class NarrowStudent(nn.Module):
    """A small student for small teachers: 32 channels at the coarsest stride are all that reaches the decoder.

    It has no further down-sampling: a bottleneck at a coarser stride cannot carry the random texture of a good part, so
    the student would fail everywhere. Besides the features it predicts the log-variance of its error at every place
    (Kendall & Gal, NeurIPS 2017, section 3), its own uncertainty.
    """

    def __init__(
        self, channels: tuple[int, ...], strides: tuple[int, ...], lights: int, width: int = 64, code: int = 32
    ) -> None:
        super().__init__()
        halvings = [(strides[-1] // s).bit_length() - 1 for s in strides]
        self.encoders = nn.ModuleList(Downward(c, width, n) for c, n in zip(channels, halvings, strict=True))
        self.reading = LightNorm(width, lights)
        self.code = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, code, 1))
        self.expand = nn.Conv2d(code, width, 1)
        self.writing = nn.ModuleList(LightNorm(width, lights) for _ in channels)
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in channels)
        self.heads = nn.ModuleList(LightHead(width, c + 1, lights) for c in channels)  # features and log-variance

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Regressed features (B, L, C, h, w) and log-variance (B, L, h, w) per scale, finest first."""
        encoded = [encode(by_light(f)) for encode, f in zip(self.encoders, features, strict=True)]
        x = reduce(torch.add, encoded)  # (L B, width, h, w) at the coarsest stride
        x = self.expand(self.code(F.silu(self.reading(x))))
        regressed: list[Tensor] = []
        log_variance: list[Tensor] = []
        for scale in reversed(range(len(features))):
            if x.shape[-2:] != features[scale].shape[-2:]:
                x = F.interpolate(x, features[scale].shape[-2:], mode="nearest")
            x = self.blocks[scale](F.silu(self.writing[scale](x)))
            out = by_sample(self.heads[scale](x), features[scale].shape[1])  # (B, L, C + 1, h, w)
            mean, spread = out.split([out.shape[2] - 1, 1], 2)
            regressed.insert(0, mean)
            log_variance.insert(0, spread[:, :, 0].float().clamp(*LOG_VARIANCE_RANGE))
        return regressed, log_variance


class Downward(nn.Sequential):
    """Features of one scale brought to the width and the coarsest stride of the student."""

    def __init__(self, channels: int, width: int, halvings: int) -> None:
        if not halvings:
            super().__init__(nn.Conv2d(channels, width, 1))
            return
        steps: list[nn.Module] = []
        for step in range(halvings):
            steps += [nn.SiLU()] if step else []
            steps += [nn.Conv2d(width if step else channels, width, 3, stride=2, padding=1)]
        super().__init__(*steps)


class LightNorm(nn.Module):
    """Group normalisation with a scale and shift for each light."""

    def __init__(self, width: int, lights: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width, affine=False)
        self.scale = nn.Parameter(torch.ones(lights, width, 1, 1))
        self.shift = nn.Parameter(torch.zeros(lights, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:  # (L B, width, h, w)
        scale, shift = (p[:, None].to(x.dtype) for p in (self.scale, self.shift))  # keep the dtype of autocast
        return torch.addcmul(shift, self.norm(x).unflatten(0, (len(scale), -1)), scale).flatten(0, 1)


class ResidualBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(8, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(x + self.body(x))


class LightHead(nn.Module):
    """The last layer: one convolution for each light."""

    def __init__(self, width: int, out: int, lights: int, kernel: int = 3) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(width, out, kernel, padding=kernel // 2) for _ in range(lights))

    def forward(self, x: Tensor) -> Tensor:  # (L B, width, h, w) -> (L B, out, h, w)
        return torch.cat([conv(of_light) for conv, of_light in zip(self.convs, x.chunk(len(self.convs)), strict=True)])


class RD4ADStudent(nn.Module):
    """The student of reverse distillation (Deng & Li, CVPR 2022, section 3) for ResNet teachers.

    Multi-scale fusion brings every scale to the coarsest one, the one-class embedding (a residual stage like the
    teacher's last) halves it once more, and a decoder that mirrors the teacher's stages regresses each scale. With more
    lights than one, each light has a scale and shift of its own on the embedding and a 1x1 convolution of its own at
    the end; with one light it is the published network. It predicts no variance: its log-variance is zero.
    """

    def __init__(self, channels: tuple[int, ...], strides: tuple[int, ...], lights: int, wide: bool) -> None:
        from torchvision.models.resnet import BasicBlock, Bottleneck  # see `afrd.model.weights`

        super().__init__()
        self.wide, self.block = wide, Bottleneck if wide else BasicBlock
        depths = (3, 4, 6, 3) if wide else (2, 2, 2, 2)  # blocks of the stages, coarsest of the decoder first
        halvings = [(strides[-1] // s).bit_length() - 1 for s in strides]
        self.encoders = nn.ModuleList(
            nn.Sequential(*[_halve(c * 2**i) for i in range(n)]) for c, n in zip(channels, halvings, strict=True)
        )
        self.embedding = self._stage(channels[-1] * len(channels), channels[-1] * 2, depths[-1], upsample=False)
        widths = (channels[-1] * 2, *reversed(channels))
        self.decoder = nn.ModuleList(
            self._stage(a, b, depths[i], upsample=True) for i, (a, b) in enumerate(pairwise(widths))
        )
        self.reading = LightNorm(widths[0], lights) if lights > 1 else None
        self.heads = nn.ModuleList(LightHead(c, c, lights, kernel=1) for c in channels) if lights > 1 else None

    def _stage(self, inward: int, outward: int, depth: int, upsample: bool) -> nn.Sequential:
        planes = outward // self.block.expansion
        base = 128 if self.wide else 64
        resample: nn.Module = (
            nn.ConvTranspose2d(inward, outward, 2, stride=2, bias=False)
            if upsample
            else nn.Conv2d(inward, outward, 1, stride=2, bias=False)
        )
        shortcut = nn.Sequential(resample, nn.BatchNorm2d(outward))
        first = self.block(inward, planes, stride=2, downsample=shortcut, base_width=base)
        if upsample:  # the mirror of a ResNet block: its strided convolution becomes a deconvolution
            name = "conv2" if self.wide else "conv1"
            strided = getattr(first, name)
            setattr(first, name, nn.ConvTranspose2d(strided.in_channels, strided.out_channels, 2, stride=2, bias=False))
        return nn.Sequential(first, *[self.block(outward, planes, base_width=base) for _ in range(depth - 1)])

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Regressed features (B, L, C, h, w) and log-variance zero (B, L, h, w) per scale, finest first."""
        x = torch.cat([e(by_light(f)) for e, f in zip(self.encoders, features, strict=True)], 1)
        x = self.embedding(x)
        if self.reading is not None:
            x = self.reading(x)
        regressed: list[Tensor] = []
        for stage in self.decoder:
            x = stage(x)
            regressed.insert(0, x)
        if self.heads is not None:
            regressed = [head(r) for head, r in zip(self.heads, regressed, strict=True)]
        regressed = [by_sample(r, features[0].shape[1]) for r in regressed]
        return regressed, [torch.zeros_like(r[:, :, 0]) for r in regressed]


def _halve(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels * 2, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(channels * 2), nn.ReLU()
    )
