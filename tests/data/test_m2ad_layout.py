"""The layout of M2AD: objects photographed from several views under several lights."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import afrd
from afrd.cli.commands import main

VIEWS, LIGHTS = ("001", "002", "003"), ("01", "02")
GOOD = [f"Bird_{i:03d}" for i in range(1, 6)]


def picture(path: Path, value: int = 120, spot: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = value + np.random.default_rng(value).integers(0, 30, (64, 64, 3))
    if spot:
        pixels[10:26, 20:36] = 250
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def mask(path: Path, empty: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    inside = np.zeros((64, 64), np.uint8)
    inside[10:26, 20:36] = 0 if empty else 255
    Image.fromarray(inside).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five good objects and two bad ones; the defect of 007 shows in view 001 only, 006 has an empty mask too."""
    bird = tmp_path / "m2ad" / "Bird"
    for number, name in enumerate([*GOOD, "Bird_006", "Bird_007"]):
        kind = "Good" if name in GOOD else "NG"
        for view in VIEWS:
            for light in LIGHTS:
                shown = kind == "NG" and view in (("001", "002") if name == "Bird_006" else ("001",))
                picture(bird / kind / name / f"V{view}_L{light}.png", 90 + 5 * number + int(view), shown)
    for view in ("001", "002"):
        mask(bird / "GT" / "Bird_006" / f"V{view}_mask.png")
    mask(bird / "GT" / "Bird_006" / "V003_mask.png", empty=True)
    mask(bird / "GT" / "Bird_007" / "V001_mask.png")
    return bird.parent


def test_a_sample_is_an_object_in_one_view_under_its_lights(root: Path):
    assert afrd.list_categories(root) == ["Bird"] and afrd.check(root) == []
    data = afrd.open_dataset(root, "Bird")
    assert data.layout == "m2ad" and data.lights == ("L01", "L02") and data.views == VIEWS
    assert data.splits == ("train", "test") and (len(data["train"]), len(data["test"])) == (9, 12)
    sample = data["test"][data["test"].names.index("NG/Bird_007/V001")]
    assert sample.images.shape == (2, 3, 64, 64) and sample.anomalous and sample.mask is not None
    assert sample.mask.sum() == 16 * 16


def test_the_training_objects_are_those_that_the_benchmark_draws(root: Path):
    random.seed(42)
    names = sorted(GOOD)
    random.shuffle(names)
    data = afrd.open_dataset(root, "Bird")
    assert {view.object for view in data["train"].views} == {f"Good/{name}" for name in names[:3]}
    held_out = {view.object for view in data["test"].views if not view.anomalous}
    assert held_out == {f"Good/{name}" for name in names[3:]}


def test_a_view_without_a_mask_or_with_an_empty_one_is_good_though_its_object_is_not(root: Path):
    test = afrd.open_dataset(root, "Bird")["test"]
    labels = dict(zip(test.names, test.anomalous, strict=True))
    bad = {name for name, anomalous in labels.items() if anomalous}
    assert bad == {"NG/Bird_006/V001", "NG/Bird_006/V002", "NG/Bird_007/V001"}
    whole = {view.object: view.anomalous for view in test.views}
    assert whole["NG/Bird_007"] and not whole[min(whole)]
    empty = test[test.names.index("NG/Bird_006/V003")]
    assert empty.anomalous is False and empty.mask is not None and not empty.mask.any()


def test_some_views_can_be_chosen(root: Path):
    data = afrd.open_dataset(root, "Bird", views=["001", "V3"])
    assert data.views == ("001", "003") and {name[-4:] for name in data["test"].names} == {"V001", "V003"}
    with pytest.raises(ValueError, match=r"view '004' is not in .*; its views are 001, 002, 003"):
        afrd.open_dataset(root, "Bird", views=["004"])
    picture(root / "jar" / "train" / "good" / "000.png")
    with pytest.raises(ValueError, match="has no views to choose from"):
        afrd.open_dataset(root, "jar", views=["001"])


@pytest.mark.parametrize(
    "name", ["v1_l2.JPG", "View 001 Light 02.jpg", "L02_V001.jpg", "C001_I02.jpg", "V001_L02_a.jpg"]
)
def test_other_spellings_of_view_and_light_are_understood(root: Path, name: str):
    folder = root / "Bird" / "Good" / "Bird_001"
    (folder / "V001_L02.png").unlink()
    picture(folder / name, 99)
    assert afrd.check(root) == [] and afrd.open_dataset(root, "Bird").lights == ("L01", "L02")


