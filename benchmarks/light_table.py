"""Frame rates of the light table: `python -m benchmarks.light_table [--runs DIR | --file HTML] [--seconds 4]`.

Opens the page, or a file of `afrd share`, in headless Chromium, without a graphics card, with each light's attention on
its tile, and does one thing in every frame for some seconds: the cursor moves over the picture (with the loupe on every
panel and the values beside the cursor), the pictures are zoomed, a slider is drawn, a lamp is switched on and off. The
last line is of sets of lights that were not judged before, some in each of four samples. Prints the frames a second
(the browser draws 60 at most), how long the page's script works for a frame, and the processor time of the whole
browser for a frame, which other work on the machine does not change much.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
from pathlib import Path

from playwright.sync_api import CDPSession, Page, sync_playwright

from afrd.page.testing import apart

ROOT = Path(__file__).parents[1]
ACTIVITIES = {
    "nothing": "nothing",
    "cursor": "the cursor moves, all panels",
    "zoom": "zoom and pan, all panels",
    "cover": "opacity of the maps",
    "level": "threshold and its contours",
    "toggle": "a lamp on and off: fused anew",
    "weight": "the weight of a lamp: fused anew",
    "keys": "a lamp and the cursor together",
    "dimmer": "a dimmer, all lamps mixed",
    "mixed": "a lamp on and off, mixed and fused",
}
UNSEEN = "another set of lights: fused anew"
SAMPLES = 4  # in which sets of lights are gone through
ACTIVITY_SCRIPT = """async ([what, seconds]) => {  // seconds: or as long as there are unseen sets
  const root = document.querySelector('.light-table'), stage = root.querySelector('.panel .stage');
  const area = stage.getBoundingClientRect();
  const at = (kind, t, more = {}) => {
    const clientX = area.left + area.width * (0.5 + 0.4 * Math.cos(t));
    const clientY = area.top + area.height * (0.5 + 0.4 * Math.sin(1.3 * t));
    const event = { bubbles: true, cancelable: true, clientX, clientY, ...more };
    stage.dispatchEvent(kind === 'wheel' ? new WheelEvent(kind, event) : new PointerEvent(kind, event));
  };
  const slide = (selector, low, high, t) => {
    const input = root.querySelector(selector);
    input.value = low + (high - low) * (0.5 + 0.5 * Math.sin(t));
    input.dispatchEvent(new Event('input', { bubbles: true }));
  };
  const acts = {
    nothing: t => {},
    cursor: t => at('pointermove', t),
    zoom: t => at('wheel', t, { deltaY: Math.sin(2 * t) > 0 ? -60 : 60 }),
    cover: t => slide('.cover', 0, 1, t),
    level: t => slide('.level', 0.5, 1.5, t),
    dimmer: t => slide('.dimmer input', 0, 2, t),
    toggle: t => lamps()[0].click(),
    keys: t => { at('pointermove', t); lamps()[0].click(); },
    mixed: t => lamps()[0].click(),
    weight: t => slide('.say input', 0.02, 1, t),
    // as a Gray code counts, which never comes to the same set again; the first lamp stays on
    unseen: () => lamps()[1 + 31 - Math.clz32(turn & -turn)].click(),
  };
  const lamps = () => [...root.querySelectorAll('.tile input[type=checkbox]')];
  const sets = 2 ** (lamps().length - 1);
  let turn = 0;
  let worked = 0;
  const timed = task => (...given) => {
    const begin = performance.now();
    task(...given);
    worked += performance.now() - begin;
  };
  const request = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = task => request(timed(task));
  const times = [], start = performance.now();
  const goesOn = last => what === 'unseen' ? turn < sets : last - start < 1000 * seconds;
  for (let last = start; turn++, goesOn(last);) {
    timed(acts[what])((last - start) / 400);
    await new Promise(request);
    times.push(performance.now() - last);
    last = performance.now();
  }
  window.requestAnimationFrame = request;
  root.querySelector('[aria-label="whole picture"]').click();
  for (const name of lamps().filter(lamp => !lamp.checked).map(lamp => lamp.value)) {
    root.querySelector(`.tile input[value="${name}"]`).click();
  }
  root.dispatchEvent(new PointerEvent('pointerleave'));  // as when a lamp is clicked
  return { times, worked };
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures frame rates of the light table in headless Chromium.")
    parser.add_argument("--runs", default="runs/demo")
    parser.add_argument("--data", help="data set to look at; default: where the runs were trained")
    parser.add_argument("--file", type=Path, help="a file of `afrd share`, in the place of the page")
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args()
    if options.file:
        return measure(options.file.resolve().as_uri(), options.seconds)
    command = [ROOT / "app.py", "--runs", options.runs]
    with apart(command + (["--data", options.data] if options.data else [])) as (address, _):
        measure(address, options.seconds)


def measure(address: str, seconds: float) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        page.wait_for_selector(".light-table .verdict b", timeout=120_000)
        page.wait_for_timeout(8000)  # the other parts of the page are filled
        page.locator(".segments button", has_text="attention").click()  # maps that change with the lights
        page.wait_for_timeout(500)
        print(machine(browser.version))
        print(panels(page))
        print(f"\n{'in every frame':34} frames/s   95 % within      script   processor time")
        session = browser.new_browser_cdp_session()
        for activity, title in ACTIVITIES.items():
            print(line(title, *tried(page, session, activity, seconds)), flush=True)
            page.wait_for_timeout(300)
        times: list[float] = []
        worked = cpu = 0.0
        for _ in range(SAMPLES):
            page.get_by_label("next sample").click()
            page.wait_for_timeout(4000)  # the sample is there, and what it started is done
            found = tried(page, session, "unseen", seconds)
            times, worked, cpu = times + found[0], worked + found[1], cpu + found[2]
        print(line(UNSEEN, times, worked, cpu))
        browser.close()


def tried(page: Page, session: CDPSession, activity: str, seconds: float) -> tuple[list[float], float, float]:
    """Milliseconds of the frames, of the page's script, and of the processors."""
    before = processor_seconds(session)
    found = page.evaluate(ACTIVITY_SCRIPT, [activity, seconds])
    return found["times"], found["worked"], 1000 * (processor_seconds(session) - before)


def line(title: str, times: list[float], worked: float, cpu: float) -> str:
    count, slow = len(times), sorted(times)[int(0.95 * len(times))]
    rate = 1000 * count / sum(times)
    return f"{title:34} {rate:8.1f} {slow:10.1f} ms {worked / count:8.1f} ms {cpu / count:13.1f} ms"


def processor_seconds(session: CDPSession) -> float:
    """Of all the browser's processes so far."""
    return sum(process["cpuTime"] for process in session.send("SystemInfo.getProcessInfo")["processInfo"])


def machine(version: str) -> str:
    names = [line.split(":")[1].strip() for line in cpu_info() if line.startswith("model name")]
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    cpu = f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores{load}"
    return f"{cpu}; Chromium {version}, no graphics card"


def cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def panels(page: Page) -> str:
    sizes = page.locator(".light-table .stage:not(.hole)").evaluate_all(
        "found => found.map(stage => `${stage.clientWidth}x${stage.clientHeight}`)"
    )
    return f"{len(sizes)} panels: {', '.join(f'{sizes.count(size)} of {size}' for size in dict.fromkeys(sizes))} pixels"


if __name__ == "__main__":
    main()
