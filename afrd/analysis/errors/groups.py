"""Groups of samples: filters over an error table, saved by name for all runs of a folder.

dents = Group(where="'dents' in defects and defect_px < 200")
rows = dents.rows(table, notes=notes)
Groups("runs").save("small dents", dents)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from afrd.analysis.errors.columns import columns_of
from afrd.analysis.errors.expression import MAX_LENGTH, matching
from afrd.analysis.errors.notes import Note
from afrd.analysis.errors.table import QUESTIONS, ErrorTable
from afrd.metrics.words import BAD, GOOD
from afrd.runs.shared_file import DamagedError, Entries, Key, SharedFile

GROUP = "group"  # kind of entries
MAX_GROUPS, MAX_NAME, MAX_TEXT = 100, 60, 200  # groups of a folder, characters of a name and of the words searched
KINDS = ("all", GOOD, BAD)


@dataclass(frozen=True)
class Group:
    """Conditions that a sample must fulfil, all of them, to be in a group.

    Attributes:
        where: an expression, see `afrd.analysis.errors.expression`; "" for none.
        question: one of `afrd.analysis.errors.table.QUESTIONS`.
        kind: `all`, `good`, `bad` or a defect type.
        text: words that are searched for.
        region: a column of the table and its range, both ends included.
    """

    where: str = ""
    question: str = "all"
    kind: str = "all"
    text: str = ""
    region: tuple[str, float, float] | None = None

    def __post_init__(self) -> None:
        if len(self.where) > MAX_LENGTH:
            raise ValueError(f"the expression has {len(self.where)} characters; at most {MAX_LENGTH} are allowed")
        if self.question not in QUESTIONS:
            raise ValueError(f"there is no question {self.question!r}; there are {', '.join(QUESTIONS)}")
        if len(self.text) > MAX_TEXT or len(self.kind) > MAX_TEXT:
            raise ValueError(f"the words of a group have more than {MAX_TEXT} characters")
        if self.region is not None and not all(map(math.isfinite, self.region[1:])):
            raise ValueError("the range of a column has no end")

    def __bool__(self) -> bool:
        return self != Group()

    def rows(
        self,
        table: ErrorTable,
        at: float | None = 1.0,
        notes: Mapping[str, Note] | None = None,
        frame: pd.DataFrame | None = None,
    ) -> list[int]:
        """Positions of the samples in the group, in the order of its question.

        Args:
            table: of the samples.
            at: the threshold, see `afrd.analysis.errors.table`.
            notes: by sample name.
            frame: `table.frame(at, notes=notes)`, where it is already made.

        Raises:
            ValueError: the expression is none, or a column is not in this table.
        """
        frame = table.frame(at, notes=notes) if frame is None else frame
        rows = table.answer(self.question, at)
        if self.text:
            matches = table.search(self.text, at, notes)
            rows = [row for row in rows if matches[row]]
        if self.kind in (GOOD, BAD):
            rows = [row for row in rows if table.samples.anomalous[row] is (self.kind == BAD)]
        elif self.kind != "all":
            rows = [row for row in rows if self.kind in table.samples.defects[row].split("+")]
        if self.region is not None:
            column, low, high = self.region
            if column not in frame or frame[column].dtype.kind != "f":
                raise ValueError(f"the group needs a column {column!r} of numbers, which this table does not have")
            rows = [row for row in rows if low <= frame[column].iloc[row] <= high]
        if self.where:
            fulfilled = matching(self.where, columns_of(table, at, notes, frame))
            rows = [row for row in rows if fulfilled[row]]
        return rows

    def words(self) -> str:
        """The filters as text."""
        parts = [self.where] if self.where else []
        parts += [self.question.replace("_", " ")] if self.question != "all" else []
        parts += [self.kind] if self.kind != "all" else []
        parts += [f"“{self.text}”"] if self.text else []
        if self.region is not None:
            column, low, high = self.region
            parts.append(f"{column} from {low:.2f} to {high:.2f}")
        return "; ".join(parts) or "all samples"


class Groups:
    """The groups of a folder of runs, in the file of its notes.

    Args:
        folder: that holds the runs.
    """

    def __init__(self, folder: str | Path) -> None:
        self.file = SharedFile(folder)

    def all(self) -> dict[str, Group]:
        """The groups by name, sorted.

        Raises:
            ValueError: the file is broken.
        """
        with self.file.reading() as entries:
            return groups_in(entries)

    def get(self, name: str) -> Group:
        """One group.

        Raises:
            ValueError: there is none of this name; the message lists those that there are.
        """
        groups = self.all()
        if name not in groups:
            others = f"it has {', '.join(groups)}" if groups else "it has none; `afrd groups --save` makes one"
            raise ValueError(f"{self.file.folder} has no group {name!r}: {others}")
        return groups[name]

    def save(self, name: str, group: Group | None) -> None:
        """Stores a group under a name; one that is there is replaced, which can be undone. None removes it.

        Raises:
            ValueError: a name that is empty, longer than `MAX_NAME` or has a line break, or too many groups.
        """
        with self.file.writing() as entries:
            put(entries, name, group)

    def undo(self, name: str) -> Group | None:
        """Undoes the latest change of a group, including removals; returns the group as it is now.

        Raises:
            ValueError: there is no change to undo.
        """
        with self.file.writing() as entries:
            if not entries.undo(key_of(name)):
                raise ValueError(f"there is no change of the group {name!r} to undo")
            return groups_in(entries).get(name)


def key_of(name: str) -> Key:
    return Key(GROUP, "", "", name)


def groups_in(entries: Entries) -> dict[str, Group]:
    """The stored groups by name."""
    try:
        return {key.name: group_of(value) for key, value in entries.of(GROUP).items()}
    except ValueError as error:
        raise DamagedError(str(error)) from error


def put(entries: Entries, name: str, group: Group | None) -> None:
    """Stores a group, see `Groups.save`."""
    if not name.strip() or name != name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise ValueError(f"{name!r:.80} is no name of a group; choose 1 to {MAX_NAME} characters on one line")
    names = groups_in(entries)
    if group is not None and name not in names and len(names) >= MAX_GROUPS:
        raise ValueError(f"there are {len(names)} groups, and at most {MAX_GROUPS}; remove one first")
    entries.put(key_of(name), None if group is None else as_value(group))


def as_value(group: Group) -> dict[str, Any]:
    """A group as JSON."""
    region = list(group.region) if group.region is not None else None
    return {
        name: value for name, value in (asdict(group) | {"region": region}).items() if value not in ("", "all", None)
    }


def group_of(value: Any) -> Group:
    """A group from JSON.

    Raises:
        ValueError: it is none.
    """
    try:
        return TypeAdapter(Group).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"it is no group ({place + ': ' if place else ''}{first['msg']})") from error
