"""What is wrong with a data set: every finding names its file, so that one can go and mend it."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from afrd.data import m2ad
from afrd.data.images import PictureError, decode, decode_mask, is_picture
from afrd.data.layouts import (
    EXPECTED,
    EYECANDIES_DEFECTS,
    GOOD,
    SPLITS,
    Layout,
    Record,
    existing_root,
    files,
    layout_of,
    mixture,
    read_layout,
    read_metadata,
    subfolders,
    why_no_categories,
)

MEANS_GOOD = frozenset({"good", "ok", "okay", "normal", "pass", "passed", "defectfree", "nodefect", "nodefects"})

NEARLY_ALL = 0.9  # share of a picture's pixels; a mask that covers more is probably inverted
Found = tuple[tuple[int, int], float, int] | str  # (H, W), share of defective pixels and number of values of a mask
# (0, 0 for a picture), or why the file is unreadable


@dataclass(frozen=True)
class Problem:
    """One finding: `file` relative to the data set's root, and `what` is wrong with it."""

    file: str
    what: str


def check(root: str | Path, category: str | None = None) -> list[Problem]:
    """Look through a whole data set; every picture is decoded, so a large one takes minutes.

    Args:
        root: Folder that holds one folder a category.
        category: Look at this one only; all by default.

    Returns:
        Findings in the order of categories, splits and samples; empty where nothing is wrong.

    Raises:
        FileNotFoundError: `root` is not a folder.
    """
    root = existing_root(root)
    problems: list[tuple[Path, str]] = []
    nested: list[tuple[Path, str]] = []
    categories = 0
    for folder in [] if layout_of(root) or mixture(root) else subfolders(root):
        if category not in (None, folder.name):
            continue
        layout = read_layout(folder)
        if layout is not None:
            categories += 1
            problems += _strange_folders(layout)
            problems += _sample_problems(layout)
        elif (mixed := mixture(folder)) is not None:
            categories += 1
            problems.append((folder / "train" / GOOD, mixed))
        elif any(map(layout_of, subfolders(folder))):
            nested.append((folder, "holds categories of its own; check it by itself"))
        elif _holds_pictures(folder, depth=4):
            problems.append((folder, f"holds pictures but is not a category; expected {EXPECTED}"))
            problems += _misnamed_good(folder, SPLITS["folders"])
    if categories == 0:
        problems.insert(0, (root, why_no_categories(root)))
    else:
        problems += nested
    return [Problem(path.relative_to(root).as_posix(), what) for path, what in problems]


def _holds_pictures(folder: Path, depth: int) -> bool:
    inside = depth > 0 and any(_holds_pictures(inner, depth - 1) for inner in subfolders(folder))
    return inside or any(map(is_picture, files(folder)))


def _strange_folders(layout: Layout) -> Iterator[tuple[Path, str]]:
    if layout.kind == "m2ad":
        yield from m2ad.findings(layout)
        return
    expected = SPLITS[layout.kind] + (() if layout.kind == "eyecandies" else ("ground_truth",))
    for folder in subfolders(layout.folder):
        if folder.name not in expected:
            yield folder, f"is not a known split and is left out; expected {', '.join(expected)}"
        elif folder.name != "ground_truth" and folder.name not in layout.splits:
            yield folder, "holds no samples"
    if layout.kind != "eyecandies":
        yield from _kind_problems(layout)
        yield from _strange_rig_folders(layout) if layout.kind == "folders" else _strange_mvtec_files(layout)


def _kind_problems(layout: Layout) -> Iterator[tuple[Path, str]]:
    """The folders good and <defect> of the splits: defects in train, good samples by another name, or none in test."""
    misnamed = dict(_misnamed_good(layout.folder, SPLITS[layout.kind]))
    yield from misnamed.items()
    for kind in subfolders(layout.folder / "train"):
        if kind.name != GOOD and kind not in misnamed:
            yield kind, "is a defect folder in train, which must hold good samples only"
    tested = layout.splits.get("test", ())
    test = layout.folder / "test"
    if tested and all(record.anomalous for record in tested) and test not in {kind.parent for kind in misnamed}:
        yield test, "holds defects but no good sample, so false alarms cannot be counted; add good ones in test/good"


