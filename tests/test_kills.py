"""A process that is killed at any moment leaves whole files, and the next start ends as if nothing had happened."""

import sys

import pytest

from benchmarks.kills import STEPS, kill_steps


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_killed_steps_go_on():
    results = kill_steps(kills=len(STEPS), seed=1)
    assert (results.trials == 1).all() and results.killed.sum() >= 3
    assert not results[["broken", "lost", "other_end"]].any(axis=None), results.to_string()
