from . import errors, groups, lights, sweep

__all__ = ["errors", "groups", "lights", "sweep"]
