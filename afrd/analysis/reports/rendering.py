"""The templates of the reports: HTML in which every value is escaped, and their styles."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

FOLDER = Path(__file__).with_name("templates")


@cache
def template(name: str) -> Template:
    """A template of the folder `templates`, such as `card.html`; a value that is not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(name)


def style(name: str) -> str:
    """A style sheet of the same folder."""
    return (FOLDER / name).read_text(encoding="utf-8")
