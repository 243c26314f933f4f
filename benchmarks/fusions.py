"""Fusions of the same evidence, and ways from a map to the image score, over categories and seeds.

    python -m benchmarks.fusions data/candies/* --work runs/leads --seeds 0 1 2

For each category and seed one AFRD with the defaults of `afrd train` is trained, or found in the work folder, which
`benchmarks.leads` shares. Every fusion is judged on its evidence: image AUROC, pixel AP and AUPRO, and where there are
twins how often attention names the light that shows a defect. The learned fusion is judged also with all of the gains
that it was trained to, of which `benchmarks.fusion_weights` keeps a share, with none, and by weights of a training
without the candy that is judged, where `benchmarks.fusion_weights --without` has made them. A patch memory alone is
judged beside it (`fusions.md`). Of every map several image scores are made (`image_scores.md`). Differences have paired
bootstrap intervals over the test samples: a draw has the same samples for all seeds and fusions. A score chosen on all
other columns shows what choosing one would bring. What is finished stays in the work folder; the report takes every
seed that is there.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from scipy import ndimage, special

import afrd
from afrd.analysis.explain.visibility import measure
from afrd.candies.shapes import CATEGORIES
from afrd.data.dataset import Category, MultiLightDataset
from afrd.files import save_json
from afrd.metrics.bootstrap import drawn_image_auroc, interval
from afrd.metrics.predictions import Predictions
from afrd.model.config import FORMULA_FUSIONS
from afrd.model.learned_fusion import LearnedFusion
from afrd.runs.prediction import split_predictions
from afrd.runs.run import Run
from benchmarks.fusion_weights import GAIN_SHARE, held_out_weights
from benchmarks.leads import DRAWS, figures, mapped, named, place_of, timed_fit
from benchmarks.measuring import RESULTS, report

FUSIONS = ("learned", *FORMULA_FUSIONS)
MAXIMUM = "maximum (in use)"
GAINS = {"learned, all of the trained gains": 1 / GAIN_SHARE, "learned, none of the gains": 0.0}  # factors
HELD_OUT = "learned, trained without this candy"
PATCH_MEMORY = {how: f"patch memory, {how}" for how in FORMULA_FUSIONS}
TWINS_FUSIONS = ("learned", "attention")  # whose attention is not the same for all lights
Result = dict[str, Any]  # "values": of the metrics, "draws": (DRAWS, metrics)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("categories", nargs="+", type=Path, help="folders of categories")
    parser.add_argument("--work", type=Path, default=Path("runs/leads"))
    parser.add_argument("--weights", type=Path, default=Path("runs/fusion"), help="--work of benchmarks.fusion_weights")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0], help="none: only write what is finished")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the reports")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for folder in options.categories:
        for seed in options.seeds:
            judge(folder, options.work, seed, options.weights)
    write_reports(options.categories, options.work, options.out)


# ---------------------------------------------------------------- image scores of maps (N, H, W)


def top_mean(share: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The mean of a share of the pixels, those of the largest values."""

    def score(maps: np.ndarray, good: np.ndarray) -> np.ndarray:
        count = max(1, round(share * maps[0].size))
        return np.sort(maps.reshape(len(maps), -1), 1)[:, -count:].mean(1)

    return score


def smoothed_maximum(sigma: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The maximum after a Gaussian, whose deviation is given as a part of the longer side."""

    def score(maps: np.ndarray, good: np.ndarray) -> np.ndarray:
        pixels = sigma * max(maps.shape[1:])
        return ndimage.gaussian_filter(maps, (0, pixels, pixels)).max((1, 2))

    return score


def soft_maximum(unit_of: Callable[[np.ndarray], float]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Log-sum-exp over the pixels, in a unit from the maps of good validation parts."""

    def score(maps: np.ndarray, good: np.ndarray) -> np.ndarray:
        return special.logsumexp(maps.reshape(len(maps), -1) / unit_of(good), axis=1)

    return score


SCORES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    MAXIMUM: lambda maps, good: maps.max((1, 2)),
    "mean of the top 0.1 %": top_mean(0.001),
    "mean of the top 1 %": top_mean(0.01),
    "maximum, smoothed by 1 % of the side": smoothed_maximum(0.01),
    "maximum, smoothed by 2 % of the side": smoothed_maximum(0.02),
    "log-sum-exp, unit: deviation of good pixels": soft_maximum(lambda good: float(good.std())),
    "log-sum-exp, unit: deviation of good maxima": soft_maximum(lambda good: float(good.max((1, 2)).std())),
    "maximum less the part's own median": lambda maps, good: maps.max((1, 2)) - np.median(maps, (1, 2)),
}


# ---------------------------------------------------------------- one run


