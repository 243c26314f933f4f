"""The explorer in the browser: `python app.py`, `afrd app`. Torch is loaded behind it, so that it is up in seconds."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afrd.cli import Parser

if TYPE_CHECKING:
    import gradio as gr

    from afrd.demo import Preparation

DEMO_DATA, DEMO_RUNS = Path("data/candies"), Path("runs/demo")
QUICK, SLOW = 1.0, 10.0  # seconds between looks for progress and for new runs
STYLE = Path(__file__).with_name("style.css")


def build(runs: Path, data: Path | None, preparation: Preparation | None = None) -> gr.Blocks:
    """The page.

    Args:
        runs: folder with run folders anywhere below.
        data: root of the data set to look at instead of where the runs were trained.
        preparation: the demo that is being prepared; its steps are shown until it is finished.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    import gradio as gr

    from afrd.page import compare, errors, explore, lights, own, progress, train
    from afrd.page.about import about_tab
    from afrd.page.choice import Choice
    from afrd.page.library import Library
    from afrd.page.way import Way

    library = Library(Path(runs), Path(data) if data is not None else None, preparation is not None)
    colours = _colours()
    with gr.Blocks(title="AFRD explorer", analytics_enabled=False) as page:
        gr.HTML(
            '<div class="title-line"><h1>AFRD explorer</h1>'
            "<span>what each light sees, and what the lights together find</span></div>"
        )
        steps = preparation.steps() if preparation is not None else []
        with gr.Column(visible=preparation is not None, elem_id="preparation") as panel:
            summary = gr.HTML(progress.summary(steps))
            with gr.Accordion("All steps", open=False):
                listing = gr.HTML(progress.listing(steps))
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Explore", id="explore"):
                parts = explore.explore_tab(library, colours["script"])
            way = Way(library, tabs, parts)
            with gr.Tab("Compare", id="compare") as tab:
                compare.compare_tab(tab, way)
            with gr.Tab("Errors", id="errors") as tab:
                errors.errors_tab(tab, way)
            with gr.Tab("Lights", id="lights") as tab:
                lights.lights_tab(tab, way)
            with gr.Tab("Train", id="train") as tab:
                train.train_tab(tab, way)
            with gr.Tab("Your own sample", id="own") as tab:
                own.own_tab(tab, way)
            with gr.Tab("About", id="about"):
                about_tab(colours["error"])

        def open_page(choice: Choice) -> list:
            wanted = choice.category or (preparation.categories[0] if preparation is not None else None)
            return explore.everything(library, explore.first_choice(library, wanted))

        page.load(
            open_page,
            parts.choice,
            parts.all(),
            api_name="open_page",
            show_progress="hidden",
            concurrency_limit=2,
            concurrency_id="torch",
        )

        def look_for_news(choice: Choice, known: list[str]) -> list:
            now = [str(entry) for entry in library.categories()]
            values = explore.joined(library, choice) if now != known else explore.nothing_new()
            if preparation is None:
                return [gr.skip(), gr.skip(), "", "", now, *values]
            steps, finished = preparation.steps(), preparation.finished
            if finished:
                failed = any(step.state == "failed" for step in steps)
                news = [gr.Timer(SLOW), gr.Column(visible=failed)]
            else:
                news = [gr.skip(), gr.skip()]
            return [*news, progress.summary(steps), progress.listing(steps), now, *values]

        known = gr.State([])
        timer = gr.Timer(QUICK if preparation is not None else SLOW)
        timer.tick(
            look_for_news,
            [parts.choice, known],
            [timer, panel, summary, listing, known, *parts.all()],
            api_name="look_for_news",
            trigger_mode="once",
            show_progress="hidden",
            concurrency_limit=2,
            concurrency_id="news",
        )

        def look(category: str, sample: str, split: str = "", lights: str = "all") -> dict[str, Any]:
            """What the category's first AFRD run says of one sample under these lights."""
            return explore.look(library, category, sample, split, lights)

        def categories() -> list[str]:
            """The categories there are."""
            return [entry.key for entry in library.categories()]

        gr.api(look, api_name="look", concurrency_limit=2, concurrency_id="torch")
        gr.api(categories, api_name="categories")
    return page


def launch(
    runs: Path, data: Path | None, preparation: Preparation | None, port: int = 7860, share: bool = False
) -> gr.Blocks:
    """Puts the page up, on this machine only unless shared, and returns at once; `block_thread` waits.

    Raises:
        OSError: the port is taken.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    import gradio as gr

    page = build(runs, data, preparation)
    theme = gr.themes.Default(
        primary_hue="blue",
        radius_size="sm",
        spacing_size="sm",
        text_size="sm",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    page.launch(
        server_name="127.0.0.1",
        server_port=port,
        share=share,
        quiet=True,
        prevent_thread_lock=True,
        show_error=True,
        ssr_mode=False,
        max_file_size="50mb",
        theme=theme,
        css=_colours()["css"] + STYLE.read_text(),
    )
    print(f"AFRD explorer on http://127.0.0.1:{port}", flush=True)
    if share and page.share_url:
        print(f"shared on {page.share_url}", flush=True)
    threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()
    if preparation is not None:
        preparation.start()
    return page


def _warm_up() -> None:
    """Imports what the first event needs, while the browser still loads the page."""
    from afrd import figures, runs  # noqa: F401


def _colours() -> dict[str, Any]:
    """What the page draws with, from `afrd.figures`."""
    from afrd import figures

    error, share = figures.colours(figures.ERROR_COLOURS), figures.colours(figures.SHARE_COLOURS)
    names = {"COLOURS": error, "SHARES": share, "LIMIT": figures.LIMIT, "CLEAR": figures.CLEAR, "FULL": figures.FULL}
    return {
        "error": error,
        "script": "".join(f"const {name} = {json.dumps(value)};\n" for name, value in names.items()),
        "css": f".light-table {{ --truth-line: {figures.TRUTH_COLOUR}; --truth-key: #0fb5a6; "
        f"--threshold-line: {figures.THRESHOLD_COLOUR}; }}\n",
    }


def parser() -> Parser:
    name = "afrd app" if Path(sys.argv[0]).stem == "afrd" else "app.py"
    top = Parser(prog=name, description="The AFRD explorer in the browser. Without options it prepares a demo.")
    top.add_argument("--runs", type=Path, metavar="DIR", help=f"folder with runs anywhere below ({DEMO_RUNS})")
    top.add_argument("--data", type=Path, metavar="DIR", help="data set to look at; default: where a run was trained")
    top.add_argument("--port", type=int, default=7860, help="(7860)")
    top.add_argument("--share", action="store_true", help="also reachable by a public link for a week")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Starts the page and stays; returns the exit status."""
    top = parser()
    options = top.parse_args(argv)
    for option, folder in (("--runs", options.runs), ("--data", options.data)):
        if folder is not None and not folder.is_dir():
            top.error(f"{option} {folder} is not a folder")
    if not 1 <= options.port <= 65535:
        top.error(f"--port {options.port} is not a port; ports are 1 to 65535")
    preparation = None
    runs, data = options.runs, options.data
    if runs is None and data is None:
        from afrd.demo import Preparation

        runs, data = DEMO_RUNS, DEMO_DATA
        preparation = Preparation(data, runs)
    try:
        page = launch(runs or DEMO_RUNS.parent, data, preparation, options.port, options.share)
    except OSError as error:
        print(f"{top.prog}: port {options.port} cannot be used ({error}); choose another with --port", file=sys.stderr)
        return 1
    page.block_thread()  # until Ctrl-C
    return 0
