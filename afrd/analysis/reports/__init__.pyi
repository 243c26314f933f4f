from . import errors, lights, sweep

__all__ = ["errors", "lights", "sweep"]
