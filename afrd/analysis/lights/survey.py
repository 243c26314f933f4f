"""Survey of all sets of a run's lights on one split: their metrics, Shapley values and redundancy of the lights.

result = survey(run, data["test_public"])   # all 2^L - 1 sets, stored in the run folder
result.table()                              # a row a set
result.shapley("image_auroc")               # a row a light
redundancy(result)                          # rank correlations of the lights, clustered

Beyond `MAX_EXACT_LIGHTS` lights good sets are searched instead, see docs/lights.md; `afrd.analysis.lights.advisor`
derives advice from the result.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from afrd.analysis.explain.shapley import MAX_EXACT_LIGHTS, coalitions, shapley
from afrd.analysis.lights.subsets import Report, SubsetEvaluation
from afrd.data.dataset import MultiLightDataset
from afrd.files import file_state
from afrd.metrics.bootstrap import interval
from afrd.metrics.threshold import SCORE_TOLERANCE
from afrd.metrics.words import METRICS
from afrd.runs.correction_files import corrected_samples
from afrd.runs.file_names import CALIBRATION, WEIGHTS
from afrd.runs.run import Run
from afrd.runs.tensors import load_tensors, save_tensors

FORMAT = 2
MIN_CORRELATED_SAMPLES = 3  # for a rank correlation
BOOTSTRAP_DRAWS = 300  # each split into two halves


@dataclass(frozen=True, eq=False)
class Survey:
    """Results of one run on one split under many sets of its lights.

    K sets, L lights, N samples of known truth, M metrics (those of `METRICS`), R bootstrap draws. A draw takes N
    samples with replacement, good and anomalous ones separately, from two random halves of the split; the same draws
    are used for all sets, so that sets can be compared in pairs.

    Attributes:
        category, split, method: of the samples and of the run.
        lights: the run's.
        members: (K, L) bool, by size; the last row holds all lights.
        metrics: (K, M), exact.
        scores: (K, N) image scores.
        thresholds: (K,) each set's own; NaN for a run without calibration samples.
        names, anomalous, defects: of the N samples; defect types are joined by +.
        counts: (R, 2, N) how often a sample was drawn in each half.
        draws: (K, R, M) metrics of the draws; pixel metrics from histograms, which agree to about 1e-3.
        halves: (K, R, 2, M) metrics of the draws' halves.
        empty: (M,) value of the empty set: the metrics of a constant map, 0.5 for the image AUROC.
        searched: number of sets evaluated in a search for these; 0 where all sets were evaluated.
        walks: (orders, L, M) each light's gain when lights are added one by one in random orders; empty without search.
    """

    category: str
    split: str
    method: str
    lights: tuple[str, ...]
    members: np.ndarray
    metrics: np.ndarray
    scores: np.ndarray
    thresholds: np.ndarray
    names: tuple[str, ...]
    anomalous: np.ndarray
    defects: tuple[str, ...]
    counts: np.ndarray
    draws: np.ndarray
    halves: np.ndarray
    empty: np.ndarray
    searched: int
    walks: np.ndarray

    def __len__(self) -> int:
        return len(self.members)

    @property
    def whole(self) -> int:
        """Row of all lights."""
        return len(self.members) - 1

    def row(self, lights: Sequence[str]) -> int:
        """Row of a set.

        Raises:
            ValueError: it was not evaluated.
        """
        members = np.array([light in lights for light in self.lights])
        rows = np.flatnonzero((self.members == members).all(1))
        if not len(rows) or not set(lights) <= set(self.lights):
            raise ValueError(f"the lights {', '.join(lights) or '(none)'} were not looked at together")
        return int(rows[0])

    def named(self, row: int) -> tuple[str, ...]:
        """The lights of a set."""
        return tuple(light for light, present in zip(self.lights, self.members[row], strict=True) if present)

    def table(self) -> pd.DataFrame:
        """A row a set, in the order of `members`: `lights` (comma-separated), `size`, the metrics, `missed` and
        `false_alarms` at the set's own threshold (NaN without one)."""
        predicted_anomalous = self.scores > self.thresholds[:, None] * (1 + SCORE_TOLERANCE)  # (K, N)
        without_threshold = np.isnan(self.thresholds)
        return pd.DataFrame(
            {
                "lights": [", ".join(self.named(k)) for k in range(len(self))],
                "size": self.members.sum(1),
                **{metric: self.metrics[:, m] for m, metric in enumerate(METRICS)},
                "missed": np.where(without_threshold, np.nan, (~predicted_anomalous & self.anomalous).sum(1)),
                "false_alarms": np.where(without_threshold, np.nan, (predicted_anomalous & ~self.anomalous).sum(1)),
            }
        )

    def shapley(self, metric: str = "image_auroc", level: float = 0.95) -> pd.DataFrame:
        """Shapley values of the lights in a metric, over all sets of the lights.

        The values sum to the metric of all lights minus `empty`. Where sets were searched, they are means over random
        orders of the lights, and the interval covers these orders only.

        Returns:
            Index light; columns `value`, `low`, `high`: a bootstrap interval over the samples.
        """
        m = METRICS.index(metric)
        if self.searched:
            pair_means = self.walks[:, :, m].reshape(-1, 2, len(self.lights)).mean(1)  # an order and its reverse
            value = pair_means.mean(0)
            spread = 1.96 * pair_means.std(0, ddof=1) / np.sqrt(len(pair_means))
            return pd.DataFrame(
                {"value": value, "low": value - spread, "high": value + spread}, index=list(self.lights)
            )
        places = self.members @ (1 << np.arange(len(self.lights)))
        values = np.full((1 + self.draws.shape[1], 2 ** len(self.lights)), self.empty[m])
        values[0, places], values[1:, places] = self.metrics[:, m], self.draws[:, :, m].T
        shares = shapley(values)  # (1 + R, L)
        low, high = interval(shares[1:], level)
        return pd.DataFrame({"value": shares[0], "low": low, "high": high}, index=list(self.lights))


