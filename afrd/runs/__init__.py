"""Training a model, and what is kept of it on disk: features, plans, checkpoints, runs."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
