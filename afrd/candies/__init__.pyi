from .render import CATEGORIES, DEFECTS, EYECANDIES_RIG, Light, is_complete, render_category, render_sample, spot_ring
from .sample import check_arguments
from .variants import random_number

__all__ = [
    "CATEGORIES",
    "DEFECTS",
    "EYECANDIES_RIG",
    "Light",
    "check_arguments",
    "is_complete",
    "random_number",
    "render_category",
    "render_sample",
    "spot_ring",
]
