"""Cheap ideas for better evidence, each tried alone against the same AFRD.

    python -m benchmarks.leads data/candies/Praline data/candies/Licorice data/candies/Gumdrop --work runs/leads

For each category one AFRD with the defaults of `afrd train` is trained (or found in the work folder). Most leads keep
its student and change memory, distance or units (`benchmarks.lead_evidence`); with `--training` some are trained anew:
dropout in the bottleneck, a loss that minds the hard places, a loose one. All start from the memory that AFRD had when
they were tried, drawn at random (`benchmarks.lead_memory`). Every lead is judged under every fusion against the run
with this memory under the same fusion, on the test split, by image AUROC, pixel AP and AUPRO with paired bootstrap over
the samples. What is finished stays in the work folder, so that the command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import afrd
from afrd.data.dataset import Category, MultiLightDataset
from afrd.files import save_json
from afrd.metrics.bootstrap import interval
from afrd.metrics.predictions import Predictions
from afrd.metrics.words import METRICS
from afrd.model.afrd import AFRD, VARIANCE_EXPONENT, make_model
from afrd.model.config import EVIDENCE_FUSIONS, ModelConfig
from afrd.model.evidence import Evidence, anomaly_maps, cosine_errors
from afrd.model.learned_fusion import LearnedFusion
from afrd.model.teacher import load_teacher
from afrd.runs.feature_store import load_features
from afrd.runs.prediction import split_predictions
from afrd.runs.run import Run
from benchmarks.lead_coarse import coarse_places
from benchmarks.lead_evidence import LEADS as EVIDENCE_LEADS
from benchmarks.lead_evidence import Case, as_it_is
from benchmarks.lead_small import small_memories
from benchmarks.lead_windows import as_large_windows, enlarged_windows
from benchmarks.measuring import RESULTS, report

JUDGED = ("image_auroc", "pixel_ap", "aupro")
DRAWS = 1000
BASELINE = "baseline"
LEADS = (*EVIDENCE_LEADS, as_large_windows, enlarged_windows, coarse_places, small_memories)
EASY_SHARE, EASY_WEIGHT = 0.9, 0.1  # Dinomaly's (Guo et al., CVPR 2025, section 3.4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("categories", nargs="+", type=Path, help="folders of categories")
    parser.add_argument("--work", type=Path, default=Path("runs/leads"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--epochs", type=int, help="default that of `afrd train`")
    parser.add_argument("--training", action="store_true", help="also the leads that train a student")
    parser.add_argument("--only", nargs="*", default=[], help="leads to try: functions of LEADS, names of TRAINING")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the report")
    parser.add_argument("--report-only", action="store_true", help="only write what is finished")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for folder in options.categories if not options.report_only else ():
        judge_category(folder, options)
    write_report(options)


def judge_category(folder: Path, options: argparse.Namespace) -> None:
    data = afrd.open_dataset(folder.parent, folder.name)
    place = place_of(folder, options.work, options.seed)
    training = {"size": options.size, "epochs": options.epochs, "seed": options.seed}
    run, _ = timed_fit(data, place / "afrd", **training)
    case = Case(run, data)
    test = data[data.test_split]
    for lead in LEADS:
        done = place / "leads" / f"{lead.__name__}.done"
        if (options.only and lead.__name__ not in options.only) or done.exists():
            continue
        for name, normal, evidence in lead(case):
            keep(place, name, {how: figures(p) for how, p in fusions(normal, evidence, test)})
        done.touch()
    for name, maker in TRAINING.items():
        wanted = name in options.only if options.only else options.training
        if wanted and not (place / "leads" / f"{name}.json").exists():
            with mock.patch("afrd.runs.training.make_model", maker):
                changed, _ = timed_fit(data, place / name, **training)
            _, normal, evidence = next(as_it_is(Case(changed, data)))
            keep(place, name, {how: figures(p) for how, p in fusions(normal, evidence, test)})


def timed_fit(data: Category, out: Path, **options: Any) -> tuple[Run, float]:
    """A run on the processor, and the seconds of its training with the features at hand; kept beside the run."""
    kept = out.with_name(f"{out.name}.seconds.json")
    if not kept.exists():
        shutil.rmtree(out, ignore_errors=True)  # of an interrupted training, whose seconds are not known
        teacher = options.get("teacher") or load_teacher()
        for split in ("train", "val"):
            load_features(data[split], teacher, options.get("size", 512))
        began = time.process_time()
        afrd.fit(data, out=out, device="cpu", show_progress=False, **options)
        save_json(kept, {"seconds": time.process_time() - began})
    run = afrd.fit(data, out=out, device="cpu", show_progress=False, **options)
    return run, json.loads(kept.read_text())["seconds"]


def place_of(folder: Path, work: Path, seed: int) -> Path:
    return work / f"seed{seed}" / folder.resolve().parent.name / folder.name


def fusions(normal: Evidence, evidence: Evidence, test: MultiLightDataset) -> Iterator[tuple[str, Predictions]]:
    """Predictions under every fusion; `normal` is the evidence of good parts, for the learned one's units."""
    assert normal.terms is not None
    learned = LearnedFusion(normal.errors.shape[1]).load_trained().requires_grad_(False)
    learned.set_normal(normal.terms)
    for how in EVIDENCE_FUSIONS:
        maps = [mapped(evidence, i, test.image_size, how, learned) for i in range(len(test))]
        scores = np.array([float(m.max()) for m in maps])
        yield how, split_predictions(test, torch.cat(maps).numpy(), scores, how, test.lights, None, None)


