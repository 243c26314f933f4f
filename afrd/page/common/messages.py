"""Messages, errors and progress, shared by all tabs."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import isgeneratorfunction
from typing import TYPE_CHECKING, Any

import gradio as gr

from afrd.page.common.html import macros, plain

if TYPE_CHECKING:
    import pandas as pd


PROBLEMS = (ValueError, OSError, RuntimeError)  # of a run or its data; RuntimeError: no weights for the teacher


class NothingToShowError(Exception):
    """Nothing can be shown: a title, a reason, and a command that helps."""

    def __init__(self, title: str, explanation: str = "", command: str = "") -> None:
        super().__init__(" ".join(part for part in (title, explanation, command) if part))
        self.parts = (title, explanation, command)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turns missing or broken data sets and runs, and wrong input, into a message in the page.

    Any other error is a fault of the page: it is printed, and shown as text, as it may quote a stranger's file.
    """
    try:
        yield
    except gr.Error:
        raise
    except (NothingToShowError, *PROBLEMS) as error:
        raise page_error(error) from None
    except Exception as error:
        traceback.print_exc()
        raise page_error(f"This failed unexpectedly ({type(error).__name__}: {error}).") from None


def in_one_sentence(handler: Callable) -> Callable:
    """The handler of an event inside `one_sentence`."""

    @wraps(handler)
    def returned(*inputs: Any) -> Any:
        with one_sentence():
            return handler(*inputs)

    @wraps(handler)
    def yielded(*inputs: Any) -> Iterator:
        with one_sentence():
            yield from handler(*inputs)

    return yielded if isgeneratorfunction(handler) else returned


def event_value(event: gr.EventData, name: str, kind: type) -> Any:
    """A value that a script in the browser sent with an event, if it has the expected type."""
    try:
        value = getattr(event, name)
    except (AttributeError, TypeError):
        value = None
    if not isinstance(value, kind):
        text = f"this event tells {name!r}, as only the page itself does; scripts open a link with /open_link"
        raise page_error(text)
    return value


def pinned_place(event: gr.EventData) -> tuple[int, int] | None:
    """The place (x, y) of an event `pinned`, in pixels of the sample's pictures; None if the pin was removed."""
    place = [at for at in event_value(event, "place", list) if isinstance(at, int)]
    return (place[0], place[1]) if len(place) == 2 else None


def message(title: str, explanation: str = "", command: str = "") -> str:
    """Shown instead of a result: why there is none, and the command that makes one."""
    return macros("common/macros.html").message(title, explanation, command)


def working(title: str, done: int = 0, total: int = 0) -> str:
    """The current activity with a progress bar."""
    return macros("common/macros.html").working(title, done, total)


def download(table: pd.DataFrame, name: str) -> str:
    """A link to a table as CSV with all digits; it is in the page itself, so that nothing is written anywhere."""
    return macros("common/macros.html").download(table.to_csv(index=False), name)


def page_error(sentence: object) -> gr.Error:
    """An error to raise with a sentence, which may quote names from files: it is shown as text, never as HTML."""
    return gr.Error(plain(sentence), print_exception=False)
