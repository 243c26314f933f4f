"""The panel that shows how the demo is prepared."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

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
    part = now.done / now.total if now and now.total else 0.0
    if ended == len(steps):
        head = f"<b>The demo is ready</b><span>{ended - len(failed)} of {len(steps)} steps done</span>"
    elif now:
        count = f"{now.done} of {now.total}" if now.total else ""
        told = ", ".join(text for text in (count, now.note) if text)
        head = f"<b>Preparing the demo: {escape(now.title)}</b><span>{escape(told)}</span>"
    else:
        head = "<b>Preparing the demo</b><span>about to start</span>"
    percent = 100 * (ended + part) / len(steps)
    bar = f'<div class="bar"><i style="width: {percent:.1f}%"></i></div>' if ended < len(steps) else ""
    errors = "".join(f'<div class="failed">✗ {escape(step.title)}: {escape(step.note)}</div>' for step in failed)
    count = f"<span>step {min(ended + 1, len(steps))} of {len(steps)}</span>" if ended < len(steps) else ""
    return f'<div class="preparation"><div class="now">{head}{count}</div>{bar}{errors}</div>'


def listing(steps: Sequence[Step]) -> str:
    """All steps, one a line."""
    lines = "".join(
        f'<li class="{step.state}">{MARKS.get(step.state, "")} {escape(step.title)}'
        + (f", {step.done} of {step.total}" if step.state == "running" and step.total else "")
        + "</li>"
        for step in steps
    )
    return f'<div class="preparation" style="border: none"><ol>{lines}</ol></div>'
