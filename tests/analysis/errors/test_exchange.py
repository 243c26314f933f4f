"""Notes of a folder as JSON and back: nothing is overwritten, and the command line says what it did."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

import afrd.data
import afrd.runs
from afrd.analysis.errors.exchange import copied, exported, imported, undo_latest
from afrd.analysis.errors.notes import MAX_NOTE_LENGTH, Note, Notes
from afrd.cli.commands import main
from afrd.metrics import OperatingPoint

EMPTY = {"kind": "notes of AFRD", "format": 1, "runs": {}}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with notes on two runs, one of them of an earlier version."""
    folder = tmp_path / "runs"
    (folder / "a").mkdir(parents=True)
    (folder / "b").mkdir()
    Notes(folder / "a").save("test", "01", Note("dent", ("rim",)))
    Notes(folder / "a").save("val", "scratch/02", Note(tags=("x",)))
    earlier = {"format": 1, "splits": {"test": {"01": {"text": "earlier", "tags": []}}}}
    (folder / "b" / "notes.json").write_text(json.dumps(earlier))
    return folder


def copy_of(tmp_path: Path, content: object) -> Path:
    other = tmp_path / "other"
    (other / "a").mkdir(parents=True, exist_ok=True)
    imported(other, content)
    return other


def test_what_is_exported_is_imported_elsewhere(runs: Path, tmp_path: Path):
    content = exported(runs)
    assert content["runs"]["b"] == {"test": {"01": {"text": "earlier", "tags": []}}}
    other = copy_of(tmp_path, json.loads(json.dumps(content)))
    assert exported(other) == content
    assert Notes(other / "a").of("test") == {"01": Note("dent", ("rim",))}


def test_an_import_keeps_what_is_there_and_again_brings_nothing(runs: Path, tmp_path: Path):
    content = exported(runs)
    Notes(runs / "a").save("test", "01", Note("a stain", ("mine",)))
    result = imported(runs, content)
    assert [key.name for key in result.merged] == ["01"] and len(result.same) == 2 and not result.added
    assert Notes(runs / "a").of("test")["01"] == Note("a stain\ndent", ("rim", "mine"))
    assert len(imported(runs, content).same) == 3
    undo_latest(runs)
    assert Notes(runs / "a").of("test")["01"] == Note("a stain", ("mine",))


def test_two_notes_too_long_together_are_left_and_named(runs: Path):
    content = exported(runs)
    Notes(runs / "a").save("test", "01", Note("y" * (MAX_NOTE_LENGTH - 1)))
    result = imported(runs, content)
    assert [key.name for key in result.left] == ["01"]
    assert Notes(runs / "a").of("test")["01"] == Note("y" * (MAX_NOTE_LENGTH - 1))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({**EMPTY, "corrections": {"a": {"0a0b0c": "!"}}}, "its correction 0a0b0c is none"),
        ({**EMPTY, "corrections": {"a": {"../../c": "AAAA"}}}, "its correction ../../c is none"),
        ({**EMPTY, "corrections": [1]}, "it is no export of notes"),
        ({**EMPTY, "operating_points": {"a": {"x": {"per_thousand": 0}}}}, "it is no export of notes"),
        ({**EMPTY, "operating_points": {"a": {"": {"per_thousand": 5}}}}, "is no name of an operating point"),
        ([], "it is no export of notes: its kind should be 'notes of AFRD'"),
        ({"kind": "notes of AFRD", "format": 2}, "it has format 2, and this version of AFRD reads 1"),
        ({"kind": "notes of AFRD", "format": 1}, "it is no export of notes"),
        ({"kind": "notes of AFRD", "format": 1, "runs": {"a": []}}, "it is no export of notes"),
        (
            {"kind": "notes of AFRD", "format": 1, "runs": {"a": {"t": {"1": {"text": "new", "tags": []}, "2": 3}}}},
            "a note should have a text and a list of tags",
        ),
    ],
)
def test_what_is_no_export_is_refused_and_nothing_is_stored(content: object, sentence: str, runs: Path):
    before = exported(runs)
    with pytest.raises(ValueError, match=sentence):
        imported(runs, content)
    assert exported(runs) == before


