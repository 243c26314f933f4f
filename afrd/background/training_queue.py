"""Trainings in the background: one at a time in this process, the others wait in a queue.

queue = TrainingQueue("runs")
job = queue.add(Order("data/candies", "Praline", "Praline/night", lights=("top", "box")))
queue.job(job.number)      # its state and progress
queue.cancel(job.number)   # leaves its checkpoint; queue.resume(job.number) continues from there
"""

from __future__ import annotations

import shlex
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

import afrd.data
import afrd.runs
from afrd.background.jobs import HEAVY_WORK, Job, Report, Worker, error_sentence
from afrd.runs.file_names import CONFIG
from afrd.runs.options import TrainingOptions
from afrd.runs.run_log import LOG

if TYPE_CHECKING:  # torch takes seconds to import, and the page that shows the queue is up before
    from afrd.runs.plan import TrainingPlan
    from afrd.runs.training import StepReport

WAITING, RUNNING, DONE, CANCELLED, FAILED = "waiting", "running", "done", "cancelled", "failed"
MAX_NAME_LENGTH = 100  # characters of a run's name, so that paths stay within the limits of file systems


@dataclass(frozen=True)
class Order(TrainingOptions):
    """A training to be run: its options, the run's `name` below the queue's root, and `roi`, see `afrd.runs.plan`."""

    root: str | Path
    category: str
    name: str
    lights: tuple[str, ...]
    roi: str | None = None

    def options(self) -> TrainingOptions:
        """The options alone."""
        return TrainingOptions(**{option.name: getattr(self, option.name) for option in fields(TrainingOptions)})

    def command(self, runs: Path) -> str:
        """The same training on the command line."""
        words = ["afrd", "train", str(self.root), self.category, "--out", str(runs / self.name)]
        words += ["--lights", ",".join(self.lights)]
        for option in fields(TrainingOptions):
            name, value = option.name, getattr(self, option.name)
            if value != option.default and not (name == "epochs" and self.method == "memory"):
                words += [f"--{name}", str(value)]
        words += ["--roi", self.roi] if self.roi is not None else []
        return shlex.join(words)


@dataclass(frozen=True)
class TrainingJob:
    """State of one training.

    Attributes:
        number: unique in the queue, in the order of arrival.
        order, folder: the training, and its run folder.
        state: `waiting`, `running`, `done`, `cancelled` or `failed`.
        note: a sentence: current activity, what it waits for, how to continue, or why it failed.
        step, steps: training steps done and in all; `steps` is 0 where there are none or they are not known yet.
        seconds_left: of the training steps, None while it is not known.
        stopping: it was cancelled and stops after the current step.
    """

    number: int
    order: Order
    folder: Path
    state: str = WAITING
    note: str = ""
    step: int = 0
    steps: int = 0
    seconds_left: float | None = None
    stopping: bool = False

    @property
    def ended(self) -> bool:
        return self.state in (DONE, CANCELLED, FAILED)


