"""The queue in the Train tab: its trainings, and the loss of one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

import afrd.figures
from afrd.background.training_queue import RUNNING, TrainingJob, TrainingQueue
from afrd.page.common.library import Library
from afrd.page.common.samples import first_selection
from afrd.page.common.selection import Selection, with_run
from afrd.page.train import queue_view

if TYPE_CHECKING:
    import plotly.graph_objects as go

BOARD = ("version", "listing", "curve", "command", "timer")
WHILE_BUSY, WHILE_IDLE = 1.0, 5.0  # seconds between looks at the queue
MAX_POINTS = 500  # of a loss curve: it is sent every second


def board_values(queue: TrainingQueue, number: int | None, shown_version: int = -1) -> list:
    """Values of `BOARD` for the training of this number; only the timer's if the queue has the version shown."""
    timer = gr.Timer(WHILE_BUSY if queue.busy else WHILE_IDLE, active=True)
    version = queue.version
    if version == shown_version:
        return [*([gr.skip()] * 4), timer]
    job = queue.job(number) or most_interesting(queue)
    curve = loss_curve(queue, job)
    return [
        version,
        queue_view.listing(queue, job.number if job else None),
        gr.Plot(curve, visible=curve is not None),
        queue_view.command_text(job, queue.runs),
        timer,
    ]


def most_interesting(queue: TrainingQueue) -> TrainingJob | None:
    """The job that runs, else the one that ended last, else the next."""
    jobs = queue.jobs()
    running = [job for job in jobs if job.state == RUNNING]
    ended = [job for job in jobs if job.ended]
    return next(iter(running), ended[-1] if ended else next(iter(jobs), None))


def loss_curve(queue: TrainingQueue, job: TrainingJob | None) -> go.Figure | None:
    history = queue.history(job.number) if job else None
    if job is None or history is None or history.empty:
        return None
    figure = afrd.figures.training_curve(history.iloc[:: max(1, len(history) // MAX_POINTS)])
    figure.update_xaxes(range=[0, job.steps])
    return figure.update_layout(title_text=f"Training of {job.order.name}", uirevision=job.number)


def selection_of(library: Library, job: TrainingJob | None) -> Selection:
    """A finished run in Explore: on its own category's first sample, beside a single light where there is one."""
    if job is None:
        raise ValueError("this training is not in the queue any more; its run is in Explore's menus")
    for entry in library.categories():
        if any(run.folder == job.folder for run in entry.fused):
            return with_run(library, first_selection(library, entry.key), job.folder)
        if any(run.folder == job.folder for run in entry.single):
            return first_selection(library, entry.key)
    raise ValueError(f"{job.folder} is not a finished run, or its category is not in {library.data}")
