"""Metrics of bootstrap draws, fast: every sample is summed up once in histograms, a draw is a weighted sum of them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from afrd.metrics import FPR_LIMIT, METRICS

BINS = 4096
EIGHT_NEIGHBOURS = np.ones((3, 3))


class Resampler:
    """All metrics of draws with replacement from N samples.

    Args:
        anomalous: (N,) bool.
        scores: (N,).
        masks, maps: (N, H, W).
        masked: (N,) bool, samples whose mask is known; only they count for pixel metrics.
    """

    def __init__(
        self, anomalous: np.ndarray, scores: np.ndarray, masks: np.ndarray, maps: np.ndarray, masked: np.ndarray
    ) -> None:
        self.anomalous = anomalous
        ranks = np.unique(scores, return_inverse=True)[1]
        self.score_bins = _one_hot(ranks)  # (N, distinct scores), lowest first
        n = len(scores)
        self.good_pixels, self.bad_pixels, self.overlap = (np.zeros((n, BINS)) for _ in range(3))
        self.regions = np.zeros(n)
        if not masked.any():
            return
        # Bins of equal filling over a regular part of the pixels: fine where the maps have most of their values.
        values = np.sort(maps[masked].reshape(-1)[:: max(1, maps[masked].size // 500_000)].astype(np.float32))
        top = maps[masked].max(axis=(1, 2))
        edges = np.unique(np.concatenate([values[:: max(1, len(values) // (BINS // 2))], _upper(values), top]))
        edges = edges[np.linspace(0, len(edges) - 1, min(BINS - 1, len(edges))).astype(int)]
        for i in np.flatnonzero(masked):
            bins = np.searchsorted(edges, maps[i].ravel().astype(np.float32), side="right").reshape(maps[i].shape)
            self.good_pixels[i] = np.bincount(bins[~masks[i]], minlength=BINS)
            if masks[i].any():
                self.bad_pixels[i] = np.bincount(bins[masks[i]], minlength=BINS)
                labels, self.regions[i] = ndimage.label(masks[i], EIGHT_NEIGHBOURS)
                inside = labels > 0
                weights = 1 / np.bincount(labels[inside])[labels[inside]]
                self.overlap[i] = np.bincount(bins[inside], weights, minlength=BINS)

    def draw(self, repeats: int, seed: int) -> np.ndarray:
        """(repeats, metrics) of draws of N samples; NaN where a draw leaves a metric undefined."""
        rng = np.random.default_rng(seed)
        n = len(self.anomalous)
        return np.stack([self.metrics(np.bincount(rng.integers(n, size=n), minlength=n)) for _ in range(repeats)])

    def metrics(self, counts: np.ndarray) -> np.ndarray:
        """All of `METRICS` when sample i counts `counts[i]` times."""
        with np.errstate(invalid="ignore", divide="ignore"):
            good = (counts * ~self.anomalous) @ self.score_bins
            bad = (counts * self.anomalous) @ self.score_bins
            auroc, ap, f1 = _ranking(good, bad)
            good_pixels = counts @ self.good_pixels
            pixel_auroc, pixel_ap, _ = _ranking(good_pixels, counts @ self.bad_pixels)
            pro = _pro_area(good_pixels, counts @ self.overlap, float(counts @ self.regions))
        found = {
            "image_auroc": auroc,
            "image_ap": ap,
            "image_f1max": f1,
            "pixel_auroc": pixel_auroc,
            "pixel_ap": pixel_ap,
            "aupro": pro,
        }
        return np.array([found[name] for name in METRICS])


def _one_hot(ranks: np.ndarray) -> np.ndarray:
    table = np.zeros((len(ranks), ranks.max() + 1))
    table[np.arange(len(ranks)), ranks] = 1
    return table


def _upper(values: np.ndarray) -> np.ndarray:
    """Finer edges in the top 2 %, where the defects are."""
    tail = values[int(0.98 * len(values)) :]
    return tail[:: max(1, len(tail) // (BINS // 2))]


def _ranking(good: np.ndarray, bad: np.ndarray) -> tuple[float, float, float]:
    """AUROC, average precision and best F1 from histograms of scores, lowest bin first."""
    if not good.sum() or not bad.sum():
        return np.nan, np.nan, np.nan
    false, true = np.cumsum(good[::-1]), np.cumsum(bad[::-1])
    recall = true / true[-1]
    auroc = np.trapezoid(np.append(0, recall), np.append(0, false / false[-1]))
    precision = true / np.maximum(true + false, 1e-12)
    ap = (np.diff(recall, prepend=0) * precision).sum()
    f1 = (2 * true / (true + false + true[-1])).max()
    return float(auroc), float(ap), float(f1)


def _pro_area(good: np.ndarray, overlap: np.ndarray, regions: float) -> float:
    if not good.sum() or not regions:
        return np.nan
    fpr = np.append(0, np.cumsum(good[::-1]) / good.sum())
    pro = np.append(0, np.cumsum(overlap[::-1]) / regions)
    inside = fpr < FPR_LIMIT
    at_limit = np.interp(FPR_LIMIT, fpr, pro)
    return float(np.trapezoid(np.append(pro[inside], at_limit), np.append(fpr[inside], FPR_LIMIT)) / FPR_LIMIT)
