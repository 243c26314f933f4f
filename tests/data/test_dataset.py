"""Both layouts, read from real files."""

import pickle
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from afrd.data.dataset import (
    EYECANDIES_LIGHTS,
    Sample,
    list_categories,
    open_dataset,
    parse_lights,
    read_sample,
)


def paint(path, value=100, size=(4, 5)):
    """A grey picture of one value; size is (H, W)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, value, dtype=np.uint8)).save(path)
    return path


def paint_mask(path, pixels=(), size=(4, 5)):
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros(size, dtype=np.uint8)
    for pixel in pixels:
        mask[pixel] = 255
    Image.fromarray(mask).save(path)
    return path


def defective(sample):
    """Where a sample's mask is True: a list of [row, column]."""
    assert sample.mask is not None and sample.mask.dtype == torch.bool and sample.mask.shape == sample.images.shape[2:]
    return sample.mask.nonzero().tolist()


def candy(root, split, index, lights=6, metadata=None, category="Praline"):
    """One sample in the Eyecandies layout; the pictures' values are ten times the light's number."""
    data = root / category / split / "data"
    for light in range(lights):
        paint(data / f"{index}_image_{light}.png", 10 * light)
    if metadata is not None:
        (data / f"{index}_metadata.yaml").write_text("".join(f"{key}: {value}\n" for key, value in metadata.items()))
    return data


def part(root, place, lights=("dome", "left"), category="gear"):
    """One sample in the folder layout, `place` is split/defect/sample; the values are 0, 10, ..."""
    for i, light in enumerate(lights):
        paint(root / category / place / f"{light}.png", 10 * i)
    return root / category / place


@pytest.fixture
def candies(tmp_path):
    good = {"anomalous": 0, "bumps": 0, "colors": 0, "dents": 0, "normals": 0}
    for index in ("000", "001", "010"):
        candy(tmp_path, "train", index, metadata=good)
    candy(tmp_path, "val", "00")
    for index in ("00", "01", "02"):
        data = candy(tmp_path, "test_public", index, metadata=good | {"anomalous": int(index != "00")})
        paint_mask(data / f"{index}_mask.png", [(1, 2)] if index != "00" else [])
    (data / "01_metadata.yaml").write_text("anomalous: 1\nbumps: 1\ncolors: 0\ndents: 1\nnormals: 0\n")
    candy(tmp_path, "test_private", "000")
    candy(tmp_path, "twins", "02")
    return tmp_path


@pytest.fixture
def gears(tmp_path):
    for place in ("train/good/2", "train/good/10", "test/good/000", "test/scratch/007", "test/dent/007"):
        part(tmp_path, place)
    paint_mask(tmp_path / "gear/ground_truth/scratch/007.png", [(0, 0), (3, 4)])
    return tmp_path


def test_a_category_says_what_it_has(candies):
    data = open_dataset(candies, "Praline")
    assert list(data) == list(data.splits) == ["train", "val", "test_public", "test_private", "twins"]
    assert (data.name, data.root, data.layout, data.test_split) == ("Praline", candies, "eyecandies", "test_public")
    assert data.lights == EYECANDIES_LIGHTS == data["val"].lights
    assert [len(split) for split in data.values()] == [3, 1, 3, 1, 1]
    assert "train 3" in repr(data) and "Praline/train" in repr(data["train"])


def test_samples_hold_pictures_label_defects_and_mask(candies):
    test = open_dataset(str(candies), "Praline")["test_public"]
    good, bad, _ = list(test)
    assert good.images.shape == (6, 3, 4, 5) and good.images.dtype == torch.float32
    assert good.images[:, 1, 2, 3].tolist() == pytest.approx([light * 10 / 255 for light in range(6)])
    assert (good.name, good.anomalous, good.defects) == ("00", False, ())
    assert defective(good) == []
    assert (bad.name, bad.anomalous, bad.defects) == ("01", True, ("bumps", "dents"))
    assert defective(bad) == [[1, 2]]
    assert test.names == ["00", "01", "02"] and test.anomalous == [False, True, True]
    assert test.defects == [(), ("bumps", "dents"), ()]
    assert test.image_size == (4, 5)


def test_every_split_promises_what_it_can(candies):
    data = open_dataset(candies, "Praline")
    assert data["train"].anomalous == [False] * 3
    assert data["val"][0].anomalous is False and defective(data["val"][0]) == []
    private = data["test_private"][0]
    assert private.anomalous is None and private.mask is None and private.defects == ()
    twin = data["twins"][0]
    assert twin.name == "02" and twin.anomalous is False and defective(twin) == []


