"""Puts together what Sphinx builds the site from: the executed notebooks, their figures, the documentation.

    python docs/site/prepare.py build/site-source

Figures become interactive HTML that needs no kernel; links into the code lead to the repository.
"""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shutil
import sys
import tomllib
from pathlib import Path

import nbformat
import plotly
from PIL import Image

ROOT = Path(__file__).parents[2]
PLOTLY = "application/vnd.plotly.v1+json"
SVG = "image/svg+xml"
PICTURES = ("image/png", "image/jpeg")
THUMBNAIL = (480, 320)  # pixels
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
CODE = re.compile(r"\]\((?:\.\./)+((?:afrd|benchmarks|tests)/[^)]*|CHANGELOG\.md|README\.md|LICENSE)\)")
BADGE = re.compile(r"\[!\[([^]]*)\]\(https://[^)]*\)\](\([^)]*\)) ?")  # a picture within a link
DOCUMENTS = ("architecture", "method", "lights", "regions", "relighting")
DOCUMENTS += ("corrections", "sweep", "deploy", "reliability")
INDEX = """# AFRD explorer

Anomaly detection under several lights: a course, and the documentation of the method. The code is at <{repository}>.

::::{{grid}} 1 2 2 3
:gutter: 3
{cards}
::::

```{{toctree}}
:caption: The course
:hidden:

notebooks/README
{notebooks}
notebooks/glossary
notebooks/references
```

```{{toctree}}
:caption: Documentation
:hidden:

{documents}
```
"""
CARD = """
:::{{grid-item-card}} {title}
:link: notebooks/{stem}
:link-type: doc
:img-top: _static/thumbnails/{stem}.jpg
:img-alt: a figure of this notebook
:::"""


def linked(text: str) -> str:
    """A text whose links into the code lead to the repository, and whose badges, pictures from elsewhere, are words."""
    return CODE.sub(rf"]({REPOSITORY}/blob/main/\1)", BADGE.sub(r"[\1]\2&emsp;", text))


def figure_html(output: nbformat.NotebookNode) -> str:
    """A Plotly output as HTML: its picture until `figures.js` draws it."""
    figure = output.data[PLOTLY]
    kept = {name: figure[name] for name in ("data", "layout", "frames") if name in figure}
    alternative = html.escape((figure["layout"].get("meta") or {}).get("alt", ""), quote=True)
    kind = next(kind for kind in PICTURES if kind in output.data)
    picture = f'<img src="data:{kind};base64,{output.data[kind].strip()}" alt="{alternative}">'
    content = json.dumps(kept).replace("</", "<\\/")
    return (
        f'<div class="course-figure" role="group" aria-label="{alternative}">{picture}'
        f'<script type="application/json">{content}</script></div>'
    )


def notebook(path: Path, target: Path, thumbnails: Path) -> str:
    """Copies a notebook with figures as HTML, writes its thumbnail, and returns its title.

    The thumbnail is the figure of the cell tagged `thumbnail`, or the first one.
    """
    book, thumbnail = nbformat.read(path, as_version=4), None
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.source = linked(cell.source)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/markdown" in data:
                data["text/markdown"] = linked(data["text/markdown"])
            kind = next((kind for kind in PICTURES if kind in data), None)
            if kind and (thumbnail is None or "thumbnail" in cell.metadata.get("tags", [])):
                thumbnail = Image.open(io.BytesIO(base64.b64decode(data[kind])))
            if PLOTLY in data:
                output.data = nbformat.from_dict({"text/html": figure_html(output)})
            elif SVG in data:  # within the page, so that its title is read and its colour is the page's
                output.data = nbformat.from_dict({"text/html": data[SVG]})
    nbformat.write(book, target)
    if thumbnail is None:
        raise SystemExit(f"{path.name} shows no figure; execute it with notebooks/build.py")
    thumbnail = thumbnail.convert("RGB")
    thumbnail.thumbnail(THUMBNAIL, Image.Resampling.LANCZOS)
    framed = Image.new("RGB", THUMBNAIL, "white")
    framed.paste(thumbnail, ((THUMBNAIL[0] - thumbnail.width) // 2, (THUMBNAIL[1] - thumbnail.height) // 2))
    framed.save(thumbnails / f"{path.stem}.jpg", quality=88)
    return book.cells[0].source.splitlines()[0].removeprefix("# ")


def prepare(out: Path) -> None:
    """Writes Sphinx's source folder anew."""
    shutil.rmtree(out, ignore_errors=True)
    thumbnails = out / "_static" / "thumbnails"
    for folder in (out / "notebooks", out / "docs", thumbnails):
        folder.mkdir(parents=True)
    for name in ("figures.js", "site.css"):
        shutil.copy(Path(__file__).parent / name, out / "_static")
    shutil.copy(Path(plotly.__file__).parent / "package_data" / "plotly.min.js", out / "_static")
    shutil.copy(Path(__file__).parent / "conf.py", out)
    for folder in ("screenshots", "figures"):
        shutil.copytree(ROOT / "docs" / folder, out / "docs" / folder)
    for path in sorted((ROOT / "notebooks").glob("*.md")):
        (out / "notebooks" / path.name).write_text(linked(path.read_text(encoding="utf-8")), encoding="utf-8")
    for name in DOCUMENTS:
        text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
        (out / "docs" / f"{name}.md").write_text(linked(text), encoding="utf-8")
    titles = {
        path.stem: notebook(path, out / "notebooks" / path.name, thumbnails)
        for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    }
    index = INDEX.format(
        repository=REPOSITORY,
        cards="".join(CARD.format(title=title, stem=stem) for stem, title in titles.items()),
        notebooks="\n".join(f"notebooks/{stem}" for stem in titles),
        documents="\n".join(f"docs/{name}" for name in DOCUMENTS),
    )
    (out / "index.md").write_text(index, encoding="utf-8")


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