@torch.no_grad()
def mapped(evidence: Evidence, index: int, size: tuple[int, int], how: str, learned: LearnedFusion) -> Tensor:
    """(1, H, W) anomaly map of one sample."""
    one = evidence.rows(slice(index, index + 1), evidence.present[:1])
    if how == "learned":
        one, how = learned(one), "attention"
    return anomaly_maps(one, one.present, size, how)


def figures(predictions: Predictions) -> dict[str, Any]:
    """The judged metrics, and their values in `DRAWS` draws of the samples, the same for all leads."""
    columns = [METRICS.index(metric) for metric in JUDGED]
    values = predictions.metrics()
    draws = predictions.resampler.draw(DRAWS, seed=0)[:, columns]
    return {"values": [values[metric] for metric in JUDGED], "draws": draws.round(5).tolist()}


def keep(place: Path, name: str, by_fusion: dict[str, dict[str, Any]]) -> None:
    (place / "leads").mkdir(exist_ok=True)
    save_json(place / "leads" / f"{name.replace('/', ' over ')}.json", {"lead": name, "fusions": by_fusion})
    values = "; ".join(f"{how} {' / '.join(f'{v:.3f}' for v in f['values'])}" for how, f in by_fusion.items())
    print(f"{place.name}, {name}: {values}", flush=True)


# ---------------------------------------------------------------- leads that train a student


def with_dropout(share: float) -> Callable[[ModelConfig], nn.Module]:
    """Dropout on what reaches the decoder (Dinomaly, section 3.2); it has no weights, so the run loads as any other."""

    def make(config: ModelConfig) -> nn.Module:
        model: Any = make_model(config)
        model.student.code.append(nn.Dropout(share))
        return model

    return make


class Mining(AFRD):
    """AFRD whose loss minds the places of largest error in units of its predicted deviation; others count little."""

    def loss(self, features: Any, present: Tensor) -> Tensor:
        regressed, log_variance = self.student(list(features))
        losses = []
        for e, v in zip(cosine_errors(regressed, features), log_variance, strict=True):
            relative = (e * torch.exp(-VARIANCE_EXPONENT * v)).detach().flatten()
            limit = relative.kthvalue(max(1, int(EASY_SHARE * len(relative)))).values
            weight = torch.where(relative <= limit, EASY_WEIGHT, 1.0).view_as(e)
            losses.append((weight * (e * torch.exp(-v) + v)).sum() / weight.sum())
        return torch.stack(losses).sum()


