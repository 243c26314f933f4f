"""How much memory a run takes for what it remembers, and for its threshold."""

import gc
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import afrd
from afrd.model.evidence import Evidence
from afrd.runs import evidence_cache
from afrd.runs.cache import Cache
from afrd.runs.evidence_cache import evidence_bytes


@pytest.fixture
def run(tiny_runs: Path):
    return afrd.load_run(tiny_runs / "Praline" / "afrd", "cpu")


def evidence(samples: int) -> Evidence:
    present = torch.ones(samples, 2, dtype=torch.bool)
    return Evidence(torch.zeros(samples, 2, 8, 8), torch.zeros(samples, 2, 8, 8), present, False)


def test_what_all_runs_remember_together_stays_within_the_limit():
    one = evidence_bytes(evidence(1))
    cache = Cache(3 * one, evidence_bytes)
    for key in ("a", "b", "c"):
        cache.get(key, lambda: evidence(1))
    assert cache.size == 3 * one
    cache.get("a", lambda: pytest.fail("was kept"))
    cache.get("d", lambda: evidence(1))
    made = []
    cache.get("b", lambda: (made.append("b"), evidence(1))[1])  # the oldest use, so it went
    assert made and cache.size <= 3 * one
    cache.get("large", lambda: evidence(10))  # more than the limit: alone
    cache.get("large", lambda: pytest.fail("was kept"))
    assert cache.size == 3 * one


def test_evidence_is_removed_with_its_owner_and_with_no_other():
    owners = [type("Owner", (), {})() for _ in range(2)]
    keys = [(evidence_cache.number_of(owner), "split") for owner in owners]
    for key in keys:
        evidence_cache.EVIDENCE_CACHE.get(key, lambda: evidence(1))
    del owners[0]
    gc.collect()
    assert keys[0] not in evidence_cache.EVIDENCE_CACHE and keys[1] in evidence_cache.EVIDENCE_CACHE


def test_threads_that_ask_at_once_wait_for_one_of_them_and_get_what_one_alone_gets(tiny_runs: Path, candies: Path):
    data = afrd.open_dataset(candies, "Praline")["test_public"]
    folder, sets = tiny_runs / "Praline" / "afrd", ["top", "top,box", "all", "left,right,top"] * 2
    alone = [afrd.load_run(folder, "cpu").evaluate(data, lights).table["score"] for lights in sets]
    run = afrd.load_run(folder, "cpu")
    calls, evidence_of_inputs = [], run.model.evidence
    run.model.evidence = lambda *inputs: (calls.append(1), evidence_of_inputs(*inputs))[1]
    with ThreadPoolExecutor(len(sets)) as pool:
        together = list(pool.map(lambda lights: run.evaluate(data, lights).table["score"], sets))
    np.testing.assert_array_equal(together, alone)
    assert len(calls) == 1  # a batch of the four samples


def test_what_a_run_remembers_goes_with_it(run, tiny_runs: Path, candies: Path, monkeypatch):
    before = evidence_cache.EVIDENCE_CACHE.size
    other = afrd.load_run(tiny_runs / "Praline" / "afrd", "cpu")
    other.evaluate(afrd.open_dataset(candies, "Praline")["test_public"])
    assert evidence_cache.EVIDENCE_CACHE.size > before
    del other
    gc.collect()
    assert evidence_cache.EVIDENCE_CACHE.size == before


def test_scores_of_the_calibration_samples_are_the_maxima_of_their_maps(run):
    maps = np.concatenate(list(run.calibration_maps("top,box", "max")))
    np.testing.assert_array_equal(run.calibration_scores("top,box", "max"), maps.max((1, 2)))
    assert maps.shape == (3, 64, 64)


def test_a_threshold_takes_the_maps_of_one_batch_and_not_those_of_all_samples(run, monkeypatch):
    kept = run.calibration
    many = 64  # samples, as if so many had been kept
    repeated = Evidence(
        kept.errors.repeat(many, 1, 1, 1)[:many],
        kept.weights.repeat(many, 1, 1, 1)[:many],
        kept.present.repeat(many, 1)[:many],
        kept.fused,
        None if kept.terms is None else kept.terms.repeat(many, 1, 1, 1, 1)[:many],
    )
    monkeypatch.setattr(run, "calibration", repeated)
    one_map = 4 * np.prod(run.config.picture_size)
    tracemalloc.start()
    threshold = run.threshold()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert threshold is not None and threshold.samples == many
    assert peak < many * one_map / 2  # NumPy's part: less than half of all maps, where it used to be all of them


def test_the_memory_of_a_run_counts_its_weights_and_its_calibration(run):
    weights = sum(part.nbytes for part in run.model.state_dict().values())
    assert run.memory_bytes > weights > 10_000
