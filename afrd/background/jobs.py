"""Jobs in the background: heavy work runs one job at a time, in the order of submission.

job = HEAVY_WORK.submit(lambda report: compute(report), "the survey of Praline/afrd")
job.what, job.done, job.total   # its progress
job.cancel()
if job.wait(1.0):
    job.result, job.problem
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any

Report = Callable[[str, int, int], None]  # (current activity, steps done, steps in all: 0 while not known)
Work = Callable[[Report], Any]
THREAD_NAME = "background jobs"


class Job:
    """One piece of work of a `Worker`.

    Attributes:
        title: shown to users who wait for the job, such as "the training of Praline/night".
        done, total: progress; `total` is 0 while it is not known.
        future: the result as a `concurrent.futures.Future`, with the original exception.
    """

    def __init__(self, title: str, work: Work, worker: Worker) -> None:
        self.title, self.work = title, work
        self.done, self.total = 0, 0
        self.future: Future = Future()
        self._what = "begins"
        self._worker = worker
        self._cancel_requested = False

    @property
    def waiting(self) -> bool:
        """Whether it has neither started nor ended."""
        return not self.future.running() and not self.future.done()

    @property
    def ended(self) -> bool:
        return self.future.done()

    @property
    def blocked_by(self) -> str | None:
        """Title of the job that runs while this one waits."""
        return self._worker.holder if self.waiting else None

    @property
    def what(self) -> str:
        """The current activity, as reported, or the job it waits for."""
        blocked_by = self.blocked_by
        return f"waits for {blocked_by}" if blocked_by else self._what

    @property
    def result(self) -> Any:
        """What the work returned; None before that, and where it failed or was cancelled."""
        return self.future.result() if self.ended and self.problem is None else None

    @property
    def problem(self) -> str | None:
        """Why it failed, in one sentence; empty if it was cancelled, None if there is no problem."""
        if not self.ended:
            return None
        try:
            error = self.future.exception()
        except CancelledError:
            return ""
        if error is None:
            return None
        return "" if isinstance(error, CancelledError) else error_sentence(error)

    def report(self, what: str, done: int, total: int) -> None:
        """Called by the work to report its progress.

        Raises:
            CancelledError: the job was cancelled; the work must not catch it.
        """
        self._what, self.done, self.total = what, done, total
        if self._cancel_requested:
            raise CancelledError

    def cancel(self) -> None:
        """Ends the job at once while it waits, and at its next report while it runs."""
        if not self.future.cancel():
            self._cancel_requested = True

    def wait(self, seconds: float | None = None) -> bool:
        """Waits until it has ended, at most this long; returns whether it has."""
        with suppress(CancelledError, TimeoutError):
            self.future.exception(seconds)
        return self.ended


class Worker:
    """Runs jobs one at a time, in the order in which they were submitted.

    This is not a `ThreadPoolExecutor`, because Python waits for the threads of one before it exits: an interrupted
    script, notebook or page would only exit after an hour of training. The thread here is a daemon.
    It ends when no job waits; the next job starts a new one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[Job] = deque()
        self._running: Job | None = None
        self._thread: threading.Thread | None = None

    @property
    def holder(self) -> str | None:
        """Title of the job that runs now."""
        with self._lock:
            return self._running.title if self._running is not None else None

    def submit(self, work: Work, title: str = "other work") -> Job:
        """Puts the work at the end of the queue; it is called with `Job.report`."""
        job = Job(title, work, self)
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run_jobs, name=THREAD_NAME, daemon=True)
                thread.start()
                self._thread = thread
            self._queue.append(job)
        return job

    def _next_job(self) -> Job | None:
        with self._lock:
            while self._queue:
                job = self._queue.popleft()
                if job.future.set_running_or_notify_cancel():  # otherwise it was cancelled while it waited
                    self._running = job
                    return job
            self._thread = None
            return None

    def _run_jobs(self) -> None:
        while (job := self._next_job()) is not None:
            result, error = None, None
            try:
                result = job.work(job.report)
            except BaseException as caught:  # whatever it is, the next job runs
                error = caught
            with self._lock:
                self._running = None
            if error is None:
                job.future.set_result(result)
            else:
                job.future.set_exception(error)


HEAVY_WORK = Worker()  # of this process: trainings, the demo's preparation, surveys and explanations


class Jobs:
    """Jobs by key, so that several users of a page see and cancel the same one."""

    def __init__(self, worker: Worker = HEAVY_WORK) -> None:
        self._worker = worker
        self._jobs: dict[Hashable, Job] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Job | None:
        with self._lock:
            return self._jobs.get(key)

    def start(self, key: Hashable, work: Work, title: str = "other work") -> Job:
        """Submits the work; where a job of this key waits or runs, returns that one instead."""
        with self._lock:
            job = self._jobs.get(key)
            if job is None or job.ended:
                job = self._jobs[key] = self._worker.submit(work, title)
            return job

    def forget(self, key: Hashable, job: Job) -> None:
        """Drops a job that has ended, and with it its result."""
        with self._lock:
            if self._jobs.get(key) is job and job.ended:
                del self._jobs[key]


def error_sentence(error: BaseException) -> str:
    """An error's message in one line."""
    if isinstance(error, MemoryError):
        return "there is not enough memory; choose a smaller size, fewer lights or a smaller teacher"
    first_line = next(iter(str(error).strip().splitlines()), "")
    if first_line and isinstance(error, (ValueError, OSError, RuntimeError, ArithmeticError)):
        return first_line  # these are raised with a sentence for the user; RuntimeError also by torch
    return f"unexpected error ({type(error).__name__}: {first_line or 'no text'})"
