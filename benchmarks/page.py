"""Server times and memory of the page under the events that a browser sends.

    python -m benchmarks.page [--runs runs/demo] [--data data/candies] [--repeat 15]

Starts the page in a process of its own. A light toggle is judged in the browser; what the server does of it afterwards
is the strip with its scores, the bars of the other methods and the pictures before and after. Times are the server's
own, as Gradio reports them for every event, and for Compare the client's; processor time (user and system, which other
work on the machine changes little) and memory are those of the page's process.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

from afrd.page.testing import apart
from benchmarks.measuring import report
from benchmarks.visitor import Visitor

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/demo"))
    parser.add_argument("--data", type=Path, default=Path("data/candies"))
    parser.add_argument("--repeat", type=int, default=15)
    options = parser.parse_args()
    began = time.monotonic()
    about = {"runs": options.runs, "repeats": options.repeat, "load when it began": f"{os.getloadavg()[0]:.1f}"}
    with apart([ROOT / "app.py", "--runs", options.runs, "--data", options.data]) as (address, process):
        rows = measure(process, address, began, options.repeat)
    report("page", "What a visitor of the page waits for", rows, {key: str(value) for key, value in about.items()})


def measure(process: int, address: str, began: float, repeat: int) -> list[dict[str, Any]]:
    """A row for each event, with the page's memory after it."""
    rows: list[dict[str, Any]] = []

    def note(what: str, seconds: float, worst: float | str = "", processor: float | str = "") -> None:
        times = {"s": seconds, "at worst": worst, "processor s": processor}
        rows.append({"what": what, **times, "MiB": round(mebibytes(process)[0])})

    note("page up, after its start", time.monotonic() - began)
    visitor = Visitor(address)
    opened_values = visitor.send("open_page")[1]
    note("first map, after its start", time.monotonic() - began)
    began = time.monotonic()
    visitor.send("follow_choice")
    visitor.send("ask_other_methods")
    note("every method's score, after that", time.monotonic() - began)
    menu = next(value for value in opened_values if isinstance(value, dict) and value.get("choices"))  # the first
    categories = [key for _, key in menu["choices"]]
    for category in categories:  # everything loaded once
        visitor.send("open_link", _1=f"category={category}")
        visitor.send("follow_choice")
        visitor.send("ask_other_methods")

    content = scene_of(visitor.send("open_link", _1=f"category={categories[0]}")[1])
    lights = [light["name"] for light in content["lights"]]
    strip = next(value for value in visitor.send("follow_choice")[1] if isinstance(value, str) and '"samples"' in value)
    names = [sample["id"] for sample in json.loads(strip)["samples"]]
    begun = processor_seconds(process)
    opened = [all_of(visitor, "select_sample", {"sample": names[i % len(names)]}) for i in range(repeat)]
    note("open a sample", *of_all(opened), (processor_seconds(process) - begun) / len(opened))
    # a different subset every time, so that nothing is cached
    subsets = [[light for j, light in enumerate(lights) if i + 3 & 1 << j] for i in range(1, 2 ** len(lights))]
    begun = processor_seconds(process)
    toggled = [all_of(visitor, "keep_lights", {"lights": subset, "number": 1}) for subset in subsets[:repeat] if subset]
    note("switch a light", *of_all(toggled), (processor_seconds(process) - begun) / len(toggled))
    for occasion in ("first time", "again"):
        began, begun = time.monotonic(), processor_seconds(process)  # it streams its answer: the client's clock
        visitor.send("compare_open")
        note(f"Compare, {occasion}", time.monotonic() - began, processor=processor_seconds(process) - begun)
    return rows


def all_of(visitor: Visitor, name: str, event_data: dict | None = None, **inputs: object) -> float:
    """Server seconds of an event of Explore and of the events that a browser sends after it."""
    events = {name: (event_data, inputs), "follow_choice": (None, {}), "ask_other_methods": (None, {})}
    return sum(visitor.send(event, data, **values)[0] for event, (data, values) in events.items())


def scene_of(values: list) -> dict:
    return next(json.loads(value) for value in values if isinstance(value, str) and '"panels"' in value)


def of_all(times: list[float]) -> tuple[float, float]:
    """Median and the worst."""
    return statistics.median(times), max(times)


def processor_seconds(process: int) -> float:
    """User and system time of a process so far (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def mebibytes(process: int) -> tuple[float, float]:
    """Resident memory of a process now and at most, in MiB (Linux)."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return sizes["VmRSS"], sizes["VmHWM"]


if __name__ == "__main__":
    main()
