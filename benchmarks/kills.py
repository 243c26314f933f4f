"""Kills the product's steps at random moments and looks at what is left: `python -m benchmarks.kills --kills 50`.

Each trial starts a step (rendering, features, training, evaluation, notes) in a process of its own on a copy of what
the steps before it left, ends that process with SIGKILL at a random moment, and then asks three things:

    whole     every file that carries its final name can be read from beginning to end
    kept      every file that was there before is there, as it was or in a newer, whole form
    resumed   the same step, started again, ends with the same files as one that nobody disturbed
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image
from safetensors import safe_open

import afrd
from afrd.analysis.errors.exchange import exported
from afrd.analysis.errors.notes import Note, Notes
from afrd.model.teacher import load_teacher
from afrd.runs import shared_file
from afrd.runs.feature_store import load_features

CATEGORY = "Praline"
OPTIONS = {"lights": ["left", "box"], "size": 64, "width": 16, "memory": 64, "epochs": 12, "show_progress": False}
VOLATILE = {"log.txt"}  # of files that differ from one undisturbed run to the next: they tell times
OF_NOTES = {f"{shared_file.FILE}{ending}" for ending in ("-wal", "-shm", "-journal")}  # belong to the file of notes


def render(work: Path) -> None:
    parts = {"size": 48, "train": 6, "val": 3, "test_good": 2, "test_bad": 2}
    afrd.candies.render_category(work / "data", CATEGORY, workers=1, **parts)


def features(work: Path) -> None:
    data, teacher = afrd.open_dataset(work / "data", CATEGORY), load_teacher("efficientnet_lite0")
    for split in ("train", "val"):
        load_features(data[split], teacher, OPTIONS["size"])


def train(work: Path) -> None:
    afrd.fit(afrd.open_dataset(work / "data", CATEGORY), out=work / "runs" / "afrd", device="cpu", **OPTIONS)


def evaluate(work: Path) -> None:
    run = afrd.load_run(work / "runs" / "afrd", device="cpu")
    test = afrd.open_dataset(work / "data", CATEGORY)["test_public"]
    run.evaluate(test).save(run.predictions_folder(test.split, run.lights))


def notes(work: Path) -> None:
    notes_file = Notes(work / "runs" / "afrd")
    for number in range(60):
        notes_file.save("test_public", f"{number:02d}", Note(text=f"note {number}", tags=("scratch",)))


STEPS: dict[str, Callable[[Path], None]] = {
    "rendering": render,
    "features": features,
    "training": train,
    "evaluation": evaluate,
    "notes": notes,
}


@dataclass
class Result:
    """What the trials of one step gave: how many were killed in time, and what each question found wrong."""

    trials: int = 0
    killed: int = 0
    broken: int = 0
    lost: int = 0
    other_end: int = 0


def run_step(step: str, work: Path) -> None:
    os.environ["AFRD_CACHE"] = str(work / "cache")
    STEPS[step](work)


def start(step: str, work: Path) -> multiprocessing.process.BaseProcess:
    # forked: what takes seconds, the imports, is done once
    process = multiprocessing.get_context("fork").Process(target=run_step, args=(step, work))
    process.start()
    return process


def undisturbed(step: str, work: Path) -> float:
    """Runs a step to its end and says how many seconds it took."""
    began = time.monotonic()
    process = start(step, work)
    process.join()
    if process.exitcode:
        raise RuntimeError(f"step {step} fails although nobody disturbs it (exit status {process.exitcode})")
    return time.monotonic() - began


def files_of(work: Path) -> dict[str, Path]:
    """The files under their final names; what begins with a dot is unfinished and promises nothing."""
    files = {}
    for path in sorted(work.rglob("*")):
        name = path.relative_to(work)
        is_unfinished = any(part.startswith(".") for part in name.parts)
        if path.is_file() and not is_unfinished and path.name not in VOLATILE | OF_NOTES:
            files[str(name)] = path
    return files


def digests(work: Path) -> dict[str, str]:
    """Of every file; those of the cache are named by their pictures' times, so only their content counts.

    Of the file of notes, which holds times, only the notes count.
    """
    file_states = {}
    for name, path in files_of(work).items():
        is_notes = path.name == shared_file.FILE
        content = json.dumps(exported(path.parent)).encode() if is_notes else path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        cached = name.startswith("cache/")
        if not cached or path.suffix == ".npy":
            file_states[digest if cached else name] = digest
    return file_states


def is_whole(path: Path) -> bool:
    """Whether the file can be read from beginning to end as what its name says it is."""
    try:
        if path.suffix == ".png":
            Image.open(path).load()
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".yaml":
            yaml.safe_load(path.read_text())
        elif path.name == shared_file.FILE:
            exported(path.parent)
        elif path.suffix == ".csv":
            pd.read_csv(path)
        elif path.suffix == ".npy":
            np.load(path, allow_pickle=False)
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                [arrays[name] for name in arrays]
        elif path.suffix == ".safetensors":
            with safe_open(path, "np") as tensors:
                [tensors.get_tensor(name) for name in tensors.keys()]  # noqa: SIM118, it is no dictionary
    except Exception:
        return False
    return path.stat().st_size > 0


def trial(step: str, work: Path, before: Path, after: dict[str, str], moment: float, result: Result) -> None:
    """One kill: `before` holds what the earlier steps left, `after` the digests of an undisturbed end."""
    shutil.rmtree(work)
    shutil.copytree(before, work)  # to the same place and with their times: the store and the run know data by both
    process = start(step, work)
    process.join(moment)
    result.killed += process.is_alive()
    process.kill()
    process.join()
    result.trials += 1
    result.broken += sum(not is_whole(path) for path in files_of(work).values())
    result.lost += len(files_of(before).keys() - files_of(work).keys())
    undisturbed(step, work)
    result.other_end += digests(work) != after


def kill_steps(kills: int, seed: int = 0, steps: Sequence[str] = tuple(STEPS)) -> pd.DataFrame:
    """`kills` trials, dealt to the steps in turn; a row a step."""
    random = np.random.default_rng(seed)
    results = {step: Result() for step in steps}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name) / "work"
        work.mkdir()
        states, seconds, ends = {}, {}, {}
        for step in STEPS:
            states[step] = Path(name) / step
            shutil.copytree(work, states[step])
            seconds[step] = undisturbed(step, work)
            ends[step] = digests(work)
        for number in range(kills):
            step = steps[number % len(steps)]
            moment = float(random.uniform(0, seconds[step]))
            trial(step, work, states[step], ends[step], moment, results[step])
    return pd.DataFrame({step: vars(result) for step, result in results.items()}).T


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write the table")
    options = parser.parse_args(arguments)
    results = kill_steps(options.kills, options.seed)
    print(results.to_string())
    if options.csv:
        results.to_csv(options.csv)


if __name__ == "__main__":
    main()
