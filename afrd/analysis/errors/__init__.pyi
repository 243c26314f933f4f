from . import notes, table
from .notes import Note, Notes, cleaned

__all__ = [
    "Note",
    "Notes",
    "cleaned",
    "notes",
    "table",
]
