"""Export of notes, groups, corrections and operating points as JSON, and import that overwrites nothing.

Notes and groups come from the file of the folder, corrections and operating points from the folders of its runs.

save_json(Path("notes.json"), exported("runs"))
imported("elsewhere/runs", load_json(Path("notes.json")))
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from afrd.analysis.errors.exchange_runs import add_corrections, add_points, exported_of_runs, read_of_runs
from afrd.analysis.errors.groups import MAX_NAME, Group, group_of, groups_in, key_of, put
from afrd.analysis.errors.groups import as_value as group_value
from afrd.analysis.errors.notes import (
    EARLIER_FILE,
    MAX_NOTE_LENGTH,
    MAX_TAGS,
    NOTE,
    Note,
    Notes,
    as_value,
    cleaned,
    note_of,
    notes_in,
    stored_note,
    take_over,
)
from afrd.runs.shared_file import Entries, Key, SharedFile

KIND, FORMAT = "notes of AFRD", 1


@dataclass
class Imported:
    """What happened to the entries of an import.

    Attributes:
        added: entries that were not there before.
        merged: notes that now hold what was there and what was imported.
        same: entries with nothing new.
        left: samples whose two notes together are longer than a note may be; they stay as they were.
        renamed: groups of another content than those of the same name, and the name under which they were added.
        corrections, points: corrections and operating points that were added, with the names of their runs.
        left_out: sentences on corrections and operating points that were not added.
    """

    added: list[Key] = field(default_factory=list)
    merged: list[Key] = field(default_factory=list)
    same: list[Key] = field(default_factory=list)
    left: list[Key] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    corrections: list[str] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def exported(folder: str | Path) -> dict[str, Any]:
    """Notes, groups, corrections and operating points of the runs in a folder, as JSON.

    Notes by run, split and sample, groups by name; see `exported_of_runs` for corrections and operating points.

    Raises:
        ValueError: a file is broken.
    """
    folder = Path(folder)
    _take_over_all(folder)
    runs: dict[str, Any] = {}
    with SharedFile(folder).reading() as entries:
        for key, note in notes_in(entries).items():
            runs.setdefault(key.run, {}).setdefault(key.split, {})[key.name] = as_value(note)
        groups = {name: group_value(group) for name, group in groups_in(entries).items()}
    return {"kind": KIND, "format": FORMAT, "runs": runs, "groups": groups} | exported_of_runs(folder)


def imported(folder: str | Path, content: Any) -> Imported:
    """Adds what was exported to what a folder has.

    Where both have a note on a sample, texts and tags of both stay; a group or an operating point whose name is taken
    by another gets a new name. Notes of a run that does not exist are kept for it; corrections and operating points are
    added to existing runs only, corrections only to runs with the same weights.

    Args:
        folder: that holds the runs.
        content: as `exported` gives it.

    Raises:
        ValueError: the content is something else, or the folder cannot be written to; then nothing is stored.
    """
    folder, result = Path(folder), Imported()
    notes, groups = _notes_of(content), _groups_of(content)  # read whole before anything is written
    corrections, points = read_of_runs(content)
    _take_over_all(folder)
    with SharedFile(folder).writing() as entries:
        for key, note in notes.items():
            _add(entries, key, note, result)
        for name, group in groups.items():
            _add_group(entries, name, group, result)
    result.corrections, left = add_corrections(folder, corrections)
    result.points, left_points = add_points(folder, points)
    result.left_out = left + left_points
    return result


def copied(run: str | Path, to: str | Path) -> Imported:
    """Adds the notes of a run to those of another one, such as its copy or its renamed folder, as an import does.

    Args:
        run: its folder; only the file of notes beside it must still be there.
        to: folder of the other run.

    Raises:
        ValueError: the first has no notes, or the second is not there or cannot be written to.
    """
    run, to, result = Path(run), Path(to), Imported()
    if not to.is_dir():
        raise ValueError(f"there is no run folder {to}")
    if run.is_dir():
        notes = Notes(run).all()
    else:
        with SharedFile(run.parent).reading() as entries:
            notes = notes_in(entries, run.name)
    if not notes:
        raise ValueError(f"{run.parent} has no notes on a run {run.name!r}; `afrd notes list {run.parent}` lists them")
    with SharedFile(to.parent).writing() as entries:
        take_over(entries, to)
        for key, note in notes.items():
            _add(entries, key._replace(run=to.name), note, result)
    return result


def undo_latest(folder: str | Path) -> list[Key]:
    """Undoes the latest change in the file of a folder; an import counts as one. Returns the keys that it changed.

    Raises:
        ValueError: there is no change to undo.
    """
    file = SharedFile(folder)
    if not file.path.exists():
        raise ValueError(f"{folder} has no notes, so there is nothing to undo")
    with file.writing() as entries:
        keys = entries.undo_latest()
    if not keys:
        raise ValueError(f"{file.path} has no change that can be undone")
    return keys


def both(stored: Note, new: Note) -> Note | None:
    """A note with the texts and the tags of both; None where it would be longer than a note may be."""
    if new.text in stored.text:
        text = stored.text
    elif stored.text in new.text:
        text = new.text
    else:
        text = f"{stored.text}\n{new.text}"
    tags = tuple({tag.casefold(): tag for tag in (*new.tags, *stored.tags)}.values())
    return Note(text, tags) if len(text) <= MAX_NOTE_LENGTH and len(tags) <= MAX_TAGS else None


def _add(entries: Entries, key: Key, note: Note, result: Imported) -> None:
    stored = stored_note(entries.get(key))
    together = both(stored, note)
    if together is None:
        result.left.append(key)
        return
    is_same = together.text == stored.text and set(together.tags) == set(stored.tags)
    (result.same if is_same else result.merged if stored else result.added).append(key)
    if not is_same:
        entries.put(key, as_value(together))


def _add_group(entries: Entries, name: str, group: Group, result: Imported) -> None:
    stored = groups_in(entries)
    free = (new for number in count(2) if (new := f"{name[: MAX_NAME - 5]} ({number})") not in stored)
    if stored.get(name, group) != group:
        same = next((new for new in stored if new.startswith(name[: MAX_NAME - 5]) and stored[new] == group), None)
        result.renamed[name] = new_name = same or next(free)
    else:
        new_name = name
    if stored.get(new_name) == group:
        result.same.append(key_of(new_name))
    else:
        put(entries, new_name, group)
        result.added.append(key_of(new_name))


def _take_over_all(folder: Path) -> None:
    waiting = [path.parent for path in sorted(folder.glob(f"*/{EARLIER_FILE}"))]
    if waiting:
        with SharedFile(folder).writing() as entries:
            for run in waiting:
                take_over(entries, run)


def _notes_of(content: Any) -> dict[Key, Note]:
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise ValueError(f"it is no export of notes: its kind should be {KIND!r}")
    if content.get("format") != FORMAT:
        raise ValueError(f"it has format {content.get('format')!r}, and this version of AFRD reads {FORMAT}")
    notes = {}
    try:
        for run, splits in content["runs"].items():
            for split, samples in splits.items():
                for sample, value in samples.items():
                    notes[Key(NOTE, run, split, sample)] = cleaned(note_of(value))
    except (KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"it is no export of notes ({error})") from error
    return {key: note for key, note in notes.items() if note}


def _groups_of(content: dict[str, Any]) -> dict[str, Group]:
    groups = content.get("groups", {})
    if not isinstance(groups, dict):
        raise ValueError("it is no export of notes (its groups are not by name)")
    try:
        return {name: group_of(value) for name, value in groups.items()}
    except ValueError as error:
        raise ValueError(f"it is no export of notes ({error})") from error
