"""Checks of the samples of a category: their lights, pictures, masks and labels."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from afrd.data.images import PictureError, decode, decode_mask, is_picture, pixels_text
from afrd.data.layouts import EYECANDIES_DEFECTS, MASKS_REPORTED, read_metadata, truth
from afrd.data.records import Layout, Record, files, first_of, leads_nowhere, means_good, subfolders

MAX_PLAUSIBLE_MASK_SHARE = 0.9  # share of the pixels; a mask that covers more is probably inverted
MAX_LISTED = 3  # samples that a finding about many of them lists


@dataclass(frozen=True)
class FileInfo:
    """Properties of a picture or mask file: (H, W), for a picture the largest value if it has 16 bits (else 0) and a
    digest of its pixels unless all are equal, and for a mask the share of defective pixels and the number of values."""

    size: tuple[int, int]
    peak: int = 0
    digest: bytes = b""
    share: float = 0.0
    levels: int = 0


FileResult = FileInfo | str  # or the reason why the file is unreadable, as the rest of a sentence


def sample_problems(layout: Layout) -> list[tuple[Path, str]]:
    """Findings of all samples of a category, in the order of splits and samples; every picture is decoded."""
    records = [(split, record) for split, split_records in layout.splits.items() for record in split_records]
    pictures = {path for _, record in records for path in record.pictures.values()}
    masks = {path for _, record in records for path in masks_of(record).values()}
    # decoding releases the GIL
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        results = dict(zip(pictures, pool.map(_inspect_picture, pictures), strict=True))
        results |= dict(zip(masks, pool.map(_inspect_mask, masks), strict=True))
    sizes = Counter(
        info.size
        for _, record in records
        for path in record.pictures.values()
        if isinstance(info := results[path], FileInfo)
    )
    usual = max(sizes, key=lambda size: sizes[size]) if sizes else None
    owners = Counter(item for _, record in records for item in record.pictures)
    problems = _dark_lights(layout, results)
    for split, record in records:
        if record.folder not in layout.passed_over:  # which is a finding already
            problems += _light_problems(record, layout.lights, owners, len(records))
        problems += _picture_problems(record, results, usual)
        problems += _mask_problems(record, results)
        problems += _label_problems(split, record, results)
    problems += _partly_masked(layout)
    problems += _repeated(layout, results)
    return problems


def _light_problems(
    record: Record, lights: Mapping[str, str], owners: Counter[str], samples: int
) -> Iterator[tuple[Path, str]]:
    """Lights that a sample lacks but most others have, and lights that it has but few others do."""
    if not record.pictures and not record.prefix:  # a folder of its own
        yield record.folder, _empty(record.folder)
        return
    usual = {light: item for light, item in lights.items() if 2 * owners[item] >= samples}
    meant = set()
    for light, item in lights.items():
        if light in usual or item not in record.pictures:
            continue
        path, count = record.pictures[item], owners[item]
        rare = f"is under light {light!r}, which only {count} of {samples} samples {'has' if count == 1 else 'have'}"
        near = next((other for other in usual if _plain(other) == _plain(light)), None)
        if near is None:
            yield path, f"{rare}; add the light to the others, or remove it"
        elif usual[near] in record.pictures:
            yield path, f"{rare}, beside {record.pictures[usual[near]].name}; remove one of the two"
        else:
            meant.add(near)
            yield path, f"{rare}; rename it to {record.prefix}{usual[near]}{path.suffix} if light {near!r} is meant"
    for light, item in usual.items():
        if item not in record.pictures and light not in meant:
            path, share = record.picture(item), f"{owners[item]} of {samples} samples have it"
            what = "is a folder and no picture" if path.is_dir() else "is missing: no picture"
            yield path, f"{what} under light {light!r} ({share})"


def _empty(folder: Path) -> str:
    for inner in subfolders(folder):
        if any(map(is_picture, files(inner))):
            return f"holds no pictures, but its folder {inner.name} does; move them up into the sample's own folder"
    return "is a sample without pictures; add them, or delete the folder"


def _plain(light: str) -> str:
    """A light's name without differences from copying and typing: case, blanks, "(1)", " copy"."""
    return re.sub(r"[\W_]+", "", re.sub(r"\(\d+\)\s*$|\bcopy\b", "", light.casefold()))


