"""The Train tab: options and data of a training, and the queue of trainings with their loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any

import gradio as gr

import afrd.model
from afrd.background.training_queue import TrainingJob, TrainingQueue
from afrd.page.common import events
from afrd.page.common.messages import PROBLEMS, event_value
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.session import PageSession, Versioned
from afrd.page.train import queue_view
from afrd.page.train.board import BOARD, board_values, selection_of
from afrd.page.train.form import (
    ADJUSTED,
    DATA,
    MAX_CHECKED_AT_ONCE,
    Form,
    adjusted,
    checked_values,
    data_values,
    first_root,
    opened_data,
    order_of,
    pictures_in,
)
from afrd.page.train.layout import TrainComponents

FORM = tuple(field.name for field in fields(Form))
QUICK: dict[str, Any] = {"concurrency_id": "trainings", "concurrency_limit": 8}  # of events that compute nothing


def train_tab(tab: gr.Tab, open_in_explore: OpenInExplore) -> None:
    """Creates the tab and connects its events; all users of the page share its queue."""
    TrainTab(tab, open_in_explore)


def training_off(reason: str) -> None:
    """The tab where training is not allowed: only the reason."""
    gr.HTML(queue_view.refused(reason), elem_id="train-off")


class TrainState:
    """State of this tab for one browser session: the number of the training that is shown."""

    def __init__(self) -> None:
        self.number: Versioned[int | None] = Versioned(None)


class TrainTab:
    """The tab's components, and the handlers of their events."""

    def __init__(self, tab: gr.Tab, open_in_explore: OpenInExplore) -> None:
        self.open_in_explore, self.library = open_in_explore, open_in_explore.library
        self.queue = TrainingQueue(self.library.runs)
        self.components = TrainComponents(self.queue)
        on = partial(events.on, open_in_explore.session, trigger_mode="once")
        trained = self._connect_board(tab, on)
        self._connect_form(tab, on, trained)

    def _connect_board(self, tab: gr.Tab, on: Callable) -> Any:
        """The queue and its buttons; returns the event that puts a training into it."""
        components, queue, board = self.components, self.queue, self.components.named(*BOARD)
        on(tab.select, self.show, [], board, "show_trainings", **QUICK)
        on(components.timer.tick, self.show, [components.version], board, "look_at_trainings", **QUICK)
        # the teacher is loaded to see whether it can be had; a second click in the meantime does nothing
        loading = {"show_progress": "minimal", "show_progress_on": components.start}
        trained = on(components.start.click, self.train, components.named(*FORM), board, "train", **loading)
        listing = components.listing
        for event, act, name, options in (
            (listing.cancel, queue.cancel, "cancel_training", QUICK),
            (listing.forget, queue.remove, "remove_training", QUICK),
            (listing.again, queue.resume, "continue_training", {}),
            (listing.look, queue.job, "show_training", QUICK),
        ):
            on(event, self.clicked(act), [], board, name, **options)
        on(listing.open, self.open_run, [], self.open_in_explore.outputs, "open_trained_run")
        return trained

    def _connect_form(self, tab: gr.Tab, on: Callable, trained: Any) -> None:
        components, shown = self.components, self.components.shown_data
        reading, data = components.named("root", "category", "shown_data"), components.named(*DATA)
        adjusting = components.named("shown_data", "suggested", *FORM)
        adjustable, checked = components.named(*ADJUSTED), components.named("data_state", "check")
        opened = on(tab.select, self.open, [components.root], components.named("root", "teacher"), "open_train")
        for event, handler, name in (
            (opened.then, self.read_another, "first"),
            (components.root.submit, self.read, "entered"),
            (components.root.blur, self.read_another, "left"),
            (components.category.input, self.read, "chosen"),
        ):
            then = on(event, handler, reading, data, f"training_data_{name}")
            then = on(then.then, self.adjust, adjusting, adjustable, f"training_data_{name}_adjusted")
            on(then.then, self.check_few, [shown], checked, f"training_data_{name}_checked", concurrency_id="check")
        on(components.check.click, self.check, [shown], checked, "check_training_data", concurrency_id="check")
        for name in ("lights", "method", "fusion", "teacher", "epochs"):
            event = getattr(components, name).input
            on(event, self.adjust, adjusting, adjustable, f"training_{name}", trigger_mode="always_last")
        on(trained.success, self.adjust, adjusting, adjustable, "next_training")  # its name is taken now

    def open(self, session: PageSession, folder: str) -> list:
        teachers = gr.Dropdown([name for name in afrd.model.TEACHERS if not name.endswith(":NAME")])
        return [folder or first_root(self.library, session.selection), teachers]

    def read(self, session: PageSession, folder: str, chosen: str | None, shown: tuple[str, str]) -> list:
        entry = self.library.entry(session.selection.category)
        return data_values(folder, chosen or (entry.name if entry else None), shown)

    def read_another(self, session: PageSession, folder: str, chosen: str | None, shown: tuple[str, str]) -> list:
        unchanged = shown[1] and folder.strip() == shown[0]
        return [gr.skip()] * len(DATA) if unchanged else self.read(session, folder, chosen, shown)

    def adjust(self, session: PageSession, shown: tuple[str, str], suggested: tuple[str, int], *values: Any) -> list:
        return adjusted(self.queue, shown, suggested, Form(*values))

    def check(self, session: PageSession, shown: tuple[str, str]) -> list:
        return checked_values(*shown)

    def check_few(self, session: PageSession, shown: tuple[str, str]) -> list:
        data = opened_data(*shown)
        return checked_values(*shown) if data and pictures_in(data) <= MAX_CHECKED_AT_ONCE else [gr.skip(), gr.skip()]

    def show(self, session: PageSession, version: int = -1) -> list:
        """Values of `BOARD`; `version` is what the browser shows already."""
        return session.state(TrainState).number.drawn(lambda number: board_values(self.queue, number, version))

    def look_at(self, session: PageSession, job: TrainingJob | None) -> list:
        if job is not None:
            session.state(TrainState).number.apply(lambda _: job.number)
        return self.show(session)

    def train(self, session: PageSession, *values: Any) -> list:
        try:
            job = self.queue.add(order_of(Form(*values)))
        except PROBLEMS as error:
            raise ValueError(str(error).replace("with --weights", "in the field Weights file")) from None
        return self.look_at(session, job)

    def clicked(self, act: Callable[[int], TrainingJob | None]) -> Callable:
        """The handler of a button with this action on its training."""

        def handler(session: PageSession, event: gr.EventData) -> list:
            return self.look_at(session, act(event_value(event, "number", int)))

        return handler

    def open_run(self, session: PageSession, event: gr.EventData) -> dict:
        selection = selection_of(self.library, self.queue.job(event_value(event, "number", int)))
        return self.open_in_explore.opened(session, lambda _: selection)
