"""Results of a sweep: the metrics of each group of runs, stored on disk, and tables over all groups.

judge_group(group, folder)                       # runs -> metrics, once
results = load_results(folder, plan.groups())
table = summary_table(results, "image_auroc")    # a row a method
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from afrd.analysis.comparison.methods import Method, methods_of
from afrd.data.dataset import MultiLightDataset, open_dataset
from afrd.files import replacing
from afrd.metrics.bootstrap import interval
from afrd.metrics.predictions import Predictions
from afrd.metrics.ranking import METRICS, pixel_metrics
from afrd.metrics.views import object_metrics
from afrd.model.teacher import Teacher
from afrd.runs.plan import fingerprint
from afrd.runs.run import load_run
from afrd.runs.sweep_plan import Group

REPORTED_METRICS = ("image_auroc", "pixel_auroc", "pixel_ap", "aupro")
BOOTSTRAP_DRAWS = 1000
EXAMPLE_NAMES = ("best", "median", "worst")


@dataclass(frozen=True, eq=False)
class GroupResult:
    """Metrics of all methods of one group.

    Attributes:
        group: the group of runs.
        split: evaluated, with `samples` good and anomalous ones.
        methods: K labels, see `methods_of`; the first is the reference.
        runs: K paths of run folders, relative to the sweep's, joined by `|` where several are fused late.
        metrics: (K, M), those of `METRICS`.
        draws: (K, BOOTSTRAP_DRAWS, M) of the bootstrap; the same samples are drawn for all methods.
        maps: (K, 3, H, W) anomaly maps of the `EXAMPLES` in units of each method's threshold.
        objects: (K,) AUROC of whole objects where a sample is one view of an object, else NaN.
        examples: positions in the split of the anomalous samples on which the reference has its best, median and worst
            pixel AP; empty where there are no masks.
    """

    group: Group
    split: str
    samples: tuple[int, int]
    methods: tuple[str, ...]
    runs: tuple[str, ...]
    metrics: np.ndarray
    draws: np.ndarray
    maps: np.ndarray
    examples: tuple[int, ...]
    objects: tuple[float, ...] = ()


def judge_group(group: Group, root: str | Path, folder: Path, seed: int, teacher: Teacher | None = None) -> None:
    """Evaluates every method that the finished runs of a group allow, and stores the metrics in the sweep's folder.

    Args:
        group: its runs that are missing are left out.
        root: of the data set.
        folder: of the sweep.
        seed: of the bootstrap; the same for the seeds of a category, so that their draws are of the same samples.
        teacher: a loaded one to share.

    Raises:
        ValueError: no run of the group is finished, or the data do not fit.
    """
    finished = [cell for cell in group.cells if (folder / cell.folder / "model.safetensors").exists()]
    if not finished:
        raise ValueError(f"{folder / group.name}: no run of this group is finished; run the sweep again")
    category = open_dataset(root, group.category, group.views)
    dataset = category[category.test_split]
    runs = [load_run(folder / cell.folder, teacher=teacher) for cell in finished]
    methods = methods_of(runs, list(group.lights))
    metrics, draws, maps, objects = [], [], [], []
    examples: list[int] | None = None
    for method in methods:
        predictions = method.judge(dataset)
        if examples is None:
            examples = _examples(predictions)
        values = predictions.metrics()
        metrics.append([values[name] for name in METRICS])
        objects.append(_object_auroc(predictions, dataset))
        draws.append(predictions.resampler.draw(BOOTSTRAP_DRAWS, seed))
        unit = predictions.threshold.value if predictions.threshold else float(predictions.maps.max())
        maps.append(np.asarray(predictions.maps[examples], np.float32) / max(unit, 1e-12))
    labels = list(dataset.anomalous)
    about = {
        "split": dataset.split,
        "samples": [labels.count(False), labels.count(True)],
        "methods": [method.label for method in methods],
        "runs": ["|".join(_relative(method, folder)) for method in methods],
        "examples": examples or [],
        "objects": objects,
        "pictures": _pictures(dataset),
    }
    tensors = {"metrics": np.array(metrics), "draws": np.array(draws, np.float32), "maps": np.array(maps, np.float16)}
    with replacing(_file(folder, group)) as path:
        contiguous = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in tensors.items()}
        save_file(contiguous, path, metadata={"about": json.dumps(about)})


def is_judged(group: Group, folder: Path, root: str | Path) -> bool:
    """Whether the group's stored metrics are newer than its runs, and of the test pictures and labels in `root`.

    Without data in `root`, stored metrics cannot be outdated by them.
    """
    file = _file(folder, group)
    weights = [folder / cell.folder / "model.safetensors" for cell in group.cells]
    if not file.exists() or any(w.stat().st_mtime > file.stat().st_mtime for w in weights if w.exists()):
        return False
    try:
        category = open_dataset(root, group.category, group.views)
        pictures = _pictures(category[category.test_split])
    except (ValueError, OSError):
        return True
    try:
        with safe_open(file, "np") as content:
            return json.loads(content.metadata()["about"]).get("pictures") == pictures
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return False


def _pictures(dataset: MultiLightDataset) -> str:
    """Identifies the test pictures and their labels, wherever the data set lies."""
    labels = repr(list(zip(dataset.anomalous, dataset.defects, strict=True)))
    return f"{fingerprint(dataset.lights, dataset)} {hashlib.sha256(labels.encode()).hexdigest()[:16]}"


def load_results(folder: Path, groups: Sequence[Group]) -> list[GroupResult]:
    """The results of all groups that have been evaluated.

    Raises:
        ValueError: a file is broken.
    """
    return [_load(_file(folder, group), group) for group in groups if _file(folder, group).exists()]


def _load(file: Path, group: Group) -> GroupResult:
    try:
        with safe_open(file, "np") as content:
            about = json.loads(content.metadata()["about"])
            arrays = {name: content.get_tensor(name) for name in ("metrics", "draws", "maps")}
        good, anomalous = about["samples"]
        return GroupResult(
            group,
            about["split"],
            (good, anomalous),
            tuple(about["methods"]),
            tuple(about["runs"]),
            arrays["metrics"],
            arrays["draws"],
            arrays["maps"].astype(np.float32),
            tuple(about["examples"]),
            tuple(math.nan if value is None else value for value in about.get("objects", ())),
        )
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} cannot be read ({error}); delete it and run the sweep again") from error


def scores_table(results: Sequence[GroupResult]) -> pd.DataFrame:
    """A row a group and method: `category`, `lights`, `teacher`, `size`, `seed`, `method`, `runs`, and `METRICS`.

    Where a sample is one view of an object, `object_auroc` as well.
    """
    rows = [
        {
            "category": result.group.category,
            "lights": "+".join(result.group.lights),
            "teacher": result.group.teacher,
            "size": result.group.size,
            "seed": result.group.seed,
            "method": label,
            "runs": runs,
            **dict(zip(METRICS, values.tolist(), strict=True)),
            **({} if math.isnan(whole) else {"object_auroc": whole}),
        }
        for result in results
        for label, runs, values, whole in zip(
            result.methods,
            result.runs,
            result.metrics,
            result.objects or [math.nan] * len(result.methods),
            strict=True,
        )
    ]
    return pd.DataFrame(rows)


def common_methods(results: Sequence[GroupResult]) -> list[str]:
    """Labels of the methods that all groups have, in the order of the first group: only these can be averaged."""
    if not results:
        return []
    return [label for label in results[0].methods if all(label in result.methods for result in results)]


def summary_table(results: Sequence[GroupResult], metric: str, level: float = 0.95) -> pd.DataFrame:
    """Each method's mean over categories and seeds, compared with the first method's.

    Args:
        results: of one subset of lights, teacher and size, see `comparable`.
        metric: one of `METRICS`.
        level: of the intervals.

    Returns:
        Index method; a column for each category (mean over seeds), `mean`, `deviation` (standard deviation over seeds
        of the mean over categories; NaN for one seed), `low`, `high` (bootstrap interval of the mean over the test
        samples), `difference` (the reference minus the method) with `difference_low`, `difference_high`, and `p`
        (two-sided, of the paired bootstrap, corrected for the number of methods by Holm's procedure).
    """
    labels, m = common_methods(results), METRICS.index(metric)
    scores = scores_table(results)
    scores = scores[scores.method.isin(labels)]
    table = scores.pivot_table(index="method", columns="category", values=metric, dropna=False).loc[labels]
    table["mean"] = table.mean(axis=1, skipna=False)
    by_seed = scores.pivot_table(index="method", columns="seed", values=metric, dropna=False).loc[labels]
    table["deviation"] = by_seed.std(axis=1, ddof=1)
    draws = {
        label: np.mean([result.draws[result.methods.index(label), :, m] for result in results], axis=0)
        for label in labels
    }
    edges = np.array([interval(draws[label].astype(float), level) for label in labels])
    table["low"], table["high"] = edges[:, 0], edges[:, 1]
    reference = labels[0]
    table["difference"] = table["mean"][reference] - table["mean"]
    changes = np.array([draws[reference] - draws[label] for label in labels]).astype(float)
    table["difference_low"], table["difference_high"] = interval(changes, level, axis=1)
    p = np.array([_two_sided(change) for change in changes[1:]])
    table["p"] = [np.nan, *holm(p)]
    return table


def comparable(results: Sequence[GroupResult]) -> dict[tuple[str, str, int], list[GroupResult]]:
    """Results by what must be the same to be averaged: lights (joined by +), teacher, size."""
    groups: dict[tuple[str, str, int], list[GroupResult]] = {}
    for result in results:
        group = result.group
        groups.setdefault(("+".join(group.lights), group.teacher, group.size), []).append(result)
    return groups


def holm(p: np.ndarray) -> np.ndarray:
    """P-values corrected by Holm's step-down procedure.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6
    (1979), https://www.jstor.org/stable/4615733. NaN stays NaN and is not counted.
    """
    corrected = np.full(len(p), np.nan)
    valid = np.flatnonzero(~np.isnan(p))
    order = valid[np.argsort(p[valid], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return corrected


@dataclass(frozen=True)
class RankComparison:
    """Ranks of the methods over the categories.

    Attributes:
        ranks: mean rank of each method, 1 is the best; best first.
        p: of Friedman's test that all methods rank alike.
        critical_difference: of mean ranks, above which two methods differ at 95 % confidence (Nemenyi).
        categories: how many were ranked.
    """

    ranks: pd.Series
    p: float
    critical_difference: float
    categories: int


def rank_comparison(results: Sequence[GroupResult], metric: str) -> RankComparison | None:
    """Friedman's test and Nemenyi's critical difference over the categories, each the mean over its seeds.

    Source: J. Demšar, Statistical comparisons of classifiers over multiple data sets, JMLR 7 (2006), section 3.2.2,
    https://jmlr.org/papers/v7/demsar06a.html.

    Returns:
        None with fewer than three methods or categories, or where the metric is not defined in one of them.
    """
    labels = common_methods(results)
    scores = scores_table(results)
    if len(labels) < 3 or scores.category.nunique() < 3:
        return None
    values = scores[scores.method.isin(labels)].pivot_table(
        index="category", columns="method", values=metric, dropna=False
    )[labels]
    if values.isna().any(axis=None):
        return None
    ranks = pd.DataFrame(rankdata(-values.to_numpy(), axis=1), columns=labels).mean().sort_values(kind="stable")
    k, n = len(labels), len(values)
    q = studentized_range.ppf(0.95, k, np.inf) / np.sqrt(2)
    p = float(friedmanchisquare(*values.to_numpy().T).pvalue) if values.nunique(axis=1).max() > 1 else 1.0
    return RankComparison(ranks, p, float(q * np.sqrt(k * (k + 1) / (6 * n))), n)


def _two_sided(change: np.ndarray) -> float:
    """Bootstrap p-value of "no difference": twice the smaller tail of the draws around zero."""
    change = change[~np.isnan(change)]
    if not len(change):
        return float("nan")
    tail = min((change <= 0).sum(), (change >= 0).sum())
    return float(min(1.0, 2 * (tail + 1) / (len(change) + 1)))


def _object_auroc(predictions: Predictions, dataset: MultiLightDataset) -> float | None:
    """AUROC of whole objects; None where a sample is no view of one, or only one kind of objects is there."""
    if not dataset.views:
        return None
    objects, anomalous = zip(*((view.object, view.anomalous) for view in dataset.views), strict=True)
    found = object_metrics(predictions, objects, anomalous)["image_auroc"]
    return None if math.isnan(found) else found


def _examples(predictions: Predictions) -> list[int]:
    """The anomalous samples with the best, the median and the worst own pixel AP."""
    positions = [i for i in np.flatnonzero(predictions.masked).tolist() if predictions.masks[i].any()]
    quality = [pixel_metrics(predictions.masks[[i]], predictions.maps[[i]])["pixel_ap"] for i in positions]
    order = [positions[i] for i in np.argsort(quality, kind="stable")[::-1]]
    return [order[0], order[len(order) // 2], order[-1]] if order else []


def _relative(method: Method, folder: Path) -> list[str]:
    return [run.folder.resolve().relative_to(folder.resolve()).as_posix() for run in method.runs]


def _file(folder: Path, group: Group) -> Path:
    return folder / f"{group.name}.safetensors"


def example_samples(result: GroupResult, root: str | Path) -> tuple[MultiLightDataset, list[str]]:
    """The split of a result, and what each of its `examples` is called: `best`, `median`, `worst`."""
    dataset = open_dataset(root, result.group.category, result.group.views)[result.split]
    return dataset, list(EXAMPLE_NAMES[: len(result.examples)])