def _dark_lights(layout: Layout, results: Mapping[Path, FileResult]) -> list[tuple[Path, str]]:
    """Lights whose 16-bit pictures all use only the lower 12 bits."""
    problems = []
    for light, item in layout.lights.items():
        paths = [
            record.pictures[item] for records in layout.splits.values() for record in records if item in record.pictures
        ]
        peaks = {path: info.peak for path in paths if isinstance(info := results[path], FileInfo) and info.peak}
        largest = max(peaks.values(), default=0)
        if 0 < largest < 2**12:
            bits = 10 if largest < 2**10 else 12
            what = f"and all other 16-bit pictures under light {light!r} hold {bits} bits (largest value {largest:,})"
            advice = f"read as nearly black; save their values times {2 ** (16 - bits)}"
            problems.append((next(iter(peaks)), f"{what}; {advice}"))
    return problems


def _partly_masked(layout: Layout) -> list[tuple[Path, str]]:
    """Folders of anomalous samples without masks, where others of the split have masks."""
    problems: list[tuple[Path, str]] = []
    if layout.kind in MASKS_REPORTED:
        return problems
    for records in layout.splits.values():
        bad = [r for r in records if _anomalous(r) and not any(map(means_good, r.defects))]  # reported elsewhere
        unmasked = [record for record in bad if not masks_of(record)]
        if len(unmasked) == len(bad):  # masks are not needed
            continue
        folders = dict.fromkeys(record.folder if record.prefix else record.folder.parent for record in unmasked)
        for folder in folders:
            bad_here = [r for r in bad if folder in (r.folder, r.folder.parent)]
            names = [r.name.rpartition("/")[2] for r in bad_here if r in unmasked]
            where = (
                f"{unmasked[0].prefix}mask.png" if unmasked[0].prefix else f"ground_truth/{folder.name}/{names[0]}.png"
            )
            problems.append(
                (
                    folder,
                    f"has {len(names)} of {len(bad_here)} anomalous samples without a mask "
                    f"({first_of(names, MAX_LISTED)}), while others have one; add {where}, or localisation is judged "
                    "without them",
                )
            )
    return problems


def _repeated(layout: Layout, results: Mapping[Path, FileResult]) -> Iterator[tuple[Path, str]]:
    """Samples with exactly the pictures of one of another split: their scores say nothing about a new part."""
    first: dict[tuple[tuple[str, bytes], ...], tuple[str, Path]] = {}
    repeats: dict[tuple[str, str], list[tuple[Path, Path]]] = {}
    for split, records in layout.splits.items():
        for record in records:
            infos = {item: results[path] for item, path in record.pictures.items()}
            pixels = tuple((item, info.digest) for item, info in sorted(infos.items()) if isinstance(info, FileInfo))
            if len(pixels) < len(infos) or not any(digest for _, digest in pixels):  # unreadable, or nothing to see
                continue
            path = next(iter(record.pictures.values()))
            earlier, original = first.setdefault(pixels, (split, path))
            if earlier != split:
                repeats.setdefault((earlier, split), []).append((path, original))
    for (earlier, split), pairs in repeats.items():
        path, original = pairs[0]
        more = len(pairs) - 1
        others = f", as {'does 1 more sample' if more == 1 else f'do {more} more samples'} of {split}" if more else ""
        yield (
            path,
            f"shows the same part as {original.relative_to(layout.folder).as_posix()} ({earlier}), pixel by pixel"
            f"{others}; a part may be in one split only",
        )


def _anomalous(record: Record) -> bool:
    try:
        return bool(truth(record)[0])
    except (ValueError, OSError):  # reported as a finding of its own
        return False


def masks_of(record: Record) -> dict[str, Path]:
    """The mask files of a sample: its own under "", and those of its defect types."""
    masks = {"": record.mask} if record.mask is not None else {}
    return masks | dict(record.defect_masks or {})


def _inspect_picture(path: Path) -> FileResult:
    def look() -> FileInfo:
        values = decode(path)
        peak = int(values.max()) if values.dtype == np.uint16 else 0
        pixels = np.ascontiguousarray(values).data  # a large picture is not copied
        digest = hashlib.blake2b(pixels, digest_size=16).digest() if np.ptp(values, axis=(0, 1)).any() else b""
        return FileInfo((values.shape[0], values.shape[1]), peak, digest)

    return _explained(path, look)


