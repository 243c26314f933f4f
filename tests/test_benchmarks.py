"""The script that measures a graphics card runs to its end on a processor, with everything small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import gpu


def test_the_script_for_cards_runs_through_on_a_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AFRD_CACHE", str(tmp_path / "cache"))  # put back afterwards, as the script sets its own
    monkeypatch.setattr("sys.argv", ["gpu", "--device", "cpu", "--tiny", "--without-tests", "--out", str(tmp_path)])
    gpu.main()
    names = {"gpu_training_resnet18", "gpu_inference", "gpu_lookup", "gpu_card"}
    assert {path.stem for path in tmp_path.glob("*.json")} == names == {path.stem for path in tmp_path.glob("*.md")}
    card = {row["what"]: row["value"] for row in json.loads((tmp_path / "gpu_card.json").read_text())["rows"]}
    assert card["verdicts that differ"] == 0
    distances = json.loads((tmp_path / "gpu_lookup.json").read_text())["rows"]
    assert all(row["largest error of a distance"] < 1e-4 for row in distances)


def test_without_that_card_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr("sys.argv", ["gpu", "--device", "cuda:99"])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    assert ended.value.code == 2 and "cuda:99 cannot be used here" in capsys.readouterr().err
