"""Jobs: one at a time, first come first served, cancelled at any moment; they keep no process from ending."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from afrd.background.jobs import HEAVY_WORK, Jobs, Worker, error_sentence
from afrd.background.training_queue import Order, TrainingJob, TrainingQueue
from afrd.page.testing import apart
from tests.background.helpers import occupied, wait_until

ROOT = Path(__file__).parents[2]


def test_jobs_run_one_at_a_time_in_the_order_of_submission():
    worker, ran = Worker(), []

    def work(name: str):
        return lambda report: ran.append((name, worker.holder)) or name

    with occupied(worker, "the first"):
        jobs = [worker.submit(work(name), name) for name in "abc"]
        assert all(job.waiting and job.blocked_by == "the first" for job in jobs)
        assert jobs[0].what == "waits for the first" and worker.holder == "the first"
    assert [job.wait(5) and job.result for job in jobs] == ["a", "b", "c"]
    assert ran == [("a", "a"), ("b", "b"), ("c", "c")] and worker.holder is None


def test_a_job_that_is_cancelled_while_it_waits_ends_at_once_and_gives_its_place_up():
    worker = Worker()
    with occupied(worker) as running:
        ran = []
        second, third = worker.submit(lambda report: ran.append(2)), worker.submit(lambda report: ran.append(3))
        assert not second.wait(0.05) and second.problem is None
        second.cancel()
        assert second.wait(0) and second.problem == "" and second.result is None
        assert not running.ended and not third.ended
    assert third.wait(5) and ran == [3]


def test_a_running_job_reports_and_is_cancelled_at_its_next_report():
    worker, go_on = Worker(), threading.Event()

    def work(report) -> None:
        report("samples read", 2, 7)
        go_on.wait(10)
        report("samples read", 3, 7)
        pytest.fail("not cancelled")

    job = worker.submit(work)
    wait_until(lambda: job.total)
    assert (job.what, job.done, job.total) == ("samples read", 2, 7) and not job.waiting and job.blocked_by is None
    job.cancel()
    assert not job.ended
    go_on.set()
    assert job.wait(5) and job.problem == "" and job.result is None
    with pytest.raises(CancelledError):
        job.future.result()


@pytest.mark.parametrize("error", [ValueError("no such light"), SystemExit(1), KeyboardInterrupt()])
def test_a_job_that_fails_says_why_and_the_next_one_runs(error: BaseException):
    worker = Worker()

    def fail(report) -> None:
        raise error

    with occupied(worker):
        failed, after = worker.submit(fail), worker.submit(lambda report: "done")
    assert after.wait(5) and after.result == "done"
    assert failed.problem == error_sentence(error) and failed.result is None
    assert failed.future.exception() is error


def test_every_error_is_one_line():
    assert error_sentence(ValueError("a\nb")) == "a"
    assert "not enough memory" in error_sentence(MemoryError())
    assert error_sentence(KeyError("x")) == "unexpected error (KeyError: 'x')"
    assert error_sentence(AssertionError()) == "unexpected error (AssertionError: no text)"


def test_a_survey_and_a_training_never_run_at_once_and_first_come_is_first_served(
    candies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    at_work: list[str] = []
    started: list[str] = []
    together: list[list[str]] = []

    def heavy(name: str) -> None:
        at_work.append(name)
        started.append(name)
        for _ in range(20):
            if len(at_work) > 1:
                together.append(list(at_work))
            time.sleep(0.002)
        at_work.remove(name)

    def fit(self: TrainingQueue, job: TrainingJob) -> None:
        heavy(job.order.name)

    monkeypatch.setattr(TrainingQueue, "_fit", fit)
    surveys, trainings = Jobs(), TrainingQueue(tmp_path / "runs")  # as the page makes them
    order = Order(candies, "Praline", "training 1", ("top",), size=64, epochs=1)
    with occupied(HEAVY_WORK):
        first = trainings.add(order)
        surveys.start(1, lambda report: heavy("survey 1"), "the survey of Praline/afrd")
        trainings.add(Order(candies, "Praline", "training 2", ("top",), size=64, epochs=1))
        last = surveys.start(2, lambda report: heavy("survey 2"))
        assert trainings.job(first.number).note == "waits for other work" and last.what == "waits for other work"
    assert last.wait(20)
    assert started == ["training 1", "survey 1", "training 2", "survey 2"] and together == []
    assert [job.state for job in trainings.jobs()] == ["done", "done"]


def test_a_training_and_a_survey_say_what_they_wait_for(candies: Path, tmp_path: Path):
    worker = Worker()
    surveys, trainings = Jobs(worker), TrainingQueue(tmp_path / "runs", worker)
    with occupied(worker, "the survey of Praline/afrd"):
        before = trainings.version
        job = trainings.add(Order(candies, "Praline", "Praline/a", ("top",), size=64, epochs=1))
        assert trainings.job(job.number).note == "waits for the survey of Praline/afrd"
        assert trainings.version > before
        survey = surveys.start("key", lambda report: None)
        trainings.cancel(job.number)
    assert survey.wait(5) and trainings.jobs() == [] and not (tmp_path / "runs").exists()


def test_the_worker_s_thread_ends_when_nothing_waits_and_never_holds_up_the_interpreter():
    worker = Worker()
    for _ in range(3):
        assert worker.submit(lambda report: 1).wait(5)
        wait_until(lambda: worker._thread is None)
    code = (
        "import time; from afrd.background.jobs import HEAVY_WORK;"
        "HEAVY_WORK.submit(lambda report: time.sleep(60)); time.sleep(0.2)"
    )
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=30, check=True)
    assert time.monotonic() - began < 20


PAGE = """
import sys, time
from pathlib import Path
from afrd.background.jobs import HEAVY_WORK
from afrd.cli import app

def work(report):
    print("at work", flush=True)
    while True:
        time.sleep(0.01)

HEAVY_WORK.submit(work)
HEAVY_WORK.submit(work)
sys.exit(app.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_page_ends_within_a_second_while_a_job_runs(by: signal.Signals, tmp_path: Path):
    output = (tmp_path / "output").open("w+")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    code = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler){PAGE}"
    page = apart(["-c", code, "--runs", tmp_path], output, environment)
    with pytest.raises(RuntimeError, match="ended by itself with status 0"), page as (_, process):
        time.sleep(8)  # the page imports torch after it answers
        began = time.monotonic()
        os.kill(process, by)
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        seconds = time.monotonic() - began
    output.seek(0)
    text = output.read()
    assert seconds < 1 and "at work" in text and "Traceback" not in text, (seconds, text)
