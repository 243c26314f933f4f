"""The layout of MVTec AD: one picture a sample, one light."""

import re
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


def test_loose_pictures_beside_sample_folders_in_train_are_refused_and_found(root: Path):
    good = picture(root / "bottle" / "train" / "good" / "part1" / "top.png").parents[1]
    said = (
        r"holds loose pictures \(000\.png\) beside sample folders \(part1\); keep one folder a sample, or pictures only"
    )
    with pytest.raises(ValueError, match=rf"{re.escape(str(good))} {said}") as caught:
        afrd.open_dataset(root, "bottle")
    assert "\n" not in str(caught.value)
    (problem,) = afrd.check(root)
    assert problem.file == "bottle/train/good" and re.match(said, problem.what)
    assert afrd.list_categories(root) == []  # so whoever opens what is listed meets no error
    assert "is itself one category" in afrd.check(root / "bottle")[0].what


def test_folders_decide_for_a_rig_of_ones_own_and_loose_pictures_for_mvtec(root: Path):
    picture(root / "bottle" / "test" / "scratch" / "crops" / "top.png")
    picture(root / "gear" / "train" / "good" / "part1" / "top.png")
    picture(root / "gear" / "test" / "good" / "part2" / "top.png", 121)
    picture(root / "gear" / "test" / "good" / "preview.png")
    assert afrd.open_dataset(root, "bottle").layout == "mvtec" and afrd.open_dataset(root, "gear").layout == "folders"
    findings = {problem.file: problem.what for problem in afrd.check(root)}
    assert set(findings) == {"bottle/test/scratch/crops", "gear/test/good/preview.png"}
    assert "is left out" in findings["bottle/test/scratch/crops"]
    assert "one folder a sample" in findings["gear/test/good/preview.png"]


def test_stray_files_hidden_ones_and_what_systems_leave_are_no_samples(root: Path):
    bottle, before = root / "bottle", afrd.open_dataset(root, "bottle")["test"].names
    for place in (root, bottle, bottle / "train" / "good", bottle / "test" / "scratch"):
        (place / "license.txt").write_text("CC BY-NC-SA 4.0")
        (place / "Thumbs.db").write_bytes(b"")
        (place / "._000.png").write_bytes(b"")
        for left in ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found", ".cache"):
            picture(place / left / "000.png")
            picture(place / left / "train" / "good" / "000.png")
    picture(bottle / "test" / "__MACOSX" / "000.png")
    assert afrd.list_categories(root) == ["bottle"] and afrd.check(root) == []
    assert afrd.open_dataset(root, "bottle")["test"].names == before


def test_a_picture_outside_good_and_the_defects_is_found_and_left_out(root: Path):
    picture(root / "bottle" / "test" / "000.png")
    picture(root / "bottle" / "val" / "good" / "000.png")
    assert {problem.file: problem.what for problem in afrd.check(root)} == {
        "bottle/test/000.png": "is left out: it lies outside test/good and test/<defect>",
        "bottle/val": "is not a known split and is left out; expected train, test, ground_truth",
    }
    data = afrd.open_dataset(root, "bottle")
    assert data.splits == ("train", "test") and len(data["test"]) == 5


def test_the_same_name_with_two_extensions_is_one_sample_and_found(root: Path):
    picture(root / "bottle" / "train" / "good" / "003.bmp", 103)
    assert afrd.open_dataset(root, "bottle")["train"].names == [f"good/{i:03d}" for i in range(7)]
    (problem,) = afrd.check(root)
    assert problem.file == "bottle/train/good/003.png" and "another file is the same light" in problem.what


def test_good_pictures_in_a_folder_of_another_name_are_found_in_test_and_in_train(root: Path):
    (root / "bottle" / "test" / "good").rename(root / "bottle" / "test" / "Good")
    picture(root / "jar" / "train" / "OK" / "000.png")
    findings = {problem.file: problem.what for problem in afrd.check(root)}
    assert set(findings) == {"bottle/test/Good", "jar", "jar/train/OK"}
    assert findings["bottle/test/Good"].endswith("its name means good; rename it to good")
    assert findings["jar/train/OK"].endswith("its name means good; rename it to good")


def test_reverse_distillation_and_the_memory_are_trained_and_judged_on_it(root: Path, tmp_path: Path):
    data = afrd.open_dataset(root, "bottle")
    for method, options in (("memory", {}), ("afrd", {"epochs": 1, "width": 16})):
        run = afrd.fit(data, out=tmp_path / method, method=method, size=64, show_progress=False, **options)
        table = run.evaluate(data["test"])
        assert list(table.table["sample"]) == data["test"].names and run.threshold() is not None
        assert all(0 <= value <= 1 for value in table.metrics().values())
