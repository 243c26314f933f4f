"""Names of metrics, words of labels, verdicts and outcomes, and numbers in sentences."""

from __future__ import annotations

METRICS = ("image_auroc", "image_ap", "image_f1max", "pixel_auroc", "pixel_ap", "aupro")
REPORTED_METRICS = ("image_auroc", "pixel_auroc", "pixel_ap", "aupro")  # of sweeps
METRIC_NAMES = dict(  # as text and figures show them
    zip(METRICS, ("image AUROC", "image AP", "image F1-max", "pixel AUROC", "pixel AP", "AUPRO"), strict=True)
)

GOOD, ANOMALOUS = "good", "anomalous"  # verdicts, and labels of samples
BAD = "bad"  # the label `ANOMALOUS` in filters, groups and the error table
OUTCOMES = ("right", "missed", "false alarm")


def verdict_word(anomalous: bool) -> str:
    """A verdict in words: `anomalous` or `good`."""
    return ANOMALOUS if anomalous else GOOD


def label_word(anomalous: bool | None, bad: str = ANOMALOUS) -> str:
    """A label in words: `good`, `bad` (a word of the caller) for an anomalous sample, `unknown` where it is None."""
    return "unknown" if anomalous is None else bad if anomalous else GOOD


def outcome(truth: bool | None, anomalous: bool) -> str:
    """A verdict against the truth (anomalous or not): one of `OUTCOMES`; the verdict where the truth is not known."""
    if truth is None:
        return verdict_word(anomalous)
    right, missed, false_alarm = OUTCOMES
    return right if truth == anomalous else missed if truth else false_alarm


def counted(number: int, one: str, many: str = "") -> str:
    """Such as `1 cell`, `2 cells`, `3 categories`; `many` where it has no plain plural."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"
