"""Fast metrics of bootstrap draws: one histogram a sample, computed once; a draw is a weighted sum of them.

The bootstrap: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, https://doi.org/10.1201/9780429246593.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np
from scipy import ndimage
from threadpoolctl import ThreadpoolController

from afrd.metrics.ranking import EIGHT_NEIGHBOURS, FPR_LIMIT
from afrd.metrics.words import METRICS

SCORE_BINS = 4096
DRAWS_CHUNK_SIZE = 64  # draws whose histograms (2 MB) are computed at a time
LIBRARIES = ThreadpoolController()


class Resampler:
    """All metrics of draws with replacement from N samples.

    Args:
        anomalous: (N,) bool.
        scores: (N,).
        masks, maps: (N, H, W).
        masked: (N,) bool, samples whose mask is known; only they count for pixel metrics.
        region: (H, W) bool; pixels outside of it are left out. All pixels by default.
    """

    def __init__(
        self,
        anomalous: np.ndarray,
        scores: np.ndarray,
        masks: np.ndarray,
        maps: np.ndarray,
        masked: np.ndarray,
        region: np.ndarray | None = None,
    ) -> None:
        self.anomalous = anomalous
        ranks = np.unique(scores, return_inverse=True)[1]
        self.score_bins = _one_hot(ranks.max() - ranks)  # (N, distinct scores), highest first
        self.good_pixels, self.bad_pixels, overlap, self.regions = _histograms(maps, masks, masked, region)
        # Sums down to each bin. Those of a draw are weighted sums of them, which is quicker than to add up its bins.
        self.scores_down = np.cumsum(self.score_bins, 1)
        self.good_down, self.bad_down, self.overlap_down = (
            np.cumsum(of_pixels, 1) for of_pixels in (self.good_pixels, self.bad_pixels, overlap)
        )

    def of(self, selected: np.ndarray, masked: np.ndarray) -> Resampler:
        """That of some of the samples, (N,) bool; of their pixels only those of `masked` samples count, (N,) bool."""
        part = copy(self)
        for name in ("anomalous", "score_bins", "scores_down"):
            setattr(part, name, getattr(self, name)[selected])
        counts = masked[selected, None]
        for name in ("good_pixels", "bad_pixels", "good_down", "bad_down", "overlap_down"):
            setattr(part, name, getattr(self, name)[selected] * counts)
        part.regions = self.regions[selected] * counts[:, 0]
        return part

    def draw(self, repeats: int, seed: int, names: Sequence[str] = METRICS) -> np.ndarray:
        """(repeats, names) of draws of N samples, all of `METRICS` or some; NaN where a draw leaves one undefined."""
        n = len(self.anomalous)
        counts = np.random.default_rng(seed).multinomial(n, [1 / n] * n, size=repeats)
        counts, inverse = np.unique(counts, axis=0, return_inverse=True)  # few samples give few distinct draws
        # Chunks of draws stay in the processor's cache, which halves the time or better. Products of so few numbers are
        # quicker on one thread: where the machine has other work, several threads wait for each other.
        with LIBRARIES.limit(limits=1, user_api="blas"):
            values = [
                self.metrics(counts[at : at + DRAWS_CHUNK_SIZE], names)
                for at in range(0, len(counts), DRAWS_CHUNK_SIZE)
            ]
        return np.concatenate(values)[inverse.ravel()]

    def metrics(self, counts: np.ndarray, names: Sequence[str] = METRICS) -> np.ndarray:
        """All of `METRICS` or some, (draws, names), when sample i counts `counts[draw, i]` times."""
        counts = counts.astype(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            good, bad = counts * ~self.anomalous, counts * self.anomalous
            false, true = good @ self.scores_down, bad @ self.scores_down
            good, bad = good @ self.score_bins, bad @ self.score_bins
            auroc, ap = _ranking(good, bad, false, true)
            f1 = np.where(np.isnan(auroc), np.nan, (2 * true / (true + false + true[:, -1:])).max(1))
            counts = counts.astype(np.float32)  # pixels below 2^24 are counted exactly
            good, bad, false = counts @ self.good_pixels, counts @ self.bad_pixels, counts @ self.good_down
            pixel_auroc, pixel_ap = _ranking(good, bad, false, counts @ self.bad_down)
            values = {
                "image_auroc": auroc,
                "image_ap": ap,
                "image_f1max": f1,
                "pixel_auroc": pixel_auroc,
                "pixel_ap": pixel_ap,
            }
            if "aupro" in names:  # nearly half of the time
                values["aupro"] = _pro_area(false, counts, self.overlap_down, self.regions)
        return np.stack([values[name] for name in names], 1)


def interval(draws: np.ndarray, level: float = 0.95, axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of bootstrap draws (Efron & Tibshirani 1993, section 13.3).

    Args:
        draws: any shape; a draw in which a figure is not defined is NaN and left out.
        level: of confidence, 0..1.
        axis: along which the draws lie.

    Returns:
        The lower and the upper edges, without that axis; NaN where no draw has a value.
    """
    draws = np.moveaxis(np.asarray(draws, dtype=float), axis, -1)
    edges = np.full((2, *draws.shape[:-1]), np.nan)
    defined = np.isfinite(draws).any(-1)
    if defined.any():
        edges[:, defined] = np.nanquantile(draws[defined], [(1 - level) / 2, (1 + level) / 2], axis=-1)
    return edges[0], edges[1]


