"""Frame rates of the light table: `python -m benchmarks.light_table [--runs DIR] [--data DIR] [--seconds 4]`.

Opens the page in headless Chromium, without a graphics card, and does one thing in every frame for some seconds: the
cursor moves over the picture (with the loupe on every panel and the values beside the cursor), the pictures are zoomed,
a slider is drawn, a lamp is switched. Prints the frames a second (the browser draws 60 at most), how long the page's
script works for a frame, and the processor time of the whole browser for a frame, which other work on the machine does
not change much.
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
    "dimmer": "a dimmer, all lamps mixed",
    "toggle": "a lamp on and off: fused anew",
    "weight": "the weight of a lamp: fused anew",
}
ACTIVITY_SCRIPT = """async ([what, seconds]) => {
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
    toggle: t => root.querySelector('.tile input[type=checkbox]').click(),
    weight: t => slide('.say input', 0.02, 1, t),
  };
  let worked = 0;
  const timed = task => (...given) => {
    const begin = performance.now();
    task(...given);
    worked += performance.now() - begin;
  };
  const request = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = task => request(timed(task));
  const times = [], start = performance.now();
  for (let last = start; last - start < 1000 * seconds;) {
    timed(acts[what])((last - start) / 400);
    await new Promise(request);
    times.push(performance.now() - last);
    last = performance.now();
  }
  window.requestAnimationFrame = request;
  root.querySelector('[aria-label="whole picture"]').click();
  times.sort((a, b) => a - b);
  const all = times.reduce((a, b) => a + b);
  return { frames: times.length, rate: 1000 * times.length / all, slow: times[Math.floor(0.95 * times.length)],
    script: worked / times.length };
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures frame rates of the light table in headless Chromium.")
    parser.add_argument("--runs", default="runs/demo")
    parser.add_argument("--data", help="data set to look at; default: where the runs were trained")
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args()
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
        page.locator(".segments button").last.click()  # maps on the tiles too
        page.wait_for_timeout(500)
        print(machine(browser.version))
        print(panels(page))
        print(f"\n{'in every frame':34} frames/s   95 % within      script   processor time")
        session = browser.new_browser_cdp_session()
        for activity, title in ACTIVITIES.items():
            before = processor_seconds(session)
            result = page.evaluate(ACTIVITY_SCRIPT, [activity, seconds])
            cpu = 1000 * (processor_seconds(session) - before) / result["frames"]
            print(
                f"{title:34} {result['rate']:8.1f} {result['slow']:10.1f} ms {result['script']:8.1f} ms {cpu:13.1f} ms",
                flush=True,
            )
            page.wait_for_timeout(300)
        browser.close()


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
