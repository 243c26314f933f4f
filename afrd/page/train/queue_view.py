"""What the Train tab shows as HTML: a data set and what is wrong with it, and the trainings in the queue."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from afrd.background.training_queue import CANCELLED, DONE, FAILED, RUNNING, Order, TrainingJob, TrainingQueue

if TYPE_CHECKING:
    from afrd.data.dataset import Category, Problem

PROBLEMS = 8  # listed at once
MARKS = {"waiting": "·", RUNNING: "▸", DONE: "✓", CANCELLED: "■", FAILED: "✗"}

# a click on a button becomes an event with the training's number
CLICKS = """
const acts = ['cancel', 'forget', 'again', 'look', 'open'];
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-do]');
  if (button && acts.includes(button.dataset.do)) trigger(button.dataset.do, { number: +button.dataset.number });
});
"""


def nothing_chosen() -> str:
    return '<div class="data-state quiet">Name a folder that holds one folder a category, and press Enter.</div>'


def refused(text: str) -> str:
    return f'<div class="data-state wrong">{escape(text)}</div>'


def data_text(data: Category, problems: Sequence[Problem] | None, note: str = "") -> str:
    """Splits, lights, size; then what is wrong, by file; `problems` is None while nobody has looked."""
    splits = " · ".join(f"{escape(name)} <b>{len(split)}</b>" for name, split in data.items())
    lines = [f"<div>{splits}</div>", f'<div class="quiet">{escape(_lights_text(data))}</div>']
    if problems is None:
        lines.append(f'<div class="quiet">{escape(note)}</div>')
    elif not problems:
        lines.append('<div class="well">✓ every picture can be read, and none is missing</div>')
    else:
        listed = "".join(
            f"<li><code>{escape(_short(problem.file))}</code> {escape(problem.what)}</li>"
            for problem in problems[:PROBLEMS]
        )
        more = len(problems) - PROBLEMS
        rest = (
            f"<li>and {more} more; <code>afrd check {escape(str(data.root))}</code> lists all</li>" if more > 0 else ""
        )
        count = f"{len(problems)} problems" if len(problems) > 1 else "One problem"
        lines.append(f'<div class="wrong">{count}:<ul>{listed}{rest}</ul></div>')
    return f'<div class="data-state">{"".join(lines)}</div>'


def _lights_text(data: Category) -> str:
    lights = f"{len(data.lights)} lights" if len(data.lights) > 1 else "1 light"
    try:
        height, width = next(iter(data.values())).image_size
    except (ValueError, OSError):  # what is wrong with it is listed
        return lights
    return f"{lights}, {width} × {height} pixels"


def _short(file: str) -> str:
    """A path without its beginning where it is long: the end tells files apart."""
    return file if len(file) <= 46 else "…" + file[-45:]


def plan_text(samples: int, good: int, held_out: bool, epochs: int | None) -> str:
    """What pressing Train will do: steps, and what the threshold comes from."""
    steps = epochs * math.ceil(samples / Order.batch) if epochs else 0
    how = f"{epochs} epochs make {steps} steps" if epochs else "no steps: the memory is filled"
    source = "kept back from train" if held_out else "of val"
    threshold = (
        f"the threshold comes from {good} good samples {source}" if good else "no samples are left for a threshold"
    )
    return f'<div class="plan">{samples} samples, {how}; {threshold}.</div>'


def listing(queue: TrainingQueue, shown: int | None) -> str:
    """All trainings, the latest first but what waits in its order; `shown` is the one whose loss is drawn."""
    jobs = queue.jobs()
    if not jobs:
        return (
            '<div class="trainings empty"><h3>Nothing is being trained</h3>'
            "<p>Choose a data set and press Train. One training runs at a time, others wait here, and you "
            "can go on using the page. A finished run appears in every menu.</p></div>"
        )
    order = [job for job in jobs if not job.ended] + [job for job in reversed(jobs) if job.ended]
    return f'<div class="trainings">{"".join(_row(queue, job, job.number == shown) for job in order)}</div>'


def _row(queue: TrainingQueue, job: TrainingJob, shown: bool) -> str:
    number = job.number
    buttons = {
        RUNNING: [("cancel", "Stopping …" if job.stopping else "Stop")],
        "waiting": [("cancel", "Remove")],
        DONE: [("open", "Open in Explore"), ("forget", "Clear")],
        CANCELLED: [("again", "Go on"), ("forget", "Clear")],
        FAILED: [("again", "Try again"), ("forget", "Clear")],
    }[job.state]
    pressed = "".join(_button(name, text, job) for name, text in buttons)
    part = 100 if job.state == DONE else 100 * job.step / job.steps if job.steps else 0
    bar = f'<div class="bar"><i style="width: {part:.1f}%"></i></div>' if job.state in (RUNNING, CANCELLED) else ""
    return (
        f'<div class="training {job.state}{" shown" if shown else ""}">'
        f'<button type="button" class="name" data-do="look" data-number="{number}" aria-pressed="{str(shown).lower()}" '
        f'title="show its loss"><span class="mark">{MARKS[job.state]}</span><b>{escape(job.order.name)}</b>'
        f"<span>{escape(what(job))}</span></button>"
        f'<span class="buttons">{pressed}</span>'
        f'<div class="how">{escape(state_text(queue, job))}</div>{bar}</div>'
    )


def _button(name: str, text: str, job: TrainingJob) -> str:
    off = " disabled" if job.stopping else ""
    return (
        f'<button type="button" data-do="{name}" data-number="{job.number}"{off} '
        f'aria-label="{escape(text)}: {escape(job.order.name)}">{text}</button>'
    )


def what(job: TrainingJob) -> str:
    """Such as `Praline, attention over evidence, 6 lights`."""
    order = job.order
    lights = f"{len(order.lights)} lights" if len(order.lights) > 1 else f"light {order.lights[0]}"
    if order.method == "memory":
        how = "patch memory"
    elif len(order.lights) == 1:
        how = "single-light RD"
    else:
        how = f"{order.fusion} over {'evidence' if order.target == 'lights' else 'features'}"
    return f"{order.category}, {how}, {lights}"


def state_text(queue: TrainingQueue, job: TrainingJob) -> str:
    """What it is doing, how far it is, how long it takes, or how it ended."""
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
        return f"finished: {job.steps} steps" if job.steps else "finished"
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
    if job is None:
        return ""
    return (
        f'<div class="command"><span>the same in a terminal</span><code>{escape(job.order.command(runs))}</code></div>'
    )
