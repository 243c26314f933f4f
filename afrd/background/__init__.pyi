from .sweep import run_sweep, sweep_status
from .sweep_estimate import estimate_sweep

__all__ = ["estimate_sweep", "run_sweep", "sweep_status"]
