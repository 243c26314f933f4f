"""Makes the notebooks: every `NN_name.py` beside this file becomes an executed `NN_name.ipynb`.

    python notebooks/build.py                   # all of them
    python notebooks/build.py 01 03_fusing      # those whose names begin so

The source is jupytext's percent format. A notebook is executed in a kernel and a working folder of its own; figures are
kept twice, as data for Jupyter and as PNG for pages that run nothing (kaleido, with Chromium or Chrome).
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import jupytext
import nbformat
import plotly.io as pio
from nbclient import NotebookClient
from PIL import Image

HERE = Path(__file__).parent
PLOTLY = "application/vnd.plotly.v1+json"
LARGEST_FIGURE = 250_000  # characters of an interactive figure's data; above, its picture alone is kept
LARGEST_NOTEBOOK = 950_000  # bytes; the largest interactive figures go until it fits
SECONDS = 1200  # the longest that one cell may take


def sources(wanted: list[str] | None = None) -> list[Path]:
    """The notebooks' sources in order: all, or those whose names begin with one of the texts."""
    found = sorted(HERE.glob("[0-9][0-9]_*.py"))
    for text in wanted or []:
        if not any(path.stem.startswith(text) for path in found):
            raise SystemExit(f"no notebook begins with {text!r}; there are {', '.join(path.stem for path in found)}")
    return [path for path in found if not wanted or any(path.stem.startswith(text) for text in wanted)]


def read(source: Path) -> nbformat.NotebookNode:
    """The notebook of a source, not executed, with nothing in it that changes from one reading to the next."""
    book = jupytext.read(source)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    book.metadata = nbformat.from_dict({"kernelspec": kernel, "language_info": {"name": "python"}})
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number:02d}"
        cell.metadata = nbformat.from_dict({})
    book.nbformat, book.nbformat_minor = 4, 5
    return book


def execute(book: nbformat.NotebookNode, folder: Path, fast: bool = False) -> None:
    """Runs all cells in a new kernel that works in `folder`.

    Args:
        fast: small data and few steps (AFRD_FAST=1), to find errors, not to learn from. Otherwise every text must hold
            (AFRD_BUILD=1, see `afrd.claims`).

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ("AFRD_FAST", "AFRD_BUILD")}
    environment |= {"PLOTLY_RENDERER": "plotly_mimetype", ("AFRD_FAST" if fast else "AFRD_BUILD"): "1"}
    client = NotebookClient(book, timeout=SECONDS, kernel_name="python3", record_timing=False)
    client.execute(cwd=str(folder), env=environment)


def add_pictures(book: nbformat.NotebookNode) -> None:
    """Adds to every Plotly output its PNG, and leaves out interactive data that would make the notebook too large."""
    shown = [out for cell in book.cells for out in cell.get("outputs", []) if PLOTLY in out.get("data", {})]
    for out in shown:
        figure = {key: out.data[PLOTLY][key] for key in ("data", "layout")}
        out.data["image/png"] = base64.b64encode(few_colours(pio.to_image(figure, "png", validate=False))).decode()
        if len(json.dumps(out.data[PLOTLY])) > LARGEST_FIGURE:
            del out.data[PLOTLY]
    shown = sorted((out for out in shown if PLOTLY in out.data), key=lambda out: len(json.dumps(out.data[PLOTLY])))
    while shown and len(nbformat.writes(book).encode()) > LARGEST_NOTEBOOK:
        del shown.pop().data[PLOTLY]


def few_colours(png: bytes) -> bytes:
    """The same picture on white with 256 colours, about a third of the size."""
    picture, smaller = Image.open(io.BytesIO(png)).convert("RGBA"), io.BytesIO()
    opaque = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    opaque.quantize(256, dither=Image.Dither.NONE).save(smaller, "png", optimize=True)
    return smaller.getvalue()


def tidy(book: nbformat.NotebookNode) -> None:
    """Takes out of the outputs what changes from run to run, and warnings on the error stream."""
    for cell in book.cells:
        cell.metadata = nbformat.from_dict({})
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if not (out.output_type == "stream" and out.name == "stderr")]


def build(source: Path) -> Path:
    """Executes one notebook and writes it beside its source."""
    book = read(source)
    with tempfile.TemporaryDirectory() as folder:
        execute(book, Path(folder))
    tidy(book)
    add_pictures(book)
    path = source.with_suffix(".ipynb")
    path.write_text(nbformat.writes(book) + "\n", encoding="utf-8")
    return path


def main() -> None:
    import kaleido

    warnings.filterwarnings("ignore", message="The kopts argument is ignored")
    kaleido.start_sync_server(silence_warnings=True)  # one browser for all figures
    for source in sources(sys.argv[1:]):
        began = time.monotonic()
        path = build(source)
        print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB, {time.monotonic() - began:.0f} s", flush=True)
    kaleido.stop_sync_server()


if __name__ == "__main__":
    main()
