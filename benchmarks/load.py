"""The page under load: many clients at once, a training beside them, every answer compared with the direct call.

    python -m benchmarks.load [--runs runs/demo] [--data data/candies] [--clients 20] [--seconds 300]

Each client opens samples by links, switches lights, steps through samples, and now and then opens the Compare and the
Errors tab. The training is a command of its own on the same machine. A light table and a strip of samples that a client
gets are kept in files, and compared with what the same functions give in this process once the time is over, as the
machine would otherwise do everything twice. Memory is that of the page's process; its slope is fitted to the last three
fifths of the time. A light toggle is what the server does after one: the browser has judged by
then. Prints a table, and writes `benchmarks/results/load.json`.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import math
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

import numpy as np
from PIL import Image

from afrd.files import snapshot
from afrd.page.common import link
from afrd.page.common.library import Library
from afrd.page.common.selection import Selection
from afrd.page.explore.strip import strip_of
from afrd.page.light_table.scene import scene
from afrd.page.testing import apart
from benchmarks.measuring import report
from benchmarks.page import ROOT, mebibytes
from benchmarks.visitor import Visitor

EVENTS = {
    "open a sample by its link": 4,
    "switch a light": 10,
    "step to a sample": 4,
    "open Compare": 1,
    "open Errors": 1,
}
ERRORS_SHOWN = 5
EVIDENCE = ("errors", "weights", "terms")  # of a light, see afrd.page.light_table.fusion
ANSWERS: dict[str, tuple[str, Callable[[Library, Selection], str]]] = {  # what only it contains, and what makes it
    "light table": ('"panels"', scene),
    "strip": ('"samples"', strip_of),
}
PNG = "data:image/png;base64,"


class Direct:
    """What the page's functions answer in this process."""

    def __init__(self, runs: Path, data: Path) -> None:
        self.library = Library(runs, data)
        self._answer = lru_cache(maxsize=None)(self._answer_now)

    def answer(self, what: str, query: dict[str, str]) -> dict:
        with snapshot():
            return self._answer(what, link.selection_of(self.library, link.from_query(urlencode(query)))[0])

    def _answer_now(self, what: str, selection: Selection) -> dict:
        return undated(ANSWERS[what][1](self.library, selection))


class Load:
    """Clients, and what they have seen.

    Args:
        address: of the page.
        folder: takes the answers until they are compared.
        queries: links to samples.
        lights: to choose among.
    """

    def __init__(self, address: str, folder: Path, queries: list[dict[str, str]], lights: tuple[str, ...]) -> None:
        self.address, self.folder, self.queries, self.lights = address, folder, queries, lights
        self.answers: list[tuple[str, dict[str, str], Path]] = []
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.compared: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.ended = threading.Event()

    def client(self, number: int) -> None:
        """One visitor, until the time is over."""
        rng, visitor = random.Random(number), Visitor(self.address)
        query = self._open(visitor, rng)
        while not self.ended.is_set():
            event = rng.choices(list(EVENTS), list(EVENTS.values()))[0]
            began = time.monotonic()
            try:
                if event == "switch a light":
                    query = self._switch(visitor, rng, query)
                elif event == "open Compare":
                    visitor.send("compare_open")
                elif event == "open Errors":
                    visitor.send("errors_open")
                elif event == "step to a sample":
                    query = self._step(visitor, rng, query)
                else:
                    query = self._open(visitor, rng)
            except Exception as error:  # whatever it is, it is counted
                self.wrong.append(f"{event}: {type(error).__name__}: {error}")
            self.seconds[event].append(time.monotonic() - began)
            self.ended.wait(rng.uniform(0.2, 2.0))  # people look at what they got

    def _open(self, visitor: Visitor, rng: random.Random) -> dict[str, str]:
        query = rng.choice(self.queries) | {"lights": ",".join(self._some_lights(rng))}
        values = visitor.send("open_link", _0=urlencode(query), _1=urlencode(query))[1]
        self._keep("light table", query, values)
        return query

    def _step(self, visitor: Visitor, rng: random.Random, query: dict[str, str]) -> dict[str, str]:
        query = query | {
            "sample": rng.choice([q["sample"] for q in self.queries if q["category"] == query["category"]])
        }
        values = visitor.send("select_sample", {"sample": query["sample"]})[1]
        self._keep("light table", query, values)
        return query

    def _switch(self, visitor: Visitor, rng: random.Random, query: dict[str, str]) -> dict[str, str]:
        chosen = self._some_lights(rng)
        query = query | {"lights": ",".join(chosen)}
        visitor.send("keep_lights", {"lights": list(chosen), "number": 1})
        values = visitor.send("follow_choice")[1]
        self._keep("strip", query, values)
        return query

    def _some_lights(self, rng: random.Random) -> tuple[str, ...]:
        count = rng.randint(1, len(self.lights))
        return tuple(light for light in self.lights if light in rng.sample(self.lights, count))

    def _keep(self, what: str, query: dict[str, str], values: list) -> None:
        mark = ANSWERS[what][0]
        with NamedTemporaryFile("w", dir=self.folder, suffix=".json", delete=False) as file:
            file.write(next((value for value in values if isinstance(value, str) and mark in value), "{}"))
        self.answers.append((what, query, Path(file.name)))

    def compare(self, direct: Direct) -> None:
        """Compares all answers with the direct ones."""
        for what, query, file in self.answers:
            got, right = undated(file.read_text()), direct.answer(what, query)
            self.compared[what] += 1
            if not same(got, right):
                parts = [key for key in right if not same(got.get(key), right[key])]
                self.wrong.append(f"{what} of {query}: differs in {', '.join(parts)}")


