from . import store, sweep_plan
from .checkpoint import checkpoint_epochs
from .correction_files import (
    Correction,
    corrected_samples,
    correction_ids,
    corrections_suffix,
    read_corrections,
    remove_correction,
    removed_ids,
)
from .corrections import correct, keep, propose, restore, undo, with_corrections, with_kept_corrections
from .export import Export, export_onnx
from .loading import load_run
from .operating_points import operating_point, operating_points, save_operating_point, undo_operating_point
from .options import TrainingOptions
from .plan import TrainingPlan, default_epochs, default_memory, plan, split_train
from .prediction import Prediction
from .region import (
    ROI_AUTO,
    ROI_NONE,
    data_region,
    drawn_region,
    read_region,
    region_of,
    save_region,
    silhouette,
    stored_region,
)
from .run import Run
from .run_folder import FitConfig, copy_run, find_runs, is_finished, read_config
from .run_log import log_event
from .sizes import same_grid, size_notes
from .sweep_plan import load_sweep, make_sweep, read_sweep
from .thresholds import subset_thresholds
from .training import Cancelled, StepReport, crop, fit, learning_rate, train
from .training_parts import unusual_text

__all__ = [
    "ROI_AUTO",
    "ROI_NONE",
    "Cancelled",
    "Correction",
    "Export",
    "FitConfig",
    "Prediction",
    "Run",
    "StepReport",
    "TrainingOptions",
    "TrainingPlan",
    "checkpoint_epochs",
    "copy_run",
    "correct",
    "corrected_samples",
    "correction_ids",
    "corrections_suffix",
    "crop",
    "data_region",
    "default_epochs",
    "default_memory",
    "drawn_region",
    "export_onnx",
    "find_runs",
    "fit",
    "is_finished",
    "keep",
    "learning_rate",
    "load_run",
    "load_sweep",
    "log_event",
    "make_sweep",
    "operating_point",
    "operating_points",
    "plan",
    "propose",
    "read_config",
    "read_corrections",
    "read_region",
    "read_sweep",
    "region_of",
    "remove_correction",
    "removed_ids",
    "restore",
    "same_grid",
    "save_operating_point",
    "save_region",
    "silhouette",
    "size_notes",
    "split_train",
    "store",
    "stored_region",
    "subset_thresholds",
    "sweep_plan",
    "train",
    "undo",
    "undo_operating_point",
    "unusual_text",
    "with_corrections",
    "with_kept_corrections",
]
