"""From a model's evidence to its anomaly maps, by any fusion and for any set of the lights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from afrd.model.evidence import Evidence, EvidenceTerms, Maps, anomaly_maps, resize, to_maps
from afrd.model.learned_fusion import LearnedFusion
from afrd.model.region import region_at, within

if TYPE_CHECKING:
    from afrd.model.config import ModelConfig

SETS_AT_ONCE, SETS_AT_ONCE_CUDA = 2, 64  # sets of lights fused at a time, few enough for a processor's cache


class EvidenceModel(nn.Module):
    """Base class of AFRD and the patch memory: a configuration, and maps from evidence.

    Attributes:
        region: (H, W) bool, on the model's device, outside of which all maps are 0; None: they are of the whole
            picture. It is no part of the weights.
    """

    region: Tensor | None = None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.learned: LearnedFusion | None = None

    def evidence_from(self, terms: EvidenceTerms, present: Tensor) -> Evidence:
        """The evidence from its terms, with all that the model's fusion reads."""
        evidence = terms.evidence(present)
        return evidence if self.learned is None else replace(evidence, terms=terms.stacked(evidence.errors))

    def maps(self, evidence: Evidence, size: tuple[int, int], fusion: str | None = None) -> Maps:
        """Fuses evidence of this model into maps at a picture's size (H, W).

        Args:
            evidence: of this model.
            size: of the maps.
            fusion: instead of the model's own; `learned` only where that is the model's own.

        Raises:
            ValueError: `learned` of a model that has no such fusion.
        """
        fusion = fusion or self.config.fusion
        if fusion != "learned":
            return within(to_maps(evidence, size, fusion), self.region)
        return within(to_maps(self._learned(evidence)(evidence), size, "attention"), self.region)

    def anomaly_maps(
        self, evidence: Evidence, members: Tensor, size: tuple[int, int], fusion: str | None = None
    ) -> Tensor:
        """Anomaly maps alone (K, H, W), of one sample under many sets of its lights, or of one sample for each set.

        Args:
            evidence: of this model, of one sample or of K.
            members: (K, L) bool, the sets, which matter if the model's target is `lights`; the map of the empty one is
                zero.
            size: (H, W) of the maps.
            fusion: see `maps`.
        """
        fusion = fusion or self.config.fusion
        if fusion != "learned":
            maps = anomaly_maps(evidence, members, size, fusion)
        else:
            maps = self._learned_maps(evidence, members, size)
        return self._inside(maps)

    def scores(self, evidence: Evidence, members: Tensor, size: tuple[int, int], fusion: str | None = None) -> Tensor:
        """The maxima (K,) of `anomaly_maps`; for the arguments see there."""
        if (fusion or self.config.fusion) == "max" and not evidence.fused:  # the largest of each light's own maximum
            peaks = self._inside(resize(evidence.errors.clamp_min(0.0), size)).amax((2, 3))  # (B, L)
            return peaks.masked_fill(~members, 0.0).amax(1)
        return self.anomaly_maps(evidence, members, size, fusion).amax((1, 2))

    def _inside(self, maps: Tensor) -> Tensor:
        """Maps (..., H, W) that are 0 outside of the region."""
        return maps if self.region is None else maps.masked_fill(~region_at(self.region, maps.shape[-2:]), 0.0)

    def _learned_maps(self, evidence: Evidence, members: Tensor, size: tuple[int, int]) -> Tensor:
        nonempty = members.any(1)
        maps = evidence.errors.new_zeros(len(members), *size)
        if nonempty.any():
            at_once = SETS_AT_ONCE_CUDA if maps.is_cuda else SETS_AT_ONCE
            if len(evidence.errors) > 1:
                evidence, at_once = evidence.rows(nonempty.nonzero()[:, 0].tolist(), members[nonempty]), len(members)
            of_sets = self._learned(evidence).of_sets(evidence, members[nonempty], at_once)
            maps[nonempty] = torch.cat([anomaly_maps(fused, fused.present, size, "attention") for fused in of_sets])
        return maps

    def _learned(self, evidence: Evidence) -> LearnedFusion:
        if self.learned is None or evidence.terms is None:
            raise ValueError("this run has no learned fusion; train one with fusion='learned' (--fusion learned)")
        return self.learned
