"""Published results for comparison, where the data are those that they were measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from afrd.analysis.comparison.sweep_results import GroupResult
from afrd.analysis.comparison.sweep_tables import common_methods, scores_table
from afrd.data.dataset import Category, open_dataset
from afrd.data.download import eyecandies_archives
from afrd.metrics.words import METRIC_NAMES, counted
from afrd.runs.sweep_plan import SweepPlan

FILE = Path(__file__).with_name("published.csv")
METRICS = ("object_auroc", "image_auroc", "pixel_auroc", "aupro")
NAMES = {"object_auroc": "object AUROC"} | {m: METRIC_NAMES[m] for m in METRICS[1:]}


@dataclass(frozen=True)
class Original:
    """Properties by which a public data set is recognised, unlike a part of it or other data with its names.

    Attributes:
        layout, categories: all of them.
        lights: their number.
        views: of every object; 0 where the layout has none.
        sizes: split to samples of one category, the least and the most.
    """

    layout: str
    categories: tuple[str, ...]
    lights: int
    views: int
    sizes: dict[str, tuple[int, int]]


# Objects of M2AD: 49 or 50 good ones a category, of which 29 or 30 are trained on; 49 or 50 bad ones.
M2AD_CATEGORIES = ("Bird", "Car", "Cube", "Dice", "Doll", "Holder", "Motor", "Ring", "Teapot", "Tube")
MVTEC_CATEGORIES = (
    *("bottle", "cable", "capsule", "carpet", "grid", "hazelnut", "leather", "metal_nut", "pill", "screw", "tile"),
    *("toothbrush", "transistor", "wood", "zipper"),
)
ORIGINALS = {
    "Eyecandies": Original(
        "eyecandies",
        tuple(archive.category for archive in eyecandies_archives()),
        6,
        0,
        {"train": (1000, 1000), "test_public": (50, 50)},
    ),
    "MVTec AD": Original("mvtec", MVTEC_CATEGORIES, 1, 0, {"train": (60, 391), "test": (42, 167)}),
    "M2AD": Original("m2ad", M2AD_CATEGORIES, 10, 12, {"train": (12 * 29, 12 * 30), "test": (12 * 69, 12 * 70)}),
}


def data_set_of(plan: SweepPlan, results: Sequence[GroupResult]) -> str | None:
    """Name of the public data set that these results are of, in all its categories; None for any other data."""
    evaluated = {result.group.category for result in results}
    for name, original in ORIGINALS.items():
        if evaluated == set(original.categories) and all(
            _is_original(open_dataset(plan.data, category, plan.views), original) for category in original.categories
        ):
            return name
    return None


def _is_original(data: Category, original: Original) -> bool:
    sizes = all(split in data and low <= len(data[split]) <= high for split, (low, high) in original.sizes.items())
    kind = (data.layout, len(data.lights), len(data.views))
    return sizes and kind == (original.layout, original.lights, original.views)


def published_table(plan: SweepPlan, results: Sequence[GroupResult]) -> pd.DataFrame | None:
    """Published results beside ours, means over all categories; None where the data are not a public data set's.

    Args:
        plan: of the sweep.
        results: of one subset of lights, teacher and size.

    Returns:
        Columns `Method`, `Modality`, the metrics that either has, and `Source`, as text.
    """
    name = data_set_of(plan, results)
    if name is None:
        return None
    published = pd.read_csv(FILE)
    rows = published[published.data_set == name].drop(columns="data_set")
    scores = scores_table(results)
    means = scores[scores.method.isin(common_methods(results))].groupby("method", sort=False).mean(numeric_only=True)
    group = results[0].group
    for method, row in means.iterrows():
        ours = {"method": method, "modality": f"RGB, {counted(len(group.lights), 'light')}, {group.size} pixels"}
        ours |= {metric: row.get(metric, float("nan")) for metric in METRICS} | {"source": "this report"}
        rows = pd.concat([rows, pd.DataFrame([ours])], ignore_index=True)
    shown = [metric for metric in METRICS if rows[metric].notna().any()]
    words = rows[shown].map(lambda value: "–" if pd.isna(value) else f"{value:.3f}").rename(columns=NAMES)
    about = rows[["method", "modality"]].rename(columns=str.capitalize)
    return pd.concat([about, words, rows[["source"]].rename(columns=str.capitalize)], axis=1)