def test_twins_are_good_whatever_files_were_copied_along(candies):
    data = candy(candies, "twins", "01", metadata={"anomalous": 1, "bumps": 1})
    paint_mask(data / "01_mask.png", [(0, 0)])
    twin = open_dataset(candies, "Praline")["twins"][0]
    assert twin.anomalous is False and twin.defects == () and defective(twin) == []


def test_the_number_decides_the_order_and_the_padded_text_is_the_name(tmp_path):
    for index in ("9", "10", "100", "2"):
        candy(tmp_path, "train", index)
    for index in ("007", "012"):
        candy(tmp_path, "val", index)
    data = open_dataset(tmp_path, "Praline")
    assert data["train"].names == ["2", "9", "10", "100"] and data["val"].names == ["007", "012"]


@given(st.lists(st.integers(0, 10**6), unique=True, min_size=1, max_size=6), st.integers(1, 8))
def test_any_padding_keeps_numeric_order(tmp_path_factory, numbers, width):
    root = tmp_path_factory.mktemp("padded")
    for number in numbers:
        candy(root, "train", f"{number:0{width}d}", lights=1)
    assert [int(name) for name in open_dataset(root, "Praline")["train"].names] == sorted(numbers)


def test_other_items_and_stray_files_are_not_mistaken_for_lights(candies):
    data = candies / "Praline/train/data"
    for name in ("000_depth.png", "000_normals.png", "000_image_0_preview.png", "notes.png", ".000_image_9.png"):
        paint(data / name)
    for name in ("000_pose.txt", "000_info_depth.yaml", "000_image_7.txt", "Thumbs.db"):
        (data / name).write_text("nothing")
    (candies / ".cache/train/data").mkdir(parents=True)
    (candies / "readme.txt").write_text("nothing")
    opened = open_dataset(candies, "Praline")
    assert opened.lights == EYECANDIES_LIGHTS and opened["train"].names == ["000", "001", "010"]
    assert list_categories(candies) == ["Praline"]


def test_another_number_of_lights_gets_plain_names_in_natural_order(tmp_path):
    candy(tmp_path, "train", "0", lights=11)
    data = open_dataset(tmp_path, "Praline")
    assert data.lights == tuple(f"light{i}" for i in range(11))
    assert data["train"][0].images[10, 0, 0, 0] == pytest.approx(100 / 255)


def test_without_metadata_the_mask_decides(tmp_path):
    for index, pixels in (("0", []), ("1", [(2, 2)])):
        data = candy(tmp_path, "test_public", index)
        paint_mask(data / f"{index}_mask.png", pixels)
        paint_mask(data / f"{index}_dents_mask.png", pixels)
    candy(tmp_path, "test_public", "2")
    test = open_dataset(tmp_path, "Praline")["test_public"]
    assert test.anomalous == [False, True, None] and test.defects == [(), ("dents",), ()]
    assert defective(test[1]) == [[2, 2]] and defective(test[0]) == [] and test[2].mask is None


def test_masks_by_defect_type_stand_in_for_a_missing_whole_mask(tmp_path):
    data = candy(tmp_path, "test_public", "0")
    paint_mask(data / "0_dents_mask.png", [(2, 2)])
    paint_mask(data / "0_colors_mask.png", [(1, 1)])
    sample = open_dataset(tmp_path, "Praline")["test_public"][0]
    assert sample.defects == ("colors", "dents") and defective(sample) == [[1, 1], [2, 2]]


def test_an_anomalous_sample_without_a_mask_has_none(tmp_path):
    candy(tmp_path, "test_public", "0", metadata={"anomalous": 1, "dents": 1})
    sample = open_dataset(tmp_path, "Praline")["test_public"][0]
    assert sample.anomalous is True and sample.defects == ("dents",) and sample.mask is None


@pytest.mark.parametrize("text", ["anomalous: [", "just text", "anomalous: maybe", "anomalous: 1\ndents: 7", ""])
def test_metadata_that_says_nothing_clear_is_named(tmp_path, text):
    data = candy(tmp_path, "train", "3", metadata={})
    (data / "3_metadata.yaml").write_text(text)
    train = open_dataset(tmp_path, "Praline")["train"]
    with pytest.raises(ValueError, match=r"3_metadata\.yaml") as caught:
        _ = train.anomalous
    assert "\n" not in str(caught.value)


def test_folders_of_a_rig_are_read_with_the_folder_as_label(gears):
    data = open_dataset(gears, "gear")
    assert data.layout == "folders" and data.splits == ("train", "test") and data.test_split == "test"
    assert data.lights == ("dome", "left") and data["train"].names == ["good/2", "good/10"]
    test = data["test"]
    assert test.names == ["good/000", "dent/007", "scratch/007"] and test.anomalous == [False, True, True]
    assert test.defects == [(), ("dent",), ("scratch",)]
    good, dent, scratch = list(test)
    assert defective(good) == [] and dent.mask is None and defective(scratch) == [[0, 0], [3, 4]]
    assert scratch.images[:, 0, 0, 0].tolist() == pytest.approx([0, 10 / 255])


