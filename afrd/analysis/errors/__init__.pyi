from . import exchange, notes, table
from .exchange import Imported, exported, imported, undo_latest
from .notes import Note, Notes, cleaned

__all__ = [
    "Imported",
    "Note",
    "Notes",
    "cleaned",
    "exchange",
    "exported",
    "imported",
    "notes",
    "table",
    "undo_latest",
]
