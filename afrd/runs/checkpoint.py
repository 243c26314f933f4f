"""Checkpoints of a training: weights, optimiser state and position, as safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.optim import Optimizer

from afrd.runs.file_names import CHECKPOINT
from afrd.runs.tensors import load_tensors, save_tensors

FLAT = StateDictOptions(flatten_optimizer_state_dict=True)  # one tensor a name, as safetensors stores them


def save_checkpoint(
    folder: Path, model: nn.Module, optimiser: Optimizer, epoch: int, history: list[dict[str, float]]
) -> None:
    """Model, optimiser and history after `epoch` whole epochs, in one safetensors file, replaced atomically.

    Weights have the names of `model.state_dict()`, optimiser states those of torch's flat form:
    `state.<weight>.exp_avg`.
    """
    tensors = model.state_dict() | _tensors(get_optimizer_state_dict(model, optimiser, options=FLAT))
    save_tensors(folder / CHECKPOINT, tensors, {"epoch": str(epoch), "history": json.dumps(history)})


def load_checkpoint(folder: Path, model: nn.Module, optimiser: Optimizer) -> tuple[int, list[dict[str, float]]]:
    """Restores the folder's checkpoint, if there is one; returns whole epochs done and their history.

    Raises:
        ValueError: the checkpoint cannot be read, or is not of this model and optimiser.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return 0, []
    tensors, about = load_tensors(path)
    # the present optimiser's options, which are no tensors and are not in the file, and names of the states
    fresh: dict[str, Any] = get_optimizer_state_dict(model, optimiser, options=FLAT)
    expected = model.state_dict() | _tensors(fresh)
    if {name: value.shape for name, value in tensors.items()} != {k: v.shape for k, v in expected.items()}:
        raise ValueError(f"{path} is not a checkpoint of this training; delete it, and the training begins anew")
    model.load_state_dict({name: tensors[name] for name in model.state_dict()})
    set_optimizer_state_dict(model, optimiser, fresh | {name: tensors[name] for name in _tensors(fresh)}, options=FLAT)
    return int(about["epoch"]), json.loads(about["history"])


def checkpoint_epochs(folder: Path) -> int:
    """Whole epochs in the folder's checkpoint; 0 without one, or where it cannot be read."""
    try:
        with safe_open(folder / CHECKPOINT, "pt") as file:
            return int((file.metadata() or {})["epoch"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return 0


def _tensors(state: dict[str, Any]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}