def judge(folder: Path, work: Path, seed: int, weights: Path) -> None:
    """Writes `fusions.json` beside the run, and `held_out.json` where there are weights without its candy."""
    place, data = place_of(folder, work, seed), afrd.open_dataset(folder.parent, folder.name)
    if not (place / "fusions.json").exists():
        run, _ = timed_fit(data, place / "afrd", seed=seed)
        memory, _ = timed_fit(data, place / "memory", method="memory", seed=seed)
        save_json(place / "fusions.json", judged(run, data) | judged_memory(memory, data))
        print(f"{place} is judged", flush=True)
    candy = next((candy for candy in CATEGORIES if folder.name.startswith(candy)), None)
    file = held_out_weights(weights, candy) if candy else None
    if file and file.exists() and not (place / "held_out.json").exists():
        run, _ = timed_fit(data, place / "afrd", seed=seed)
        save_json(place / "held_out.json", judged_held_out(run, data, file))
        print(f"{place} is judged without {candy}", flush=True)


def judged(run: Run, data: Category) -> dict[str, Any]:
    """Per fusion `metrics`, `scores` (see `image_scores`), and with twins `hits` of its attention, and their chance."""
    found: dict[str, Any] = {}
    for how in FUSIONS:
        predictions = run.evaluate(data[data.test_split], fusion=how)
        good = run.evaluate(data["val"], fusion=how)
        of_good = good.maps[~(good.table.anomalous == True)]  # noqa: E712, None is not known
        found[how] = {"metrics": figures(predictions), "scores": image_scores(predictions, of_good)}
        if "twins" in data and how in TWINS_FUSIONS:
            run.model.config = replace(run.model.config, fusion=how)
            found[how]["hits"] = {k: float(v) for k, v in measure(run, data).summary()["attention"].loc["all"].items()}
    for name, factor in GAINS.items():
        predictions = with_learned(run, data[data.test_split], with_gains(run.model.learned, factor))
        found[name] = {"metrics": figures(predictions)}
    return found


def judged_memory(run: Run, data: Category) -> dict[str, Any]:
    """`metrics` of a patch memory alone, per fusion."""
    test = data[data.test_split]
    return {name: {"metrics": figures(run.evaluate(test, fusion=how))} for how, name in PATCH_MEMORY.items()}


def judged_held_out(run: Run, data: Category, file: Path) -> dict[str, Any]:
    """`metrics`, and with twins `hits`, of the run with the learned fusion of other weights."""
    learned = run.model.learned
    assert learned is not None
    learned.load_state_dict({**load_file(file), "normal": learned.normal})
    found: dict[str, Any] = {"metrics": figures(with_learned(run, data[data.test_split], learned))}
    if "twins" in data:
        found["hits"] = {k: float(v) for k, v in measure(run, data).summary()["attention"].loc["all"].items()}
    return {HELD_OUT: found}


@torch.no_grad()
def with_gains(learned: LearnedFusion | None, factor: float) -> LearnedFusion:
    """A copy of a learned fusion with its gains times `factor`."""
    assert learned is not None
    changed = deepcopy(learned)
    changed.outer.weight[1] *= factor
    changed.outer.bias[1] *= factor  # type: ignore[index]
    return changed


@torch.no_grad()
def with_learned(run: Run, test: MultiLightDataset, learned: LearnedFusion) -> Predictions:
    """Predictions by the run's evidence and this learned fusion."""
    evidence = run.evidence(test)
    maps = torch.cat([mapped(evidence, i, test.image_size, "learned", learned) for i in range(len(test))]).numpy()
    return split_predictions(test, maps, maps.max((1, 2)), "learned", run.lights, None, None)


def image_scores(predictions: Predictions, good: np.ndarray) -> dict[str, Result]:
    """Image AUROC of every score, and its values in the draws of `figures`."""
    anomalous = (predictions.table.anomalous == True).to_numpy()  # noqa: E712
    counts = np.random.default_rng(0).multinomial(len(anomalous), [1 / len(anomalous)] * len(anomalous), size=DRAWS)
    scores = np.stack([score(predictions.maps, good) for score in SCORES.values()])
    values = drawn_image_auroc(scores, anomalous, ~anomalous, np.ones((1, len(anomalous)), int))
    draws = drawn_image_auroc(scores, anomalous, ~anomalous, counts)
    return {
        name: {"values": of.tolist(), "draws": drawn[:, None].round(5).tolist()}
        for name, of, drawn in zip(SCORES, values, draws, strict=True)
    }


# ---------------------------------------------------------------- reports


