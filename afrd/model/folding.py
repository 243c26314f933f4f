"""A frozen backbone with fewer layers: the same features in less time."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

if TYPE_CHECKING:
    from timm.layers import Conv2dSame

TOLERANCE = 1e-3  # of the largest feature: rounding is far below it, a wrongly folded layer far above


@torch.no_grad()
def optimized_for_inference(backbone: nn.Module, pictures: Tensor) -> nn.Module:
    """A backbone without batch norms that follow a convolution, and without what its features do not depend on.

    On a CPU the batch norms take a third of the time. In eval mode they scale and shift each channel, which the weights
    and bias of the convolution can include. One forward pass finds the pairs of convolution and batch norm, so any
    network can be folded. Of timm's `BatchNormAct2d` the activation remains, and its `Conv2dSame` no longer copies the
    picture to pad it. timm's EfficientNets compute all stages, also those after the last feature.

    Args:
        backbone: in eval mode; it is not changed.
        pictures: (B, 3, H, W) for the forward pass; small ones suffice. Their sides, and those of all pictures that the
            copy is to read, must be multiples of the backbone's strides.

    Returns:
        A folded copy, or the backbone itself if the copy would give other features, as where another layer reads a
        convolution's output before its batch norm.
    """
    from timm.layers import Conv2dSame  # see `afrd.model.weights`

    folded = _without_unread_steps(backbone, pictures)
    places = _places(folded)
    for convolution, norm in _pairs(folded, pictures):
        fused = fuse_conv_bn_eval(convolution, norm)
        convolution.weight, convolution.bias = fused.weight, fused.bias
        setattr(*places[norm], nn.Sequential(*norm.children()))
    for layer in [layer for layer in folded.modules() if isinstance(layer, Conv2dSame)]:
        if layer.stride == (2, 2) and layer.dilation == (1, 1) and all(k > 1 and k % 2 for k in layer.kernel_size):
            setattr(*places[layer], explicitly_padded(layer))
    for pointwise in [m for m in folded.modules() if type(m) is nn.Conv2d and m.kernel_size == (1, 1)]:
        if pointwise.padding_mode == "zeros":
            setattr(*places[pointwise], PointwiseConv2d(pointwise))
    return folded if _same(features_of(backbone, pictures), features_of(folded, pictures)) else backbone


class PointwiseConv2d(nn.Module):
    """A 1x1 convolution of the same weights that takes half the time for one picture on one thread.

    PyTorch has oneDNN compute such a small convolution only if it is dilated, which does not change a single pixel.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.stride, self.padding, self.groups = layer.stride, layer.padding, layer.groups

    def forward(self, x: Tensor) -> Tensor:
        dilation = 2 if x.device.type == "cpu" and not torch.compiler.is_exporting() else 1
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, dilation, self.groups)


def _places(backbone: nn.Module) -> dict[nn.Module, tuple[nn.Module, str]]:
    """The parent of each layer, and the layer's name there."""
    return {child: (parent, name) for parent in backbone.modules() for name, child in parent.named_children()}


def _without_unread_steps(backbone: nn.Module, pictures: Tensor) -> nn.Module:
    """A copy without `_unread_steps`, or with all of them if another layer needs the shape of their output."""
    shorter = deepcopy(backbone)
    places = _places(shorter)
    for step in _unread_steps(shorter, pictures):
        setattr(*places[step], nn.Identity())
    try:
        shorter(pictures)
    except Exception:  # as of HRNets, which add such outputs up; layers raise various errors
        return deepcopy(backbone)
    return shorter


@torch.enable_grad()
def _unread_steps(backbone: nn.Module, pictures: Tensor) -> list[nn.Module]:
    """Steps of sequences with parameters on none of which a feature depends."""
    parameters = dict(backbone.named_parameters())
    trained = [parameter.requires_grad for parameter in parameters.values()]
    backbone.requires_grad_()
    total = torch.stack([feature.sum() for feature in features_of(backbone, pictures)]).sum()
    gradients = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
    used = {name for name, gradient in zip(parameters, gradients, strict=True) if gradient is not None}
    for parameter, flag in zip(parameters.values(), trained, strict=True):
        parameter.requires_grad_(flag)
    steps = [
        (f"{name}.{key}".lstrip("."), step)
        for name, sequence in backbone.named_modules()
        if isinstance(sequence, nn.Sequential)
        for key, step in sequence.named_children()
    ]
    return [
        step
        for path, step in steps
        if any(True for _ in step.parameters()) and not any(name.startswith(f"{path}.") for name in used)
    ]


def explicitly_padded(layer: Conv2dSame) -> nn.Conv2d:
    """A convolution of stride 2, with a kernel of 3, 5, … pixels, that gives what TensorFlow's padding "same" gives.

    The sides of the pictures must be even. "Same" pads a row and a column more at the end than at the start. No
    convolution of torch does that, so timm copies the padded picture. A kernel with a row and a column of zeros at its
    start, and the larger padding on both sides, reads the same pixels.
    """
    (height, width), groups = layer.kernel_size, layer.groups
    padding, bias = ((height - 1) // 2, (width - 1) // 2), layer.bias is not None
    wider = nn.Conv2d(layer.in_channels, layer.out_channels, (height + 1, width + 1), 2, padding, 1, groups, bias)
    wider.weight = nn.Parameter(F.pad(layer.weight, (1, 0, 1, 0)), requires_grad=layer.weight.requires_grad)
    if layer.bias is not None:
        wider.bias = layer.bias
    return wider.eval()


def _pairs(backbone: nn.Module, pictures: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions and the batch norms that read their output, each of them called once in a forward pass."""
    outputs: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # with the tensor, whose id is not given to another then
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def note_output(module: nn.Module, _: tuple, output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        outputs[id(output)] = module, output

    def note_input(module: nn.Module, inputs: tuple) -> None:
        if id(inputs[0]) in outputs:
            assert isinstance(module, nn.BatchNorm2d)
            pairs.append((outputs[id(inputs[0])][0], module))

    hooks = [m.register_forward_hook(note_output) for m in backbone.modules() if isinstance(m, nn.Conv2d)]
    hooks += [m.register_forward_pre_hook(note_input) for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    backbone(pictures)
    for hook in hooks:
        hook.remove()
    used = [module for pair in pairs for module in pair]
    return [(c, n) for c, n in pairs if used.count(c) == used.count(n) == 1 and n.track_running_stats]


def features_of(backbone: nn.Module, pictures: Tensor) -> list[Tensor]:
    """A backbone's feature maps, finest first: some backbones give a list, others a mapping."""
    features = backbone(pictures)
    return list(features.values()) if isinstance(features, Mapping) else list(features)


def _same(before: list[Tensor], after: list[Tensor]) -> bool:
    return all((a - b).abs().max() <= TOLERANCE * a.abs().max() for a, b in zip(before, after, strict=True))
