"""Configuration of a model: lights, teacher, target, fusion."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_TEACHER = "efficientnet_lite0"  # its weights come with the installation
TARGETS = ("lights", "fused")
FORMULA_FUSIONS = ("attention", "mean", "max")  # without weights of their own
EVIDENCE_FUSIONS = (*FORMULA_FUSIONS, "learned")  # of the lights' evidence
LEARNED_COST = 16  # of the learned fusion in memory and time, relative to the others
FEATURE_FUSIONS = ("attention", "mean", "max", "concat")  # of their features
METHODS = ("afrd", "memory")


@dataclass(frozen=True)
class ModelConfig:
    """Configuration of an `AFRD` or a `PatchMemory`.

    Args:
        lights: names, in the order of the L axis.
        teacher: its name, which determines the student: RD4AD's for ResNets, the narrow one for all others.
        channels, strides: the teacher's, per scale.
        target: `lights` (every light's own features are regressed, evidence is fused) or `fused` (features are fused
            before the bottleneck and the fused ones are regressed, as AFRD's abstract says).
        fusion: `attention`, `mean`, `max`; with target `fused` also `concat`, with a memory also `learned`
            (`afrd.model.learned_fusion`).
        width: channels of the narrow student.
        method: `afrd`, or `memory` for the patch memory alone (`afrd.model.patch_memory`), which has no student.
        memory: patches of good parts that `afrd` stores for each light to weight the student's errors; 0 is reverse
            distillation alone.
    """

    lights: tuple[str, ...]
    teacher: str
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    target: str = "lights"
    fusion: str = "attention"
    width: int = 64
    method: str = "afrd"
    memory: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method {self.method!r} is not known; choose one of {', '.join(METHODS)}")
        if self.method == "memory" and self.target != "lights":
            raise ValueError("the patch memory keeps every light's own features, so its target is 'lights'")
        if self.target not in TARGETS:
            raise ValueError(f"target {self.target!r} is not known; choose one of {', '.join(TARGETS)}")
        fusions = dict.fromkeys(EVIDENCE_FUSIONS + FEATURE_FUSIONS)
        if self.fusion not in fusions:
            raise ValueError(f"fusion {self.fusion!r} is not known; choose one of {', '.join(fusions)}")
        if self.memory < 0:
            raise ValueError(f"memory is {self.memory}, but must be a number of patches, or 0 for none")
        if self.memory and (self.method, self.target) != ("afrd", "lights"):
            raise ValueError(
                "memory weights the errors of every light's own student, so it needs method 'afrd', target 'lights'"
            )
        if self.fusion == "learned" and not self.memory:
            raise ValueError("fusion 'learned' reads distances to a memory, so it needs method 'afrd' and a memory")
        if self.target == "lights" and self.fusion == "concat":
            raise ValueError("fusion 'concat' joins features, so it needs target 'fused' (--target fused)")
