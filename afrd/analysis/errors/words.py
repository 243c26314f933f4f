"""Names of methods and labels in the error table."""

from __future__ import annotations

from afrd.metrics.words import BAD, label_word


def short_name(label: str) -> str:
    """A method's label, shortened for a column header: `AFRD attention`, `memory max`, `RD box`, `RDs late max`."""
    for long, short in (
        ("single-light RDs, late ", "RDs late "),
        ("single-light RD, ", "RD "),
        ("single-light memory, ", "memory "),
        ("patch memory, ", "memory "),
        ("AFRD, ", "AFRD "),
    ):
        if label.startswith(long):
            return (
                (short + label.removeprefix(long)).replace(" over evidence", "").replace(" over features", " features")
            )
    return label


def truth_word(anomalous: bool | None) -> str:
    """A label as the column `truth` has it: `good`, `bad` or `unknown`."""
    return label_word(anomalous, BAD)
