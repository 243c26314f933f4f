from .predictions import Predictions
from .ranking import METRIC_NAMES, METRICS, aupro, image_metrics, pixel_metrics
from .threshold import Threshold, conformal_threshold

__all__ = [
    "METRICS",
    "METRIC_NAMES",
    "Predictions",
    "Threshold",
    "aupro",
    "conformal_threshold",
    "image_metrics",
    "pixel_metrics",
]
