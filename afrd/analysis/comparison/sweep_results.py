"""Results of a sweep: the metrics of each group of runs, stored on disk.

judge_group(group, data, folder, seed=0)         # runs -> metrics, once
results = load_results(folder, plan.groups())
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from afrd.analysis.comparison.methods import Method, methods_of
from afrd.data.dataset import MultiLightDataset, open_dataset
from afrd.metrics.predictions import Predictions
from afrd.metrics.ranking import pixel_metrics
from afrd.metrics.views import object_metrics
from afrd.metrics.words import METRICS
from afrd.model.teacher import load_teacher
from afrd.runs.file_names import WEIGHTS
from afrd.runs.loading import load_run
from afrd.runs.plan import fingerprint
from afrd.runs.run import Run
from afrd.runs.sweep_plan import Cell, Group
from afrd.runs.sweep_runs import difference, is_trained
from afrd.runs.tensors import save_tensors

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
        file: of the result, from which `maps` are read.
        rows: K positions of the methods in the file.
        objects: (K,) AUROC of whole objects where a sample is one view of an object, else NaN.
        examples: positions in the split of the anomalous samples on which the reference has its best, median and worst
            pixel AP; empty where there are no masks.
        seconds: the evaluation took; NaN if unknown.
    """

    group: Group
    split: str
    samples: tuple[int, int]
    methods: tuple[str, ...]
    runs: tuple[str, ...]
    metrics: np.ndarray
    draws: np.ndarray
    file: Path
    examples: tuple[int, ...]
    objects: tuple[float, ...] = ()
    seconds: float = math.nan
    rows: tuple[int, ...] = ()

    def maps(self) -> np.ndarray:
        """(K, 3, H, W) anomaly maps of the `examples` in units of each method's threshold.

        Raises:
            ValueError: the file is broken.
        """
        with _opened(self.file) as content:
            return content.get_tensor("maps")[list(self.rows)].astype(np.float32)


def judge_group(group: Group, root: str | Path, folder: Path, seed: int, device: str = "auto") -> None:
    """Evaluates every method that the finished runs of a group allow, and stores the metrics in the sweep's folder.

    Args:
        group: its runs that are missing are left out.
        root: of the data set.
        folder: of the sweep.
        seed: of the bootstrap; the same for the seeds of a category, so that their draws are of the same samples.
        device: see `load_run`.

    Raises:
        ValueError: no run of the group is finished, or the data do not fit.
    """
    finished = [cell for cell in group.cells if is_trained(folder, cell)]
    if not finished:
        raise ValueError(f"{folder / group.name}: no run of this group is finished; run the sweep again")
    category = open_dataset(root, group.category, group.views)
    dataset = category[category.test_split]
    began = time.monotonic()
    teacher = load_teacher(finished[0].options.teacher, finished[0].options.weights)
    # without regions and corrections, which a person may have given to single runs, so that all are judged alike
    runs = {cell: load_run(folder / cell.folder, device, teacher).base.with_region(None) for cell in finished}
    methods = _methods(runs, list(group.lights))
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
        "cells": [cell.name for cell in finished],
        "seconds": time.monotonic() - began,
    }
    arrays = {"metrics": np.array(metrics), "draws": np.array(draws, np.float32), "maps": np.array(maps, np.float16)}
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    save_tensors(result_file(folder, group), tensors, {"about": json.dumps(about)})


def _methods(runs: dict[Cell, Run], lights: list[str]) -> list[Method]:
    """Methods of a group's runs, each once: `afrd-learned` differs from `afrd` by the learned fusion alone."""
    cells = {cell.method: cell for cell in runs}
    afrd, learned = cells.get("afrd"), cells.get("afrd-learned")
    if afrd is None or learned is None or replace(learned.options, fusion=afrd.options.fusion) != afrd.options:
        return methods_of(list(runs.values()), lights)
    methods = methods_of([run for cell, run in runs.items() if cell is not learned], lights)
    own = methods_of([runs[learned]], lights)[0]
    after = max(i for i, method in enumerate(methods) if method.runs[0] is runs[afrd]) + 1
    return [*methods[:after], own, *methods[after:]]


