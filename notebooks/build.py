"""Makes the notebooks: every `NN_name.py` beside this file becomes an executed `NN_name.ipynb`.

    python notebooks/build.py                   # all of them
    python notebooks/build.py 01 03_fusing      # those whose names begin so
    python notebooks/build.py --text 01         # only texts changed: the outputs stay, nothing is executed

The source is jupytext's percent format. The build adds the badges, the setup cell and the links to the neighbours, and
hides the code of cells tagged `text`, `check` and `answer-check`. A notebook is executed in a kernel and a working
folder of its own; figures are kept twice, as data for Jupyter and as pictures for pages that run nothing (kaleido, with
Chromium or Chrome).
"""

from __future__ import annotations

import base64
import io
import json
import os
import resource
import sys
import tempfile
import time
import tomllib
import warnings
from pathlib import Path

import jupytext
import nbformat
import plotly.io as pio
from nbclient import NotebookClient
from PIL import Image

HERE = Path(__file__).parent
PLOTLY = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
LARGEST_FIGURE = 1_500_000  # characters of an interactive figure's data; above, its picture alone is kept
LARGEST_NOTEBOOK = 2_000_000  # bytes; the largest interactive figures go until it fits
SECONDS = 1200  # the longest that one cell may take
HIDDEN = {"text", "check", "answer-check"}  # tags of cells whose output is read and whose code is not
REPOSITORY = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"][
    "Repository"
]
SETUP = """import os
import sys

try:
    import course
except ImportError:  # nothing is installed here: clone the repository where it is missing (Colab), then install it
    if not os.path.exists("../pyproject.toml"):
        get_ipython().system(f"git clone -q --depth 1 {os.environ.get('AFRD_SOURCE', '%s')} afrd-course")
        os.chdir("afrd-course/notebooks")
        sys.path.insert(0, os.getcwd())
    get_ipython().run_line_magic("pip", "install -q .. anywidget")
    import course"""


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
    title, _, rest = book.cells[0].source.partition("\n")
    book.cells[0].source = f"{title}\n\n{badges(source)}\n{rest}"
    book.cells.append(nbformat.v4.new_markdown_cell(neighbours(source)))
    for number, cell in enumerate(book.cells):
        tags = list(cell.metadata.get("tags", []))
        if "setup" in tags:
            cell.source = SETUP % REPOSITORY
        cell.id = f"cell-{number:02d}"
        cell.metadata = nbformat.from_dict(visible(tags))
    book.nbformat, book.nbformat_minor = 4, 5
    return book


def visible(tags: list[str]) -> dict[str, object]:
    """The metadata of a cell with these tags: JupyterLab and the site fold the code of some."""
    if not HIDDEN.intersection(tags):
        return {"tags": tags} if tags else {}
    return {"tags": [*tags, "hide-input" if "check" in tags else "remove-input"], "jupyter": {"source_hidden": True}}


def badges(source: Path) -> str:
    """Links that open the notebook in Colab and on Binder."""
    name = REPOSITORY.removeprefix("https://github.com/")
    colab = f"https://colab.research.google.com/github/{name}/blob/main/notebooks/{source.stem}.ipynb"
    binder = f"https://mybinder.org/v2/gh/{name}/main?labpath=notebooks%2F{source.stem}.ipynb"
    return (
        f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab}) "
        f"[![Open on Binder](https://mybinder.org/badge_logo.svg)]({binder})"
    )


def neighbours(source: Path) -> str:
    """Links to the previous and the next notebook, the overview and the glossary."""
    order = sources()
    place = order.index(source)
    links = ["[Overview](README.md)", "[Glossary](glossary.md)", "[References](references.md)"]
    if place > 0:
        links.insert(0, f"← [{title_of(order[place - 1])}]({order[place - 1].stem}.ipynb)")
    if place + 1 < len(order):
        links.append(f"[{title_of(order[place + 1])}]({order[place + 1].stem}.ipynb) →")
    return "---\n" + " | ".join(links)


def title_of(source: Path) -> str:
    """The title of a notebook, as in "4. Evaluating"."""
    lines = source.read_text(encoding="utf-8").splitlines()
    return next(line.removeprefix("# # ") for line in lines if line.startswith("# # "))


