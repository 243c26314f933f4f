"""Methods to evaluate a split: runs with their fusions, single lights, and single lights fused late.

methods = methods_of(runs, lights=["top", "box"])
predictions = {method.label: method.judge(dataset) for method in methods}
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import zip_longest
from pathlib import Path

import numpy as np

from afrd.data.dataset import MultiLightDataset, parse_lights
from afrd.metrics.predictions import Predictions
from afrd.metrics.threshold import Threshold, conformal_threshold
from afrd.model.config import EVIDENCE_FUSIONS
from afrd.runs.run import Run

LATE_FUSIONS = ("mean", "max")


@dataclass(frozen=True)
class Method:
    """One method to evaluate a split.

    Attributes:
        label: unique among those of `methods_of`, without the lights.
        runs: one run, or the single-light runs whose maps are fused late.
        lights: names of the lights used.
        fusion: of the run's evidence, or of the runs' maps; None where there is nothing to fuse or the run's features
            are fused.
    """

    label: str
    runs: tuple[Run, ...]
    lights: tuple[str, ...]
    fusion: str | None

    @property
    def late(self) -> bool:
        """Whether several networks are fused late."""
        return len(self.runs) > 1

    @property
    def single(self) -> bool:
        """Whether it is a network for one light, and not a run of several lights that is given only one."""
        return not self.late and len(self.runs[0].lights) == 1

    @property
    def memory(self) -> bool:
        return self.runs[0].model.config.method == "memory"

    def judge(self, dataset: MultiLightDataset, judged_run: Callable[[Run], Predictions] | None = None) -> Predictions:
        """Evaluates a split: scores, maps, verdicts; `method` of the result is this label.

        Args:
            dataset: the split.
            judged_run: gives the predictions of a run that is fused late, `Run.evaluate` by default; where they are
                known already.

        Raises:
            ValueError: a run does not fit the data.
        """
        if not self.late:
            return replace(self.runs[0].evaluate(dataset, self.lights, self.fusion), method=self.label)
        singles = [run.evaluate(dataset) if judged_run is None else judged_run(run) for run in self.runs]
        calibrations = {(run.config.category, run.config.calibration, run.config.picture_size) for run in self.runs}
        calibration = [run.calibration_maps() for run in self.runs] if len(calibrations) == 1 else []
        return late_fusion(singles, self.fusion or "mean", calibration, self.label)


def methods_of(runs: Sequence[Run], lights: str | Sequence[str | int] | None = None) -> list[Method]:
    """All methods that these runs of one category allow with these lights.

    A run of several lights gives methods with those of the lights that it was trained on (in each fusion of its
    evidence, if they are two or more), a single-light run if its light is among them, and the single-light RDs
    together, fused late, if they cover two lights or more; of several such runs of a light the first is used.

    Args:
        runs: of one category.
        lights: a subset of the runs' lights; all by default.

    Raises:
        ValueError: a light that no run was trained on, or no light.
    """
    lights_of_runs = list(
        dict.fromkeys(light for run in sorted(runs, key=lambda r: -len(r.lights)) for light in run.lights)
    )
    if not lights_of_runs:
        return []
    used = parse_lights(lights, lights_of_runs)
    methods: list[Method] = []
    for run in (run for run in runs if len(run.lights) > 1):
        used_lights = tuple(light for light in run.lights if light in used)
        if not used_lights:
            continue
        config = run.model.config
        name = "patch memory" if config.method == "memory" else "AFRD"
        if config.target == "fused":
            methods.append(Method(f"{name}, {config.fusion} over features", (run,), used_lights, None))
            continue
        # the run's own fusion first, as the page shows its verdicts; one light needs no other
        possible = [how for how in EVIDENCE_FUSIONS if how != "learned" or run.model.learned is not None]
        fusions = sorted(possible, key=lambda how: how != config.fusion)[: None if len(used_lights) > 1 else 1]
        methods += [Method(f"{name}, {how} over evidence", (run,), used_lights, how) for how in fusions]
    singles = [run for run in runs if len(run.lights) == 1 and run.lights[0] in used]
    singles.sort(key=lambda run: lights_of_runs.index(run.lights[0]))
    methods += [single_method(run) for run in singles]
    rds: dict[str, Run] = {}
    for run in singles:
        if run.model.config.method == "afrd":
            rds.setdefault(run.lights[0], run)
    if len(rds) > 1:
        methods += [
            Method(f"single-light RDs, late {how}", tuple(rds.values()), tuple(rds), how) for how in LATE_FUSIONS
        ]
    return _with_unique_labels(methods)


def single_method(run: Run) -> Method:
    """The method of a single-light run."""
    kind = "memory" if run.model.config.method == "memory" else "RD"
    return Method(f"single-light {kind}, {run.lights[0]}", (run,), run.lights, None)


def reference_of(methods: Sequence[Method], folder: Path | None = None) -> Method:
    """The method that the others are compared with: of the run in this folder with its own fusion, else the first.

    Raises:
        ValueError: there is no method.
    """
    if not methods:
        raise ValueError("there is no run to judge with these lights")
    return next((m for m in methods if not m.late and m.runs[0].folder == folder), methods[0])


def late_fusion(
    singles: Sequence[Predictions],
    how: str,
    calibration: Sequence[Iterable[np.ndarray]] = (),
    label: str | None = None,
) -> Predictions:
    """Late fusion of separate networks: mean or maximum of their maps at every pixel.

    The threshold is the conformal one of the calibration maps, fused in the same way; without calibration maps of every
    network there are no threshold and no verdicts.

    Args:
        singles: predictions of the networks on one split.
        how: `mean` or `max`.
        calibration: per network the maps of the same good samples, in the same chunks (..., H, W), such as those of
            `Run.calibration_maps`; iterated once.
        label: the method's name in the result.

    Raises:
        ValueError: another `how`, or predictions of different samples.
    """
    if how not in LATE_FUSIONS:
        raise ValueError(f"maps cannot be fused late by {how!r}; choose one of {', '.join(LATE_FUSIONS)}")
    for other in singles[1:]:
        other.check_same_samples(singles[0], "fused")
        if other.maps.shape != singles[0].maps.shape:
            raise ValueError(
                f"maps of {other.method} are {other.maps.shape[1:]} pixels and those of {singles[0].method} "
                f"{singles[0].maps.shape[1:]}, so they cannot be fused; evaluate both on pictures of one size"
            )
    maps = _fused_maps([p.maps for p in singles], how)
    scores = maps.max((1, 2)).astype(float)
    threshold: Threshold | None = None
    calibration_scores = _calibration_scores(calibration, how) if len(calibration) == len(singles) else np.empty(0)
    if len(calibration_scores):
        threshold = conformal_threshold(calibration_scores)
    verdicts = [threshold.verdict(s) if threshold else "" for s in scores]
    counted = reduce(Predictions.counted_as, singles)
    return replace(
        counted,
        table=counted.table.assign(score=scores, verdict=verdicts),
        maps=maps,
        method=label or f"single-light RDs, late {how}",
        lights=tuple(light for p in singles for light in p.lights),
        threshold=threshold,
    )


def _calibration_scores(calibration: Sequence[Iterable[np.ndarray]], how: str) -> np.ndarray:
    """Maxima of the fused maps, chunk by chunk; empty where the networks' maps are not of the same samples."""
    scores = [np.empty(0)]
    for chunks in zip_longest(*calibration):
        if any(chunk is None or chunk.shape != chunks[0].shape for chunk in chunks):
            return np.empty(0)
        scores.append(np.atleast_1d(_fused_maps(chunks, how).max((-2, -1))))
    return np.concatenate(scores)


def _fused_maps(maps: Sequence[np.ndarray], how: str) -> np.ndarray:
    """Mean or maximum of several networks' maps (..., H, W), in place: large splits do not fit in memory twice."""
    total = maps[0].astype(np.float32)  # a copy
    for map_ in maps[1:]:
        if how == "mean":
            total += map_
        else:
            np.maximum(total, map_, out=total)
    return total / np.float32(len(maps)) if how == "mean" else total


def _with_unique_labels(methods: list[Method]) -> list[Method]:
    """The methods, with the differing parts of their folders added to labels that are not unique."""
    folders: dict[str, list[str]] = {}
    for method in methods:
        folders.setdefault(method.label, []).append(str(method.runs[0].folder))
    relabelled = []
    for method in methods:
        same_label = folders[method.label]
        if len(same_label) > 1:
            suffix = os.path.relpath(method.runs[0].folder, os.path.commonpath(same_label))
            method = replace(method, label=f"{method.label} ({suffix})")
        relabelled.append(method)
    return relabelled
