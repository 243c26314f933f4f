"""Data with which the browser fuses lights: every light's evidence on its grid, and the fusion of the run."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import afrd.runs
from afrd.model.config import FORMULA_FUSIONS, LEARNED_COST

if TYPE_CHECKING:
    from torch import Tensor

    from afrd.metrics.threshold import Threshold
    from afrd.model.evidence import Evidence
    from afrd.runs.run import Run

IN_BROWSER = ("attention", "mean", "max", "learned")  # what fuse.js and learned.js compute
MAX_LIGHTS = 10  # 1023 sets of lights, each with a threshold
MAX_PIXELS_AT_ONCE = 4 * 10**8  # of calibration maps under all sets of lights, fused while somebody waits
MAX_SENT_WEIGHT = 2.0**15  # to which weights are scaled; the unit of weights does not matter, and float16 ends at 65504


def why_not(run: Run) -> str:
    """Why the browser cannot fuse the lights of a run, in the middle of a sentence; empty where it can."""
    if not 1 < len(run.lights) <= MAX_LIGHTS:
        return f"it is a run of {len(run.lights)} lights, not of 2 to {MAX_LIGHTS}"
    if run.model.config.target != "lights":
        return "it fuses features, so that maps of fewer lights need its network"
    if run.model.config.fusion not in IN_BROWSER:
        return f"the scripts do not know the fusion {run.model.config.fusion}"
    return ""


def all_at_once(run: Run) -> bool:
    """Whether the thresholds of all sets of lights are computed quickly."""
    return _cost(run, run.model.config.fusion) <= MAX_PIXELS_AT_ONCE


def fusions(run: Run) -> list[str]:
    """Ways to fuse the lights of a run whose thresholds are sent, its own first."""
    own = run.model.config.fusion
    return _by_formula(own) if all_at_once(run) else [own]


def _by_formula(own: str) -> list[str]:
    """A run's own fusion, and those without weights that the browser knows."""
    return list(dict.fromkeys((own, *(fusion for fusion in FORMULA_FUSIONS if fusion in IN_BROWSER))))


def fusion_of(run: Run, lights: Sequence[str] | None = None) -> dict[str, Any]:
    """The fusion of a run, as JSON.

    `thresholds` has, by fusion, the threshold of set s, the sum of 2^l over its lights l, at s; None where there is
    none, and no entry where it was not computed.

    Args:
        run: to be shown.
        lights: with thresholds of these lights and of all lights only; of every set by default.
    """
    own, count = run.model.config.fusion, len(run.lights)
    names, sets = _by_formula(own), list(range(1, 2**count))
    if lights is not None:
        chosen = sum(1 << i for i, light in enumerate(run.lights) if light in lights)
        names, sets = [own], sorted({chosen, 2**count - 1} - {0})
    members = (np.array(sets)[:, None] >> np.arange(count) & 1).astype(bool)
    thresholds = {name: dict(zip(sets, afrd.runs.subset_thresholds(run, members, name), strict=True)) for name in names}
    whole = thresholds[own][2**count - 1]
    fusion: dict[str, Any] = {
        "how": own,
        "lights": list(run.lights),
        "thresholds": {name: {s: _rounded(t) for s, t in of_sets.items()} for name, of_sets in thresholds.items()},
        "promise": str(whole).partition("(")[2].rstrip(")") if whole else "",
    }
    learned = run.model.learned
    if learned is not None:
        numbers = learned.numbers()
        fusion["learned"] = numbers | {"weights": {key: _text(w, "<f4") for key, w in numbers["weights"].items()}}
    return fusion


def _cost(run: Run, fusion: str) -> float:
    """Pixels of the calibration maps under all sets of lights, times that of the fusion."""
    height, width = run.config.picture_size
    samples = len(run.calibration.errors) if run.calibration is not None else 0
    pixels = 2 ** len(run.lights) * samples * height * width
    return pixels * (LEARNED_COST if fusion == "learned" else 1)


def _rounded(threshold: Threshold | None) -> float | None:
    return float(f"{threshold.value:.8g}") if threshold else None


def sent_evidence(run: Run, evidence: Evidence, lights: Sequence[str]) -> dict[str, Any]:
    """A sample's evidence for the browser, by light, and the `grid` it lies on.

    Args:
        run: whose evidence it is.
        evidence: of one sample (B = 1).
        lights: those that the sample has.
    """
    rows = {light: run.lights.index(light) for light in lights if light in run.lights}
    return {
        "grid": list(evidence.errors.shape[-2:]),
        "evidence": {light: _light(run, evidence, row) for light, row in rows.items()},
    }


def with_fusion(lights: list[dict[str, Any]], fusion: Mapping[str, Any] | None) -> dict[str, Any]:
    """The entries of a scene on fusion in the browser.

    Args:
        lights: of the scene; each is given its evidence.
        fusion: of `fusion_of` and `sent_evidence`.
    """
    if fusion is None:
        return {}
    for item in lights:
        item["evidence"] = fusion["evidence"].get(item["name"])
    return {
        "grid": fusion["grid"],
        "fusion": {name: fusion[name] for name in fusion if name not in ("grid", "evidence")},
    }


def beside_of(fusion: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The entries of a scene on the run beside the main one: `grid`, `evidence` by light and `fusion`, or that it is
    the same run; None where the browser does not fuse it."""
    if fusion is None or "same" in fusion:
        return None if fusion is None else dict(fusion)
    sent = {name: fusion[name] for name in ("grid", "evidence")}
    return sent | {"fusion": {name: fusion[name] for name in fusion if name not in sent}}


def _light(run: Run, evidence: Evidence, row: int) -> dict[str, str]:
    if run.model.learned is not None and evidence.terms is not None:  # errors and weights follow from them
        return {"terms": _text(evidence.terms[0, row].float() / run.model.learned.normal[row, :, None, None])}
    scale = MAX_SENT_WEIGHT / max(float(evidence.weights.max()), 1e-30)
    return {"errors": _text(evidence.errors[0, row]), "weights": _text(evidence.weights[0, row] * scale)}


def _text(values: Tensor, kind: str = "<f2") -> str:
    """Numbers as base64 of float16, not negative, or of another type as they are."""
    array = values.detach().cpu().numpy().astype(np.float32)
    if kind == "<f2":
        array = array.clip(0, np.finfo(np.float16).max)
    return base64.b64encode(array.astype(kind).tobytes()).decode()
