from . import errors, lights

__all__ = ["errors", "lights"]
