"""Trainings in a queue: one at a time, stopped and gone on with, and every mistake a sentence."""

from __future__ import annotations

import shlex
import shutil
import threading
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

import afrd
from afrd.background import training_queue
from afrd.background.jobs import HEAVY_WORK, THREAD_NAME, Worker
from afrd.background.training_queue import Order, TrainingJob, TrainingQueue, free_name, run_folder
from afrd.cli.commands import parser
from afrd.runs import feature_store
from afrd.runs.options import TrainingOptions
from afrd.runs.run_folder import find_runs
from tests.background.helpers import occupied, wait_until


@pytest.fixture
def queue(tmp_path: Path) -> TrainingQueue:
    return TrainingQueue(tmp_path / "runs", Worker())


@pytest.fixture
def order(candies: Path) -> Order:
    return Order(candies, "Praline", "Praline/night", ("top", "box"), size=64, epochs=2)


def wait(queue: TrainingQueue, seconds: float = 120) -> list[TrainingJob]:
    return wait_until(lambda: not queue.busy and queue.jobs(), seconds)


def test_two_trainings_run_one_after_the_other_and_become_runs(queue: TrainingQueue, order: Order):
    first = queue.add(order)
    second = queue.add(Order(order.root, "Praline", "Praline/other", ("top",), size=64, epochs=3, seed=4))
    assert queue.job(second.number).state == "waiting" and queue.place(second.number) == 1
    seen = set()
    while queue.busy:
        states = tuple(job.state for job in queue.jobs())
        seen.add(states)
        time.sleep(0.002)
    assert ("running", "running") not in seen and ("done", "running") in seen
    assert [(job.state, job.note, job.step, job.steps) for job in queue.jobs()] == [
        ("done", "", 2, 2),
        ("done", "", 3, 3),
    ]
    assert [run.relative_to(queue.runs).as_posix() for run in find_runs(queue.runs)] == [
        "Praline/night",
        "Praline/other",
    ]
    run = afrd.load_run(first.folder)
    assert run.lights == ("top", "box") and run.config.epochs == 2
    live, kept = queue.history(first.number), run.history()
    assert live.loss.tolist() == pytest.approx(kept.loss.tolist()) and live.epoch.tolist() == kept.epoch.tolist()


def test_only_a_run_with_a_memory_is_said_to_fill_one(queue: TrainingQueue, order: Order, monkeypatch):
    notes: list[str] = []
    kept = queue._set
    monkeypatch.setattr(
        queue, "_set", lambda number, **values: (notes.append(values.get("note")), kept(number, **values))
    )
    queue.add(order)
    queue.add(replace(order, name="Praline/single", lights=("top",)))
    wait(queue)
    assert [note for note in notes if note and note.endswith("sets the threshold")] == [
        "fills the memory, sets the threshold",
        "sets the threshold",
    ]


