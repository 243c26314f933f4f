"""Runs that were trained on some views of M2AD's objects are judged on these views."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import afrd
from afrd.page.common.library import Library
from afrd.page.common.samples import dataset_of, first_selection
from afrd.page.compare.comparison import Comparison


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five good objects and two bad ones, from two views under two lights."""
    root = tmp_path_factory.mktemp("m2ad")
    draw = np.random.default_rng(0)
    for number in range(7):
        folder = root / "Bird" / ("Good" if number < 5 else "NG") / f"Bird_{number:03d}"
        folder.mkdir(parents=True)
        for view in ("001", "002"):
            for light in ("01", "02"):
                pixels = draw.integers(90, 130, (64, 64, 3)).astype(np.uint8)
                pixels[10:26, 20:36] = 250 if number >= 5 else 100
                Image.fromarray(pixels).save(folder / f"V{view}_L{light}.png")
            if number >= 5:
                mask = np.zeros((64, 64), np.uint8)
                mask[10:26, 20:36] = 255
                path = root / "Bird" / "GT" / folder.name / f"V{view}_mask.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(mask).save(path)
    return root


@pytest.fixture(scope="module")
def runs(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    for name, views in (("every", ()), ("second", ["002"])):
        data = afrd.open_dataset(root, "Bird", views)
        afrd.fit(data, "all", runs / name, method="memory", size=64, show_progress=False)
    return runs


def test_runs_of_all_views_and_of_some_are_two_categories(runs: Path, root: Path):
    entries = {entry.key: entry for entry in Library(runs, None).categories()}
    assert list(entries) == ["Bird", "Bird, views 002"]
    assert [run.folder.name for entry in entries.values() for run in entry.fused] == ["every", "second"]


def test_a_run_of_one_view_is_judged_on_that_view(runs: Path, root: Path):
    library = Library(runs, root)
    for key, views in (("Bird", {"001", "002"}), ("Bird, views 002", {"002"})):
        selection = first_selection(library, key)
        dataset = dataset_of(library, selection)
        assert {view.name for view in dataset.views} == views
        judged = library.judged(Comparison(library, selection).reference, dataset)
        run = afrd.load_run(runs / ("every" if key == "Bird" else "second"))
        data = afrd.open_dataset(root, "Bird", run.config.views)
        assert judged.table.score.tolist() == run.evaluate(data["test"]).table.score.tolist()
