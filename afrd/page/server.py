"""The explorer in the browser: `python app.py`, `afrd app`. It is up in seconds: torch is loaded in the background."""

from __future__ import annotations

import atexit
import ctypes
import multiprocessing
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from afrd.page.access import Access
from afrd.page.common.precedence import give_way
from afrd.page.light_table import style as light_table
from afrd.page.tabs import THIS_MACHINE, build

if TYPE_CHECKING:
    from afrd.demo.prepare import Preparation

DEMO_DATA, DEMO_RUNS = Path("data/candies"), Path("runs/demo")
PORT = 7860
M_ARENA_MAX = -8  # of glibc's malloc.h
TRIM_SECONDS = 10.0
STYLES = (Path(__file__).with_name("style.css"), light_table.CSS)


def launch(
    runs: Path,
    data: Path | None,
    preparation: Preparation | None,
    port: int = PORT,
    access: Access = THIS_MACHINE,
) -> gr.Blocks:
    """Starts the page, on this machine only by default, and returns at once; `block_thread` waits.

    Args:
        runs, data, preparation: as for `tabs.build`.
        port: to listen on.
        access: who reaches the page, and with which password.

    Raises:
        OSError: the port is taken.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    # With it the browser would keep every event's inputs and outputs, notes among them, and become slower with each.
    os.environ.setdefault("GRADIO_RUN_HISTORY", "False")
    _share_heaps()
    page = build(runs, data, preparation, access)
    theme = gr.themes.Default(
        primary_hue="blue",
        radius_size="sm",
        spacing_size="sm",
        text_size="sm",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(  # Gradio's own are a little too pale to be read by everybody
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        body_text_color_subdued="*neutral_500",
        input_placeholder_color="*neutral_500",
    )
    page.launch(
        server_name=access.host,
        server_port=port,
        share=access.share,
        auth=access.auth,
        enable_monitoring=False,
        quiet=True,
        prevent_thread_lock=True,
        show_error=True,
        ssr_mode=False,
        max_file_size="50mb",
        theme=theme,
        css="".join(path.read_text() for path in STYLES),
    )
    print(f"AFRD explorer on http://{access.host}:{port}", flush=True)
    if access.share and page.share_url:
        print(f"shared on {page.share_url}", flush=True)
    if access.open:
        print("The page is open: whoever reaches it can use it; --auth USER:FILE asks for a password.", flush=True)
    if preparation is not None:
        preparation.start()
    threading.Thread(target=_load_models, daemon=True).start()
    threading.Thread(target=return_memory, daemon=True).start()
    return page


def _share_heaps() -> None:
    """Limits the threads of event handlers to two heaps.

    With a heap for each of them, glibc's default, freed memory stays in heaps that other threads do not use:
    0.6 GB after two minutes of `benchmarks/load.py`. Other C libraries have no such option, and need none.
    """
    with suppress(OSError, TypeError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


def return_memory() -> None:
    """Returns freed memory to the system every `TRIM_SECONDS`, in a thread of its own.

    glibc keeps what is freed below memory that is still used, so that under load the process would grow without end
    (docs/reliability.md). A call takes some hundredths of a second. Other C libraries have no such function.
    """
    with suppress(OSError, TypeError, AttributeError):
        trim = ctypes.CDLL(None).malloc_trim
        while True:
            time.sleep(TRIM_SECONDS)
            trim(0)


def _load_models() -> None:
    """Loads torch and the modules that read and compare runs (seconds of work) while the browser loads the page.

    Those that compare runs can wait for the first map, as can a first figure, which loads most of Plotly, and timm,
    which only a teacher needs: the demo's features are stored.
    """
    import afrd.runs.run

    give_way()
    import afrd.analysis.comparison.differences
    import afrd.figures

    afrd.figures.roc_curves({})
    give_way()
    import timm  # noqa: F401


def _end() -> None:
    """Ends the process at once, after cleaning up, even while background threads run.

    They may be inside torch; Python's regular exit waits for renderers and aborts when threads return late.
    """
    for renderer in multiprocessing.active_children():
        renderer.terminate()
    atexit._run_exitfuncs()  # unfinished features are removed by it
    sys.stdout.flush()
    os._exit(0)