def drawn_image_auroc(scores: np.ndarray, bad: np.ndarray, good: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Image AUROC of many methods in many draws.

    Args:
        scores: (K, N).
        bad, good: (N,) bool, the samples that count.
        counts: (R, N) how often each sample was drawn.

    Returns:
        (K, R); NaN where a draw has no bad or no good sample.
    """
    above = scores[:, bad, None] - scores[:, None, good]  # (K, bad, good)
    wins = ((above > 0) + 0.5 * (above == 0)).astype(np.float32)
    drawn_bad, drawn_good = counts[:, bad].astype(np.float32), counts[:, good].astype(np.float32)
    pairs = (drawn_bad.sum(1) * drawn_good.sum(1)).astype(float)  # (R,)
    wins_drawn = np.stack([((drawn_bad @ method_wins) * drawn_good).sum(1) for method_wins in wins])  # (K, R)
    return np.divide(wins_drawn, pairs, out=np.full(wins_drawn.shape, np.nan), where=pairs > 0)


def _histograms(
    maps: np.ndarray, masks: np.ndarray, masked: np.ndarray, region: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of the pixels of every sample, highest bin first; for the arguments see `Resampler`.

    Returns:
        How many good and how many bad pixels lie in each bin, and which share of its regions, the sum over its regions,
        each (N, SCORE_BINS); the number of its regions (N,). All 0 for samples that are not masked.
    """
    good, bad, overlap = (np.zeros((len(maps), SCORE_BINS), np.float32) for _ in range(3))
    regions = np.zeros(len(maps))
    if not masked.any():
        return good, bad, overlap, regions
    if region is not None:
        masks = masks & region
    # Quantile bins, from evenly spaced pixels: fine where the maps have most of their values.
    counted = maps[masked] if region is None else maps[masked][:, region]
    values = np.sort(counted.reshape(-1)[:: max(1, counted.size // 500_000)].astype(np.float32))
    top = counted.reshape(len(counted), -1).max(axis=1)
    edges = np.unique(np.concatenate([values[:: max(1, len(values) // (SCORE_BINS // 2))], _upper(values), top]))
    edges = edges[np.linspace(0, len(edges) - 1, min(SCORE_BINS - 1, len(edges))).astype(int)]
    for i in np.flatnonzero(masked):
        values = maps[i].astype(np.float32)
        good[i] = _histogram(values[~masks[i] if region is None else ~masks[i] & region], edges)
        if masks[i].any():
            bad[i] = _histogram(values[masks[i]], edges)
            labels, regions[i] = ndimage.label(masks[i], EIGHT_NEIGHBOURS)
            inside = labels > 0
            weights = 1 / np.bincount(labels[inside])[labels[inside]]
            bins = np.searchsorted(edges, values[inside], side="right")
            overlap[i] = np.bincount(SCORE_BINS - 1 - bins, weights, minlength=SCORE_BINS)
    return good, bad, overlap, regions


def _histogram(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(SCORE_BINS,) how many values lie between one edge and the next, highest first."""
    # Sorting the many pixels and looking up the edges among them is ten times as fast as looking up each pixel.
    counts = np.diff(np.searchsorted(np.sort(values), edges), prepend=0, append=len(values))
    return np.pad(counts, (0, SCORE_BINS - len(counts)))[::-1]


def _one_hot(ranks: np.ndarray) -> np.ndarray:
    table = np.zeros((len(ranks), ranks.max() + 1))
    table[np.arange(len(ranks)), ranks] = 1
    return table


def _upper(values: np.ndarray) -> np.ndarray:
    """Finer edges in the top 2 %, where the defects are."""
    tail = values[int(0.98 * len(values)) :]
    return tail[:: max(1, len(tail) // (SCORE_BINS // 2))]


def _ranking(good: np.ndarray, bad: np.ndarray, false: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROC and average precision of each row of two histograms of scores and their running sums, (draws, bins)."""
    all_false, all_true = false[:, -1], true[:, -1]
    # a bin's good items lie below the bad ones of higher bins, and tie with half of those of their own
    auroc = (np.einsum("db,db->d", good, true) - np.einsum("db,db->d", good, bad) / 2) / (all_false * all_true)
    ap = np.einsum("db,db->d", bad, true / np.maximum(true + false, 1e-12)) / all_true
    undefined = (all_false == 0) | (all_true == 0)
    return np.where(undefined, np.nan, auroc), np.where(undefined, np.nan, ap)


def _pro_area(false: np.ndarray, counts: np.ndarray, overlap_down: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """AUPRO of each draw (draws,); the curve ends at the limit, where it is interpolated.

    Args:
        false: (draws, bins) normal pixels down to each bin.
        counts: (draws, N) how often each sample was drawn.
        overlap_down: (N, bins) the sum over a sample's regions of the share that lies down to each bin.
        regions: (N,) how many it has.
    """
    row, steps = np.arange(len(false)), (false < FPR_LIMIT * false[:, -1:]).sum(1)
    cut = int(steps.max()) + 1  # nothing beyond it counts in any row
    fpr = _from_zero(false[:, :cut] / false[:, -1:])
    pro = _from_zero(counts @ overlap_down[:, :cut] / (counts @ regions)[:, None])
    end = np.minimum(steps + 1, fpr.shape[1] - 1)  # the first point at the limit or beyond
    share = (FPR_LIMIT - fpr[row, end - 1]) / (fpr[row, end] - fpr[row, end - 1])
    pro[row, end] = pro[row, end - 1] + (pro[row, end] - pro[row, end - 1]) * share
    widths = np.diff(np.minimum(fpr, FPR_LIMIT), axis=1)  # none beyond the limit
    return np.einsum("db,db->d", widths, pro[:, 1:] + pro[:, :-1]) / (2 * FPR_LIMIT)


def _from_zero(curve: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros_like(curve[:, :1]), curve], 1)
