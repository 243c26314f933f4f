from . import contact_sheet, errors, groups, lights, sweep

__all__ = ["contact_sheet", "errors", "groups", "lights", "sweep"]