def is_judged(group: Group, folder: Path, root: str | Path) -> bool:
    """Whether the group's stored metrics are of its finished runs, and of the test pictures and labels in `root`.

    Without data in `root`, stored metrics cannot be outdated by them.
    """
    file = result_file(folder, group)
    finished = [cell for cell in group.cells if is_trained(folder, cell)]
    weights = [folder / cell.folder / WEIGHTS for cell in finished]
    if not file.exists() or any(w.stat().st_mtime > file.stat().st_mtime for w in weights):
        return False
    try:
        with safe_open(file, "np") as content:
            about = json.loads(content.metadata()["about"])
        if about["cells"] != [cell.name for cell in finished]:
            return False
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return False
    try:
        category = open_dataset(root, group.category, group.views)
        pictures = _pictures(category[category.test_split])
    except (ValueError, OSError):
        return True
    return about.get("pictures") == pictures


def _pictures(dataset: MultiLightDataset) -> str:
    """Identifies the test pictures and their labels, wherever the data set lies."""
    labels = repr(list(zip(dataset.anomalous, dataset.defects, strict=True)))
    return f"{fingerprint(dataset.lights, dataset)} {hashlib.sha256(labels.encode()).hexdigest()[:16]}"


def load_results(folder: Path, groups: Sequence[Group]) -> list[GroupResult]:
    """The results of all groups that have been evaluated; see `load_result`.

    Raises:
        ValueError: a file is broken.
    """
    results = [load_result(folder, group) for group in groups if result_file(folder, group).exists()]
    return [result for result in results if result.methods]


def load_result(folder: Path, group: Group) -> GroupResult:
    """The result of one group, without methods whose runs are not of the plan or were trained otherwise.

    Raises:
        ValueError: its file is missing or broken.
    """
    fitting = {cell.name for cell in group.cells if not difference(folder, cell)}
    file = result_file(folder, group)
    with _opened(file) as content:
        about = json.loads(content.metadata()["about"])
        good, anomalous = about["samples"]
        rows = [row for row, runs in enumerate(about["runs"]) if fitting.issuperset(runs.split("|"))]
        objects = [math.nan if value is None else value for value in about.get("objects", ())]
        return GroupResult(
            group,
            about["split"],
            (good, anomalous),
            tuple(about["methods"][row] for row in rows),
            tuple(about["runs"][row] for row in rows),
            content.get_tensor("metrics")[rows],
            content.get_tensor("draws")[rows],
            file,
            tuple(about["examples"]),
            tuple(objects[row] for row in rows) if objects else (),
            about.get("seconds", math.nan),
            tuple(rows),
        )


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """The content of a result; errors while it is read name the file."""
    try:
        with safe_open(file, "np") as content:
            yield content
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} cannot be read ({error}); delete it and run the sweep again") from error


def result_file(folder: Path, group: Group) -> Path:
    """Where the result of a group is kept; it may not exist."""
    return folder / f"{group.name}.safetensors"


def _object_auroc(predictions: Predictions, dataset: MultiLightDataset) -> float | None:
    """AUROC of whole objects; None where a sample is no view of one, or only one kind of objects is there."""
    if not dataset.views:
        return None
    objects, anomalous = zip(*((view.object, view.anomalous) for view in dataset.views), strict=True)
    auroc = object_metrics(predictions, objects, anomalous)["image_auroc"]
    return None if math.isnan(auroc) else auroc


def _examples(predictions: Predictions) -> list[int]:
    """The anomalous samples with the best, the median and the worst own pixel AP."""
    positions = [i for i in np.flatnonzero(predictions.masked).tolist() if predictions.judged_masks[i].any()]
    quality = [
        pixel_metrics(predictions.masks[[i]], predictions.maps[[i]], predictions.region)["pixel_ap"] for i in positions
    ]
    order = [positions[i] for i in np.argsort(quality, kind="stable")[::-1]]
    return [order[0], order[len(order) // 2], order[-1]] if order else []


def _relative(method: Method, folder: Path) -> list[str]:
    return [run.folder.resolve().relative_to(folder.resolve()).as_posix() for run in method.runs]


def example_samples(result: GroupResult, root: str | Path) -> tuple[MultiLightDataset, list[str]]:
    """The split of a result, and what each of its `examples` is called: `best`, `median`, `worst`."""
    dataset = open_dataset(root, result.group.category, result.group.views)[result.split]
    return dataset, list(EXAMPLE_NAMES[: len(result.examples)])
