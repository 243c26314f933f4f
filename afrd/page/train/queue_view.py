"""HTML of the Train tab: a data set with its problems, and the trainings in the queue."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afrd.background.training_queue import CANCELLED, DONE, FAILED, RUNNING, Order, TrainingJob, TrainingQueue
from afrd.page.common.html import macros

if TYPE_CHECKING:
    from afrd.data.dataset import Category, Problem

MAX_PROBLEMS = 8  # listed at once
MARKS = {"waiting": "·", RUNNING: "▸", DONE: "✓", CANCELLED: "■", FAILED: "✗"}


def nothing_chosen() -> str:
    return _macros().data_note("Name a folder that holds one folder a category, and press Enter.", "quiet")


def refused(text: str) -> str:
    return _macros().data_note(text, "wrong")


def data_text(data: Category, problems: Sequence[Problem] | None, note: str = "") -> str:
    """Splits, lights, size; then what is wrong, by file; `problems` is None before the check."""
    listed = [(_short(problem.file), problem.what) for problem in (problems or [])[:MAX_PROBLEMS]]
    return _macros().data_state(data, _lights_text(data), problems, listed, note)


def _lights_text(data: Category) -> str:
    lights = f"{len(data.lights)} lights" if len(data.lights) > 1 else "1 light"
    try:
        height, width = next(iter(data.values())).image_size
    except (ValueError, OSError):  # listed among the problems
        return lights
    return f"{lights}, {width} × {height} pixels"


def _short(file: str) -> str:
    """A path, without its beginning if it is long: the end identifies the file."""
    return file if len(file) <= 46 else "…" + file[-45:]


def plan_text(samples: int, good: int, held_out: bool, epochs: int | None) -> str:
    """What Train will do: its steps, and the samples of the threshold."""
    steps = epochs * math.ceil(samples / Order.batch) if epochs else 0
    how = f"{epochs} epochs make {steps} steps" if epochs else "no steps: the memory is filled"
    source = "held out from train" if held_out else "of val"
    threshold = (
        f"the threshold comes from {good} good samples {source}" if good else "no samples are left for a threshold"
    )
    return _macros().plan(f"{samples} samples, {how}; {threshold}.")


def listing(queue: TrainingQueue, shown: int | None) -> str:
    """All trainings, the latest first, but waiting ones in their order; `shown` is the one whose loss is drawn."""
    jobs = queue.jobs()
    if not jobs:
        return _macros().no_trainings()
    order = [job for job in jobs if not job.ended] + [job for job in reversed(jobs) if job.ended]
    return _macros().trainings([_row(queue, job, job.number == shown) for job in order])


def _row(queue: TrainingQueue, job: TrainingJob, shown: bool) -> dict[str, Any]:
    buttons = {
        RUNNING: [("cancel", "Stopping …" if job.stopping else "Stop")],
        "waiting": [("cancel", "Remove")],
        DONE: [("open", "Open in Explore"), ("forget", "Clear")],
        CANCELLED: [("again", "Continue"), ("forget", "Clear")],
        FAILED: [("again", "Try again"), ("forget", "Clear")],
    }[job.state]
    percent = 100 * job.step / job.steps if job.steps else 0.0
    return {
        "job": job,
        "shown": shown,
        "mark": MARKS[job.state],
        "what": what(job),
        "state": state_text(queue, job),
        "buttons": buttons,
        "percent": percent if job.state in (RUNNING, CANCELLED) else None,
    }


def what(job: TrainingJob) -> str:
    """Such as `Praline, attention over evidence, 6 lights`."""
    order = job.order
    lights = f"{len(order.lights)} lights" if len(order.lights) > 1 else f"light {order.lights[0]}"
    if order.method == "memory":
        how = "patch memory"
    elif len(order.lights) == 1:
        how = "single-light RD"
    else:
        over = "evidence" if order.target == "lights" else "features"
        how = f"{order.fusion} over {over}" if order.fusion else "AFRD"
    return f"{order.category}, {how}, {lights}"


def state_text(queue: TrainingQueue, job: TrainingJob) -> str:
    """Activity, progress and time left of a training, or its outcome."""
    if job.state == "waiting":
        number = queue.place(job.number)
        place = "next in the queue" if number == 1 else f"number {number} in the queue"
        return ", ".join(text for text in (place, job.note) if text)
    if job.state == RUNNING:
        count = f"step {job.step} of {job.steps}" if job.steps else ""
        losses = queue.history(job.number).loss
        loss = f"loss {losses.iloc[-1]:.3f}" if len(losses) else ""
        left = f"{duration(job.seconds_left)} left" if job.seconds_left else ""
        return ", ".join(text for text in (count, loss, left, job.note) if text)
    if job.state == DONE:
        done = f"finished: {job.steps} steps" if job.steps else "finished"
        return f"{done}; {job.note}" if job.note else done
    return job.note


def duration(seconds: float) -> str:
    """Such as `40 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def command_text(job: TrainingJob | None, runs: Path) -> str:
    """The same training for a terminal."""
    return _macros().command(job.order.command(runs)) if job else ""


def _macros() -> Any:
    return macros("train/macros.html")
