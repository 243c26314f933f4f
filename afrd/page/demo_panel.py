"""The panel that shows how the demo is prepared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from afrd.page.common.components import Components
from afrd.page.common.html import macros

if TYPE_CHECKING:
    from afrd.demo.prepare import Preparation, Step

MARKS = {"waiting": "·", "running": "▸", "done": "✓", "failed": "✗"}


class DemoPanel(Components):
    """Progress of the demo's preparation; hidden if there is no preparation."""

    def __init__(self, preparation: Preparation | None) -> None:
        steps = preparation.steps() if preparation is not None else []
        with gr.Column(visible=preparation is not None, elem_id="preparation") as self.column:
            self.summary = gr.HTML(summary(steps))
            with gr.Accordion("All steps", open=False):
                self.listing = gr.HTML(listing(steps))

    def values(self, preparation: Preparation) -> dict[Any, Any]:
        """Values of the components for the current state of the preparation."""
        steps = preparation.steps()
        values = self.filled({"summary": summary(steps), "listing": listing(steps)})
        if preparation.finished:
            values[self.column] = gr.Column(visible=any(step.state == "failed" for step in steps))
        return values


def summary(steps: Sequence[Step]) -> str:
    """The running step, the overall progress, and failures."""
    if not steps:
        return ""
    ended = sum(step.state in ("done", "failed") for step in steps)
    failed = [step for step in steps if step.state == "failed"]
    now = next((step for step in steps if step.state == "running"), None)
    head, note = "Preparing the demo", "about to start"
    if ended == len(steps):
        head, note = "The demo is ready", f"{ended - len(failed)} of {len(steps)} steps done"
    elif now:
        count = f"{now.done} of {now.total}" if now.total else ""
        head, note = f"Preparing the demo: {now.title}", ", ".join(text for text in (count, now.note) if text)
    part = now.done / now.total if now and now.total else 0.0
    percent = 100 * (ended + part) / len(steps)
    return macros("demo_panel.html").summary(head, note, ended + 1, len(steps), percent, failed)


def listing(steps: Sequence[Step]) -> str:
    """All steps, one a line."""
    return macros("demo_panel.html").listing(steps, MARKS)
