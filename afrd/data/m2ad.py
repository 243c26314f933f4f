"""The layout of M2AD: photographs of an object from several views, each under several lights.

M2AD (Cao et al., Visual anomaly detection under complex view-illumination interplay, https://arxiv.org/abs/2505.10996):
    <root>/<category>/{Good,NG}/<object>/V<view>_L<light>.<ext>
    <root>/<category>/GT/<object>/V<view>_mask.png; a view without a mask, or with an empty one, is good
The published archives write A000_I01.png and A000_mask.png, have A000_seg.png beside it, which is not read, and name
bad objects by their defects, as in damage_1_hole_5_046.

A sample is an object in one view. The benchmark trains on 60 % of the good objects, drawn with Python's
`random.seed(42)` and `random.shuffle` over their sorted names; the others and all NG objects are the test split.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from string import ascii_letters

from afrd.data.images import is_picture
from afrd.data.records import Layout, Record, View, composed, files, first_of, natural, subfolders

TRAIN_SHARE = 0.6  # of the good objects
SHUFFLE_SEED = 42
FOLDER_KINDS = ("good", "ng", "gt")  # folders, in lower case
MAX_LISTED = 3  # views that a finding lists

_VIEW_PATTERN = re.compile(r"(?<![a-z])v(?:iew)?[ _-]*([0-9]+)", re.IGNORECASE)
_LIGHT_PATTERN = re.compile(r"(?<![a-z])l(?:ight)?[ _-]*([0-9]+)", re.IGNORECASE)
_NUMBER_PATTERN = re.compile(r"[0-9]+")
_WORD_PATTERN = re.compile(r"[^\W\d_]+")


def is_category(folder: Path) -> bool:
    """Whether a folder has objects with views in `Good` or `NG`."""
    return any(_first_view(objects) for objects in _kinds(folder).values())


def _kinds(category: Path) -> dict[str, Path]:
    """The existing folders `Good`, `NG` and `GT` by their names in lower case."""
    return {folder.name.casefold(): folder for folder in subfolders(category) if folder.name.casefold() in FOLDER_KINDS}


def _first_view(objects: Path) -> str | None:
    names = chain.from_iterable(files(folder) for folder in subfolders(objects))
    return next((name for name in names if view_and_light(name)), None)


def view_and_light(name: str) -> tuple[str, str] | None:
    """View and light of a picture, as in ("001", "L01"); None where its name holds no two numbers.

    `V` and `L`, or the words, mark the two numbers; without them the first one is the view, as in the benchmark's own
    code.
    """
    if not is_picture(name):
        return None
    stem = Path(name).stem
    view, light = _VIEW_PATTERN.search(stem), _LIGHT_PATTERN.search(stem)
    numbers = _NUMBER_PATTERN.findall(stem)
    if view and light:
        numbers = [view[1], light[1]]
    if len(numbers) < 2:
        return None
    return f"{int(numbers[0]):03d}", f"L{int(numbers[1]):02d}"


def _view_of_mask(name: str) -> str | None:
    match = _VIEW_PATTERN.search(name) or _NUMBER_PATTERN.search(Path(name).stem)
    return f"{int(match[match.re.groups]):03d}" if match and is_picture(name) else None


def training_objects(names: Sequence[str]) -> frozenset[str]:
    """The good objects that the benchmark trains on."""
    shuffled = sorted(names)
    random.Random(SHUFFLE_SEED).shuffle(shuffled)
    return frozenset(shuffled[: int(TRAIN_SHARE * len(shuffled))])


def records(category: Path, split: str) -> Iterator[Record]:
    """The samples of a split, object by object: good ones first, then NG."""
    kinds = _kinds(category)
    truth = {composed(folder.name): folder for folder in subfolders(kinds["gt"])} if "gt" in kinds else {}
    good = subfolders(kinds["good"]) if "good" in kinds else []
    training = training_objects([folder.name for folder in good])
    for folder in good:
        if (folder.name in training) is (split == "train"):
            yield from _views(folder, {}, anomalous=False)
    for folder in subfolders(kinds["ng"]) if "ng" in kinds and split == "test" else []:
        yield from _views(folder, _masks(truth.get(composed(folder.name))), anomalous=True)


def _masks(folder: Path | None) -> dict[str, list[Path]]:
    masks: dict[str, list[Path]] = {}
    root = folder or Path()
    names = files(root) if folder else []
    mask_names = [name for name in names if "mask" in name.casefold()]
    for name in mask_names or names:
        if (view := _view_of_mask(name)) is not None:
            masks.setdefault(view, []).append(root / name)
    return masks


def _views(folder: Path, masks: dict[str, list[Path]], anomalous: bool) -> Iterator[Record]:
    pictures: dict[str, dict[str, Path]] = {}
    doubles: dict[str, list[Path]] = {}
    for name in files(folder):
        numbers = view_and_light(name)
        if numbers is None:
            continue
        view, light = numbers
        if pictures.setdefault(view, {}).setdefault(light, folder / name) != folder / name:
            doubles.setdefault(view, []).append(folder / name)
    object_name = composed(f"{folder.parent.name}/{folder.name}")
    category = folder.parent.parent.name.casefold()
    defects = tuple(sorted({word for word in _WORD_PATTERN.findall(folder.name) if word.casefold() != category}))
    for view in sorted(pictures):
        first_name = next(iter(pictures[view].values())).name
        view_masks = masks.get(view, [])
        yield Record(
            name=f"{object_name}/V{view}",
            folder=folder,
            prefix=_before_light(first_name),
            pictures=pictures[view],
            doubles=tuple(doubles.get(view, ())),
            mask=view_masks[0] if view_masks else None,
            anomalous=bool(view_masks),
            defects=defects if view_masks else (),
            settled=not view_masks,  # an empty mask says that the view is good
            view=View(object_name, view, anomalous),
        )


def _before_light(name: str) -> str:
    """The part of a picture's name before its light: "A000_" of A000_I01.png."""
    light = _LIGHT_PATTERN.search(name)
    if light is None:
        light = list(_NUMBER_PATTERN.finditer(Path(name).stem))[1]
        return name[: light.start()].rstrip(ascii_letters)
    return name[: light.start()]


