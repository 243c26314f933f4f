"""The command `afrd evaluate`: metrics of a run on a split."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import lazy_loader as lazy

import afrd.analysis.explain
import afrd.data
import afrd.metrics
import afrd.runs
from afrd.cli.common import Bar, add_region_option, as_path, sentence, with_region, write_json
from afrd.metrics.words import label_word

pd = lazy.load("pandas")  # takes a third of a second to import

NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)  # a folder of runs that others keep

if TYPE_CHECKING:
    from afrd.analysis.explain.visibility import Attribution
    from afrd.data.dataset import Category, MultiLightDataset
    from afrd.metrics.predictions import Predictions
    from afrd.runs.run import Run


def add_command(commands: Any) -> None:
    """Adds the command `evaluate`."""
    p = commands.add_parser("evaluate", help="metrics of a run on a test split; predictions are kept with the run")
    p.add_argument("run_folder", type=as_path, metavar="RUN")
    p.add_argument("--data", type=as_path, metavar="ROOT", help="data set to use instead of the one it was trained on")
    p.add_argument("--split", help="default test_public, or test in the folder layout")
    p.add_argument("--lights", default="all")
    p.add_argument("--views", help="names of the views to judge; default those of the training (layout of M2AD)")
    add_region_option(p, "instead of the run's own, for this call")
    p.add_argument("--attribution", action="store_true", help="also how well evidence ranks the lights; needs twins")
    p.add_argument("--json", type=as_path, metavar="FILE")
    p.add_argument("--device", default="auto")
    p.set_defaults(run=evaluate)


def evaluate(options: argparse.Namespace) -> None:
    run = afrd.runs.load_run(options.run_folder, options.device)
    lights = afrd.data.parse_lights(options.lights, run.lights)
    views = run.config.views if options.views is None else afrd.data.parse_views(options.views)
    data = afrd.data.open_dataset(options.data or run.config.data_root, run.config.category, views)
    run = with_region(run, options.roi, lambda: data)
    dataset = data[options.split or data.test_split]
    attribution = attribute(run, data, lights) if options.attribution else None  # first, as it may raise
    with Bar(f"evaluate {dataset.split}") as bar:
        predictions = run.evaluate(dataset, lights, progress=bar)
    try:
        predictions.save(run.predictions_folder(dataset.split, lights))
    except OSError as error:
        if error.errno not in NOT_WRITABLE:
            raise
        print(f"afrd: {sentence(error)}; the predictions are not kept", file=sys.stderr)
    metrics = predictions.metrics()
    evaluated = {"split": dataset.split, "lights": "+".join(lights), "samples": len(dataset)}
    afrd.runs.log_event(run.folder, "evaluated", **evaluated, **metrics)
    table = pd.DataFrame([metrics], index=[run.config.category])
    print(
        f"{predictions.method}; {dataset.split}: {len(dataset)} samples, {sum(map(bool, dataset.anomalous))} anomalous"
    )
    if note := predictions.note():
        print(note)
    print(table.to_string(float_format="{:.3f}".format, na_rep="-"))
    if predictions.threshold:
        truth = predictions.table.anomalous.map(label_word)
        truth[predictions.corrected] = "corrected"
        confusion = pd.crosstab(truth, predictions.table.verdict)
        print(f"threshold {predictions.threshold}")
        print(confusion.rename_axis(index="truth", columns="verdict").to_string())
    about = {
        "run": str(options.run_folder),
        "category": run.config.category,
        "split": dataset.split,
        "lights": list(lights),
        "samples": len(dataset),
        "method": predictions.method,
        "region": None if predictions.region is None else float(predictions.region.mean()),
        "threshold": predictions.threshold.value if predictions.threshold else None,
        "corrections": predictions.corrections,
    }
    about |= {k: None if v != v else v for k, v in metrics.items()}
    if dataset.views:
        about |= show_views(predictions, dataset)
    if (run.model.config.target, run.model.config.fusion) == ("fused", "attention") and "train" in data:
        about["drift"] = show_drift(run, data)
    if attribution:
        about["attribution"] = show_attribution(attribution, data.test_split)
    write_json(options.json, about)


def show_views(predictions: Predictions, dataset: MultiLightDataset) -> dict[str, Any]:
    """Prints the metrics of every view and of whole objects, and returns them under `views` and `objects`."""
    by_view = afrd.metrics.view_metrics(predictions, [view.name for view in dataset.views])
    objects, anomalous = zip(*((view.object, view.anomalous) for view in dataset.views), strict=True)
    object_metrics = afrd.metrics.object_metrics(predictions, objects, anomalous)
    print(by_view.to_string(float_format="{:.3f}".format, na_rep="-"))
    print(f"{len(set(objects))} objects, each with the highest score of its views:")
    print(
        "  "
        + ", ".join(f"{name} {'-' if value != value else f'{value:.3f}'}" for name, value in object_metrics.items())
    )
    view_metrics = {name: {k: None if v != v else v for k, v in row.items()} for name, row in by_view.iterrows()}
    return {"views": view_metrics, "objects": {k: None if v != v else v for k, v in object_metrics.items()}}


def show_drift(run: Run, data: Category) -> dict[str, dict[str, float]]:
    """Prints the drift of attention over features; returns light -> column -> value."""
    table = afrd.analysis.explain.drift(run, data["train"])
    print(f"attention over features, on the {len(data['train'])} training samples")
    print(table.to_string(float_format="{:.3f}".format))
    print(afrd.analysis.explain.sentence(table))
    return {str(light): dict(row) for light, row in table.iterrows()}


def attribute(run: Run, data: Category, lights: Sequence[str]) -> Attribution:
    with Bar("attribution") as bar:
        return afrd.analysis.explain.measure(run, data, bar, lights)


def show_attribution(attribution: Attribution, split: str) -> dict[str, Any]:
    """Prints the table, and returns kind of evidence -> defect type (or all) -> figure -> value."""
    summary = attribution.summary()
    table = pd.DataFrame(summary.stack(level=0, future_stack=True)).rename_axis(["defects", "evidence"])
    print(
        f"attribution; {split}: {attribution.samples['sample'].nunique()} samples with twins; a hit has at least "
        f"{afrd.analysis.explain.HIT_SHARE:.0%} of the best light's visibility, where that is "
        f"{afrd.analysis.explain.MIN_VISIBILITY:g} grey levels or more"
    )
    counts = {"n": "{:.0f}".format, "ranked": "{:.0f}".format}
    print(table.to_string(float_format="{:.3f}".format, formatters=counts, na_rep="-"))

    def plain(name: object, value: float) -> float | int | None:
        return None if value != value else int(value) if name in counts else float(value)

    return {
        k: {d: {n: plain(n, v) for n, v in row.items()} for d, row in summary[k].iterrows()}
        for k in afrd.analysis.explain.KINDS
    }
