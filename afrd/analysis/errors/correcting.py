"""Consequences of a correction for a split, before it is kept.

candidate = afrd.runs.propose(run, data["test_public"], 7, place=(120, 88))
changed = changes(run, candidate, data["test_public"])
print(changed.sentence())
changed.table           # the samples whose verdict changes
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from afrd.analysis.comparison.scores import Scores, split_scores
from afrd.analysis.errors.words import truth_word
from afrd.data.dataset import MultiLightDataset
from afrd.metrics.threshold import Threshold
from afrd.metrics.words import outcome, verdict_word
from afrd.runs.correction_files import corrected_samples
from afrd.runs.run import Run


@dataclass(frozen=True, eq=False)
class Changes:
    """A split judged before and after a change of a run.

    Attributes:
        table: a row a sample whose verdict changes: `sample`, `truth` (good, bad, unknown), `defects`, `before` and
            `after` (its score in units of the threshold), `verdict` (the new one), `outcome` (of the new verdict), and
            `counted` (False for samples that were corrected).
        samples: of the split.
        threshold_before, threshold_after: None for a run without calibration samples.
        alarms, missed: false alarms and missed defects before and after, both among the samples that count afterwards.
        good, bad: how many of these samples there are.
        lost: names of the samples with a defect that was found before and is missed now.
        corrected: names of the samples of the split that do not count.
        itself: the sample of the latest correction, and its score before and after in units of the threshold; None
            where it is none of this split.
    """

    table: pd.DataFrame
    samples: int
    threshold_before: Threshold | None
    threshold_after: Threshold | None
    alarms: tuple[int, int]
    missed: tuple[int, int]
    good: int
    bad: int
    lost: tuple[str, ...]
    corrected: tuple[str, ...]
    itself: tuple[str, float, float] | None = None

    def sentence(self) -> str:
        """The change in words."""
        if self.threshold_before is None or self.threshold_after is None:
            return "This run has no threshold, so no verdict changes."
        one, two = self.threshold_before.value, self.threshold_after.value
        by = f"{100 * (two / one - 1):+.1f} %" if abs(two / one - 1) >= 5e-4 else "as before"
        parts = [
            f"Threshold {one:.4g} → {two:.4g} ({by})",
            f"false alarms {self.alarms[0]} → {self.alarms[1]} of {self.good} good samples",
            f"missed defects {self.missed[0]} → {self.missed[1]} of {self.bad}",
        ]
        lost = f" Defects lost: {', '.join(self.lost)}." if self.lost else " No defect is lost."
        own = ""
        if self.itself is not None:
            name, before, after = self.itself
            own = f"Sample {name}: {before:.2f} → {after:.2f} × the threshold. "
        uncounted = f" Not counted: {', '.join(self.corrected)}." if self.corrected else ""
        return f"{own}{'; '.join(parts)}.{lost}{uncounted}"


def changes(
    before: Run,
    after: Run,
    dataset: MultiLightDataset,
    lights: Sequence[str] | None = None,
    scored: Scores | None = None,
) -> Changes:
    """Judges a split by a run before and after a correction (or any other change).

    Args:
        before, after: of the same lights.
        dataset: a split; with the evidence of `before` in memory this takes a second for 40 samples.
        lights: a subset; all by default.
        scored: the scores of `before`, if computed already.
    """
    scores = [scored or split_scores(before, dataset, lights), split_scores(after, dataset, lights)]
    verdicts = [s.anomalous if s.anomalous is not None else np.zeros(len(dataset), bool) for s in scores]
    corrected = corrected_samples(after.corrections, dataset)
    counted = np.array([i not in corrected for i in range(len(dataset))])
    bad = np.array([label is True for label in dataset.anomalous]) & counted
    good = np.array([label is False for label in dataset.anomalous]) & counted
    changed = np.flatnonzero(verdicts[0] != verdicts[1])
    names = np.array(dataset.names, dtype=object)
    table = pd.DataFrame(
        {
            "sample": names[changed],
            "truth": [truth_word(dataset.anomalous[i]) for i in changed],
            "defects": ["+".join(dataset.defects[i]) for i in changed],
            "before": scores[0].relative[changed],
            "after": scores[1].relative[changed],
            "verdict": [verdict_word(bool(verdicts[1][i])) for i in changed],
            "outcome": [outcome(dataset.anomalous[i], bool(verdicts[1][i])) for i in changed],
            "counted": counted[changed],
        }
    )
    return Changes(
        table,
        len(dataset),
        scores[0].threshold,
        scores[1].threshold,
        (int((verdicts[0] & good).sum()), int((verdicts[1] & good).sum())),
        (int((~verdicts[0] & bad).sum()), int((~verdicts[1] & bad).sum())),
        int(good.sum()),
        int(bad.sum()),
        tuple(names[verdicts[0] & ~verdicts[1] & bad]),
        tuple(names[~counted]),
        _itself(after, dataset, scores),
    )


def _itself(run: Run, dataset: MultiLightDataset, scores: Sequence[Scores]) -> tuple[str, float, float] | None:
    """The sample of the latest correction and its scores before and after; None where the split does not have it."""
    if not run.corrections:
        return None
    about = run.corrections[-1].about
    if (about.category, about.split) != (dataset.category, dataset.split) or about.sample not in dataset.names:
        return None
    before, after = (float(of_split.relative[dataset.names.index(about.sample)]) for of_split in scores)
    return about.sample, before, after
