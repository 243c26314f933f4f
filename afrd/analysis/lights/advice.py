"""Data of the light advisor's advice."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, eq=False)
class Advice:
    """Which lights a rig needs, with the figures behind it.

    Attributes:
        metric, delta, costs, unit: parameters of the question; the costs of the lights are in `unit`.
        sentence: the answer.
        notes: further sentences about single lights, defect types and the limits of the samples.
        smallest_rig: the cheapest set of lights that is not worse than all lights by more than `delta`, at 95 %
            confidence; all lights where none is.
        enough: whether that is fewer than all.
        sets: a row a set, as `Survey.table`, with its `cost`, its `value` (of the metric) and interval `low`, `high`,
            its `difference` from all lights with `difference_low`, `difference_high`, and whether it is on the
            `front`: nothing that costs less is as good. The best of many sets is optimistically biased here: selected
            and evaluated on the same samples; `budgets` is not.
        budgets: a row a budget, from the most expensive down: `budget`, `lights` (the best within it on all samples,
            comma-separated), `size`, `cost`, `change` (from all lights, of sets selected on one half and evaluated on
            the other: the mean over the draws), `at_least`, `at_most` (each at 95 % confidence), `same` (how often this
            set was selected), `verdict` (`enough`, `cannot tell`, `loses`).
        lights: a row a light: `cost`, `alone` (the metric), `shapley`, `shapley_low`, `shapley_high`, `without` (the
            change when it alone is left out), `without_low`, `without_high`, `verdict` (`needed`, `dispensable`,
            `cannot tell`).
        defects: a row a defect type: `samples`, `all_lights` and `rig` (image AUROC against the good samples), `change`
            (of rigs at the budget of the smallest one, selected on one half and evaluated on the other), `change_low`,
            `change_high`, `verdict` (`kept`, `lost`, `cannot tell`), `lost_without` (lights without which its detection
            drops at 95 % confidence).
        without, without_high: defect types x lights, change of the type's image AUROC when the light alone is left out,
            and the upper end of its interval.
    """

    metric: str
    delta: float
    costs: dict[str, float]
    unit: str
    sentence: str
    notes: tuple[str, ...]
    smallest_rig: tuple[str, ...]
    enough: bool
    sets: pd.DataFrame
    budgets: pd.DataFrame
    lights: pd.DataFrame
    defects: pd.DataFrame
    without: pd.DataFrame
    without_high: pd.DataFrame

    @property
    def text(self) -> str:
        return " ".join([self.sentence, *self.notes])
