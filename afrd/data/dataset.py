"""Multi-light data sets: samples, splits and categories, in every layout that `afrd.data.layouts` describes.

    data = open_dataset("data/candies", "Praline")
    sample = data["test_public"][25]      # Sample: images (L, 3, H, W), lights, anomalous, defects, mask

The layouts on disk are described in `afrd/data/layouts.py`; `check` lists the problems of a data set.
"""

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import SupportsIndex

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from afrd.data import m2ad
from afrd.data.check import Problem, check
from afrd.data.images import PictureError, picture_size, pixels_text, read_mask
from afrd.data.layouts import (
    EXPECTED_LAYOUTS,
    EYECANDIES_LIGHTS,
    existing_root,
    list_categories,
    mixture,
    read_layout,
    truth,
    why_no_categories,
)
from afrd.data.names import checked_lights, parse_lights
from afrd.data.records import Layout, Record, View, composed, leads_nowhere, printable, subfolders
from afrd.data.sample import Sample, read_sample
from afrd.files import once_per_snapshot

__all__ = [
    "EYECANDIES_LIGHTS",
    "Category",
    "MultiLightDataset",
    "Problem",
    "Sample",
    "check",
    "list_categories",
    "open_dataset",
    "parse_lights",
    "read_sample",
]


class MultiLightDataset(Dataset[Sample]):
    """One split of one category; made by `open_dataset`. No picture is read before a sample is asked for.

    Attributes:
        root, category, split: Its place in the data set.
        lights: Light names, the same in every split of the category.
        names: Sample names, in the order of the samples.
        views: Object and view of every sample; empty for layouts without views.
    """

    def __init__(self, layout: Layout, split: str, lights: Sequence[str] | None = None) -> None:
        self.root = layout.folder.parent
        self.category = layout.folder.name
        self.split = split
        self.lights = tuple(layout.lights) if lights is None else tuple(lights)
        self._layout = layout
        self._records = layout.splits[split]
        self.names = [record.name for record in self._records]
        self.views: list[View] = [record.view for record in self._records if record.view]
        self._truths: dict[int, tuple[bool | None, tuple[str, ...]]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"MultiLightDataset({self.category}/{self.split}, {len(self)} samples, lights {', '.join(self.lights)})"

    def __getitem__(self, index: SupportsIndex) -> Sample:
        """Read one sample.

        Raises:
            IndexError: There are fewer samples.
            FileNotFoundError: The picture of a light is missing.
            ValueError: A file cannot be read, or is not of the category's size.
        """
        i = self._position(index)
        record = self._records[i]
        paths = {light: self.picture(i, light) for light in self.lights}
        for light, path in paths.items():
            if not path.is_file():
                raise FileNotFoundError(self._missing(record, light, path))
        sample = read_sample(paths, record.name)
        size = (sample.images.shape[2], sample.images.shape[3])
        if size != self.image_size:
            raise PictureError(
                next(iter(paths.values())),
                f"is {pixels_text(size)} pixels, but the category's first picture is {pixels_text(self.image_size)}; "
                f"all pictures of a category must have one size, and `afrd check {self.root}` finds the odd ones",
            )
        anomalous, defects = self._truth(i)
        return replace(sample, anomalous=anomalous, defects=defects, mask=self._mask(record, anomalous, size))

    def _missing(self, record: Record, light: str, path: Path) -> str:
        everything = [record for records in self._layout.splits.values() for record in records]
        owners = sum(self._layout.lights[light] in record.pictures for record in everything)
        state = leads_nowhere(path) if path.is_symlink() else "is a folder" if path.is_dir() else "does not exist"
        rarity = f"which only {owners} of {len(everything)} samples have; leave it out with --lights, or "
        advice = rarity if 2 * owners < len(everything) else ""
        return (
            f"{path} {state}: sample {record.name} of {self.category}/{self.split} has no picture under light {light!r}"
            f"{', ' if advice else '; '}{advice}`afrd check {self.root}` lists all that is missing"
        )

    def _position(self, index: SupportsIndex) -> int:
        i = operator.index(index)
        if not -len(self) <= i < len(self):
            raise IndexError(f"sample {i} is not in {self.category}/{self.split}, which has {len(self)} samples")
        return i % len(self)

    def _truth(self, i: int) -> tuple[bool | None, tuple[str, ...]]:
        if i not in self._truths:
            self._truths[i] = truth(self._records[i])
        return self._truths[i]

    def mask(self, index: int) -> Tensor | None:
        """(H, W) bool, the defective pixels of one sample, without reading its pictures; see `Sample.mask`."""
        i = self._position(index)
        return self._mask(self._records[i], self._truth(i)[0], self.image_size)

    def masks(self) -> tuple[np.ndarray, np.ndarray]:
        """All masks (N, H, W), read-only, and which samples have one (N,), both bool; the rows of the others are False.

        Within a `snapshot` they are read once.
        """
        return once_per_snapshot(("masks", self), self._masks)

    def _masks(self) -> tuple[np.ndarray, np.ndarray]:
        masks, masked = np.zeros((len(self), *self.image_size), bool), np.zeros(len(self), bool)
        for i in range(len(self)):
            mask = self.mask(i)
            if mask is not None:
                masks[i], masked[i] = mask.numpy(), True
        masks.flags.writeable = masked.flags.writeable = False
        return masks, masked

    def _mask(self, record: Record, anomalous: bool | None, size: tuple[int, int]) -> Tensor | None:
        if anomalous is False:
            return torch.zeros(size, dtype=torch.bool)  # (H, W)
        paths = [record.mask] if record.mask is not None else list((record.defect_masks or {}).values())
        if anomalous is None or not paths:
            return None
        mask = torch.zeros(size, dtype=torch.bool)
        for path in paths:
            defect_mask = read_mask(path)  # (H, W)
            if defect_mask.shape != mask.shape:
                raise PictureError(
                    path,
                    f"is {pixels_text(defect_mask.shape)} pixels, but the pictures of its sample are "
                    f"{pixels_text(size)}; a mask must have the size of the pictures",
                )
            mask |= defect_mask
        return mask

    def picture(self, index: SupportsIndex, light: str) -> Path:
        """File of one light of one sample; if it does not exist, that light is missing.

        Raises:
            IndexError, ValueError: There is no such sample, or no such light.
        """
        checked_lights([light], self.lights, f"{self.category}/{self.split}")
        return self._records[self._position(index)].picture(self._layout.lights[light])

    def files(self, index: SupportsIndex) -> tuple[list[Path], list[Path]]:
        """Paths of one sample's pictures under these lights, and of its ground truth (masks, metadata).

        Raises:
            IndexError: There is no such sample.
        """
        record = self._records[self._position(index)]
        truth_files = [record.mask, *(record.defect_masks or {}).values(), record.metadata]
        pictures = [record.picture(self._layout.lights[light]) for light in self.lights]
        return pictures, [path for path in truth_files if path is not None]

    def select(self, lights: Sequence[str]) -> "MultiLightDataset":
        """The same split with these lights only, in this order; other pictures are not opened.

        Raises:
            ValueError: A light that the category does not have, one named twice, or none at all.
        """
        return MultiLightDataset(self._layout, self.split, checked_lights(lights, self.lights, self.category))

    @cached_property
    def anomalous(self) -> list[bool | None]:
        """Label of every sample, None where it is not known; read from metadata, or from masks where there are none."""
        return [self._truth(i)[0] for i in range(len(self))]

    @cached_property
    def defects(self) -> list[tuple[str, ...]]:
        """Defect types of every sample."""
        return [self._truth(i)[1] for i in range(len(self))]

    @cached_property
    def image_size(self) -> tuple[int, int]:
        """(H, W) of the category's pictures, from the header of the first of them that can be read."""
        broken: Exception = ValueError(f"{self.category} has no picture under {', '.join(self.lights)}")
        items = [self._layout.lights[light] for light in self.lights]
        for records in self._layout.splits.values():
            for path in (record.pictures[item] for record in records for item in items if item in record.pictures):
                try:
                    return picture_size(path)
                except (FileNotFoundError, PictureError) as error:
                    broken = error
        raise broken


class UnknownSplitError(KeyError, ValueError):
    """Raised for a split that a category does not have: a KeyError, as in any Mapping, whose text is a sentence."""

    def __str__(self) -> str:
        return str(self.args[0])


class Category(Mapping[str, MultiLightDataset]):
    """The splits of one category by name; made by `open_dataset`.

    Attributes:
        root, name: Its folder is `root`/`name`.
        layout: "eyecandies", "folders", "mvtec" or "m2ad".
        lights: Light names, the union over all samples.
        splits: Names of the splits that have samples.
        views: Names of the views in use; empty for layouts without views.
        description: Sentences about how the layout was read, if it is ambiguous.
    """

    def __init__(self, layout: Layout) -> None:
        self.root = layout.folder.parent
        self.name = layout.folder.name
        self.layout = layout.kind
        self.lights = tuple(layout.lights)
        self.splits = tuple(layout.splits)
        self._datasets = {split: MultiLightDataset(layout, split) for split in self.splits}
        self.views = tuple(sorted({view.name for dataset in self._datasets.values() for view in dataset.views}))
        self.description = m2ad.description(layout)

    def __getitem__(self, split: str) -> MultiLightDataset:
        if split not in self._datasets:
            raise UnknownSplitError(f"{self.name} has no split {split!r}; its splits are {', '.join(self.splits)}")
        return self._datasets[split]

    def __iter__(self) -> Iterator[str]:
        return iter(self._datasets)

    def __len__(self) -> int:
        return len(self._datasets)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{split} {len(dataset)}" for split, dataset in self.items())
        return f"Category({self.name}: {sizes}; lights {', '.join(self.lights)})"

    @property
    def test_split(self) -> str:
        """Name of the split with known truth: "test_public" or "test".

        Raises:
            ValueError: The category has neither.
        """
        for split in ("test_public", "test"):
            if split in self._datasets:
                return split
        raise ValueError(
            f"{self.name} has no test split (test_public or test); its splits are {', '.join(self.splits)}"
        )


def open_dataset(root: str | Path, category: str, views: Sequence[str] = ()) -> Category:
    """Open one category of a data set; lists files, reads none.

    Args:
        root: Folder that holds one folder a category.
        category: Name of one of them.
        views: Names of the views to use ("001"); all by default. Only the layout of M2AD has views.

    Returns:
        The category: `data["train"]`, `data.splits`, `data.lights`.

    Raises:
        FileNotFoundError: The root or the category does not exist.
        ValueError: The folder follows no known layout or mixes two, the root is itself a category, there is no such
            view, or something that may hold samples cannot be read: a broken link, a name that is not
            UTF-8, a folder that may not be opened.
    """
    root = existing_root(root)
    name = str(category).rstrip("/\\")
    is_plain = bool(name) and name not in (".", "..") and not set(name) & {"/", "\\"}
    if is_plain and not (root / name).is_dir():  # the same name in another Unicode form
        name = next((folder.name for folder in subfolders(root) if composed(folder.name) == composed(name)), name)
    layout = read_layout(root / name) if is_plain and (root / name).is_dir() else None
    if layout is not None:
        for path, why in layout.passed_over.items():  # rather than a category that silently lacks samples
            raise ValueError(f"{printable(path)} {why}; `afrd check {root}` lists all that is wrong with it")
        return Category(_with_views(layout, views))
    if is_plain and (mixed := mixture(root / name)):
        raise ValueError(f"{root / name / 'train' / 'good'} {mixed}")
    categories = list_categories(root)
    if not categories:
        raise ValueError(f"data set {root} {why_no_categories(root)}; `afrd check {root}` says more")
    available = f"categories of {root}: {', '.join(categories)}; `afrd check {root}` lists what is wrong with it"
    if is_plain and (root / name).is_dir():
        raise ValueError(f"{root / name} is not a category: expected {EXPECTED_LAYOUTS}; {available}")
    raise FileNotFoundError(f"there is no category {category!r} in {root}; {available}")


def _with_views(layout: Layout, views: Sequence[str]) -> Layout:
    if not views:
        return layout
    available = {record.view.name for records in layout.splits.values() for record in records if record.view}
    if not available:
        raise ValueError(f"{layout.folder} has no views to choose from; only the layout of M2AD has them")
    selected = {view if view in available else view.upper().removeprefix("V").zfill(3) for view in views}
    if missing := sorted(selected - available):
        raise ValueError(f"view {missing[0]!r} is not in {layout.folder}; its views are {', '.join(sorted(available))}")
    splits = {
        split: tuple(record for record in records if record.view and record.view.name in selected)
        for split, records in layout.splits.items()
    }
    return replace(layout, splits={split: records for split, records in splits.items() if records})
