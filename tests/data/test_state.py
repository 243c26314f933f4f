"""Whether a data set on disk is still what it was, on real folders."""

import os
import shutil
from pathlib import Path

import pytest

import afrd
from afrd.data.state import folders_state, labels_state, pictures_state, sample_state, split_state
from afrd.files import snapshot


@pytest.fixture
def root(candies: Path, tmp_path: Path) -> Path:
    """A copy of the candies, and the same train split as folders of one's own rig."""
    shutil.copytree(candies / "Praline", tmp_path / "Praline")
    data = afrd.open_dataset(candies, "Praline")
    for split, kind, source in (("train", "good", "train"), ("test", "dents", "test_public")):
        for i, name in enumerate(data[source].names):
            folder = tmp_path / "plain" / split / kind / name
            folder.mkdir(parents=True)
            for light in ("top", "box"):
                shutil.copy(data[source].picture(i, light), folder / f"{light}.png")
    return tmp_path


def test_a_new_sample_changes_the_state_of_the_folders_in_every_layout(root: Path):
    before = folders_state(root / "plain"), folders_state(root / "Praline")
    assert before == (folders_state(root / "plain"), folders_state(root / "Praline"))
    good, rendered = root / "plain" / "train" / "good", root / "Praline" / "train" / "data"
    shutil.copytree(next(good.iterdir()), good / "new")
    shutil.copy(next(rendered.glob("*_image_0.png")), rendered / "99_image_0.png")
    assert folders_state(root / "plain") != before[0] and folders_state(root / "Praline") != before[1]


def test_a_new_light_in_a_samples_folder_changes_it_too(root: Path):
    before = folders_state(root / "plain")
    sample = next((root / "plain" / "test" / "dents").iterdir())
    shutil.copy(sample / "top.png", sample / "dome.png")
    assert folders_state(root / "plain") != before


def test_metadata_written_anew_changes_the_labels_and_the_split_but_not_its_pictures(root: Path):
    data = afrd.open_dataset(root, "Praline")
    dataset = data["test_public"]
    before = labels_state(data), split_state(dataset), pictures_state(dataset), sample_state(dataset, 0)
    file = next((root / "Praline" / "test_public" / "data").glob("*_metadata.yaml"))
    with file.open("a") as text:
        text.write("\n# looked at again\n")
    after = labels_state(data), split_state(dataset), pictures_state(dataset), sample_state(dataset, 0)
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True, False]


def test_a_picture_of_the_same_size_with_another_time_is_another_picture(root: Path):
    dataset = afrd.open_dataset(root, "Praline")["val"]
    before = pictures_state(dataset), sample_state(dataset, 1), sample_state(dataset, 2)
    os.utime(dataset.picture(1, "left"), (1, 1))
    after = pictures_state(dataset), sample_state(dataset, 1), sample_state(dataset, 2)
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True]


def test_the_state_is_the_same_by_every_way_to_the_folder(root: Path):
    (root / "link").symlink_to(root, target_is_directory=True)
    here, there = (afrd.open_dataset(place, "Praline")["val"] for place in (root, root / "link"))
    assert pictures_state(here) == pictures_state(there)


def test_a_snapshot_looks_at_every_file_once_and_the_next_one_anew(root: Path, monkeypatch):
    dataset = afrd.open_dataset(root, "Praline")["test_public"]
    asked: list[str] = []
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda path, *a, **k: (asked.append(str(path)), stat(path, *a, **k))[1])
    with snapshot():
        first = split_state(dataset)
        for _ in range(5):
            assert split_state(dataset) == first and sample_state(dataset, 0) and pictures_state(dataset)
        os.utime(dataset.picture(0, "top"), (1, 1))
        assert split_state(dataset) == first
    pictures = [path for path in asked if path.endswith(".png")]
    assert len(pictures) == len(set(pictures))
    assert split_state(dataset) != first


def test_a_snapshot_can_be_gone_on_with(root: Path):
    dataset, seen = afrd.open_dataset(root, "Praline")["val"], {}
    with snapshot(seen):
        first = split_state(dataset)
    os.utime(dataset.picture(0, "top"), (1, 1))
    with snapshot(seen):
        assert split_state(dataset) == first
    with snapshot():
        assert split_state(dataset) != first
