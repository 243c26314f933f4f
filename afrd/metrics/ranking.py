"""How well scores and maps find anomalies: AUROC, average precision, best F1 and AUPRO, all exact.

AUPRO, the area under the per-region overlap, comes from MVTec AD (Bergmann et al., International Journal of Computer
Vision 2021, https://doi.org/10.1007/s11263-020-01400-4) and is computed as for MVTec 3D-AD (Bergmann et al., VISAPP
2022, https://arxiv.org/abs/2112.09045).

Every number here depends on the scores' order alone. A curve over all thresholds bends only at the scores of
defective samples or pixels, which are few, so the many normal scores are sorted once and counted by bisection. That is
exact, ties included, agrees with scikit-learn, and is several times faster on maps, which matters where every subset of
a rig's lights is evaluated.

A sample whose truth is not known must be left out by the caller.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

FPR_LIMIT = 0.3  # of AUPRO, as reported on MVTec 3D-AD and Eyecandies
EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=int)


@dataclass(frozen=True)
class _Ranking:
    """Counts at every distinct score of a defective item, K of them, from the highest score down."""

    thresholds: np.ndarray  # (K,)
    order: np.ndarray  # (defective,) the defective items by falling score
    ends: np.ndarray  # (K,) position in `order` of the last item at each threshold
    normals_above: np.ndarray  # (K,) normal items whose score is higher
    normals_from: np.ndarray  # (K,) normal items whose score is at least as high
    normals: int

    @property
    def hits(self) -> np.ndarray:
        """(K,) defective items whose score is at least the threshold."""
        return self.ends + 1


def _rank(defective: np.ndarray, normal: np.ndarray) -> _Ranking:
    normal = np.sort(normal)
    order = np.argsort(-defective)
    falling = defective[order]
    last_of_tie = np.append(falling[1:] != falling[:-1], True)[: falling.size]
    ends = np.flatnonzero(last_of_tie)
    thresholds = falling[ends]
    rising = thresholds[::-1]  # sorted queries make bisection faster
    above = normal.size - np.searchsorted(normal, rising, side="right")[::-1]
    at_least = normal.size - np.searchsorted(normal, rising, side="left")[::-1]
    return _Ranking(thresholds, order, ends, above, at_least, normal.size)


def _auroc(ranking: _Ranking) -> float:
    # the share of pairs (defective, normal) in the right order, a tie counting half
    if ranking.normals == 0 or ranking.order.size == 0:
        return float("nan")
    wrong = (ranking.normals_above + ranking.normals_from) / 2
    return float(1 - np.average(wrong, weights=np.diff(ranking.hits, prepend=0)) / ranking.normals)


def _average_precision(ranking: _Ranking) -> float:
    # the mean of the precision over the steps of recall, without interpolation, as scikit-learn defines it
    if ranking.order.size == 0:
        return float("nan")
    precision = ranking.hits / (ranking.hits + ranking.normals_from)
    return float(np.average(precision, weights=np.diff(ranking.hits, prepend=0)))


def image_metrics(anomalous: ArrayLike, scores: ArrayLike) -> dict[str, float]:
    """How well image scores tell anomalous samples from good ones.

    Args:
        anomalous: (N,) bool or 0/1; no unknown truth.
        scores: (N,) finite, higher is more anomalous, any unit.

    Returns:
        `image_auroc`, `image_ap`, `image_f1max`, each in 0..1. NaN where undefined: the AUROC without either class,
        the other two without an anomalous sample. Constant scores give an AUROC of 0.5 and, at a share p of
        anomalous samples, an average precision of p and an F1 of 2p / (1 + p).

    Raises:
        ValueError: Shapes differ, a label is not 0 or 1, or a score is not finite.
    """
    anomalous, scores = _image_input(anomalous, scores)
    ranking = _rank(scores[anomalous], scores[~anomalous])
    return {
        "image_auroc": _auroc(ranking),
        "image_ap": _average_precision(ranking),
        "image_f1max": _f1_max(ranking)[0],
    }


def f1_max(anomalous: ArrayLike, scores: ArrayLike) -> tuple[float, float]:
    """The best F1 of any threshold, and that threshold.

    Args:
        anomalous: (N,) bool or 0/1; no unknown truth.
        scores: (N,) finite, higher is more anomalous.

    Returns:
        F1 in 0..1, and the threshold: a sample counts as anomalous where score >= threshold. Of equally good
        thresholds the highest, which raises the fewest alarms. (NaN, NaN) without an anomalous sample.

    Raises:
        ValueError: Shapes differ, a label is not 0 or 1, or a score is not finite.
    """
    anomalous, scores = _image_input(anomalous, scores)
    return _f1_max(_rank(scores[anomalous], scores[~anomalous]))


def _f1_max(ranking: _Ranking) -> tuple[float, float]:
    # a threshold at a normal sample's score only adds false alarms to the next higher one, so none is best
    if ranking.order.size == 0:
        return float("nan"), float("nan")
    f1 = 2 * ranking.hits / (ranking.hits + ranking.normals_from + ranking.order.size)
    best = int(np.argmax(f1))
    return float(f1[best]), float(ranking.thresholds[best])


def pixel_metrics(masks: ArrayLike, maps: ArrayLike, region: np.ndarray | None = None) -> dict[str, float]:
    """How well anomaly maps tell defective pixels from normal ones, over all pixels of a test set.

    Args:
        masks: (N, H, W) bool, True at defective pixels; all False for a good sample.
        maps: (N, H, W) finite, higher is more anomalous, any unit; float16 and float32 are ranked in float32.
        region: (H, W) bool; pixels outside of it are left out, be they normal or defective. All pixels by default.

    Returns:
        `pixel_auroc`, `pixel_ap`, `aupro` (see there), each in 0..1. NaN where undefined: all three without a
        defective pixel, and AUROC and AUPRO without a normal one. Constant maps give 0.5, the share of defective
        pixels, and 0.15.

    Raises:
        ValueError: Shapes differ or are not (N, H, W), or a map holds NaN or infinity.
    """
    masks, normal, maps = _pixel_input(masks, maps, region)
    ranking = _rank(maps[masks], maps[normal])
    return {
        "pixel_auroc": _auroc(ranking),
        "pixel_ap": _average_precision(ranking),
        "aupro": _area(*_pro_curve(ranking, masks, FPR_LIMIT)),
    }


def aupro(masks: ArrayLike, maps: ArrayLike, fpr_limit: float = FPR_LIMIT) -> float:
    """Area under the per-region overlap curve, over all pixels of a test set.

    The definition of MVTec 3D-AD (Bergmann, Jin, Sattlegger, Steger, VISAPP 2022): at a threshold, the
    share of each defective region that is found, averaged over the regions of all samples, against the share of the
    normal pixels of all samples that is found too; the area up to a false-positive rate of `fpr_limit`, divided by
    `fpr_limit`. Regions are the 8-connected components of the masks. All distinct thresholds count, pixels of one score
    fall together, and the curve is straight between thresholds, also where the limit cuts it.

    Args:
        masks: (N, H, W) bool, True at defective pixels.
        maps: (N, H, W) finite, higher is more anomalous.
        fpr_limit: Above 0, up to 1.

    Returns:
        0..1; a constant map gives `fpr_limit` / 2; NaN without a defective or without a normal pixel.

    Raises:
        ValueError: As `pixel_metrics`, or `fpr_limit` is out of range.
    """
    return _area(*pro_curve(masks, maps, fpr_limit))


def pro_curve(
    masks: ArrayLike, maps: ArrayLike, fpr_limit: float = 1.0, region: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The curve whose area `aupro` is.

    Args:
        masks: (N, H, W) bool, True at defective pixels.
        maps: (N, H, W) finite, higher is more anomalous.
        fpr_limit: Where the curve ends: above 0, up to 1.
        region: As for `pixel_metrics`; of a defective region only the part inside counts.

    Returns:
        False-positive rate and mean per-region overlap, both (K,), both from 0 up and never falling; the last rate is
        `fpr_limit`. Both hold a single NaN without a defective or without a normal pixel. K is up to twice the
        number of distinct scores at defective pixels, so thin it before drawing.

    Raises:
        ValueError: As `pixel_metrics`, or `fpr_limit` is out of range.
    """
    if not 0 < fpr_limit <= 1:
        raise ValueError(f"fpr_limit is {fpr_limit}; it must be above 0 and at most 1")
    masks, normal, maps = _pixel_input(masks, maps, region)
    return _pro_curve(_rank(maps[masks], maps[normal]), masks, fpr_limit)


