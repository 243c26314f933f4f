"""The command that lists, limits and clears the store of features."""

import json
import os
import shutil
from pathlib import Path

import pytest

import afrd
from afrd.cli.commands import main
from afrd.model.teacher import load_teacher
from afrd.runs.feature_store import load_features


@pytest.fixture
def filled(candies: Path, tmp_path: Path, monkeypatch) -> Path:
    """Root of a data set whose splits train and val are in a store of their own."""
    monkeypatch.setenv("AFRD_CACHE", str(tmp_path / "cache"))
    shutil.copytree(candies / "Praline", tmp_path / "data" / "Praline")
    teacher = load_teacher()
    for split in ("train", "val"):
        load_features(afrd.open_dataset(tmp_path / "data", "Praline")[split], teacher, 64)
    return tmp_path


def test_the_list_says_of_what_everything_is_and_what_nothing_reads_any_more(filled: Path, capsys):
    assert main(["cache", "--json", str(filled / "cache.json")]) == 0
    *rows, total = capsys.readouterr().out.splitlines()
    assert len(rows) == 2 and "kB" in rows[0] and "Praline/val  3 samples, 6 lights" in rows[0] + rows[1]
    assert "2 splits" in total and "of at most 50 GB" in total
    content = json.loads((filled / "cache.json").read_text())
    assert content["bytes"] == sum(entry["bytes"] for entry in content["entries"]) > 0
    assert [entry["unused"] for entry in content["entries"]] == [None, None]
    shutil.rmtree(filled / "data")
    main(["cache"])
    assert capsys.readouterr().out.count("(its pictures are gone)") == 2


def test_tidying_keeps_what_is_read_and_clearing_keeps_nothing(filled: Path, capsys):
    picture = next((filled / "data" / "Praline" / "val" / "data").glob("*_image_0.png"))
    os.utime(picture, (1, 1))
    assert main(["cache", "--tidy"]) == 0
    out = capsys.readouterr().out
    assert "removed 1, " in out and "Praline/train" in out and "Praline/val" not in out
    assert main(["cache", "--clear"]) == 0
    assert "0 splits, 0 kB of at most" in capsys.readouterr().out
    assert not list((filled / "cache" / "features").iterdir())


def test_a_limit_is_kept_for_later_and_removes_at_once(filled: Path, capsys):
    assert main(["cache", "--limit", "1kB"]) == 0
    assert "removed 2" in capsys.readouterr().out
    main(["cache"])
    assert "of at most 1 kB" in capsys.readouterr().out


def test_an_empty_store_is_listed_and_a_wrong_size_is_named(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setenv("AFRD_CACHE", str(tmp_path / "none" / "yet"))
    assert main(["cache"]) == 0 and "0 splits" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()
    assert main(["cache", "--limit", "lots"]) == 2
    assert capsys.readouterr().err == "afrd: 'lots' is not a size; write it like 20GB or 500MB\n"
