from .consequences import PER_THOUSAND, OperatingPoint, at_most, consequences
from .predictions import Predictions, region_share
from .ranking import aupro, image_metrics, pixel_metrics
from .threshold import Threshold, conformal_threshold
from .views import object_metrics, object_scores, view_metrics
from .words import METRIC_NAMES, METRICS, REPORTED_METRICS

__all__ = [
    "METRICS",
    "METRIC_NAMES",
    "PER_THOUSAND",
    "REPORTED_METRICS",
    "OperatingPoint",
    "Predictions",
    "Threshold",
    "at_most",
    "aupro",
    "conformal_threshold",
    "consequences",
    "image_metrics",
    "object_metrics",
    "object_scores",
    "pixel_metrics",
    "region_share",
    "view_metrics",
]
