"""Learned attention: a small network reads every light's evidence and predicts each light's weight at every place.

It was trained on labelled defects of *rendered* parts of many random categories (`benchmarks/fusion_weights.py`) and is
used unchanged on other parts; docs/method.md has the measurements. Terms of its loss are a focal loss (Lin et al., ICCV
2017, https://arxiv.org/abs/1708.02002) and a Dice loss (V-Net: Milletari et al., 3DV 2016,
https://arxiv.org/abs/1606.04797). The lights enter as a set: shared weights, with the mean and maximum over the lights
present as context (Zaheer et al., Deep Sets, NeurIPS 2017, https://arxiv.org/abs/1703.06114), so neither their order
nor absent lights matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load
from torch import Tensor, nn

from afrd.model.evidence import TERMS, Evidence
from afrd.model.fusion import MIN_WEIGHT

HIDDEN_CHANNELS = 32
TERM_FLOOR = 0.05  # added to terms in units of their mean on good parts, before the logarithm
_FACTORS = [TERMS.index(name) for name in ("evidence", "plain", "contrast")]  # of the weight of `Evidence`


class LearnedFusion(nn.Module):
    """Attention a_l and light maps M_l out of the terms of the evidence, on the grid; the anomaly map is sum_l a_l M_l.

    With z_l the logarithms of a light's terms in units of their means on good parts, two 3x3 convolutions give every
    light's features h_l. The layers that combine the lights are 1x1 only:

        (u_l, g_l) = A gelu(B h_l + C mean_k h_k + D max_k h_k)
        a_l = softmax over the lights present of u_l + s log w_l, with w_l of `fuse_evidence`
        M_l = (E_l / mean of E_l on good parts + TERM_FLOOR) exp(g_l)

    Before its training (A = 0, s = 1) it is the formula's attention over evidence in units of what is normal.

    Args:
        lights: how many the model has.
    """

    normal: Tensor  # (L, T) means of the terms on good parts

    def __init__(self, lights: int, hidden: int = HIDDEN_CHANNELS) -> None:
        super().__init__()
        self.local = nn.Sequential(
            nn.Conv2d(len(TERMS), hidden, 3, padding=1, padding_mode="replicate"),
            nn.GELU(),
            nn.Conv2d(hidden, hidden, 3, padding=1, padding_mode="replicate"),
            nn.GELU(),
        )
        self.own = nn.Conv2d(hidden, hidden, 1)
        self.mean = nn.Conv2d(hidden, hidden, 1, bias=False)
        self.largest = nn.Conv2d(hidden, hidden, 1, bias=False)
        self.outer = nn.Conv2d(hidden, 2, 1)
        self.sharpness = nn.Parameter(torch.ones(()))
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)  # type: ignore[arg-type]
        self.register_buffer("normal", torch.ones(lights, len(TERMS)))

    def set_normal(self, good: Tensor) -> None:
        """Sets the units of every light's terms to their means on good parts (N, L, T, h, w), N at least 1."""
        self.normal.copy_(good.float().mean((0, 3, 4)).clamp_min(1e-6))

    def forward(self, evidence: Evidence) -> Evidence:
        """Evidence whose errors are M and whose weights are a, which `fuse_evidence` fuses by `attention`.

        Args:
            evidence: of B samples, with terms.
        """
        return next(self.of_sets(evidence, evidence.present, len(evidence.present)))

    def of_sets(self, evidence: Evidence, members: Tensor, at_once: int) -> Iterator[Evidence]:
        """`forward` under many sets of lights: the features of each light are computed once.

        Args:
            evidence: of one sample, or of one for each set.
            members: (K, L) bool, none empty.
            at_once: sets in each of the results; with one for each set, K.
        """
        assert evidence.terms is not None
        terms = evidence.terms.float() / self.normal[:, :, None, None]
        features = self.light_features(terms)
        for present in members.split(at_once):
            maps, attention = self.combine(terms, *features, present)
            yield Evidence(maps, attention, present, fused=False)

    def light_features(self, terms: Tensor) -> tuple[Tensor, Tensor]:
        """Each light separately: terms (B, L, T, h, w) -> features h (B, L, C, h, w) and log w (B, L, h, w)."""
        logs = (terms + TERM_FLOOR).log()
        features = self.local(logs.flatten(0, 1)).unflatten(0, terms.shape[:2])
        # the formula's weight in the pictures' own units, so that a dark light has little of it
        weights = (terms[:, :, _FACTORS] * self.normal[:, _FACTORS, None, None]).prod(2)
        return features, weights.clamp_min(MIN_WEIGHT).log()

    def combine(self, terms: Tensor, features: Tensor, log_weights: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """M and a, (K, L, h, w) each, of the lights present (K, L); the other arguments are of K samples or one."""
        mask = present[:, :, None, None, None]
        present_features = torch.where(mask, features, 0.0)
        mean = present_features.sum(1) / mask.sum(1)
        largest = torch.where(mask, features, -torch.inf).amax(1)
        own_hidden = self.own(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        context = self.mean(mean) + self.largest(largest)
        mixed = F.gelu(own_hidden + context[:, None])
        logits, gains = self.outer(mixed.flatten(0, 1)).unflatten(0, mixed.shape[:2]).unbind(2)
        absent = ~present[:, :, None, None]
        logits = (logits + self.sharpness * log_weights).masked_fill(absent, -torch.inf)
        maps = (terms[:, :, TERMS.index("evidence")] + TERM_FLOOR) * gains.exp()
        return maps.masked_fill(absent, 0.0), logits.softmax(1)

    def numbers(self) -> dict[str, Any]:
        """All that a program without PyTorch needs: `names` of the terms, `floor` (`TERM_FLOOR`), `normal` (their means
        by light), and the `weights` by name, as in the state of this module."""
        weights = {name: tensor.cpu() for name, tensor in self.state_dict().items() if name != "normal"}
        return {"names": TERMS, "floor": TERM_FLOOR, "normal": self.normal.tolist(), "weights": weights}

    def load_trained(self) -> LearnedFusion:
        """Loads the weights that come with the package."""
        self.load_state_dict({**_trained(), "normal": self.normal})
        return self


@cache
def _trained() -> dict[str, Tensor]:
    return load(files("afrd.model").joinpath("fusion_weights.safetensors").read_bytes())
