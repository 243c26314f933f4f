from . import score
from .alike import Alike, Reach, alike, reach
from .attention_drift import drift, sentence
from .place import searched, similar_places, why
from .region import around
from .shapley import MAX_EXACT_LIGHTS
from .visibility import HIT_SHARE, KINDS, MIN_VISIBILITY, measure

__all__ = [
    "HIT_SHARE",
    "KINDS",
    "MAX_EXACT_LIGHTS",
    "MIN_VISIBILITY",
    "Alike",
    "Reach",
    "alike",
    "around",
    "drift",
    "measure",
    "reach",
    "score",
    "searched",
    "sentence",
    "similar_places",
    "why",
]
