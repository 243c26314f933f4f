"""How commands end: with a status and at most one sentence, on any terminal, in any pipe, whatever fails."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from afrd.cli.commands import main
from afrd.cli.common import end_well, sentence

AFRD = [sys.executable, "-m", "afrd.cli.commands"]


@pytest.fixture
def many_problems(tmp_path: Path) -> Path:
    """A data set of which `check` has more to say than a pipe holds."""
    for i in range(1500):
        folder = tmp_path / "data" / "part" / "train" / "good" / f"a sample with a rather long name, number {i:04}"
        folder.mkdir(parents=True)
        (folder / "left.png").write_bytes(b"")
    return tmp_path / "data"


def test_a_pipe_that_nobody_reads_ends_a_command_silently(many_problems: Path):
    for argv in (["check", many_problems], ["--help"]):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run([*AFRD, *argv], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
        os.close(write)
        assert done.returncode in (0, 1)  # argparse itself passes over a help text that nobody reads
        assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr and "Errno" not in done.stderr


def test_a_terminal_that_knows_only_ascii_ends_no_command(tmp_path: Path):
    (tmp_path / "data" / "Tür" / "train" / "good" / "größe").mkdir(parents=True)
    (tmp_path / "data" / "Tür" / "train" / "good" / "größe" / "oben.png").write_bytes(b"")
    environment = os.environ | {"PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "0"}
    done = subprocess.run([*AFRD, "check", tmp_path / "data"], capture_output=True, env=environment, check=False)
    assert done.returncode == 2 and b"gr\\xf6\\xdfe/oben.png: " in done.stdout and b"has 1 problem" in done.stderr


def test_names_of_files_do_not_reach_the_terminal_as_commands(tmp_path: Path, capsys):
    evil = tmp_path / "data" / "C\x1b[2J" / "train" / "good" / "\u202egood\n"
    evil.mkdir(parents=True)
    (evil / "to\np\x9b.png").write_bytes(b"")
    assert main(["check", str(tmp_path / "data")]) == 2
    assert main(["train", str(tmp_path / "data"), "C\x1b[2J", "--out", str(tmp_path / "r\x07"), "--size", "32"]) == 2
    said = "".join(capsys.readouterr())
    assert not {"\x1b", "\u202e", "\x9b", "\x07"} & set(said)
    assert r"C\x1b[2J/train/good/\u202egood\n/to\np\x9b.png: cannot be read as a picture" in said
    assert all(line.startswith(("C", "afrd: ")) for line in said.splitlines())


def test_a_region_that_training_would_refuse_is_found_by_check(capsys, candies, tmp_path: Path):
    shutil.copytree(candies / "Praline", tmp_path / "Praline")
    for content, said in ((b"", "cannot be read as a picture; copy or export it again"), (None, "is black everywhere")):
        region = tmp_path / "Praline" / "roi.png"
        region.write_bytes(content) if content is not None else Image.new("L", (64, 64)).save(region)
        assert main(["check", str(tmp_path)]) == 2
        assert f"Praline/roi.png: {said}" in capsys.readouterr().out


def test_the_home_folder_is_meant_behind_an_equals_sign_too(capsys, candies, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(candies), "Praline", "--method=memory", "--size=32", "--lights=top", "--out=~/run"]) == 0
    assert (tmp_path / "run" / "model.safetensors").is_file() and not (tmp_path / "~").exists()
    with pytest.raises(SystemExit) as stop:
        main(["check", "~nobody-of-this-name/data"])
    assert stop.value.code == 2 and "user who is not known" in capsys.readouterr().err


def fails(error: BaseException) -> int:
    def command() -> None:
        raise error

    return end_well(command)


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (MemoryError(), 1, "afrd: memory ran out; choose a smaller --size or --batch, or fewer lights"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried\nto allocate"), 1, "ran out"),
        (MemoryError("a.png does not fit into memory; shrink it"), 1, "afrd: a.png does not fit into memory; shrink"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/runs/a"),
            1,
            "/runs/a: no space left on device; free",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "/data"), 2, "afrd: /data: permission denied"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "/data"), 2, "afrd: /data: is a directory"),
        (ValueError("two\n  lines"), 2, "afrd: two lines"),
        (KeyboardInterrupt(), 1, "afrd: stopped"),
    ],
)
def test_whatever_fails_is_one_sentence(capsys, error: BaseException, status: int, says: str):
    assert fails(error) == status
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1


def test_a_fault_of_the_program_itself_is_not_hidden():
    with pytest.raises(KeyError):
        fails(KeyError("a fault of the program"))


def test_a_file_of_the_system_is_named_whatever_its_encoding():
    assert sentence(OSError(errno.EIO, "Input/output error", b"/data/\xff")) == "/data/\udcff: input/output error"
