"""A sweep: its plan, its trainings in other processes, what it keeps when one of them fails or dies, its report."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from joblib.externals.loky.process_executor import TerminatedWorkerError

import afrd
from afrd.analysis.comparison.sweep_results import is_judged, judge_group, load_results
from afrd.analysis.reports.sweep import _latex_table
from afrd.background import sweep
from afrd.background.sweep import MAX_ATTEMPTS, run_sweep, train_cell
from afrd.background.sweep_estimate import estimate_sweep
from afrd.background.sweep_status import sweep_status
from afrd.cli.commands import main
from afrd.files import load_json, save_json
from afrd.metrics.words import METRICS
from afrd.runs.lock import held
from afrd.runs.sweep_plan import PLAN_FILE, Cell, SweepPlan, folder_name, load_sweep, make_sweep, read_sweep

QUICK = {"sizes": [64], "options": {"epochs": 1, "width": 16}, "method_options": {"afrd": {"memory": 32}}}


def quick_plan(candies: Path, folder: Path, **changes) -> SweepPlan:
    values = {"data": str(candies), "out": str(folder), "categories": ["Praline"], "lights": ["top,box"]} | QUICK
    if "afrd" not in changes.get("methods", ["afrd"]):
        del values["method_options"]
    return make_sweep("test", **values | changes)


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
        ({"weights": {"resnet18": "x.pth"}}, r"weights has 'resnet18', which is not among the teachers \(efficient"),
        ({"methods": ["memory"], "method_options": {"single": {}}}, r"'single', which is not among the methods \(mem"),
        ({"seeds": [0, 1, 0]}, "seeds has 0 twice"),
        ({"sizes": [64, 64]}, "sizes has 64 twice"),
        ({"methods": ["single", "single"]}, "methods has 'single' twice"),
        ({"categories": ["Praline", "Praline"]}, "categories has 'Praline' twice"),
        ({"lights": ["top,box", "box,top"]}, "lights has top, box twice, as 'top,box' and as 'box,top'"),
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
    flags += ["--methods", "memory", "--lights", "top", "--lights", "top,box", "--seeds", "0, 1", "--workers", "1"]
    assert main(["sweep", *flags]) == 0
    plan = read_sweep(tmp_path / "sweep")
    assert (plan.seeds, plan.lights, plan.options) == ([0, 1], ["top", "top,box"], {"epochs": 1})
    file = tmp_path / "plan.toml"
    file.write_text(
        "data = 'a'\nout = 'b'\nweights = { resnet18 = 'x' }\nteachers = ['resnet18', 'efficientnet_lite0']"
    )
    assert load_sweep(file).weights and not load_sweep(file, teachers=["efficientnet_lite0"]).weights
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
    plan = quick_plan(candies, tmp_path, lights=["all", "top,box"], seeds=[0, 1], sizes=[64, 96])
    cells, groups = plan.cells(), plan.groups()
    lights = afrd.open_dataset(candies, "Praline").lights
    assert len(groups) == 2 * 2 * 2  # subsets, seeds, sizes
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


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"options": {"epochs": 2, "width": 16}}, "6 runs .*epochs 1, not 2"),
        ({"options": {"width": 16}}, "epochs 1, not [0-9]+"),
        ({"options": {"epochs": 1, "width": 16, "batch": 3}}, "8 runs .*batch 8, not 3"),
        ({"options": {"epochs": 1}}, "width 16, not 64"),
        ({"method_options": {"afrd": {"memory": 8}}}, "2 runs .*memory 32, not 8"),
        ({"method_options": {"afrd": {"memory": 32}, "memory": {"fusion": "max"}}}, "fusion 'attention', not 'max'"),
    ],
)
def test_a_plan_with_other_options_is_refused_before_anything_is_trained_or_written(
    swept: SweepPlan, changes: dict, what: str
):
    plan = swept.model_copy(update=changes | {"seeds": [2, 0, 1]})
    before = contents(Path(swept.out))
    for call in (run_sweep, estimate_sweep):
        with pytest.raises(ValueError, match=f"{what}.*nothing was trained; give the plan another folder") as error:
            call(plan)
        assert "\n" not in str(error.value)
    assert contents(Path(swept.out)) == before


def contents(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


def test_the_report_leaves_out_what_was_trained_otherwise_and_says_so(swept: SweepPlan, tmp_path: Path):
    folder = shutil.copytree(swept.out, tmp_path / "copy")
    changed = swept.model_dump() | {"method_options": {"afrd": {"memory": 32, "epochs": 7}}}
    save_json(folder / PLAN_FILE, changed)
    assert main(["report", str(folder)]) == 0
    text = (folder / "report" / "report.md").read_text()
    assert "otherwise than the plan says: Praline/efficientnet_lite0-64/seed0/afrd-top+box: epochs 1, not 7" in text
    assert "| AFRD, attention" not in text and "| patch memory, attention" in text
    save_json(folder / PLAN_FILE, swept.model_dump())
    (removed,) = folder.glob("*/*/seed1/memory*/")
    shutil.rmtree(removed)
    plan = read_sweep(folder)
    judge_group(plan.groups()[1], swept.data, folder, seed=0)
    assert main(["report", str(folder)]) == 0
    text = (folder / "report" / "report.md").read_text()
    assert f"failed: 1 of 8 runs, {removed.relative_to(folder)}." in text and "lacks them: patch memory, att" in text


def test_broken_runs_are_listed_and_trained_anew_by_retry(swept: SweepPlan, tmp_path: Path):
    out = shutil.copytree(swept.out, tmp_path / "copy")
    plan = read_sweep(out)
    damages = {
        "seed0/afrd-top+box": lambda run: (run / "model.safetensors").write_bytes(b"no tensors"),
        "seed0/single-top": lambda run: cut(run / "calibration.safetensors"),
        "seed1/memory-top+box": lambda run: (run / "config.json").write_text("{"),
        "seed1/single-box": lambda run: (run / "config.json").unlink(),
    }
    (kept,) = out.glob("*/*/seed1/single-box")
    (kept / "region.png").write_bytes(b"drawn by a person")
    for name, damage in damages.items():
        damage(next(out.glob(f"*/*/{name}")))
    statuses = {status.name: status for status in sweep_status(out, plan.cells())}
    failed = {name for name, status in statuses.items() if status.state == "failed"}
    assert {name.split("/", 2)[2] for name in failed} == set(damages)
    assert all(str(out / name) in statuses[name].error for name in failed)
    summary = run_sweep(plan, workers=2)
    assert set(summary.failed) == failed and len(summary.done) == 4
    (kept / "region.png").unlink()
    summary = run_sweep(plan, workers=2, retry=True)
    assert not summary.failed and not summary.not_evaluated and len(summary.done) == 8
    for ours, former in zip(
        load_results(out, plan.groups()), load_results(Path(swept.out), swept.groups()), strict=True
    ):
        assert ours.methods == former.methods and np.array_equal(ours.metrics, former.metrics)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-10])


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
    assert "resnet18" in first.err and str(weights) in first.err and "1 cell is done" in first.out
    assert "with --retry trains failed cells" in first.err and first.out.startswith("2 cells: 0 done, 2 to train\n")
    plan = read_sweep(tmp_path / "sweep")
    states = {one.name.split("/")[1]: one.state for one in sweep_status(Path(plan.out), plan.cells())}
    assert states == {"resnet18-64": "failed", "efficientnet_lite0-64": "done"}
    assert main(["sweep", str(tmp_path / "sweep"), "--status"]) == 0
    assert "1 done, 0 running, 0 waiting, 1 failed" in capsys.readouterr().out
    assert main(["sweep", str(plan_file), "--workers", "1"]) == 1
    assert "1 done, 0 to train" in capsys.readouterr().out
    assert main(["sweep", str(plan_file), "--workers", "1", "--retry"]) == 1
    assert "1 done, 1 to train" in capsys.readouterr().out
    torch.save(torchvision.models.resnet18().state_dict(), weights)  # the cause is mended
    assert main(["sweep", str(plan_file), "--workers", "1", "--retry"]) == 0
    assert "2 cells are done" in capsys.readouterr().out


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


def test_a_cell_is_running_while_its_process_lives(candies: Path, tmp_path: Path):
    cell = quick_plan(candies, tmp_path).cells()[0]
    note = {"state": "running", "step": 3, "steps": 9, "host": socket.gethostname(), "updated": time.time()}

    def state(**changes) -> str:
        save_json(tmp_path / f"{cell.name}.json", note | changes)
        return sweep_status(tmp_path, [cell])[0].state

    assert state() == "waiting"  # its process has ended
    with held(tmp_path / f"{cell.name}.lock", 1, "taken"):
        assert state() == state(updated=time.time() - 1000) == "running"
    assert state() == "waiting"
    assert state(host="elsewhere") == "running"  # where a lock may not be seen
    assert state(host="elsewhere", updated=time.time() - 1000) == "waiting"


def test_a_cell_that_an_earlier_process_is_at_is_waited_for(swept: SweepPlan, tmp_path: Path):
    cell, folder = swept.cells()[0], tmp_path / "sweep"
    folder.mkdir()
    save_json(folder / PLAN_FILE, swept.model_dump())
    (folder / cell.name).parent.mkdir(parents=True)
    results: list[dict] = []
    with held(folder / f"{cell.name}.lock", 1, "taken"):
        thread = threading.Thread(target=lambda: results.append(train_cell(cell.as_dict(), swept.data, str(folder))))
        thread.start()
        shutil.copytree(Path(swept.out) / cell.folder, folder / cell.folder)  # as the earlier process would leave it
        times = contents(folder / cell.folder)
    thread.join()
    assert results[0]["state"] == "done" and contents(folder / cell.folder) == times


def test_a_cell_that_ends_every_worker_fails_alone_also_where_workers_leave_no_note(
    candies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    plan = quick_plan(candies, tmp_path, methods=["single"], lights=["all"])
    cells = plan.cells()
    bad = cells[2].name

    def parallel(tasks):
        for _, (values, *_), _ in tasks:
            if values["folder"] == bad:
                raise TerminatedWorkerError("killed")
            yield {"name": values["folder"], "state": "done"}

    monkeypatch.setattr(sweep, "_executor", lambda *_: nullcontext(parallel))
    results = {result["name"]: result["state"] for result in sweep._trained(plan, cells, 1)}
    assert results == {cell.name: "failed" if cell.name == bad else "done" for cell in cells}


def test_only_failed_cells_are_said_to_be_mended_by_retry(candies: Path, tmp_path: Path, monkeypatch, capsys):
    summary = sweep.SweepSummary(("one",), {}, {"Praline/judged": "a picture is broken"})
    monkeypatch.setattr("afrd.background.run_sweep", lambda *_, **__: summary)
    assert main(["sweep", "--data", str(candies), "--out", str(tmp_path / "sweep")]) == 1
    printed = capsys.readouterr()
    assert "a picture is broken" in printed.err and "--retry" not in printed.err and "1 cell is done" in printed.out


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


def test_a_report_can_be_made_from_any_current_folder_and_names_no_folder_of_this_machine(
    swept: SweepPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(Path(swept.data).parent)
    out = shutil.copytree(swept.out, tmp_path / "copy")
    run_sweep(swept.model_copy(update={"data": Path(swept.data).name, "out": str(out)}), workers=1)
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(out)]) == 0
    assert str(Path(swept.data).parent) not in (out / "report" / "report.md").read_text()


def test_any_name_can_stand_in_a_table_of_latex(tmp_path: Path):
    name = r"50% & more_#1 {x} $y ~z ^w \v"
    table = _latex_table(pd.DataFrame({"Method": [name], "Mean": ["0.5"]}), name, {"Mean": name})
    plain = r"50\% \& more\_\#1 \{x\} \$y \textasciitilde{}z \textasciicircum{}w \textbackslash{}v"
    assert rf"\caption{{{plain}}}" in table and r"\textbf{0.5}" in table
