"""What a defect among the training parts does, and whether the part is named.

    python -m benchmarks.contamination data/candies Licorice Praline --parts 6 --sets 4

One bad part of the test split after another joins the training parts, and each time a run is trained by defaults,
student and memory; one more is trained without. The report says for each part how far it is from all others
(`afrd.runs.training_parts`), how the scores of the other bad parts with one of its types of defect changed (in units of
the run's threshold), and what the image AUROC over all other parts is. A second report says how often a part is named
among good parts alone: in random sets of them a memory is filled without training. Categories are in the layout of
rendered ones. What is finished stays in the work folder.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score

import afrd
from afrd.data.dataset import Category, MultiLightDataset
from afrd.model.patch_memory import PatchBank
from afrd.model.teacher import load_teacher
from afrd.runs.feature_store import load_features
from afrd.runs.options import TrainingOptions
from afrd.runs.plan import MEMORY_PATCHES
from afrd.runs.training_parts import parts_table
from benchmarks.measuring import RESULTS, report

SET_SIZES = (10, 20, 40)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the categories")
    parser.add_argument("categories", nargs="+")
    parser.add_argument("--parts", type=int, default=6, help="bad parts of each category, taken evenly from the split")
    parser.add_argument("--sets", type=int, default=4, help="random sets of good parts of each size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("runs/contamination"))
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the report")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.sets:
        rows = [row for category in options.categories for row in good_parts_alone(category, options)]
        about = {"seed": options.seed, "sets of each size": options.sets}
        report("training_parts", "Good parts alone: how unusual one of them is", rows, about, "cpu", options.out)
    if not options.parts:
        return
    rows = [row for category in options.categories for row in measured(category, options)]
    title = "One bad part among the training parts"
    report(
        "contamination",
        title,
        rows,
        {"seed": options.seed, "parts of each category": options.parts},
        "cpu",
        options.out,
    )


def good_parts_alone(category: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each size of sets of training parts: how unusual the most unusual part is, how often it is named."""
    train, teacher = afrd.open_dataset(options.data, category)["train"], load_teacher()
    features = load_features(train, teacher, TrainingOptions.size)
    random, rows = np.random.default_rng(options.seed), []
    for size in (size for size in SET_SIZES if size <= len(train)):
        tables = []
        for _ in range(options.sets):
            index = random.permutation(len(train))[:size]
            bank = PatchBank(len(train.lights), sum(teacher.channels), MEMORY_PATCHES)
            distances = bank.fill((features.batch([i]) for i in index), size, options.seed)
            names = [train.names[i] for i in index]
            tables.append(parts_table(distances, features.contrast.shape[-2:], names, train.lights, train.image_size))
        largest = [table.deviation.max() for table in tables]
        rows.append(
            {
                "category": category,
                "good parts": size,
                "sets": options.sets,
                "largest deviation, median": float(np.median(largest)),
                "largest deviation": float(max(largest)),
                "sets with a named part": sum(bool(table.unusual.any()) for table in tables),
            }
        )
    return rows


def measured(category: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each joined part, after one without any."""
    data = afrd.open_dataset(options.data, category)
    test = data["test_public"]
    bad = [i for i, label in enumerate(test.anomalous) if label]
    work = options.work / options.data.resolve().name / category
    clean, parts = trained(data, test, work / "without", options.seed)
    rows = [row(category, "none", "", parts, parts.iloc[0], (), (), ranking(clean, [True] * len(clean)))]
    for i in bad[:: max(1, len(bad) // options.parts)][: options.parts]:
        joined, name = with_part(data, i, work / "data" / test.names[i])
        table, parts = trained(joined, test, work / test.names[i], options.seed)
        others = [k != i for k in range(len(test))]
        alike = [k for k in bad if k != i and set(test.defects[k]) & set(test.defects[i])]
        before, after = (scores.relative.iloc[alike].to_numpy() for scores in (clean, table))
        mine = parts[parts.part == name].iloc[0]
        what = "+".join(test.defects[i])
        rows.append(row(category, test.names[i], what, parts, mine, before, after, ranking(table, others)))
    return rows


def with_part(data: Category, index: int, root: Path) -> tuple[Category, str]:
    """The category with a test part among its training parts, as links below `root`, and the part's name there."""
    source, category = Path(data.root) / data.name, root / data.name
    digits = len(data["train"].names[0])
    name = f"{len(data['train']):0{digits}d}"
    if not category.exists():
        unfinished = root / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        train = unfinished / "train" / "data"
        train.mkdir(parents=True)
        for split in set(data) - {"train"}:
            (unfinished / split).symlink_to((source / split).resolve())
        for picture in (source / "train" / "data").glob("*_image_*"):
            (train / picture.name).symlink_to(picture.resolve())
        for picture in data["test_public"].files(index)[0]:
            (train / f"{name}_image_{picture.name.partition('_image_')[2]}").symlink_to(picture.resolve())
        unfinished.rename(category)
    return afrd.open_dataset(root, data.name), name


def trained(data: Category, test: MultiLightDataset, out: Path, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trains; scores of the test split with a column `relative` to the threshold, and the table of training parts."""
    run = afrd.fit(data, out=out, seed=seed, device="cpu")
    table, threshold = run.evaluate(test).table, run.threshold()
    assert threshold is not None
    return table.assign(relative=table.score / threshold.value), run.training_parts()


def ranking(table: pd.DataFrame, counted: list[bool]) -> float:
    """Image AUROC over the parts that count."""
    return float(roc_auc_score(table.anomalous[counted].astype(bool), table.score[counted]))


def row(
    category: str,
    joined: str,
    defects: str,
    parts: pd.DataFrame,
    mine: pd.Series,
    before: np.ndarray | tuple,
    after: np.ndarray | tuple,
    auroc: float,
) -> dict[str, Any]:
    """One row of the report; `mine` is the joined part's row of the training parts, or their first one."""
    before, after = np.asarray(before), np.asarray(after)
    change = after / before
    return {
        "category": category,
        "joined": joined,
        "its defects": defects,
        "its ratio": float(mine.ratio),
        "its deviation": float(mine.deviation),
        "its rank": int((parts.deviation > mine.deviation).sum()) + 1,
        "named": "yes" if mine.unusual else "no",
        "others named": int(parts.unusual.sum()) - int(mine.unusual),
        "scores of its types": _spread(change) if len(change) else "",
        "of them missed": f"{(before <= 1).sum()}, then {(after <= 1).sum()} of {len(change)}" if len(change) else "",
        "image AUROC of the others": auroc,
    }


def _spread(values: np.ndarray) -> str:
    return f"{np.median(values):.2f} ({values.min():.2f} to {values.max():.2f})"


if __name__ == "__main__":
    main()
