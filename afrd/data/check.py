"""Check of a data set: a list of findings, each with the file that it is about."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from afrd.data import m2ad
from afrd.data.check_samples import masks_of, sample_problems
from afrd.data.images import is_picture
from afrd.data.layouts import (
    EXPECTED_LAYOUTS,
    GOOD_FOLDER,
    SPLITS_OF_LAYOUTS,
    existing_root,
    layout_of,
    mixture,
    read_layout,
    why_no_categories,
)
from afrd.data.records import Layout, files, means_good, noting_passed_over, printable, subfolders
from afrd.data.rig import lamps_of, rig_files

UNREAD_FORMATS = frozenset(  # extensions of pictures that no layout reads, of phones, cameras and other programs
    {".heic", ".heif", ".avif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".raw"}
    | {".exr", ".hdr", ".psd", ".tga", ".j2k", ".jpx"}
)
ALL_BAD = {  # what is wrong with a split that holds defects only
    "test": "holds defects but no good sample, so false alarms cannot be counted; add good ones in test/good",
    "val": "holds defects only, but the threshold comes from good samples; add them in val/good",
}


@dataclass(frozen=True)
class Problem:
    """One finding: a `file`, relative to the data set's root, and `what` is wrong with it."""

    file: str
    what: str


def check(root: str | Path, category: str | None = None) -> list[Problem]:
    """Check a whole data set; every picture is decoded, so a large one takes minutes.

    Args:
        root: Folder that holds one folder a category.
        category: Only this one; all by default.

    Returns:
        Findings in the order of categories, splits and samples; empty if there are no problems.

    Raises:
        FileNotFoundError: `root` is not a folder.
        PermissionError: It may not be opened.
    """
    root = existing_root(root)
    with noting_passed_over() as passed_over:
        problems = _problems(root, category)
    reported = {path for path, _ in problems}
    problems += [(path, what) for path, what in passed_over.items() if path not in reported]
    problems = list(dict.fromkeys(problems))  # a mask of several samples is found with each of them
    return [Problem(printable(path.relative_to(root).as_posix()), what) for path, what in problems]


def _problems(root: Path, category: str | None) -> list[tuple[Path, str]]:
    problems: list[tuple[Path, str]] = []
    nested: list[tuple[Path, str]] = []
    categories = 0
    for folder in [] if layout_of(root) or mixture(root) else subfolders(root):
        if category not in (None, folder.name):
            continue
        layout = read_layout(folder)
        if layout is not None:
            categories += 1
            problems += layout.passed_over.items()
            problems += _strange_folders(layout)
            problems += _unread_formats(layout)
            problems += _rig_problems(folder)
            problems += sample_problems(layout)
        elif (mixed := mixture(folder)) is not None:
            categories += 1
            problems.append((folder / "train" / GOOD_FOLDER, mixed))
        elif any(map(layout_of, subfolders(folder))):
            nested.append((folder, "holds categories of its own; check it separately"))
        elif _holds_pictures(folder, depth=4):
            problems.append((folder, f"holds pictures but is not a category; expected {EXPECTED_LAYOUTS}"))
            problems += _misnamed_good(folder, SPLITS_OF_LAYOUTS["folders"])
    if categories == 0:
        problems.insert(0, (root, why_no_categories(root)))
        problems += _unread_in(_folders_below(root, depth=4))
    else:
        problems += nested
    return problems


def _holds_pictures(folder: Path, depth: int) -> bool:
    inside = depth > 0 and any(_holds_pictures(inner, depth - 1) for inner in subfolders(folder))
    return inside or any(map(is_picture, files(folder)))


def _strange_folders(layout: Layout) -> Iterator[tuple[Path, str]]:
    if layout.kind == "m2ad":
        yield from m2ad.findings(layout)
        return
    if "train" not in layout.splits and not (layout.folder / "train").is_dir():
        yield layout.folder, "has no train split, so nothing can be trained on it"
    expected = SPLITS_OF_LAYOUTS[layout.kind] + (() if layout.kind == "eyecandies" else ("ground_truth",))
    for folder in subfolders(layout.folder):
        if folder.name not in expected:
            yield folder, f"is not a known split and is left out; expected {', '.join(expected)}"
        elif folder.name != "ground_truth" and folder.name not in layout.splits:
            yield folder, "holds no samples"
    if layout.kind != "eyecandies":
        yield from _kind_problems(layout)
        yield from _strange_rig_folders(layout) if layout.kind == "folders" else _strange_mvtec_files(layout)


def _rig_problems(category: Path) -> Iterator[tuple[Path, str]]:
    file = next((file for file in rig_files(category) if file.is_file()), None)
    try:
        lamps_of(category)
    except ValueError as error:
        if file is not None:
            yield file, str(error).removeprefix(str(file)).lstrip(": ")


