"""The weights of the learned fusion: one command that can be interrupted, and trainings without a candy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import afrd
from afrd.candies import CATEGORIES, variants
from afrd.candies.shapes import make_candy
from afrd.model.evidence import TERMS
from benchmarks import fusion_weights
from benchmarks.fusion_weights import held_out_weights, main, numbers, place_weights

PACKAGED = Path(afrd.__file__).parent / "model" / "fusion_weights.safetensors"


def collect_noise(number: int, work: Path, out: Path) -> None:
    """What stage 1 keeps of a category, of random terms on a small grid in which half of the parts have a defect."""
    draw = torch.Generator().manual_seed(number)
    masks, side = torch.zeros(6, 1, 8, 8), 8
    masks[:3, :, 2:5, 3:5] = 1
    terms = torch.rand(6, 3, len(TERMS), side, side, generator=draw) + masks[:, :, None]
    good = torch.rand(2, 3, len(TERMS), side, side, generator=draw)
    visible = 20 * masks.expand(6, 3, side, side)
    save_file({"terms": terms.half(), "good": good.half(), "masks": masks, "visible": visible.half().contiguous()}, out)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion_weights, "collect", collect_noise)
    monkeypatch.setattr(fusion_weights, "CHECKPOINT_STEPS", 2)


def weights_of(work: Path, *options: str) -> dict[str, torch.Tensor]:
    out = work / "weights.safetensors"
    main(["--work", str(work), "--categories", "3", "--steps", "6", "--out", str(out), *options])
    return load_file(out)


@pytest.mark.usefixtures("short")
def test_an_interrupted_training_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    expected = weights_of(tmp_path / "whole")

    def interrupted(*arguments: Any) -> None:
        keep(*arguments)
        raise KeyboardInterrupt

    keep = fusion_weights.save_checkpoint
    with monkeypatch.context() as patched:
        patched.setattr(fusion_weights, "save_checkpoint", interrupted)
        with pytest.raises(KeyboardInterrupt):
            weights_of(tmp_path / "again")
    assert not (tmp_path / "again" / "weights.safetensors").exists()
    monkeypatch.setattr(fusion_weights, "collect", None)  # its terms are there
    found = weights_of(tmp_path / "again")
    assert found.keys() == expected.keys() == load_file(PACKAGED).keys()
    for name, weight in expected.items():
        assert torch.equal(found[name], weight)


def test_a_training_without_a_candy_reads_no_category_with_its_solid_or_texture():
    for candy in CATEGORIES:
        left = numbers(60, candy)
        assert left == [n for n in range(1, 61) if candy not in variants.random_sources(n)] and 0 < len(left) < 60
    assert numbers(60) == list(range(1, 61))


def test_the_sources_of_a_random_category_are_those_of_its_candies(monkeypatch: pytest.MonkeyPatch):
    made: list[str] = []
    monkeypatch.setattr(
        variants, "make_candy", lambda category, *rest: made.append(category) or make_candy(category, *rest)
    )
    for number in range(1, 22):
        variants.random_candy(number, np.random.default_rng(0), 64)
        assert tuple(dict.fromkeys(made)) == tuple(dict.fromkeys(variants.random_sources(number)))
        made.clear()


@pytest.mark.usefixtures("short")
def test_weights_without_a_candy_leave_those_of_the_package_alone(tmp_path: Path):
    before = PACKAGED.read_bytes()
    main(["--work", str(tmp_path), "--categories", "3", "--steps", "2", "--without", "Gumdrop"])
    assert PACKAGED.read_bytes() == before
    assert sorted(file.stem for file in (tmp_path / "terms").iterdir()) == ["2", "3"]  # 1 has Gumdrop's texture
    assert load_file(held_out_weights(tmp_path, "Gumdrop")).keys() == load_file(PACKAGED).keys()


def test_places_of_small_defects_count_more():
    share = np.zeros((20, 20), np.float32)
    share[2:4, 2:4], share[8:18, 8:18], share[5, 5] = 1, 1, 0.2
    weight = place_weights(share)
    assert weight[2, 2] > weight[10, 10] and 4 * weight[2, 2] < 100 * weight[10, 10]
    assert weight[5, 5] < weight[0, 0] == 1
