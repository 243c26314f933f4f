"""Checkpoints of a training: weights, optimiser state and position, as safetensors."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from afrd.runs.tensors import load_tensors, save_tensors


def save_checkpoint(
    folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer, epoch: int, history: list[dict[str, float]]
) -> None:
    """Model, optimiser and history after `epoch` whole epochs, in one safetensors file, replaced atomically."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for i, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{i}.{name}": value for name, value in state.items()}
    save_tensors(folder / "checkpoint.safetensors", tensors, {"epoch": str(epoch), "history": json.dumps(history)})


def load_checkpoint(
    folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[int, list[dict[str, float]]]:
    """Restores the folder's checkpoint, if there is one; returns whole epochs done and their history."""
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return 0, []
    tensors, about = load_tensors(path)
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, i, name = key.split(".", 2)
            state.setdefault(int(i), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return int(about["epoch"]), json.loads(about["history"])