def test_lights_of_a_rig_are_the_union_in_natural_order(tmp_path):
    part(tmp_path, "train/good/a", ["image10", "image2"])
    part(tmp_path, "test/good/b", ["image1", "image2"])
    data = open_dataset(tmp_path, "gear")
    assert data.lights == ("image1", "image2", "image10")
    assert data["train"].picture(0, "image1") == tmp_path / "gear/train/good/a/image1.png"
    with pytest.raises(FileNotFoundError, match=r"image1\.png does not exist.*good/a.*'image1'.*afrd check"):
        data["train"][0]


def test_a_train_split_alone_or_good_samples_alone_are_enough(tmp_path):
    part(tmp_path, "train/good/1")
    data = open_dataset(tmp_path, "gear")
    assert data.splits == ("train",)
    with pytest.raises(ValueError, match=r"gear has no test split.*train"):
        _ = data.test_split
    part(tmp_path, "test/good/1")
    assert open_dataset(tmp_path, "gear")["test"].anomalous == [False]


def test_pictures_may_be_of_different_kinds_and_folders_may_be_links(tmp_path):
    store = tmp_path / "store"
    for name in ("dome.JPG", "left.tiff", "notes.txt.png", ".dome.png"):
        paint(store / name)
    (store / "exposure.txt").write_text("1/60")
    (tmp_path / "set/gear/train/good").mkdir(parents=True)
    (tmp_path / "set/gear/train/good/1").symlink_to(store, target_is_directory=True)
    data = open_dataset(tmp_path / "set", "gear")
    assert data.lights == ("dome", "left", "notes.txt") and data["train"][0].images.shape == (3, 3, 4, 5)


def test_indices_from_either_end_and_of_any_integer_type_work(candies):
    test = open_dataset(candies, "Praline")["test_public"]
    assert test[-1].name == test[np.int64(2)].name == test[torch.tensor(2)].name == "02"
    for index in (3, -4):
        with pytest.raises(IndexError, match=r"Praline/test_public, which has 3 samples"):
            test[index]


def test_a_sample_and_a_split_can_be_narrowed_to_some_lights(candies):
    test = open_dataset(candies, "Praline")["test_public"]
    sample = test[1].select(["top", "box"])
    assert sample.lights == ("top", "box") and sample.images[:, 0, 0, 0].tolist() == pytest.approx([30 / 255, 50 / 255])
    assert sample.mask is not None and sample.defects == ("bumps", "dents")
    narrow = test.select(["box"])
    (candies / "Praline/test_public/data/01_image_0.png").unlink()
    assert narrow[1].images.shape == (1, 3, 4, 5) and narrow[1].lights == narrow.lights == ("box",)
    for wrong in (["dome"], [], ["top", "top"]):
        with pytest.raises(ValueError, match=r"spots, bottom, right, top, left, box"):
            sample_all = Sample("x", torch.zeros(6, 3, 2, 2), EYECANDIES_LIGHTS)
            sample_all.select(wrong)
    with pytest.raises(ValueError, match=r"'dome' is not in Praline"):
        test.select(["dome"])


def test_a_picture_that_is_missing_or_broken_or_odd_is_named(candies):
    data = candies / "Praline/test_public/data"
    (data / "00_image_3.png").unlink()
    (data / "01_image_2.png").write_bytes(b"broken")
    paint(data / "02_image_5.png", size=(4, 6))
    test = open_dataset(candies, "Praline")["test_public"]
    assert test.picture(0, "top") == data / "00_image_3.png"
    with pytest.raises(FileNotFoundError, match=r"00_image_3\.png does not exist.*'top'"):
        test[0]
    with pytest.raises(ValueError, match=r"01_image_2\.png cannot be read"):
        test[1]
    with pytest.raises(ValueError, match=r"02_image_5\.png is 6x4 pixels, but .*02_image_0\.png is 5x4"):
        test[2]
    with pytest.raises(ValueError, match="'dome'"):
        test.picture(0, "dome")


def test_a_sample_of_another_size_than_the_category_and_an_odd_mask_are_named(candies):
    data = candies / "Praline/test_public/data"
    for light in range(6):
        paint(data / f"00_image_{light}.png", size=(8, 8))
    paint_mask(data / "01_mask.png", [(0, 0)], size=(4, 6))
    test = open_dataset(candies, "Praline")["test_public"]
    with pytest.raises(ValueError, match=r"00_image_0\.png is 8x8 pixels, but the category's first picture is 5x4"):
        test[0]
    with pytest.raises(ValueError, match=r"01_mask\.png is 6x4 pixels, but the pictures of its sample are 5x4"):
        test[1]


