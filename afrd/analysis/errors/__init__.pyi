from . import columns, exchange, expression, group_metrics, groups, notes, table
from .correcting import Changes, changes
from .exchange import Imported, copied, exported, imported, undo_latest
from .group_metrics import GROUP_METRICS
from .groups import Group, Groups
from .notes import Note, Notes, cleaned

__all__ = [
    "GROUP_METRICS",
    "Changes",
    "Group",
    "Groups",
    "Imported",
    "Note",
    "Notes",
    "changes",
    "cleaned",
    "columns",
    "copied",
    "exchange",
    "exported",
    "expression",
    "group_metrics",
    "groups",
    "imported",
    "notes",
    "table",
    "undo_latest",
]