def execute(book: nbformat.NotebookNode, folder: Path, fast: bool = False) -> None:
    """Runs all cells in a new kernel that works in `folder`.

    Args:
        fast: small data and few steps (AFRD_FAST=1), to find errors, not to learn from. Otherwise every text must hold
            (AFRD_BUILD=1, see `course.as_written`).

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ("AFRD_FAST", "AFRD_BUILD")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH"))))  # for `course`
    environment |= {"PLOTLY_RENDERER": "plotly_mimetype", ("AFRD_FAST" if fast else "AFRD_BUILD"): "1"}
    client = NotebookClient(book, timeout=SECONDS, kernel_name="python3", record_timing=False)
    client.execute(cwd=str(folder), env=environment)


def add_pictures(book: nbformat.NotebookNode) -> None:
    """Adds to every Plotly output its picture, and leaves out interactive data that makes the notebook too large."""
    shown = [out for cell in book.cells for out in cell.get("outputs", []) if PLOTLY in out.get("data", {})]
    for out in shown:
        figure = {key: out.data[PLOTLY][key] for key in ("data", "layout")}
        kind, picture = picture_of(figure)
        out.data[kind] = base64.b64encode(picture).decode()
        alternative = (figure["layout"].get("meta") or {}).get("alt")
        if alternative:
            out.metadata[kind] = {"alt": alternative}
        if len(json.dumps(out.data[PLOTLY])) > LARGEST_FIGURE:
            del out.data[PLOTLY]
    # The last ones go first: large ones, and of these those that have nothing to move.
    shown = [out for out in shown if PLOTLY in out.data]
    shown.sort(key=lambda out: ("frames" not in out.data[PLOTLY], len(json.dumps(out.data[PLOTLY]))))
    while shown and len(nbformat.writes(book).encode()) > LARGEST_NOTEBOOK:
        del shown.pop().data[PLOTLY]


def picture_of(figure: dict) -> tuple[str, bytes]:
    """A figure's MIME type and picture on white, without the buttons and sliders that a picture cannot have.

    Charts are PNG at twice their size, figures of photographs JPEG in full colour resolution at 1.25 times.
    """
    layout = {name: value for name, value in figure["layout"].items() if name not in ("updatemenus", "sliders")}
    png = pio.to_image(figure | {"layout": layout}, "png", validate=False, scale=2)
    picture = Image.open(io.BytesIO(png)).convert("RGBA")
    opaque = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    smaller = opaque.resize((opaque.width * 5 // 8, opaque.height * 5 // 8), Image.Resampling.LANCZOS)
    without_loss, photograph = io.BytesIO(), io.BytesIO()
    opaque.save(without_loss, "png", optimize=True)
    smaller.save(photograph, "jpeg", quality=80, subsampling=0, optimize=True, progressive=True)
    if without_loss.tell() <= max(100_000, photograph.tell()):
        return "image/png", without_loss.getvalue()
    return "image/jpeg", photograph.getvalue()


def tidy(book: nbformat.NotebookNode) -> None:
    """Takes out what changes from run to run, warnings, and widgets, which no saved notebook can show."""
    book.metadata.pop("widgets", None)
    for cell in book.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [
                out for out in cell.outputs if not (out.get("name") == "stderr" or WIDGET in out.get("data", {}))
            ]


def keep_outputs(book: nbformat.NotebookNode, executed: nbformat.NotebookNode) -> None:
    """Takes the outputs of an executed notebook with the same code.

    Raises:
        SystemExit: the code differs.
    """
    ours, theirs = ([cell for cell in one.cells if cell.cell_type == "code"] for one in (book, executed))
    if [cell.source for cell in ours] != [cell.source for cell in theirs]:
        raise SystemExit("code has changed since the notebook was executed; build it without --text")
    for cell, old in zip(ours, theirs, strict=True):
        cell.outputs, cell.execution_count = old.outputs, old.execution_count


def build(source: Path, text_only: bool = False) -> Path:
    """Executes one notebook, or takes its outputs as they are, and writes it beside its source."""
    book, path = read(source), source.with_suffix(".ipynb")
    if text_only:
        keep_outputs(book, nbformat.read(path, as_version=4))
    else:
        with tempfile.TemporaryDirectory() as folder:
            execute(book, Path(folder))
        tidy(book)
        add_pictures(book)
    path.write_text(nbformat.writes(book) + "\n", encoding="utf-8")
    return path


def main() -> None:
    import kaleido

    warnings.filterwarnings("ignore", message="The kopts argument is ignored")
    text_only = "--text" in sys.argv
    kaleido.start_sync_server(silence_warnings=True)  # one browser for all figures
    for source in sources([name for name in sys.argv[1:] if name != "--text"]):
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        path = build(source, text_only)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        size, took = path.stat().st_size / 1e3, time.monotonic() - began
        print(f"{path.name}: {size:.0f} kB, {used:.0f} s of processor time, {took:.0f} s", flush=True)
    kaleido.stop_sync_server()


if __name__ == "__main__":
    main()
