"""The demo's data and runs, made in the background while the page is up; what is on disk already is not made again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from afrd.turns import TURN

CATEGORIES = ("Licorice", "Praline", "Cookie")
SIZE = 256  # of pictures and of the teacher's input: a quarter of the time of 512, for a first look
MEMORY = 512  # patches of each light: the first category's runs come with the repository, and are to be small


@dataclass(frozen=True)
class Step:
    """One step of the preparation, to be shown.

    Attributes:
        title: what is made.
        state: `waiting`, `running`, `done` or `failed`.
        done, total: parts of the step; total is 0 while it is not known.
        note: loss and time left, or why it failed.
    """

    title: str
    state: str = "waiting"
    done: int = 0
    total: int = 0
    note: str = ""


class Preparation:
    """Renders the demo's categories and trains AFRD and the single-light models on them, first category first.

    Args:
        data: data set folder, made if needed.
        runs: the runs of a category go to `<runs>/<Category>/`: `afrd`, `single-<light>` for each light, `memory`.
    """

    def __init__(self, data: Path, runs: Path) -> None:
        self.data, self.runs = data, runs
        self.categories = CATEGORIES
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._reported = 0.0  # when a step last said how far it is
        self._work: list[tuple[Step, Callable[[int], None]]] = []
        for category in self.categories:
            self._plan(category)

    def start(self) -> None:
        """Goes to work in a background thread; does nothing where that is running or all is done."""
        if self.finished or (self._thread and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self._run, name="demo", daemon=True)
        self._thread.start()

    def steps(self) -> list[Step]:
        with self._lock:
            return [step for step, _ in self._work]

    @property
    def finished(self) -> bool:
        return all(step.state in ("done", "failed") for step in self.steps())

    def _plan(self, category: str) -> None:
        from afrd.datasets import EYECANDIES_LIGHTS

        def add(title: str, work: Callable[[int], None]) -> None:
            self._work.append((Step(f"{category}: {title}"), work))

        add("render candies under six lights", partial(self._render, category=category))
        add("train AFRD", partial(self._train, category=category, lights="all", name="afrd"))
        for light in EYECANDIES_LIGHTS:
            name = f"single-{light}"
            add(f"train single-light RD, {light}", partial(self._train, category=category, lights=light, name=name))
        memory = partial(self._train, category=category, lights="all", name="memory", method="memory")
        add("fill the patch memory", memory)

    def _run(self) -> None:
        for i, (_, work) in enumerate(self._work):
            holder = TURN.holder
            self._set(i, state="running", note=f"waits for {holder}" if holder else "")
            with TURN.taken(f"the demo ({self._work[i][0].title})"):
                self._set(i, note="")
                try:
                    work(i)
                except Exception as error:  # the page shows it; later categories are tried all the same
                    self._set(i, state="failed", note=str(error))
                else:
                    total = self._work[i][0].total
                    self._set(i, state="done", done=total, note="")
        failed = any(step.state == "failed" for step in self.steps())
        print("demo: some steps failed, see above" if failed else "demo: all is ready", flush=True)

    def _set(self, index: int, **changes: Any) -> None:
        with self._lock:
            step, work = self._work[index]
            changed = replace(step, **changes)
            self._work[index] = (changed, work)
        self._tell(index, step, changed)

    def _tell(self, index: int, step: Step, changed: Step) -> None:
        """A line in the terminal where something is being made; none for what was there already."""
        title = f"demo {index + 1}/{len(self._work)}  {changed.title}"
        quarter, quarter_before = (s.done * 4 // s.total if s.total else 0 for s in (changed, step))
        if changed.state == "failed":
            print(f"{title}: failed: {changed.note}", flush=True)
        elif changed.state == "running" and quarter > quarter_before and (changed.done < changed.total or step.done):
            print(f"{title}: {changed.done} of {changed.total} {changed.note}".rstrip(), flush=True)

    def _render(self, index: int, category: str) -> None:
        from afrd.candies import render_category

        render_category(
            self.data,
            category,
            size=SIZE,
            twins=True,
            progress=lambda done, total: self._set(index, done=done, total=total),
        )

    def _train(self, index: int, category: str, lights: str, name: str, method: str = "afrd") -> None:
        from afrd.datasets import open_dataset
        from afrd.training import StepReport, fit

        def on_features(done: int, total: int) -> None:
            self._set(index, note=f"the teacher reads picture set {done} of {total}")

        def on_step(report: StepReport) -> None:
            now = time.monotonic()
            if now - self._reported > 0.5 or report.step == report.steps:
                self._reported = now
                note = f"loss {report.loss:.3f}, {report.seconds_left:.0f} s left"
                self._set(index, done=report.step, total=report.steps, note=note)

        data = open_dataset(self.data, category)
        run = fit(
            data,
            lights,
            self.runs / category / name,
            method=method,
            memory=MEMORY if name == "afrd" else None,
            size=SIZE,
            show_progress=False,
            on_step=on_step,
            on_features=on_features,
        )
        self._set(index, note="the teacher reads the test set")
        run.features(data[data.test_split], on_features)
