from . import survey
from .advisor import DELTA, advise, checked_costs, checked_delta
from .sentences import UNIT_LIGHTS
from .survey import load_survey, redundancy, with_truth

__all__ = [
    "DELTA",
    "UNIT_LIGHTS",
    "advise",
    "checked_costs",
    "checked_delta",
    "load_survey",
    "redundancy",
    "survey",
    "with_truth",
]