def _misnamed_good(category: Path, splits: Iterable[str]) -> Iterator[tuple[Path, str]]:
    for split in splits:
        kinds = subfolders(category / split)
        remedy = f"move its samples into {split}/{GOOD}" if category / split / GOOD in kinds else f"rename it to {GOOD}"
        for kind in kinds:
            if kind.name != GOOD and _means_good(kind.name):
                yield kind, f"is read as the defect type {kind.name!r}, but its name means good; {remedy}"


def _means_good(name: str) -> bool:
    return re.sub(r"[\W_]+", "", name.casefold()) in MEANS_GOOD


def _strange_mvtec_files(layout: Layout) -> Iterator[tuple[Path, str]]:
    for split in SPLITS["mvtec"]:
        for name in filter(is_picture, files(layout.folder / split)):
            yield layout.folder / split / name, f"is left out: it lies outside {split}/{GOOD} and {split}/<defect>"
        for inner in (inner for kind in subfolders(layout.folder / split) for inner in subfolders(kind)):
            if any(map(is_picture, files(inner))):
                yield inner, f"is left out: every picture in train/{GOOD} is a sample, so none may lie in folders here"
    used = {record.mask for records in layout.splits.values() for record in records}
    for kind in subfolders(layout.folder / "ground_truth"):
        for name in filter(is_picture, files(kind)):
            if kind / name not in used:
                yield (
                    kind / name,
                    f"is the mask of no sample; expected a picture of test/{kind.name} and _mask behind it",
                )
    for record in layout.splits.get("test", ()):
        if record.anomalous and record.mask is None and not _means_good(record.defects[0]):
            expected = f"ground_truth/{record.defects[0]}/{record.prefix}mask.png"
            yield next(iter(record.pictures.values())), f"has no mask; expected {expected}"


def _strange_rig_folders(layout: Layout) -> Iterator[tuple[Path, str]]:
    for split in SPLITS["folders"]:
        for folder in (layout.folder / split, *subfolders(layout.folder / split)):
            loose = [name for name in files(folder) if is_picture(name)]
            if loose:
                yield (
                    folder / loose[0],
                    "lies outside a sample's folder; expected one folder a sample: <split>/good/<sample>/<light>.png",
                )
    used = {path for records in layout.splits.values() for record in records for path in _masks(record).values()}
    used_stems = {(path.parent, path.stem) for path in used}  # the same mask in two formats is one mask
    truth = layout.folder / "ground_truth"
    for kind in (truth, *subfolders(truth)):
        for name in filter(is_picture, files(kind)):
            stem = Path(name).stem
            if (kind, stem) not in used_stems:
                where = f"{kind.name}/{stem}" if kind != truth else f"<defect>/{stem}, or there are several"
                yield kind / name, f"is the mask of no sample: there is no folder {where}"


def _sample_problems(layout: Layout) -> list[tuple[Path, str]]:
    records = [(split, record) for split, found in layout.splits.items() for record in found]
    pictures = {path for _, record in records for path in record.pictures.values()}
    masks = {path for _, record in records for path in _masks(record).values()}
    # decoding gives up Python's lock, so threads share the work
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = dict(zip(pictures, pool.map(_look, pictures), strict=True))
        found |= dict(zip(masks, pool.map(_look_at_mask, masks), strict=True))
    sizes = Counter(
        seen[0]
        for _, record in records
        for path in record.pictures.values()
        if not isinstance(seen := found[path], str)
    )
    usual = max(sizes, key=lambda size: sizes[size]) if sizes else None
    owners = Counter(item for _, record in records for item in record.pictures)
    problems: list[tuple[Path, str]] = []
    for split, record in records:
        for light, item in layout.lights.items():
            if item not in record.pictures:
                share = f"{owners[item]} of {len(records)} samples have it"
                problems.append((record.picture(item), f"is missing: no picture under light {light!r} ({share})"))
        problems += _picture_problems(record, found, usual)
        problems += _mask_problems(record, found)
        problems += _label_problems(split, record, found)
    return problems