@dataclass(frozen=True, eq=False)
class Redundancy:
    """Rank correlations of the lights' scores.

    Attributes:
        table: (L, L) rank correlation of the scores that two lights alone give, rows and columns in clustered order.
        tree: linkage of `scipy.cluster.hierarchy`, average distance 1 - correlation, leaves in the order of the run.
        samples, which: number of samples, and their kind: `all`, `good` or `anomalous`.
    """

    table: pd.DataFrame
    tree: np.ndarray
    samples: int
    which: str


def redundancy(survey: Survey, which: str = "all") -> Redundancy:
    """Spearman's correlation of the lights' own image scores over the samples, ordered by hierarchical clustering.

    Lights that separate anomalous from good samples correlate for that reason alone; within `good` or `anomalous`
    samples further agreement becomes visible.

    Raises:
        ValueError: `which` is not known, there is one light only, or there are fewer than three such samples.
    """
    selections = {"all": np.ones_like(survey.anomalous), "good": ~survey.anomalous, "anomalous": survey.anomalous}
    if which not in selections:
        raise ValueError(f"samples {which!r} are not known; choose all, good or anomalous")
    if len(survey.lights) < 2:
        raise ValueError(f"one light ({survey.lights[0]}) cannot be redundant")
    if selections[which].sum() < MIN_CORRELATED_SAMPLES:
        raise ValueError(
            f"{int(selections[which].sum())} samples are too few for a correlation; {MIN_CORRELATED_SAMPLES} are needed"
        )
    alone = [survey.row([light]) for light in survey.lights]
    scores = pd.DataFrame(survey.scores[alone][:, selections[which]].T, columns=list(survey.lights))
    table = scores.corr("spearman").fillna(0.0).to_numpy().copy()
    np.fill_diagonal(table, 1.0)
    tree = linkage(squareform(1 - table, checks=False), "average", optimal_ordering=True)
    order = [survey.lights[i] for i in leaves_list(tree)]
    frame = pd.DataFrame(table, index=list(survey.lights), columns=list(survey.lights))
    return Redundancy(frame.loc[order, order], tree, len(scores), which)


