"""Notes and tags that people leave on samples, kept in the run folder: `notes.json`.

    notes = Notes("runs/praline")
    notes.save("test_public", "25", Note("dent only under top", ("shiny",)))
    notes.of("test_public")["25"].tags

Several people may write at once: a lock serialises them, and a note that somebody else changed meanwhile is merged with
the new one, so nothing that was written is lost.
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
LONGEST, TAGS, LONGEST_TAG = 2000, 12, 40  # characters of a note, tags of a sample, characters of a tag
MAX_NOTES_BYTES = 8_000_000  # bytes of a file that is read: more than any number of people write
TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
PATIENCE = 10.0  # seconds to wait for somebody else's writing


@dataclass(frozen=True)
class Note:
    """What people say of one sample."""

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

    def save(self, split: str, sample: str, note: Note, seen: Note | None = None) -> Note:
        """Keeps a note; an empty one is removed.

        Args:
            split, sample: what it is about.
            note: the new one.
            seen: the one that its writer started from. Where another one is stored by now, the two are merged: tags
                that either added stay, and where both changed the text, both texts do, the stored one first. None: the
                stored one is replaced.

        Returns:
            What is stored now.

        Raises:
            ValueError: the note is too long, there are too many tags, or the folder cannot be written to.
        """
        wanted = cleaned(note)
        if not self.folder.is_dir():
            raise ValueError(f"notes cannot be saved: there is no run folder {self.folder}")
        try:
            with FileLock(self.folder / ".notes.lock", timeout=PATIENCE):
                stored = self._read()
                there = stored.setdefault(split, {})
                if seen is not None:
                    wanted = merged(there.get(sample, Note()), wanted, seen)
                if wanted:
                    there[sample] = wanted
                else:
                    there.pop(sample, None)
                save_json(self.path, _as_json(stored))
        except Timeout as error:
            raise ValueError(f"{self.path} is being written by somebody else; try again") from error
        except OSError as error:
            raise ValueError(f"notes cannot be saved in {self.folder} ({error.strerror or error})") from error
        return wanted

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
    """Without control characters and spaces at the ends, each tag once whatever its case.

    Raises:
        ValueError: longer than allowed, with the limit.
    """
    text = _plain(note.text, keep="\n").strip()
    if len(text) > LONGEST:
        raise ValueError(f"the note has {len(text)} characters; at most {LONGEST} are kept")
    tags: dict[str, str] = {}
    for tag in (" ".join(_plain(tag).split()) for tag in note.tags):
        if len(tag) > LONGEST_TAG:
            raise ValueError(f"the tag {tag[:20]!r}… has {len(tag)} characters; at most {LONGEST_TAG} are allowed")
        if tag:
            tags.setdefault(tag.casefold(), tag)
    if len(tags) > TAGS:
        raise ValueError(f"there are {len(tags)} tags; a sample has at most {TAGS}")
    return Note(text, tuple(tags.values()))


def merged(stored: Note, new: Note, seen: Note) -> Note:
    """Two people started from `seen`; one has `stored` by now, the other brings `new`: what both wanted.

    Over the limits the oldest text is cut at its end, and the last tags are dropped.
    """
    if stored in (seen, new):
        return new
    if new.text in (seen.text, stored.text):
        text = stored.text
    elif stored.text == seen.text:
        text = new.text
    else:
        text = f"{stored.text[: max(0, LONGEST - len(new.text) - 1)]}\n{new.text}".strip()
    gone = {tag.casefold() for tag in seen.tags} - {tag.casefold() for tag in new.tags}
    kept = [tag for tag in stored.tags if tag.casefold() not in gone]
    added = [tag for tag in new.tags if tag not in seen.tags]
    return Note(text, _once([*added, *kept])[:TAGS])


def _once(tags: Iterable[str]) -> tuple[str, ...]:
    return tuple({tag.casefold(): tag for tag in tags}.values())


def _plain(text: str, keep: str = "") -> str:
    """Without control characters, those that turn the direction of writing among them."""
    whole = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\t", " "))
    return "".join(c for c in whole if c in keep or not (unicodedata.category(c) in ("Cc", "Cs") or c in TURNING))


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
