"""The explorer in the browser: `python app.py`, `afrd app`. Torch is loaded behind it, so that it is up in seconds."""

from __future__ import annotations

import argparse
import atexit
import multiprocessing
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from afrd.cli import Parser, heed_termination

if TYPE_CHECKING:
    import gradio as gr

    from afrd.demo import Preparation

DEMO_DATA, DEMO_RUNS = Path("data/candies"), Path("runs/demo")
PORT = 7860
STYLE = Path(__file__).with_name("style.css")


def launch(
    runs: Path,
    data: Path | None,
    preparation: Preparation | None,
    port: int = PORT,
    share: bool = False,
    training: bool = True,
    host: str = "127.0.0.1",
) -> gr.Blocks:
    """Puts the page up, on this machine only unless shared, and returns at once; `block_thread` waits.

    Args:
        runs, data, preparation, training: as for `tabs.build`.
        port: to be listened at.
        share: also reachable by a public link.
        host: the address to listen at; "0.0.0.0" lets every machine in.

    Raises:
        OSError: the port is taken.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    import gradio as gr

    from afrd.page.tabs import build, colours

    page = build(runs, data, preparation, training)
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
        server_name=host,
        server_port=port,
        share=share,
        quiet=True,
        prevent_thread_lock=True,
        show_error=True,
        ssr_mode=False,
        max_file_size="50mb",
        theme=theme,
        css=colours()["css"] + STYLE.read_text(),
    )
    print(f"AFRD explorer on http://{host}:{port}", flush=True)
    if share and page.share_url:
        print(f"shared on {page.share_url}", flush=True)
    threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()
    if preparation is not None:
        preparation.start()
    return page


def _warm_up() -> None:
    """Imports what the first event needs, while the browser still loads the page."""
    from afrd import figures, runs  # noqa: F401


def parser() -> Parser:
    name = "afrd app" if Path(sys.argv[0]).stem == "afrd" else "app.py"
    top = Parser(prog=name, description="The AFRD explorer in the browser. Without options it prepares a demo.")
    top.add_argument("--runs", type=Path, metavar="DIR", help=f"folder with runs anywhere below ({DEMO_RUNS})")
    top.add_argument("--data", type=Path, metavar="DIR", help="data set to look at; default: where a run was trained")
    top.add_argument("--port", type=int, help=f"({PORT})")
    top.add_argument("--share", action="store_true", help="also reachable by a public link for a week")
    top.add_argument(
        "--train",
        action=argparse.BooleanOptionalAction,
        help="whether there is a tab to train in; by default there is, except in a Hugging Face Space",
    )
    return top


def in_a_space() -> bool:
    """Whether this is a Hugging Face Space, where everybody who comes by is a user."""
    return bool(os.environ.get("SPACE_ID"))


def main(argv: Sequence[str] | None = None) -> int:
    """Starts the page and stays; returns the exit status."""
    top = parser()
    options = top.parse_args(argv)
    for option, folder in (("--runs", options.runs), ("--data", options.data)):
        if folder is not None and not folder.is_dir():
            top.error(f"{option} {folder} is not a folder")
    port = options.port
    if port is None:
        told = os.environ.get("GRADIO_SERVER_PORT", "") if in_a_space() else ""
        port = int(told) if told.isdecimal() else PORT
    if not 1 <= port <= 65535:
        top.error(f"--port {port} is not a port; ports are 1 to 65535")
    heed_termination()
    preparation = None
    runs, data = options.runs, options.data
    if runs is None and data is None:
        from afrd.demo import Preparation

        runs, data = DEMO_RUNS, DEMO_DATA
        preparation = Preparation(data, runs)
    try:
        page = launch(
            runs or DEMO_RUNS.parent,
            data,
            preparation,
            port,
            options.share,
            training=not in_a_space() if options.train is None else options.train,
            host="0.0.0.0" if in_a_space() else "127.0.0.1",
        )
    except OSError as error:
        print(f"{top.prog}: port {port} cannot be used ({error}); choose another with --port", file=sys.stderr)
        return 1
    except ValueError as error:  # Gradio's own check whether the page answers, as on a machine that is too busy
        print(f"{top.prog}: the page does not answer on port {port} ({error}); try again", file=sys.stderr)
        return 1
    page.block_thread()  # until Ctrl-C
    _end()
    return 0


def _end() -> None:
    """Ends the process at once, tidied up, whatever its background threads do.

    They may be deep in torch, and Python's own way out waits for renderers and aborts when threads come back late.
    """
    for renderer in multiprocessing.active_children():
        renderer.terminate()
    atexit._run_exitfuncs()  # unfinished features are removed by it
    sys.stdout.flush()
    os._exit(0)
