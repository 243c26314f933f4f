"""Running a sweep: in processes of this machine by joblib, or on the workers of a Dask scheduler.

plan = load_sweep("sweep.toml")
run_sweep(plan, progress=print)       # called again: continues with missing cells
sweep_status(Path(plan.out), plan.cells())     # from another process, while it runs
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError

from afrd.analysis.comparison.sweep_results import is_judged, judge_group
from afrd.background.cards import free_card
from afrd.background.sweep_check import begin_anew, check_folder
from afrd.background.sweep_cluster import connected, results_of
from afrd.background.sweep_status import (
    DONE,
    FAILED,
    RUNNING,
    cell_error,
    duration,
    forget_note,
    lock_file,
    note_file,
    read_note,
)
from afrd.data.dataset import open_dataset
from afrd.files import replacing, save_json
from afrd.metrics.words import counted
from afrd.model.device import pick_device
from afrd.model.teacher import load_teacher
from afrd.runs.feature_store import load_features
from afrd.runs.file_names import WEIGHTS
from afrd.runs.lock import held
from afrd.runs.sweep_plan import PLAN_FILE, Cell, Group, SweepPlan
from afrd.runs.sweep_runs import is_trained
from afrd.runs.training import StepReport, fit

STATUS_SECONDS = 2.0  # between two status notes of a running cell
WORKER_BYTES = 3 * 2**30  # memory of one training with its share of the features
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")  # on Linux
MAX_ATTEMPTS = 3  # attempts at a cell whose worker died

Progress = Callable[[str], None]  # called with a line of text


@dataclass(frozen=True)
class SweepSummary:
    """Outcome of a sweep: names of finished cells; of failed cells, and of groups, with their errors."""

    done: tuple[str, ...]
    failed: dict[str, str]
    not_evaluated: dict[str, str]


def run_sweep(
    plan: SweepPlan,
    *,
    workers: int | None = None,
    cluster: str | None = None,
    retry: bool = False,
    progress: Progress = lambda line: None,
) -> SweepSummary:
    """Trains the cells that are missing, then evaluates the groups whose runs have changed.

    A failed cell is listed with its error and does not stop the others. The same call continues an interrupted sweep,
    each training from its last checkpoint.

    Args:
        plan: of the sweep.
        workers: trainings at once on this machine; by default as many as its cores and memory allow, or its cards.
        cluster: address of a Dask scheduler, whose workers train instead. They need this package and the data set under
            the same path. If they do not share the folder `plan.out`, runs are transferred over the network.
        retry: train failed cells again, and those whose run is broken.
        progress: called with a line for each cell that ends.

    Raises:
        ValueError: an impossible plan, a folder that holds another sweep or runs of other options or pictures, or no
            scheduler at the address; then nothing has been written.
        ConnectionError: the scheduler ended.
        ModuleNotFoundError: `cluster` without dask.
    """
    groups = plan.groups()
    cells = list(dict.fromkeys(cell for group in groups for cell in group.cells))
    check_folder(plan, cells)
    with nullcontext() if cluster is None else connected(cluster) as client:  # before anything is written
        return _run(plan, groups, cells, workers, client, retry, progress)


def _run(
    plan: SweepPlan,
    groups: Sequence[Group],
    cells: Sequence[Cell],
    workers: int | None,
    client: Any,  # a `distributed.Client`, or None
    retry: bool,
    progress: Progress,
) -> SweepSummary:
    out = Path(plan.out)
    # with whole paths, as a report may be made from another current folder
    whole = {
        "data": _whole_path(plan.data),
        "weights": {name: _whole_path(file) for name, file in plan.weights.items()},
    }
    save_json(out / PLAN_FILE, plan.model_dump() | whole)
    failed = {} if retry else {cell.name: error for cell in cells if (error := cell_error(out, cell))}
    missing = [cell for cell in cells if not is_trained(out, cell) and cell.name not in failed]
    begin_anew(plan, missing)
    for cell in missing:
        forget_note(out, cell)  # of an earlier call
    done = len(cells) - len(missing) - len(failed)
    progress(f"{counted(len(cells), 'cell')}: {done} done, {len(missing)} to train")
    if missing and client is None:
        _compute_features(plan, missing, workers, progress)
    results = _trained(plan, missing, workers) if client is None else _trained_on(client, plan, missing, progress)
    for number, result in enumerate(results, 1):
        if result["state"] == FAILED:
            failed[result["name"]] = result["error"]
        _unpack(out, result)
        progress(f"{number} of {len(missing)}: {result['name']}: {result['error'] or duration(result['seconds'])}")
    not_evaluated = _judge(plan, groups, workers, progress)
    return SweepSummary(tuple(cell.name for cell in cells if is_trained(out, cell)), failed, not_evaluated)


def default_workers(tasks: int) -> int:
    """Number of processes for so many tasks: one a card, else one a core, limited by memory."""
    if torch.cuda.is_available():
        return max(1, min(tasks, torch.cuda.device_count()))
    return max(1, min(tasks, joblib.cpu_count(), _memory() // WORKER_BYTES))


def _memory() -> int:
    """Bytes of memory that this machine or container has."""
    has = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else WORKER_BYTES
    try:
        return min(has, int(CONTAINER_LIMIT.read_text()))
    except (OSError, ValueError):  # no such container, or "max"
        return has


def _trained(plan: SweepPlan, cells: list[Cell], workers: int | None) -> Iterator[dict[str, Any]]:
    """Results of `train_cell` in processes of this machine, as they end; a cell whose process dies is tried again."""
    attempts = dict.fromkeys(cells, 0)
    while attempts:
        # A process that dies takes down the others of this machine, so the last attempt at a cell is made alone.
        suspects = [cell for cell, number in attempts.items() if number == MAX_ATTEMPTS - 1]
        batch = suspects[:1] or list(attempts)
        tasks = [joblib.delayed(train_cell)(*_call(plan, cell)) for cell in batch]
        try:
            with _executor(workers or default_workers(len(batch))) as parallel:
                for result in parallel(tasks):
                    attempts.pop(next(cell for cell in attempts if cell.name == result["name"]))
                    yield result
        except TerminatedWorkerError:
            unfinished = [cell for cell in batch if cell in attempts]
            at_work = [cell for cell in unfinished if read_note(Path(plan.out), cell).get("state") == RUNNING]
            for cell in at_work or unfinished:
                attempts[cell] += 1
                if attempts[cell] == MAX_ATTEMPTS:
                    del attempts[cell]
                    text = f"its process ended {MAX_ATTEMPTS} times without an error, as for lack of memory"
                    yield _failed(Path(plan.out), cell, text)


def _trained_on(client: Any, plan: SweepPlan, cells: list[Cell], progress: Progress) -> Iterator[dict[str, Any]]:
    """Results of `train_cell` on the workers of a Dask scheduler, as they end; Dask tries again where a worker dies."""
    by_name = {cell.name: cell for cell in cells}
    if cells and not client.scheduler_info()["workers"]:
        progress(f"{client.scheduler_info()['address']} has no worker yet; waiting for one")
    for name, result in results_of(client, train_cell, {cell.name: _call(plan, cell) for cell in cells}):
        died = f"it ended its workers, or could not be carried out ({result})"
        yield _failed(Path(plan.out), by_name[name], died) if isinstance(result, Exception) else result


def _call(plan: SweepPlan, cell: Cell) -> tuple[dict[str, Any], str, str]:
    """Arguments of `train_cell` with whole paths, as a worker elsewhere has another current folder."""
    if cell.options.weights is not None:
        cell = replace(cell, options=replace(cell.options, weights=_whole_path(cell.options.weights)))
    return cell.as_dict(), _whole_path(plan.data), _whole_path(plan.out)


def _whole_path(path: str | Path) -> str:
    return str(Path(path).resolve())


@contextmanager
def _executor(workers: int) -> Iterator[joblib.Parallel]:
    threads = max(1, joblib.cpu_count() // workers)
    with joblib.parallel_config("loky", n_jobs=workers, inner_max_num_threads=threads):
        yield joblib.Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="all")


def train_cell(values: dict[str, Any], data: str, out: str) -> dict[str, Any]:
    """Trains one cell in the process of a worker.

    Args:
        values: from `Cell.as_dict`.
        data: folder of the data set.
        out: folder of the sweep. Where this machine lacks it, the run is made in a temporary folder.

    Returns:
        `name`, `state` (done or failed), `error` (empty, or one sentence), `seconds`, and `files` (contents by path
        relative to the run folder, where the sweep's folder is not shared).
    """
    cell, folder = Cell.from_dict(values), Path(out)
    shared = (folder / PLAN_FILE).exists()
    with tempfile.TemporaryDirectory() as temporary:
        root = folder if shared else Path(temporary)
        lock_file(root, cell).parent.mkdir(parents=True, exist_ok=True)
        with held(lock_file(root, cell), -1, ""):  # the process of an earlier sweep may still be at this cell
            if is_trained(root, cell):  # it is done now
                return _result(cell, DONE, seconds=read_note(root, cell).get("seconds", 0.0))
            began = time.time()
            note = {"state": RUNNING, "host": socket.gethostname(), "pid": os.getpid(), "updated": began}
            save_json(note_file(root, cell), note)
            try:
                with free_card() as device:
                    _train(cell, data, root, device, note)
            except Exception as error:  # any error: the other cells continue, and the message is recorded
                return _failed(root, cell, f"{type(error).__name__}: {error}" if not str(error) else str(error))
            note |= {"state": DONE, "seconds": time.time() - began, "updated": time.time()}
            save_json(note_file(root, cell), note)
        run = root / cell.folder
        files = {} if shared else {p.relative_to(run).as_posix(): p.read_bytes() for p in run.rglob("*") if p.is_file()}
        return _result(cell, DONE, seconds=note["seconds"], files=files)


def _result(cell: Cell, state: str, **values: Any) -> dict[str, Any]:
    return {"name": cell.name, "state": state, "error": "", "seconds": 0.0, "files": {}} | values


def _train(cell: Cell, data: str, home: Path, device: str, note: dict[str, Any]) -> None:
    if not Path(data).exists():
        raise ValueError(f"{socket.gethostname()} has no data set at {data}; give all workers the same path")
    last_note = 0.0

    def report(step: StepReport) -> None:
        nonlocal last_note
        if time.monotonic() - last_note > STATUS_SECONDS:
            last_note = time.monotonic()
            note.update(step=step.step, steps=step.steps, seconds_left=step.seconds_left, updated=time.time())
            save_json(note_file(home, cell), note)

    options = {name: value for name, value in vars(cell.options).items() if value is not None}
    fit(
        open_dataset(data, cell.category, cell.views),
        list(cell.lights),
        home / cell.folder,
        device=device,
        show_progress=False,
        on_step=report,
        **options,
    )


def _compute_features(plan: SweepPlan, cells: Sequence[Cell], workers: int | None, progress: Progress) -> None:
    """Computes teacher features once per category, teacher and size, before cells that share them run in parallel."""
    keys = dict.fromkeys((c.category, c.options.teacher, c.options.size) for c in cells)
    tasks = [joblib.delayed(_features_task)(plan, *key) for key in keys]
    with _executor(workers or default_workers(len(tasks))) as parallel:
        for text in filter(None, parallel(tasks)):
            progress(text)


def _features_task(plan: SweepPlan, category: str, name: str, size: int) -> str:
    """Computes the features that the store lacks, and says how long it took if it took a while."""
    began = time.monotonic()
    try:
        data = open_dataset(plan.data, category, plan.views)
        with free_card() as device:
            teacher = load_teacher(name, plan.weights.get(name)).to(pick_device(device))
            for split in ("train", "val", data.test_split):
                if split in data:
                    load_features(data[split], teacher, size)
    except (ValueError, RuntimeError, OSError):
        return ""  # the cells that need them fail with the same error and are listed
    took = time.monotonic() - began
    return f"features of {category} by {name} at {size} pixels: {duration(took)}" if took > 1 else ""


def _judge(plan: SweepPlan, groups: Sequence[Group], workers: int | None, progress: Progress) -> dict[str, str]:
    """Evaluates groups whose stored results are missing or outdated; returns the errors by group."""
    out = Path(plan.out)
    outdated = [g for g in groups if any(is_trained(out, c) for c in g.cells) and not is_judged(g, out, plan.data)]
    categories = list(dict.fromkeys(group.category for group in groups))
    failed = {}
    tasks = [joblib.delayed(_judge_task)(g, plan.data, out, categories.index(g.category)) for g in outdated]
    if tasks:
        with _executor(workers or default_workers(len(tasks))) as parallel:
            for name, error in parallel(tasks):
                progress(f"evaluated: {name}{f': {error}' if error else ''}")
                if error:
                    failed[name] = error
    return failed


def _judge_task(group: Group, data: str, out: Path, seed: int) -> tuple[str, str]:
    try:
        with free_card() as device:
            judge_group(group, data, out, seed, device)
    except (ValueError, RuntimeError, OSError) as error:
        return group.name, str(error)
    return group.name, ""


def _failed(out: Path, cell: Cell, error: str) -> dict[str, Any]:
    note = {"state": FAILED, "error": error, "host": socket.gethostname(), "updated": time.time()}
    save_json(note_file(out, cell), note)
    return _result(cell, FAILED, error=error)


def _unpack(out: Path, result: dict[str, Any]) -> None:
    """Writes a run that was returned as bytes; `model.safetensors` comes last and marks it as finished."""
    folder = out / result["name"]
    for name in sorted(result["files"], key=lambda name: name == WEIGHTS):
        with replacing(folder / name) as path:
            path.write_bytes(result["files"][name])
    if result["files"] or result["state"] == FAILED:
        note = {key: result[key] for key in ("state", "error", "seconds")}
        save_json(folder.with_name(f"{folder.name}.json"), note | {"updated": time.time()})