def test_a_cancelled_training_says_how_to_go_on_and_ends_with_the_same_weights(
    queue: TrainingQueue, order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("afrd.runs.training.CHECKPOINT_SECONDS", 0.0)
    long = Order(order.root, "Praline", "Praline/long", ("top", "box"), size=64, epochs=25)
    job = queue.add(long)
    wait_until(lambda: queue.job(job.number).step > 3)
    queue.cancel(job.number)
    (stopped,) = wait(queue)
    assert stopped.state == "cancelled" and 3 < stopped.step < 25
    assert stopped.note == (
        f"stopped after step {stopped.step} of 25; started again, it continues after epoch {stopped.step - 1} of 25"
    )
    assert (job.folder / "checkpoint.safetensors").is_file() and not find_runs(queue.runs)

    again = queue.resume(job.number)
    assert queue.job(job.number) is None and again.order == stopped.order
    (ended,) = wait(queue)
    assert ended.state == "done"
    assert queue.history(again.number).step.tolist() == list(range(1, 26))  # the whole curve, from before the stop too
    assert queue.history(again.number).loss.tolist() == pytest.approx(afrd.load_run(job.folder).history().loss.tolist())
    afrd.fit(
        afrd.open_dataset(order.root, "Praline"), "top,box", tmp_path / "w", size=64, epochs=25, show_progress=False
    )
    expected, resumed = (load_file(f / "model.safetensors") for f in (tmp_path / "w", job.folder))
    assert all((expected[name] == resumed[name]).all() for name in expected)


def test_a_training_that_is_stopped_before_a_checkpoint_leaves_nothing(
    queue: TrainingQueue, order: Order, monkeypatch: pytest.MonkeyPatch
):
    started = threading.Event()
    monkeypatch.setattr("afrd.runs.training.load_checkpoint", lambda *_: started.set() or time.sleep(0.5) or (0, []))
    job = queue.add(Order(order.root, "Praline", "a/b/c", ("top",), size=64, epochs=50))
    started.wait(60)
    queue.cancel(job.number)
    assert queue.job(job.number).stopping
    (stopped,) = wait(queue)
    assert stopped.note == "stopped after step 1 of 50; started again, it begins anew"
    assert not queue.runs.exists() or not list(queue.runs.iterdir())


def test_a_training_can_be_stopped_while_the_teacher_reads(
    queue: TrainingQueue, order: Order, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("AFRD_CACHE", str(tmp_path / "cache"))
    read = feature_store.compute_inputs

    def read_slowly(*arguments: Any) -> Any:
        time.sleep(0.3)  # so that the first sample is still being read when the job is looked at
        return read(*arguments)

    monkeypatch.setattr(feature_store, "compute_inputs", read_slowly)
    job = queue.add(order)
    wait_until(lambda: "the teacher reads sample" in queue.job(job.number).note)
    queue.cancel(job.number)
    (stopped,) = wait(queue)
    assert (stopped.state, stopped.note) == (
        "cancelled",
        "stopped before its first step; started again, it begins anew",
    )
    assert not (queue.runs / "Praline").exists() and not list((tmp_path / "cache" / "features").iterdir())


def test_waiting_trainings_can_be_taken_out_and_ended_ones_forgotten(queue: TrainingQueue, order: Order):
    with occupied(queue._worker, "the demo (Praline: train AFRD)"):
        first = queue.add(order)
        second = queue.add(Order(order.root, "Praline", "Praline/second", ("top",), size=64, epochs=1))
        third = queue.add(Order(order.root, "Praline", "Praline/third", ("top",), size=64, epochs=1))
        wait_until(lambda: queue.job(first.number).note)
        assert queue.job(first.number).note == "waits for the demo (Praline: train AFRD)"
        queue.cancel(second.number)
        queue.remove(first.number)
        assert [job.number for job in queue.jobs()] == [third.number]
    assert [job.state for job in wait(queue)] == ["done"]
    assert [run.name for run in find_runs(queue.runs)] == ["third"]
    before = queue.version
    queue.remove(third.number)
    queue.remove(99)
    queue.cancel(99)
    assert queue.jobs() == [] and queue.version == before + 1
    assert find_runs(queue.runs), "the run itself stays"


def test_the_queue_can_be_used_again_when_it_has_run_empty(queue: TrainingQueue, order: Order):
    for name in ("Praline/a", "Praline/b"):
        queue.add(Order(order.root, "Praline", name, ("top",), size=64, epochs=1))
        wait(queue)
    assert [job.state for job in queue.jobs()] == ["done", "done"]
    wait_until(lambda: [thread.name for thread in threading.enumerate()].count(THREAD_NAME) == 0)


def test_a_patch_memory_is_filled_without_steps(queue: TrainingQueue, order: Order):
    job = queue.add(Order(order.root, "Praline", "Praline/memory", ("top", "box"), method="memory", size=64, epochs=7))
    (done,) = wait(queue)
    assert done.state == "done" and done.steps == 0 and queue.history(job.number).empty
    assert afrd.load_run(job.folder).model.config.method == "memory"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"root": "/no/such/folder"}, "data set /no/such/folder does not exist"),
        ({"category": "Cookie"}, "there is no category 'Cookie'"),
        ({"lights": ("dome",)}, "light 'dome' is not known"),
        ({"lights": ()}, "no light is named"),
        ({"size": 8}, "size is 8, but must be at least 32"),
        ({"epochs": 0}, "epochs is 0, but must be at least 1"),
        ({"fusion": "concat"}, "needs target 'fused'"),
        ({"teacher": "vgg"}, "teacher 'vgg' is not known"),
        ({"weights": "/no/such.pth"}, "weights file /no/such.pth does not exist"),
        ({"name": ""}, "the run has no name"),
        ({"name": "../elsewhere"}, "cannot be the name of a run"),
        ({"name": "x" * 101}, "has 101 characters"),
    ],
)
def test_what_cannot_be_trained_is_refused_at_once_in_one_sentence(
    queue: TrainingQueue, order: Order, changes: dict, said: str
):
    with pytest.raises((ValueError, OSError)) as refused:
        queue.add(Order(**{**vars(order), **changes}))
    assert said in str(refused.value) and "\n" not in str(refused.value)
    assert queue.jobs() == [] and not queue.runs.exists()


