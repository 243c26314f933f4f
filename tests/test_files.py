"""Files are written whole or not at all, and an error names the file that was asked for."""

import sys
from pathlib import Path

import pytest

from afrd.cli.commands import main
from afrd.demo.prepare import SHIPPED_RUNS
from afrd.files import load_json, replacing, save_json


def places(tmp_path: Path) -> list[Path]:
    """Files that nobody can write, the super user included."""
    (tmp_path / "folder").mkdir()
    unwritable = [tmp_path / "folder", tmp_path / f"{'x' * 300}.json"]
    return [*unwritable, Path("/proc/graph.json")] if sys.platform == "linux" else unwritable


def test_a_file_that_cannot_be_written_is_named_and_not_its_temporary_name(tmp_path: Path):
    for file in places(tmp_path):
        with pytest.raises(OSError) as error:
            save_json(file, {})
        assert error.value.filename == str(file) and error.value.strerror
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_the_longest_name_that_a_file_may_have_is_written(tmp_path: Path):
    file = tmp_path / f"{'x' * 250}.json"
    save_json(file, {"a": 1})
    assert load_json(file) == {"a": 1} and list(tmp_path.iterdir()) == [file]


def test_a_block_that_fails_leaves_the_file_as_it_was(tmp_path: Path):
    file = tmp_path / "a.json"
    save_json(file, 1)
    with pytest.raises(RuntimeError), replacing(file) as path:
        path.write_text("2")
        raise RuntimeError
    assert load_json(file) == 1 and list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is a folder that nobody can write to")
def test_export_names_the_file_that_it_was_told_to_write(capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("onnxscript")
    run = next(path.parent for path in sorted(SHIPPED_RUNS.rglob("model.safetensors")))
    assert main(["export", str(run), "--onnx", "/proc/new.onnx"]) == 2
    assert capsys.readouterr().err == "afrd: /proc/new.onnx: no such file or directory\n"