def _pro_curve(ranking: _Ranking, masks: np.ndarray, fpr_limit: float) -> tuple[np.ndarray, np.ndarray]:
    if ranking.normals == 0 or ranking.order.size == 0:
        return np.array([np.nan]), np.array([np.nan])
    overlap_sums = np.cumsum(_region_weights(masks)[ranking.order])
    overlap = overlap_sums[ranking.ends] / overlap_sums[-1]  # (K,) the last sum is the number of regions
    # two corners a threshold: normal pixels above it come first, at the overlap so far; then all pixels that tie
    fpr = np.stack([ranking.normals_above, ranking.normals_from], axis=1).ravel() / ranking.normals  # (2K,)
    pro = np.stack([np.append(0.0, overlap[:-1]), overlap], axis=1).ravel()  # (2K,)
    fpr, pro = np.concatenate([[0.0], fpr, [1.0]]), np.concatenate([[0.0], pro, [1.0]])
    inside = int(np.searchsorted(fpr, fpr_limit, side="right"))
    if inside == fpr.size or fpr[inside - 1] == fpr_limit:
        return fpr[:inside], pro[:inside]
    step = (fpr_limit - fpr[inside - 1]) / (fpr[inside] - fpr[inside - 1])
    at_limit = pro[inside - 1] + step * (pro[inside] - pro[inside - 1])
    return np.append(fpr[:inside], fpr_limit), np.append(pro[:inside], at_limit)


