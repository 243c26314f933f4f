"""The way from any tab into Explore: another tab hands over a `Choice`, and Explore shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from afrd.page.common.library import Library
from afrd.page.common.selection import Choice
from afrd.page.explore import tab as explore


@dataclass(frozen=True)
class Way:
    """What a tab needs to read the shared choice and to open something in Explore.

    Attributes:
        library: what there is to show.
        tabs: all tabs, by id.
        parts: Explore's components; `parts.choice` is the state that all tabs share.
    """

    library: Library
    tabs: gr.Tabs
    parts: explore.Parts

    @property
    def choice(self) -> gr.State:
        return self.parts.choice

    @property
    def outputs(self) -> list[Any]:
        """Of an event that opens Explore."""
        return [self.tabs, *self.parts.all()]

    def opened(self, choice: Choice) -> list[Any]:
        """Values of `outputs`."""
        return [gr.Tabs(selected="explore"), *explore.everything(self.library, choice)]
