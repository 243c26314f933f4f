"""Each process computes on a card of its own, however the cards are numbered."""

import threading
from types import SimpleNamespace

import pytest
import torch

from afrd.background import cards
from afrd.background.cards import free_card


def give_cards(monkeypatch: pytest.MonkeyPatch, *identities: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(identities))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda card: SimpleNamespace(uuid=identities[card]))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(cards.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(cards, "POLL_SECONDS", 0.01)


def test_without_a_card_the_device_is_chosen_as_ever(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with free_card() as device:
        assert device == "auto"


def test_two_at_once_have_two_cards_and_a_third_waits(monkeypatch):
    give_cards(monkeypatch, "A", "B")
    third: list[str] = []

    def wait() -> None:
        with free_card() as device:
            third.append(device)

    with free_card() as first, free_card() as second:
        assert (first, second) == ("cuda:0", "cuda:1")
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not third
    waiting.join()
    assert third == ["cuda:0"] or third == ["cuda:1"]


def test_jobs_that_number_different_cards_alike_do_not_wait_for_each_other(monkeypatch):
    give_cards(monkeypatch, "A")
    with free_card() as first:
        give_cards(monkeypatch, "B")
        with free_card() as second:
            assert first == second == "cuda:0"


def test_an_error_frees_the_card(monkeypatch):
    give_cards(monkeypatch, "A")
    with pytest.raises(RuntimeError), free_card():
        raise RuntimeError
    with free_card() as device:
        assert device == "cuda:0"
