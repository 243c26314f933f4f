"""The page's HTML, made from Jinja templates that escape every value."""

from __future__ import annotations

import re
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from afrd.analysis.reports.rendering import environment

PAGE = Path(__file__).parents[1]
MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~<>&$-])")


@cache
def macros(template: str) -> Any:
    """The macros of a template, as attributes: functions that return HTML.

    A `str` among their arguments is escaped; what a macro returns is a `markupsafe.Markup`, a `str` that other macros
    insert unescaped.

    Args:
        template: path below `afrd/page`, such as `errors/macros.html`.
    """
    return environment(PAGE).get_template(template).module


def markdown(text: object) -> str:
    """The text as Markdown that displays it literally, for names and messages that come from a user's files."""
    return MARKDOWN.sub(r"\\\1", str(text))


def plain(value: object) -> str:
    """The text as HTML that displays it literally, for a `gr.HTML` without a template."""
    return escape(str(value), quote=False)
