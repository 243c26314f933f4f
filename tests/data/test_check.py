"""Every fault of a data set is found, named with its file, and nothing is found where nothing is wrong."""

import shutil

import numpy as np
import pytest
from PIL import Image

from afrd.data.dataset import Problem, check, list_categories, open_dataset


def paint(path, size=(4, 5), pixels=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros(size, dtype=np.uint8)
    for pixel in pixels:
        values[pixel] = 255
    Image.fromarray(values).save(path)


GOOD = {"anomalous": 0, "bumps": 0, "dents": 0}
DENT = {"anomalous": 1, "bumps": 0, "dents": 1}


def write_metadata(data, index, flags):
    (data / f"{index}_metadata.yaml").write_text("".join(f"{key}: {value}\n" for key, value in flags.items()))


@pytest.fixture
def candies(tmp_path):
    """Praline: train 00 to 03 with a gap, test_public 0 (good) and 1 (dent), with all masks, and a twin."""
    for split, indices in {"train": ("00", "01", "03"), "test_public": "01", "twins": "1"}.items():
        data = tmp_path / "Praline" / split / "data"
        for index in indices:
            for light in range(3):
                paint(data / f"{index}_image_{light}.png")
            if split == "test_public":
                flags, pixels = (GOOD, []) if index == "0" else (DENT, [(1, 1)])
                write_metadata(data, index, flags)
                for mask in ("mask", "dents_mask"):
                    paint(data / f"{index}_{mask}.png", pixels=pixels)
                paint(data / f"{index}_bumps_mask.png")
    return tmp_path


@pytest.fixture
def gears(tmp_path):
    for place in ("train/good/1", "val/good/2", "test/good/3", "test/scratch/4"):
        for light in ("dome", "left"):
            paint(tmp_path / "gear" / place / f"{light}.png")
    paint(tmp_path / "gear/ground_truth/scratch/4.png", pixels=[(0, 0)])
    return tmp_path


def only(root):
    problems = check(root)
    assert len(problems) == 1, problems
    return problems[0]


def test_sound_data_sets_of_either_layout_have_no_problem(candies, gears):
    assert check(candies) == check(str(gears)) == []


def test_a_train_split_alone_has_no_problem(tmp_path):
    paint(tmp_path / "gear/train/good/1/dome.png")
    paint(tmp_path / "Praline/train/data/000_image_0.png")
    assert check(tmp_path) == []


def test_hidden_things_and_stray_files_are_no_problem(candies):
    (candies / "readme.txt").write_text("")
    (candies / ".git/objects").mkdir(parents=True)
    (candies / "Praline/.cache").mkdir()
    (candies / "Praline/train/data/01_depth.png").write_text("not even a picture")
    (candies / "papers").mkdir()
    assert check(candies) == []


def test_every_missing_light_is_listed(candies):
    data = candies / "Praline/train/data"
    (data / "01_image_2.png").unlink()
    (data / "03_image_0.png").unlink()
    first, second = check(candies)
    assert first.file == "Praline/train/data/01_image_2.png" and "missing" in first.what and "'light2'" in first.what
    assert second.file == "Praline/train/data/03_image_0.png" and "5 of 6 samples have it" in second.what


def test_unreadable_and_odd_sized_pictures_are_listed(candies):
    data = candies / "Praline/train/data"
    (data / "00_image_0.png").write_bytes((data / "00_image_0.png").read_bytes()[:40])
    paint(data / "01_image_1.png", size=(9, 8))
    first, second = check(candies)
    assert first.file == "Praline/train/data/00_image_0.png" and "cannot be read" in first.what
    assert second == Problem(
        "Praline/train/data/01_image_1.png", "is 8x9 pixels, but most pictures of the category are 5x4"
    )


def test_a_second_file_for_one_light_is_listed(candies):
    paint(candies / "Praline/train/data/00_image_1.tif")
    assert only(candies).file == "Praline/train/data/00_image_1.tif"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (GOOD, ["anomalous: 0, but the mask has defective pixels", "dents: 0, but dents_mask has defective pixels"]),
        (DENT | {"dents": 0}, ["names no defect type", "dents: 0, but dents_mask"]),
        (DENT | {"bumps": 1}, ["bumps: 1, but bumps_mask has no defective pixels"]),
        (DENT | {"anomalous": 0}, ["anomalous: 0, but names dents", "anomalous: 0, but the mask has"]),
    ],
)
def test_metadata_that_disagrees_with_itself_or_the_masks_is_listed(candies, flags, says):
    write_metadata(candies / "Praline/test_public/data", "1", flags)
    problems = check(candies)
    assert {problem.file for problem in problems} == {"Praline/test_public/data/1_metadata.yaml"}
    assert len(problems) == len(says)
    for problem, words in zip(problems, says, strict=True):
        assert words in problem.what


