"""What the speed benchmarks share: alternating runs, the machine, and results as JSON and a Markdown table."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from afrd.files import replacing, save_json

RESULTS = Path(__file__).with_name("results")
PACKAGES = ("afrd", "torch", "timm", "numpy", "anomalib", "faiss-cpu", "onnxruntime")


def alternating(
    competitors: Mapping[str, Callable[[], Any]], repeats: int, device: torch.device | str = "cpu"
) -> dict[str, float]:
    """Median seconds of each, called in turn `repeats` times after one call that does not count.

    In turn, so that what else the machine does is shared. Where a processor computes, it is the time that the process
    used on it (user and system), which other work changes least; with one thread it is the wall time of an idle
    machine. On a card it is the wall time until the card has finished.
    """
    clock = clock_of(torch.device(device))
    seconds: dict[str, list[float]] = {name: [] for name in competitors}
    for turn in range(repeats + 1):
        for name, run in competitors.items():
            began = clock()
            run()
            ended = clock()
            if turn:
                seconds[name].append(ended - began)
    return {name: statistics.median(times) for name, times in seconds.items()}


def clock_of(device: torch.device) -> Callable[[], float]:
    """Processor time of this process, or for a card the wall time after it has finished."""
    if device.type != "cuda":
        return time.process_time

    def clock() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return clock


def machine(device: torch.device | str = "cpu") -> str:
    """The processor or card, and the number of threads."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return (
        f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} thread{'s'[: torch.get_num_threads() != 1]}"
    )


def report(
    name: str,
    title: str,
    rows: list[dict[str, Any]],
    about: Mapping[str, Any],
    device: torch.device | str = "cpu",
    folder: Path = RESULTS,
) -> None:
    """Prints a table and writes it to `NAME.json` and `NAME.md`, with the machine and the versions.

    Args:
        name: of the files.
        title: what was measured, one line.
        rows: with the same keys, which are the table's columns.
        about: sizes and settings that belong to the figures.
        device: that computed.
        folder: to write to.
    """
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_text(row[column]) for column in columns) + " |" for row in rows]
    packages = {package: version(package) for package in PACKAGES if _installed(package)}
    settings = [f"{key}: {value}" for key, value in about.items()]
    versions = [f"{package} {number}" for package, number in packages.items()]
    text = "\n".join([f"**{title}**", "", *lines, "", "; ".join([machine(device), *settings, *versions]), ""])
    print(text)
    content = {
        "title": title,
        "machine": machine(device),
        "date": datetime.now(UTC).date().isoformat(),
        "versions": packages,
        "settings": dict(about),
        "rows": rows,
    }
    save_json(folder / f"{name}.json", content)
    with replacing(folder / f"{name}.md") as path:
        path.write_text(text)


def processor() -> str:
    """The processor's name, where the system tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
