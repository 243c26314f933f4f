"""Long work of the Lights tab, in threads of its own: one piece at a time, seen and cancelled by all who look at it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any

Report = Callable[[str, int, int], None]
WAITING = "waits for other work"


class StoppedError(Exception):
    """Somebody has cancelled it."""


class Job:
    """One piece of work.

    Attributes:
        what, done, total: how far it is.
        result: what it gave, once it has `ended`.
        problem: the sentence that says why it gave nothing, empty when it was cancelled.
    """

    def __init__(self) -> None:
        self.what, self.done, self.total = WAITING, 0, 0
        self.result: Any = None
        self.problem: str | None = None
        self._stop, self._ended = threading.Event(), threading.Event()

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def cancel(self) -> None:
        self._stop.set()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended by then."""
        return self._ended.wait(seconds)

    def report(self, what: str, done: int, total: int) -> None:
        self.what, self.done, self.total = what, done, total
        if self._stop.is_set():
            raise StoppedError

    def run(self, work: Callable[[Report], Any], turn: threading.Lock) -> None:
        try:
            while not turn.acquire(timeout=0.2):
                self.report(WAITING, 0, 0)
            try:
                self.report("begins", 0, 0)
                self.result = work(self.report)
            finally:
                turn.release()
        except StoppedError:
            self.problem = ""
        except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: no weights for the teacher, no memory
            self.problem = str(error)
        except Exception as error:  # the page says it and stays usable
            self.problem = f"something went wrong that should not ({type(error).__name__}: {error})"
        finally:
            self._ended.set()


class Jobs:
    """The work of one page, by key; what has ended is forgotten as soon as it was taken."""

    def __init__(self) -> None:
        self._jobs: dict[Hashable, Job] = {}
        self._lock, self._turn = threading.Lock(), threading.Lock()

    def get(self, key: Hashable) -> Job | None:
        with self._lock:
            return self._jobs.get(key)

    def start(self, key: Hashable, work: Callable[[Report], Any]) -> Job:
        """Begins it, or gives the one that is at work already."""
        with self._lock:
            job = self._jobs.get(key)
            if job is None or job.ended:
                job = self._jobs[key] = Job()
                threading.Thread(target=job.run, args=(work, self._turn), name="lights", daemon=True).start()
            return job

    def forget(self, key: Hashable, job: Job) -> None:
        with self._lock:
            if self._jobs.get(key) is job and job.ended:
                del self._jobs[key]
