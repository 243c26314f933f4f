"""The script that measures a graphics card runs to its end on a processor, with everything small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_script_for_cards_runs_through_on_a_processor(tmp_path: Path):
    command = [
        sys.executable,
        "-m",
        "benchmarks.gpu",
        "--device",
        "cpu",
        "--tiny",
        "--without-tests",
        "--out",
        tmp_path,
    ]
    result = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    names = {"gpu_training_resnet18", "gpu_inference", "gpu_lookup", "gpu_card"}
    assert {path.stem for path in tmp_path.glob("*.json")} == names == {path.stem for path in tmp_path.glob("*.md")}
    card = {row["what"]: row["value"] for row in json.loads((tmp_path / "gpu_card.json").read_text())["rows"]}
    assert card["verdicts that differ"] == 0
    distances = json.loads((tmp_path / "gpu_lookup.json").read_text())["rows"]
    assert all(row["largest error of a distance"] < 1e-4 for row in distances)


def test_without_that_card_it_says_so():
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", "cuda:99"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2 and "cuda:99 cannot be used here" in result.stderr
    assert "Traceback" not in result.stderr
