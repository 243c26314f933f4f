"""The files of a data set as they are found, before one is opened: records of samples, and how folders are listed."""

import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

LEFT_BY_SYSTEMS = frozenset(  # folders that archives, network drives and systems leave behind, in lower case
    {"__macosx", "@eadir", "$recycle.bin", "#recycle", "lost+found", "system volume information", "__pycache__"}
)


@dataclass(frozen=True)
class View:
    """Which object a sample is a view of. `anomalous` is the whole object's label; a view may not show the defect."""

    object: str
    name: str
    anomalous: bool


@dataclass(frozen=True)
class Record:
    """The files of one sample, found but not read. Pictures go by item: `image_5`, or the light's name in folders."""

    name: str
    folder: Path
    prefix: str  # of the file names in `folder`: "25_", or nothing
    pictures: Mapping[str, Path]
    doubles: tuple[Path, ...] = ()  # files left aside because another one already is that item
    mask: Path | None = None
    defect_masks: Mapping[str, Path] | None = None  # defect type -> its own mask (Eyecandies)
    metadata: Path | None = None
    anomalous: bool | None = None  # what the place of the sample says
    defects: tuple[str, ...] = ()
    settled: bool = False  # True where the place decides and no file is asked
    extensions: Mapping[str, str] = field(default_factory=dict)  # item -> its usual one in the category
    view: View | None = None  # where an object is photographed from several sides

    def picture(self, item: str) -> Path:
        """File of an item; where there is none, the file that is missing."""
        if item in self.pictures:
            return self.pictures[item]
        own = next(iter(self.pictures.values()), Path("any.png")).suffix
        return self.folder / f"{self.prefix}{item}{self.extensions.get(item, own)}"


@dataclass(frozen=True)
class Layout:
    """One category on disk: which layout it follows, its lights (name -> item) and the records of its splits."""

    kind: str
    folder: Path
    lights: Mapping[str, str]
    splits: Mapping[str, tuple[Record, ...]]


def natural(text: str) -> tuple:
    """Sort key that puts image2 before image10."""
    parts = re.split(r"([0-9]+)", text)  # text and digits take turns, so equal places compare alike
    return tuple(int(part) if i % 2 else part.casefold() for i, part in enumerate(parts)), text


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, links followed, hidden ones and what systems leave left out, in natural order."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if not _left_out(entry.name) and entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in sorted(names, key=natural)]


def _left_out(name: str) -> bool:
    return name.startswith(".") or name.casefold() in LEFT_BY_SYSTEMS or not is_text(name)


def is_text(name: str) -> bool:
    """Whether a file's name is valid in the file system's encoding; others are passed over, and `check` names them."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def composed(name: str) -> str:
    """A name in Unicode's composed form (NFC): macOS writes "ü" as two characters, other systems as one."""
    return unicodedata.normalize("NFC", name)


def composed_stem(name: str) -> str:
    return composed(Path(name).stem)


def files(folder: Path) -> list[str]:
    """Names of the files in a folder, links followed, hidden ones left out, sorted."""
    try:
        with os.scandir(folder) as entries:
            names = (entry.name for entry in entries if entry.is_file())
            return sorted(name for name in names if not name.startswith(".") and is_text(name))
    except (FileNotFoundError, NotADirectoryError):
        return []
