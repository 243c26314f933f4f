"""The notebooks: source and executed notebook in step, complete, small, and every cell and solution runs."""

from __future__ import annotations

import importlib.util
import re
from itertools import zip_longest
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

ROOT = Path(__file__).parents[1]


def module(name: str) -> ModuleType:
    """A module beside the notebooks."""
    spec = importlib.util.spec_from_file_location(f"notebooks_{name}", ROOT / "notebooks" / f"{name}.py")
    assert spec and spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


build, check_text, course = (module(name) for name in ("build", "check_text", "course"))

each_notebook = pytest.mark.parametrize("source", build.sources(), ids=lambda source: source.stem)
SOLUTION = re.compile(r"<details>.*?</details>", re.DOTALL)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


def executed(source: Path) -> nbformat.NotebookNode:
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def code(book: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def outputs(book: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [out for cell in code(book) for out in cell.outputs]


def pictures(out: nbformat.NotebookNode) -> list[str]:
    """The MIME types of the pictures of an output."""
    return [kind for kind in ("image/png", "image/jpeg") if kind in out.get("data", {})]


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
    assert source.with_suffix(".ipynb").stat().st_size < 2_100_000
    assert [cell.execution_count for cell in code(book)] == list(range(1, len(code(book)) + 1))
    assert outputs(book)
    assert not [out for out in outputs(book) if out.output_type == "error"]
    assert not empty_figures(book)
    shown = [out for out in outputs(book) if build.PLOTLY in out.get("data", {})]
    assert all(pictures(out) for out in shown)


@each_notebook
def test_the_notebook_has_its_parts(source):
    book = build.read(source)
    text = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown").lower()
    for part in ("what you will learn", "prerequisites", "time", "seed", "exercise", "<details>"):
        assert part in text, f"{source.name} does not say: {part}"
    assert solutions(book)
    shown = [cell for cell in code(book) if not cell.metadata.get("jupyter", {}).get("source_hidden")]
    long = [cell.source for cell in shown if len(cell.source.splitlines()) > 15]
    assert not long, f"a cell of more than 15 lines: {long}"


@each_notebook
def test_the_notebook_and_its_solutions_run(source, tmp_path, tmp_path_factory, monkeypatch):
    data = tmp_path_factory.getbasetemp() / "notebook-data"  # rendered once for all notebooks
    monkeypatch.setenv("AFRD_NOTEBOOK_DATA", str(data))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    book = build.read(source)
    checks = [cell.source for cell in code(book) if "answer-check" in cell.metadata.get("tags", [])]
    end = len(book.cells)
    for solution, check in zip_longest(solutions(book), checks, fillvalue=""):
        book.cells += [nbformat.v4.new_code_cell(solution), nbformat.v4.new_code_cell(check)]
    build.execute(book, tmp_path, fast=True)
    assert not empty_figures(book)
    for cell in book.cells[end + 1 :: 2]:
        assert not cell.source or "Right." in cell.outputs[0].text, cell.source


@each_notebook
def test_numbers_in_the_text_are_computed(source):
    assert not check_text.copied_numbers(source)


@each_notebook
def test_a_number_put_into_any_text_is_reported(source, tmp_path):
    code = source.read_text(encoding="utf-8")
    places = [r"# %% \[markdown\][^\n]*\n", r'Markdown\(f"{1,3}\n?']  # text cells, and texts with computed numbers
    for pattern, text in zip(places, ("# An AUROC of 0.9871.\n#\n", "An AUROC of 0.9871. "), strict=True):
        for found in list(re.finditer(pattern, code)):
            changed = tmp_path / source.name
            changed.write_text(code[: found.end()] + text + code[found.end() :], encoding="utf-8")
            assert [line[-6:] for line in check_text.copied_numbers(changed)] == ["0.9871"], found.group()


@each_notebook
def test_no_line_of_a_computed_text_begins_with_a_number_that_markdown_reads_as_a_list(source):
    texts = [out.get("data", {}).get("text/markdown", "") for out in outputs(executed(source))]
    assert not [line for text in texts for line in text.splitlines() if re.match(r"\s*\d+[.)] ", line)]


def test_a_built_notebook_has_no_warnings_and_no_widgets():
    said = nbformat.v4.new_output("stream", name="stderr", text="deprecated")
    widget = nbformat.v4.new_output("display_data", {build.WIDGET: {"model_id": "0"}, "text/plain": "Table()"})
    kept = nbformat.v4.new_output("display_data", {"text/html": "<img>"})
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("show()", outputs=[said, kept, widget])])
    build.tidy(book)
    assert book.cells[0].outputs == [kept]


def test_outputs_are_kept_while_the_code_is_the_same():
    book, executed = (nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")]) for _ in range(2))
    executed.cells[0].execution_count = 5
    build.keep_outputs(book, executed)
    assert book.cells[0].execution_count == 5
    book.cells[0].source = "1 + 2"
    with pytest.raises(SystemExit, match="code has changed"):
        build.keep_outputs(book, executed)


@each_notebook
def test_figures_have_alternative_text(source):
    for out in outputs(executed(source)):
        assert all(out.metadata.get(kind, {}).get("alt") for kind in pictures(out))


@each_notebook
def test_every_exercise_can_be_checked(source):
    tags = [tag for cell in build.read(source).cells for tag in cell.metadata.get("tags", [])]
    count = len(solutions(build.read(source)))
    assert tags.count("exercise") == tags.count("answer-check") == count


def test_a_copied_number_is_reported_and_a_setting_is_not():
    assert check_text.numbers("It reaches 92 % of `0.5`, see notebook 3 and CVPR 2022; AUROC 0.95.") == ["92 %", "0.95"]
    assert check_text.numbers("a lamp 12 degrees above the mat", ["12 degrees"]) == []
    assert check_text.written_parts('Markdown(f"AUROC {value:.2f} of 7 parts")') == "AUROC `computed` of 7 parts"


def test_an_answer_is_right_wrong_or_missing_and_never_an_error(capsys):
    for answer, start in (
        (None, "Not answered"),
        (2.001, "Right"),
        (3, "Not yet. Look"),
        ("two", "This answer cannot"),
    ):
        course.check(answer, 2, "Look again.")
        assert capsys.readouterr().out.startswith(start)


def test_a_text_that_does_not_hold_stops_its_author_and_no_reader(capsys, monkeypatch):
    monkeypatch.delenv("AFRD_BUILD", raising=False)
    with course.as_written():
        assert 1 < 2
    assert capsys.readouterr().out == ""
    with course.as_written():
        assert 2 < 1
    assert capsys.readouterr().out.startswith("Your numbers differ")
    with pytest.raises(ZeroDivisionError), course.as_written():  # a fault is no other number
        assert 1 / 0
    monkeypatch.setenv("AFRD_BUILD", "1")
    with pytest.raises(AssertionError), course.as_written():
        assert 2 < 1
