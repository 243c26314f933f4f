from .sweep import run_sweep
from .sweep_estimate import estimate_sweep
from .sweep_status import sweep_progress, sweep_status

__all__ = ["estimate_sweep", "run_sweep", "sweep_progress", "sweep_status"]
