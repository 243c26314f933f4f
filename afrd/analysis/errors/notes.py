"""Notes and tags on samples, stored in the run folder: `notes.json`.

    notes = Notes("runs/praline")
    notes.save("test_public", "25", Note("dent only under top", ("shiny",)))
    notes.of("test_public")["25"].tags

Several people may write at once: a lock serialises them, and a note that somebody else changed meanwhile is merged with
the new one, so nothing is lost.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from afrd.files import load_json, save_json

FORMAT = 1
MAX_NOTE_LENGTH, MAX_TAGS, MAX_TAG_LENGTH = 2000, 12, 40  # characters of a note, tags of a sample, characters of a tag
MAX_NOTES_BYTES = 8_000_000  # size limit of a file that is read, far above real use
DIRECTION_CONTROLS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
LOCK_TIMEOUT = 10.0  # seconds to wait for another writer


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
        folder: of the run; it must exist.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.path = self.folder / "notes.json"

    def of(self, split: str) -> dict[str, Note]:
        """Notes by sample name.

        Raises:
            ValueError: the file is broken.
        """
        return self._read().get(split, {})

    def tags(self) -> list[str]:
        """All tags of the run, the most used first."""
        count = Counter(tag for split in self._read().values() for note in split.values() for tag in note.tags)
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
        result = cleaned(note)
        if not self.folder.is_dir():
            raise ValueError(f"notes cannot be saved: there is no run folder {self.folder}")
        try:
            with FileLock(self.folder / ".notes.lock", timeout=LOCK_TIMEOUT):
                stored = self._read()
                of_split = stored.setdefault(split, {})
                if base is not None:
                    result = merged(of_split.get(sample, Note()), result, base)
                if result:
                    of_split[sample] = result
                else:
                    of_split.pop(sample, None)
                save_json(self.path, _as_json(stored))
        except Timeout as error:
            raise ValueError(f"{self.path} is being written by somebody else; try again") from error
        except OSError as error:
            raise ValueError(f"notes cannot be saved in {self.folder} ({error.strerror or error})") from error
        return result

    def _read(self) -> dict[str, dict[str, Note]]:
        if not self.path.is_file():
            return {}
        try:
            if self.path.stat().st_size > MAX_NOTES_BYTES:
                raise ValueError(f"it is larger than {MAX_NOTES_BYTES // 1_000_000} MB")
            content = load_json(self.path)
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']} is not {FORMAT}")
            return {
                str(split): {str(sample): _note(entry) for sample, entry in notes.items()}
                for split, notes in content["splits"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{self.path} does not hold notes ({error}); move it away to start anew") from error


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


def _note(entry: Any) -> Note:
    text, tags = entry["text"], entry["tags"]
    if not isinstance(text, str) or not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise ValueError("a note should have a text and a list of tags")
    return Note(text, tuple(tags))


def _as_json(stored: dict[str, dict[str, Note]]) -> dict[str, Any]:
    splits = {
        split: {sample: {"text": note.text, "tags": list(note.tags)} for sample, note in sorted(notes.items())}
        for split, notes in sorted(stored.items())
        if notes
    }
    return {"format": FORMAT, "splits": splits}