def _unread_formats(layout: Layout) -> Iterator[tuple[Path, str]]:
    samples = dict.fromkeys(record.folder for records in layout.splits.values() for record in records)
    return _unread_in([*samples, *subfolders(layout.folder / "ground_truth")])


def _folders_below(folder: Path, depth: int) -> Iterator[Path]:
    for inner in subfolders(folder) if depth else ():
        yield inner
        yield from _folders_below(inner, depth - 1)


def _unread_in(folders: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """One finding for each format, the first such file that has no picture of the same name beside it."""
    unread: dict[str, list[Path]] = {}
    for folder in folders:
        names = files(folder)
        read = {Path(name).stem for name in names if is_picture(name)}
        for path in (folder / name for name in names):
            if path.suffix.lower() in UNREAD_FORMATS and path.stem not in read:
                unread.setdefault(path.suffix.lower(), []).append(path)
    for suffix, paths in unread.items():
        others = f" like {len(paths) - 1} other {suffix} files" if len(paths) > 1 else ""
        yield paths[0], f"is not read{others}; export it as PNG or TIFF"


def _kind_problems(layout: Layout) -> Iterator[tuple[Path, str]]:
    """The folders good and <defect> of the splits: defects in train, good samples by another name, or none in test."""
    misnamed = dict(_misnamed_good(layout.folder, SPLITS_OF_LAYOUTS[layout.kind]))
    yield from misnamed.items()
    for kind in subfolders(layout.folder / "train"):
        if kind.name != GOOD_FOLDER and kind not in misnamed:
            yield kind, "is a defect folder in train, which must hold good samples only"
    elsewhere = {kind.parent for kind in misnamed}
    for split, what in ALL_BAD.items():
        records = layout.splits.get(split, ())
        if records and all(record.anomalous for record in records) and layout.folder / split not in elsewhere:
            yield layout.folder / split, what


def _misnamed_good(category: Path, splits: Iterable[str]) -> Iterator[tuple[Path, str]]:
    for split in splits:
        kinds = subfolders(category / split)
        remedy = (
            f"move its samples into {split}/{GOOD_FOLDER}"
            if category / split / GOOD_FOLDER in kinds
            else f"rename it to {GOOD_FOLDER}"
        )
        for kind in kinds:
            if kind.name != GOOD_FOLDER and means_good(kind.name):
                yield kind, f"is read as the defect type {kind.name!r}, but its name means good; {remedy}"


def _strange_mvtec_files(layout: Layout) -> Iterator[tuple[Path, str]]:
    for split in SPLITS_OF_LAYOUTS["mvtec"]:
        for name in filter(is_picture, files(layout.folder / split)):
            yield (
                layout.folder / split / name,
                f"is left out: it lies outside {split}/{GOOD_FOLDER} and {split}/<defect>",
            )
        for inner in (inner for kind in subfolders(layout.folder / split) for inner in subfolders(kind)):
            if any(map(is_picture, files(inner))):
                yield (
                    inner,
                    f"is left out: every picture in train/{GOOD_FOLDER} is a sample, so none may lie in folders here",
                )
    used = {record.mask for records in layout.splits.values() for record in records}
    for kind in subfolders(layout.folder / "ground_truth"):
        for name in filter(is_picture, files(kind)):
            if kind / name not in used:
                yield (
                    kind / name,
                    f"is the mask of no sample; expected a picture of test/{kind.name} and _mask behind it",
                )
    for record in layout.splits.get("test", ()):
        if record.anomalous and record.mask is None and not means_good(record.defects[0]):
            expected = f"ground_truth/{record.defects[0]}/{record.prefix}mask.png"
            yield next(iter(record.pictures.values())), f"has no mask; expected {expected}"


def _strange_rig_folders(layout: Layout) -> Iterator[tuple[Path, str]]:
    for split in SPLITS_OF_LAYOUTS["folders"]:
        for folder in (layout.folder / split, *subfolders(layout.folder / split)):
            loose = [name for name in files(folder) if is_picture(name)]
            if loose:
                yield (
                    folder / loose[0],
                    "lies outside a sample's folder; expected one folder a sample: <split>/good/<sample>/<light>.png",
                )
    used = {path for records in layout.splits.values() for record in records for path in masks_of(record).values()}
    used_stems = {(path.parent, path.stem) for path in used}  # the same mask in two formats is one mask
    truth = layout.folder / "ground_truth"
    for kind in (truth, *subfolders(truth)):
        for name in filter(is_picture, files(kind)):
            stem = Path(name).stem
            if (kind, stem) not in used_stems:
                where = f"{kind.name}/{stem}" if kind != truth else f"<defect>/{stem}, or there are several"
                yield kind / name, f"is the mask of no sample: there is no folder {where}"
