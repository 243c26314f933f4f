"""What `check` says of lights that few samples have, of what cannot be read, and of what is easily done wrong."""

import os
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from afrd.data.dataset import check, open_dataset


def paint(path: Path, bits: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = np.random.default_rng(zlib.crc32(path.as_posix().encode())).integers(0, 2, 18)  # of every path another one
    values = np.array([0, 1, *drawn]).reshape(4, 5) * (2**bits - 1)
    Image.fromarray(values.astype(np.uint8 if bits == 8 else np.uint16)).save(path)


@pytest.fixture
def gear(tmp_path: Path) -> Path:
    """The category gear, sound: 5 good samples to train on, 1 good and 2 bad ones with masks, lights dome and left."""
    for place in (*(f"train/good/{i}" for i in range(5)), "test/good/1", "test/scratch/1", "test/scratch/2"):
        for light in ("dome", "left"):
            paint(tmp_path / "gear" / place / f"{light}.png")
    for sample in "12":
        paint(tmp_path / f"gear/ground_truth/scratch/{sample}.png")
    assert check(tmp_path) == []
    return tmp_path / "gear"


def found(gear: Path) -> dict[str, str]:
    problems = check(gear.parent)
    assert len({problem.file for problem in problems}) == len(problems)
    return {problem.file.removeprefix("gear/"): problem.what for problem in problems}


@pytest.mark.parametrize("name", ["Dome", "dome (1)", " dome", "do me", "dome copy"])
def test_a_light_that_only_one_sample_has_is_blamed_and_not_all_the_others(gear: Path, name: str):
    sample = gear / "train/good/3"
    (sample / "dome.png").rename(sample / f"{name}.png")
    (said,) = found(gear).items()
    assert said[0] == f"train/good/3/{name}.png"
    assert "only 1 of 8 samples has" in said[1] and "rename it to dome.png if light 'dome' is meant" in said[1]
    paint(sample / "dome.png")
    assert "remove one of the two" in found(gear)[f"train/good/3/{name}.png"]
    with pytest.raises(FileNotFoundError, match=r"only 1 of 8 samples have; leave it out with --lights"):
        open_dataset(gear.parent, "gear")["train"][0]


def test_a_light_of_few_samples_that_is_like_no_other_is_named_where_it_is(gear: Path):
    paint(gear / "train/good/3/ring.png")
    assert list(found(gear)) == ["train/good/3/ring.png"]
    assert "add the light to the others, or remove it" in found(gear)["train/good/3/ring.png"]


def test_a_split_that_leads_nowhere_is_not_passed_over(gear: Path):
    (gear / "val").symlink_to(gear.parent / "unplugged")
    assert "is a link to" in found(gear)["val"] and "which does not exist" in found(gear)["val"]
    with pytest.raises(ValueError, match=r"gear/val is a link to .*unplugged, which does not exist"):
        open_dataset(gear.parent, "gear")


def test_a_sample_or_picture_that_leads_nowhere_is_not_passed_over(gear: Path):
    (gear / "train/good/9").symlink_to("nowhere")
    assert list(found(gear)) == ["train/good/9"]
    (gear / "train/good/9").unlink()
    (gear / "train/good/3/left.png").unlink()
    (gear / "train/good/3/left.png").symlink_to("nowhere.png")
    assert found(gear) == {"train/good/3/left.png": "is a link to nowhere.png, which does not exist; mend or delete it"}
    with pytest.raises(FileNotFoundError, match=r"3/left.png is a link to nowhere.png"):
        open_dataset(gear.parent, "gear")["train"][3]
    assert len(open_dataset(gear.parent, "gear")["train"].select(["dome"])[3].lights) == 1  # left is not asked for


def test_a_link_to_itself_is_one_that_leads_nowhere(gear: Path):
    (gear / "val").symlink_to("val")
    assert "which does not exist" in found(gear)["val"]


def test_names_that_are_not_utf8_are_reported_and_not_passed_over(gear: Path):
    good = os.fsencode(gear / "train/good")
    try:
        os.rename(good + b"/3", good + b"/gr\xfcn")
    except OSError:
        pytest.skip("this file system knows UTF-8 only")
    assert found(gear) == {"train/good/gr\\xfcn": "has a name that is not UTF-8; rename it"}
    with pytest.raises(ValueError, match=r"gr\\xfcn has a name that is not UTF-8"):
        open_dataset(gear.parent, "gear")
    os.rename(good + b"/gr\xfcn", good + b"/3")
    os.rename(good + b"/3/left.png", good + b"/3/l\xe9ft.png")
    assert "train/good/3/l\\xe9ft.png" in found(gear)


def test_a_folder_that_may_not_be_opened_is_reported(gear: Path, monkeypatch):
    locked, scandir = str(gear / "train/good/3"), os.scandir

    def refusing(path):
        if str(path) == locked:
            raise PermissionError(13, "Permission denied", locked)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert found(gear)["train/good/3"].startswith("cannot be opened (Permission denied); check its rights")
    with pytest.raises(ValueError, match=r"good/3 cannot be opened \(Permission denied\)"):
        open_dataset(gear.parent, "gear")


@pytest.mark.parametrize(("bits", "times"), [(10, 64), (12, 16)])
def test_few_bits_in_files_of_16_are_said_once_a_light(gear: Path, bits: int, times: int):
    for path in gear.glob("*/*/*/left.png"):
        paint(path, bits)
    (said,) = found(gear).values()
    assert f"hold {bits} bits" in said and f"times {times}" in said and "'left'" in said
    paint(gear / "train/good/3/left.png", 16)  # one bright picture: the range is used
    assert found(gear) == {}


def test_an_empty_sample_is_one_finding_that_says_where_its_pictures_are(gear: Path):
    sample = gear / "train/good/3"
    (sample / "raw").mkdir()
    for light in ("dome", "left"):
        (sample / f"{light}.png").rename(sample / "raw" / f"{light}.png")
    assert "its folder raw does; move them up" in found(gear)["train/good/3"] and len(found(gear)) == 1
    shutil.rmtree(sample / "raw")
    assert found(gear) == {"train/good/3": "is a sample without pictures; add them, or delete the folder"}


def test_samples_without_a_mask_beside_others_with_one_are_said_once(gear: Path):
    for sample in "34567":
        for light in ("dome", "left"):
            paint(gear / f"test/scratch/{sample}/{light}.png")
    (said,) = found(gear).items()
    assert said[0] == "test/scratch" and "5 of 7 anomalous samples without a mask (3, 4, 5 and 2 more)" in said[1]
    assert "ground_truth/scratch/3.png" in said[1]
    shutil.rmtree(gear / "ground_truth")
    assert found(gear) == {}  # nobody drew masks, which is allowed


def test_metadata_that_names_nothing_known_is_listed(tmp_path: Path):
    for split, index in (("train", "0"), ("test_public", "1")):
        paint(tmp_path / f"Praline/{split}/data/{index}_image_0.png")
    (tmp_path / "Praline/test_public/data/1_metadata.yaml").write_text("defective: 1\nauthor: me\n")
    (problem,) = check(tmp_path)
    assert problem.file.endswith("1_metadata.yaml") and "names neither anomalous nor a defect type" in problem.what
