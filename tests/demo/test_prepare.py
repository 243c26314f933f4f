"""The preparation of the demo: step by step, in the background, going on where it was stopped."""

import time
from pathlib import Path

import pytest

import afrd.candies
import afrd.runs
from afrd.data.dataset import EYECANDIES_LIGHTS as LIGHTS
from afrd.demo import prepare as demo
from afrd.demo.prepare import Preparation
from afrd.runs.run_folder import find_runs


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Tiny candies and few steps; everything else is the real thing."""
    render, fit = afrd.candies.render_category, afrd.runs.fit
    monkeypatch.setattr(demo, "CATEGORIES", ("Praline",))
    monkeypatch.setattr(demo, "PICTURE_SIZE", 64)
    counts = {"train": 3, "val": 2, "test_good": 1, "test_bad": 1, "workers": 1}
    monkeypatch.setattr(afrd.candies, "render_category", lambda *a, **k: render(*a, **{**k, **counts}))
    monkeypatch.setattr(afrd.runs, "fit", lambda *a, **k: fit(*a, **{**k, "width": 16, "epochs": 1}))


def wait(preparation: Preparation, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not preparation.finished:
        assert time.monotonic() < deadline, preparation.steps()
        time.sleep(0.05)


def test_the_first_start_makes_everything_and_the_second_nothing(tmp_path: Path, capsys, monkeypatch):
    preparation = Preparation(tmp_path / "data", tmp_path / "runs")
    assert {step.state for step in preparation.steps()} == {"waiting"}
    preparation.start()
    wait(preparation)
    assert [step.state for step in preparation.steps()] == ["done"] * 9
    assert preparation.steps()[1].title == "Praline: train AFRD"
    assert [path.name for path in find_runs(tmp_path / "runs")] == [
        "afrd",
        "memory",
        *sorted(f"single-{x}" for x in LIGHTS),
    ]
    assert "demo 1/9  Praline: render candies under six lights: 4 of 7" in (said := capsys.readouterr().out)
    assert "demo: all is ready" in said

    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    again = Preparation(tmp_path / "data", tmp_path / "runs")
    monkeypatch.setattr("afrd.runs.training._train", lambda *_: pytest.fail("trained again"))
    again.start()
    wait(again)
    assert {step.state for step in again.steps()} == {"done"}
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")} == before
    assert capsys.readouterr().out == "demo: all is ready\n"


def test_a_step_that_fails_says_why_and_the_others_go_on(tmp_path: Path):
    (tmp_path / "runs" / "Praline" / "afrd").mkdir(parents=True)
    (tmp_path / "runs" / "Praline" / "afrd" / "thesis.txt").write_text("precious")
    preparation = Preparation(tmp_path / "data", tmp_path / "runs")
    preparation.start()
    wait(preparation)
    states = [step.state for step in preparation.steps()]
    assert states[0] == "done" and states[1] == "failed" and set(states[2:]) == {"done"}
    assert "is no run folder" in preparation.steps()[1].note


def test_an_interrupted_preparation_goes_on(tmp_path: Path):
    first = Preparation(tmp_path / "data", tmp_path / "runs")
    for _, work in first._work[:3]:  # as if the process ended here
        work(0)
    assert len(find_runs(tmp_path / "runs")) == 2
    second = Preparation(tmp_path / "data", tmp_path / "runs")
    second.start()
    wait(second)
    assert {step.state for step in second.steps()} == {"done"} and len(find_runs(tmp_path / "runs")) == 8
