"""Subsets of the lights of one run on one split: scores, exact metrics, and metrics of bootstrap draws and halves."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch

from afrd.analysis.lights.search import orders, prefixes, search
from afrd.data.dataset import MultiLightDataset
from afrd.metrics.bootstrap import Resampler
from afrd.metrics.ranking import image_metrics, pixel_metrics
from afrd.metrics.words import METRICS
from afrd.runs.run import Run
from afrd.runs.thresholds import subset_thresholds

MAX_MAP_BYTES = 256 * 2**20  # bytes of maps in memory at a time
SAMPLED_LIGHT_ORDERS = 24  # for Shapley values where all sets are too many
MAX_SETS_PER_SIZE = 5  # sets of each size that a search returns
Report = Callable[[str, int, int], None]  # (what is counted, done, in all); an exception it raises ends the work


def drawn_halves(anomalous: np.ndarray, defects: Sequence[str], repeats: int, seed: int = 0) -> np.ndarray:
    """Bootstrap draws out of random halves.

    Each draw splits the samples into two halves, stratified by good samples and defect types, and draws from each half
    as many good and as many anomalous samples as it has, with replacement.

    Args:
        anomalous: (N,) bool.
        defects: N texts, the strata.

    Returns:
        (repeats, 2, N) uint8, how often each sample was drawn in each half; no sample is in both.
    """
    random = np.random.default_rng(seed)
    kinds = [f"{bad:d} {kind}" for bad, kind in zip(anomalous, defects, strict=True)]
    strata = np.unique(kinds, return_inverse=True)[1]
    counts = np.zeros((repeats, 2, len(anomalous)), np.uint8)
    for r in range(repeats):
        shuffled = random.permutation(len(anomalous))
        # dealt alternately to the halves
        dealt = np.roll(shuffled[np.argsort(strata[shuffled], kind="stable")], random.integers(2))
        for half in (0, 1):
            half_samples = dealt[half::2]
            for group in (half_samples[anomalous[half_samples]], half_samples[~anomalous[half_samples]]):
                if len(group):
                    counts[r, half, group] = random.multinomial(len(group), [1 / len(group)] * len(group))
    return counts


class SubsetEvaluation:
    """One run's evidence on one split, from which the scores and metrics of any subset of lights are computed."""

    def __init__(self, run: Run, dataset: MultiLightDataset, rows: np.ndarray, repeats: int, report: Report) -> None:
        self.run, self.dataset, self.rows, self.report = run, dataset, rows, report
        self.anomalous = np.array([dataset.anomalous[i] is True for i in rows])
        self.defects = tuple("+".join(dataset.defects[i]) for i in rows)
        self.masks, self.masked = (of_all[rows] for of_all in dataset.masks())
        self.region = run.region_at(dataset.image_size)
        self.counts = drawn_halves(self.anomalous, self.defects, repeats)
        if run.model.config.target == "lights":  # the map of any subset is computed from the evidence of all lights
            self.evidence = run.evidence(dataset, progress=partial(report, "samples read"))
        self.evaluated: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # set -> scores (N,), metrics (M,)

    def search(self, metric: str) -> tuple[np.ndarray, int, np.ndarray]:
        """The best subsets (K, L) of each size, the number of evaluated sets, and each light's gains in random orders
        (orders, L, M)."""
        m, lights = METRICS.index(metric), len(self.run.lights)

        def evaluate(sets: Sequence[int]) -> None:
            missing = [s for s in dict.fromkeys(sets) if s not in self.evaluated]
            members = np.array([[s >> light & 1 for light in range(lights)] for s in missing], bool).reshape(-1, lights)
            for s, (scores, metrics, _) in zip(missing, self._results(members, draw=False), strict=True):
                self.evaluated[s] = scores, metrics
                self.report("sets of lights searched", len(self.evaluated), 0)

        def quality(sets: Sequence[int]) -> list[float]:
            evaluate(sets)
            return [float(rank(self.evaluated[s][1], m)) for s in sets]

        qualities = search(lights, quality)
        walks = []
        for order in orders(lights, SAMPLED_LIGHT_ORDERS):
            growing = prefixes(order)
            evaluate(growing)
            gains = np.diff([self.empty(), *(self.evaluated[s][1] for s in growing)], axis=0)  # (L, M), in this order
            walks.append(gains[np.argsort(order)])
        single, but_one = [1 << k for k in range(lights)], [(1 << lights) - 1 ^ 1 << k for k in range(lights)]
        selected = {*single, *but_one, (1 << lights) - 1}
        for size in range(2, lights - 1):
            of_size = sorted((s for s in qualities if s.bit_count() == size), key=lambda s: (-qualities[s], s))
            selected |= set(of_size[:MAX_SETS_PER_SIZE])
        members = np.array([[s >> light & 1 for light in range(lights)] for s in selected], bool)
        return members, len(self.evaluated), np.array(walks)

    def empty(self) -> np.ndarray:
        """The metrics of a constant map: without light samples and places are indistinguishable."""
        flat = image_metrics(self.anomalous, np.zeros(len(self.anomalous)))
        if self.masked.any():  # 0.5, the share of defective pixels, and half of AUPRO's limit, without sorting pixels
            masks = self.masks[self.masked]
            flat |= pixel_metrics(masks, np.zeros(masks.shape, np.float32), self.region)
        return np.array([flat.get(metric, np.nan) for metric in METRICS])

    def judge(self, members: np.ndarray) -> dict[str, np.ndarray]:
        """Of K sets: `scores` (K, N), `metrics` (K, M), `draws` (K, R, M), `halves` (K, R, 2, M), `thresholds` (K,)."""
        results = []
        for result in self._results(members, draw=True):
            results.append(result)
            self.report("sets of lights judged", len(results), len(members))
        thresholds = subset_thresholds(self.run, members)
        draws = np.array([drawn for _, _, drawn in results], np.float32)  # (K, R, 3, M)
        return {
            "scores": np.array([scores for scores, _, _ in results]),
            "metrics": np.array([metrics for _, metrics, _ in results]),
            "draws": draws[:, :, 2],
            "halves": draws[:, :, :2],
            "thresholds": np.array([t.value if t else np.nan for t in thresholds]),
        }

    def _named(self, row: np.ndarray) -> list[str]:
        return [light for light, present in zip(self.run.lights, row, strict=True) if present]

    def _results(self, members: np.ndarray, draw: bool) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """For each set its scores (N,), metrics (M,) and, if `draw`, metrics of the draws (R, 3, M): halves, whole."""
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # sorting releases the GIL
            for chunk in self._chunks(members):
                yield from pool.map(partial(self._measure, draw=draw), chunk)

    def _chunks(self, members: np.ndarray) -> Iterator[list[np.ndarray]]:
        """Maps (N, H, W) of the sets, in chunks of sets."""
        if self.run.model.config.target == "fused":  # the student's input depends on the lights, so it runs again
            for row in members:
                yield [self.run.evaluate(self.dataset, self._named(row)).maps[self.rows]]
            return
        size = self.dataset.image_size
        step = max(1, MAX_MAP_BYTES // (4 * self.masks.size))
        for start in range(0, len(members), step):
            rows = torch.from_numpy(members[start : start + step]).to(self.run.device)
            maps = np.empty((len(rows), *self.masks.shape), np.float32)
            for n, i in enumerate(self.rows):
                sample = self.evidence.rows(slice(i, i + 1), self.run.everything)
                maps[:, n] = self.run.model.anomaly_maps(sample, rows, size).cpu().numpy()
            yield list(maps)

    def _measure(self, maps: np.ndarray, draw: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        scores = maps.max((1, 2)).astype(float)
        metrics = image_metrics(self.anomalous, scores)
        if self.masked.any():
            metrics |= pixel_metrics(self.masks[self.masked], maps[self.masked], self.region)
        draws = np.empty((0, 3, len(METRICS)))
        if draw:
            sampler = Resampler(self.anomalous, scores, self.masks, maps, self.masked, self.region)
            counts = np.concatenate([self.counts, self.counts.sum(1, keepdims=True)], 1)  # (R, 3, N)
            rows = counts.reshape(-1, counts.shape[-1])
            chunks = [sampler.metrics(chunk) for chunk in np.array_split(rows, min(12, len(rows)))]
            draws = np.concatenate(chunks).reshape(len(counts), 3, len(METRICS))
        return scores, np.array([metrics.get(metric, np.nan) for metric in METRICS]), draws


def rank(metrics: np.ndarray, m: int) -> np.ndarray:
    """Metrics (..., M) as one number to select by: metric m, ties broken by the better localisation."""
    return metrics[..., m] + 1e-6 * np.nan_to_num(metrics[..., METRICS.index("pixel_ap")])
