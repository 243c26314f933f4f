"""`afrd export`: writes a run as one ONNX graph, for programs without PyTorch."""

from __future__ import annotations

import argparse
from typing import Any

import afrd.runs
from afrd.cli.common import Bar, as_path


def add_command(commands: Any) -> None:
    """Adds the command `export`."""
    p = commands.add_parser("export", help="write a run as one ONNX graph, checked against PyTorch (docs/deploy.md)")
    p.add_argument("run_folder", type=as_path, metavar="RUN")
    p.add_argument("--onnx", type=as_path, required=True, metavar="FILE", help="file to write")
    p.add_argument("--samples", type=int, default=8, metavar="N", help="test samples whose scores are compared (8)")
    p.set_defaults(run=export)


def export(options: argparse.Namespace) -> None:
    if options.samples < 1:
        raise ValueError(f"--samples is {options.samples}, but must be at least 1")
    run = afrd.runs.load_run(options.run_folder, "cpu")
    with Bar("compare") as bar:
        graph = afrd.runs.export_onnx(run, options.onnx, options.samples, bar)
    print(f"{graph.file}: {graph.file.stat().st_size / 1e6:.1f} MB; lights {', '.join(run.lights)}")
    print(
        f"compared with PyTorch on {graph.samples} {graph.source}, under all lights and without one: scores differ by "
        f"{graph.largest_difference:.1e} at most, maps by {graph.largest_map_difference:.1e} (relative)"
    )
