"""`afrd correct`: says what would change, keeps it, lists it, undoes it; one sentence for what is wrong."""

import json
import shutil
from pathlib import Path

import pytest

from afrd.runs.correction_files import FOLDER
from tests.cli.test_commands import run


@pytest.fixture
def folder(tiny_runs: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_runs / "Praline" / "afrd", tmp_path / "run")
    return tmp_path / "run"


def test_from_a_wrong_verdict_to_a_correction_and_back(capsys, folder: Path, candies: Path):
    table = folder / "table.json"
    assert run(capsys, "evaluate", folder, "--json", table)[0] == 0
    before = json.loads(table.read_text())
    code, out, _ = run(capsys, "correct", folder, "01", "--place", "20,30", "--dry-run")
    assert code == 0 and "Threshold" in out and "Not counted: 01." in out and "nothing is kept" in out
    assert not (folder / FOLDER).exists()
    code, out, _ = run(capsys, "correct", folder, "01", "--place", "20,30", "--why", "a seam", "--who", "Ada")
    name = out.rpartition("--undo ")[2].split("`")[0]
    assert code == 0 and (folder / FOLDER / f"{name}.safetensors").is_file()
    code, out, _ = run(capsys, "correct", folder, "--list")
    assert code == 0 and name in out and "Ada  normal  Praline/test_public/01, x 20, y 30  a seam" in out
    code, out, _ = run(capsys, "evaluate", folder, "--json", table)
    after = json.loads(table.read_text())
    assert "1 correction; 1 corrected sample is not counted" in out and "corrected" in out and after["corrections"] == 1
    code, out, _ = run(capsys, "points", folder)
    assert code == 0 and "with 1 correction" in out and "2 good and 1 anomalous" in out
    pictures = sorted((candies / "Praline" / "test_public" / "data").glob("02_image_*.png"))
    assert "judged with 1 correction of the run" in run(capsys, "predict", folder, *pictures)[1]
    assert run(capsys, "correct", folder, "--undo", name)[0] == 0
    run(capsys, "evaluate", folder, "--json", table)
    assert json.loads(table.read_text()) == before
    code, out, _ = run(capsys, "correct", folder, "--list")
    assert code == 0 and "0 corrections" in out and f"undone, the latest first: {name}" in out
    code, out, _ = run(capsys, "correct", folder, "--restore", name)
    assert code == 0 and f"correction {name} holds again; it has 1 now" in out
    run(capsys, "evaluate", folder, "--json", table)
    assert json.loads(table.read_text()) == after


def test_a_missed_defect_is_searched_and_remembered(capsys, folder: Path):
    code, out, _ = run(capsys, "correct", folder, "02", "--place", "32,32", "--missed", "--why", "faint dent")
    assert code == 0 and "× threshold" in out and ("would find it" in out or "no threshold" in out)
    alike = out.partition("places of test_public that look like it")[2]
    assert all(f"  {sample} " in alike for sample in ("00", "01", "03")) and "  02 " not in alike
    assert "missed defect" in run(capsys, "correct", folder, "--list")[1]


WRONG = [
    (("{run}",), "name a SAMPLE and its place"),
    (("{run}", "01"), "name a SAMPLE and its place"),
    (("{run}", "01", "--whole", "--missed"), "a missed defect needs its place"),
    (("{run}", "77", "--whole"), "Praline/test_public has no sample '77'; it has 00 to 03"),
    (("{run}", "01", "--place", "20"), "'20' is not a place"),
    (("{run}", "01", "--place", "64,0"), "place x 64, y 0 is not in the picture"),
    (("{run}", "01", "--place", "1,1", "--split", "moon"), "has no split 'moon'"),
    (("{run}", "01", "--place", "1,1", "--whole"), "not allowed with"),
    (("{run}", "--undo", "../x"), "has no correction '../x': it has none"),
    (("{run}", "--list", "--undo", "x"), "not allowed with"),
    (("{run}", "--restore", "../x"), "has no undone correction '../x': there is none"),
    (("{tmp}", "--list"), "is not a run folder"),
    (("{single}", "01", "--whole"), "has no patch memory"),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRONG)
def test_what_is_wrong_is_one_sentence(capsys, folder: Path, tiny_runs: Path, tmp_path: Path, arguments, sentence):
    known = {"run": folder, "tmp": tmp_path, "single": tiny_runs / "Praline" / "single-top"}
    code, out, err = run(capsys, "correct", *(text.format(**known) for text in arguments))
    assert code == 2 and not out and sentence in err and err.count("\n") == 1
    assert not (folder / FOLDER).exists()


def test_a_broken_correction_can_be_removed(capsys, folder: Path):
    run(capsys, "correct", folder, "01", "--place", "20,30")
    (file,) = (folder / FOLDER).glob("*.safetensors")
    file.write_bytes(b"{}")
    code, _, err = run(capsys, "evaluate", folder)
    assert code == 2 and f"--undo {file.stem}" in err
    assert run(capsys, "correct", folder, "--undo", file.stem)[0] == 0
    assert run(capsys, "evaluate", folder)[0] == 0
