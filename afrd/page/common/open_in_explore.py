"""How another tab opens a selection in Explore, and tells it that the selection has changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from afrd.page.common.library import Library
from afrd.page.common.selection import Selection
from afrd.page.common.session import PageSession


@dataclass(frozen=True)
class OpenInExplore:
    """What a tab needs to use the session and to open something in Explore, which it does not import.

    Attributes:
        library: the data sets and runs of the page.
        tabs: all tabs, by id.
        session: holds the `PageSession`; an input of events only.
        changed: an output of each event that changes the selection: its new value makes Explore draw the strip, the
            page's address and the other methods' scores. It is never an input.
        components: Explore's, in the order of the values that `values_of` gives.
        values_of: values of `components` for a selection.
    """

    library: Library
    tabs: gr.Tabs
    session: gr.State
    changed: gr.State
    components: Sequence[Any]
    values_of: Callable[[Library, Selection], list[Any]]

    @property
    def outputs(self) -> list[Any]:
        """Outputs of an event that opens Explore."""
        return [self.tabs, *self.components]

    def opened(self, session: PageSession, change: Callable[[Selection], Selection]) -> list[Any]:
        """Changes the session's selection, and returns values of `outputs`."""
        session.apply(change)
        return [gr.Tabs(selected="explore"), *session.drawn(lambda selection: self.values_of(self.library, selection))]