def description(layout: Layout) -> list[str]:
    """Sentences about how the layout was read."""
    records = [record for split_records in layout.splits.values() for record in split_records]
    if layout.kind != "m2ad" or not records:
        return []
    views = sorted({record.view.name for record in records if record.view})
    labels = {record.view.object: record.view.anomalous for record in records if record.view}
    trained = {record.view.object for record in layout.splits.get("train", ()) if record.view}
    example = next(path for record in records for path in record.pictures.values())
    numbers = view_and_light(example.name)
    assert numbers is not None  # it is a record's picture
    bad = sum(labels.values())
    masks = sum(record.mask is not None for record in records)
    return [
        f"layout of M2AD: {example.parent.name}/{example.name} is taken for view {numbers[0]} under light {numbers[1]}",
        f"{len(views)} views: {', '.join(views)}",
        f"{len(labels)} objects: {len(labels) - bad} in Good, {len(trained)} of them to train; {bad} in NG",
        f"{masks} views with a mask; the other views are good",
    ]


def findings(layout: Layout) -> Iterator[tuple[Path, str]]:
    """Findings: ignored files and folders, objects that lack views, and masks of no view."""
    kinds = _kinds(layout.folder)
    for folder in subfolders(layout.folder):
        if folder not in kinds.values():
            yield folder, "is not known and is left out; expected Good, NG, GT"
    records = [record for split_records in layout.splits.values() for record in split_records]
    views = Counter(record.view.name for record in records if record.view)
    records_of: dict[Path, list[Record]] = {}
    for record in records:
        records_of.setdefault(record.folder, []).append(record)
    for kind in ("good", "ng"):
        if kind not in kinds:
            yield layout.folder / kind.replace("good", "Good").replace("ng", "NG"), "is missing"
            continue
        for folder in subfolders(kinds[kind]):
            yield from _object_findings(folder, records_of.get(folder, []), views)
    used = {record.mask for record in records}
    for folder in subfolders(kinds["gt"]) if "gt" in kinds else []:
        for name in filter(is_picture, files(folder)):
            if folder / name not in used and not Path(name).stem.casefold().endswith("_seg"):
                yield folder / name, f"is the mask of no view of {kinds.get('ng', Path('NG')).name}/{folder.name}"
    masked = {record.view.object for record in records if record.view and record.mask is not None}
    for object_name in dict.fromkeys(record.view.object for record in records if record.view and record.view.anomalous):
        if object_name not in masked:
            yield layout.folder / object_name, "is in NG, but no view of it has a mask, so all its views count as good"


def _object_findings(folder: Path, object_records: list[Record], views: Counter[str]) -> Iterator[tuple[Path, str]]:
    unmatched = [name for name in files(folder) if is_picture(name) and view_and_light(name) is None]
    for name in unmatched:
        yield folder / name, "is left out: its name gives no view and light; expected V<view>_L<light>"
    lacking = sorted(views.keys() - {record.view.name for record in object_records if record.view}, key=natural)
    if not object_records:
        yield folder, "holds no pictures named V<view>_L<light> and is left out"
    elif lacking:
        yield folder, f"lacks views that other objects have: {first_of(lacking, MAX_LISTED)}"
