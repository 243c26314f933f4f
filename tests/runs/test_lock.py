"""One run folder, two trainings: the second one is refused, and a killed one holds nobody up."""

import subprocess
import sys
from pathlib import Path

import pytest

import afrd
from afrd.cli.commands import main
from afrd.runs.lock import LOCK_FILE, locked

OPTIONS = ["--size", "64", "--width", "16", "--epochs", "2"]

STAYS = """
import sys, time
import afrd

def on_step(report):
    print("step", report.step, flush=True)
    time.sleep(600)

data = afrd.open_dataset(sys.argv[1], "Praline")
afrd.fit(data, out=sys.argv[2], size=64, width=16, epochs=2, show_progress=False, on_step=on_step)
"""


def test_of_two_processes_on_one_run_folder_the_second_is_refused_in_one_sentence(
    candies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = tmp_path / "runs" / "one"
    train = ["train", str(candies), "Praline", "--out", str(run), *OPTIONS]
    first = subprocess.Popen([sys.executable, "-c", STAYS, str(candies), str(run)], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout.readline() == "step 1\n"
        assert main(train) == 2
        assert capsys.readouterr() == (
            "",
            f"afrd: {run} is being trained already; wait until that training ends, or choose another folder\n",
        )
    finally:
        first.kill()
        first.communicate()
    assert main(train) == 0, capsys.readouterr().err  # what a killed process held is free
    assert not (run / LOCK_FILE).exists() and afrd.load_run(run).threshold() is not None


def test_a_lock_that_is_let_go_leaves_no_file_and_no_folder(tmp_path: Path):
    folder = tmp_path / "runs" / "one"
    with locked(folder):
        assert folder.is_dir()
        with pytest.raises(ValueError, match="one is being trained already"), locked(folder):
            pass
        assert (folder / LOCK_FILE).exists()  # the one who was refused has not taken it away
    assert not list(tmp_path.iterdir())
    with locked(folder):
        (folder / "config.json").write_text("{}")
    assert [path.name for path in folder.iterdir()] == ["config.json"]


def test_a_folder_with_nothing_but_the_lock_of_a_killed_process_is_trained_into(candies: Path, tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK_FILE).touch()
    run = afrd.fit(
        afrd.open_dataset(candies, "Praline"), "top", tmp_path / "run", size=64, method="memory", show_progress=False
    )
    assert run.threshold() is not None and not (tmp_path / "run" / LOCK_FILE).exists()
