from . import comparison, errors, explain, lights, reports

__all__ = ["comparison", "errors", "explain", "lights", "reports"]
