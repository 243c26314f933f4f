"""Operating points are kept with the run, by name, and say what is wrong with a file or a name."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from afrd.cli.commands import main
from afrd.metrics.consequences import OperatingPoint
from afrd.runs.operating_points import (
    FILE,
    operating_point,
    operating_points,
    save_operating_point,
    undo_operating_point,
)


def test_points_are_kept_replaced_and_removed(tmp_path: Path):
    assert operating_points(tmp_path) == {}
    save_operating_point(tmp_path, "line 3", OperatingPoint(5, missed_cost=200))
    save_operating_point(tmp_path, "audit", OperatingPoint(50))
    save_operating_point(tmp_path, "line 3", OperatingPoint(2))
    assert operating_points(tmp_path) == {"audit": OperatingPoint(50), "line 3": OperatingPoint(2)}
    assert operating_point(tmp_path, "audit").alpha == 0.05
    save_operating_point(tmp_path, "audit", None)
    with pytest.raises(ValueError, match="no operating point 'audit': it has line 3"):
        operating_point(tmp_path, "audit")


def test_changes_are_undone_one_by_one_a_removal_as_well(tmp_path: Path):
    save_operating_point(tmp_path, "line 3", OperatingPoint(5))
    save_operating_point(tmp_path, "line 3", OperatingPoint(7))
    save_operating_point(tmp_path, "line 3", OperatingPoint(7))  # no change
    save_operating_point(tmp_path, "line 3", None)
    assert undo_operating_point(tmp_path) == {"line 3": OperatingPoint(7)} == operating_points(tmp_path)
    assert undo_operating_point(tmp_path) == {"line 3": OperatingPoint(5)} == operating_points(tmp_path)
    assert undo_operating_point(tmp_path) == {} == operating_points(tmp_path)
    with pytest.raises(ValueError, match="has no change of its operating points to undo"):
        undo_operating_point(tmp_path)


def test_of_many_who_save_at_once_no_point_is_lost(tmp_path: Path):
    names = [f"line {number}" for number in range(12)]
    with ThreadPoolExecutor(6) as people:
        list(people.map(lambda name: save_operating_point(tmp_path, name, OperatingPoint(5)), names))
    assert set(operating_points(tmp_path)) == set(names)
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".lock"]


@pytest.mark.parametrize("content", ["[1]", '{"a": {"per_thousand": "many"}}', '{"a": {"per_thousand": 0}}', "{"])
def test_a_broken_file_is_named(tmp_path: Path, content: str):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ValueError, match=FILE):
        operating_points(tmp_path)


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "x" * 61])
def test_names_are_checked(tmp_path: Path, name: str):
    with pytest.raises(ValueError, match="no name of an operating point"):
        save_operating_point(tmp_path, name, OperatingPoint(5))
    assert not (tmp_path / FILE).exists()


def test_from_the_consequences_to_a_verdict(tiny_runs: Path, candies: Path, capsys: pytest.CaptureFixture):
    run = str(tiny_runs / "Praline" / "afrd")
    assert main(["points", run, "--per-thousand", "300", "--missed-cost", "50", "--save", "line 3"]) == 0
    text = capsys.readouterr().out
    assert "2 good and 2 anomalous samples" in text and "operating point line 3: 300 per thousand" in text
    pictures = [str(p) for p in sorted((candies / "Praline" / "test_public" / "data").glob("01_image_*.png"))]
    assert main(["predict", run, *pictures, "--point", "line 3"]) == 0
    assert "operating point line 3" in capsys.readouterr().out
    assert main(["predict", run, *pictures, "--point", ""]) == 2  # as of an empty variable of a shell script
    assert "no operating point ''" in capsys.readouterr().err
    assert main(["predict", run, *pictures, "--point", "line 4"]) == 2
    assert "no operating point 'line 4': it has line 3" in capsys.readouterr().err
    assert main(["points", run, "--remove", "line 3"]) == 0 and operating_points(Path(run)) == {}
    assert main(["points", run, "--undo"]) == 0 and list(operating_points(Path(run))) == ["line 3"]
    assert "undone; it has line 3 now" in capsys.readouterr().out
    assert main(["points", run, "--save", "again", "--per-thousand", "5", "--split", "moon"]) == 2
    assert list(operating_points(Path(run))) == ["line 3"]  # nothing is kept where the rest fails
    assert main(["points", run, "--undo"]) == 0 and operating_points(Path(run)) == {}
    assert main(["points", run, "--save", "x"]) == 2
