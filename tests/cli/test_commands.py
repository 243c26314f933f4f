"""The command line, as people and scripts use it: exit codes, tables, JSON, one sentence for what is wrong."""

import errno
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from afrd.cli.commands import main
from afrd.metrics.predictions import Predictions
from afrd.metrics.words import METRICS


def run(capsys, *argv: object) -> tuple[int, str, str]:
    try:
        code = main([str(a) for a in argv])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def refuse(*_: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system", "runs")


def test_from_rendering_to_a_verdict(capsys, tmp_path: Path):
    root, folder, table = tmp_path / "data", tmp_path / "run", tmp_path / "table.json"
    render = ("render", root, "--category", "Praline", "--size", 64, "--train", 4, "--val", 2, "--test", 4)
    assert run(capsys, *render)[0] == 0
    code, out, _ = run(capsys, "check", root)
    assert code == 0 and "Praline: train 4" in out and "no problems" in out
    code, out, _ = run(
        capsys, "train", root, "Praline", "--out", folder, "--lights", "1,4,box", "--size", 64, "--epochs", 1
    )
    assert code == 0 and "1 epochs on 4 samples" in out and "threshold" in out
    code, out, _ = run(capsys, "evaluate", folder, "--json", table)
    assert code == 0 and all(metric in out for metric in METRICS)
    content = json.loads(table.read_text())
    assert content["lights"] == ["bottom", "left", "box"] and content["samples"] == 4
    assert all(0 <= content[metric] <= 1 for metric in METRICS)
    assert (folder / "predictions" / "test_public" / "all" / "about.json").exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Predictions, "save", refuse)
        code, out, err = run(capsys, "evaluate", folder, "--lights", "left", "--json", table)
    assert json.loads(table.read_text())["lights"] == ["left"] and code == 0 and METRICS[0] in out
    assert err == "afrd: runs: read-only file system; the predictions are not kept\n"

    pictures = [root / "Praline" / "test_public" / "data" / f"01_image_{i}.png" for i in (1, 4, 5)]
    code, out, _ = run(capsys, "predict", folder, *pictures, "--json", table)
    seen = json.loads(table.read_text())
    assert code == 0 and seen["verdict"] in ("good", "anomalous") and f"score {seen['score']:.4g}" in out
    assert sum(seen["attention"].values()) == pytest.approx(1, abs=1e-4)
    assert sum(seen["peak_attention"].values()) == pytest.approx(1, abs=1e-4)
    assert run(capsys, "predict", folder, f"box={pictures[2]}", f"bottom={pictures[0]}")[0] == 0


def test_check_lists_files_and_fails(capsys, candies, tmp_path: Path):
    shutil.copytree(candies / "Praline", tmp_path / "Praline")
    (tmp_path / "Praline" / "train" / "data" / "002_image_3.png").unlink()
    code, out, err = run(capsys, "check", tmp_path)
    assert code == 2 and "002_image_3" in out and "1 problem" in err


RESNET = ("--teacher", "resnet18", "--weights", "{tmp}/w.pth")
WRONG = [
    (("train", "{candies}", "Praline", "--out", "{tmp}/r", "--lights", "dome2"), "light 'dome2' is not known"),
    (("train", "{candies}", "Pralin", "--out", "{tmp}/r"), "there is no category 'Pralin'"),
    (("train", "{tmp}/nowhere", "Praline", "--out", "{tmp}/r"), "nowhere"),
    (("train", "{candies}", "Praline", "--out", "{tmp}/r", "--fusion", "sum"), "fusion 'sum' is not known"),
    (("train", "{candies}", "Praline", "--out", "{tmp}/r", "--epochs", "many"), "invalid int value: 'many'"),
    (
        ("train", "{candies}", "Praline", "--out", "{tmp}/r", "--teacher", "resnet18", "--weights", "{tmp}/w.pth"),
        "w.pth",
    ),
    (("train", "{candies}", "Praline"), "--out"),
    (("evaluate", "{tmp}"), "is not a run folder"),
    (("evaluate", "{run}", "--split", "test_private"), "has no split 'test_private'"),
    (("evaluate", "{run}", "--data", "{tmp}"), "{tmp}"),
    (("predict", "{run}", "{tmp}/none.png"), "1 picture does not fit the run's 6 lights"),
    (("predict", "{run}", "top={tmp}/none.png"), "none.png"),
    (("render", "{tmp}/out", "--category", "Pretzel"), "'Pretzel'"),
    (("render", "{tmp}/out", "--size", "4"), "4"),
    (("polish",), "polish"),
    ((), "COMMAND"),
]