class TrainingQueue:
    """Trains in the background, one run after the other; several threads may use it at once.

    Args:
        runs: all runs are made below this folder.
        worker: runs the trainings, one at a time and in turn with other heavy work.
    """

    def __init__(self, runs: str | Path, worker: Worker = HEAVY_WORK) -> None:
        self.runs = Path(runs)
        self._worker = worker
        self._lock = threading.RLock()
        self._jobs: dict[int, TrainingJob] = {}
        self._work: dict[int, Job] = {}  # of the jobs that wait or run
        self._losses: dict[int, list[tuple[int, int, float]]] = {}  # of a job: step, epoch, loss
        self._next = 1
        self._version = 0

    @property
    def version(self) -> int:
        """A number that increases with every change of a job."""
        with self._lock:
            self._update_notes()
            return self._version

    @property
    def busy(self) -> bool:
        """Whether a training runs or waits."""
        return any(not job.ended for job in self.jobs())

    def jobs(self) -> list[TrainingJob]:
        """All jobs that were not removed, in the order of arrival."""
        with self._lock:
            self._update_notes()
            return list(self._jobs.values())

    def job(self, number: int | None) -> TrainingJob | None:
        """A job by its number; None where it was removed."""
        with self._lock:
            self._update_notes()
            return self._jobs.get(number) if number is not None else None

    def place(self, number: int) -> int:
        """Position among the waiting jobs, from 1."""
        return 1 + sum(job.number < number and job.state == WAITING for job in self.jobs())

    def history(self, number: int) -> pd.DataFrame:
        """A job's losses, of the steps that ran in this process: columns step (from 1), epoch (from 0), loss."""
        with self._lock:
            return pd.DataFrame(self._losses.get(number, []), columns=["step", "epoch", "loss"])

    def _check_free(self, folder: Path, name: str) -> None:
        with self._lock:
            if any(job.folder == folder and not job.ended for job in self._jobs.values()):
                raise ValueError(f"{name} is being trained or waits already; choose another name")

    def add(self, order: Order) -> TrainingJob:
        """Checks all that can be checked before training, and appends the training to the queue.

        Raises:
            FileNotFoundError, ValueError: the data, an option or the name cannot be used, in one sentence.
            WeightsUnavailable: see `load_teacher`.
        """
        folder = run_folder(self.runs, order.name)
        self._check_free(folder, order.name)  # first: a training that has just begun leaves its folder half made
        order = checked(order, folder)
        with self._lock:
            self._check_free(folder, order.name)
            job = TrainingJob(self._next, order, folder)
            self._next += 1
            self._jobs[job.number] = job
            self._version += 1
            work = self._worker.submit(partial(self._run, job), f"the training of {order.name}")
            self._work[job.number] = work
        return job

    def cancel(self, number: int) -> None:
        """Stops a running job after its current step, and takes a waiting one out of the queue."""
        with self._lock:
            job = self._jobs.get(number)
            if job is not None and job.state == WAITING:
                self._remove(number)
            elif job is not None and job.state == RUNNING:
                self._set(number, stopping=True)

    def remove(self, number: int) -> None:
        """Removes a job that has ended or waits from the queue; its run folder is kept."""
        with self._lock:
            job = self._jobs.get(number)
            if job is not None and job.state != RUNNING:
                self._remove(number)

    def resume(self, number: int) -> TrainingJob:
        """Puts a cancelled or failed job at the end of the queue; it continues from its checkpoint.

        Raises:
            FileNotFoundError, ValueError, WeightsUnavailable: see `add`; ValueError also without such a job.
        """
        job = self.job(number)
        if job is None or job.state not in (CANCELLED, FAILED):
            raise ValueError("this training is no longer in the queue, or has nothing to continue")
        resumed = self.add(job.order)
        with self._lock:  # its loss curve begins where the old one began
            losses = self._losses.setdefault(resumed.number, [])
            first_step = losses[0][0] if losses else job.steps + 1
            losses[:0] = [row for row in self._losses.get(number, []) if row[0] < first_step]
            self.remove(number)
        return resumed

    def _remove(self, number: int) -> None:
        del self._jobs[number]
        self._losses.pop(number, None)
        if (work := self._work.pop(number, None)) is not None:
            work.cancel()
        self._version += 1

    def _set(self, number: int, **changes: Any) -> None:
        with self._lock:
            if number in self._jobs:
                self._jobs[number] = replace(self._jobs[number], **changes)
                self._version += 1

    def _update_notes(self) -> None:
        """Updates the notes of waiting jobs; the job they wait for changes without an event here."""
        with self._lock:
            training = any(job.state == RUNNING for job in self._jobs.values())
            for number, work in self._work.items():
                if self._jobs[number].state == WAITING:
                    blocked_by = None if training else work.blocked_by
                    note = f"waits for {blocked_by}" if blocked_by else ""
                    if note != self._jobs[number].note:
                        self._set(number, note=note)

    def _run(self, job: TrainingJob, report: Report) -> None:
        """Trains, and records the outcome."""
        with self._lock:
            if job.number not in self._jobs:  # removed between the worker's start and this line
                return
            self._set(job.number, state=RUNNING, note="opens the data set and the teacher")
        try:
            state, note = self._train(job)
        except BaseException as error:  # any error: the job must not stay "running"
            state, note = FAILED, error_sentence(error)
        with self._lock:
            self._work.pop(job.number, None)
            self._set(job.number, state=state, note=note, seconds_left=None, stopping=False)

    def _train(self, job: TrainingJob) -> tuple[str, str]:
        """Trains and removes unused folders; returns the job's final state and note."""
        new_folders = [path for path in (job.folder, *job.folder.parents) if not path.exists()]
        try:
            return DONE, self._fit(job)
        except afrd.runs.Cancelled:
            state, note = CANCELLED, resume_note(self.job(job.number) or job)
        except Exception as error:
            state, note = FAILED, error_sentence(error)
        try:
            _remove_unused_folder(job.folder, new_folders)
        except Exception as error:
            return FAILED, f"{note}; its folder could not be tidied up: {error_sentence(error)}"
        return state, note

    def _fit(self, job: TrainingJob) -> str:
        """Trains, keeps the job's progress up to date, and stores the test split's features for the page.

        Returns a sentence about unusual training parts, empty where there are none.
        """
        number, order = job.number, job.order
        plan = _plan(order, job.folder)
        last_update = 0.0

        def stopping() -> bool:
            current = self.job(number)
            return current is None or current.stopping

        def on_features(done: int, total: int) -> None:
            self._set(number, note=f"the teacher reads sample {done} of {total}")
            if stopping():
                raise afrd.runs.Cancelled("stopped while the teacher was reading")

        def on_step(report: StepReport) -> bool:
            nonlocal last_update
            with self._lock:
                epoch = (report.step - 1) * (order.epochs or 1) // report.steps
                losses = self._losses.setdefault(number, [])
                while losses and losses[-1][0] >= report.step:  # steps after the checkpoint are repeated
                    losses.pop()
                losses.append((report.step, epoch, report.loss))
            if time.monotonic() - last_update > 0.25 or report.step == report.steps:
                last_update = time.monotonic()
                last = report.step == report.steps
                then = "fills the memory, sets the threshold" if plan.model.memory else "sets the threshold"
                note = then if last else ""
                left = report.seconds_left
                self._set(number, step=report.step, steps=report.steps, seconds_left=left, note=note)
            if stopping():
                self._set(number, step=report.step, steps=report.steps)
                return True
            return False

        run = afrd.runs.train(plan, show_progress=False, on_step=on_step, on_features=on_features)
        data = plan.data
        # The run is complete; its first use only takes longer without these features.
        with suppress(afrd.runs.Cancelled, ValueError, OSError):
            run.features(data[data.test_split], on_features)
        return afrd.runs.unusual_text(run.training_parts())


