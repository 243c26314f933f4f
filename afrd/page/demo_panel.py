"""The panel that shows how the demo is prepared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from afrd.page.common.html import macros

if TYPE_CHECKING:
    from afrd.demo.prepare import Step

MARKS = {"waiting": "·", "running": "▸", "done": "✓", "failed": "✗"}


def summary(steps: Sequence[Step]) -> str:
    """The step that runs now, how far all is, and what failed."""
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