def _inspect_mask(path: Path) -> FileResult:
    def look() -> FileInfo:
        mask = decode_mask(path)
        height, width = mask.defective.shape
        return FileInfo((height, width), share=float(mask.defective.mean()), levels=mask.levels)

    return _explained(path, look)


def _explained(path: Path, look: Callable[[], FileInfo]) -> FileResult:
    try:
        return look()
    except PictureError as error:
        return error.reason
    except MemoryError:
        return "could not be checked, for memory ran out; close other programs or shrink the picture"
    except FileNotFoundError:
        return f"{leads_nowhere(path)}; mend or delete it" if path.is_symlink() else "does not exist"


def _picture_problems(
    record: Record, results: Mapping[Path, FileResult], usual: tuple[int, int] | None
) -> Iterator[tuple[Path, str]]:
    for path in record.pictures.values():
        info = results[path]
        if isinstance(info, str):
            yield path, info
        elif usual is not None and info.size != usual:
            yield (
                path,
                f"is {pixels_text(info.size)} pixels, but most pictures of the category are {pixels_text(usual)}",
            )
    for path in record.doubles:
        yield path, "is left out: another file is the same light of the same sample"


def _mask_problems(record: Record, results: Mapping[Path, FileResult]) -> Iterator[tuple[Path, str]]:
    picture_results = [results[path] for path in record.pictures.values()]
    size = next((info.size for info in picture_results if not isinstance(info, str)), None)
    for path in masks_of(record).values():
        info = results[path]
        if isinstance(info, str):
            yield path, info
        elif size is not None and info.size != size:
            yield path, f"is {pixels_text(info.size)} pixels, but the pictures of its sample are {pixels_text(size)}"
        else:
            if info.levels > 2:
                yield (
                    path,
                    f"holds {info.levels} different values, so its edges are a guess; save it with 0 and 255 as PNG",
                )
            if info.share > MAX_PLAUSIBLE_MASK_SHARE:
                yield path, f"marks {info.share:.0%} of the picture as defective; is it inverted?"


def _label_problems(split: str, record: Record, results: Mapping[Path, FileResult]) -> Iterator[tuple[Path, str]]:
    filled = {
        kind: info.share > 0 for kind, path in masks_of(record).items() if not isinstance(info := results[path], str)
    }
    if record.settled:  # the folder is the label
        if record.mask is not None and filled.get("") is bool(not record.anomalous):
            state = "has defective pixels" if filled[""] else "is empty"
            yield record.mask, f"{state}, but its sample is {'anomalous' if record.anomalous else 'good'} by its folder"
        return
    flags: dict[str, bool] = {}
    if record.metadata is not None:
        try:
            flags = read_metadata(record.metadata)
            if not flags.keys() & {"anomalous", *EYECANDIES_DEFECTS, *filled}:
                yield record.metadata, f"names neither anomalous nor a defect type ({', '.join(EYECANDIES_DEFECTS)})"
        except ValueError as error:
            yield record.metadata, str(error).removeprefix(f"{record.metadata} ")
    stated = flags.get("anomalous")
    types = {kind: flags[kind] for kind in flags if kind in EYECANDIES_DEFECTS or kind in filled}
    if record.metadata is not None and stated is not None:
        if types and stated != any(types.values()):
            named_types = ", ".join(kind for kind, on in types.items() if on) or "no defect type"
            yield record.metadata, f"says anomalous: {int(stated)}, but names {named_types}"
        if filled.get("", stated) != stated:
            state = "has defective pixels" if filled[""] else "has no defective pixels"
            yield record.metadata, f"says anomalous: {int(stated)}, but the mask {state}"
    for kind, on in types.items():
        if record.metadata is not None and filled.get(kind, on) != on:
            state = "has defective pixels" if filled[kind] else "has no defective pixels"
            yield record.metadata, f"says {kind}: {int(on)}, but {kind}_mask {state}"
    if split == "train" and (stated if stated is not None else any(filled.values()) or any(types.values())):
        yield record.metadata or next(iter(masks_of(record).values())), "marks a defective sample in train"