def test_an_unknown_split_is_an_error_that_reads_as_a_sentence(candies):
    data = open_dataset(candies, "Praline")
    assert data.get("test") is None and "train" in data
    for kind in (KeyError, ValueError):
        with pytest.raises(kind) as caught:
            data["test"]
        assert str(caught.value).startswith("Praline has no split 'test'; its splits are train, val")


def test_what_cannot_be_opened_is_explained(candies, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no category 'Pralin' .*: Praline; `afrd check"):
        open_dataset(candies, "Pralin")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_dataset(tmp_path / "nowhere", "Praline")
    with pytest.raises(ValueError, match=r"itself one category; pass its parent folder .* and the category Praline"):
        open_dataset(candies / "Praline", "Praline")
    (candies / "papers").mkdir()
    with pytest.raises(ValueError, match="papers is not a category: expected <category>/train/data"):
        open_dataset(candies, "papers")
    with pytest.raises(ValueError, match="holds no category; expected"):
        open_dataset(candies / "papers", "Praline")
    with pytest.raises(FileNotFoundError, match="is a file"):
        list_categories(candies / "Praline/val/data/00_image_0.png")
    assert list_categories(candies / "papers") == []


@pytest.mark.parametrize("name", ["", ".", "..", "../Praline", "papers/../Praline", "/"])
def test_a_category_is_a_name_and_not_a_path(candies, name):
    with pytest.raises(FileNotFoundError, match="no category"):
        open_dataset(candies, name)
    assert open_dataset(candies, "Praline/").name == "Praline"


def test_categories_of_both_layouts_may_share_a_root(candies):
    part(candies, "train/good/1")
    assert list_categories(candies) == ["gear", "Praline"]
    assert open_dataset(candies, "gear").layout == "folders"


def test_pictures_of_one_object_make_a_sample(tmp_path):
    top, left = paint(tmp_path / "t.png", 255), paint(tmp_path / "l.png", 0)
    sample = read_sample({"top": top, "left": str(left)}, name="upload")
    assert sample.lights == ("top", "left") and sample.images[:, 0, 0, 0].tolist() == [1, 0]
    assert sample.anomalous is None and sample.mask is None
    with pytest.raises(ValueError, match="no picture"):
        read_sample({})


def test_worker_processes_read_the_same_samples(candies):
    test = open_dataset(candies, "Praline")["test_public"]
    loader = DataLoader(test, batch_size=2, num_workers=1, collate_fn=list)
    assert [sample.name for batch in loader for sample in batch] == test.names
    assert pickle.loads(pickle.dumps(test))[1].defects == ("bumps", "dents")


def test_a_thousand_samples_open_in_about_a_second(tmp_path):
    data = candy(tmp_path, "train", "0000", metadata={"anomalous": 0, "bumps": 0})
    picture, notes = (data / "0000_image_0.png").read_bytes(), (data / "0000_metadata.yaml").read_bytes()
    for index in range(1, 1000):
        for light in range(6):
            (data / f"{index:04d}_image_{light}.png").write_bytes(picture)
        (data / f"{index:04d}_metadata.yaml").write_bytes(notes)
    started = time.process_time()
    train = open_dataset(tmp_path, "Praline")["train"]
    assert train.anomalous == [False] * 1000
    assert time.process_time() - started < 2


LIGHTS = ("spots", "bottom", "right", "top", "left", "box")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, LIGHTS),
        ("all", LIGHTS),
        (" ALL ", LIGHTS),
        ("1,4,5", ("bottom", "left", "box")),
        ("box, top", ("top", "box")),
        ("5,top,box,3", ("top", "box")),
        ("top", ("top",)),
        ([5, "spots"], ("spots", "box")),
        ((np.int64(2),), ("right",)),
        (["4"], ("left",)),
    ],
)
def test_lights_are_named_by_name_or_number_and_keep_their_order(wanted, expected):
    assert parse_lights(wanted, LIGHTS) == expected


@pytest.mark.parametrize(
    "wanted", ["6", "-1", "dome", "", ",", [], "top,dome", [True], [6], [-1], [1.5], "1.5", ["1,2"]]
)
def test_lights_that_do_not_exist_are_refused_with_those_that_do(wanted):
    with pytest.raises(ValueError, match=r"spots, bottom, right, top, left, box, or their numbers 0 to 5"):
        parse_lights(wanted, LIGHTS)


def test_a_light_whose_name_is_a_number_is_found_by_its_name():
    assert parse_lights("1,2", ("1", "2", "3")) == ("1", "2")
    assert parse_lights([0], ("1", "2", "3")) == ("1",)