def test_an_empty_mask_of_a_sample_called_anomalous_is_listed(candies):
    paint(candies / "Praline/test_public/data/1_mask.png")
    assert "says anomalous: 1, but the mask has no defective pixels" in only(candies).what


def test_metadata_that_cannot_be_read_is_listed_without_repeating_its_path(candies):
    path = candies / "Praline/test_public/data/0_metadata.yaml"
    path.write_text("anomalous: [")
    problem = only(candies)
    assert problem.file == "Praline/test_public/data/0_metadata.yaml"
    assert (
        problem.what.startswith("cannot be read as YAML") and "\n" not in problem.what and str(path) not in problem.what
    )
    path.write_text("anomalous: perhaps")
    assert only(candies).what == "says anomalous: 'perhaps'; expected 0 or 1"


def test_a_defective_sample_in_train_is_listed_in_either_layout(candies, gears):
    write_metadata(candies / "Praline/train/data", "01", DENT)
    paint(gears / "gear/train/scratch/9/dome.png")
    paint(gears / "gear/train/scratch/9/left.png")
    train, metadata = check(gears)
    assert train.file == "gear/train/scratch" and "defect folder in train" in train.what
    assert metadata.file == "Praline/train/data/01_metadata.yaml" and "in train" in metadata.what


def test_a_mask_of_another_size_or_of_no_sample_is_listed(gears):
    paint(gears / "gear/ground_truth/scratch/4.png", size=(4, 4), pixels=[(0, 0)])
    paint(gears / "gear/ground_truth/scratch/5.png")
    first, second = check(gears)
    assert first.file == "gear/ground_truth/scratch/5.png" and "mask of no sample" in first.what
    assert second.file == "gear/ground_truth/scratch/4.png" and "4x4 pixels" in second.what and "5x4" in second.what


def test_a_mask_that_disagrees_with_its_folder_is_listed(gears):
    paint(gears / "gear/ground_truth/scratch/4.png")
    assert only(gears) == Problem(
        "gear/ground_truth/scratch/4.png", "is empty, but its sample is anomalous by its folder"
    )
    paint(gears / "gear/ground_truth/scratch/4.png", pixels=[(0, 0)])
    paint(gears / "gear/ground_truth/good/3.png", pixels=[(0, 0)])
    assert only(gears).what == "has defective pixels, but its sample is good by its folder"


def test_folders_at_the_wrong_place_are_hinted_at(gears, candies):
    paint(gears / "gear/tset/good/1/dome.png")
    paint(gears / "gear/test/good/loose.png")
    (candies / "Praline/val/data").mkdir(parents=True)
    hints = {problem.file: problem.what for problem in check(gears)}
    assert set(hints) == {"gear/tset", "gear/test/good/loose.png", "Praline/val"}
    assert "expected train, val, test, ground_truth" in hints["gear/tset"]
    assert "outside a sample's folder" in hints["gear/test/good/loose.png"]
    assert hints["Praline/val"] == "holds no samples"


@pytest.mark.parametrize("name", ["OK", "Good", "normal", "good ", "defect_free"])
def test_good_samples_in_a_folder_of_another_name_are_listed_and_stay_what_they_are_read_as(gears, name):
    (gears / "gear/test/good").rename(gears / "gear/test" / name)
    problem = only(gears)
    assert problem.file == f"gear/test/{name}"
    assert problem.what == f"is read as the defect type {name!r}, but its name means good; rename it to good"
    assert all(open_dataset(gears, "gear")["test"].anomalous)


def test_two_folders_of_good_samples_are_to_be_one(gears):
    for light in ("dome", "left"):
        paint(gears / f"gear/test/OK/5/{light}.png")
        paint(gears / f"gear/train/Ok/6/{light}.png")
    train, test = check(gears)
    assert train.file == "gear/train/Ok" and train.what.endswith("move its samples into train/good")
    assert test.file == "gear/test/OK" and test.what.endswith("move its samples into test/good")


def test_a_defect_whose_name_only_holds_such_a_word_is_none_of_them(gears):
    for name in ("not_ok", "abnormal"):
        for light in ("dome", "left"):
            paint(gears / f"gear/test/{name}/5/{light}.png")
        paint(gears / f"gear/ground_truth/{name}/5.png", pixels=[(0, 0)])
    assert check(gears) == []


