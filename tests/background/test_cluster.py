"""A sweep on the workers of a Dask scheduler: one of them is killed, and the table is the same."""

import sys
from pathlib import Path

import pytest

from afrd.analysis.comparison.sweep_results import load_results
from afrd.analysis.comparison.sweep_tables import scores_table
from afrd.background.sweep import run_sweep
from afrd.runs.sweep_plan import make_sweep
from benchmarks.cluster import difference, run_on_cluster

pytest.importorskip("distributed")


@pytest.mark.skipif(sys.platform == "win32", reason="kills by a signal")
def test_a_sweep_goes_on_when_a_worker_of_its_cluster_is_killed(candies: Path, tmp_path: Path):
    values = {"data": str(candies), "methods": ["single"], "lights": ["top,left,box"], "sizes": [64]}
    plans = [
        make_sweep("test", **values, out=str(tmp_path / name), options={"epochs": 40, "width": 16})
        for name in ("processes", "dask")
    ]
    assert not run_sweep(plans[0], workers=1).failed
    summary, killed = run_on_cluster(plans[1])
    assert killed.cell and not summary.failed and len(summary.done) == 3
    one, other = (scores_table(load_results(Path(plan.out), plan.groups())) for plan in plans)
    assert difference(one, other) < 1e-6
