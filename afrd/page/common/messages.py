"""What every tab says in one sentence: messages, errors, progress."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import gradio as gr

from afrd.page.common.html import macros, plain

if TYPE_CHECKING:
    import pandas as pd


def in_one_sentence(handler: Callable) -> Callable:
    """The handler, which may find that a data set or a run has gone or is broken: that is told, and is no fault."""

    @wraps(handler)
    def answered(*inputs: Any) -> Any:
        try:
            return handler(*inputs)
        except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: no weights for the teacher
            raise page_error(error) from None

    return answered


def told(event: gr.EventData, name: str, kind: type) -> Any:
    """What a script in the browser says with an event, if it is of the kind that ours say."""
    try:
        value = getattr(event, name)
    except (AttributeError, TypeError):
        value = None
    if not isinstance(value, kind):
        text = f"this event tells {name!r}, as only the page itself does; scripts open a link with /open_link"
        raise page_error(text)
    return value


def message(title: str, explanation: str = "", command: str = "") -> str:
    """Shown in the place of a result: why there is none, and the command that makes one."""
    return macros("common/macros.html").message(title, explanation, command)


def working(title: str, done: int = 0, total: int = 0) -> str:
    """What is being done, and a bar."""
    return macros("common/macros.html").working(title, done, total)


def download(table: pd.DataFrame, name: str) -> str:
    """A link to a table as CSV with all digits; it is in the page itself, so that nothing is written anywhere."""
    return macros("common/macros.html").download(table.to_csv(index=False), name)


def page_error(sentence: object) -> gr.Error:
    """An error to raise: the sentence, which may quote names from files, as text and never as part of the page."""
    return gr.Error(plain(sentence), print_exception=False)
