"""Preparation of the demo's data and runs in the background; what is on disk already is reused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import afrd.candies
import afrd.data
import afrd.model
import afrd.runs
from afrd.background.jobs import HEAVY_WORK, Job, Report, Worker, error_sentence
from afrd.runs.file_names import CONFIG

if TYPE_CHECKING:
    from afrd.model.teacher import Teacher

CATEGORIES = ("Licorice", "Praline", "Cookie")
PICTURE_SIZE = 256  # of the pictures and of the teacher's input: a quarter of the time of 512, for a first look
STUDENT_WIDTH, MEMORY_PATCHES = 40, 384  # patches of each light; both keep the shipped runs small
FIRST_LOOK_COUNTS = {"train": 1, "val": 1}  # with shipped runs, the test split is enough to show a result
SHIPPED_RUNS = Path(__file__).with_name("runs")  # by category: runs in half precision, by `make demo-runs`


@dataclass(frozen=True)
class Step:
    """One step of the preparation, as shown on the page.

    Attributes:
        title: of the step.
        state: `waiting`, `running`, `done` or `failed`.
        done, total: progress of the step; total is 0 while it is not known.
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
        shipped_runs: folder of runs that need not be trained, in the same order.
        worker: runs the steps, one at a time and in turn with other heavy work.
    """

    def __init__(self, data: Path, runs: Path, shipped_runs: Path = SHIPPED_RUNS, worker: Worker = HEAVY_WORK) -> None:
        self.data, self.runs, self.shipped_runs = data, runs, shipped_runs
        self.categories = CATEGORIES
        self._worker = worker
        self._lock = threading.Lock()
        self._job: Job | None = None  # of the current step
        self._current = 0
        self._ended = threading.Event()
        self._last_update = 0.0  # when the training of a step last reported
        self._work: list[tuple[Step, Callable[[int], None]]] = []
        for category in self.categories:
            self._plan(category)

    def start(self) -> None:
        """Starts the preparation in the background, unless it runs or has finished."""
        if not self.finished and (self._job is None or self._job.ended):
            self._ended.clear()
            self._submit(0)

    def wait(self) -> None:
        """Waits until all steps are done or have failed; returns at once where it was not started."""
        if self._job is not None:
            self._ended.wait()

    def steps(self) -> list[Step]:
        with self._lock:
            steps, job, current = [step for step, _ in self._work], self._job, self._current
        if job is not None and (blocked_by := job.blocked_by):
            steps[current] = replace(steps[current], note=f"waits for {blocked_by}")
        return steps

    @property
    def finished(self) -> bool:
        return all(step.state in ("done", "failed") for step in self.steps())

    def _plan(self, category: str) -> None:

        def add(title: str, work: Callable[[int], None]) -> None:
            self._work.append((Step(f"{category}: {title}"), work))

        shipped = (self.shipped_runs / category).is_dir()
        render = partial(self._render, category=category)
        if shipped:
            add("render the test candies under six lights", partial(render, **FIRST_LOOK_COUNTS))
            add("copy the trained runs of the package", partial(self._copy_shipped_runs, category=category))
        else:
            add("render candies under six lights", partial(render, twins=True))
        add("train AFRD", partial(self._train, category=category, lights="all", name="afrd"))
        for light in afrd.data.EYECANDIES_LIGHTS:
            name = f"single-{light}"
            add(f"train single-light RD, {light}", partial(self._train, category=category, lights=light, name=name))
        if shipped:
            # in one process, because the page is in use by now
            add("render the other candies", partial(render, twins=True, workers=1))
        memory = partial(self._train, category=category, lights="all", name="memory", method="memory")
        add("fill the patch memory", memory)

    def _submit(self, index: int) -> None:
        """Puts one step at the end of the worker's queue, so that other work can run between two steps."""
        self._set(index, state="running", note="")
        with self._lock:  # the step must be recorded here before it can submit its successor
            title = f"the demo ({self._work[index][0].title})"
            self._job, self._current = self._worker.submit(partial(self._run_step, index), title), index

    def _run_step(self, index: int, report: Report) -> None:
        _, work = self._work[index]
        try:
            work(index)
        except BaseException as error:  # shown on the page; the next step runs regardless
            self._set(index, state="failed", note=error_sentence(error))
        else:
            self._set(index, state="done", done=self._work[index][0].total, note="")
        if index + 1 < len(self._work):
            self._submit(index + 1)
            return
        failed = any(step.state == "failed" for step in self.steps())
        print("demo: some steps failed, see above" if failed else "demo: all is ready", flush=True)
        self._ended.set()

    def _set(self, index: int, **changes: Any) -> None:
        with self._lock:
            step, work = self._work[index]
            changed = replace(step, **changes)
            self._work[index] = (changed, work)
        self._print_progress(index, step, changed)

    def _print_progress(self, index: int, step: Step, changed: Step) -> None:
        """Prints a line for each quarter of a step; none for steps that were on disk already."""
        title = f"demo {index + 1}/{len(self._work)}  {changed.title}"
        quarter, last_quarter = (s.done * 4 // s.total if s.total else 0 for s in (changed, step))
        if changed.state == "failed":
            print(f"{title}: failed: {changed.note}", flush=True)
        elif changed.state == "running" and quarter > last_quarter and (changed.done < changed.total or step.done):
            print(f"{title}: {changed.done} of {changed.total} {changed.note}".rstrip(), flush=True)

    def _render(self, index: int, category: str, **options: Any) -> None:
        afrd.candies.render_category(
            self.data,
            category,
            size=PICTURE_SIZE,
            **options,
            progress=lambda done, total: self._set(index, done=done, total=total),
        )

    @cached_property
    def _teacher(self) -> Teacher:
        return afrd.model.load_teacher()

    def _copy_shipped_runs(self, index: int, category: str) -> None:
        for shipped in sorted((self.shipped_runs / category).iterdir()):
            copy_shipped_run(shipped, self.runs / category / shipped.name, self.data, self._teacher)

    def _train(self, index: int, category: str, lights: str, name: str, method: str = "afrd") -> None:
        shipped, folder = self.shipped_runs / category / name, self.runs / category / name
        if copy_shipped_run(shipped, folder, self.data, self._teacher):
            return

        def on_features(done: int, total: int) -> None:
            self._set(index, note=f"the teacher reads picture set {done} of {total}")

        def on_step(report: afrd.runs.StepReport) -> None:
            now = time.monotonic()
            if now - self._last_update > 0.5 or report.step == report.steps:
                self._last_update = now
                note = f"loss {report.loss:.3f}, {report.seconds_left:.0f} s left"
                self._set(index, done=report.step, total=report.steps, note=note)

        if shipped.parent.is_dir():  # no shipped run replaces this training, so all pictures are needed
            self._render(index, category)
        data = afrd.data.open_dataset(self.data, category)
        run = afrd.runs.fit(
            data,
            lights,
            folder,
            method=method,
            fusion="attention",  # as in the shipped runs, so that all categories are fused in the same way
            memory=MEMORY_PATCHES if name == "afrd" else None,
            width=STUDENT_WIDTH,
            teacher=self._teacher,
            size=PICTURE_SIZE,
            show_progress=False,
            on_step=on_step,
            on_features=on_features,
        )
        self._set(index, note="the teacher reads the test set")
        run.features(data[data.test_split], on_features)


def copy_shipped_run(shipped: Path, folder: Path, data: Path, teacher: Teacher) -> bool:
    """Copies a shipped run to `folder`, as if it was trained on `data`; an existing copy is kept.

    Returns:
        Whether `folder` holds that run now: False where `shipped` is no run, or was trained with another teacher.

    Raises:
        ValueError: the folder holds another run, or other files.
    """
    if not (shipped / CONFIG).is_file():
        return False
    model, config = afrd.runs.read_config(shipped)
    if config.teacher_digest != teacher.digest:
        return False
    local_config = replace(config, data_root=str(data.resolve()))
    if not afrd.runs.is_finished(folder, model, local_config):
        afrd.runs.copy_run(shipped, folder, local_config)
    return True
