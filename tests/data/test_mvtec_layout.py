"""The layout of MVTec AD: one picture a sample, one light."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import afrd


def picture(path: Path, value: int = 120, size: int = 64) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(value).integers(0, 40, (size, size, 3))
    Image.fromarray((value + noise).astype(np.uint8)).save(path)
    return path


def mask(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    inside = np.zeros((64, 64), np.uint8)
    inside[10:20, 30:50] = 255
    Image.fromarray(inside).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    bottle = tmp_path / "mvtec" / "bottle"
    for i in range(7):
        picture(bottle / "train" / "good" / f"{i:03d}.png", 100 + i)
    for i in range(2):
        picture(bottle / "test" / "good" / f"{i:03d}.png", 110 + i)
        picture(bottle / "test" / "broken_large" / f"{i:03d}.png", 120 + i)
        mask(bottle / "ground_truth" / "broken_large" / f"{i:03d}_mask.png")
    picture(bottle / "test" / "scratch" / "000.PNG", 130)
    mask(bottle / "ground_truth" / "scratch" / "000_mask.png")
    return bottle.parent


def test_a_picture_is_a_sample_with_one_light(root: Path):
    assert afrd.list_categories(root) == ["bottle"] and afrd.check(root) == []
    data = afrd.open_dataset(root, "bottle")
    assert data.splits == ("train", "test") and data.lights == ("image",) and data.test_split == "test"
    assert data["train"].names == [f"good/{i:03d}" for i in range(7)]
    assert data["test"].names == ["good/000", "good/001", "broken_large/000", "broken_large/001", "scratch/000"]
    assert data["test"].anomalous == [False, False, True, True, True]
    sample = data["test"][3]
    assert sample.images.shape == (1, 3, 64, 64) and sample.defects == ("broken_large",)
    assert sample.mask is not None and int(sample.mask.sum()) == 200
    good = data["test"].mask(0)
    assert good is not None and not good.any()


def test_what_is_amiss_is_found_by_file(root: Path):
    bottle = root / "bottle"
    (bottle / "ground_truth" / "scratch" / "000_mask.png").unlink()
    mask(bottle / "ground_truth" / "scratch" / "007_mask.png")
    picture(bottle / "train" / "scratch" / "000.png")
    findings = {problem.file: problem.what for problem in afrd.check(root)}
    assert "has no mask; expected ground_truth/scratch/000_mask.png" in findings["bottle/test/scratch/000.PNG"]
    assert "is the mask of no sample" in findings["bottle/ground_truth/scratch/007_mask.png"]
    assert "is a defect folder in train" in findings["bottle/train/scratch"]
    assert afrd.open_dataset(root, "bottle")["test"].mask(4) is None


def test_sample_folders_make_it_a_rig_of_ones_own_and_loose_pictures_are_named(root: Path):
    picture(root / "bottle" / "train" / "good" / "part1" / "top.png")
    assert afrd.open_dataset(root, "bottle").lights == ("top",)
    assert any("lies outside a sample's folder" in problem.what for problem in afrd.check(root))


def test_reverse_distillation_and_the_memory_are_trained_and_judged_on_it(root: Path, tmp_path: Path):
    data = afrd.open_dataset(root, "bottle")
    for method, options in (("memory", {}), ("afrd", {"epochs": 1, "width": 16})):
        run = afrd.fit(data, out=tmp_path / method, method=method, size=64, show_progress=False, **options)
        table = run.evaluate(data["test"])
        assert list(table.table["sample"]) == data["test"].names and run.threshold() is not None
        assert all(0 <= value <= 1 for value in table.metrics().values())
