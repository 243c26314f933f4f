from . import differences, sweep_results, sweep_tables
from .differences import (
    beaten_by,
    by_defect,
    curves,
    method_result,
    results_table,
    summary,
    telling_samples,
    worth_drawing,
)
from .methods import methods_of, reference_of, single_method
from .scores import split_scores

__all__ = [
    "beaten_by",
    "by_defect",
    "curves",
    "differences",
    "method_result",
    "methods_of",
    "reference_of",
    "results_table",
    "single_method",
    "split_scores",
    "summary",
    "sweep_results",
    "sweep_tables",
    "telling_samples",
    "worth_drawing",
]
