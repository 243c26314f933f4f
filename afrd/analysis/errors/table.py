"""Qualitative error analysis: a table of a split's samples with the scores of all methods, and queries on it.

    methods = methods_of([afrd.load_run("runs/afrd"), afrd.load_run("runs/single-box")])
    errors = afrd.analysis.errors.table.table(methods, data["test_public"])
    errors.confusion()                               # at the promised rate of false alarms
    errors.frame(rows=errors.answer("missed"))       # the missed defects, the worst first
    errors.frame(rows=errors.answer("wrong_place"), at=0.9)

`at` is a threshold in units of each method's own: 1 is the one that promises its rate of false alarms. Where the run
has none, `at` is a raw score, or None for no verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from afrd.analysis.comparison.methods import Method
from afrd.analysis.comparison.scores import light_scores
from afrd.analysis.errors.notes import Note
from afrd.analysis.errors.words import short_name, truth_word
from afrd.data.dataset import MultiLightDataset
from afrd.metrics.localisation import localise
from afrd.metrics.predictions import Predictions
from afrd.metrics.ranking import f1_max
from afrd.metrics.threshold import SCORE_TOLERANCE
from afrd.metrics.words import outcome
from afrd.model.evidence import SMOOTHING

QUESTIONS = (
    "all",
    "missed",
    "false_alarms",
    "only_run_right",
    "only_other_right",
    "lights_disagree",
    "wrong_place",
)


@dataclass(frozen=True)
class Confusion:
    """Counts of samples with known truth at one threshold, and of the good calibration samples above it."""

    detected: int  # bad, called anomalous
    missed: int  # bad, called good
    false_alarms: int  # good, called anomalous
    passed: int  # good, called good
    unknown: int  # samples whose truth is not known
    calibration_above: int
    calibration: int


@dataclass(frozen=True, eq=False)
class ErrorTable:
    """Results of several methods on N samples.

    Attributes:
        samples: index 0..N-1 in the split's order; columns `sample`, `anomalous` (True, False, None unknown), `defects`
            (joined by +), and of the method `run`, where the sample is bad and its mask known, else NaN: `best_iou`,
            the intersection over union of mask and thresholded map at the threshold that makes it largest; `peak_off`,
            pixels between the map's maximum and the nearest defective pixel, 0 inside the mask.
        scores: (N, M), a column a method, in units of its threshold where it has one, else raw.
        thresholds: of each method, None where it has none.
        light_scores: (N, L), the maximum of each light's own error map, in units of that light's own threshold (raw
            where there is none): the score of `run` with this light alone. No columns where the lights of
            `run` share one error, or for one light.
        inside: per sample the values of the map inside the mask, in the unit of `run`, rising; empty without a mask.
        calibration: (n,) scores of the good samples that the threshold of `run` comes from, in its unit.
        run: label of the method whose errors are analysed.
        other: label of the method compared with it, or None.
        blur: pixels; a maximum at most so far outside of the mask counts as in place: the sigma of the map's smoothing.
        category, split: of the samples; "" where they are not known.
    """

    samples: pd.DataFrame
    scores: pd.DataFrame
    thresholds: Mapping[str, float | None]
    light_scores: pd.DataFrame
    inside: tuple[np.ndarray, ...]
    calibration: np.ndarray
    run: str
    other: str | None
    blur: float
    category: str = ""
    split: str = ""

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def labels(self) -> list[str]:
        """Labels of all methods."""
        return [str(label) for label in self.scores]

    @property
    def first_threshold(self) -> float | None:
        """The initial threshold: 1 where the run has one, else the raw score with the best F1 on these samples."""
        if self.thresholds[self.run] is not None:
            return 1.0
        labelled = self.labelled
        if not (self.bad & labelled).any():
            return None
        scores = self.scores[self.run].to_numpy()[labelled]
        best = f1_max(self.bad[labelled], scores)[1]
        below = scores[scores < best]  # F1 counts a score at the threshold, a verdict one above it
        if not len(below):
            return float(np.nextafter(best, -np.inf))
        middle = float((best + below.max()) / 2)
        rounded = round(middle, 3)
        return rounded if below.max() <= rounded < best else middle

    @property
    def bad(self) -> np.ndarray:
        """(N,) bool, known to be defective."""
        return np.array([label is True for label in self.samples.anomalous], dtype=bool)

    @property
    def labelled(self) -> np.ndarray:
        """(N,) bool, whose truth is known."""
        return np.array([label is not None for label in self.samples.anomalous], dtype=bool)

    @property
    def corrected(self) -> np.ndarray:
        """(N,) bool, corrected for the run (`afrd.runs.corrections`), so that its truth does not count."""
        return self.samples.get("corrected", pd.Series(False, self.samples.index)).to_numpy(bool)

    def with_scores(self, predictions: Mapping[str, Predictions]) -> ErrorTable:
        """The table with the scores of more methods, by label; those of labels already in it are replaced."""
        scores, thresholds = self.scores.copy(), dict(self.thresholds)
        for label, of_method in predictions.items():
            self._check_same_samples(of_method, label)
            scores[label], thresholds[label] = _in_unit(of_method)
        return replace(self, scores=scores, thresholds=thresholds)

    def _check_same_samples(self, predictions: Predictions, label: str) -> None:
        pairs = ((self.category, predictions.category), (self.split, predictions.split))
        other_split = any(mine and theirs and mine != theirs for mine, theirs in pairs)
        if other_split or list(self.samples["sample"]) != list(predictions.table["sample"]):
            raise ValueError(f"{label} is about other samples than the table, so its scores cannot stand in it")

    def against(self, other: str | None) -> ErrorTable:
        """The table with another method for comparison."""
        if other is not None and other not in self.scores:
            raise ValueError(f"method {other!r} is not in the table; it has {', '.join(self.labels)}")
        return replace(self, other=other)

    def threshold_of(self, label: str, at: float | None = 1.0) -> float | None:
        """The threshold of a method in its unit: `at`, as a multiple of each method's own threshold.

        Where `run` has no threshold of its own, those of the others stay at 1; None: no verdicts.
        """
        if label == self.run:
            return at
        if self.thresholds[label] is None:
            return None
        return at if self.thresholds[self.run] is not None else 1.0

    def called(self, at: float | None = 1.0, label: str | None = None) -> np.ndarray | None:
        """(N,) bool, which samples a method (`run` by default) calls anomalous; None without verdicts."""
        label = label or self.run
        level = self.threshold_of(label, at)
        return None if level is None else self.scores[label].to_numpy() > level * (1 + SCORE_TOLERANCE)

    def outcome(self, at: float | None = 1.0, label: str | None = None) -> list[str]:
        """Per sample `right`, `missed`, `false alarm`; the verdict where the truth is not known; "" without one."""
        called = self.called(at, label)
        if called is None:
            return [""] * len(self)
        return [
            outcome(truth, bool(anomalous)) for anomalous, truth in zip(called, self.samples.anomalous, strict=True)
        ]

    def confusion(self, at: float | None = 1.0, label: str | None = None) -> Confusion | None:
        """Counts at this threshold; None without verdicts. The calibration samples are those of `run`."""
        called = self.called(at, label)
        if called is None:
            return None
        bad, good = self.bad, self.labelled & ~self.bad
        is_run = label in (None, self.run)
        return Confusion(
            int((called & bad).sum()),
            int((~called & bad).sum()),
            int((called & good).sum()),
            int((~called & good).sum()),
            int((~self.labelled).sum()),
            int((self.calibration > at).sum()) if is_run else 0,
            len(self.calibration) if is_run else 0,
        )

    def defect_found(self, at: float | None = 1.0) -> np.ndarray:
        """(N,) share of the defective pixels above the threshold, 0..1; NaN without mask or `at`."""
        if at is None:
            return np.full(len(self), np.nan)
        return np.array(
            [1 - np.searchsorted(v, at, side="right") / len(v) if len(v) else np.nan for v in self.inside], dtype=float
        )

    @property
    def disagreement(self) -> np.ndarray:
        """(N,) the highest minus the lowest of `light_scores`; NaN without two lights."""
        if self.light_scores.shape[1] < 2:
            return np.full(len(self), np.nan)
        return np.ptp(self.light_scores.to_numpy(), axis=1)

    def lights_above(self, at: float | None = 1.0) -> list[tuple[str, ...]]:
        """Per sample the lights that would call it anomalous alone, at the same multiple of their own thresholds."""
        if at is None or self.thresholds[self.run] is None:
            return [()] * len(self)
        names, above = list(self.light_scores), self.light_scores.to_numpy() > at
        return [tuple(str(name) for name, is_above in zip(names, row, strict=True) if is_above) for row in above]

    def answer(self, question: str, at: float | None = 1.0) -> list[int]:
        """Rows that answer one of `QUESTIONS`, the clearest cases first.

            all                all samples in their order
            missed             bad, called good: lowest score first
            false_alarms       good, called anomalous: highest score first
            only_run_right     `run` is right and `other` wrong: largest difference of their scores first
            only_other_right   the reverse
            lights_disagree    some lights alone would say anomalous, others good: largest disagreement first
            wrong_place        bad and called so, but the map's maximum is off the defect by more than the map's blur:
                               the furthest first

        Raises:
            ValueError: there is no such question.
        """
        if question not in QUESTIONS:
            raise ValueError(f"there is no question {question!r}; there are {', '.join(QUESTIONS)}")
        everything = np.arange(len(self))
        if question == "all":
            return everything.tolist()
        selected, key = self._selected(question, at)
        rows = everything[selected]
        return rows[np.argsort(-key[rows], kind="stable")].tolist()

    def _selected(self, question: str, at: float | None) -> tuple[np.ndarray, np.ndarray]:
        """The selected rows, (N,) bool, and the key by which they are sorted, (N,), largest first."""
        no_rows, score = np.zeros(len(self), dtype=bool), self.scores[self.run].to_numpy()
        called = self.called(at)
        if question == "lights_disagree":
            count = np.array([len(lights) for lights in self.lights_above(at)], dtype=int)
            return (count > 0) & (count < self.light_scores.shape[1]), np.nan_to_num(self.disagreement)
        if called is None:
            return no_rows, score
        bad, labelled = self.bad, self.labelled
        if question == "missed":
            return bad & ~called, -score
        if question == "false_alarms":
            return labelled & ~bad & called, score
        if question == "wrong_place":
            distance = np.nan_to_num(self.samples.peak_off.to_numpy())
            return bad & called & (distance > self.blur), distance
        other_called = self.called(at, self.other) if self.other else None
        if other_called is None:
            return no_rows, score
        right = (called == bad) if question == "only_run_right" else (other_called == bad)
        difference = np.abs(score - self.scores[self.other].to_numpy())
        return labelled & right & (called != other_called), difference

    def search(self, text: str, at: float | None = 1.0, notes: Mapping[str, Note] | None = None) -> np.ndarray:
        """(N,) bool: every word of the text occurs in a sample's name, truth, defects, outcome, tags or note."""
        words = text.casefold().split()
        notes = notes or {}
        matches = []
        columns = (self.samples["sample"], self.samples.anomalous, self.samples.defects, self.outcome(at))
        for name, anomalous, defects, outcome_word in zip(*columns, strict=True):
            note = notes.get(name, Note())
            texts = (name, truth_word(anomalous), defects, outcome_word, " ".join(note.tags), note.text)
            searched = "\n".join(texts).casefold()
            matches.append(all(word in searched for word in words))
        return np.array(matches, dtype=bool)

    def frame(
        self,
        at: float | None = 1.0,
        rows: Sequence[int] | None = None,
        notes: Mapping[str, Note] | None = None,
    ) -> pd.DataFrame:
        """The table to be shown: a row a sample, in the order of `rows` (all by default); the index is the position.

        Scores are in units of each method's threshold; the name of a method without one ends in `(raw)`.
        """
        notes = notes or {}
        sample_notes = [notes.get(name, Note()) for name in self.samples["sample"]]
        names = self.column_names()
        others = [label for label in self.labels if label not in (self.run, self.other)]
        columns = {
            "sample": self.samples["sample"],
            "truth": [
                "corrected" if corrected else truth_word(label)
                for label, corrected in zip(self.samples.anomalous, self.corrected, strict=True)
            ],
            "defects": self.samples.defects.str.replace("+", ", "),
            "outcome": self.outcome(at),
            names[self.run]: self.scores[self.run],
        }
        if self.other:
            columns[names[self.other]] = self.scores[self.other]
            columns[f"outcome {names[self.other]}"] = self.outcome(at, self.other)
        columns |= {
            "defect found": self.defect_found(at),
            "best IoU": self.samples.best_iou,
            "peak off, px": self.samples.peak_off,
        }
        if self.light_scores.shape[1] > 1:
            columns["disagreement"] = self.disagreement
            columns["lights above"] = [", ".join(lights) for lights in self.lights_above(at)]
        columns |= {
            "tags": [", ".join(note.tags) for note in sample_notes],
            "note": [note.text for note in sample_notes],
        }
        columns |= {names[label]: self.scores[label] for label in others}
        table = pd.DataFrame(columns)
        return table if rows is None else table.iloc[list(rows)]

    def column_names(self) -> dict[str, str]:
        """A short name for each method, such as `RD box`; with `(raw)` where it has no threshold."""
        short = {label: short_name(label) for label in self.labels}
        twice = {name for name in short.values() if list(short.values()).count(name) > 1}
        return {
            label: (label if name in twice else name) + ("" if self.thresholds[label] is not None else " (raw)")
            for label, name in short.items()
        }