def test_weights_that_cannot_be_had_are_said_at_once(
    queue: TrainingQueue, order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import torch

    from afrd.model.weights import WeightsUnavailable

    def no_network(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with pytest.raises(WeightsUnavailable, match=r"weights of resnet18 are not in .* give it with --weights"):
        queue.add(Order(order.root, "Praline", "Praline/r18", ("top",), teacher="resnet18", size=64))


def test_a_name_that_holds_something_else_is_refused(queue: TrainingQueue, order: Order):
    queue.add(order)
    with pytest.raises(ValueError, match="is being trained or waits already; choose another name"):
        queue.add(order)
    wait(queue)
    with pytest.raises(ValueError, match="already holds this training, finished"):
        queue.add(order)
    with pytest.raises(ValueError, match=r"holds a run with epochs 2, not 5; choose another folder"):
        queue.add(Order(**{**vars(order), "epochs": 5}))
    with pytest.raises(ValueError, match="would be inside the run"):
        queue.add(Order(**{**vars(order), "name": "Praline/night/inner"}))
    (queue.runs / "thesis").mkdir()
    (queue.runs / "thesis" / "text.txt").write_text("precious")
    with pytest.raises(ValueError, match="is no run folder"):
        queue.add(Order(**{**vars(order), "name": "thesis"}))


def test_a_training_that_fails_says_why_leaves_nothing_and_the_next_one_runs(
    queue: TrainingQueue, order: Order, tmp_path: Path
):
    shutil.copytree(Path(order.root) / "Praline", tmp_path / "data" / "Praline")
    picture = afrd.open_dataset(tmp_path / "data", "Praline")["train"].picture(4, "left")
    picture.write_bytes(b"no picture")
    bad = queue.add(Order(tmp_path / "data", "Praline", "Praline/bad", ("top", "left"), size=64, epochs=1))
    good = queue.add(order)
    wait(queue)
    assert queue.job(bad.number).state == "failed" and queue.job(good.number).state == "done"
    assert picture.name in queue.job(bad.number).note and "\n" not in queue.job(bad.number).note
    assert not bad.folder.exists()
    picture.write_bytes(afrd.open_dataset(order.root, "Praline")["train"].picture(4, "left").read_bytes())
    again = queue.resume(bad.number)
    wait(queue)
    assert queue.job(again.number).state == "done"
    with pytest.raises(ValueError, match="is no longer in the queue, or has nothing to continue"):
        queue.resume(again.number)


def test_a_link_out_of_the_root_is_no_way_out(tmp_path: Path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="is outside of"):
        run_folder(tmp_path / "runs", "link/run")


@given(st.text(st.sampled_from("ab./\\ ~-_:*é\n\0"), max_size=12))
def test_a_name_is_refused_or_stays_below_the_root(name: str):
    root = Path("/somewhere/runs")
    try:
        folder = run_folder(root, name)
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert folder != root and folder.resolve().is_relative_to(root)
        assert not any(part.startswith(".") for part in folder.relative_to(root).parts)


def test_a_free_name_steps_around_what_is_there_or_waits(tmp_path: Path):
    assert free_name(tmp_path, "Praline", "afrd") == "Praline/afrd"
    (tmp_path / "Praline" / "afrd").mkdir(parents=True)
    assert free_name(tmp_path, "Praline", "afrd") == "Praline/afrd"  # empty
    (tmp_path / "Praline" / "afrd" / "config.json").touch()
    assert free_name(tmp_path, "Praline", "afrd") == "Praline/afrd-2"
    assert free_name(tmp_path, "Praline", "afrd", {tmp_path / "Praline" / "afrd-2"}) == "Praline/afrd-3"


def test_the_command_of_an_order_is_understood_by_the_command_line(tmp_path: Path):
    order = Order("/data/my parts", "Relief", "Relief/a", ("led 1", "top"), target="fused", fusion="max", epochs=7)
    words = shlex.split(order.command(tmp_path))
    options = parser().parse_args(words[1:])
    assert options.root == Path("/data/my parts") and options.category == "Relief"
    assert options.out == tmp_path / "Relief/a" and options.lights == "led 1,top"
    for option in fields(TrainingOptions):
        assert getattr(options, option.name) == getattr(order, option.name), option.name


def test_an_order_has_the_defaults_of_fit():
    assert Order("/data", "Relief", "Relief/a", ("top",)).options() == TrainingOptions()


def test_the_demo_and_the_queue_take_turns(queue: TrainingQueue, order: Order, tmp_path: Path):
    from afrd.demo.prepare import Preparation, Step

    at_work, both, added = [], [], threading.Event()

    def work(index: int) -> None:
        at_work.append(index)
        added.wait(60)  # adding a training loads its teacher, which may take longer than all steps
        time.sleep(0.05)
        both.extend(job for job in shared.jobs() if job.state == "running")
        at_work.pop()

    shared = TrainingQueue(tmp_path / "runs")  # has the same worker as the demo
    demo = Preparation(tmp_path / "data", tmp_path / "demo")
    demo._work = [(Step(f"step {i}"), work) for i in range(60)]
    demo.start()
    wait_until(lambda: at_work)
    job = shared.add(order)
    added.set()
    said = set()
    while shared.busy:
        said.add(shared.job(job.number).note.split(" (")[0])
        if shared.job(job.number).state == "running":
            both.extend(at_work)
            said.update(step.note for step in demo.steps())
        time.sleep(0.002)
    assert both == [] and shared.job(job.number).state == "done"
    assert "waits for the demo" in said and "waits for the training of Praline/night" in said
    wait_until(lambda: demo.finished)
    wait_until(lambda: HEAVY_WORK.holder is None)


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), KeyError("x"), SystemExit(3)])
@pytest.mark.parametrize("cancelled", [False, True])
def test_the_training_queue_goes_on_when_tidying_a_folder_raises(
    queue: TrainingQueue, order: Order, monkeypatch: pytest.MonkeyPatch, error: BaseException, cancelled: bool
):
    def fit(self: TrainingQueue, job: TrainingJob) -> None:
        if job.number == first.number:
            raise afrd.runs.Cancelled if cancelled else ValueError("a picture is broken")

    def tidy(*_) -> None:
        raise error

    monkeypatch.setattr(TrainingQueue, "_fit", fit)
    monkeypatch.setattr(training_queue, "_remove_unused_folder", tidy)
    with occupied(queue._worker):
        first, second = queue.add(order), queue.add(replace(order, name="Praline/second"))
    failed, done = wait(queue, 20)
    assert (failed.state, done.state) == ("failed", "done") and done.number == second.number
    assert failed.note and "\n" not in failed.note
    if isinstance(error, Exception):
        assert "its folder could not be tidied up" in failed.note
        assert failed.note.startswith("stopped before its first step" if cancelled else "a picture is broken")


def test_the_training_queue_goes_on_when_a_folder_cannot_be_looked_into(
    queue: TrainingQueue, order: Order, monkeypatch: pytest.MonkeyPatch
):
    """The same with the real tidying."""
    iterdir = Path.iterdir

    def fit(self: TrainingQueue, job: TrainingJob) -> None:
        if job.number == first.number:
            job.folder.mkdir(parents=True)
            raise ValueError("a picture is broken")

    def refused(folder: Path):
        if folder == first.folder:
            raise PermissionError(13, "Permission denied", str(folder))
        return iterdir(folder)

    monkeypatch.setattr(TrainingQueue, "_fit", fit)
    with occupied(queue._worker):
        first = queue.add(order)
        queue.add(replace(order, name="Praline/second"))
    monkeypatch.setattr(Path, "iterdir", refused)
    failed, done = wait(queue, 20)
    assert (failed.state, done.state) == ("failed", "done")
    assert failed.note == (
        f"a picture is broken; its folder could not be tidied up: [Errno 13] Permission denied: {str(first.folder)!r}"
    )