def test_defects_without_a_good_sample_to_compare_with_are_listed(gears):
    shutil.rmtree(gears / "gear/test/good")
    problem = only(gears)
    assert problem.file == "gear/test" and "no good sample" in problem.what and "test/good" in problem.what


def test_what_systems_leave_is_neither_a_category_nor_a_defect_nor_a_sample(gears):
    for place in ("", "gear", "gear/test", "gear/test/scratch", "gear/ground_truth"):
        for left in ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found", "System Volume Information", ".Trash-1000"):
            paint(gears / place / left / "train/good/1/dome.png")
            paint(gears / place / left / "dome.png")
    assert check(gears) == [] and list_categories(gears) == ["gear"]
    assert open_dataset(gears, "gear")["test"].names == ["good/3", "scratch/4"]


def test_a_picture_that_does_not_fit_into_memory_is_not_called_damaged(gears, monkeypatch):
    def exhausted(picture):
        raise MemoryError

    monkeypatch.setattr("PIL.ImageOps.exif_transpose", exhausted)
    problems = check(gears)
    assert len(problems) == 9 and all("memory ran out" in problem.what for problem in problems)


def test_a_folder_with_pictures_that_is_no_category_is_listed(candies):
    paint(candies / "Toffee/Train/data/00_image_0.png")
    problem = only(candies)
    assert problem.file == "Toffee" and "not a category" in problem.what


def test_a_wrong_root_is_told_what_to_pass_instead(candies, tmp_path):
    assert only(candies / "Praline").file == "."
    assert f"pass its parent folder {candies} and the category Praline" in only(candies / "Praline").what
    (tmp_path / "above").mkdir()
    (tmp_path / "above/set").symlink_to(candies, target_is_directory=True)
    above = only(tmp_path / "above")
    assert above.file == "." and f"pass {tmp_path / 'above/set'} instead" in above.what
    (tmp_path / "empty").mkdir()
    assert "holds no category; expected <category>/train" in only(tmp_path / "empty").what
    with pytest.raises(FileNotFoundError, match="does not exist"):
        check(tmp_path / "nowhere")


def test_formats_that_are_not_read_are_one_finding_each(gears):
    for sample in ("train/good/1", "val/good/2", "test/good/3", "test/scratch/4"):
        (gears / "gear" / sample / "top.HEIC").write_bytes(b"of a phone")
        (gears / "gear" / sample / "left.dng").write_bytes(b"of a camera, beside its left.png")
    (gears / "gear/ground_truth/scratch/5.exr").write_bytes(b"a mask")
    assert [(problem.file, problem.what) for problem in check(gears)] == [
        ("gear/train/good/1/top.HEIC", "is not read like 3 other .heic files; export it as PNG or TIFF"),
        ("gear/ground_truth/scratch/5.exr", "is not read; export it as PNG or TIFF"),
    ]


def test_a_data_set_of_which_no_picture_can_be_read_says_so(gears):
    for picture in gears.rglob("*.png"):
        picture.rename(picture.with_suffix(".heic"))
    assert [problem.what.partition(";")[0] for problem in check(gears)] == [
        "holds no category",
        "is not read like 8 other .heic files",
    ]


def test_a_mask_of_a_good_sample_is_one_finding(gears):
    shutil.copytree(gears / "gear/val/good/2", gears / "gear/test/good/2")
    paint(gears / "gear/ground_truth/good/2.png", pixels=[(0, 0)])
    assert only(gears) == Problem(
        "gear/ground_truth/good/2.png", "has defective pixels, but its sample is good by its folder"
    )


def test_validation_samples_that_are_all_bad_give_no_threshold(gears):
    (gears / "gear/val/good").rename(gears / "gear/val/scratch")
    (gears / "gear/ground_truth/scratch/4.png").rename(gears / "gear/ground_truth/scratch/2.png")  # masks as before
    findings = {problem.file: problem.what for problem in check(gears)}
    assert "threshold comes from good samples" in findings["gear/val"]


def test_a_file_called_train_is_no_split(gears):
    shutil.rmtree(gears / "gear/train")
    (gears / "gear/train").write_text("")
    assert only(gears) == Problem("gear", "has no train split, so nothing can be trained on it")


@pytest.mark.parametrize("place", ["gear/rig.yaml", "rig.yaml"])
def test_a_rig_that_cannot_be_used_is_found(gears, place):
    (gears / place).write_text("lights: {left: {azimuth: 400, elevation: 4}}")
    problem = only(gears)
    assert problem.file == place
    assert problem.what == "the azimuth of light left is 400, but must be a number from -360 to 360"
