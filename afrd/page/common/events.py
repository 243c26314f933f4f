"""Connection of the page's events with their handlers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from afrd.page.common.keys import in_snapshot
from afrd.page.common.messages import in_one_sentence
from afrd.page.common.precedence import going_first


def on(
    session: gr.State, event: Callable, handler: Callable, inputs: list, outputs: list, name: str, **options: Any
) -> Any:
    """Connects an event; returns Gradio's dependency, whose `then` and `success` are events themselves.

    Args:
        session: holds the `PageSession`, which is the first argument of each handler.
        event: such as `button.click`, or `partial(gr.on, [button.click, text.submit])`.
        handler: it runs within a snapshot of the files, and what it raises of `PROBLEMS` is shown in the page as one
            sentence. One that takes a `gr.EventData` is a function or a method: Gradio does not see the types of a
            `partial`.
        inputs, outputs: components.
        name: of the event for scripts (`api_name`).
        options: of Gradio's event, instead of those below.
    """
    usual = {"show_progress": "hidden", "trigger_mode": "always_last", "concurrency_limit": 2}
    usual["concurrency_id"] = "torch"  # together two at once: they compute
    handler = in_snapshot(in_one_sentence(going_first(handler)))
    return event(handler, [session, *inputs], outputs, api_name=name, **usual | options)
