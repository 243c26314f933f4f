"""Opening a selection in Explore from another tab, and notifying Explore of a changed selection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from afrd.page.common.components import Components
from afrd.page.common.library import Library
from afrd.page.common.selection import FIRST_TAB, Selection
from afrd.page.common.session import PageSession


@dataclass(frozen=True)
class OpenInExplore:
    """What a tab needs to use the session and to open a selection in Explore without importing it.

    Attributes:
        library: the data sets and runs of the page.
        tabs: all tabs, by id.
        session: holds the `PageSession`; an input of events only.
        changed: an output of each event that changes the selection: its new value makes Explore draw the strip, the
            page's address and the other methods' scores. It is never an input.
        components: Explore's.
        values_of: values of `components` by name, for a selection.
    """

    library: Library
    tabs: gr.Tabs
    session: gr.State
    changed: gr.State
    components: Components
    values_of: Callable[[Library, Selection], dict[str, Any]]

    @property
    def outputs(self) -> list[Any]:
        """Outputs of an event that opens Explore."""
        return [self.tabs, *self.components.all()]

    def opened(self, session: PageSession, change: Callable[[Selection], Selection]) -> dict[Any, Any]:
        """Changes the session's selection, and returns values of `outputs`."""
        session.apply(change)
        values = session.drawn(lambda selection: self.values_of(self.library, selection))
        return {self.tabs: gr.Tabs(selected=FIRST_TAB), **self.components.filled(values)}
