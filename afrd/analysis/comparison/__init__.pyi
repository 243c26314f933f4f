from . import differences, sweep_results, sweep_tables
from .differences import (
    beaten_by,
    by_defect,
    curves,
    standing,
    standings_table,
    summary,
    telling_samples,
    worth_drawing,
)
from .methods import methods_of, reference_of
from .scores import split_scores

__all__ = [
    "beaten_by",
    "by_defect",
    "curves",
    "differences",
    "methods_of",
    "reference_of",
    "split_scores",
    "standing",
    "standings_table",
    "summary",
    "sweep_results",
    "sweep_tables",
    "telling_samples",
    "worth_drawing",
]