def write_reports(folders: list[Path], work: Path, out: Path) -> None:
    seeds = sorted(int(place.name.removeprefix("seed")) for place in work.glob("seed*"))
    columns: dict[str, list[Path]] = {}  # the folders of the results of each column
    for folder in folders:
        places = [place_of(folder, work, seed) for seed in seeds]
        columns[named(folder, folders)] = [place for place in places if (place / "fusions.json").exists()]
    roots: dict[str, list[str]] = {}
    for folder, name in zip(folders, list(columns), strict=True):
        roots.setdefault(folder.resolve().parent.name, []).append(name)
    found = {name: [results_of(place) for place in places] for name, places in columns.items()}
    found = {name: runs for name, runs in found.items() if runs}
    groups = {name: [name] for name in found}
    groups |= {
        f"mean of {root}": names for root, names in roots.items() if 1 < len(names) == len(set(names) & set(found))
    }
    counts = ", ".join(f"{name} {len(runs)}" for name, runs in found.items())
    about = {"teacher": "efficientnet_lite0", "runs": counts, "draws": DRAWS}
    title = "Fusions of the same evidence: image AUROC / pixel AP / AUPRO, means over seeds and categories"
    report("fusions", title, fusion_rows(found, groups), about, folder=out)
    title = "Image AUROC by the way from the map to the image score; differences to the maximum"
    report("image_scores", title, score_rows(found, groups), about, folder=out)


def results_of(place: Path) -> dict[str, Any]:
    files = [file for file in (place / "fusions.json", place / "held_out.json") if file.exists()]
    return {name: result for file in files for name, result in json.loads(file.read_text()).items()}


def mean_of(found: dict[str, list[Any]], names: list[str], pick: Callable[[Any], Result]) -> tuple[np.ndarray, Any]:
    """Values and draws, the mean over seeds, then over categories."""
    values = [np.mean([pick(run)["values"] for run in found[name]], 0) for name in names]
    draws = [np.mean([pick(run)["draws"] for run in found[name]], 0) for name in names]
    return np.mean(values, 0), np.mean(draws, 0)


def fusion_rows(found: dict[str, list[Any]], groups: dict[str, list[str]]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    of = {  # where every run of a group has it
        how: {
            group: mean_of(found, names, lambda run, how=how: run[how]["metrics"])
            for group, names in groups.items()
            if all(how in run for name in names for run in found[name])
        }
        for how in (*FUSIONS, *GAINS, HELD_OUT, *PATCH_MEMORY.values())
    }
    of = {how: by_group for how, by_group in of.items() if by_group}
    for how, by_group in of.items():
        rows.append(
            {"fusion": how} | {group: text(by_group[group][0]) if group in by_group else "–" for group in groups}
        )
    for one, other in [("learned", how) for how in of if how != "learned"] + [
        (HELD_OUT, how) for how in FORMULA_FUSIONS if HELD_OUT in of
    ]:
        cells = {g: difference(of[one][g], of[other][g]) if g in of[one] and g in of[other] else "–" for g in groups}
        rows.append({"fusion": f"{one} minus {other}"} | cells)
    for how in (*TWINS_FUSIONS, *([HELD_OUT] if HELD_OUT in of else [])):
        cells = {group: hits(found, names, how) for group, names in groups.items()}
        rows.append({"fusion": f"hit of the attention by {how}; chance"} | cells)
    return rows


def hits(found: dict[str, list[Any]], names: list[str], how: str) -> str:
    of = [[run.get(how, {}).get("hits") for run in found[name]] for name in names]
    if not all(all(runs) for runs in of):
        return "–"
    hit, chance = (np.mean([np.mean([run[key] for run in runs]) for runs in of]) for key in ("hit", "chance"))
    return f"{hit:.2f}; {chance:.2f}"


def score_rows(found: dict[str, list[Any]], groups: dict[str, list[str]]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for how in FUSIONS:
        of = {
            score: {name: mean_of(found, [name], lambda run, h=how, s=score: run[h]["scores"][s]) for name in found}
            for score in SCORES
        }
        of["chosen on the other columns"] = {name: of[chosen(of, name)][name] for name in found}
        for score, by_name in of.items():
            cells = {}
            for group, names in groups.items():
                one, base = ([np.mean([b[n][k] for n in names], 0) for k in (0, 1)] for b in (by_name, of[MAXIMUM]))
                cells[group] = text(one[0]) if score == MAXIMUM else difference(one, base)
            rows.append({"fusion": how, "image score": score} | cells)
    return rows


def chosen(of: dict[str, dict[str, tuple[np.ndarray, Any]]], name: str) -> str:
    """The score with the best mean over all columns but one."""
    others = {score: [values[0] for n, (values, _) in by_name.items() if n != name] for score, by_name in of.items()}
    return max(SCORES, key=lambda score: np.mean(others[score]) if others[score] else -math.inf)


def difference(one: Any, other: Any) -> str:
    """Differences with intervals; ▲ ▼ mark those that leave out zero."""
    low, high = interval(np.subtract(one[1], other[1]))
    marks = np.where(low > 0, " ▲", np.where(high < 0, " ▼", ""))
    parts = zip(np.subtract(one[0], other[0]), low, high, marks, strict=True)
    return " / ".join(f"{v:+.3f} [{a:+.3f}, {b:+.3f}]{mark}" for v, a, b, mark in parts)


def text(values: Any) -> str:
    return " / ".join(f"{value:.3f}" for value in values)


if __name__ == "__main__":
    main()
