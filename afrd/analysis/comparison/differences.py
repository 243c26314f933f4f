"""Differences between methods on one split: metrics with paired intervals, curves, defect types, samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from afrd.analysis.comparison.methods import Method
from afrd.metrics.bootstrap import interval
from afrd.metrics.predictions import Predictions
from afrd.metrics.ranking import FPR_LIMIT, image_metrics, pixel_metrics, pro_curve
from afrd.metrics.words import ANOMALOUS, METRIC_NAMES, METRICS

CURVE_POINTS = 240  # of a thinned curve
DEFECT_METRICS = ("image_auroc", "pixel_ap")


@dataclass(frozen=True, eq=False)
class MethodResult:
    """One method's metrics, and their differences to the reference.

    Attributes:
        method: the method.
        intervals: index metric; columns `value`, `low`, `high`: see `Predictions.intervals`.
        difference: the reference minus this method, see `Predictions.compare`; None for the reference itself.
    """

    method: Method
    intervals: pd.DataFrame
    difference: pd.DataFrame | None = None

    def verdict(self, metric: str) -> str:
        """`better` or `worse` than the reference where the paired interval excludes zero, else `even`."""
        if self.difference is None:
            return "even"
        row = self.difference.loc[metric]
        return "better" if row.high < 0 else "worse" if row.low > 0 else "even"


@dataclass(frozen=True, eq=False)
class Curves:
    """One method's curves.

    Attributes:
        image: columns `fpr`, `tpr` (scikit-learn's ROC curve of the image scores); empty where it is not defined.
        regions: columns `fpr`, `pro`: per-region overlap up to a false-positive rate of 0.3, thinned for plots; empty
            without defective pixels.
        at: (fpr, tpr) at the method's own threshold; None without one.
    """

    image: pd.DataFrame
    regions: pd.DataFrame
    at: tuple[float, float] | None


def method_result(method: Method, predictions: Predictions, reference: Predictions) -> MethodResult:
    """Metrics of a method's predictions and their differences to the reference's, which may be the same object."""
    same = predictions is reference
    return MethodResult(method, predictions.intervals(), None if same else reference.compare(predictions))


def results_table(results: Sequence[MethodResult]) -> pd.DataFrame:
    """All metrics, unrounded, a row a method: `method`, `lights` (joined by +), `reference`, and for every metric m the
    columns m, m_low, m_high, and of the reference minus the method m_difference, m_difference_low, m_difference_high.
    """
    rows = []
    for entry in results:
        row: dict[str, object] = {
            "method": entry.method.label,
            "lights": "+".join(entry.method.lights),
            "reference": entry.difference is None,
        }
        for metric in METRICS:
            value, low, high = entry.intervals.loc[metric, ["value", "low", "high"]]
            row |= {metric: value, f"{metric}_low": low, f"{metric}_high": high}
        for metric in METRICS if entry.difference is not None else ():
            change = entry.difference.loc[metric]  # type: ignore[union-attr]
            row |= {
                f"{metric}_difference": change.difference,
                f"{metric}_difference_low": change.low,
                f"{metric}_difference_high": change.high,
            }
        rows.append(row)
    return pd.DataFrame(rows)


def differences(results: Sequence[MethodResult], metric: str) -> pd.DataFrame:
    """The reference minus every other method: columns `method`, `lights`, `difference`, `low`, `high`, `verdict`."""
    rows = [
        {
            "method": entry.method.label,
            "lights": entry.method.lights,
            **entry.difference.loc[metric, ["difference", "low", "high"]],
            "verdict": entry.verdict(metric),
        }
        for entry in results
        if entry.difference is not None
    ]
    return pd.DataFrame(rows, columns=["method", "lights", "difference", "low", "high", "verdict"])


def summary(results: Sequence[MethodResult], metric: str) -> str:
    """One sentence: how many of the others the reference beats in this metric, and how many beat it."""
    reference = next(entry for entry in results if entry.difference is None)
    verdicts = [entry.verdict(metric) for entry in results if entry.difference is not None]
    if not verdicts:
        return ""
    counts = {kind: verdicts.count(kind) or "none" for kind in ("worse", "better", "even")}
    others = "the one other method" if len(verdicts) == 1 else f"the {len(verdicts)} other methods"
    return (
        f"In {METRIC_NAMES[metric]}, {reference.method.label} is better than {counts['worse']} of {others}, worse than "
        f"{counts['better']} and not told apart from {counts['even']}, by the paired 95 % interval."
    )


def beaten_by(results: Sequence[MethodResult]) -> list[str]:
    """A sentence for every method that is better than the reference beyond the paired interval, in any metric."""
    sentences = []
    for entry in results:
        wins = [
            f"{METRIC_NAMES[m]} by {-row.difference:.3f} [{-row.high:.3f}, {-row.low:.3f}]"
            for m in METRICS
            if entry.difference is not None
            and entry.verdict(m) == "better"
            and (row := entry.difference.loc[m]) is not None
        ]
        if wins:
            label = entry.method.label
            sentences.append(f"{label[:1].upper()}{label[1:]} is better in {_listed(wins)}.")
    return sentences


def worth_drawing(results: Sequence[MethodResult], metric: str) -> list[str]:
    """Labels of the methods to draw at first: the reference, the best single light, late mean, the memory with max."""
    if not results:
        return []
    values = {entry.method.label: entry.intervals.value[metric] for entry in results}
    singles = [entry.method.label for entry in results if entry.method.single and not entry.method.memory]
    labels = [entry.method.label for entry in results if entry.difference is None]
    labels += sorted(singles, key=lambda label: -np.nan_to_num(values[label]))[:1]
    labels += [entry.method.label for entry in results if entry.method.late and entry.method.fusion == "mean"][:1]
    memories = [entry.method for entry in results if entry.method.memory and not entry.method.single]
    labels += [m.label for m in sorted(memories, key=lambda m: m.fusion != "max")[:1]]
    return list(dict.fromkeys(labels))


def curves(predictions: Predictions) -> Curves:
    """ROC of the image scores and PRO of the maps, over the samples with known truth."""
    labelled, bad = _truth(predictions)
    image, at = pd.DataFrame(columns=["fpr", "tpr"]), None
    if bad[labelled].any() and not bad[labelled].all():
        fpr, tpr, _ = roc_curve(bad[labelled], predictions.table.score.to_numpy()[labelled])
        image = pd.DataFrame({"fpr": fpr, "tpr": tpr})
        if predictions.threshold is not None:
            predicted_anomalous = (predictions.table.verdict == ANOMALOUS).to_numpy()
            at = (float(predicted_anomalous[labelled & ~bad].mean()), float(predicted_anomalous[labelled & bad].mean()))
    regions = pd.DataFrame(columns=["fpr", "pro"])
    if predictions.judged_masks[predictions.masked].any():
        fpr, pro = pro_curve(
            predictions.masks[predictions.masked],
            predictions.maps[predictions.masked],
            FPR_LIMIT,
            predictions.region,
        )
        grid = FPR_LIMIT * np.linspace(0, 1, CURVE_POINTS) ** 2  # dense near zero, where the curve rises
        regions = pd.DataFrame({"fpr": grid, "pro": np.interp(grid, fpr, pro)})
    return Curves(image, regions, at)


def by_defect(predictions: Predictions, repeats: int = 1000, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """Each defect type separately: its samples against all good ones.

    A sample with several defects counts for each of them, and its whole mask with it.

    Returns:
        A row a type: `defect`, `samples`, and `image_auroc` (of its samples and all good ones), `pixel_ap` (over the
        pixels of its samples only), each with `_low` and `_high` of the bootstrap over these samples.
    """
    labelled, bad = _truth(predictions)
    kinds = [set(str(defects).split("+")) - {""} for defects in predictions.table.defects]
    scores, rows = predictions.table.score.to_numpy(), []
    for kind in sorted(set().union(*kinds)) if (labelled & ~bad).any() else []:
        of_kind = labelled & bad & np.array([kind in sample_kinds for sample_kinds in kinds])
        if not of_kind.any():
            continue
        selected, masked = of_kind | (labelled & ~bad), of_kind & predictions.masked
        values = image_metrics(bad[selected], scores[selected])
        if masked.any():
            values |= pixel_metrics(predictions.masks[masked], predictions.maps[masked], predictions.region)
        resampler = predictions.resampler.of(selected[labelled], masked[labelled])
        draws = resampler.draw(repeats, seed, DEFECT_METRICS)
        row: dict[str, object] = {"defect": kind, "samples": int(of_kind.sum())}
        for metric, low, high in zip(DEFECT_METRICS, *interval(draws, level), strict=True):
            row |= {metric: values.get(metric, np.nan), f"{metric}_low": low, f"{metric}_high": high}
        rows.append(row)
    columns = ["defect", "samples", *(f"{m}{end}" for m in DEFECT_METRICS for end in ("", "_low", "_high"))]
    return pd.DataFrame(rows, columns=columns)


def telling_samples(reference: Predictions, other: Predictions, metric: str) -> pd.DataFrame:
    """The samples of known truth, those that contribute most to the difference between two methods first.

    A sample's contribution is estimated by leaving it out (jackknife): the difference in `metric` over all
    samples minus that without it. Positive favours the reference. Pixel metrics are those of the bootstrap's
    histograms, see `Predictions.compare`.

    Returns:
        Columns `sample`, `anomalous`, `defects`; for `this` (the reference) and `other` each `_score` (in units of
        its threshold, where it has one), `_verdict`, `_rank` (1 is the highest score), `_pixel_ap` (over the sample's
        own pixels; NaN without defective ones); `effect`, by whose size they are sorted.

    Raises:
        ValueError: the two are about different samples.
    """
    reference.check_same_samples(other, "compared")
    reference, other = reference.counted_as(other), other.counted_as(reference)
    labelled, bad = _truth(reference)
    table = reference.table.loc[labelled, ["sample"]].assign(
        anomalous=bad[labelled], defects=reference.table.defects[labelled]
    )
    for name, predictions in (("this", reference), ("other", other)):
        score = predictions.table.score[labelled]
        table[f"{name}_score"] = score / (predictions.threshold.value if predictions.threshold else 1.0)
        table[f"{name}_verdict"] = predictions.table.verdict[labelled]
        table[f"{name}_rank"] = score.rank(ascending=False, method="min").astype(int)
        table[f"{name}_pixel_ap"] = [_own_pixel_ap(predictions, i) for i in np.flatnonzero(labelled).tolist()]
    n = int(labelled.sum())
    counts = np.concatenate([np.ones((1, n), int), np.ones((n, n), int) - np.eye(n, dtype=int)])
    column = METRICS.index(metric)
    effects = (reference.resampler.metrics(counts) - other.resampler.metrics(counts))[:, column]  # (1 + n,)
    table["effect"] = effects[0] - effects[1:]
    by_score = (table.this_score - table.other_score).abs()
    order = pd.DataFrame({"effect": -table.effect.abs().fillna(0.0), "score": -by_score})
    return table.loc[order.sort_values(["effect", "score"], kind="stable").index]


def _truth(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Which samples have a known truth, and which are known to be anomalous: twice (N,) bool."""
    labels = list(predictions.table.anomalous)
    return np.array([label is not None for label in labels]), np.array([label is True for label in labels])


def _own_pixel_ap(predictions: Predictions, index: int) -> float:
    if not predictions.masked[index]:
        return np.nan
    return pixel_metrics(predictions.masks[[index]], predictions.maps[[index]], predictions.region)["pixel_ap"]


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
