"""The four folder layouts of data sets, their detection, and the labels they give.

Eyecandies (Bonfiglioli et al., ACCV 2022, https://arxiv.org/abs/2210.04570):
    <root>/<category>/{train,val,test_public,test_private,twins}/data/<index>_<item>.<ext>
Folders, for your own rig:
    <root>/<category>/{train,val,test}/{good,<defect>}/<sample>/<light>.<ext>
    <root>/<category>/ground_truth/<defect>/<sample>.png, or <sample>_mask.png, or pictures in a folder <sample>, or
        ground_truth/<sample>.png where only one defect type has a sample of this name
MVTec AD (Bergmann et al., CVPR 2019, https://doi.org/10.1109/CVPR.2019.00982), one picture a sample, one light:
    <root>/<category>/{train,test}/{good,<defect>}/<sample>.<ext>
    <root>/<category>/ground_truth/<defect>/<sample>_mask.png
M2AD, several views of an object: see `afrd.data.m2ad`.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import yaml

from afrd.data import m2ad
from afrd.data.images import is_picture, read_mask
from afrd.data.records import (
    Layout,
    Record,
    composed,
    composed_stem,
    files,
    leads_nowhere,
    natural,
    noting_passed_over,
    subfolders,
)

EYECANDIES_LIGHTS = ("spots", "bottom", "right", "top", "left", "box")  # image_0 .. image_5
EYECANDIES_DEFECTS = ("bumps", "colors", "dents", "normals")
SPLITS_OF_LAYOUTS = {
    "eyecandies": ("train", "val", "test_public", "test_private", "twins"),
    "folders": ("train", "val", "test"),
    "mvtec": ("train", "test"),
    "m2ad": ("train", "test"),
}
MASKS_REPORTED = ("mvtec", "m2ad")  # layouts whose own findings name every anomalous sample without a mask
MVTEC_LIGHT = "image"
GOOD_FOLDER = "good"  # folder of good samples; every folder beside it is a defect type
EXPECTED_LAYOUTS = (
    "<category>/train/data/<index>_image_<n>.png (Eyecandies), "
    "<category>/train/good/<sample>/<light>.png (folders of your own), "
    "<category>/train/good/<sample>.png (MVTec AD) or <category>/Good/<object>/V<view>_L<light>.png (M2AD)"
)

_EYECANDIES_FILE = re.compile(r"([0-9]+)_(.+)\.[^.]+")
_LIGHT_ITEM = re.compile(r"image_([0-9]+)")
_YamlLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster if PyYAML has its C library


def layout_of(folder: Path) -> str | None:
    """`eyecandies`, `folders`, `mvtec`, `m2ad`; None where the folder is not a category, or a `mixture` of two.

    Pictures in `train/good` itself are MVTec AD's samples; folders with pictures there, or at that depth in another
    split, are samples of your own rig.
    """
    if any(_eyecandies_pictures(folder / split / "data") for split in SPLITS_OF_LAYOUTS["eyecandies"]):
        return "eyecandies"
    if mixture(folder) is not None:
        return None
    if _first_picture(folder / "train" / GOOD_FOLDER):
        return "mvtec"
    kinds = (kind for split in SPLITS_OF_LAYOUTS["folders"] for kind in subfolders(folder / split))
    if any(map(_first_sample, kinds)):
        return "folders"
    return "m2ad" if m2ad.is_category(folder) else None


def mixture(folder: Path) -> str | None:
    """The problem of a `train/good` with samples of two layouts, as the rest of a sentence; None without one."""
    picture, sample = _first_picture(folder / "train" / GOOD_FOLDER), _first_sample(folder / "train" / GOOD_FOLDER)
    if picture is None or sample is None:
        return None
    return (
        f"holds loose pictures ({picture}) beside sample folders ({sample.name}); keep one folder a sample, "
        "or pictures only (MVTec AD)"
    )


def _first_picture(folder: Path) -> str | None:
    return next(filter(is_picture, files(folder)), None)


def _first_sample(kind: Path) -> Path | None:
    return next((sample for sample in subfolders(kind) if _first_picture(sample)), None)


def _eyecandies_pictures(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(_light_number(entry.name) is not None for entry in entries)
    except OSError:
        return False


def _light_number(name: str) -> int | None:
    match = _EYECANDIES_FILE.fullmatch(name)
    item = _LIGHT_ITEM.fullmatch(match[2]) if match and is_picture(name) else None
    return int(item[1]) if item else None


def list_categories(root: str | Path) -> list[str]:
    """Names of the categories in a data set's root folder.

    Args:
        root: Folder that holds one folder a category, in any of the layouts.

    Returns:
        The names of all that can be opened, in natural order; empty where no folder follows a known layout.

    Raises:
        FileNotFoundError: `root` is not a folder.
        PermissionError: It may not be opened.
    """
    root = existing_root(root)
    return [folder.name for folder in subfolders(root) if layout_of(folder)]


def existing_root(root: str | Path) -> Path:
    """`root` as a Path; FileNotFoundError where it is not a folder, PermissionError where it may not be opened."""
    root = Path(root)
    if not os.path.isdir(root):
        state = leads_nowhere(root) if root.is_symlink() else "is a file" if os.path.exists(root) else "does not exist"
        raise FileNotFoundError(f"data set {root} {state}; expected a folder with {EXPECTED_LAYOUTS}")
    try:
        os.scandir(root).close()
    except OSError as error:
        raise PermissionError(f"data set {root} cannot be opened ({error.strerror}); check its rights") from error
    return root


def why_no_categories(root: Path) -> str:
    """The rest of the sentence about a root that holds no category, with the folder to pass instead if there is one."""
    if layout_of(root) or mixture(root):
        resolved = root.resolve()
        return f"is itself one category; pass its parent folder {resolved.parent} and the category {resolved.name}"
    for inner in subfolders(root):
        if any(layout_of(folder) for folder in subfolders(inner)):
            return f"holds no category, but its folder {inner.name} does; pass {inner} instead"
    return f"holds no category; expected {EXPECTED_LAYOUTS}"


def read_layout(folder: Path) -> Layout | None:
    """Records of all samples of a category; None if the folder follows no layout. Opens no file."""
    kind = layout_of(folder)
    if kind is None:
        return None
    records_of = {
        "eyecandies": _eyecandies_records,
        "folders": _folder_records,
        "mvtec": _mvtec_records,
        "m2ad": m2ad.records,
    }[kind]
    with noting_passed_over() as passed_over:
        records_by_split = {split: tuple(records_of(folder, split)) for split in SPLITS_OF_LAYOUTS[kind]}
    passed_over |= _splits_that_lead_nowhere(folder, SPLITS_OF_LAYOUTS[kind])
    splits = {split: records for split, records in records_by_split.items() if records}
    items = sorted({item for records in splits.values() for record in records for item in record.pictures}, key=natural)
    extensions = _usual_extensions(record for records in splits.values() for record in records)
    splits = {split: tuple(replace(record, extensions=extensions) for record in splits[split]) for split in splits}
    names = [item.replace("image_", "light") for item in items] if kind == "eyecandies" else items
    if kind == "eyecandies" and items == [f"image_{n}" for n in range(len(EYECANDIES_LIGHTS))]:
        names = list(EYECANDIES_LIGHTS)
    return Layout(kind, folder, dict(zip(names, items, strict=True)), splits, passed_over)


def _splits_that_lead_nowhere(category: Path, splits: Iterable[str]) -> dict[Path, str]:
    expected = [category / name for split in splits for name in (split, f"{split}/data")]
    links = [path for path in (*expected, category / "ground_truth") if path.is_symlink() and not path.exists()]
    return {path: f"{leads_nowhere(path)}; mend or delete it" for path in links}


def _usual_extensions(records: Iterable[Record]) -> dict[str, str]:
    counts: dict[str, Counter[str]] = {}
    for record in records:
        for item, path in record.pictures.items():
            counts.setdefault(item, Counter())[path.suffix] += 1
    return {item: extensions.most_common(1)[0][0] for item, extensions in counts.items()}


def _eyecandies_records(category: Path, split: str) -> Iterator[Record]:
    folder = category / split / "data"
    pictures: dict[str, dict[str, Path]] = {}
    extras: dict[str, dict[str, Path]] = {}
    doubles: dict[str, list[Path]] = {}
    for name in files(folder):
        match = _EYECANDIES_FILE.fullmatch(name)
        if match is None:
            continue
        index, item = match[1], match[2]
        if (number := _light_number(name)) is not None:
            of_index = pictures.setdefault(index, {})
            if of_index.setdefault(f"image_{number}", folder / name) != folder / name:
                doubles.setdefault(index, []).append(folder / name)
        elif item == "metadata" and name.lower().endswith((".yaml", ".yml")):
            extras.setdefault(index, {})["metadata"] = folder / name
        elif (item == "mask" or item.endswith("_mask")) and is_picture(name):
            extras.setdefault(index, {})[item] = folder / name
    # the padding differs from split to split, so the number decides the order; an index without a picture but with
    # other files is a sample whose pictures are all missing
    for index in sorted(pictures.keys() | extras.keys(), key=lambda text: (int(text), text)):
        sample_extras = extras.get(index, {}) if split != "twins" else {}
        yield Record(
            name=index,
            folder=folder,
            prefix=f"{index}_",
            pictures=pictures.get(index, {}),
            doubles=tuple(doubles.get(index, ())),
            mask=sample_extras.get("mask"),
            defect_masks={
                item[: -len("_mask")]: path for item, path in sample_extras.items() if item.endswith("_mask")
            },
            metadata=sample_extras.get("metadata"),
            anomalous=None if split.startswith("test") else False,
            settled=split == "twins",
        )


def _kinds(category: Path, split: str) -> list[Path]:
    """The folders of a split, one of good samples and one a defect type: good first, then in natural order."""
    return sorted(subfolders(category / split), key=lambda kind: kind.name != GOOD_FOLDER)


def _masks_of(category: Path, kind: str) -> dict[str, list[Path]]:
    """Sample -> its masks in ground_truth/<kind>: a file of its name (or with _mask), or the pictures of its folder."""
    truth = category / "ground_truth" / kind
    masks: dict[str, list[Path]] = {}
    for folder in subfolders(truth):
        masks[composed(folder.name)] = [folder / name for name in files(folder) if is_picture(name)]
    names = [name for name in reversed(files(truth)) if is_picture(name)]
    masks |= {composed_stem(name).removesuffix("_mask"): [truth / name] for name in names}
    return masks | {composed_stem(name): [truth / name] for name in names}


def _folder_records(category: Path, split: str) -> Iterator[Record]:
    defects = (kind for kind in subfolders(category / split) if kind.name != GOOD_FOLDER)
    owners = Counter(composed(sample.name) for kind in defects for sample in subfolders(kind))
    unassigned_masks = {
        sample: paths
        for sample, paths in _masks_of(category, "").items()
        if paths and paths[0].parent.name == "ground_truth"
    }
    for kind in _kinds(category, split):
        masks = _masks_of(category, kind.name)
        good = kind.name == GOOD_FOLDER
        for sample in subfolders(kind):
            pictures: dict[str, Path] = {}
            doubles = []
            for name in filter(is_picture, files(sample)):
                if pictures.setdefault(composed_stem(name), sample / name) != sample / name:
                    doubles.append(sample / name)
            sample_masks = masks.get(composed(sample.name), [])
            if not sample_masks and not good and owners[composed(sample.name)] == 1:
                sample_masks = unassigned_masks.get(composed(sample.name), [])
            yield Record(
                name=composed(f"{kind.name}/{sample.name}"),
                folder=sample,
                prefix="",
                pictures=pictures,
                doubles=tuple(doubles),
                mask=sample_masks[0] if len(sample_masks) == 1 else None,
                defect_masks={path.stem: path for path in sample_masks} if len(sample_masks) > 1 else None,
                anomalous=not good,
                defects=() if good else (composed(kind.name),),
                settled=True,
            )


def _mvtec_records(category: Path, split: str) -> Iterator[Record]:
    for kind in _kinds(category, split):
        truth = category / "ground_truth" / kind.name
        masks = {composed_stem(name): truth / name for name in reversed(files(truth)) if is_picture(name)}
        good = kind.name == GOOD_FOLDER
        pictures: dict[str, list[Path]] = {}
        for name in filter(is_picture, files(kind)):
            pictures.setdefault(composed_stem(name), []).append(kind / name)
        for stem in sorted(pictures, key=natural):
            first, *doubles = pictures[stem]
            yield Record(
                name=composed(f"{kind.name}/{stem}"),
                folder=kind,
                prefix=f"{stem}_",
                pictures={MVTEC_LIGHT: first},
                doubles=tuple(doubles),
                mask=masks.get(f"{stem}_mask"),
                anomalous=not good,
                defects=() if good else (composed(kind.name),),
                settled=True,
            )


def read_metadata(path: Path) -> dict[str, bool]:
    """The flags of a `metadata.yaml`: every key whose value is 0 or 1.

    Raises:
        ValueError: It is not YAML with named values, or `anomalous` or a defect type is something else than 0 or 1.
    """
    try:
        values = yaml.load(path.read_bytes(), Loader=_YamlLoader)
    except Exception as error:  # dates, numbers and keys of YAML each fail in their own way
        raise ValueError(f"{path} cannot be read as YAML ({' '.join(str(error).split())})") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds no 'name: value' lines; expected anomalous: 0 or 1")
    for key in ("anomalous", *EYECANDIES_DEFECTS):
        if key in values and values[key] not in (0, 1):
            raise ValueError(f"{path} says {key}: {values[key]!r}; expected 0 or 1")
    return {str(key): bool(value) for key, value in values.items() if value in (0, 1)}


def truth(record: Record) -> tuple[bool | None, tuple[str, ...]]:
    """Whether a sample is anomalous (None: not known) and its defect types.

    Decided in this order: by the sample's folder where the layout defines it, by its metadata, by defective pixels in
    its masks, and last by its split.
    """
    if record.settled:
        return record.anomalous, record.defects
    masks = record.defect_masks or {}
    if record.metadata is not None:
        flags = read_metadata(record.metadata)
        types = tuple(sorted(key for key in flags if flags[key] and (key in EYECANDIES_DEFECTS or key in masks)))
        if "anomalous" in flags or any(key in flags for key in EYECANDIES_DEFECTS):
            anomalous = flags.get("anomalous", bool(types))
            return anomalous, types if anomalous else ()
    if record.mask is not None or masks:
        types = tuple(sorted(key for key, path in masks.items() if bool(read_mask(path).any()))) or record.defects
        anomalous = bool(read_mask(record.mask).any()) if record.mask is not None else bool(types)
        return anomalous, types if anomalous else ()
    return record.anomalous, record.defects
