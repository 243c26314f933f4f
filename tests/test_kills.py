"""A process that is killed at any moment leaves whole files, and the next start ends as if nothing had happened."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_killed_steps_go_on(tmp_path: Path):
    # in a process of its own: one that has threads, as that of the tests, is not safely forked
    command = [sys.executable, "-m", "benchmarks.kills", "--kills", "5", "--seed", "1", "--csv", tmp_path / "kills.csv"]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1], stdout=subprocess.DEVNULL)
    results = pd.read_csv(tmp_path / "kills.csv", index_col=0)
    assert (results.trials == 1).all() and results.killed.sum() >= 3
    assert not results[["broken", "lost", "other_end"]].any(axis=None), results.to_string()