def table(
    methods: Sequence[Method],
    dataset: MultiLightDataset,
    run: str | None = None,
    other: str | None = None,
    judge: Callable[[Method, MultiLightDataset], Predictions] = Method.judge,
) -> ErrorTable:
    """Evaluates a split by every method and collects the error table of its samples.

    Args:
        methods: as `afrd.analysis.comparison.methods.methods_of` gives them.
        dataset: one split.
        run: label of the method whose errors are analysed, the first by default; one run, not a late fusion.
        other: label of the method compared with it; by default the first single-light one.
        judge: evaluates a split by a method, for callers that cache predictions.

    Raises:
        ValueError: there is no method, none of that label, or a run does not fit the data.
    """
    labels = [method.label for method in methods]
    for label in (run, other):
        if label is not None and label not in labels:
            raise ValueError(f"method {label!r} is not among {', '.join(labels) or 'none'}")
    if not methods or methods[labels.index(run) if run else 0].late:
        raise ValueError("an error analysis needs one run to look at; give it the method of an AFRD run first")
    main = methods[labels.index(run) if run else 0]
    if other is None:
        singles = [m.label for m in methods if m.single and m is not main]
        other = singles[0] if singles else None
    by_label = {method.label: judge(method, dataset) for method in methods}
    predictions = by_label[main.label]
    unit = predictions.threshold.value if predictions.threshold else 1.0
    columns = [name for name in ("sample", "anomalous", "defects", "corrected") if name in predictions.table]
    samples = predictions.table[columns].reset_index(drop=True)
    masks = [
        mask if has_mask else None for mask, has_mask in zip(predictions.judged_masks, predictions.masked, strict=True)
    ]
    localisations = [localise(values, mask) for values, mask in zip(predictions.maps, masks, strict=True)]
    samples["best_iou"] = [localisation.best_iou for localisation in localisations]
    samples["peak_off"] = [localisation.peak_off for localisation in localisations]
    main_run = main.runs[0]
    empty = ErrorTable(
        samples,
        pd.DataFrame(index=samples.index),
        {},
        light_scores(main_run, dataset, main.lights),
        tuple(localisation.inside / unit for localisation in localisations),
        main_run.calibration_scores(main.lights, main.fusion) / unit,
        main.label,
        other,
        SMOOTHING * max(predictions.maps.shape[1:]),
        dataset.category,
        dataset.split,
    )
    return empty.with_scores(by_label)


def _in_unit(predictions: Predictions) -> tuple[np.ndarray, float | None]:
    unit = predictions.threshold.value if predictions.threshold else None
    return predictions.table.score.to_numpy(dtype=float) / (unit or 1.0), unit
