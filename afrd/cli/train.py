"""The command `afrd train`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

import afrd.data
import afrd.runs
from afrd.cli.common import add_region_option, as_path
from afrd.runs.options import TrainingOptions

TRAINING_DEFAULTS = asdict(TrainingOptions())  # options of a training, with their defaults


def add_command(commands: Any) -> None:
    """Adds the command `train`."""
    p = commands.add_parser("train", help="train AFRD on one category; again: continues where it was stopped")
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
        help="learned (default with a memory), attention (default without), mean, max; concat with --target fused",
    )
    p.add_argument(
        "--target",
        default=TRAINING_DEFAULTS["target"],
        help="regress every light's own features (lights) or the fused ones",
    )
    p.add_argument("--memory", type=int, metavar="N", help="patches to remember of each light (512); 0: none")
    p.add_argument("--teacher", default=TRAINING_DEFAULTS["teacher"], help="or wide_resnet50_2, resnet18, timm:NAME")
    p.add_argument("--weights", type=as_path, metavar="FILE", help="local weights of the teacher (.pth, .safetensors)")
    p.add_argument(
        "--size", type=int, default=TRAINING_DEFAULTS["size"], help="longer side of the teacher's input in pixels (512)"
    )
    p.add_argument("--width", type=int, default=TRAINING_DEFAULTS["width"], help="channels of the narrow student (64)")
    p.add_argument("--epochs", type=int, help="passes over the training samples; default as many as make 500 steps")
    p.add_argument("--batch", type=int, default=TRAINING_DEFAULTS["batch"])
    p.add_argument("--seed", type=int, default=TRAINING_DEFAULTS["seed"])
    default = "default for a new run: roi.png in the category's folder, where there is one"
    add_region_option(
        p, f"kept with the run, also with one that is trained already; none: the whole picture; {default}"
    )
    p.add_argument("--device", default="auto", help="auto (default), cpu, cuda, mps")
    p.add_argument("--compile", action="store_true", help="run training steps through torch.compile")
    p.set_defaults(run=train)


def train(options: argparse.Namespace) -> None:
    data = afrd.data.open_dataset(options.root, options.category, afrd.data.parse_views(options.views))
    chosen = {name: value for name in TRAINING_DEFAULTS if (value := getattr(options, name, None)) is not None}
    training_options = TrainingOptions(**chosen)
    plan = afrd.runs.plan(data, options.lights, options.out, training_options, device=options.device, roi=options.roi)
    run = afrd.runs.train(plan, compiled=options.compile)
    if options.roi is None and plan.region is not None:
        of_data = afrd.runs.data_region(data)
        print(f"judged inside the region of the data set, {of_data}; --roi none judges the whole picture")
    how = f"{run.config.epochs} epochs on" if run.config.epochs else "filled from"
    print(f"{run.folder}: {run.method()}, {how} {len(data['train'])} samples")
    print(f"threshold {run.threshold() or 'none: no good samples were left for one'}")
    if unusual := afrd.runs.unusual_text(run.training_parts()):
        print(unusual)