def _area(fpr: np.ndarray, pro: np.ndarray) -> float:
    """Area under a curve divided by the rate at which it ends."""
    return min(float(np.trapezoid(pro, fpr) / fpr[-1]), 1.0)


def _region_weights(masks: np.ndarray) -> np.ndarray:
    """For every defective pixel, in the order of `maps[masks]`: 1 / the size of its region in its sample."""
    weights = [np.empty(0)]
    for mask in masks:
        if mask.any():
            regions, _ = ndimage.label(mask, structure=EIGHT_NEIGHBOURS)  # (H, W)
            numbers = regions[mask]
            weights.append(1 / np.bincount(numbers)[numbers])
    return np.concatenate(weights)


def _image_input(anomalous: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    labels, values = np.asarray(anomalous), np.asarray(scores, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != values.shape:
        raise ValueError(f"labels of shape {labels.shape} and scores of shape {values.shape}; both must be (N,)")
    for i, label in enumerate(labels.tolist() if labels.dtype != bool else []):
        if label not in (0, 1):
            raise ValueError(f"label {label!r} of sample {i} is not 0 or 1; leave out samples of unknown truth")
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"score {values[bad]} of sample {bad} is not finite")
    return labels.astype(bool), values


def _pixel_input(
    masks: ArrayLike, maps: ArrayLike, region: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Defective and normal pixels inside the region, and the maps."""
    truth, values = np.asarray(masks), np.asarray(maps)
    if truth.ndim != 3 or truth.shape != values.shape:
        raise ValueError(f"masks of shape {truth.shape} and maps of shape {values.shape}; both must be (N, H, W)")
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float32 if values.dtype == np.float16 else np.float64)
    for i, map_ in enumerate(values):
        if not np.isfinite(map_).all():
            raise ValueError(f"the map of sample {i} holds NaN or infinity")
    truth = truth.astype(bool, copy=False)
    if region is None:
        return truth, ~truth, values
    if region.shape != truth.shape[1:]:
        raise ValueError(f"a region of shape {region.shape} for maps of shape {values.shape}; it must be (H, W)")
    return truth & region, ~truth & region, values
