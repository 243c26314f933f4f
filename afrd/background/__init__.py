"""Heavy work in the background: a queue of trainings, jobs that can be watched and cancelled, sweeps."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
