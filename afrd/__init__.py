"""AFRD: attention fusion reverse distillation for parts photographed under several lights.

import afrd
data = afrd.open_dataset("data/candies", "Praline")
run = afrd.fit(data, lights="all", out="runs/praline")
seen = run.predict(data["test_public"][25], lights=["top", "box"])
"""

import importlib
from typing import TYPE_CHECKING

from afrd.version import __version__

if TYPE_CHECKING:
    from afrd import figures
    from afrd.datasets import Sample, check, list_categories, open_dataset, read_sample
    from afrd.evaluation import Predictions
    from afrd.runs import Prediction, Run, load_run
    from afrd.training import fit

# Names are found when first used: the candy factory's workers and `afrd --help` need no torch.
_HOMES = {
    "open_dataset": "datasets",
    "read_sample": "datasets",
    "list_categories": "datasets",
    "check": "datasets",
    "Sample": "datasets",
    "fit": "training",
    "load_run": "runs",
    "Run": "runs",
    "Prediction": "runs",
    "Predictions": "evaluation",
    "figures": "figures",
}
__all__ = [
    "Prediction",
    "Predictions",
    "Run",
    "Sample",
    "__version__",
    "check",
    "figures",
    "fit",
    "list_categories",
    "load_run",
    "open_dataset",
    "read_sample",
]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'afrd' has no attribute {name!r}")
    module = importlib.import_module(f"afrd.{_HOMES[name]}")
    return module if name == _HOMES[name] else getattr(module, name)
