"""Notes and tags on samples, kept for all runs of a folder in its `notes.sqlite` (`afrd.runs.shared_file`).

    notes = Notes("runs/praline")  # in runs/notes.sqlite, under the run's name praline
    notes.save("test_public", "25", Note("dent only under top", ("shiny",)))
    notes.of("test_public")["25"].tags
    notes.undo("test_public", "25")

Several people may write at once, and a note that somebody else changed meanwhile is merged with the new one, so nothing
is lost. Notes of earlier versions, `notes.json` in a run's folder, are taken over at the first opening; the file stays.
A run's folder that is renamed or copied leaves its notes behind: `afrd notes copy OLD NEW` copies them.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from afrd.files import load_json
from afrd.runs.shared_file import DamagedError, Entries, Key, NotWritableError, SharedFile

NOTE, TAKEN_OVER = "note", "taken over"  # kinds of entries
EARLIER_FILE, EARLIER_FORMAT = "notes.json", 1
MAX_NOTE_LENGTH, MAX_TAGS, MAX_TAG_LENGTH = 2000, 12, 40  # characters of a note, tags of a sample, characters of a tag
MAX_NOTES_BYTES = 8_000_000  # size limit of a file of JSON that is read, far above real use
DIRECTION_CONTROLS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@dataclass(frozen=True)
class Note:
    """Text and tags of one sample."""

    text: str = ""
    tags: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.text or self.tags)


class Notes:
    """The notes of one run.

    Args:
        folder: of the run. The notes are stored in its parent folder, links resolved, under its name.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).resolve()
        self.file = SharedFile(self.folder.parent)

    def of(self, split: str) -> dict[str, Note]:
        """Notes by sample name.

        Raises:
            ValueError: the file is broken.
        """
        return {key.name: note for key, note in self._read().items() if key.split == split}

    def all(self) -> dict[Key, Note]:
        """Notes by key, of all splits.

        Raises:
            ValueError: the file is broken.
        """
        return self._read()

    def tags(self) -> list[str]:
        """All tags of the run, the most used first."""
        count = Counter(tag for note in self._read().values() for tag in note.tags)
        return [tag for tag, _ in sorted(count.items(), key=lambda item: (-item[1], item[0].casefold()))]

    def save(self, split: str, sample: str, note: Note, base: Note | None = None) -> Note:
        """Stores a note; an empty one is removed.

        Args:
            split, sample: the sample's split and name.
            note: the new note.
            base: the note as its writer last saw it. Where a different one is stored by now, the two are merged: tags
                that either added stay, and where both changed the text, both texts stay, the stored one first. None:
                the stored note is replaced.

        Returns:
            The note as it is stored now.

        Raises:
            ValueError: the note is too long, there are too many tags, or the folder cannot be written to.
        """
        result, key = cleaned(note), self._key(split, sample)
        if not self.folder.is_dir():
            raise ValueError(f"notes cannot be saved: there is no run folder {self.folder}")
        with self.file.writing() as entries:
            take_over(entries, self.folder)
            if base is not None:
                result = merged(stored_note(entries.get(key)), result, base)
            entries.put(key, as_value(result))
        return result

    def can_undo(self, split: str, sample: str) -> bool:
        """Whether this sample's note has a change that can be undone."""
        with self.file.reading() as entries:
            return entries.can_undo(self._key(split, sample))

    def undo(self, split: str, sample: str, last_read: Note | None = None) -> Note:
        """Undoes the latest change of a sample's note, including removals.

        Args:
            split, sample: the sample's split and name.
            last_read: the note as the user last read it; None: any.

        Returns:
            The note as it is stored now.

        Raises:
            ValueError: there is nothing to undo, or somebody else has changed the note since.
        """
        key = self._key(split, sample)
        with self.file.writing() as entries:
            stored = stored_note(entries.get(key))
            if last_read is not None and stored != last_read:
                raise ValueError(f"somebody else has changed the note on {sample} meanwhile; look at it first")
            if not entries.undo(key):
                raise ValueError(f"there is no change of the note on {sample} to undo")
            return stored_note(entries.get(key))

    def _key(self, split: str, sample: str) -> Key:
        return Key(NOTE, self.folder.name, split, sample)

    def _read(self) -> dict[Key, Note]:
        with self.file.reading() as entries:
            if is_taken_over(entries, self.folder):
                return notes_in(entries, self.folder.name)
        earlier = earlier_notes(self.folder)  # said where it is broken, before anything is written
        try:
            with self.file.writing() as entries:
                take_over(entries, self.folder)
                return notes_in(entries, self.folder.name)
        except NotWritableError:
            return {self._key(split, sample): note for (split, sample), note in earlier.items()}