def _masks(record: Record) -> dict[str, Path]:
    whole = {"": record.mask} if record.mask is not None else {}
    return whole | dict(record.defect_masks or {})


def _look(path: Path) -> Found:
    return _explained(path, lambda: (decode(path).shape[:2], 0.0, 0))


def _look_at_mask(path: Path) -> Found:
    def look() -> tuple:
        mask = decode_mask(path)
        return mask.defective.shape, float(mask.defective.mean()), mask.levels

    return _explained(path, look)


def _explained(path: Path, look: Callable[[], tuple]) -> Found:
    try:
        (height, width), share, levels = look()
    except PictureError as error:
        return error.reason
    except MemoryError:
        return "could not be checked, for memory ran out; close other programs or shrink the picture"
    except FileNotFoundError:
        return "does not exist"
    return (height, width), share, levels


def _picture_problems(
    record: Record, found: dict[Path, Found], usual: tuple[int, int] | None
) -> Iterator[tuple[Path, str]]:
    for path in record.pictures.values():
        seen = found[path]
        if isinstance(seen, str):
            yield path, seen
        elif usual is not None and seen[0] != usual:
            yield path, f"is {_text(seen[0])} pixels, but most pictures of the category are {_text(usual)}"
    for path in record.doubles:
        yield path, "is left out: another file is the same light of the same sample"


def _mask_problems(record: Record, found: dict[Path, Found]) -> Iterator[tuple[Path, str]]:
    looks = [found[path] for path in record.pictures.values()]
    size = next((seen[0] for seen in looks if not isinstance(seen, str)), None)
    for path in _masks(record).values():
        seen = found[path]
        if isinstance(seen, str):
            yield path, seen
        elif size is not None and seen[0] != size:
            yield path, f"is {_text(seen[0])} pixels, but the pictures of its sample are {_text(size)}"
        else:
            _, share, levels = seen
            if levels > 2:
                yield path, f"holds {levels} different values, so its edges are a guess; save it with 0 and 255 as PNG"
            if share > NEARLY_ALL:
                yield path, f"marks {share:.0%} of the picture as defective; is it inverted?"


def _label_problems(split: str, record: Record, found: dict[Path, Found]) -> Iterator[tuple[Path, str]]:
    filled = {kind: seen[1] > 0 for kind, path in _masks(record).items() if not isinstance(seen := found[path], str)}
    if record.settled:  # the folder is the label
        if record.mask is not None and filled.get("") is bool(not record.anomalous):
            state = "has defective pixels" if filled[""] else "is empty"
            yield record.mask, f"{state}, but its sample is {'anomalous' if record.anomalous else 'good'} by its folder"
        return
    flags: dict[str, bool] = {}
    if record.metadata is not None:
        try:
            flags = read_metadata(record.metadata)
        except ValueError as error:
            yield record.metadata, str(error).removeprefix(f"{record.metadata} ")
    stated = flags.get("anomalous")
    types = {kind: flags[kind] for kind in flags if kind in EYECANDIES_DEFECTS or kind in filled}
    if record.metadata is not None and stated is not None:
        if types and stated != any(types.values()):
            named = ", ".join(kind for kind, on in types.items() if on) or "no defect type"
            yield record.metadata, f"says anomalous: {int(stated)}, but names {named}"
        if filled.get("", stated) != stated:
            state = "has defective pixels" if filled[""] else "has none"
            yield record.metadata, f"says anomalous: {int(stated)}, but the mask {state}"
    for kind, on in types.items():
        if record.metadata is not None and filled.get(kind, on) != on:
            state = "has defective pixels" if filled[kind] else "has none"
            yield record.metadata, f"says {kind}: {int(on)}, but {kind}_mask {state}"
    if split == "train" and (stated if stated is not None else any(filled.values()) or any(types.values())):
        yield record.metadata or next(iter(_masks(record).values())), "marks a defective sample in train"


def _text(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"
