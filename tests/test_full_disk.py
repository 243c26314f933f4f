"""A full disk: one sentence that names the file, no half-written file, and with room the same command goes on."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from afrd.analysis.errors.notes import Note, Notes
from afrd.cli.commands import main

Command = Callable[..., tuple[int, str]]
TRAINING = ("--lights", "top,box", "--size", "64", "--epochs", "2", "--memory", "16", "--seed", "1")


def mount(folder: Path, *options: str) -> bool:
    command = ["mount", "-t", "tmpfs", *options, "tmpfs", folder]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mount(folder, "-o", "size=400k"):
        pytest.skip("a small file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def afrd_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command, and gives its exit status and what it wrote on stderr."""

    def run(*arguments: object, cache: Path = tmp_path / "cache") -> tuple[int, str]:
        monkeypatch.setenv("AFRD_CACHE", str(cache))
        status = main([str(argument) for argument in arguments])
        return status, capsys.readouterr().err

    return run


def refused(result: tuple[int, str], file: object) -> None:
    """The command failed with one sentence about a file, or a folder, that has no room."""
    status, said = result
    assert status == 1, said
    sentence = said.strip().splitlines()[-1]
    assert sentence.startswith("afrd: ") and str(file) in sentence and "Traceback" not in said
    assert "free some space there" in sentence or "make room there" in sentence


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_rendering_goes_on_when_there_is_room(small_disk: Path, afrd_command: Command):
    render = ("render", small_disk / "data", "--category", "Praline", "--size", "64")
    render += ("--train", "6", "--val", "3", "--test", "4")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(300_000))
    refused(afrd_command(*render), small_disk / "data")
    assert not list(small_disk.rglob("*.part"))
    mount(small_disk, "-o", "remount,size=20m")
    assert afrd_command(*render)[0] == 0


def test_a_run_goes_on_when_there_is_room(candies: Path, small_disk: Path, afrd_command: Command):
    train = ("train", candies, "Praline", "--out", small_disk / "run", *TRAINING)
    refused(afrd_command(*train), small_disk / "run")
    assert sorted(files_of(small_disk / "run")) == ["config.json", "log.txt"]
    mount(small_disk, "-o", "remount,size=40m")
    assert afrd_command(*train)[0] == 0

    undamaged = files_of(small_disk / "run")
    ballast = small_disk / "ballast"
    with pytest.raises(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(1 << 16)):
            pass
    refused(afrd_command("evaluate", small_disk / "run"), small_disk / "run")
    refused(
        afrd_command("share", small_disk / "run", "--samples", 1, "--out", small_disk / "a.html"),
        small_disk / "a.html",
    )
    assert files_of(small_disk / "run") == undamaged and not (small_disk / "a.html").exists()
    ballast.unlink()
    assert afrd_command("evaluate", small_disk / "run")[0] == 0


def test_features_need_room_first(candies: Path, small_disk: Path, tmp_path: Path, afrd_command: Command):
    train = ("train", candies, "Praline", "--out", tmp_path / "run", *TRAINING)
    refused(afrd_command(*train, cache=small_disk), small_disk)
    assert not (tmp_path / "run").exists() and not files_of(small_disk)


def test_notes_that_are_stored_stay_and_go_on_when_there_is_room(small_disk: Path):
    ballast, run = small_disk / "ballast", small_disk / "run"
    run.mkdir()
    ballast.write_bytes(b"\0" * 200_000)
    notes, written = Notes(run), 0
    with pytest.raises(ValueError, match=r"notes\.sqlite cannot be written or read: .*disk is full.*free some space"):
        while written < 1000:
            notes.save("test", f"{written}", Note("x" * 1900))
            written += 1
    assert set(notes.of("test")) == set(map(str, range(written))) and written > 10
    ballast.unlink()
    notes.save("test", f"{written}", Note("x" * 1900))
    assert len(Notes(run).of("test")) == written + 1
