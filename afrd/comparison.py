"""Every way to judge one split, side by side: runs with their fusions, single lights, and single lights fused late.

methods = methods_of(runs, lights=["top", "box"])
judged = {method.label: method.judge(dataset) for method in methods}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from afrd.datasets import MultiLightDataset, parse_lights
from afrd.evaluation import Predictions, Threshold, conformal_threshold
from afrd.runs import Run

EVIDENCE_FUSIONS = ("attention", "mean", "max")
LATE_FUSIONS = ("mean", "max")


@dataclass(frozen=True)
class Method:
    """One way to judge a split.

    Attributes:
        label: unique among those of `methods_of`, without the lights.
        runs: one run, or the single-light runs whose maps are put together at the end ("late").
        lights: those that are used.
        fusion: of the run's evidence, or of the runs' maps; None where there is nothing to fuse or the run's features
            are fused.
    """

    label: str
    runs: tuple[Run, ...]
    lights: tuple[str, ...]
    fusion: str | None

    @property
    def late(self) -> bool:
        return len(self.runs) > 1

    def judge(self, dataset: MultiLightDataset) -> Predictions:
        """Scores, maps, verdicts; `method` of the result is this label."""
        if not self.late:
            return replace(self.runs[0].evaluate(dataset, self.lights, self.fusion), method=self.label)
        singles = [run.evaluate(dataset) for run in self.runs]
        calibration = [run.calibration_maps() for run in self.runs]
        return late_fusion(singles, self.fusion or "mean", calibration, self.label)


def methods_of(runs: Sequence[Run], lights: str | Sequence[str | int] | None = None) -> list[Method]:
    """All methods that these runs of one category allow with these lights.

    A run of several lights takes part with those of the lights that it knows (in each fusion of its evidence), a
    single-light run where its light is among them, and the single-light RDs together, fused late, where they are two or
    more.

    Args:
        runs: of one category.
        lights: of those that any run knows; all by default.
    """
    known = list(dict.fromkeys(light for run in sorted(runs, key=lambda r: -len(r.lights)) for light in run.lights))
    used = parse_lights(lights, known)
    found: list[Method] = []
    for run in (run for run in runs if len(run.lights) > 1):
        mine = tuple(light for light in run.lights if light in used)
        if not mine:
            continue
        config = run.model.config
        what = "patch memory" if config.method == "memory" else "AFRD"
        if config.target == "fused":
            found.append(Method(f"{what}, {config.fusion} over features", (run,), mine, None))
            continue
        # the run's own fusion first: it is the one whose verdicts the page shows
        for how in sorted(EVIDENCE_FUSIONS, key=lambda how: how != config.fusion):
            found.append(Method(f"{what}, {how} over evidence", (run,), mine, how))
    singles = [run for run in runs if len(run.lights) == 1 and run.lights[0] in used]
    singles.sort(key=lambda run: known.index(run.lights[0]))
    for run in singles:
        kind = "memory" if run.model.config.method == "memory" else "RD"
        found.append(Method(f"single-light {kind}, {run.lights[0]}", (run,), run.lights, None))
    rds = tuple(run for run in singles if run.model.config.method == "afrd")
    if len(rds) > 1:
        together = tuple(run.lights[0] for run in rds)
        found += [Method(f"single-light RDs, late {how}", rds, together, how) for how in LATE_FUSIONS]
    return _told_apart(found)


def late_fusion(
    singles: Sequence[Predictions],
    how: str,
    calibration: Sequence[np.ndarray] = (),
    label: str | None = None,
) -> Predictions:
    """Separate networks, whose maps are put together at the end: their mean or maximum at every pixel.

    Args:
        singles: of the same split, one a network.
        how: `mean` or `max`.
        calibration: per network the maps (n, H, W) of the same good samples, for the threshold of the fused scores.
        label: the method's name in the result.
    """
    if how not in LATE_FUSIONS:
        raise ValueError(f"maps cannot be fused late by {how!r}; choose one of {', '.join(LATE_FUSIONS)}")
    maps = _together([p.maps for p in singles], how)
    scores = maps.max((1, 2))
    threshold: Threshold | None = None
    if calibration and all(len(maps) for maps in calibration):
        threshold = conformal_threshold(_together(calibration, how).max((1, 2)))
    verdicts = [threshold.verdict(s) if threshold else "" for s in scores]
    return replace(
        singles[0],
        table=singles[0].table.assign(score=scores, verdict=verdicts),
        maps=maps,
        method=label or f"single-light RDs, late {how}",
        lights=tuple(light for p in singles for light in p.lights),
        threshold=threshold,
    )


def _together(maps: Sequence[np.ndarray], how: str) -> np.ndarray:
    """Maps (N, H, W) of several networks as one, without stacking them all: large splits do not fit twice."""
    total = maps[0].astype(np.float32)
    for one in maps[1:]:
        total = total + one if how == "mean" else np.maximum(total, one)
    return total / np.float32(len(maps)) if how == "mean" else total


def _told_apart(methods: list[Method]) -> list[Method]:
    """Two runs of the same kind are told apart by their folders."""
    labels = [method.label for method in methods]
    return [
        replace(method, label=f"{method.label} ({method.runs[0].name})") if labels.count(method.label) > 1 else method
        for method in methods
    ]
