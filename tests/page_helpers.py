"""The real page: in a process of its own, and in a browser."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATIENCE = 60_000  # milliseconds, on a busy machine


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextmanager
def serving(command: list[str], port: int) -> Iterator[str]:
    """The address of a page that runs in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    process = subprocess.Popen(
        [sys.executable, *command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            assert process.poll() is None, process.communicate()[0]
            try:
                urllib.request.urlopen(address, timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        yield address
        assert process.poll() is None
    finally:
        process.terminate()
        output = process.communicate(timeout=20)[0]
        assert "Traceback" not in output, output


@contextmanager
def browsing(chromium: str | None, address: str, path: str = "") -> Iterator:
    """A page in the browser at `address` + `path`; fails where it logs an error or asks for anything elsewhere."""
    from playwright.sync_api import sync_playwright

    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda r: None if r.url.startswith((address, "data:", "blob:")) else wrong.append(f"asked for {r.url}"),
        )
        page.goto(address + path)
        yield page
        browser.close()
    assert not wrong, wrong


def settled(page, quiet: int = 600) -> None:
    """Waits until nothing in the page has changed for `quiet` milliseconds."""
    page.evaluate(
        """quiet => new Promise(done => {
            let timer = setTimeout(done, quiet);
            new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(done, quiet); })
                .observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
            setTimeout(done, 20000);
        })""",
        quiet,
    )
