"""The demo's data and runs, made in the background while the page is up; what is on disk already is not made again."""

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
from afrd.background.turns import TURN

if TYPE_CHECKING:
    from afrd.model.teacher import Teacher

CATEGORIES = ("Licorice", "Praline", "Cookie")
SIZE = 256  # of pictures and of the teacher's input: a quarter of the time of 512, for a first look
WIDTH, MEMORY = 40, 384  # of the student, and patches of each light: the runs that come along are to be small
FEW = {"train": 1, "val": 1}  # of a category whose runs come along: with its test set alone there is something to see
COMES_ALONG = Path(__file__).with_name("runs")  # by category: runs in half precision, by `make demo-runs`


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
        come_along: folder of runs that need not be trained, in the same order.
    """

    def __init__(self, data: Path, runs: Path, come_along: Path = COMES_ALONG) -> None:
        self.data, self.runs, self.come_along = data, runs, come_along
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

    def wait(self) -> None:
        """Until all is done or has failed."""
        if self._thread:
            self._thread.join()

    def steps(self) -> list[Step]:
        with self._lock:
            return [step for step, _ in self._work]

    @property
    def finished(self) -> bool:
        return all(step.state in ("done", "failed") for step in self.steps())

    def _plan(self, category: str) -> None:

        def add(title: str, work: Callable[[int], None]) -> None:
            self._work.append((Step(f"{category}: {title}"), work))

        come_along = (self.come_along / category).is_dir()
        render = partial(self._render, category=category)
        if come_along:
            add("render the test candies under six lights", partial(render, **FEW))
            add("take the trained runs that come along", partial(self._bring, category=category))
        else:
            add("render candies under six lights", partial(render, twins=True))
        add("train AFRD", partial(self._train, category=category, lights="all", name="afrd"))
        for light in afrd.data.EYECANDIES_LIGHTS:
            name = f"single-{light}"
            add(f"train single-light RD, {light}", partial(self._train, category=category, lights=light, name=name))
        if come_along:
            # with one process: there is a page to look at now
            add("render the other candies", partial(render, twins=True, workers=1))
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

    def _render(self, index: int, category: str, **parts: Any) -> None:

        afrd.candies.render_category(
            self.data,
            category,
            size=SIZE,
            **parts,
            progress=lambda done, total: self._set(index, done=done, total=total),
        )

    @cached_property
    def _teacher(self) -> Teacher:

        return afrd.model.load_teacher()

    def _bring(self, index: int, category: str) -> None:
        for shipped in sorted((self.come_along / category).iterdir()):
            bring(shipped, self.runs / category / shipped.name, self.data, self._teacher)

    def _train(self, index: int, category: str, lights: str, name: str, method: str = "afrd") -> None:

        if bring(self.come_along / category / name, self.runs / category / name, self.data, self._teacher):
            return

        def on_features(done: int, total: int) -> None:
            self._set(index, note=f"the teacher reads picture set {done} of {total}")

        def on_step(report: afrd.runs.StepReport) -> None:
            now = time.monotonic()
            if now - self._reported > 0.5 or report.step == report.steps:
                self._reported = now
                note = f"loss {report.loss:.3f}, {report.seconds_left:.0f} s left"
                self._set(index, done=report.step, total=report.steps, note=note)

        if (self.come_along / category).is_dir():  # but does not fit, or has no such run: all pictures are needed
            self._render(index, category)
        data = afrd.data.open_dataset(self.data, category)
        run = afrd.runs.fit(
            data,
            lights,
            self.runs / category / name,
            method=method,
            memory=MEMORY if name == "afrd" else None,
            width=WIDTH,
            teacher=self._teacher,
            size=SIZE,
            show_progress=False,
            on_step=on_step,
            on_features=on_features,
        )
        self._set(index, note="the teacher reads the test set")
        run.features(data[data.test_split], on_features)


def bring(shipped: Path, folder: Path, data: Path, teacher: Teacher) -> bool:
    """Copies a run that comes along to `folder`, as if trained on `data`; one that is there already is left alone.

    Returns:
        Whether `folder` holds that run now: False where none comes along, or where it was made with another teacher.

    Raises:
        ValueError: the folder holds another run, or other things.
    """

    if not (shipped / "config.json").is_file():
        return False
    model, config = afrd.runs.read_config(shipped)
    if config.teacher_digest != teacher.digest:
        return False
    here = replace(config, data_root=str(data.resolve()))
    if not afrd.runs.is_finished(folder, model, here):
        afrd.runs.copy_run(shipped, folder, here)
    return True
