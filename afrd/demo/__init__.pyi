from .prepare import Preparation

__all__ = ["Preparation"]
