from .feature_store import features_stored
from .run import Prediction, Run, load_run
from .run_folder import FitConfig, copy_run, find_runs, is_finished, read_config
from .training import Cancelled, StepReport, default_epochs, fit, split_train

__all__ = [
    "Cancelled",
    "FitConfig",
    "Prediction",
    "Run",
    "StepReport",
    "copy_run",
    "default_epochs",
    "features_stored",
    "find_runs",
    "fit",
    "is_finished",
    "load_run",
    "read_config",
    "split_train",
]
