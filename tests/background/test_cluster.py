"""A sweep on the workers of a Dask scheduler: one of them is killed, and the table is the same."""

import sys
import threading
from pathlib import Path

import pytest

from afrd.analysis.comparison.sweep_results import load_results
from afrd.analysis.comparison.sweep_tables import scores_table
from afrd.background.sweep import run_sweep
from afrd.background.sweep_cluster import connected, results_of
from afrd.runs.sweep_plan import make_sweep
from benchmarks.cluster import difference, run_on_cluster

distributed = pytest.importorskip("distributed")


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


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "http://127.0.0.1:9"])
def test_an_address_without_a_scheduler_is_named_before_anything_is_written(
    candies: Path, tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("afrd.background.sweep_cluster.CONNECT_SECONDS", 0.2)
    plan = make_sweep("test", data=str(candies), out=str(tmp_path / "sweep"), methods=["memory"], sizes=[64])
    with pytest.raises(ValueError, match=f"no Dask scheduler answers at {address} .*give the address"):
        run_sweep(plan, cluster=address)
    assert not (tmp_path / "sweep").exists()


ENDED = threading.Event()


def double(number: int) -> int:
    if number == 2:
        raise ArithmeticError("as for a call that ended its workers")
    return 2 * number


def wait() -> None:
    ENDED.wait(60)


def test_a_failing_call_comes_back_as_an_error_and_a_lost_scheduler_ends_all():
    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None, protocol="tcp") as cluster,
        connected(cluster.scheduler_address) as client,
    ):
        results = dict(results_of(client, double, {"one": (1,), "two": (2,)}))
        assert results["one"] == 2 and isinstance(results["two"], ArithmeticError)
        threading.Timer(0.5, lambda: client.sync(client.scheduler_comm.comm.close)).start()
        with pytest.raises(ConnectionError, match="the same command continues"):
            list(results_of(client, wait, {"long": ()}))
        ENDED.set()
