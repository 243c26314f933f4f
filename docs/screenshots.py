"""Pictures of the page for the documentation: `python docs/screenshots.py [--runs DIR] [--data DIR]`.

Writes docs/explore.png, docs/explore-dark.png and docs/explore-tablet.png; needs Playwright and a Chromium.
"""

import argparse
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

DOCS = Path(__file__).parent
SHOTS = (
    ("explore", 1280, 900, "light"),
    ("explore-dark", 1280, 900, "dark"),
    ("explore-tablet", 820, 1180, "light"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Takes the pictures of the page that the documentation shows.")
    parser.add_argument("--runs", default="runs/demo")
    parser.add_argument("--data", help="data set to look at; default: where the runs were trained")
    parser.add_argument("--out", type=Path, default=DOCS)
    options = parser.parse_args()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [sys.executable, str(DOCS.parent / "app.py"), "--runs", options.runs, "--port", str(port)]
    page = subprocess.Popen(command + (["--data", options.data] if options.data else []))
    try:
        wait_for(f"http://127.0.0.1:{port}", page)
        take(f"http://127.0.0.1:{port}", options.out)
    finally:
        page.terminate()
        page.wait()


def wait_for(address: str, process: subprocess.Popen) -> None:
    for _ in range(150):
        if process.poll() is not None:
            sys.exit(process.returncode)
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    sys.exit(f"{address} did not answer")


def take(address: str, out: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        for name, width, height, theme in SHOTS:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(f"{address}/?__theme={theme}")
            page.wait_for_selector(".light-table .panel canvas", timeout=120_000)
            page.wait_for_timeout(1500)  # pictures fade in
            page.screenshot(path=out / f"{name}.png")
            page.close()
            print(out / f"{name}.png")


if __name__ == "__main__":
    main()
