"""Drift of attention over features: each light's weight, against how much its features vary and its contrast.

Attention over features is trained by the regression loss alone, and the fused features are both what the student reads
and its regression target. So the model can make its task easier by weighting lights under which all parts look alike,
or which show little contrast:

    table = drift(run, data["train"])
    print(sentence(table))
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor

from afrd.data.dataset import MultiLightDataset
from afrd.runs.run import Run

UNEVEN_RATIO = 1.25  # times an even share; below that no light counts as favoured


def drift(run: Run, good: MultiLightDataset) -> pd.DataFrame:
    """Attention, variety and contrast of each light.

    Args:
        run: with target `fused` and fusion `attention`.
        good: samples without defects, such as the training split.

    Returns:
        Index light; columns `attention`, its mean share over samples and places (they sum to 1), and `variety`, how
        much the teacher's features differ between the parts under this light: 1 - length of the mean over the samples
        of the features at a place, each brought to unit length; the mean over places and scales. 0 where all parts
        look alike, which is easy to regress and carries no information. `contrast` is the mean local contrast of the
        pictures in grey levels (`afrd.model.inputs.local_contrast`): features of a dark picture may vary as much as
        others, and still say little about the part.

    Raises:
        ValueError: the run has no attention over features.
    """
    config = run.model.config
    if (config.target, config.fusion) != ("fused", "attention"):
        raise ValueError(f"run {run.folder} is {run.method()}; only attention over features can drift")
    shares = run.evidence(good).weights
    features = run.features(good)
    positions = features.positions(run.lights)
    means: list[Tensor] = []
    for i in range(len(features)):
        sample_means = [
            F.normalize(scale[0].double(), dim=1) / len(features) for scale in features.batch([i], positions)
        ]
        # each (L, C, h, w)
        means = [mean + more for mean, more in zip(means, sample_means, strict=True)] if means else sample_means
    variety = torch.stack([1 - mean.norm(dim=1).mean((1, 2)) for mean in means]).mean(0)
    contrast = features.contrast.astype(np.float32).mean((0, 2, 3))[positions]
    return pd.DataFrame(
        {"attention": shares.float().mean((0, 2, 3)).cpu().numpy(), "variety": variety.numpy(), "contrast": contrast},
        index=pd.Index(run.lights, name="light"),
    )


def sentence(table: pd.DataFrame) -> str:
    """A `drift` table summarised in one sentence."""
    favoured = str(table.attention.idxmax())
    share, even = float(table.attention.loc[favoured]), 1 / len(table)
    if share < UNEVEN_RATIO * even:
        return (
            f"Attention is almost even: the light with the most, {favoured}, has {share:.2f} of it, and even is "
            f"{even:.2f}."
        )
    variety, contrast = (int(table[kind].rank(ascending=False).loc[favoured]) for kind in ("variety", "contrast"))
    alike, dark = (float(spearmanr(table.attention, table[kind]).statistic) for kind in ("variety", "contrast"))
    head = (
        f"Light {favoured} has the most attention, {share:.2f} (even: {even:.2f}); of {len(table)} lights it is number "
        f"{variety} in how much the parts differ under it and number {contrast} in contrast; rank correlation of "
        f"attention with the one over the lights {alike:+.2f}, with the other {dark:+.2f}"
    )
    if alike < 0:
        return head + ": attention has drifted to lights that are easy to regress."
    return head + (": attention has drifted to lights that show little." if dark < 0 else ".")
