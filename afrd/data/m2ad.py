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

from afrd.data.images import is_picture
from afrd.data.records import Layout, Record, View, composed, files, natural, subfolders

TRAIN_SHARE = 0.6  # of the good objects
SHUFFLE_SEED = 42
KINDS = ("good", "ng", "gt")  # folders, in lower case
SPARE_NAMES = 3  # that a finding quotes

_VIEW = re.compile(r"(?<![a-z])v(?:iew)?[ _-]*([0-9]+)", re.IGNORECASE)
_LIGHT = re.compile(r"(?<![a-z])l(?:ight)?[ _-]*([0-9]+)", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+")
_WORD = re.compile(r"[^\W\d_]+")


def is_category(folder: Path) -> bool:
    """Whether a folder has objects with views in `Good` or `NG`."""
    return any(_first_view(objects) for objects in _kinds(folder).values())


def _kinds(category: Path) -> dict[str, Path]:
    """The folders `Good`, `NG` and `GT` that there are, by their names in lower case."""
    return {folder.name.casefold(): folder for folder in subfolders(category) if folder.name.casefold() in KINDS}


def _first_view(objects: Path) -> str | None:
    names = chain.from_iterable(files(folder) for folder in subfolders(objects))
    return next((name for name in names if view_and_light(name)), None)


def view_and_light(name: str) -> tuple[str, str] | None:
    """View and light of a picture, as in ("001", "L01"); None where its name holds no two numbers.

    `V` and `L`, or the words, say which number is which; without them the first one is the view, as in the names that
    the benchmark's own code reads by position.
    """
    if not is_picture(name):
        return None
    stem = Path(name).stem
    view, light = _VIEW.search(stem), _LIGHT.search(stem)
    numbers = _NUMBER.findall(stem)
    if view and light:
        numbers = [view[1], light[1]]
    if len(numbers) < 2:
        return None
    return f"{int(numbers[0]):03d}", f"L{int(numbers[1]):02d}"


def _view_of_mask(name: str) -> str | None:
    found = _VIEW.search(name) or _NUMBER.search(Path(name).stem)
    return f"{int(found[found.re.groups]):03d}" if found and is_picture(name) else None


def training_objects(names: Sequence[str]) -> frozenset[str]:
    """Those of the good objects that the benchmark trains on."""
    shuffled = sorted(names)
    random.Random(SHUFFLE_SEED).shuffle(shuffled)
    return frozenset(shuffled[: int(TRAIN_SHARE * len(shuffled))])


def records(category: Path, split: str) -> Iterator[Record]:
    """The samples of a split, object by object: good ones first, then NG."""
    kinds = _kinds(category)
    truth = {composed(folder.name): folder for folder in subfolders(kinds["gt"])} if "gt" in kinds else {}
    good = subfolders(kinds["good"]) if "good" in kinds else []
    chosen = training_objects([folder.name for folder in good])
    for folder in good:
        if (folder.name in chosen) is (split == "train"):
            yield from _views(folder, {}, anomalous=False)
    for folder in subfolders(kinds["ng"]) if "ng" in kinds and split == "test" else []:
        yield from _views(folder, _masks(truth.get(composed(folder.name))), anomalous=True)


def _masks(folder: Path | None) -> dict[str, list[Path]]:
    masks: dict[str, list[Path]] = {}
    root = folder or Path()
    names = files(root) if folder else []
    named = [name for name in names if "mask" in name.casefold()]
    for name in named or names:
        if (view := _view_of_mask(name)) is not None:
            masks.setdefault(view, []).append(root / name)
    return masks


def _views(folder: Path, masks: dict[str, list[Path]], anomalous: bool) -> Iterator[Record]:
    pictures: dict[str, dict[str, Path]] = {}
    doubles: dict[str, list[Path]] = {}
    for name in files(folder):
        found = view_and_light(name)
        if found is None:
            continue
        view, light = found
        if pictures.setdefault(view, {}).setdefault(light, folder / name) != folder / name:
            doubles.setdefault(view, []).append(folder / name)
    whole = composed(f"{folder.parent.name}/{folder.name}")
    category = folder.parent.parent.name.casefold()
    defects = tuple(sorted({word for word in _WORD.findall(folder.name) if word.casefold() != category}))
    for view in sorted(pictures):
        first = next(iter(pictures[view].values())).name
        own = masks.get(view, [])
        yield Record(
            name=f"{whole}/V{view}",
            folder=folder,
            prefix=_before_light(first),
            pictures=pictures[view],
            doubles=tuple(doubles.get(view, ())),
            mask=own[0] if own else None,
            anomalous=bool(own),
            defects=defects if own else (),
            settled=not own,  # an empty mask says that the view is good
            view=View(whole, view, anomalous),
        )


def _before_light(name: str) -> str:
    """What a picture's name has before its light: "A000_" of A000_I01.png."""
    light = _LIGHT.search(name)
    if light is None:
        light = list(_NUMBER.finditer(Path(name).stem))[1]
        return name[: light.start()].rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return name[: light.start()]


def description(layout: Layout) -> list[str]:
    """Sentences that say what was taken for what."""
    found = [record for records in layout.splits.values() for record in records]
    if layout.kind != "m2ad" or not found:
        return []
    views = sorted({record.view.name for record in found if record.view})
    whole = {record.view.object: record.view.anomalous for record in found if record.view}
    trained = {record.view.object for record in layout.splits.get("train", ()) if record.view}
    example = next(path for record in found for path in record.pictures.values())
    read = view_and_light(example.name)
    assert read is not None  # it is a record's picture
    bad = sum(whole.values())
    masks = sum(record.mask is not None for record in found)
    return [
        f"layout of M2AD: {example.parent.name}/{example.name} is taken for view {read[0]} under light {read[1]}",
        f"{len(views)} views: {', '.join(views)}",
        f"{len(whole)} objects: {len(whole) - bad} in Good, {len(trained)} of them to train; {bad} in NG",
        f"{masks} views with a mask; the other views are good",
    ]


def findings(layout: Layout) -> Iterator[tuple[Path, str]]:
    """Files and folders that were left out, objects that lack views, and masks that belong to no view."""
    kinds = _kinds(layout.folder)
    for folder in subfolders(layout.folder):
        if folder not in kinds.values():
            yield folder, "is not known and is left out; expected Good, NG, GT"
    found = [record for records in layout.splits.values() for record in records]
    views = Counter(record.view.name for record in found if record.view)
    for kind in ("good", "ng"):
        if kind not in kinds:
            yield layout.folder / kind.replace("good", "Good").replace("ng", "NG"), "is missing"
            continue
        for folder in subfolders(kinds[kind]):
            yield from _object_findings(folder, [record for record in found if record.folder == folder], views)
    used = {record.mask for record in found}
    for folder in subfolders(kinds["gt"]) if "gt" in kinds else []:
        for name in filter(is_picture, files(folder)):
            if folder / name not in used and not Path(name).stem.casefold().endswith("_seg"):
                yield folder / name, f"is the mask of no view of {kinds.get('ng', Path('NG')).name}/{folder.name}"
    masked = {record.view.object for record in found if record.view and record.mask is not None}
    for whole in dict.fromkeys(record.view.object for record in found if record.view and record.view.anomalous):
        if whole not in masked:
            yield layout.folder / whole, "is in NG, but no view of it has a mask, so all its views count as good"


def _object_findings(folder: Path, own: list[Record], views: Counter[str]) -> Iterator[tuple[Path, str]]:
    strange = [name for name in files(folder) if is_picture(name) and view_and_light(name) is None]
    for name in strange:
        yield folder / name, "is left out: its name gives no view and light; expected V<view>_L<light>"
    lacking = sorted(views.keys() - {record.view.name for record in own if record.view}, key=natural)
    if not own:
        yield folder, "holds no pictures named V<view>_L<light> and is left out"
    elif lacking:
        rest = f" and {len(lacking) - SPARE_NAMES} more" if len(lacking) > SPARE_NAMES else ""
        yield folder, f"lacks views that other objects have: {', '.join(lacking[:SPARE_NAMES])}{rest}"
