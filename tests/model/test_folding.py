"""Batch norm folded into convolutions gives the same features, for every kind of teacher."""

import pytest
import timm
import torch
from timm.layers import Conv2dSame
from torch import nn

from afrd.model.folding import PointwiseConv2d, explicitly_padded, optimized_for_inference
from afrd.model.teacher import load_teacher


def unsettled(backbone: nn.Module) -> nn.Module:
    """A backbone in eval mode whose batch norms do something."""
    generator = torch.Generator().manual_seed(1)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.rand(module.num_features, generator=generator) - 0.5
            module.running_var = torch.rand(module.num_features, generator=generator) + 0.5
    return backbone.eval()


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize("name", ["resnet18", "wide_resnet50_2", "efficientnet_lite0", "convnext_atto"])
def test_a_folded_backbone_has_the_same_features(name: str):
    backbone = unsettled(timm.create_model(name, features_only=True, out_indices=(1, 2)))
    pictures = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    folded = optimized_for_inference(backbone, pictures[:1])
    with torch.no_grad():
        for before, after in zip(backbone(pictures), folded(pictures), strict=True):
            torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    assert norms(folded) == 0 and (norms(backbone) > 0 or name == "convnext_atto")


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("groups", [1, 4])
def test_a_convolution_that_pads_by_itself_reads_the_same_pixels(kernel: int, groups: int):
    torch.manual_seed(0)
    layer, pictures = Conv2dSame(4, 8, kernel, stride=2, groups=groups), torch.rand(2, 4, 12, 18)
    torch.testing.assert_close(explicitly_padded(layer)(pictures), layer(pictures))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_a_pointwise_convolution_is_that_of_torch(stride: int, groups: int, bias: bool):
    layer, pictures = nn.Conv2d(8, 12, 1, stride, groups=groups, bias=bias), torch.rand(1, 8, 33, 40)
    torch.testing.assert_close(PointwiseConv2d(layer)(pictures), layer(pictures))


@pytest.mark.parametrize(("name", "last"), [("efficientnet_lite0", "blocks.4."), ("resnet18", "layer3.")])
def test_nothing_is_computed_after_the_last_feature(name: str, last: str):
    backbone = timm.create_model(name, features_only=True, out_indices=(2, 3)).eval()
    pictures = torch.rand(1, 3, 64, 96)
    folded = optimized_for_inference(backbone, pictures)
    layers = [layer for layer, module in folded.named_modules() if isinstance(module, nn.Conv2d)]
    assert layers[-1].startswith(last)
    with torch.no_grad():
        for before, after in zip(backbone(pictures), folded(pictures), strict=True):
            torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


class AddsUnread(nn.Module):
    """Adds up, as HRNets do, what no feature depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 2, 2), nn.BatchNorm2d(4)
        self.coarser = nn.Sequential(nn.Conv2d(4, 6, 2, 2))
        self.coarsest = nn.Sequential(nn.Conv2d(4, 6, 4, 4), nn.Upsample(scale_factor=2))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = self.norm(self.convolution(x))
        self.coarser(x) + self.coarsest(x)
        return [x]


def test_what_no_feature_depends_on_stays_where_another_layer_needs_its_shape():
    backbone, pictures = unsettled(AddsUnread()), torch.rand(1, 3, 16, 16)
    folded = optimized_for_inference(backbone, pictures)
    assert folded is not backbone and norms(folded) == 0
    torch.testing.assert_close(folded(pictures), backbone(pictures), rtol=1e-4, atol=1e-4)


class ReadsBoth(nn.Module):
    """Reads a convolution's output before and after its batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = self.convolution(x)
        return [x, self.norm(x)]


def test_a_backbone_that_cannot_be_folded_is_left():
    backbone = unsettled(ReadsBoth())
    assert optimized_for_inference(backbone, torch.rand(1, 3, 9, 9)) is backbone and norms(backbone) == 1


def test_the_teacher_is_folded_and_keeps_its_digest():
    teacher = load_teacher()
    assert norms(teacher) == 0 and teacher.digest == "673a80a3a18d5ec4"
