"""The real page: in a process of its own, and in a browser."""

from __future__ import annotations

import ast
import multiprocessing
import os
import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from playwright.sync_api import Browser, Page, expect

from afrd.page.testing import END_SECONDS, free_port, wait_for

ROOT = Path(__file__).parents[2]
PATIENCE = 60_000  # milliseconds, on a busy machine


# Pages are forked from a process that has loaded what they need, which would take each of them eight seconds.
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(
    [
        *("afrd.cli.app", "afrd.runs.run", "afrd.runs.loading", "afrd.model.teacher", "afrd.figures.painting"),
        *("afrd.analysis.comparison.differences", "afrd.analysis.errors.words", "afrd.analysis.reports.contact_sheet"),
        *("afrd.data.uploads", "afrd.data.relief", "pandas.io.formats.style", "matplotlib.pyplot", "pydantic.v1"),
        *("uvicorn.main", "anyio._backends._asyncio"),
    ]
)


@contextmanager
def serving(command: Sequence[object], output: Path | None = None) -> Iterator[str]:
    """The address of a page that runs in a process of its own, and says nothing of an error.

    Args:
        command: what Python is to run: a file or "-c" and code, and arguments, to which `--port` and a free one are
            added.
        output: a file for what it says, which may then be an error.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with NamedTemporaryFile("r") as checked:
        arguments = [*map(str, command), "--port", str(port)]
        process = FORKED.Process(target=_run, args=(arguments, dict(os.environ), str(output or checked.name)))
        process.start()
        try:
            wait_for(address, lambda: process.exitcode)
            yield address
            assert process.is_alive(), f"the page ended by itself with status {process.exitcode}"
        finally:
            process.terminate()
            process.join(END_SECONDS)
            process.kill()
            said = checked.read()
            assert "Traceback" not in said, said


def _run(arguments: list[str], environment: dict[str, str], output: str) -> None:
    """Runs what `python *arguments` would."""
    with open(output, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.update(environment | {"GRADIO_ANALYTICS_ENABLED": "False"})
    if arguments[0] == "-c":
        _, code, *rest = arguments
        sys.argv = ["-c", *rest]
        exec(compile(code, "-c", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


def app_command(runs: Path, data: Path, *options: str) -> list[object]:
    """The command of the page as users start it."""
    return [ROOT / "app.py", "--runs", runs, "--data", data, *options]


@contextmanager
def browsing(browser: Browser, address: str, path: str = "") -> Iterator[Page]:
    """A page in the browser at `address` + `path`; fails where it logs an error or asks for anything elsewhere."""
    wrong: list[str] = []
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    try:
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda r: None if r.url.startswith((address, "data:", "blob:")) else wrong.append(f"asked for {r.url}"),
        )
        page.goto(address + path)
        yield page
    finally:
        page.close()
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


def executed(code: str) -> Any:
    """What the last line of the code gives, as in a cell of a notebook."""
    tree = ast.parse(code)
    last = tree.body.pop()
    assert isinstance(last, ast.Expr)
    names: dict[str, Any] = {}
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def copied(page: Page) -> str:
    """The code of the shown view."""
    page.get_by_role("button", name="copy the view as Python code").click()
    expect(page.locator("dialog.code[open] p")).not_to_be_empty(timeout=PATIENCE)
    code = page.get_by_label("Python code", exact=True).input_value()
    page.get_by_role("button", name="close", exact=True).click()
    return code
