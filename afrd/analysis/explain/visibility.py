"""Agreement between a run's evidence for each light and how visible a defect truly is under it.

The truth is measured on twins: renderings of the same part without its defect.

    attribution = measure(run, open_dataset("data/candies", "Praline"))
    attribution.summary()      # over all samples and per defect type

docs/method.md explains the figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from afrd.analysis.explain.light_score import lights as shapley_of
from afrd.data.dataset import Category, MultiLightDataset, Sample, parse_lights
from afrd.metrics.bootstrap import interval
from afrd.runs.feature_store import Progress
from afrd.runs.prediction import Prediction
from afrd.runs.run import Run

KINDS = ("attention", "error", "product", "shapley")
MIN_VISIBILITY = 5.0  # grey levels in the best light; fainter defects are left out
HIT_SHARE = 0.9  # of the best light's visibility: above, a light counts as a hit


@dataclass(frozen=True, eq=False)
class Attribution:
    """Agreement of the evidence of a run's lights with the defects' true visibility.

    Attributes:
        samples: a row a sample and kind of evidence (`KINDS`, see `measure`): `sample`, `kind`, `defects`
            (joined by +), `visible` (at least `MIN_VISIBILITY` grey levels in the best light), `best_light` (where the
            defect is most visible), `chosen_light` (the one with the most evidence; "" where all have the
            same), `spearman`, and `hit` (1 or 0), `shown` (the chosen light's visibility as a fraction of the best
            one's) and `chance`, which are NaN where the defect is not visible or no light was chosen.
    """

    samples: pd.DataFrame

    def summary(self, repeats: int = 1000, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
        """Means over the samples.

        Args:
            repeats, level, seed: of the bootstrap over the samples.

        Returns:
            Rows `all` and each defect type (a sample with several counts for each of them). Columns (kind, figure):
            `spearman` over the `ranked` samples that have one; `hit` and `shown` over `n` samples, and `chance`, the
            hit rate of a light drawn at random on these; `low`, `high`, the interval of the hit rate, for
            `all` only.
        """
        types = sorted({t for defects in self.samples.defects for t in defects.split("+") if t})
        blocks = {}
        for kind in KINDS:
            table = self.samples[self.samples.kind == kind]
            by_type = {t: table[[t in defects.split("+") for defects in table.defects]] for t in types}
            rows = {name: _means(rows_of_type) for name, rows_of_type in ({"all": table} | by_type).items()}
            rows["all"] |= _interval(table.hit.dropna().to_numpy(dtype=float), repeats, level, seed)
            blocks[kind] = pd.DataFrame.from_dict(rows, orient="index")
        return pd.concat(blocks, axis=1)


def _means(table: pd.DataFrame) -> dict[str, Any]:
    return {
        "spearman": table.spearman.mean(),
        "ranked": int(table.spearman.count()),
        "hit": table.hit.mean(),
        "shown": table.shown.mean(),
        "n": int(table.hit.count()),
        "chance": table.chance.mean(),
    }


def _interval(hits: np.ndarray, repeats: int, level: float, seed: int) -> dict[str, float]:
    if not len(hits):
        return {"low": np.nan, "high": np.nan}
    draws = np.random.default_rng(seed).choice(hits, (repeats, len(hits))).mean(1)
    low, high = interval(draws, level)
    return {"low": float(low), "high": float(high)}


def visibility(sample: Sample, twin: Sample) -> np.ndarray:
    """True visibility of a defect under each light.

    Args:
        sample: a defective sample with its mask.
        twin: the same part without the defect, under the same lights.

    Returns:
        (L,) mean absolute difference of the two pictures inside the mask, over pixels and channels, in grey levels
        (0..255, sRGB as stored).

    Raises:
        ValueError: the two have other lights or sizes, or the mask is missing or empty.
    """
    if sample.lights != twin.lights or sample.images.shape != twin.images.shape:
        raise ValueError(
            f"sample {sample.name} (lights {', '.join(sample.lights)}, {tuple(sample.images.shape[-2:])} pixels) and "
            f"its twin {twin.name} (lights {', '.join(twin.lights)}, {tuple(twin.images.shape[-2:])} pixels) differ; "
            "a twin has the lights and the size of its sample"
        )
    if sample.mask is None or not sample.mask.any():
        raise ValueError(f"sample {sample.name} has no mask of a defect, inside which its twin could be compared")
    difference = (sample.images - twin.images).abs()[:, :, sample.mask]  # (L, 3, pixels)
    return 255 * difference.double().mean((1, 2)).numpy()


def evidence_inside(sample: Sample, prediction: Prediction) -> dict[str, np.ndarray]:
    """A run's evidence for each light inside a sample's mask.

    Args:
        sample: with a mask that is not empty.
        prediction: of the sample, with attention a_l and error E_l of every light l.

    Returns:
        For each of `KINDS` but the last (L,) means: `attention` of a_l, `error` of E_l, and `product` of a_l E_l, which
        is the light's contribution to the anomaly map.
    """
    assert sample.mask is not None
    mask = sample.mask.numpy()
    # (L, pixels)
    attention, error = (maps[:, mask].astype(float) for maps in (prediction.attention, prediction.light_maps))
    return {"attention": attention.mean(1), "error": error.mean(1), "product": (attention * error).mean(1)}


def measure(
    run: Run, data: Category, progress: Progress | None = None, lights: str | Sequence[str | int] | None = None
) -> Attribution:
    """Compares a run's evidence with the true visibility, on the defective test samples that have a mask and a twin.

    Evidence is what `evidence_inside` gives, and `shapley`: the lights' Shapley values for the map's maximum inside
    the mask (`afrd.analysis.explain.light_score.lights`).

    A twin is the sample with the same number in the split `twins`. With target `fused` there is one error for all
    lights, and with fusion `mean` one attention: evidence that is the same for all lights ranks none of them, so its
    rank correlation and hits are NaN.

    Args:
        run: with at least two lights.
        data: the category, with the split `twins`, such as `afrd render --twins` makes.
        progress: called with (samples done, samples in all).
        lights: a subset of the run's; all by default.

    Raises:
        ValueError: there are no twins, none of test samples, or the lights are fewer than two.
    """
    used = parse_lights(lights, run.lights)
    if len(used) < 2:
        raise ValueError(
            f"attribution ranks lights, but here is one only ({used[0]}) of those of run {run.folder} "
            f"({', '.join(run.lights)}); it needs at least two"
        )
    test, pairs = _pairs(data)
    pictures, twins = test.select(used), data["twins"].select(used)
    rows = []
    for done, (i, j) in enumerate(pairs, 1):
        sample = pictures[i]
        assert sample.mask is not None  # a pair has one
        evidence = evidence_inside(sample, run.predict_stored(test, i, used))
        evidence["shapley"] = shapley_of(run, test, i, sample.mask.numpy(), used).shapley
        rows += list(_rows(sample, visibility(sample, twins[j]), evidence))
        if progress:
            progress(done, len(pairs))
    return Attribution(pd.DataFrame(rows))


def _pairs(data: Category) -> tuple[MultiLightDataset, list[tuple[int, int]]]:
    """The test split, and (position in it, position in twins) of its defective samples that have a mask and a twin."""
    if "twins" not in data:
        raise ValueError(
            f"{data.name} has no split 'twins' (test samples without their defects), so what its lights truly show is "
            f"not known; its splits are {', '.join(data.splits)}, and `afrd render --twins` makes one"
        )
    test, twins = data[data.test_split], data["twins"]
    numbers = {int(name): j for j, name in enumerate(twins.names)}  # the padding may differ between the splits
    pairs = [(i, numbers[int(name)]) for i, name in enumerate(test.names) if test.anomalous[i] and int(name) in numbers]
    pairs = [(i, j) for i, j in pairs if (mask := test.mask(i)) is not None and mask.any()]
    if not pairs:
        raise ValueError(
            f"none of the {len(twins)} twins of {data.name} belongs to a defective sample of {test.split} with a mask; "
            "a twin has the number of its test sample"
        )
    return test, pairs


def _rows(sample: Sample, truth: np.ndarray, evidence: dict[str, np.ndarray]) -> Iterator[dict[str, Any]]:
    near = truth >= HIT_SHARE * truth.max()
    visible = bool(truth.max() >= MIN_VISIBILITY)
    for kind, values in evidence.items():
        chooses = not _constant(values)
        counts = visible and chooses
        ranked = chooses and len(truth) > 2 and not _constant(truth)
        yield {
            "sample": sample.name,
            "kind": kind,
            "defects": "+".join(sample.defects),
            "visible": visible,
            "best_light": sample.lights[truth.argmax()],
            "chosen_light": sample.lights[values.argmax()] if chooses else "",
            "spearman": float(spearmanr(truth, values).statistic) if ranked else np.nan,
            "hit": float(near[values.argmax()]) if counts else np.nan,
            "shown": float(truth[values.argmax()] / truth.max()) if counts else np.nan,
            "chance": float(near.mean()) if counts else np.nan,
        }


def _constant(values: np.ndarray) -> bool:
    """Whether all values are equal up to rounding."""
    return bool(np.ptp(values) <= 1e-6 * np.abs(values).max())
