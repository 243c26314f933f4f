"""The same seed gives the same result: bit for bit on one machine, nearly so with other threads or on a card."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import afrd
from afrd.metrics.predictions import Predictions

TINY = {"size": 64, "width": 16, "epochs": 4, "seed": 5, "show_progress": False}
TOLERANCE = 0.01  # of the scores: sums in another order, four epochs of training on


@pytest.fixture
def threads() -> Iterator[None]:
    """Gives the process its number of threads back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def trained(data: Path, out: Path, device: str, monkeypatch: pytest.MonkeyPatch) -> tuple[afrd.Run, Predictions]:
    """A run whose features are computed anew, and what it says of the test split."""
    monkeypatch.setenv("AFRD_CACHE", str(out / "cache"))
    dataset = afrd.open_dataset(data, "Praline")
    run = afrd.fit(dataset, "all", out / "run", device=device, **TINY)
    return run, run.evaluate(dataset["test_public"])


def assert_alike(one: tuple[afrd.Run, Predictions], other: tuple[afrd.Run, Predictions]) -> None:
    np.testing.assert_allclose(one[1].table["score"], other[1].table["score"], rtol=TOLERANCE)
    assert one[1].threshold is not None and other[1].threshold is not None
    np.testing.assert_allclose(one[1].threshold.value, other[1].threshold.value, rtol=TOLERANCE)
    np.testing.assert_allclose(one[1].maps, other[1].maps, atol=TOLERANCE * one[1].maps.max())


def test_the_same_seed_gives_the_same_run_bit_for_bit(candies: Path, tmp_path: Path):
    data = afrd.open_dataset(candies, "Praline")
    files = {}
    for name, seed in (("first", 5), ("second", 5), ("other", 6)):
        afrd.fit(data, ["top", "box"], tmp_path / name, device="cpu", **TINY | {"seed": seed})
        files[name] = [
            (tmp_path / name / file).read_bytes()
            for file in ("model.safetensors", "calibration.safetensors", "history.csv")
        ]
    assert files["first"] == files["second"]
    assert all(one != another for one, another in zip(files["first"], files["other"], strict=True))


def test_other_numbers_of_threads_give_the_same_result(candies: Path, tmp_path: Path, threads, monkeypatch):
    results = []
    for number in (1, 3):
        torch.set_num_threads(number)
        results.append(trained(candies, tmp_path / str(number), "cpu", monkeypatch))
    assert_alike(*results)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no card")
def test_a_card_gives_the_result_of_the_processor(candies: Path, tmp_path: Path, monkeypatch):
    """What is trained differs more with the card's order of sums than what is computed: one run on both devices."""
    run, predictions = trained(candies, tmp_path, "cpu", monkeypatch)
    monkeypatch.setenv("AFRD_CACHE", str(tmp_path / "other"))
    on_card = afrd.load_run(run.folder, "cuda")
    assert_alike((run, predictions), (on_card, on_card.evaluate(afrd.open_dataset(candies, "Praline")["test_public"])))