class Loose(AFRD):
    """AFRD whose regression minimises one cosine distance of flattened features instead of one at every place.

    That is the loose loss of Dinomaly (section 3.4): a global cosine over a group of layers, here both scales.
    Its logarithm is taken, as the loss e exp(-v) + v is 1 + log e at its best v, so that both losses balance features
    and log-variance alike. The log-variance v learns from the errors as before, and the errors not from v.
    """

    def loss(self, features: Any, present: Tensor) -> Tensor:
        regressed, log_variance = self.student(list(features))
        joint, target = (torch.cat([f.float().flatten(2) for f in scales], 2) for scales in (regressed, features))
        loose = len(features) * (1 - F.cosine_similarity(joint, target, dim=2)).log().mean()
        errors = cosine_errors([r.detach() for r in regressed], features)
        spread = [(e * torch.exp(-v) + v).mean() for e, v in zip(errors, log_variance, strict=True)]
        return loose + torch.stack(spread).sum()


TRAINING: dict[str, Callable[[ModelConfig], nn.Module]] = {
    "dropout 0.2 in the bottleneck": with_dropout(0.2),
    "hard-mining loss": Mining,
    "dropout 0.1 in the bottleneck": with_dropout(0.1),
    "loose loss, both scales one group": Loose,
}


# ---------------------------------------------------------------- report


def write_report(options: argparse.Namespace) -> None:
    """A row for each lead and fusion: figures of the baseline, differences of a lead by category and in the mean."""
    found: dict[str, dict[str, dict[str, Any]]] = {}  # lead, category, fusion
    names = [named(folder, options.categories) for folder in options.categories]
    for folder, category in zip(options.categories, names, strict=True):
        files = (place_of(folder, options.work, options.seed) / "leads").glob("*.json")
        for file in sorted(files, key=lambda f: (f.stat().st_mtime, f.name)):
            content = json.loads(file.read_text())
            found.setdefault(content["lead"], {})[category] = content["fusions"]
    roots: dict[str, list[str]] = {}  # with the categories that belong to them
    for folder, category in zip(options.categories, names, strict=True):
        roots.setdefault(folder.resolve().parent.name, []).append(category)
    roots = {root: members for root, members in roots.items() if len(members) > 1}
    rows = []
    for how in EVIDENCE_FUSIONS:
        for lead, by_category in found.items():
            bases = None if lead == BASELINE else found[BASELINE]
            row: dict[str, Any] = {"fusion": how, "lead": lead}
            for category in names:
                row[category] = cell(by_category, bases, [category], how)
            for root, members in roots.items():
                row[f"mean of {root}"] = cell(by_category, bases, members, how)
            rows.append(row)
    title = "Leads, each alone: the baseline's image AUROC / pixel AP / AUPRO, and differences with 95 % intervals"
    about = {"size": options.size, "epochs": options.epochs or "default", "seed": options.seed, "draws": DRAWS}
    name = f"leads_seed{options.seed}" if options.seed else "leads"
    report(name, title, rows, {"teacher": "efficientnet_lite0"} | about, folder=options.out)


def named(folder: Path, categories: list[Path]) -> str:
    """The category, with its root where two have its name."""
    alone = sum(other.name == folder.name for other in categories) == 1
    return folder.name if alone else f"{folder.parent.name}/{folder.name}"


def cell(
    by_category: dict[str, dict[str, Any]], bases: dict[str, dict[str, Any]] | None, names: list[str], how: str
) -> str:
    """Means over categories, or the mean differences to the baseline; ▲ ▼ mark intervals that leave out zero."""
    if not set(names) <= set(by_category):
        return "–"
    results = [by_category[name][how] for name in names]
    values = np.mean([result["values"] for result in results], 0)
    if bases is None:
        return " / ".join(f"{value:.3f}" for value in values)
    base_results = [bases[name][how] for name in names]
    values = values - np.mean([base["values"] for base in base_results], 0)
    draws = [np.array(r["draws"]) - np.array(b["draws"]) for r, b in zip(results, base_results, strict=True)]
    low, high = interval(np.mean(draws, 0))
    marks = np.where(low > 0, " ▲", np.where(high < 0, " ▼", ""))
    return " / ".join(
        f"{v:+.3f} [{a:+.3f}, {b:+.3f}]{mark}" for v, a, b, mark in zip(values, low, high, marks, strict=True)
    )


if __name__ == "__main__":
    main()
