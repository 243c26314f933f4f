"""Server times and memory of the page under the events that a browser sends.

    python -m benchmarks.page [--runs runs/demo] [--data data/candies] [--repeat 15]

Starts the page in a process of its own and prints medians with the machine they were measured on. A light toggle is
judged in the browser; what the server does of it afterwards is the strip with its scores, the bars of the other methods
and the pictures before and after. Times are the server's own, as Gradio reports them for every event; processor time
(user and system, which other work on the machine changes little) and memory are those of the page's process.
"""

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path

from afrd.page.testing import apart
from benchmarks.visitor import Visitor

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/demo"))
    parser.add_argument("--data", type=Path, default=Path("data/candies"))
    parser.add_argument("--repeat", type=int, default=15)
    options = parser.parse_args()
    began = time.monotonic()
    with apart([ROOT / "app.py", "--runs", options.runs, "--data", options.data]) as (address, process):
        measure(process, address, began, options.repeat)


def measure(process: int, address: str, began: float, repeat: int) -> None:
    print(f"machine: {machine()}; load {os.getloadavg()[0]:.1f} when it began")
    print(f"page up                      {time.monotonic() - began:7.1f} s after its start")
    visitor = Visitor(address)
    opened_values = visitor.send("open_page")[1]
    print(f"first map                    {time.monotonic() - began:7.1f} s after its start; {memory(process)}")
    began = time.monotonic()
    visitor.send("follow_choice")
    visitor.send("ask_other_methods")
    print(f"every method's score         {time.monotonic() - began:7.1f} s later; {memory(process)}")
    menu = next(value for value in opened_values if isinstance(value, dict) and value.get("choices"))  # the first
    categories = [key for _, key in menu["choices"]]
    for category in categories:  # everything loaded once
        visitor.send("open_link", _1=f"category={category}")
        visitor.send("follow_choice")
        visitor.send("ask_other_methods")
    print(f"{len(categories)} categories, all methods                       {memory(process)}")

    content = scene_of(visitor.send("open_link", _1=f"category={categories[0]}")[1])
    lights = [light["name"] for light in content["lights"]]
    strip = next(value for value in visitor.send("follow_choice")[1] if isinstance(value, str) and '"samples"' in value)
    names = [sample["id"] for sample in json.loads(strip)["samples"]]
    begun = processor_seconds(process)
    opened = [all_of(visitor, "select_sample", {"sample": names[i % len(names)]}) for i in range(repeat)]
    print(table("open a sample", opened, processor_seconds(process) - begun))
    # a different subset every time, so that nothing is cached
    subsets = [[light for j, light in enumerate(lights) if i + 3 & 1 << j] for i in range(1, 2 ** len(lights))]
    begun = processor_seconds(process)
    toggled = [all_of(visitor, "keep_lights", {"lights": subset, "number": 1}) for subset in subsets[:repeat] if subset]
    print(table("switch a light", toggled, processor_seconds(process) - begun))
    for occasion in ("first time", "again"):
        began = time.monotonic()  # it streams its answer, so the client's clock is used
        visitor.send("compare_open")
        print(f"Compare tab, {occasion:15} {(time.monotonic() - began) * 1000:8.0f} ms; {memory(process)}")


def all_of(visitor: Visitor, name: str, event_data: dict | None = None, **inputs: object) -> dict[str, float]:
    """Server seconds of an event of Explore and of the events that a browser sends after it, by name."""
    names = {name: (event_data, inputs), "follow_choice": (None, {}), "ask_other_methods": (None, {})}
    return {event: visitor.send(event, data, **values)[0] for event, (data, values) in names.items()}


def scene_of(values: list) -> dict:
    return next(json.loads(value) for value in values if isinstance(value, str) and '"panels"' in value)


def table(title: str, times: list[dict[str, float]], processor: float) -> str:
    """Medians and the worst of all together, in milliseconds, and the mean processor time."""
    medians = ", ".join(f"{name} {1000 * statistics.median(t[name] for t in times):.0f}" for name in times[0])
    used = 1000 * processor / len(times)
    totals = [1000 * sum(t.values()) for t in times]
    return (
        f"{title:28} {statistics.median(totals):8.0f} ms, at worst {max(totals):.0f} ({medians}; {len(times)} times); "
        f"processor {used:.0f} ms each"
    )


def processor_seconds(process: int) -> float:
    """User and system time of a process so far (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(process: int) -> str:
    """Resident now and at most, in MiB (Linux)."""
    now, most = mebibytes(process)
    return f"{now:.0f} MiB resident, {most:.0f} at most"


def mebibytes(process: int) -> tuple[float, float]:
    """Resident memory of a process now and at most, in MiB (Linux)."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return sizes["VmRSS"], sizes["VmHWM"]


def machine() -> str:
    return f"{processor()}, {os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}"


def processor() -> str:
    """The processor's name, where the system tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())


if __name__ == "__main__":
    main()
