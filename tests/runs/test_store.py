"""The store of features as a whole: its limit, what is removed first, what nothing reads any more."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import afrd
from afrd.model.teacher import load_teacher
from afrd.runs import feature_store, store
from afrd.runs.feature_store import features_stored, load_features


@pytest.fixture(scope="module")
def teacher():
    return load_teacher()


@pytest.fixture
def own_store(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("AFRD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture
def data(candies: Path, tmp_path: Path):
    shutil.copytree(candies / "Praline", tmp_path / "data" / "Praline")
    return afrd.open_dataset(tmp_path / "data", "Praline")


def used_at(dataset, teacher, when: float) -> None:
    os.utime(store.features_dir() / entry_of(dataset).folder.name, (when, when))


def entry_of(dataset) -> store.Entry:
    (found,) = (entry for entry in store.entries() if entry.about and entry.about.split == dataset.split)
    return found


def test_an_entry_says_of_what_it_is_and_how_large(data, teacher, own_store):
    load_features(data["val"], teacher, 64)
    (entry,) = store.entries()
    about = entry.about
    assert (about.category, about.split, about.samples, about.size) == ("Praline", "val", 3, 64)
    assert about.lights == data.lights and about.teacher == teacher.name and store.why_unused(entry) is None
    assert entry.size == sum(path.stat().st_size for path in entry.folder.iterdir()) > 10_000


def test_the_limit_removes_the_oldest_use_first(data, teacher, own_store):
    for when, split in ((300, "train"), (200, "val"), (100, "test_public")):
        load_features(data[split], teacher, 64)
        used_at(data[split], teacher, when)
    load_features(data["test_public"], teacher, 64)  # used again, and the latest now
    train, val, test = (entry_of(data[split]) for split in ("train", "val", "test_public"))
    assert [entry.folder for entry in store.set_limit(train.size + test.size)] == [val.folder]
    assert store.limit() == train.size + test.size
    assert features_stored(data["train"], teacher, 64) and not features_stored(data["val"], teacher, 64)
    load_features(data["val"], teacher, 64)  # makes itself room
    assert not features_stored(data["train"], teacher, 64) and features_stored(data["test_public"], teacher, 64)
    assert sum(entry.size for entry in store.entries()) <= store.limit() + 10_000  # headers and about.json


def test_features_that_exceed_the_whole_limit_are_refused_and_nothing_is_removed(data, teacher, own_store):
    load_features(data["val"], teacher, 64)
    store.set_limit(entry_of(data["val"]).size)
    with pytest.raises(OSError, match=r"features of Praline/train need .* kB, but the feature store may have .* kB"):
        load_features(data["train"], teacher, 64)
    assert features_stored(data["val"], teacher, 64) and not list(own_store.glob(".unfinished*"))


def test_a_disk_without_room_is_told_before_the_teacher_reads_on(data, teacher, own_store, monkeypatch):
    monkeypatch.setattr("afrd.runs.store.free_bytes", lambda: store.RESERVED_DISK_BYTES + 1000)
    done: list[int] = []
    with pytest.raises(OSError, match=r"has .* free; make room there, or set AFRD_CACHE"):
        load_features(data["train"], teacher, 64, lambda i, n: done.append(i))
    assert not done and not store.entries() and not list(own_store.glob(".unfinished*"))


def test_features_of_pictures_that_were_changed_go_when_the_new_ones_are_stored(data, teacher, own_store):
    dataset = data["val"]
    load_features(dataset, teacher, 64)
    load_features(dataset.select(["top"]), teacher, 64)
    before = {entry.folder for entry in store.entries()}
    os.utime(dataset.picture(0, "left"), (1, 1))
    assert sorted(store.why_unused(entry) or "" for entry in store.entries()) == ["", "its pictures have changed"]
    load_features(dataset, teacher, 64)
    after = {entry.folder for entry in store.entries()}
    assert len(after) == 2 and len(after & before) == 1  # that of the light which did not change


def test_what_nothing_reads_any_more_is_found_and_removed(data, teacher, own_store):
    for split in ("train", "val"):
        load_features(data[split], teacher, 64)
    (own_store / "Praline-val-0123").mkdir()
    (own_store / "Praline-val-0123" / "lights.json").write_text("[]")
    os.utime(data["val"].picture(0, "left"), (1, 1))
    removed = store.clear(unused_only=True)
    assert sorted(store_name(entry) for entry in removed) == ["Praline-val-0123", "val"]
    assert features_stored(data["train"], teacher, 64)
    shutil.rmtree(data.root / "Praline")
    (left,) = store.entries()
    assert store.why_unused(left) == "its pictures are gone"
    assert store.clear() == [left] and store.entries() == []


def store_name(entry: store.Entry) -> str:
    return entry.about.split if entry.about else entry.folder.name


def test_features_that_are_removed_while_they_are_read_stay_readable(data, teacher, own_store):
    found = load_features(data["val"], teacher, 64)
    expected = np.array(found.scales[0])
    assert store.clear()
    np.testing.assert_array_equal(found.scales[0], expected)


def test_clearing_the_store_leaves_features_alone_that_are_being_computed(data, teacher, own_store):
    found = load_features(data["val"], teacher, 64, lambda done, total: store.clear())
    assert features_stored(data["val"], teacher, 64) and found.batch([2])[0].isfinite().all()
    assert sorted(path.name for path in own_store.rglob("*")) == sorted(
        [entry_of(data["val"]).folder.name, "about.json", "checksums.npy", "contrast.npy", "scale0.npy", "scale1.npy"]
    )


def test_features_that_are_removed_before_they_are_opened_are_computed_again(data, teacher, own_store, monkeypatch):
    load_features(data["val"], teacher, 64)
    whole, computed = feature_store._is_whole, []

    def removed_after_the_check(*arguments) -> bool:
        found = whole(*arguments)
        if not computed:
            store.clear()
        return found

    monkeypatch.setattr(feature_store, "_is_whole", removed_after_the_check)
    load_features(data["val"], teacher, 64, lambda done, total: computed.append(done))
    assert computed == [1, 2, 3]


@pytest.mark.parametrize("damage", ["cut", "empty", "no array", "of another shape"])
def test_stored_features_that_cannot_be_opened_are_computed_again(data, teacher, own_store, damage: str):
    expected = load_features(data["val"], teacher, 64).batch([0, 1, 2])
    file = entry_of(data["val"]).folder / "scale0.npy"
    content, other = file.read_bytes(), np.zeros((3, 6, 2), np.float16)
    file.unlink()
    if damage == "of another shape":
        np.save(file, other)
    else:
        file.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "no array": b"x" * 9999}[damage])
    again = load_features(data["val"], teacher, 64).batch([0, 1, 2])
    assert all(map(torch.equal, again, expected))


def test_one_changed_byte_of_stored_features_is_noticed_for_the_sample_that_has_it(data, teacher, own_store):
    dataset, teacher_calls = data["val"], []
    expected = load_features(dataset, teacher, 64).batch([1])
    file = entry_of(dataset).folder / "scale1.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1  # of the last sample
    file.unlink()
    file.write_bytes(content)
    feature_store._checked_samples.cache_clear()  # as in another process
    damaged = load_features(dataset, teacher, 64)
    assert all(map(torch.equal, damaged.batch([1]), expected))
    for read in (damaged.batch, damaged.contrasts):
        with pytest.raises(ValueError, match=r"were damaged, so they have been removed; start again"):
            read([0, 2])
    load_features(dataset, teacher, 64, lambda done, total: teacher_calls.append(done)).batch([0, 1, 2])
    assert teacher_calls == [1, 2, 3]


def test_a_training_does_not_read_damaged_features(data, teacher, own_store, tmp_path: Path):
    options = {"teacher": teacher, "size": 64, "width": 16, "epochs": 1, "memory": 0, "show_progress": False}
    load_features(data["train"], teacher, 64)
    file = entry_of(data["train"]).folder / "scale0.npy"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"were damaged"):
        afrd.fit(data, "all", tmp_path / "run", **options)
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert afrd.fit(data, "all", tmp_path / "run", **options).threshold() is not None


def test_features_that_are_no_numbers_are_not_stored(data, teacher, own_store, monkeypatch):
    inputs = feature_store.compute_inputs

    def too_large(*arguments):
        (finest, *coarser), contrast = inputs(*arguments)
        return [1e9 * finest, *coarser], contrast

    monkeypatch.setattr(feature_store, "compute_inputs", too_large)
    with (
        np.errstate(over="ignore"),
        pytest.raises(ValueError, match=r"sample .* of val that half precision cannot hold"),
    ):
        load_features(data["val"], teacher, 64)
    assert store.entries() == [] and not list(own_store.glob(".unfinished*"))


def test_pictures_that_are_changed_while_the_teacher_reads_are_told_and_not_stored(data, teacher, own_store):
    def change(done: int, total: int) -> None:
        if done == 2:
            os.utime(data["val"].picture(0, "left"), (1, 1))

    with pytest.raises(ValueError, match=r"pictures of Praline/val in .* were changed while the teacher read them"):
        load_features(data["val"], teacher, 64, change)
    assert store.entries() == []


def test_a_store_that_is_a_file_is_named_with_what_to_do(data, teacher, tmp_path: Path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("AFRD_CACHE", str(tmp_path / "file"))
    with pytest.raises(OSError, match=r"cannot be stored in .*file/features \(.+\); set AFRD_CACHE to a folder"):
        load_features(data["val"], teacher, 64)
    assert store.entries() == [] and store.free_bytes() > 0


@pytest.mark.parametrize(
    "text, size", [("20GB", 20 * 10**9), ("1.5 tb", 15 * 10**11), ("500", 500), ("2GiB", 2 * 2**30), ("7kB", 7000)]
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert store.read_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "20 apples", "1e9", "nan"])
def test_what_is_no_size_is_named(text):
    with pytest.raises(ValueError, match="is not a size; write it like 20GB"):
        store.read_size(text)


def test_sizes_are_written_with_their_unit():
    assert [store.size_text(n) for n in (0, 134_000_000, 3.3e9, 2e12)] == ["0 kB", "134 MB", "3.3 GB", "2 TB"]