def survey(
    run: Run,
    dataset: MultiLightDataset,
    metric: str = "image_auroc",
    report: Report | None = None,
    repeats: int = BOOTSTRAP_DRAWS,
) -> Survey:
    """Evaluates every set of the run's lights; beyond `MAX_EXACT_LIGHTS` lights it searches the best ones of each size.

    The result is stored in the run folder and read from there the next time, unless the weights, pictures, masks,
    labels, the run's region or its corrections have changed. Samples that were corrected do not count.

    Args:
        run: with at least two lights.
        dataset: a split with good and anomalous samples.
        metric: one of `METRICS`, maximised by a search; not used up to `MAX_EXACT_LIGHTS` lights.
        report: called with (what is counted, done, in all); an exception it raises ends the work, and nothing is
            stored.
        repeats: bootstrap draws.

    Raises:
        ValueError: one light, no known truth, or a metric that is not known.
    """
    rows = _labelled_samples(run, dataset, metric)
    stored = load_survey(run, dataset, metric)
    if stored is not None and stored.draws.shape[1] >= repeats:
        return stored
    subsets = SubsetEvaluation(run, dataset, rows, repeats, report or (lambda *_: None))
    if len(run.lights) <= MAX_EXACT_LIGHTS:
        members, searched, walks = coalitions(len(run.lights))[1:], 0, np.empty((0, len(run.lights), len(METRICS)))
    else:
        members, searched, walks = subsets.search(metric)
    members = members[sorted(range(len(members)), key=lambda k: (members[k].sum(), (~members[k]).tolist()))]
    result = Survey(
        category=dataset.category,
        split=dataset.split,
        method=run.method(),
        lights=run.lights,
        members=members,
        names=tuple(dataset.names[i] for i in rows),
        anomalous=subsets.anomalous,
        defects=subsets.defects,
        counts=subsets.counts,
        empty=subsets.empty(),
        searched=searched,
        walks=walks,
        **subsets.judge(members),
    )
    _save(result, _file(run, dataset, metric), _key(run, dataset))
    return result


def estimated_seconds(run: Run, dataset: MultiLightDataset) -> float:
    """About how long `survey` takes on one core, from measurements (docs/lights.md)."""
    count, megapixels = len(run.lights), math.prod(dataset.image_size) * len(dataset) / 1e6
    sets = 2**count if count <= MAX_EXACT_LIGHTS else 12 * count**2
    student = 0.0625 * len(dataset) if run.model.config.target == "fused" else 0.0  # runs again for each set
    return sets * (0.12 + 0.077 * megapixels + student)


def load_survey(run: Run, dataset: MultiLightDataset, metric: str = "image_auroc") -> Survey | None:
    """The stored result of `survey`; None without one for these weights, pictures, masks and labels."""
    file = _file(run, dataset, metric)
    try:
        return _load(file, _key(run, dataset)) if file.is_file() else None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None  # broken: evaluated again


def with_truth(dataset: MultiLightDataset) -> np.ndarray:
    """Positions of the samples of known truth.

    Raises:
        ValueError: there are no good or no anomalous ones among them.
    """
    truths = dataset.anomalous
    if not {True, False} <= set(truths):
        raise ValueError(
            f"{dataset.category}/{dataset.split} has {truths.count(True)} anomalous and {truths.count(False)} good "
            "samples of known truth; lights can be judged only where there are both"
        )
    return np.array([i for i, truth in enumerate(truths) if truth is not None])