def run_folder(runs: Path, name: str) -> Path:
    """The folder of a run of this name.

    Args:
        runs: root of all runs.
        name: relative, such as `Praline/night`.

    Raises:
        ValueError: the name is empty or too long, is outside the root, or inside another run.
    """
    parts = name.strip().split("/")
    if not name.strip():
        raise ValueError("the run has no name; give one, such as Praline/night")
    if len(name) > MAX_NAME_LENGTH:
        raise ValueError(f"the run's name has {len(name)} characters, but must have at most {MAX_NAME_LENGTH}")
    bad_part = any(not part or part.startswith((".", " ")) or part.endswith((".", " ")) for part in parts)
    if bad_part or set(name) & set('\\:*?"<>|') or not name.isprintable():
        raise ValueError(f"{name!r} cannot be the name of a run in {runs}; use letters, digits, - and _, and / between")
    folder = runs.joinpath(*parts)
    if not folder.resolve().is_relative_to(runs.resolve()):
        raise ValueError(f"{name!r} is outside of {runs}, where all runs are made; choose another name")
    outer_run = next((p for p in folder.parents if p.is_relative_to(runs) and (p / CONFIG).exists()), None)
    if outer_run is not None:
        raise ValueError(f"{folder} would be inside the run {outer_run}; choose another name")
    return folder


def free_name(runs: Path, category: str, kind: str, taken: set[Path] = frozenset()) -> str:  # type: ignore[assignment]
    """`<category>/<kind>`, with a number behind it where that is taken or there is something in its folder."""
    for number in range(1, 10_000):
        name = f"{category}/{kind}" + (f"-{number}" if number > 1 else "")
        folder = runs / name
        if folder not in taken and not (folder.is_dir() and any(folder.iterdir())):
            return name
    raise ValueError(f"there are too many runs in {runs / category}; choose a name by hand")


def checked(order: Order, folder: Path) -> Order:
    """The order with its number of epochs, if it can be trained into the folder; no picture is decoded.

    Raises:
        FileNotFoundError, ValueError, WeightsUnavailable: see `TrainingQueue.add`.
    """
    plan = _plan(order, folder)
    if plan.finished:
        raise ValueError(f"{order.name} already holds this training, finished; look at it in Explore")
    return replace(order, root=Path(order.root).resolve(), epochs=plan.config.epochs or None)


def _plan(order: Order, folder: Path) -> TrainingPlan:
    data = afrd.data.open_dataset(order.root, order.category)
    return afrd.runs.plan(data, order.lights, folder, order.options(), roi=order.roi)


def resume_note(job: TrainingJob) -> str:
    """A sentence about a job that was stopped."""
    if not job.step:
        return "stopped before its first step; started again, it begins anew"
    epoch = afrd.runs.checkpoint_epochs(job.folder)
    continuation = f"continues after epoch {epoch} of {job.order.epochs}" if epoch else "begins anew"
    return f"stopped after step {job.step} of {job.steps}; started again, it {continuation}"


def _remove_unused_folder(folder: Path, new_folders: list[Path]) -> None:
    """Removes a run folder that this training made and that holds no checkpoint, so that its name is free."""
    if folder not in new_folders or not folder.is_dir():
        return
    files = list(folder.iterdir())
    if {CONFIG} <= {path.name for path in files} <= {CONFIG, LOG}:
        with suppress(OSError):  # somebody has put something there
            for path in files:
                path.unlink()
            for path in new_folders:
                path.rmdir()
