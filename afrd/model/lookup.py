"""Look-up of the places of a sample among remembered patches: the nearest one, and the regression around it.

Nearly all of a look-up's time goes into the products of places and patches. A place joins the features of all scales,
the coarser ones resized to the finest grid. Resizing is linear, so the products with a coarser scale are computed on
its own grid, which has a quarter of the places or fewer, and resized: with EfficientNet-Lite0 less than half the work.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from afrd.model.evidence import resize, resizing

LOOKUP_SIZE = 2**19  # distances computed at a time, so that they stay in the processor's cache
LOOKUP_SIZE_CUDA = 2**26  # on a card, which takes as long for a few: 256 MB
FEWEST_PATCHES = 128  # of such a block; fewer are slow to multiply and to resize
LEAST_LOGIT = -86.0  # below the largest one; 2 to it is the smallest weight of a patch, far below rounding
LOG2_E = math.log2(math.e)  # a processor computes powers of 2 in a quarter of the time of those of e


def look_up(features: Sequence[Tensor], patches: Tensor, usual: Tensor | None, reach: Tensor) -> tuple[Tensor, Tensor]:
    """Distance to the nearest patch of its light, and mean of `usual` around, of every place.

    The mean has weights exp(-d^2 / reach): the kernel regression of Nadaraya and Watson (1964,
    https://doi.org/10.1137/1109020).

    Args:
        features: per scale (B, L, C, h, w), finest first.
        patches: (L, P, C of all scales), of `embed`.
        usual: (L, P), or None where it is 0.
        reach: (L,), a squared distance.

    Returns:
        Both (B, L, h, w) of the finest grid; the second is 0 without `usual`.
    """
    patches = patches.float()
    samples, lights, _, height, width = features[0].shape
    size, lights_at_once = LOOKUP_SIZE, 1  # one light at a time, so that its patches stay in the cache as well
    if features[0].is_cuda:
        size, lights_at_once = LOOKUP_SIZE_CUDA, lights
    samples_at_once = max(1, size // (lights_at_once * height * width * FEWEST_PATCHES))
    by_light = []
    for light in range(0, lights, lights_at_once):
        some = slice(light, light + lights_at_once)
        slope = (2 * LOG2_E / reach[some, None, None]) * patches[some]
        offset = (-LOG2_E / reach[some, None]) * patches[some].square().sum(-1)
        of_lights = patches[some], slope, offset[:, None], None if usual is None else usual[some], reach[some]
        lookups = [
            _look_up([f[first : first + samples_at_once, some] for f in features], *of_lights, size)
            for first in range(0, samples, samples_at_once)
        ]
        by_light.append([torch.cat(of_samples) for of_samples in zip(*lookups, strict=True)])
    distance, mean = (torch.cat(of_lights, 1) for of_lights in zip(*by_light, strict=True))
    return distance, mean


def _look_up(
    features: Sequence[Tensor],
    patches: Tensor,
    slope: Tensor,
    offset: Tensor,
    usual: Tensor | None,
    reach: Tensor,
    size: int,
) -> tuple[Tensor, Tensor]:
    """`look_up` in blocks of patches, in one pass as in an online softmax (https://arxiv.org/abs/1805.02867).

    Args:
        features, patches, usual, reach: as of `look_up`.
        slope, offset: (L, P, C of all scales) and (L, 1, P), of the logits slope * place + offset
            = log2(e) (|place|^2 - d^2) / reach.
        size: how many distances to compute at a time.
    """
    samples, lights, _, height, width = features[0].shape
    finest, coarser, squares = _places(features)
    slopes = slope.split([finest.shape[-1], *(scale.means.shape[-1] for scale in coarser)], 2)
    if torch.compiler.is_exporting():  # larger blocks, or else the graph has thousands of nodes
        size *= 4
    block = max(FEWEST_PATCHES, size // squares.numel())
    largest = torch.full_like(squares, -torch.inf)
    total, weighted = torch.zeros_like(squares), torch.zeros_like(squares)
    nearest = torch.zeros_like(squares, dtype=torch.int64)  # computed only for gradients
    for first in range(0, patches.shape[1], block):
        part = slice(first, first + block)
        logits = _products(finest, slopes[0][:, part], offset[..., part])  # (L, B h w, patches)
        for scale, slope_of_scale in zip(coarser, slopes[1:], strict=True):
            products = _products(scale.means, slope_of_scale[:, part])
            products = products.unflatten(1, (samples, *scale.grid)).flatten(0, 1)
            resized = resize(products.permute(0, 3, 1, 2), (height, width)).permute(0, 2, 3, 1)
            logits.addcmul_(resized.reshape(logits.shape), scale.factor)
        if squares.requires_grad:
            of_block, index = logits.detach().max(-1)
            nearest = torch.where(of_block > largest, first + index, nearest)
        else:
            of_block = logits.amax(-1)
        before, largest = largest, torch.maximum(largest, of_block)
        if usual is not None:
            # The least weights are bounded: most are so small that a processor takes four times as long.
            weights = _power_of_two(logits.sub_(largest[..., None]).clamp_min_(LEAST_LOGIT))
            fading = _power_of_two(before - largest)
            total = total * fading + weights.sum(-1)
            weighted = weighted * fading + (weights @ usual[:, part, None])[..., 0]
    if squares.requires_grad:  # of any scale; the gradient of the square root below is huge near zero
        places = embed(features).transpose(0, 1).flatten(1, 2)
        light = torch.arange(lights, device=patches.device)[:, None]
        distance = (places - patches[light, nearest]).norm(dim=-1)
    else:
        distance = (squares - reach[:, None] / LOG2_E * largest).clamp_min(0.0).sqrt()
    mean = torch.zeros_like(distance) if usual is None else weighted / total
    shape = (lights, samples, height, width)
    return distance.view(shape).transpose(0, 1), mean.view(shape).transpose(0, 1)


class _Coarser(NamedTuple):
    """A scale whose products are resized: its means (L, B h' w', C) on its grid (h', w').

    `factor` (L, B h w, 1) makes what is resized to the finest grid of unit length.
    """

    means: Tensor
    grid: tuple[int, int]
    factor: Tensor


def _places(features: Sequence[Tensor]) -> tuple[Tensor, list[_Coarser], Tensor]:
    """Scales of the finest grid as in `embed` (L, B h w, C), the coarser ones, and squared lengths (L, B h w)."""
    samples, lights, _, height, width = features[0].shape

    def by_light(maps: Tensor) -> Tensor:  # (B L, C, h, w) -> (L, B h w, C)
        return maps.permute(0, 2, 3, 1).unflatten(0, (samples, lights)).transpose(0, 1).flatten(1, 3)

    finest, coarser, squares = [], [], []
    for means in map(_means, features):
        resized = by_light(resize(means, (height, width)))
        length = resized.norm(dim=-1, keepdim=True)
        factor = 1 / length.clamp_min(1e-12)
        squares.append((length * factor)[..., 0].square())  # 1, or 0 where the light is absent
        # an exported graph is run by others, whose resizing takes longer than the products
        if torch.compiler.is_exporting() or means.shape[-2:] == (height, width):
            finest.append(resized * factor)
        else:
            coarser.append(_Coarser(by_light(means), (means.shape[-2], means.shape[-1]), factor))
    return torch.cat(finest, -1), coarser, torch.stack(squares).sum(0)


def _products(places: Tensor, slope: Tensor, offset: Tensor | None = None) -> Tensor:
    """Of each place (L, N, C) with each patch's slope (L, P, C), plus its offset (L, 1, P): (L, N, P)."""
    if places.device.type != "cpu" or len(places) > 1 or torch.compiler.is_exporting():
        return places @ slope.mT if offset is None else torch.baddbmm(offset, places, slope.mT)
    # A 1x1 convolution, as PyTorch has oneDNN compute it: on an AMD EPYC twice as fast as MKL's matrix product, and as
    # fast on an Intel Xeon. For the dilation see `afrd.model.folding.PointwiseConv2d`.
    bias = None if offset is None else offset[0, 0]
    picture = places[:, None].permute(0, 3, 1, 2)  # (1, C, 1, N), channels last
    return F.conv2d(picture, slope[0, :, :, None, None], bias, dilation=2).permute(0, 2, 3, 1)[:, 0]


def _power_of_two(exponent: Tensor) -> Tensor:
    """2 to the exponent, in place, but not in an exported graph.

    There it is a power of e, as ONNX has only the general power, which takes several times as long.
    """
    return (exponent / LOG2_E).exp() if torch.compiler.is_exporting() else exponent.exp2_()


def _means(features: Tensor) -> Tensor:
    """Mean of the 3x3 neighbourhood of each place: (B, L, C, h, w) -> (B L, C, h, w), channels last."""
    # Copied, as the strides of a single picture are ambiguous, which PyTorch takes for channels first.
    dtype = torch.promote_types(features.dtype, torch.float32)
    maps = features.flatten(0, 1).to(dtype, memory_format=torch.channels_last, copy=True)
    return F.avg_pool2d(maps, 3, stride=1, padding=1)


def embed(features: Sequence[Tensor]) -> Tensor:
    """Each place with its 3x3 neighbourhood (mean), all scales at the finest grid: (B, L, places, C of all scales).

    Every scale is normalised to unit length, so that all contribute equally to a distance.
    """
    grid = features[0].shape[-2:]
    scales = [F.normalize(resize(_means(f), grid), dim=1) for f in features]
    return torch.cat(scales, 1).flatten(2).transpose(1, 2).unflatten(0, features[0].shape[:2])


def distance_to_few(features: Sequence[Tensor], patches: Tensor) -> Tensor:
    """Distance of every place to the nearest of a few patches, without the patch of each place that `embed` makes.

    The mean, the resizing and the products with the patches are linear, so only the products are normalised: a fifth
    of the time of `embed` alone.

    Args:
        features: per scale (B, L, C, h, w), finest first.
        patches: (L, K, C of all scales), of `embed`.

    Returns:
        (B, L, h, w), at least 1e-3, which is what float32 resolves; so its gradient is finite.
    """
    grid = features[0].shape[-2:]
    squares = patches.float().square().sum(-1)[:, :, None] + len(features)  # every scale of a place has length 1
    for f, of_scale in zip(features, patches.float().split([f.shape[2] for f in features], 2), strict=True):
        rows, columns = (_mean_and_resize(f, axis, grid[axis]) for axis in range(2))
        resized = (rows @ (f.float() @ columns.mT)).flatten(3)  # (B, L, C, h w)
        length = resized.square().sum(2, keepdim=True).sqrt().clamp_min(1e-12)
        squares = squares - 2 * (of_scale @ resized) / length  # (B, L, K, h w)
    return squares.amin(2).clamp_min(1e-6).sqrt().unflatten(2, grid)


def _mean_and_resize(features: Tensor, axis: int, size: int) -> Tensor:
    """(size, h) what `embed` does along one axis before it normalises, as a matrix."""
    pixels = features.shape[-2 + axis]
    unit = torch.eye(pixels, device=features.device)[None]
    return resizing(pixels, size, unit) @ F.avg_pool1d(unit, 3, stride=1, padding=1)[0].mT
