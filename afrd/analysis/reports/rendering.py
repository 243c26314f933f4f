"""The templates of the reports: HTML in which every value is escaped, and their styles."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

FOLDER = Path(__file__).with_name("templates")


@cache
def environment(folder: Path) -> Environment:
    """Jinja for the templates of a folder: every value is escaped, and one that is not given is an error."""
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )


def template(name: str) -> Template:
    """A template of the folder `templates`, such as `card.html`."""
    return environment(FOLDER).get_template(name)


def style(name: str) -> str:
    """A style sheet of the same folder."""
    return (FOLDER / name).read_text(encoding="utf-8")
