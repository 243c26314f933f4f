"""The command `afrd`. Exit 0 done, 2 wrong input (one sentence on stderr), 1 anything else."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import afrd.analysis.explain
import afrd.candies
import afrd.data
import afrd.figures
import afrd.files
import afrd.metrics
import afrd.runs
from afrd import cli
from afrd.cli.cache import add_command as add_cache
from afrd.cli.common import Bar, Parser, any_text_prints, as_path, end_well, heed_termination, write_json
from afrd.cli.download import add_command as add_download
from afrd.cli.export import add_command as add_export
from afrd.cli.lights import add_command as add_lights
from afrd.cli.points import add_command as add_points
from afrd.cli.share import add_command as add_share
from afrd.cli.sweep import add_commands as add_sweep
from afrd.runs.options import TrainingOptions

if TYPE_CHECKING:
    from afrd.analysis.explain.visibility import Attribution
    from afrd.data.dataset import Category, MultiLightDataset
    from afrd.metrics.predictions import Predictions
    from afrd.runs.run import Run


TRAINING_DEFAULTS = asdict(TrainingOptions())  # options of a training, with their defaults

MAX_PICTURE_SIDE = 100_000  # pixels; larger than any picture, so that none is shrunk


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[:1] == ["app"]:  # has its own parser
        return cli.app.main(argv[1:])
    any_text_prints()
    heed_termination()
    return end_well(lambda: _run(argv))


def _run(argv: Sequence[str]) -> int | None:
    options = parser().parse_args(argv)
    return options.run(options)


def parser() -> Parser:
    top = Parser(prog="afrd", description="Multi-lighting anomaly detection by attention fusion reverse distillation.")
    top.add_argument("--version", action="version", version=f"afrd {version('afrd')}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    p = commands.add_parser("render", help="make the demo data: candies under six lights, in the Eyecandies layout")
    p.add_argument("out", type=as_path, help="folder of the data set")
    p.add_argument(
        "--category",
        action="append",
        metavar="C",
        help="one of the factory's, or Random1, Random2, ...; again for more; default all that have a name",
    )
    p.add_argument("--size", type=int, default=256, help="side of the pictures in pixels (256)")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--twins", action="store_true", help="also every bad test sample without its defect, in twins/")
    p.add_argument("--train", type=int, default=40, metavar="N", help="good samples to train on (40)")
    p.add_argument("--val", type=int, default=20, metavar="N", help="good samples for the threshold (20)")
    p.add_argument("--test", type=int, default=40, metavar="N", help="test samples, half of them bad (40)")
    p.add_argument(
        "--difficulty",
        type=float,
        default=0.0,
        metavar="D",
        help="of the defects: 0 plain (default), 1 small and faint",
    )
    p.set_defaults(run=render)

    p = commands.add_parser("check", help="list what is wrong with a data set")
    p.add_argument("root", type=as_path)
    p.set_defaults(run=check)

    p = commands.add_parser("train", help="train AFRD on one category; again: goes on where it was stopped")
    p.add_argument("root", type=as_path, help="folder of the data set")
    p.add_argument("category")
    p.add_argument("--out", type=as_path, required=True, metavar="RUN", help="run folder to make")
    p.add_argument("--lights", default="all", help="names or numbers, comma-separated; one light: single-light RD")
    p.add_argument("--views", default="all", help="names of the views to use, comma-separated (layout of M2AD)")
    p.add_argument(
        "--method", default=TRAINING_DEFAULTS["method"], help="afrd (default), or memory: nearest patches, no training"
    )
    p.add_argument(
        "--fusion",
        default=TRAINING_DEFAULTS["fusion"],
        help="attention (default), mean, max; learned with a memory, concat with --target fused",
    )
    p.add_argument(
        "--target",
        default=TRAINING_DEFAULTS["target"],
        help="regress every light's own features (lights) or the fused ones",
    )
    p.add_argument("--memory", type=int, metavar="N", help="patches to remember of each light (2048); 0: none")
    p.add_argument("--teacher", default=TRAINING_DEFAULTS["teacher"], help="or wide_resnet50_2, resnet18, timm:NAME")
    p.add_argument("--weights", type=as_path, metavar="FILE", help="local weights of the teacher (.pth, .safetensors)")
    p.add_argument(
        "--size", type=int, default=TRAINING_DEFAULTS["size"], help="longer side of the teacher's input in pixels (512)"
    )
    p.add_argument("--width", type=int, default=TRAINING_DEFAULTS["width"], help="channels of the narrow student (64)")
    p.add_argument("--epochs", type=int, help="passes over the training samples; default as many as make 500 steps")
    p.add_argument("--batch", type=int, default=TRAINING_DEFAULTS["batch"])
    p.add_argument("--seed", type=int, default=TRAINING_DEFAULTS["seed"])
    p.add_argument("--device", default="auto", help="auto (default), cpu, cuda, mps")
    p.add_argument("--compile", action="store_true", help="run training steps through torch.compile")
    p.set_defaults(run=train)

    p = commands.add_parser("evaluate", help="metrics of a run on a test split; predictions are kept with the run")
    p.add_argument("run_folder", type=as_path, metavar="RUN")
    p.add_argument("--data", type=as_path, metavar="ROOT", help="data set to use instead of the one it was trained on")
    p.add_argument("--split", help="default test_public, or test in the folder layout")
    p.add_argument("--lights", default="all")
    p.add_argument("--views", help="names of the views to judge; default those of the training (layout of M2AD)")
    p.add_argument("--attribution", action="store_true", help="also how well evidence ranks the lights; needs twins")
    p.add_argument("--json", type=as_path, metavar="FILE")
    p.add_argument("--device", default="auto")
    p.set_defaults(run=evaluate)

    p = commands.add_parser("predict", help="score and verdict of one sample")
    p.add_argument("run_folder", type=as_path, metavar="RUN")
    p.add_argument(
        "pictures",
        nargs="+",
        metavar="PICTURE",
        help="named after the lights, in the run's order, LIGHT=PICTURE, or a sample's folder",
    )
    p.add_argument("--json", type=as_path, metavar="FILE")
    p.add_argument("--figure", type=as_path, metavar="HTML", help="also write the map over the picture as a page")
    p.add_argument("--point", metavar="NAME", help="judge by this operating point of the run (`afrd points`)")
    p.add_argument("--device", default="auto")
    p.set_defaults(run=predict)

    add_lights(commands)
    add_cache(commands)
    add_sweep(commands)
    add_export(commands)
    add_share(commands)
    add_points(commands)
    add_download(commands)
    commands.add_parser("app", help="open the explorer; `afrd app --help` has its options", add_help=False)
    return top


def render(options: argparse.Namespace) -> None:

    for name in options.category or ():
        afrd.candies.check_arguments(name, options.size, options.seed, afrd.candies.EYECANDIES_RIG, options.difficulty)
    for name in dict.fromkeys(options.category or afrd.candies.CATEGORIES):
        with Bar(f"render {name}") as bar:
            folder = afrd.candies.render_category(
                options.out,
                name,
                size=options.size,
                seed=options.seed,
                train=options.train,
                val=options.val,
                test_good=options.test - options.test // 2,
                test_bad=options.test // 2,
                twins=options.twins,
                difficulty=options.difficulty,
                progress=bar,
            )
        print(folder)


def check(options: argparse.Namespace) -> int:

    problems = afrd.data.dataset.check(options.root)
    for name in afrd.data.list_categories(options.root):
        try:
            data = afrd.data.open_dataset(options.root, name)
        except ValueError:  # reported among the problems
            continue
        splits = ", ".join(f"{split} {len(dataset)}" for split, dataset in data.items())
        print(f"{name}: {splits}; {len(data.lights)} lights: {', '.join(data.lights)}")
        for sentence in data.description:
            print(f"  {sentence}")
    for problem in problems:
        print(f"{problem.file}: {problem.what}")
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        print(f"afrd: {options.root} has {count}", file=sys.stderr)
        return 2
    print("no problems")
    return 0


def train(options: argparse.Namespace) -> None:

    data = afrd.data.open_dataset(options.root, options.category, afrd.data.parse_views(options.views))
    run = afrd.runs.fit(
        data,
        options.lights,
        options.out,
        device=options.device,
        compiled=options.compile,
        **{name: value for name in TRAINING_DEFAULTS if (value := getattr(options, name, None)) is not None},
    )
    how = f"{run.config.epochs} epochs on" if run.config.epochs else "filled from"
    print(f"{run.folder}: {run.method()}, {how} {len(data['train'])} samples")
    print(f"threshold {run.threshold() or 'none: no good samples were left for one'}")


def evaluate(options: argparse.Namespace) -> None:
    import pandas as pd

    run = afrd.runs.load_run(options.run_folder, options.device)
    lights = afrd.data.parse_lights(options.lights, run.lights)
    views = run.config.views if options.views is None else afrd.data.parse_views(options.views)
    data = afrd.data.open_dataset(options.data or run.config.data_root, run.config.category, views)
    dataset = data[options.split or data.test_split]
    attribution = attribute(run, data, lights) if options.attribution else None  # first, as it may raise
    with Bar(f"evaluate {dataset.split}") as bar:
        predictions = run.evaluate(dataset, lights, progress=bar)
    predictions.save(run.predictions_folder(dataset.split, lights))
    metrics = predictions.metrics()
    table = pd.DataFrame([metrics], index=[run.config.category])
    print(
        f"{predictions.method}; {dataset.split}: {len(dataset)} samples, {sum(map(bool, dataset.anomalous))} anomalous"
    )
    print(table.to_string(float_format="{:.3f}".format, na_rep="-"))
    if predictions.threshold:
        truth = predictions.table.anomalous.map({True: "anomalous", False: "good", None: "unknown"})
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
        "threshold": predictions.threshold.value if predictions.threshold else None,
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
    import pandas as pd

    summary = attribution.summary()
    table = pd.DataFrame(summary.stack(level=0, future_stack=True)).rename_axis(["defects", "evidence"])
    print(
        f"attribution; {split}: {attribution.samples['sample'].nunique()} samples with twins; a hit has at least "
        f"{afrd.analysis.explain.NEAR:.0%} of the best light's visibility, where that is "
        f"{afrd.analysis.explain.VISIBLE:g} grey levels or more"
    )
    counts = {"n": "{:.0f}".format, "ranked": "{:.0f}".format}
    print(table.to_string(float_format="{:.3f}".format, formatters=counts, na_rep="-"))

    def plain(name: object, value: float) -> float | int | None:
        return None if value != value else int(value) if name in counts else float(value)

    return {
        k: {d: {n: plain(n, v) for n, v in row.items()} for d, row in summary[k].iterrows()}
        for k in afrd.analysis.explain.KINDS
    }


def predict(options: argparse.Namespace) -> None:

    run = afrd.runs.load_run(options.run_folder, options.device)
    point = afrd.runs.operating_point(options.run_folder, options.point) if options.point else None
    uploads = afrd.data.uploads_of(options.pictures, run.lights)
    name = uploads[0].path.stem
    sample, notes = afrd.data.read_uploads(uploads, run.lights, name, side=MAX_PICTURE_SIDE)
    for upload in uploads:
        print(f"{upload.light}: {upload.path}")
    size = (sample.images.shape[-2], sample.images.shape[-1])
    for note in [*notes, *afrd.runs.size_notes(size, run.model.config, run.config)]:
        print(note)
    prediction = run.predict(sample)
    if point:
        prediction = replace(prediction, threshold=run.threshold(prediction.lights, alpha=point.alpha))
        print(f"operating point {options.point}: {point.per_thousand:g} false alarms per thousand good parts")
    print(f"score {prediction.score:.4g}: {prediction.verdict or 'no verdict, the run has no threshold'}")
    if prediction.threshold:
        print(f"threshold {prediction.threshold}")
    attention = dict(zip(prediction.lights, prediction.attention.mean((1, 2)).tolist(), strict=True))
    peak = dict(zip(prediction.lights, prediction.peak_attention.tolist(), strict=True))
    errors = dict(zip(prediction.lights, prediction.light_maps.max((1, 2)).tolist(), strict=True))
    print("of each light: attention at the maximum of the map, mean attention, largest error")
    for light in prediction.lights:
        print(f"  {light:12} {peak[light]:.2f}  {attention[light]:.2f}  {errors[light]:.4g}")
    about: dict[str, Any] = {
        "score": prediction.score,
        "verdict": prediction.verdict,
        "lights": list(prediction.lights),
    }
    about |= {"threshold": prediction.threshold.value if prediction.threshold else None}
    about |= {"attention": attention, "peak_attention": peak, "errors": errors}
    write_json(options.json, about)
    if options.figure:
        with afrd.files.replacing(options.figure) as path:
            afrd.figures.overlay(sample, prediction).write_html(path)


if __name__ == "__main__":
    sys.exit(main())