def _labelled_samples(run: Run, dataset: MultiLightDataset, metric: str) -> np.ndarray:
    """Positions of the samples of known truth."""
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r} is not known; choose one of {', '.join(METRICS)}")
    if len(run.lights) < 2:
        raise ValueError(
            f"run {run.folder} knows one light only ({run.lights[0]}), so there is nothing to choose from; train one "
            "on several lights (`afrd train --lights all`)"
        )
    corrected = corrected_samples(run.corrections, dataset)
    return np.array([i for i in with_truth(dataset) if i not in corrected], dtype=int)


def _file(run: Run, dataset: MultiLightDataset, metric: str) -> Path:
    suffix = f"-{metric}" if len(run.lights) > MAX_EXACT_LIGHTS else ""
    return run.folder / "lights" / f"{dataset.split}{suffix}.safetensors"


def _key(run: Run, dataset: MultiLightDataset) -> str:
    """A digest of all that a survey depends on; the data set's path does not count."""
    sha = hashlib.sha256(f"{FORMAT} {run.lights} {run.model.config} {run.config.size} {dataset.lights}".encode())
    if run.region is not None:
        sha.update(run.region.tobytes())
    sha.update("".join(correction.about.id for correction in run.corrections).encode())
    for name in (WEIGHTS, CALIBRATION):
        if (run.folder / name).is_file():
            with (run.folder / name).open("rb") as file:
                sha.update(hashlib.file_digest(file, "sha256").digest())
    for i, name in enumerate(dataset.names):
        sha.update(f"{name} {dataset.anomalous[i]} {dataset.defects[i]}".encode(errors="surrogateescape"))
        for light in run.lights:
            _, changed, size = file_state(dataset.picture(i, light))
            sha.update(f"{light} {(size, changed) if changed else None}".encode())
        for path in dataset.files(i)[1]:  # masks and metadata; not read, which would take seconds for a large split
            sha.update(repr(file_state(path)[1:]).encode())
    return sha.hexdigest()


ARRAY_TYPES = {
    "members": np.uint8,
    "metrics": np.float64,
    "scores": np.float64,
    "thresholds": np.float64,
    "anomalous": np.uint8,
    "counts": np.uint8,
    "draws": np.float32,
    "halves": np.float32,
    "empty": np.float64,
    "walks": np.float64,
}
TEXT_FIELDS = ("category", "split", "method", "lights", "names", "defects", "searched")


def _save(result: Survey, file: Path, key: str) -> None:
    tensors = {name: torch.from_numpy(getattr(result, name).astype(kind)) for name, kind in ARRAY_TYPES.items()}
    about = {"key": key, **{name: getattr(result, name) for name in TEXT_FIELDS}}
    save_tensors(file, tensors, {"about": json.dumps(about)})


def _load(file: Path, key: str) -> Survey | None:
    """Raises ValueError, KeyError, TypeError where the file is broken; None where its key differs."""
    tensors, texts = load_tensors(file)
    about: dict[str, Any] = json.loads(texts["about"])
    if about.pop("key") != key:
        return None
    arrays = {name: tensors[name].numpy() for name in ARRAY_TYPES}
    arrays |= {name: arrays[name].astype(bool) for name in ("members", "anomalous")}
    texts_and_tuples = {
        name: tuple(about[name]) if isinstance(about[name], list) else about[name] for name in TEXT_FIELDS
    }
    content: dict[str, Any] = arrays | texts_and_tuples
    result = Survey(**content)
    k, lights, n, m = len(result.members), len(result.lights), len(result.names), len(METRICS)
    r = len(result.counts)
    shapes = [
        (result.members, (k, lights)),
        (result.metrics, (k, m)),
        (result.scores, (k, n)),
        (result.thresholds, (k,)),
        (result.anomalous, (n,)),
        (result.counts, (r, 2, n)),
        (result.draws, (k, r, m)),
        (result.halves, (k, r, 2, m)),
        (result.empty, (m,)),
    ]
    return result if all(array.shape == shape for array, shape in shapes) else None
