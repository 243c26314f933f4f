"""The command `afrd predict`: score and verdict of one sample."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import afrd.data
import afrd.figures
import afrd.files
import afrd.metrics
import afrd.runs
from afrd.cli.common import add_region_option, as_path, with_region, write_json

MAX_PICTURE_SIDE = 100_000  # pixels; larger than any picture, so that none is shrunk


def add_command(commands: Any) -> None:
    """Adds the command `predict`."""
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
    add_region_option(p, "instead of the run's own, for this call")
    p.add_argument("--point", metavar="NAME", help="judge by this operating point of the run (`afrd points`)")
    p.add_argument("--device", default="auto")
    p.set_defaults(run=predict)


def predict(options: argparse.Namespace) -> None:
    run = afrd.runs.load_run(options.run_folder, options.device)
    point = None if options.point is None else afrd.runs.operating_point(options.run_folder, options.point)
    config = run.config
    run = with_region(run, options.roi, lambda: afrd.data.open_dataset(config.data_root, config.category, config.views))
    uploads = afrd.data.uploads_of(options.pictures, run.lights)
    name = uploads[0].path.stem
    sample, notes = afrd.data.read_uploads(uploads, run.lights, name, side=MAX_PICTURE_SIDE)
    for upload in uploads:
        print(f"{upload.light}: {upload.path}")
    size = (sample.images.shape[-2], sample.images.shape[-1])
    for note in [*notes, *afrd.runs.size_notes(size, run.model.config, run.config)]:
        print(note)
    if run.region is not None:
        print(f"judged inside a region of {afrd.metrics.region_share(run.region)} of the picture")
    if corrected := afrd.runs.corrections_suffix(run.corrections):
        print(f"judged {corrected.removeprefix(', ')} of the run")
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
