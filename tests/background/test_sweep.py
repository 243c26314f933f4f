"""A sweep: its plan, its trainings in other processes, what it keeps when one of them fails or dies, its report."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import afrd
from afrd.analysis.comparison.sweep_results import is_judged, load_results
from afrd.background.sweep import MAX_ATTEMPTS, run_sweep, train_cell
from afrd.background.sweep_estimate import estimate_sweep
from afrd.background.sweep_status import sweep_status
from afrd.cli.commands import main
from afrd.files import load_json, save_json
from afrd.metrics.ranking import METRICS
from afrd.runs.sweep_plan import Cell, SweepPlan, folder_name, load_sweep, make_sweep, read_sweep

QUICK = {"sizes": [64], "options": {"epochs": 1, "width": 16}, "method_options": {"afrd": {"memory": 32}}}


def quick_plan(candies: Path, folder: Path, **changes) -> SweepPlan:
    values = (
        {"data": str(candies), "out": str(folder), "categories": ["Praline"], "lights": ["top,box"]} | QUICK | changes
    )
    return make_sweep("test", **values)


@pytest.fixture(scope="module")
def swept(candies: Path, tmp_path_factory: pytest.TempPathFactory) -> SweepPlan:
    """A finished sweep of two seeds."""
    plan = quick_plan(candies, tmp_path_factory.mktemp("sweep"), seeds=[0, 1])
    summary = run_sweep(plan, workers=2)
    assert not summary.failed and len(summary.done) == 8
    return plan


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"categories": ["Toffee"]}, "no category 'Toffee'"),
        ({"methods": ["afrd", "patchcore"]}, "no method 'patchcore'"),
        ({"methods": []}, "methods"),
        ({"lights": ["dome"]}, "dome"),
        ({"options": {"epoch": 3}}, "no training option 'epoch'"),
        ({"options": {"memory": 3}}, "fits some methods only"),
        ({"options": {"seed": 3}}, "no training option 'seed'"),
        ({"options": {"epochs": 0}}, "epochs is 0"),
        ({"options": {"epochs": "many"}}, "epochs of afrd is 'many', but must be a whole number"),
        ({"options": {"epochs": 1.5}}, "epochs is 1.5, but must be a whole number"),
        ({"method_options": {"memory": {"fusion": "attentoin"}}}, "fusion 'attentoin' is not known"),
        ({"method_options": {"afrd": {"memory": -3}}}, "memory is -3"),
        ({"method_options": {"single": {"memory": 3}}}, "method 'single' has no training option 'memory'"),
        (
            {"methods": ["afrd-learned"], "teachers": ["resnet18"], "method_options": {}},
            "needs method 'afrd' and a memory",
        ),
        ({"methods": ["afrd"], "lights": ["top"]}, "name the method 'single'"),
        ({"teachers": ["resnet19"]}, "teacher 'resnet19' is not known"),
        ({"weights": {"resnet81": "x.pth"}}, "teacher 'resnet81' is not known"),
        ({"sizes": [-5]}, "size is -5"),
        ({"sizes": [64.5]}, "sizes.0 is 64.5, but must be a whole number"),
        ({"seeds": [-1]}, "seeds has -1"),
        ({"seeds": 0}, "seeds is 0, but must be a list of whole numbers"),
        ({"data": ""}, "data is empty"),
        ({"out": __file__}, "which is a file"),
        ({"method_options": {"single": {"width": 7}}}, "width is 7"),
        ({"method_options": {"solo": {}}}, "no method 'solo'"),
        ({"seeds": "0"}, "seeds is '0', but must be a list of whole numbers"),
        ({"seeds": [True]}, "seeds"),
        ({"colour": "red"}, "there is no key 'colour'"),
    ],
)
def test_an_impossible_plan_is_refused_in_one_sentence(candies: Path, tmp_path: Path, changes: dict, sentence: str):
    with pytest.raises(ValueError, match=sentence) as error:
        quick_plan(candies, tmp_path / "sweep", **changes).cells()
    assert "\n" not in str(error.value)
    assert not (tmp_path / "sweep").exists()


def test_a_sweep_inside_its_data_set_is_refused(candies: Path):
    with pytest.raises(ValueError, match="inside the data set"):
        quick_plan(candies, candies / "sweep").cells()


def test_options_of_the_command_line_are_a_plan_too(candies: Path, tmp_path: Path, capsys):
    flags = ["--data", str(candies), "--out", str(tmp_path / "sweep"), "--sizes", "64", "--epochs", "1"]
    flags += ["--methods", "memory", "--lights", "all", "--lights", "top,box", "--seeds", "0, 1", "--workers", "1"]
    assert main(["sweep", *flags]) == 0
    plan = read_sweep(tmp_path / "sweep")
    assert (plan.seeds, plan.lights, plan.options) == ([0, 1], ["all", "top,box"], {"epochs": 1})
    assert "4 cells are done" in capsys.readouterr().out
    assert main(["sweep", *flags, "--seeds", "0,x"]) == 2
    assert "must be whole numbers joined by commas" in capsys.readouterr().err
    assert main(["sweep", "--data", str(candies)]) == 2
    assert "the command line: 'out' is missing" in capsys.readouterr().err


@pytest.mark.parametrize("text", [None, "data = ", "data = 3\nout = 'x'", b"\xff\xfe"])
def test_a_broken_plan_file_is_named(tmp_path: Path, text, capsys):
    file = tmp_path / "plan.toml"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"plan\.toml"):
        load_sweep(file)
    assert main(["sweep", str(file)]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_plan_has_every_combination_once(candies: Path, tmp_path: Path):
    plan = quick_plan(candies, tmp_path, lights=["all", "top,box", "box,top"], seeds=[0, 1], sizes=[64, 96])
    cells, groups = plan.cells(), plan.groups()
    lights = afrd.open_dataset(candies, "Praline").lights
    assert len(groups) == 2 * 2 * 2  # subsets, seeds, sizes; the third subset is the second
    assert len(cells) == 2 * 2 * (2 * 2 + len(lights))  # afrd and memory per subset, a single run per light
    assert len({cell.folder for cell in cells}) == len(cells)
    assert all(Cell.from_dict(cell.as_dict()) == cell for cell in cells)


@pytest.mark.parametrize("name", ["..", ".", "a/b", "x" * 300, "..\\up", ".hidden"])
def test_names_of_folders_stay_inside_the_sweep(name: str):
    folder = folder_name(name)
    assert Path(folder).name == folder and len(folder) < 200 and folder not in (".", "..")


def test_a_sweep_gives_what_single_calls_give(swept: SweepPlan, candies: Path, tmp_path: Path):
    data = afrd.open_dataset(candies, "Praline")
    run = afrd.fit(
        data,
        "top,box",
        tmp_path / "run",
        size=64,
        epochs=1,
        memory=32,
        width=16,
        seed=1,
        fusion="attention",
        device="cpu",
        show_progress=False,
    )
    expected = run.evaluate(data[data.test_split]).metrics()
    result = next(r for r in load_results(Path(swept.out), swept.groups()) if r.group.seed == 1)
    assert result.methods[0] == "AFRD, attention over evidence"
    assert result.metrics[0] == pytest.approx([expected[m] for m in METRICS], abs=1e-4)


def test_a_finished_sweep_does_nothing_when_it_is_called_again(swept: SweepPlan):
    out = Path(swept.out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    lines: list[str] = []
    summary = run_sweep(swept, workers=1, progress=lines.append)
    assert lines == ["8 cells: 8 done, 0 to train"] and not summary.failed
    assert times == {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}


def test_a_run_of_other_options_is_not_taken_for_this_one(swept: SweepPlan, tmp_path: Path):
    folder = shutil.copytree(swept.out, tmp_path / "copy")
    plan = swept.model_copy(update={"out": str(folder), "options": swept.options | {"epochs": 2}})
    summary = run_sweep(plan, workers=1)
    assert any("epochs 1, not 2" in error for error in summary.failed.values())


def test_results_are_outdated_when_a_test_picture_or_a_label_is_another_one(
    swept: SweepPlan, candies: Path, tmp_path: Path
):
    group, out = swept.groups()[0], Path(swept.out)
    for name in ("copied", "pictures", "labels"):
        shutil.copytree(candies, tmp_path / name)
    dataset = afrd.open_dataset(tmp_path / "pictures", group.category)["test_public"]
    shutil.copy(dataset.picture(1, "top"), dataset.picture(0, "top"))
    folder = tmp_path / "labels" / group.category / "test_public" / "data"
    text = (folder / f"{dataset.names[dataset.anomalous.index(True)]}_metadata.yaml").read_text()
    (folder / f"{dataset.names[dataset.anomalous.index(False)]}_metadata.yaml").write_text(text)
    judged = {name: is_judged(group, out, tmp_path / name) for name in ("copied", "gone", "pictures", "labels")}
    assert judged == {"copied": True, "gone": True, "pictures": False, "labels": False}


def test_another_data_set_needs_another_folder(swept: SweepPlan, candies: Path, tmp_path: Path):
    other = shutil.copytree(candies, tmp_path / "other")
    with pytest.raises(ValueError, match="holds a sweep on"):
        run_sweep(swept.model_copy(update={"data": str(other)}), workers=1)


def test_a_failing_cell_is_listed_and_tried_again_only_when_asked_for(candies: Path, tmp_path: Path, capsys):
    plan_file, weights = tmp_path / "plan.toml", tmp_path / "weights.pth"
    plan_file.write_text(
        f"data = '{candies}'\nout = '{tmp_path / 'sweep'}'\ncategories = ['Praline']\nlights = ['top']\n"
        f"methods = ['single']\nteachers = ['resnet18', 'efficientnet_lite0']\nsizes = [64]\n"
        f"options = {{ epochs = 1, width = 16 }}\nweights = {{ resnet18 = '{weights}' }}\n"
    )
    assert main(["sweep", str(plan_file), "--workers", "1"]) == 1
    first = capsys.readouterr()
    assert "resnet18" in first.err and str(weights) in first.err and "1 cells are done" in first.out
    plan = read_sweep(tmp_path / "sweep")
    states = {one.name.split("/")[1]: one.state for one in sweep_status(Path(plan.out), plan.cells())}
    assert states == {"resnet18-64": "failed", "efficientnet_lite0-64": "done"}
    assert main(["sweep", str(tmp_path / "sweep"), "--status"]) == 0
    assert "1 done, 0 running, 0 waiting, 1 failed" in capsys.readouterr().out
    assert main(["sweep", str(plan_file), "--workers", "1"]) == 1
    assert "1 done, 0 to train" in capsys.readouterr().out
    assert main(["sweep", str(plan_file), "--workers", "1", "--retry"]) == 1
    assert "1 done, 1 to train" in capsys.readouterr().out


def test_a_killed_worker_does_not_stop_the_sweep(candies: Path, tmp_path: Path):
    plan = quick_plan(candies, tmp_path, methods=["single"], options={"epochs": 60, "width": 16})
    cells, killed = plan.cells(), []

    def kill_the_first() -> None:
        while not killed:
            for cell in cells:
                file = tmp_path / f"{cell.name}.json"
                note = load_json(file) if file.exists() else {}
                if note.get("state") == "running" and note.get("step"):
                    os.kill(note["pid"], signal.SIGKILL)
                    killed.append(cell.name)
                    return
            time.sleep(0.02)

    thread = threading.Thread(target=kill_the_first, daemon=True)
    thread.start()
    summary = run_sweep(plan, workers=2)
    assert killed and not summary.failed and len(summary.done) == 2 < MAX_ATTEMPTS


def test_a_worker_without_the_folder_sends_the_run_back(swept: SweepPlan, tmp_path: Path):
    cell = swept.cells()[0]
    result = train_cell(cell.as_dict(), swept.data, str(tmp_path / "not shared"))
    assert result["state"] == "done" and not (tmp_path / "not shared").exists()
    run = Path(swept.out) / cell.folder
    assert result["files"]["model.safetensors"] == (run / "model.safetensors").read_bytes()  # the same, bit for bit


def test_a_running_cell_that_falls_silent_waits_again(candies: Path, tmp_path: Path):
    plan = quick_plan(candies, tmp_path)
    cell = plan.cells()[0]
    file = tmp_path / f"{cell.name}.json"
    save_json(file, {"state": "running", "step": 3, "steps": 9, "updated": time.time()})
    assert sweep_status(tmp_path, [cell])[0].state == "running"
    save_json(file, {"state": "running", "step": 3, "steps": 9, "updated": time.time() - 1000})
    assert sweep_status(tmp_path, [cell])[0].state == "waiting"


def test_the_estimate_counts_what_is_left(swept: SweepPlan, tmp_path: Path, capsys):
    estimate = estimate_sweep(swept.model_copy(update={"seeds": [0, 1, 2]}), workers=1)
    assert (estimate.cells, estimate.missing) == (12, 4)
    assert "8 finished cells and 0 short" in estimate.measured and "2 evaluated groups" in estimate.measured
    assert 0 < estimate.hours < 1
    fresh = estimate_sweep(swept.model_copy(update={"out": str(tmp_path / "new")}), workers=1)
    assert fresh.missing == 8 and "0 finished cells and 3 short" in fresh.measured
    assert not (tmp_path / "new").exists()


def test_the_report_has_the_figures_and_stands_alone(swept: SweepPlan, tmp_path: Path, capsys):
    assert main(["report", swept.out, "--out", str(tmp_path)]) == 0
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert set(scores.seed) == {0, 1} and {"AFRD, attention over evidence", "single-light RD, box"} <= set(
        scores.method
    )
    results = load_results(Path(swept.out), swept.groups())
    column = list(METRICS).index("aupro")
    mean = np.mean([result.metrics[0, column] for result in results])
    for name in ("report.md", "report.tex", "report.html"):
        text = (tmp_path / name).read_text()
        assert f"{mean:.3f}" in text and "single-light RDs, late max" in text
    page = (tmp_path / "report.html").read_text()
    assert "http://" not in page and "https://" not in page and "<script" not in page


@pytest.mark.parametrize("command", [["report"], ["sweep", "--status"]])
def test_a_folder_that_is_no_sweep_is_refused(tmp_path: Path, command: list[str], capsys):
    assert main([command[0], str(tmp_path), *command[1:]]) == 2
    assert "no folder of a sweep" in capsys.readouterr().err


def test_a_cluster_without_dask_says_what_to_install(candies: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ModuleNotFoundError, match=r"afrd\[cluster\]"):
        run_sweep(quick_plan(candies, tmp_path), cluster="tcp://127.0.0.1:1")
