"""From scores and maps to metrics: ranking metrics, bootstrap intervals, thresholds."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