def cleaned(note: Note) -> Note:
    """The note without control characters and outer spaces, each tag once regardless of case.

    Raises:
        ValueError: longer than allowed, with the limit.
    """
    text = _plain(note.text, keep="\n").strip()
    if len(text) > MAX_NOTE_LENGTH:
        raise ValueError(f"the note has {len(text)} characters; at most {MAX_NOTE_LENGTH} are kept")
    tags: dict[str, str] = {}
    for tag in (" ".join(_plain(tag).split()) for tag in note.tags):
        if len(tag) > MAX_TAG_LENGTH:
            raise ValueError(f"the tag {tag[:20]!r}… has {len(tag)} characters; at most {MAX_TAG_LENGTH} are allowed")
        if tag:
            tags.setdefault(tag.casefold(), tag)
    if len(tags) > MAX_TAGS:
        raise ValueError(f"there are {len(tags)} tags; a sample has at most {MAX_TAGS}")
    return Note(text, tuple(tags.values()))


def merged(stored: Note, edited: Note, base: Note) -> Note:
    """Three-way merge of the stored note and a new one that both started from `base`.

    Over the limits the oldest text is cut at its end, and the last tags are dropped.
    """
    if stored in (base, edited):
        return edited
    if edited.text in (base.text, stored.text):
        text = stored.text
    elif stored.text == base.text:
        text = edited.text
    else:
        text = f"{stored.text[: max(0, MAX_NOTE_LENGTH - len(edited.text) - 1)]}\n{edited.text}".strip()
    removed = {tag.casefold() for tag in base.tags} - {tag.casefold() for tag in edited.tags}
    remaining = [tag for tag in stored.tags if tag.casefold() not in removed]
    added = [tag for tag in edited.tags if tag not in base.tags]
    return Note(text, _once([*added, *remaining])[:MAX_TAGS])


def _once(tags: Iterable[str]) -> tuple[str, ...]:
    return tuple({tag.casefold(): tag for tag in tags}.values())


def _plain(text: str, keep: str = "") -> str:
    """Text without control characters, including those that change the direction of writing."""
    normalised = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\t", " "))
    return "".join(
        c for c in normalised if c in keep or not (unicodedata.category(c) in ("Cc", "Cs") or c in DIRECTION_CONTROLS)
    )


def is_taken_over(entries: Entries, folder: Path) -> bool:
    """Whether no notes of an earlier version wait in the run's folder."""
    return not (folder / EARLIER_FILE).is_file() or entries.get(_marker(folder)) is not None


def take_over(entries: Entries, folder: Path) -> None:
    """Takes over the notes of an earlier version from the run's folder, once.

    Raises:
        ValueError: the earlier file is broken.
    """
    if is_taken_over(entries, folder):
        return
    for (split, sample), note in earlier_notes(folder).items():
        key = Key(NOTE, folder.name, split, sample)
        if entries.get(key) is None:
            entries.put(key, as_value(note), first=True)
    entries.put(_marker(folder), True, first=True)


def earlier_notes(folder: Path) -> dict[tuple[str, str], Note]:
    """The notes in the `notes.json` of a run's folder, by split and sample.

    Raises:
        ValueError: the file is broken.
    """
    path = folder / EARLIER_FILE
    try:
        if path.stat().st_size > MAX_NOTES_BYTES:
            raise ValueError(f"it is larger than {MAX_NOTES_BYTES // 1_000_000} MB")
        content = load_json(path)
        if content["format"] != EARLIER_FORMAT:
            raise ValueError(f"format {content['format']} is not {EARLIER_FORMAT}")
        splits = content["splits"].items()
        return {
            (str(split), str(sample)): note
            for split, notes in splits
            for sample, entry in notes.items()
            if (note := cleaned(note_of(entry)))
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} does not hold notes ({error}); move it away to start anew") from error


def notes_in(entries: Entries, run: str | None = None) -> dict[Key, Note]:
    """The stored notes by key, of one run or of all."""
    return {key: stored_note(value) for key, value in entries.of(NOTE, run).items()}


def stored_note(value: Any) -> Note:
    """A note from an entry of the file; the empty one from None."""
    try:
        return note_of(value)
    except ValueError as error:
        raise DamagedError(str(error)) from error


def note_of(value: Any) -> Note:
    """A note from JSON; the empty one from None.

    Raises:
        ValueError: it is something else.
    """
    if value is None:
        return Note()
    text, tags = (value.get("text"), value.get("tags")) if isinstance(value, dict) else (None, None)
    if not isinstance(text, str) or not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise ValueError("a note should have a text and a list of tags")
    return Note(text, tuple(tags))


def as_value(note: Note) -> dict[str, Any] | None:
    """A note as JSON; None for the empty one."""
    return {"text": note.text, "tags": list(note.tags)} if note else None


def _marker(folder: Path) -> Key:
    return Key(TAKEN_OVER, folder.name, "", EARLIER_FILE)
