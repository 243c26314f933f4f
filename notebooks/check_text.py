"""Finds numbers in a notebook's text that no code computed.

    python notebooks/check_text.py          # all notebooks
    python notebooks/check_text.py 01 04    # those whose names begin so

A number that a computation produced belongs in a code cell tagged `text` that ends in `Markdown(f"...")`. Text cells
may have numbers that a person chose: those in code, formulas and links; years; numbers of notebooks, exercises and
lists; the reading time; the seed; and the settings that the cell lists in its first line, such as
`# %% [markdown] settings=["12 degrees"]`.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import jupytext

HERE = Path(__file__).parent
WITHOUT_RESULTS = (
    re.compile(r"```.*?```", re.DOTALL),  # code
    re.compile(r"`[^`]*`"),
    re.compile(r"\$\$.*?\$\$|\$[^$]*\$", re.DOTALL),  # formulas
    re.compile(r"\]\([^)]*\)|<https?://[^>]*>|https?://\S+"),  # targets of links
    re.compile(r"<svg.*?</svg>|<[^>]+>", re.DOTALL),
    re.compile(r"(?m)^#+ +\d+\. "),  # "# 4. Evaluating"
    re.compile(r"(?m)^ *(\*\*)?\d+\. "),  # lists and exercises
    re.compile(r"(?m)^.*\*\*Time\*\*.*(\n.+)*"),
    re.compile(
        r"(?i)\b(notebooks?|questions?|exercises?|equations?|figures?|steps?|sections?|seeds?( is)?) "
        r"\d+((, | to | and |-)\d+)*"
    ),
    re.compile(r"\b(19|20)\d\d\b"),  # years
    re.compile(r"\b(doi|arXiv):\S+"),
)
NUMBER = re.compile(r"(?<![\w.])[+-]?\d[\d.,]*\d?(?!\w)(?: ?%)?")


def numbers(text: str, settings: list[str] | None = None) -> list[str]:
    """The numbers in a Markdown text that a person may have copied from a result."""
    for pattern in WITHOUT_RESULTS:
        text = pattern.sub(" ", text)
    for setting in sorted(settings or [], key=len, reverse=True):
        text = re.sub(rf"(?<![\w.]){re.escape(setting)}(?!\w)", " ", text)
    return [match.group().rstrip(".,") for match in NUMBER.finditer(text)]


def written_parts(code: str) -> str:
    """What an author wrote in the texts of a `text` cell, without what is computed into them."""
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    texts = [argument for call in calls if getattr(call.func, "id", "") == "Markdown" for argument in call.args]
    parts = []
    for text in texts:
        pieces = text.values if isinstance(text, ast.JoinedStr) else [text]
        parts += [str(piece.value) if isinstance(piece, ast.Constant) else "`computed`" for piece in pieces]
    return "".join(parts)


def copied_numbers(source: Path) -> list[str]:
    """One line for each number in the text of a notebook that no code computed: the cell, the number, its text."""
    problems = []
    for index, cell in enumerate(jupytext.read(source).cells):
        if cell.cell_type == "markdown":
            text = cell.source
        elif "text" in cell.metadata.get("tags", []):
            text = written_parts(cell.source)
        else:
            continue
        first_line = next((line for line in text.splitlines() if line.strip()), "")
        for number in numbers(text, cell.metadata.get("settings")):
            problems.append(f"{source.name}, cell {index} ({first_line[:50]!r}): {number}")
    return problems


def main() -> None:
    beginnings = tuple(sys.argv[1:]) or ("",)
    sources = [path for path in sorted(HERE.glob("[0-9][0-9]_*.py")) if path.stem.startswith(beginnings)]
    problems = [problem for source in sources for problem in copied_numbers(source)]
    print("\n".join(problems))
    raise SystemExit(1 if problems else 0)


if __name__ == "__main__":
    main()
