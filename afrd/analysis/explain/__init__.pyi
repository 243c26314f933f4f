from .attention_drift import drift, sentence
from .place import searched, similar_places, why
from .score import around
from .shapley import MOST
from .visibility import KINDS, NEAR, VISIBLE, measure

__all__ = [
    "KINDS",
    "MOST",
    "NEAR",
    "VISIBLE",
    "around",
    "drift",
    "measure",
    "searched",
    "sentence",
    "similar_places",
    "why",
]
