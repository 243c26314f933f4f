"""Tensors in safetensors files, written atomically; nothing is unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from afrd.files import replacing


def save_tensors(path: Path, tensors: Mapping[str, Tensor], about: dict[str, str] | None = None) -> None:
    """Raises OSError naming the file where it cannot be written, as on a full disk."""
    content = save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, about)
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)  # by `save_file` a full disk would be an error of another kind


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, and the file's text entries.

    Raises:
        ValueError: the file is missing or not a valid safetensors file.
    """
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read as safetensors ({error}); the run must be trained anew") from error
