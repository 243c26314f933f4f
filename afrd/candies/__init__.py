"""A renderer of small multi-light data sets in the Eyecandies layout; it imports nothing else of this project."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
