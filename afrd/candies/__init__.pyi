from .render import CATEGORIES, render_category

__all__ = ["CATEGORIES", "render_category"]
