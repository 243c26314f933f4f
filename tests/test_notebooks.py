"""The notebooks: source and executed notebook in step, complete, small, and every cell and solution runs."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest

from afrd.notebook_checks import as_written

ROOT = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("notebooks_build", ROOT / "notebooks" / "build.py")
assert _spec and _spec.loader
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)

each_notebook = pytest.mark.parametrize("source", build.sources(), ids=lambda source: source.stem)
SOLUTION = re.compile(r"<details>.*?</details>", re.DOTALL)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


def executed(source: Path) -> nbformat.NotebookNode:
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def code(book: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def outputs(book: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [out for cell in code(book) for out in cell.outputs]


def solutions(book: nbformat.NotebookNode) -> list[str]:
    """The Python of every hidden solution, in order."""
    text = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    return [block for hidden in SOLUTION.findall(text) for block in PYTHON.findall(hidden)]


def has_data(trace: dict) -> bool:
    """Whether a trace draws anything: a table, a picture, or at least one value that is not None."""
    values = [trace.get(key) for key in ("y", "x", "z", "values", "source", "cells")]
    return any(
        ("bdata" in value and bool(value["bdata"])) or "values" in value
        if isinstance(value, dict)
        else isinstance(value, str) or any(one is not None for one in value or [])
        for value in values
    )


def empty_figures(book: nbformat.NotebookNode) -> list[str]:
    """Titles of the Plotly figures that show neither data nor pictures."""
    figures = [out.data[build.PLOTLY] for out in outputs(book) if build.PLOTLY in out.get("data", {})]
    return [
        str(figure["layout"].get("title"))
        for figure in figures
        if not any(has_data(trace) for trace in figure["data"]) and not figure["layout"].get("images")
    ]


def test_there_are_notebooks():
    assert build.sources()


@each_notebook
def test_source_and_notebook_are_in_step(source):
    expected, found = build.read(source), executed(source)
    pairs = [(cell.cell_type, cell.source) for cell in expected.cells]
    assert pairs == [(cell.cell_type, cell.source) for cell in found.cells], f"run `make notebooks` for {source.name}"


@each_notebook
def test_the_notebook_is_executed_and_small(source):
    book = executed(source)
    assert source.with_suffix(".ipynb").stat().st_size < 1_000_000
    assert [cell.execution_count for cell in code(book)] == list(range(1, len(code(book)) + 1))
    assert outputs(book)
    assert not [out for out in outputs(book) if out.output_type == "error"]
    assert not empty_figures(book)
    shown = [out for out in outputs(book) if build.PLOTLY in out.get("data", {})]
    assert all("image/png" in out.data for out in shown)


@each_notebook
def test_the_notebook_has_its_parts(source):
    book = build.read(source)
    text = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown").lower()
    for part in ("what you will learn", "prerequisites", "time", "seed", "exercise", "<details>"):
        assert part in text, f"{source.name} does not say: {part}"
    assert solutions(book)
    long = [cell.source for cell in code(book) if len(cell.source.splitlines()) > 15]
    assert not long, f"a cell of more than 15 lines: {long}"


@each_notebook
def test_the_notebook_and_its_solutions_run(source, tmp_path, tmp_path_factory, monkeypatch):
    data = tmp_path_factory.getbasetemp() / "notebook-data"  # rendered once for all notebooks
    monkeypatch.setenv("AFRD_NOTEBOOK_DATA", str(data))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    book = build.read(source)
    book.cells += [nbformat.v4.new_code_cell(solution) for solution in solutions(book)]
    build.execute(book, tmp_path, fast=True)
    assert not empty_figures(book)


def test_a_text_that_does_not_hold_stops_its_author_and_no_reader(capsys, monkeypatch):
    monkeypatch.delenv("AFRD_BUILD", raising=False)
    with as_written():
        assert 1 < 2
    assert capsys.readouterr().out == ""
    with as_written():
        assert 2 < 1
    assert capsys.readouterr().out.startswith("Here the numbers came out otherwise")
    with pytest.raises(ZeroDivisionError), as_written():  # a fault is no other number
        assert 1 / 0
    monkeypatch.setenv("AFRD_BUILD", "1")
    with pytest.raises(AssertionError), as_written():
        assert 2 < 1