def test_the_names_of_the_published_archives_are_read(tmp_path: Path):
    """A000_I01.png, masks with a segmentation beside them, bad objects named by their defects."""
    dice = tmp_path / "m2ad" / "Dice"
    folders = ("Good/000", "Good/001", "Good/002", "NG/scratch_1_000", "NG/damage_1_hole_5_046")
    for value, folder in enumerate(folders, start=100):
        for view in ("000", "030"):
            for light in ("01", "02"):
                picture(dice / folder / f"A{view}_I{light}.png", value)
    for name in ("scratch_1_000", "damage_1_hole_5_046"):
        mask(dice / "GT" / name / "A030_mask.png")
        picture(dice / "GT" / name / "A030_seg.png", 200)
    assert afrd.check(dice.parent) == []
    data = afrd.open_dataset(dice.parent, "Dice")
    assert data.views == ("000", "030") and data.lights == ("L01", "L02")
    test = data["test"]
    assert {n: d for n, a, d in zip(test.names, test.anomalous, test.defects, strict=True) if a} == {
        "NG/scratch_1_000/V030": ("scratch",),
        "NG/damage_1_hole_5_046/V030": ("damage", "hole"),
    }
    (dice / "Good" / "001" / "A030_I02.png").unlink()
    assert [problem.file for problem in afrd.check(dice.parent)] == ["Dice/Good/001/A030_L02.png"]


def test_folders_may_be_spelled_in_other_cases(root: Path):
    for old, new in (("Good", "good"), ("NG", "Ng"), ("GT", "gt")):
        (root / "Bird" / old).rename(root / "Bird" / new)
    data = afrd.open_dataset(root, "Bird")
    assert sum(map(bool, data["test"].anomalous)) == 3 and afrd.check(root) == []


def test_check_says_what_was_taken_for_what(root: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check", str(root)]) == 0
    said = capsys.readouterr().out
    assert "V001_L01.png is taken for view 001 under light L01" in said
    assert "3 views: 001, 002, 003" in said and "4 views with a mask" in said
    assert "7 objects: 5 in Good, 3 of them to train; 2 in NG" in said


def test_check_names_what_is_left_out_or_missing(root: Path):
    bird = root / "Bird"
    picture(bird / "Good" / "Bird_001" / "overview.png")
    picture(bird / "Extra" / "a.png")
    (bird / "NG" / "Bird_006" / "V002_L02.png").unlink()
    for light in LIGHTS:
        (bird / "Good" / "Bird_002" / f"V003_L{light}.png").unlink()
    (bird / "Good" / "Bird_009").mkdir()
    mask(bird / "GT" / "Bird_001" / "V001_mask.png")
    (bird / "GT" / "Bird_007" / "V001_mask.png").unlink()
    findings = {problem.file: problem.what for problem in afrd.check(root)}
    assert set(findings) == {
        "Bird/Good/Bird_001/overview.png",
        "Bird/Extra",
        "Bird/NG/Bird_006/V002_L02.png",
        "Bird/Good/Bird_002",
        "Bird/Good/Bird_009",
        "Bird/GT/Bird_001/V001_mask.png",
        "Bird/NG/Bird_007",
    }
    assert findings["Bird/Good/Bird_002"] == "lacks views that other objects have: 003"
    assert "its name gives no view and light" in findings["Bird/Good/Bird_001/overview.png"]
    assert "no view of it has a mask" in findings["Bird/NG/Bird_007"]


def test_a_run_on_some_views_is_judged_on_them_by_view_and_by_object(root: Path, tmp_path: Path):
    run = tmp_path / "run"
    train = ["train", str(root), "Bird", "--out", str(run), "--views", "001,002", "--method", "memory", "--size", "64"]
    assert main(train) == 0 and afrd.load_run(run).config.views == ("001", "002")
    assert main(["evaluate", str(run), "--json", str(tmp_path / "all.json")]) == 0
    found = json.loads((tmp_path / "all.json").read_text())
    assert found["samples"] == 8 and set(found["views"]) == {"001", "002"} and found["views"]["001"]["samples"] == 4
    assert found["objects"]["image_auroc"] == 1.0  # the spot of each bad object is plain in one of these views
    assert main(["evaluate", str(run), "--views", "003", "--json", str(tmp_path / "third.json")]) == 0
    third = json.loads((tmp_path / "third.json").read_text())
    assert third["samples"] == 4 and third["image_auroc"] is None  # no view 003 shows a defect
    assert third["objects"]["image_auroc"] is not None
