"""Options of a training with all defaults; imports no torch, so that the page can show them early."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from afrd.model.config import DEFAULT_TEACHER

MAX_SIZE = 10_000  # a square picture of it has the most pixels that are read
MAX_WIDTH = 4096


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Options of `afrd.fit`, with their defaults.

    Args:
        method: `afrd`, or `memory` for the patch memory alone.
        target, width: see `ModelConfig`.
        fusion: see `ModelConfig`; None: `learned` beside a memory, else `attention`.
        memory: patches that `afrd` stores of each light; None: 512 for several lights with target `lights`, else 0
            (the published reverse distillation: one light, fused features, or RD4AD's student).
        teacher, weights: see `load_teacher`.
        size: longer side of the teacher's input in pixels, rounded to a multiple of 32, or of a transformer's patches.
        epochs: passes over the training samples; None: as many as make 500 steps (RD4AD's student: 200 passes).
        batch: samples a step.
        seed: of initial weights and of the order of samples.

    Raises:
        ValueError: a number out of its range.
    """

    method: str = "afrd"
    target: str = "lights"
    fusion: str | None = None
    teacher: str = DEFAULT_TEACHER
    weights: str | Path | None = None
    size: int = 512
    width: int = 64
    memory: int | None = None
    epochs: int | None = None
    batch: int = 8
    seed: int = 0

    def check(self) -> None:
        """Raises as the class says; the rest is checked where the model and the teacher are known."""
        for name, value, least in (
            ("size", self.size, 32),
            ("width", self.width, 8),
            ("batch", self.batch, 1),
            ("epochs", self.epochs, 1),
        ):
            if value is not None and value < least:
                raise ValueError(f"{name} is {value}, but must be at least {least}")
        for name, value, most in (("size", self.size, MAX_SIZE), ("width", self.width, MAX_WIDTH)):
            if value > most:
                raise ValueError(f"{name} is {value}, but must be at most {most}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is {self.seed}, but must be from 0 to 2^63 - 1")
        if self.width % 8:
            raise ValueError(f"width is {self.width}, but must be a multiple of 8")
