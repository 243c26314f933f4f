from . import analysis, candies, data, figures, metrics, model, runs
from .analysis import comparison, errors, explain, lights, reports
from .data.check import check
from .data.dataset import list_categories, open_dataset
from .data.sample import Sample, read_sample
from .metrics.predictions import Predictions
from .page.light_table.notebook import explore, light_table
from .runs.loading import load_run
from .runs.plan import plan
from .runs.prediction import Prediction
from .runs.run import Run
from .runs.training import fit
from .version import __version__

__all__ = [
    "Prediction",
    "Predictions",
    "Run",
    "Sample",
    "__version__",
    "analysis",
    "candies",
    "check",
    "comparison",
    "data",
    "errors",
    "explain",
    "explore",
    "figures",
    "fit",
    "light_table",
    "lights",
    "list_categories",
    "load_run",
    "metrics",
    "model",
    "open_dataset",
    "plan",
    "read_sample",
    "reports",
    "runs",
]
