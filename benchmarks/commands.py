"""What the command line makes its user wait for: the help, rendering, a cold training.

    python -m benchmarks.commands [--category Licorice] [--repeats 5]

Wall time with all processors, so the machine must be idle. The training is `afrd train` with its defaults on 40 samples
of six lights, once, with nothing stored: it computes the features, trains, fills the memory and calibrates.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measuring import report

COMMAND = Path(sys.executable).with_name("afrd")
SAMPLES = {"train": 40, "val": 20, "test": 40}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--category", default="Licorice")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), options.category, options.repeats)
    about = {"category": options.category, "size": 256, "lights": 6, "samples": sum(SAMPLES.values())}
    report("commands", "What the command line makes its user wait for", rows, about | {"repeats": options.repeats})


def measure(folder: Path, category: str, repeats: int) -> list[dict[str, Any]]:
    """A row a command: seconds from its start to its end."""
    environment = os.environ | {"AFRD_CACHE": str(folder / "cache")}

    def seconds(*command: str) -> float:
        began = time.monotonic()
        subprocess.run([COMMAND, *command], check=True, capture_output=True, env=environment)
        return time.monotonic() - began

    helping = statistics.median(seconds("--help") for _ in range(repeats))
    numbers = [text for name, count in SAMPLES.items() for text in (f"--{name}", str(count))]
    folders = [folder / f"data{i}" for i in range(repeats)]
    rendering = statistics.median(seconds("render", str(data), "--category", category, *numbers) for data in folders)
    training = seconds("train", str(folders[0]), category, "--out", str(folder / "run"))
    count = sum(SAMPLES.values())
    return [
        {"command": "afrd --help", "s": helping, "samples a second": ""},
        {"command": f"afrd render, {count} samples", "s": rendering, "samples a second": count / rendering},
        {"command": "afrd train, cold", "s": training, "samples a second": ""},
    ]


if __name__ == "__main__":
    main()