@pytest.mark.parametrize(("argv", "sentence"), WRONG)
def test_wrong_input_is_answered_in_one_sentence(capsys, candies, tiny_runs, tmp_path: Path, argv, sentence):
    names = {"candies": candies, "tmp": tmp_path, "run": tiny_runs / "Praline" / "afrd"}
    code, _, err = run(capsys, *(a.format(**names) for a in argv))
    assert code == 2 and sentence.format(**names) in err
    assert err.count("\n") == 1 and "Traceback" not in err
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_training_keeps_the_checkpoint_and_the_same_command_goes_on(candies, tmp_path: Path, by):
    train = ["train", str(candies), "Praline", "--out", str(tmp_path / "run"), "--lights", "top", "--size", "64"]
    start = (
        "import signal, sys, afrd.runs.training as t; t.CHECKPOINT_SECONDS = 0; from afrd.cli.commands import main;"
        "signal.signal(signal.SIGINT, signal.default_int_handler);"  # a shell's background job would not heed Ctrl-C
        "sys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", start, *train, "--epochs", "100000"], stderr=subprocess.PIPE, text=True
    )
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    while not checkpoint.exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(by)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and err == "afrd: stopped; the same command continues from what is done\n"
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoint.safetensors",
        "config.json",
        "log.txt",
    ]


def test_a_split_without_truth_has_verdicts_and_no_metrics(capsys, candies, tiny_runs, tmp_path: Path):
    shutil.copytree(candies / "Praline" / "test_public" / "data", tmp_path / "Praline" / "test_private" / "data")
    for file in (tmp_path / "Praline").rglob("*"):
        if file.is_file() and "_image_" not in file.name:
            file.unlink()
    run_folder = shutil.copytree(tiny_runs / "Praline" / "afrd", tmp_path / "run")
    argv = ("evaluate", run_folder, "--data", tmp_path, "--split", "test_private", "--json", tmp_path / "t.json")
    code, out, _ = run(capsys, *argv)
    assert code == 0 and "unknown" in out
    assert json.loads((tmp_path / "t.json").read_text())["image_auroc"] is None


def test_weights_that_cannot_be_had_are_no_wrong_input(capsys, candies, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_, **__: (_ for _ in ()).throw(OSError("offline")))
    argv = ("train", candies, "Praline", "--out", tmp_path / "r", "--teacher", "wide_resnet50_2")
    code, _, err = run(capsys, *argv)
    assert code == 1 and "--weights" in err and err.count("\n") == 1 and not (tmp_path / "r").exists()


def test_the_command_is_installed_and_starts_without_torch():
    script = "import sys; from afrd.cli.commands import parser; parser(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "afrd.cli.commands", "--help"], capture_output=True, text=True, check=True
    )
    assert all(command in done.stdout for command in ("render", "check", "train", "evaluate", "predict", "app"))


def test_pictures_named_as_in_eyecandies_go_by_number_in_any_order(capsys, candies, tiny_runs):
    folder = candies / "Praline" / "test_public" / "data"
    pictures = [folder / f"02_image_{n}.png" for n in (5, 4, 3, 2, 1, 0)]
    forwards, backwards = (
        run(capsys, "predict", tiny_runs / "Praline" / "afrd", *p) for p in (pictures[::-1], pictures)
    )
    assert forwards[0] == backwards[0] == 0
    assert f"box: {folder / '02_image_5.png'}" in backwards[1]
    assert forwards[1].split("score ")[1] == backwards[1].split("score ")[1]
