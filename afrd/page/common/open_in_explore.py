"""From any tab into Explore: another tab hands over a selection, and Explore shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from afrd.page.common.library import Library
from afrd.page.common.selection import Choice


@dataclass(frozen=True)
class OpenInExplore:
    """What a tab needs to read the shared selection and to open something in Explore, which it does not import.

    Attributes:
        library: what there is to show.
        tabs: all tabs, by id.
        choice: the state that all tabs share.
        components: Explore's, in the order of what `shown` gives.
        shown: values of `components` for a selection.
    """

    library: Library
    tabs: gr.Tabs
    choice: gr.State
    components: Sequence[Any]
    shown: Callable[[Library, Choice], list[Any]]

    @property
    def outputs(self) -> list[Any]:
        """Of an event that opens Explore."""
        return [self.tabs, *self.components]

    def opened(self, choice: Choice) -> list[Any]:
        """Values of `outputs`."""
        return [gr.Tabs(selected="explore"), *self.shown(self.library, choice)]
