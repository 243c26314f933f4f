"""Records of the files of samples, and listing of folders; no file is opened."""

import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from afrd.data.images import is_picture
from afrd.files import visible

SYSTEM_FOLDERS = frozenset(  # folders that archives, network drives and systems create, in lower case
    {"__macosx", "@eadir", "$recycle.bin", "#recycle", "lost+found", "system volume information", "__pycache__"}
)

GOOD_NAMES = frozenset({"good", "ok", "okay", "normal", "pass", "passed", "defectfree", "nodefect", "nodefects"})


@dataclass(frozen=True)
class View:
    """The object and view of a sample. `anomalous` is the whole object's label; a view may not show the defect."""

    object: str
    name: str
    anomalous: bool


@dataclass(frozen=True)
class Record:
    """Files of one sample, listed but not read. Pictures are keyed by item: `image_5`, or a light's name in folders."""

    name: str
    folder: Path
    prefix: str  # of the file names in `folder`: "25_", or nothing
    pictures: Mapping[str, Path]
    doubles: tuple[Path, ...] = ()  # further files of the same items, which are ignored
    mask: Path | None = None
    defect_masks: Mapping[str, Path] | None = None  # defect type -> its own mask (Eyecandies)
    metadata: Path | None = None
    anomalous: bool | None = None  # label by the sample's folder
    defects: tuple[str, ...] = ()
    settled: bool = False  # True where the folder alone decides the label
    extensions: Mapping[str, str] = field(default_factory=dict)  # item -> its most frequent one in the category
    view: View | None = None  # where an object is photographed from several sides

    def picture(self, item: str) -> Path:
        """File of an item; if there is none, the expected path."""
        if item in self.pictures:
            return self.pictures[item]
        suffix = next(iter(self.pictures.values()), Path("any.png")).suffix
        return self.folder / f"{self.prefix}{item}{self.extensions.get(item, suffix)}"


@dataclass(frozen=True)
class Layout:
    """One category on disk: its kind of layout, its lights (name -> item) and the records of its splits.

    `passed_over` holds paths that may hold samples but cannot be read, with the reason as the rest of a sentence.
    """

    kind: str
    folder: Path
    lights: Mapping[str, str]
    splits: Mapping[str, tuple[Record, ...]]
    passed_over: Mapping[Path, str] = field(default_factory=dict)


def first_of(names: Sequence[str], limit: int) -> str:
    """Names as text, such as `a, b, c and 4 more`."""
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def natural(text: str) -> tuple:
    """Sort key that puts image2 before image10."""
    pieces = re.split(r"([0-9]+)", text)  # text and digits alternate, so equal positions are comparable
    return tuple(int(piece) if i % 2 else piece.casefold() for i, piece in enumerate(pieces)), text


_passed_over: ContextVar[dict[Path, str] | None] = ContextVar("passed_over", default=None)


@contextmanager
def noting_passed_over() -> Iterator[dict[Path, str]]:
    """Collects paths that `files` and `subfolders` skip in the block although they may hold samples: path -> reason.

    These are names that are not UTF-8, broken links, and folders without permission.
    """
    noted: dict[Path, str] = {}
    token = _passed_over.set(noted)
    try:
        yield noted
    finally:
        _passed_over.reset(token)


def _pass_over(path: Path, why: str) -> None:
    if (noted := _passed_over.get()) is not None:
        noted[path] = why


def _names(folder: Path, is_wanted: Callable[[os.DirEntry], bool]) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if not entry.name.startswith(".") and is_wanted(entry)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:  # no permission, or a network drive that is gone
        _pass_over(folder, f"cannot be opened ({error.strerror}); check its rights")
        return []


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder in natural order, links followed, without hidden and system folders."""

    def is_folder(entry: os.DirEntry) -> bool:
        if entry.name.casefold() in SYSTEM_FOLDERS:
            return False
        if not _leads_somewhere(entry):
            if not _is_file_name(entry.name):
                _pass_over(folder / entry.name, f"{leads_nowhere(folder / entry.name)}; mend or delete it")
            return False
        return entry.is_dir() and _has_text_name(folder, entry)

    return [folder / name for name in sorted(_names(folder, is_folder), key=natural)]


def files(folder: Path) -> list[str]:
    """Names of the files in a folder, links followed, hidden ones left out, sorted.

    A broken link counts as the picture or YAML file that its name says, so that reading it reports the missing file.
    """

    def is_file(entry: os.DirEntry) -> bool:
        if not _leads_somewhere(entry):
            return _is_file_name(entry.name) and _has_text_name(folder, entry)
        return entry.is_file() and (_has_text_name(folder, entry) if _is_file_name(entry.name) else is_text(entry.name))

    return sorted(_names(folder, is_file))


def _leads_somewhere(entry: os.DirEntry) -> bool:
    return not entry.is_symlink() or os.path.exists(entry.path)


def leads_nowhere(link: Path) -> str:
    """The rest of the sentence about a broken link."""
    return f"is a link to {os.readlink(link)}, which does not exist"


def _is_file_name(name: str) -> bool:
    return is_picture(name) or name.lower().endswith((".yaml", ".yml"))


def _has_text_name(folder: Path, entry: os.DirEntry) -> bool:
    if not is_text(entry.name):
        _pass_over(folder / entry.name, "has a name that is not UTF-8; rename it")
        return False
    return True


def is_text(name: str) -> bool:
    """Whether a name is valid in the file system's encoding. Others are not read: `open_dataset` and `check` say so."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def printable(path: str | Path) -> str:
    """A path as text that can be printed and stored, with bytes that are not UTF-8, control characters and those that
    turn the direction of writing as codes such as \\x1b: a terminal would obey them."""
    return visible(os.fsencode(path).decode("utf-8", "backslashreplace"))


def composed(name: str) -> str:
    """A name in Unicode's composed form (NFC): macOS writes "ü" as two characters, other systems as one."""
    return unicodedata.normalize("NFC", name)


def composed_stem(name: str) -> str:
    return composed(Path(name).stem)


def means_good(name: str) -> bool:
    """Whether a folder's name means that its samples are good, in any spelling: `OK`, `defect_free`, `"good "`."""
    return re.sub(r"[\W_]+", "", name.casefold()) in GOOD_NAMES