def test_the_command_exports_imports_lists_and_undoes(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    file = tmp_path / "notes.json"
    assert main(["notes", "export", str(runs), str(file)]) == 0
    said = capsys.readouterr().out
    assert f"3 notes, 0 groups, 0 corrections and 0 operating points of {runs} written to {file}" in said
    other = tmp_path / "other"
    (other / "a").mkdir(parents=True)
    assert main(["notes", "import", str(other), str(file)]) == 0
    said = capsys.readouterr().out
    assert "3 added, 0 merged, 0 already there" in said and f"{other} has no run b; its notes wait" in said
    assert main(["notes", "list", str(other)]) == 0
    assert "a  test  01 [rim]  dent" in capsys.readouterr().out
    assert main(["notes", "undo", str(other)]) == 0
    assert "undone: note a test 01, note a val scratch/02, note b test 01" in capsys.readouterr().out
    assert main(["notes", "undo", str(other)]) == 2
    assert "has no change that can be undone" in capsys.readouterr().err


def test_wrong_paths_and_files_are_one_sentence(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    (runs / "a" / "config.json").write_text("{}")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    for arguments, sentence in (
        (("list", tmp_path / "gone"), "is not a folder; give the one that holds the runs"),
        (("list", runs / "a"), f"is a run, and its notes are kept beside it; give the folder {runs}"),
        (("import", runs, tmp_path / "gone.json"), "gone.json does not exist"),
        (("import", runs, broken), "broken.json cannot be read as JSON"),
        (("undo", tmp_path), "has no notes, so there is nothing to undo"),
    ):
        assert main(["notes", *map(str, arguments)]) == 2
        said = capsys.readouterr().err
        assert sentence in said and said.count("\n") == 1
    assert main(["notes", "list", str(tmp_path)]) == 0
    assert f"there are notes in {runs}" in capsys.readouterr().out


@pytest.fixture
def corrected(tiny_runs: Path, candies: Path, tmp_path: Path) -> Path:
    """A folder with a run that has two corrections, an operating point and a note."""
    folder = tmp_path / "mine"
    shutil.copytree(tiny_runs / "Praline" / "afrd", folder / "a")
    test = afrd.data.open_dataset(candies, "Praline")["test_public"]
    run = afrd.runs.correct(afrd.runs.load_run(folder / "a", "cpu"), test, 1, (20, 30), "a seam")
    afrd.runs.correct(run, test, 2, (40, 40), "a defect", kind="defect")
    afrd.runs.save_operating_point(folder / "a", "line 3", OperatingPoint(5, 200))
    Notes(folder / "a").save("test_public", "01", Note("a seam"))
    return folder


def test_corrections_and_operating_points_travel_with_the_notes(corrected: Path, tiny_runs: Path, tmp_path: Path):
    content = json.loads(json.dumps(exported(corrected)))
    other = tmp_path / "theirs"
    shutil.copytree(tiny_runs / "Praline" / "afrd", other / "a")
    afrd.runs.save_operating_point(other / "a", "line 3", OperatingPoint(9))
    result = imported(other, content)
    names = afrd.runs.correction_ids(corrected / "a")
    assert (
        result.corrections == [f"a {name}" for name in names]
        and result.points == ["a: line 3 (2)"]
        and not result.left_out
    )
    theirs = afrd.runs.load_run(other / "a", "cpu")
    for one, two in zip(theirs.corrections, afrd.runs.read_corrections(corrected / "a"), strict=True):
        assert one.about == two.about and torch.equal(one.patches, two.patches)
    assert theirs.threshold() == afrd.runs.load_run(corrected / "a", "cpu").threshold()
    assert afrd.runs.operating_points(other / "a") == {
        "line 3": OperatingPoint(9),
        "line 3 (2)": OperatingPoint(5, 200),
    }
    again = imported(other, content)
    assert not (again.corrections or again.points or again.left_out or again.added)


def test_a_correction_goes_to_the_same_weights_only_and_to_runs_that_are_there(
    corrected: Path, tiny_runs: Path, tmp_path: Path
):
    content = exported(corrected)
    other = tmp_path / "theirs"
    shutil.copytree(tiny_runs / "Praline" / "single-top", other / "a")
    result = imported(other, content)
    assert "corrections of a are left out: run" in result.left_out[0] and "no patch memory" in result.left_out[0]
    assert result.points == ["a: line 3"] and not afrd.runs.correction_ids(other / "a")
    content["corrections"] = {"../mine/a": content["corrections"]["a"]}
    content["operating_points"] = {"../mine/a": {"x": {"per_thousand": 5}}}
    result = imported(other, content)
    assert len(result.left_out) == 2 and all("has no run '../mine/a'" in sentence for sentence in result.left_out)
    assert list(afrd.runs.operating_points(corrected / "a")) == ["line 3"]


def test_a_renamed_run_gets_its_notes_again(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    (runs / "a").rename(runs / "a2")
    assert main(["notes", "list", str(runs)]) == 0
    assert "there is no run a; `afrd notes copy` gives its notes to another one" in capsys.readouterr().out
    assert main(["notes", "copy", str(runs / "a"), str(runs / "a2")]) == 0
    assert "2 added, 0 merged, 0 already there" in capsys.readouterr().out
    assert Notes(runs / "a2").of("test") == {"01": Note("dent", ("rim",))}
    assert main(["notes", "undo", str(runs)]) == 0 and not Notes(runs / "a2").of("test")
    elsewhere = tmp_path / "elsewhere" / "b"
    elsewhere.mkdir(parents=True)
    result = copied(runs / "b", elsewhere)  # notes of an earlier version are taken over on the way
    assert len(result.added) == 1 and Notes(elsewhere).of("test") == {"01": Note("earlier")}


def test_what_cannot_be_copied_is_one_sentence(runs: Path, capsys: pytest.CaptureFixture):
    for source, to, sentence in (
        (runs / "gone", runs / "a", f"{runs} has no notes on a run 'gone'"),
        (runs / "a", runs / "gone", f"there is no run folder {runs / 'gone'}"),
    ):
        assert main(["notes", "copy", str(source), str(to)]) == 2
        said = capsys.readouterr().err
        assert sentence in said and said.count("\n") == 1
