"""Every broken input is handled, or refused in one sentence that names the file; no command leaves half a run."""

import functools
import importlib
import re
import shutil
from pathlib import Path

import pytest
import torch

import afrd.model.teacher
from afrd.cli.commands import main
from tests.cli.broken_inputs import CANDY, PICTURES, RIG, RUNS, Case, sound_candy, sound_rig, tables

DOCS = Path(__file__).parents[2] / "docs" / "reliability.md"


@pytest.fixture(scope="module", autouse=True)
def one_teacher():
    """The teacher is loaded once, for its weights are none of the broken inputs; on one thread, for all is tiny."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    loaded = functools.cache(afrd.model.teacher.load_teacher)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("afrd.runs.plan", "afrd.model.teacher"):
            patch.setattr(importlib.import_module(module), "load_teacher", loaded)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sound data sets `rig` and `candy`, and a run trained on each."""
    root = tmp_path_factory.mktemp("sound")
    sound_rig(root / "rig")
    sound_candy(root / "candy")
    for name in ("rig", "candy"):
        train = ["train", str(root / name), "part", "--out", str(root / f"run of {name}")]
        assert main([*train, "--method", "memory", "--size", "32"]) == 0
    return root


def answer(capsys: pytest.CaptureFixture, folders: dict[str, Path], *argv: object) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a command, with names in the place of folders."""
    capsys.readouterr()
    status = main([str(part) for part in argv])
    texts = list(capsys.readouterr())
    for name, folder in folders.items():
        texts = [text.replace(str(folder), name) for text in texts]
    out, err = texts
    assert status in (0, 2), (status, err)
    assert "Traceback" not in err and err.count("\n") <= 1, err
    assert (status == 2) is bool(err), err
    return status, out, err.removeprefix("afrd: ").strip()


def checked(capsys, data: Path) -> str:
    _status, out, err = answer(capsys, {"DATA": data}, "check", data)
    findings = [line for line in out.splitlines() if not re.match(r"part: (train|test|val|\w+ \d)|  ", line)]
    return "\n".join(findings) if findings else err


def trained(capsys, data: Path, run: Path) -> str:
    argv = ("train", data, "part", "--out", run, "--method", "memory", "--size", 32)
    status, out, err = answer(capsys, {"DATA": data, "RUN": run}, *argv)
    assert (run / "model.safetensors").is_file() is (status == 0)
    assert run.exists() is (status == 0)
    return err or f"a run, {'without' if 'threshold none' in out else 'with'} a threshold"


def predicted(capsys, run: Path, pictures: Path, given: list[str]) -> str:
    _status, out, err = answer(capsys, {"PICTURES": pictures, "RUN": run}, "predict", run, *given)
    lines = out.splitlines()
    notes = list(lines[: next((i for i, line in enumerate(lines) if line.startswith("score ")), 0)])
    return err or "\n".join([*(line for line in notes if not re.match(r"(left|top): ", line)), "a verdict"])


def evaluated(capsys, run: Path, data: Path) -> str:
    before = sorted(run.rglob("*")) if run.exists() else []
    _status, _out, err = answer(capsys, {"RUN": run, "DATA": data}, "evaluate", run, "--data", data)
    if err:
        assert before == (sorted(run.rglob("*")) if run.exists() else [])
    return err or "metrics"


def titled(cases: list[Case]) -> dict:
    return {"argvalues": cases, "ids": [case.title for case in cases]}


@pytest.mark.parametrize("case", **titled(RIG + CANDY))
def test_broken_data(capsys, sound: Path, tmp_path: Path, case: Case):
    kind = "rig" if case in RIG else "candy"
    data = shutil.copytree(sound / kind, tmp_path / "data")
    case.make(data)
    answers = {
        "check": checked(capsys, data),
        "train": trained(capsys, data, tmp_path / "run"),
        "evaluate": evaluated(capsys, sound / f"run of {kind}", data),
    }
    assert answers == case.answers


@pytest.mark.parametrize("case", **titled(PICTURES))
def test_broken_pictures_of_a_sample(capsys, sound: Path, tmp_path: Path, case: Case):
    pictures = shutil.copytree(sound / "rig/part/test/good/1", tmp_path / "pictures")
    given = case.make(pictures)
    assert isinstance(given, list)
    assert {"predict": predicted(capsys, sound / "run of rig", pictures, given)} == case.answers


@pytest.mark.parametrize("case", **titled(RUNS))
def test_broken_runs(capsys, sound: Path, tmp_path: Path, case: Case):
    run = shutil.copytree(sound / "run of rig", tmp_path / "run")
    case.make(run)
    assert {"evaluate": evaluated(capsys, run, sound / "rig")} == case.answers


def test_there_are_enough_cases_each_with_its_own_name():
    every = [case.title for case in RIG + CANDY + PICTURES + RUNS]
    assert len(set(every)) == len(every) >= 60


def test_the_documentation_has_these_tables():
    assert tables() in DOCS.read_text(encoding="utf-8")
