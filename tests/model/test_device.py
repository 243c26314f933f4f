"""Where and how precisely is computed, for devices that this machine need not have."""

import re
from pathlib import Path

import pytest
import torch

import afrd
from afrd.model.device import autocast, pick_device
from afrd.model.patch_memory import PatchBank

PACKAGE = Path(afrd.__file__).parent


@pytest.mark.parametrize("native", [True, False])
def test_a_card_that_emulates_bfloat16_trains_in_float32(monkeypatch: pytest.MonkeyPatch, native: bool):
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation=True: native or including_emulation)
    wanted: list[bool] = []
    monkeypatch.setattr("torch.autocast", lambda kind, dtype, enabled: wanted.append(enabled))
    autocast(torch.device("cuda"))
    assert wanted == [native]


def test_on_a_card_nothing_is_rounded_to_tf32(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.zeros", lambda *_, **__: torch.tensor(0.0))  # as if there were one
    monkeypatch.setattr("torch.backends.cudnn.allow_tf32", True)
    pick_device("cuda")
    assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32


def test_nothing_becomes_a_double_before_it_is_on_the_cpu():
    """Apple's MPS has no doubles, and there is none here to try it."""
    moved_late = re.compile(r"\.(double\(\)|to\(torch\.(float64|double)\))[^\n]*\.cpu\(\)")
    found = [path.name for path in PACKAGE.rglob("*.py") if moved_late.search(path.read_text())]
    assert found == []


def test_a_look_up_never_asks_the_device_for_a_value(monkeypatch: pytest.MonkeyPatch):
    bank = PatchBank(2, 8, 64)
    samples = [[torch.randn(1, 2, 3, 8, 8), torch.randn(1, 2, 5, 4, 4)] for _ in range(3)]
    bank.fill(iter(samples), 3, 0, lambda sample: torch.rand(1, 2, 8, 8))
    expected = bank(samples[0])

    def asked(*_: object) -> None:
        raise AssertionError("a card would have to finish its work first")

    with monkeypatch.context() as patch:
        for name in ("__bool__", "item", "tolist", "__int__", "__float__"):
            patch.setattr(torch.Tensor, name, asked)
        found = bank(samples[0])
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize("errors", [True, False])
def test_a_memory_that_is_read_again_knows_whether_it_has_usual_evidence(errors: bool):
    bank = PatchBank(2, 8, 64)
    samples = [[torch.randn(1, 2, 3, 8, 8), torch.randn(1, 2, 5, 4, 4)] for _ in range(3)]
    bank.fill(iter(samples), 3, 0, (lambda sample: torch.rand(1, 2, 8, 8)) if errors else None)
    again = PatchBank(2, 8, 64)
    again.load_state_dict(bank.state_dict())
    assert again.has_usual is bank.has_usual is errors
    assert bool(again(samples[0])[1].any()) is errors
    assert all(torch.equal(a, b) for a, b in zip(bank(samples[0]), again(samples[0]), strict=True))
