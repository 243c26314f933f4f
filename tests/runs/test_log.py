"""The log of a run folder."""

import re
from pathlib import Path

import afrd
from afrd.cli.commands import main
from afrd.runs.run_log import LOG
from afrd.runs.training import Cancelled

TINY = {"size": 64, "width": 8, "epochs": 2, "device": "cpu", "show_progress": False}


def test_every_event_of_a_run_is_one_line(candies, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("afrd.runs.training.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setenv("AFRD_SECRET_OF_A_USER", "swordfish")
    data, out = afrd.open_dataset(candies, "Praline"), tmp_path / "run"
    try:
        afrd.fit(data, ["top", "box"], out, on_step=lambda report: report.step == 2, **TINY)
        raise AssertionError("it was to be stopped")
    except Cancelled:
        pass
    afrd.fit(data, ["top", "box"], out, **TINY)
    afrd.fit(data, ["top", "box"], out, **TINY)  # finished already: nothing happens
    assert main(["evaluate", str(out), "--device", "cpu"]) == 0
    text = (out / LOG).read_text()
    lines = text.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d \w+ ", line) for line in lines)
    events = [line.split()[1] for line in lines]
    assert events == ["training", "stopped", "training", "continued", "finished", "evaluated"]
    assert "device=cpu" in lines[0] and "epoch=1 epochs=2" in lines[3] and "image_auroc=" in lines[5]
    assert str(tmp_path) not in text and str(candies) not in text and "swordfish" not in text
