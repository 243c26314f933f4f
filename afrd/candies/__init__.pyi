from .render import CATEGORIES, DEFECTS, EYECANDIES_RIG, Light, is_complete, render_category, render_sample, spot_ring

__all__ = [
    "CATEGORIES",
    "DEFECTS",
    "EYECANDIES_RIG",
    "Light",
    "is_complete",
    "render_category",
    "render_sample",
    "spot_ring",
]