def undated(text: str) -> dict:
    """The content of a table or strip, without the time at which it was made."""
    return {key: value for key, value in json.loads(text).items() if key not in ("made", "stamp")}


def same(one: Any, other: Any) -> bool:
    """Whether two answers agree up to rounding: which samples a model reads together changes the last bits."""
    if one == other:
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            of_evidence(one[key], other[key]) if key in EVIDENCE else same(one[key], other[key])
            for key in one
            if key != "exact"  # six digits of the score, of which `score_units` has all
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-5)
    if isinstance(one, str) and isinstance(other, str) and one.startswith(PNG) and other.startswith(PNG):
        levels = [np.asarray(Image.open(io.BytesIO(base64.b64decode(text[len(PNG) :])))) for text in (one, other)]
        return levels[0].shape == levels[1].shape and np.abs(np.subtract(*levels, dtype=int)).max() <= 1
    return False


def of_evidence(one: Any, other: Any) -> bool:
    """Whether float16 values in base64 agree up to their rounding."""
    if not (isinstance(one, str) and isinstance(other, str)):
        return same(one, other)
    values = [np.frombuffer(base64.b64decode(text), np.float16).astype(float) for text in (one, other)]
    return values[0].shape == values[1].shape and np.allclose(*values, rtol=2e-3, atol=1e-6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/demo"))
    parser.add_argument("--data", type=Path, default=Path("data/candies"))
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=300)
    options = parser.parse_args()
    direct = Direct(options.runs, options.data)
    queries, lights = queries_of(direct.library)
    with (
        TemporaryDirectory() as folder,
        (Path(folder) / "page.log").open("w") as log,
        apart([ROOT / "app.py", "--runs", options.runs, "--data", options.data], log) as (address, process),
    ):
        load = Load(address, Path(folder), queries, lights)
        training = start_training(options.data, Path(folder) / "run")
        memory = run(load, process, options.clients, options.seconds)
        went_on = training.poll() is None
        training.kill()
        training.wait()
        log.flush()
        load.compare(direct)
        tracebacks = (Path(folder) / "page.log").read_text().count("Traceback")
    tell(load, memory, options, went_on, tracebacks)


def queries_of(library: Library) -> tuple[list[dict[str, str]], tuple[str, ...]]:
    """Links to every sample of each category's test split, and the lights of the last one."""
    queries, lights = [], ()
    for entry in library.categories():
        data = library.data_of(entry)["test_public"]
        lights = data.lights
        queries += [{"category": entry.name, "split": data.split, "sample": name} for name in data.names]
    return queries, lights


def start_training(data: Path, out: Path) -> subprocess.Popen:
    """`afrd train` for longer than the load lasts, with features of its own."""
    command = [sys.executable, "-m", "afrd.cli.commands", "train", data, library_category(data), "--out", out]
    environment = os.environ | {"AFRD_CACHE": str(out.parent / "cache"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*map(str, command), "--epochs", "5000"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def library_category(data: Path) -> str:
    return next(folder.name for folder in sorted(data.iterdir()) if (folder / "train").is_dir())


def run(load: Load, process: int, clients: int, seconds: float) -> list[tuple[float, float]]:
    """Lets the clients work; memory in MiB by second."""
    threads = [threading.Thread(target=load.client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    began, memory = time.monotonic(), []
    while time.monotonic() - began < seconds:
        memory.append((time.monotonic() - began, mebibytes(process)[0]))
        time.sleep(2)
    load.ended.set()
    for thread in threads:
        thread.join(120)
    return memory


def tell(
    load: Load, memory: list[tuple[float, float]], options: argparse.Namespace, went_on: bool, tracebacks: int
) -> None:
    """Prints and stores what was seen."""
    last = [(at, mib) for at, mib in memory if at > 0.4 * options.seconds]
    slope = float(np.polyfit(*zip(*last, strict=True), 1)[0]) * 60 if len(last) > 1 else float("nan")
    rows = [
        {
            "event": event,
            "times": len(seconds),
            "median s": statistics.median(seconds),
            "95 % within s": float(np.quantile(seconds, 0.95)),
            "longest s": max(seconds),
        }
        for event, seconds in load.seconds.items()
    ]
    about = {
        "clients": options.clients,
        "seconds": options.seconds,
        "light tables compared": load.compared["light table"],
        "strips compared": load.compared["strip"],
        "wrong answers": len(load.wrong),
        "tracebacks of the page": tracebacks,
        "training beside it went on": went_on,
        "memory at most, MiB": round(max(mib for _, mib in memory)),
        "memory grows, MiB a minute": round(slope, 1),
    }
    report("load", "The page under load", rows, about)
    for sentence in load.wrong[:ERRORS_SHOWN]:
        print(sentence, file=sys.stderr)


if __name__ == "__main__":
    main()
