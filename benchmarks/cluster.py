"""A sweep on a Dask cluster one of whose workers is killed, against the same sweep in processes.

    pip install "afrd[cluster]"
    python -m benchmarks.cluster sweep.toml --out runs/cluster

Carries the plan out twice: in `OUT/processes` by processes, and in `OUT/dask` by a scheduler and two workers on this
machine, one of which is ended with SIGKILL while it trains. Prints how far the metrics of the two are apart. With
`--apart` the workers do not see the sweep's folder (in a mount namespace of their own, which needs root on Linux), so
that the runs come back over the network.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from afrd.analysis.comparison.sweep_results import load_results
from afrd.analysis.comparison.sweep_tables import scores_table
from afrd.background.sweep import SweepSummary, run_sweep
from afrd.background.sweep_status import DONE, RUNNING, read_note, sweep_status
from afrd.metrics.words import METRICS
from afrd.runs.sweep_plan import SweepPlan, load_sweep

WORKERS = 2
SECONDS = 0.02  # between two looks at the notes of the cells
GRACE_SECONDS = 20.0  # in which a process of Dask may end by itself
KEYS = ["category", "lights", "teacher", "size", "seed", "method"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path, help="of the sweep, see docs/sweep.md")
    parser.add_argument("--out", type=Path, default=Path("runs/cluster"))
    parser.add_argument("--apart", action="store_true", help="workers that do not see the sweep's folder")
    options = parser.parse_args()
    plans = {name: load_sweep(options.plan, out=str(options.out / name)) for name in ("processes", "dask")}
    with announced("in processes"):
        _succeeded(run_sweep(plans["processes"], workers=1))
    with announced(f"on Dask, {WORKERS} workers, one killed"):
        summary, killed = run_on_cluster(plans["dask"], options.apart)
        _succeeded(summary)
    print(f"killed: worker {killed.pid}, which was training {killed.cell or 'something'}")
    tables = [scores_table(load_results(Path(plan.out), plan.groups())) for plan in plans.values()]
    counts = f"{len(plans['dask'].cells())} cells, {len(tables[0])} rows"
    print(f"{counts}: no metric differs by more than {difference(*tables):.1e}")


@dataclass
class Killed:
    """The worker that was killed: its process, and the cell that it trained, where that can be known."""

    pid: int = 0
    cell: str = ""


def run_on_cluster(plan: SweepPlan, apart: bool = False) -> tuple[SweepSummary, Killed]:
    """Carries a sweep out on two workers and kills one of them while it trains.

    Args:
        plan: whose `out` does not exist yet.
        apart: hide that folder from the workers.
    """
    out = Path(plan.out).resolve()
    out.mkdir(parents=True)
    with dask_cluster(WORKERS, hidden=out if apart else None) as cluster:
        killed = Killed()
        killer = threading.Thread(target=_kill_one, args=(plan, cluster.workers, killed, apart), daemon=True)
        killer.start()
        return run_sweep(plan, cluster=cluster.address, workers=1, progress=print), killed


def _kill_one(plan: SweepPlan, workers: Sequence[subprocess.Popen], killed: Killed, apart: bool) -> None:
    """Once a cell is done, kills a worker that is training another one."""
    out, cells = Path(plan.out), plan.cells()
    pids = {worker.pid for worker in workers}
    while not killed.pid:
        time.sleep(SECONDS)
        if not any(status.state == DONE for status in sweep_status(out, cells)):
            continue
        if apart:  # no note tells which cells are being trained, but with many left both workers are busy
            killed.pid = workers[0].pid
        for cell in cells:
            note = read_note(out, cell)
            if note.get("state") == RUNNING and note.get("step") and note["pid"] in pids and not killed.pid:
                killed.pid, killed.cell = note["pid"], cell.name
    os.kill(killed.pid, signal.SIGKILL)


@dataclass
class DaskCluster:
    """Address of the scheduler, and the processes of its workers."""

    address: str
    workers: list[subprocess.Popen] = field(default_factory=list)


@contextmanager
def dask_cluster(workers: int, hidden: Path | None = None) -> Iterator[DaskCluster]:
    """A scheduler and workers of one thread each on loopback, without nannies: a worker that is killed stays dead.

    Args:
        workers: how many.
        hidden: a folder in which the workers see nothing.
    """
    from distributed.utils import open_port

    address = f"tcp://127.0.0.1:{open_port('127.0.0.1')}"
    dask = [sys.executable, "-m", "dask"]
    port = address.rpartition(":")[2]
    scheduler = [*dask, "scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"]
    worker = [*dask, "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
    worker += ["--death-timeout", "300"]  # it ends where its scheduler is gone
    if hidden is not None:
        mount = 'mount -t tmpfs none "$0" && exec "$@"'
        worker = ["unshare", "--mount", "sh", "-c", mount, str(hidden), *worker]
    processes: list[subprocess.Popen] = []
    try:
        processes += [subprocess.Popen(scheduler, stderr=subprocess.DEVNULL)]
        elsewhere = tempfile.gettempdir()
        processes += [subprocess.Popen(worker, cwd=elsewhere, stderr=subprocess.DEVNULL) for _ in range(workers)]
        _wait_for_workers(address, workers)
        yield DaskCluster(address, processes[1:])
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:  # a worker whose scheduler is gone may wait for itself
                process.kill()
                process.wait()


def _wait_for_workers(address: str, workers: int) -> None:
    from distributed import Client

    with Client(address, timeout="120s") as client:
        client.wait_for_workers(workers, timeout=300)


def difference(one: pd.DataFrame, other: pd.DataFrame) -> float:
    """The largest difference of a metric between two tables of scores.

    Raises:
        ValueError: they are not of the same methods.
    """
    a, b = (table.set_index(KEYS)[list(METRICS)].sort_index() for table in (one, other))
    if list(a.index) != list(b.index):
        raise ValueError("the tables are not of the same methods")
    return float(np.nanmax(np.abs(a.to_numpy() - b.to_numpy())))


@contextmanager
def announced(what: str) -> Iterator[None]:
    """Prints how long the block took, also of the processor: this process, and others that have ended."""
    began, cpu = time.monotonic(), sum(os.times()[:4])
    yield
    print(f"{what}: {time.monotonic() - began:.0f} s, {sum(os.times()[:4]) - cpu:.0f} s of the processor", flush=True)


def _succeeded(summary: SweepSummary) -> None:
    if summary.failed:
        sys.exit(f"failed: {summary.failed}")


if __name__ == "__main__":
    main()
