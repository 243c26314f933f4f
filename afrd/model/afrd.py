"""The AFRD model: fusion and student over a frozen teacher's features; its loss, maps and scores.

An independent re-implementation of Zhang, Cao, Zhang and Shen (CASE 2024, https://arxiv.org/abs/2406.04573).

Reverse distillation on one light is this class with one light.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from afrd.model.config import ModelConfig
from afrd.model.evidence import Evidence, EvidenceTerms, Maps, cosine_errors, resize, smooth
from afrd.model.fusion import FeatureFusion
from afrd.model.learned_fusion import LearnedFusion
from afrd.model.maps import EvidenceModel
from afrd.model.patch_memory import PartDistances, PatchBank, PatchMemory
from afrd.model.student import NarrowStudent, RD4ADStudent
from afrd.model.weights import TORCHVISION_WEIGHTS

VARIANCE_EXPONENT = 0.5  # of the predicted variance exp(v): errors in units of their predicted deviation


class AFRD(EvidenceModel):
    """Fusion and student over cached teacher features."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        students = len(config.lights) if config.target == "lights" else 1
        if config.teacher in TORCHVISION_WEIGHTS:
            wide = config.teacher == "wide_resnet50_2"
            self.student: nn.Module = RD4ADStudent(config.channels, config.strides, students, wide)
        else:
            self.student = NarrowStudent(config.channels, config.strides, students, config.width)
        self.fusion = (
            FeatureFusion(config.channels, len(config.lights), config.fusion) if config.target == "fused" else None
        )
        self.bank = PatchBank(students, sum(config.channels), config.memory) if config.memory else None
        self.learned = (
            LearnedFusion(students).load_trained().requires_grad_(False) if config.fusion == "learned" else None
        )

    def forward(self, features: Sequence[Tensor], contrast: Tensor, present: Tensor, size: tuple[int, int]) -> Maps:
        """Anomaly maps at a picture's size: terms (student, memory) -> evidence (E, w) -> maps (attention).

        Args:
            features: the teacher's, per scale (B, L, C, h, w), finest first.
            contrast: of the pictures, (B, L, h, w) on the finest grid.
            present: (B, L) bool. Values of absent lights do not matter.
            size: (H, W) of the maps.
        """
        return self.maps(self.evidence(features, contrast, present), size)

    def evidence(self, features: Sequence[Tensor], contrast: Tensor, present: Tensor) -> Evidence:
        """Error of every light: S = sum over scales of e exp(-v / 2), smoothed; see `loss` for e and v.

        That is the error in units of its predicted deviation; the exponent lies between that of the plain error (0) and
        that of the loss (1). With a memory it is max(0, sqrt(S D) - 0.5 U): student error S, patch distance D, expected
        normal evidence U.
        `EvidenceTerms.evidence` defines the lights' weights; docs/method.md has the measurements.

        Args:
            features: per scale (B, L, C, h, w), finest first.
            contrast: of the pictures, (B, L, h, w) on the finest grid.
            present: (B, L) bool. Values of absent lights do not matter.
        """
        return self.evidence_from(self.terms(features, contrast, present), present)

    def terms(self, features: Sequence[Tensor], contrast: Tensor, present: Tensor) -> EvidenceTerms:
        """The terms of `evidence`; for the arguments see there."""
        inward, shares, _ = self._fuse(features, present)
        weighted, plain = self._errors(inward)
        share = None if shares is None else torch.stack([resize(s, inward[0].shape[-2:]) for s in shares]).mean(0)
        if self.bank is None:
            return EvidenceTerms(weighted, plain, smooth(contrast), None, None, share)
        nearest, usual = self.bank(inward)
        return EvidenceTerms(weighted, plain, smooth(contrast), smooth(nearest), smooth(usual), share, nearest)

    def _errors(self, inward: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Per scale e exp(-v / 2), and the sum over scales of e; smoothed, on the grid of the finest scale."""
        regressed, log_variance = self.student(inward)
        grid = inward[0].shape[-2:]
        plain = cosine_errors(regressed, inward)
        weighted = [e * torch.exp(-VARIANCE_EXPONENT * v) for e, v in zip(plain, log_variance, strict=True)]
        return [smooth(resize(e, grid)) for e in weighted], smooth(torch.stack([resize(e, grid) for e in plain]).sum(0))

    def _fuse(self, features: Sequence[Tensor], present: Tensor) -> tuple[list[Tensor], list[Tensor] | None, Tensor]:
        """The student's input, the lights' shares in it, and which of its L (or 1) entries are present, bool."""
        if self.fusion is None:
            mask = present[:, :, None, None, None]
            return [torch.where(mask, f, 0.0) for f in features], None, present  # keeps the memory format
        fused, shares = self.fusion(list(features), present)
        return [f[:, None] for f in fused], shares, torch.ones_like(present[:, :1])

    def loss(self, features: Sequence[Tensor], present: Tensor) -> Tensor:
        """The loss that training minimises.

        Per scale, with e = 1 - cosine of regressed and teacher features at a place and v the predicted log-variance:
        the mean over places and lights present of e exp(-v) + v (Kendall & Gal 2017, equation 8 with a cosine error).
        RD4AD's student predicts no variance; its loss is 1 - cosine of whole flattened maps (RD4AD's own code).

        Args:
            features: per scale (B, L, C, h, w).
            present: (B, L) bool.
        """
        inward, _, valid = self._fuse(features, present)
        regressed, log_variance = self.student(inward)
        # A free mixing of the channels could make its own target constant, so concat is not trained through it.
        target = [f.detach() for f in inward] if self.config.fusion == "concat" else inward
        if isinstance(self.student, RD4ADStudent):
            losses = [
                1 - F.cosine_similarity(r[valid].flatten(1), f[valid].flatten(1))
                for r, f in zip(regressed, target, strict=True)
            ]
        else:
            losses = [
                (e * torch.exp(-v) + v)[valid]
                for e, v in zip(cosine_errors(regressed, target), log_variance, strict=True)
            ]
        return torch.stack([loss.mean() for loss in losses]).sum()

    @torch.no_grad()
    def remember(self, samples: Iterable[Sequence[Tensor]], count: int, seed: int) -> PartDistances | None:
        """Fills the memory, if there is one, once the student is trained; see `PatchBank.fill`."""
        if self.bank is None:
            return None
        self.eval()
        return self.bank.fill(samples, count, seed, lambda f: torch.stack(self._errors(f)[0]).sum(0))


Model = AFRD | PatchMemory


def make_model(config: ModelConfig) -> Model:
    return PatchMemory(config) if config.method == "memory" else AFRD(config)
