"""Device and precision of computations."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch


def pick_device(name: str = "auto") -> torch.device:
    """`auto` is CUDA, else Apple's MPS, else the CPU; anything else is a torch device, which must exist.

    On CUDA it turns TF32 off for the process: torch lets convolutions round to 10 bits by default, and what is reported
    is computed in float32.

    Raises:
        ValueError: torch does not know the device, or this machine does not have it.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"device {name!r} cannot be used here; choose auto, cpu, cuda or mps") from error
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return device


def describe_device(device: torch.device) -> str:
    """Its name and size, and for a CPU whether torch could use a CUDA card."""
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        return f"cuda, {card.name} with {card.total_memory / 1e9:.0f} GB"
    if device.type == "cpu":
        cuda = torch.version.cuda
        built_for = f"CUDA {cuda}, but sees no card (`nvidia-smi` lists them)" if cuda else "CPUs"
        return f"cpu, {torch.get_num_threads()} threads; torch is built for {built_for}"
    return str(device)


def autocast(device: torch.device) -> AbstractContextManager:
    """bfloat16 where the device computes it natively: a CUDA card from Ampere on, or a CPU with AVX512-BF16 or AMX.

    Cards before Ampere emulate it, which is slower than float32.
    """
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        abilities = torch.cpu.get_capabilities()
        native = bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))
    return torch.autocast(device.type, torch.bfloat16, enabled=native)
