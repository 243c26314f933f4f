"""Corrections: as if computed from scratch, undone to the bit, kept beside the weights, and never counted."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import afrd
from afrd.data.dataset import Category, MultiLightDataset
from afrd.model.evidence import Evidence, joined
from afrd.runs import corrections
from afrd.runs.calibration import calibrate, evidence_batches
from afrd.runs.correction_files import (
    FOLDER,
    MAX_REMOVED,
    correction_ids,
    read_corrections,
    remove_correction,
    removed_ids,
    save_correction,
)
from afrd.runs.plan import calibration_split
from afrd.runs.run import Run

PLACE = (20, 30)


@pytest.fixture(scope="module")
def data(candies: Path) -> Category:
    return afrd.open_dataset(candies, "Praline")


@pytest.fixture(scope="module")
def test(data: Category) -> MultiLightDataset:
    return data["test_public"]


@pytest.fixture(scope="module")
def folders(data: Category, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs by all methods with a memory."""
    runs = tmp_path_factory.mktemp("corrected")
    options = {"size": 64, "width": 16, "epochs": 2, "show_progress": False}
    for name, more in {
        "learned": {"fusion": "learned"},
        "attention": {"fusion": "attention"},
        "memory": {"method": "memory"},
    }.items():
        afrd.fit(data, "all", runs / name, **options, **more)
    afrd.fit(data, "top", runs / "one", memory=64, **options)
    return runs


@pytest.fixture(params=["learned", "attention", "memory", "one"])
def run(request, folders: Path, tmp_path: Path) -> Run:
    shutil.copytree(folders / request.param, tmp_path / "run")
    return afrd.load_run(tmp_path / "run", "cpu")


@pytest.fixture
def learned(folders: Path, tmp_path: Path) -> Run:
    shutil.copytree(folders / "learned", tmp_path / "learned")
    return afrd.load_run(tmp_path / "learned", "cpu")


def from_scratch(run: Run, dataset: MultiLightDataset) -> Evidence:
    features = run.features(dataset)
    index = range(len(features))
    return joined(list(evidence_batches(run.model, features, index, features.positions(run.lights), run.everything)))


def same(one: Evidence, two: Evidence) -> None:
    assert one.errors.max() > 0
    for name in ("errors", "weights", "terms", "nearest", "usual"):
        mine, theirs = getattr(one, name), getattr(two, name)
        assert (mine is None) == (theirs is None), name
        if mine is not None:
            torch.testing.assert_close(mine, theirs, rtol=2e-3, atol=2e-4 * float(theirs.max()), msg=lambda m: m)


def bits(run: Run, dataset: MultiLightDataset) -> tuple[bytes, ...]:
    predictions, threshold = run.evaluate(dataset), run.threshold()
    assert threshold is not None
    evidence = run.evidence(dataset)
    values = (predictions.maps, predictions.table.score.to_numpy(), evidence.errors.numpy(), evidence.weights.numpy())
    return (*(v.tobytes() for v in values), repr(threshold).encode(), repr(predictions.metrics()).encode())


def test_a_corrected_run_is_what_computing_from_scratch_gives(run: Run, test: MultiLightDataset):
    run.evidence(test)  # from which that of the corrected run follows
    after = corrections.propose(run, test, 1, PLACE)
    same(after.evidence(test), from_scratch(after, test))
    samples, rows = calibration_split(after.config, after.lights, after.folder, "")
    features = after.features(samples)
    calibration = calibrate(after.model, features, rows, features.positions(after.lights))
    assert after.calibration is not None
    same(after.calibration, calibration)
    stored, alone = after.stored_evidence(test, 1), after.sample_evidence(test[1], after.lights)
    torch.testing.assert_close(stored.errors, alone.errors, rtol=2e-3, atol=1e-3 * float(alone.errors.max()))


def test_the_place_itself_is_normal_now_and_no_light_sees_more_than_before(run: Run, test: MultiLightDataset):
    after = corrections.correct(run, test, 1, PLACE, "a seam")
    before, now = run.evidence(test), after.evidence(test)
    assert now.nearest is not None and before.nearest is not None
    assert (now.errors <= before.errors * (1 + 1e-5)).all()
    grid = now.nearest.shape[-2:]
    row, column = PLACE[1] * grid[0] // 64, PLACE[0] * grid[1] // 64
    assert (now.nearest[1, :, row, column] < 0.05).all()
    assert (before.nearest[1, :, row, column] > 0.05).all()


def test_of_a_large_hot_place_the_places_nearest_to_the_click_are_taken(
    learned: Run, test: MultiLightDataset, monkeypatch
):
    monkeypatch.setattr(corrections, "HOT_SHARE", 0.0)
    monkeypatch.setattr(corrections, "MAX_PATCHES", 5)
    after = corrections.propose(learned, test, 1, PLACE)
    assert after.corrections[0].patches.shape[1] == 5
    nearest = after.evidence(test).nearest
    row, column = PLACE[1] // 8, PLACE[0] // 8
    assert nearest is not None and nearest.shape[-2:] == (8, 8)
    assert (nearest[1, :, [row, row, row - 1], [column, column + 1, column]] < 0.05).all()


def test_undo_gives_the_earlier_state_to_the_bit(run: Run, test: MultiLightDataset):
    weights = (run.folder / "model.safetensors").read_bytes()
    first = bits(run, test)
    one = corrections.correct(run, test, 0, PLACE)
    second = bits(one, test)
    two = corrections.correct(one, test, 1, (40, 40), "gloss", "Ada")
    assert bits(two, test) != second != first
    loaded = afrd.load_run(run.folder, "cpu")
    assert [c.about for c in loaded.corrections] == [c.about for c in two.corrections]
    back = corrections.undo(two, two.corrections[1].about.id)
    assert bits(back, test) == second
    last = corrections.undo(back, back.corrections[0].about.id)
    assert bits(last, test) == first and not correction_ids(run.folder)
    assert bits(afrd.load_run(run.folder, "cpu"), test) == first
    assert (run.folder / "model.safetensors").read_bytes() == weights


def test_what_was_undone_can_be_brought_back_to_the_bit(run: Run, test: MultiLightDataset):
    first = corrections.correct(run, test, 1, PLACE)
    second = corrections.correct(first, test, 2, PLACE)
    kept = bits(second, test)
    ids = [one.about.id for one in second.corrections]
    undone = corrections.undo(corrections.undo(second, ids[0]), ids[1])
    assert removed_ids(run.folder) == [ids[1], ids[0]] and not correction_ids(run.folder)
    restored = corrections.restore(corrections.restore(undone, ids[1]), ids[0])
    assert [one.about.id for one in restored.corrections] == ids and not removed_ids(run.folder)
    assert bits(restored, test) == kept == bits(afrd.load_run(run.folder, "cpu"), test)
    with pytest.raises(ValueError, match="has no undone correction"):
        corrections.restore(restored, ids[0])


def test_an_undone_correction_for_other_weights_is_not_brought_back(
    learned: Run, test: MultiLightDataset, folders: Path
):
    corrected = corrections.correct(learned, test, 1, PLACE)
    name = corrected.corrections[-1].about.id
    corrections.undo(corrected, name)
    other = afrd.load_run(folders / "one", "cpu")
    other.folder = learned.folder
    with pytest.raises(ValueError, match="made for other weights"):
        corrections.restore(other, name)
    assert removed_ids(learned.folder) == [name] and not correction_ids(learned.folder)


def test_the_latest_undone_corrections_are_kept(learned: Run, test: MultiLightDataset):
    corrected = corrections.correct(learned, test, 1, PLACE)
    (correction,) = corrected.corrections
    names = [f"{number:06x}" for number in range(MAX_REMOVED + 2)]
    for name in names:
        save_correction(learned.folder, replace(correction, about=replace(correction.about, id=name)))
        remove_correction(learned.folder, name)
    assert len(removed_ids(learned.folder)) == MAX_REMOVED and names[0] not in removed_ids(learned.folder)


def test_the_first_of_two_corrections_can_be_undone(learned: Run, test: MultiLightDataset):
    both = corrections.correct(corrections.correct(learned, test, 0, PLACE), test, 1, (40, 40))
    only_second = corrections.with_corrections(learned, both.corrections[1:])
    left = corrections.undo(both, both.corrections[0].about.id)
    np.testing.assert_array_equal(left.evaluate(test).maps, only_second.evaluate(test).maps)
    assert left.threshold() == only_second.threshold()


def test_a_loaded_run_says_the_same_as_the_one_that_was_corrected(run: Run, test: MultiLightDataset):
    after = corrections.correct(run, test, 1, PLACE)
    loaded = afrd.load_run(run.folder, "cpu")
    assert loaded.threshold() == after.threshold()
    np.testing.assert_allclose(loaded.evaluate(test).maps, after.evaluate(test).maps, rtol=1e-5, atol=1e-6)


def test_a_corrected_sample_counts_in_no_metric(learned: Run, test: MultiLightDataset):
    after = corrections.correct(learned, test, 1, PLACE)
    predictions = after.evaluate(test)
    assert predictions.corrections_text == "1 correction; 1 corrected sample is not counted"
    assert list(predictions.table.corrected) == [False, True, False, False]
    assert predictions.table.anomalous[1] is None and test.anomalous[1] is not None
    left = replace(
        predictions,
        table=predictions.table.drop(1),
        maps=np.delete(predictions.maps, 1, 0),
        masks=np.delete(predictions.masks, 1, 0),
        masked=np.delete(predictions.masked, 1),
    )
    assert predictions.metrics() == left.metrics()
    predictions.save(after.folder / "saved")
    again = type(predictions).load(after.folder / "saved")
    assert again.corrections_text == predictions.corrections_text and again.metrics() == predictions.metrics()
    before = learned.evaluate(test)
    assert before.corrections_text == "" and "corrected" not in before.table
    one, two = before.compare(predictions, repeats=20), before.counted_as(predictions).compare(predictions, repeats=20)
    assert one.equals(two) and list(one.other) == list(predictions.metrics().values())


def test_a_corrected_calibration_sample_does_not_set_the_threshold(run: Run, data: Category):
    before = run.threshold()
    after = corrections.correct(run, data["val"], 1, PLACE)
    assert before is not None and after.threshold() is not None
    assert (before.samples, after.threshold().samples) == (3, 2)
    assert after.corrections[0].about.calibration_row == 1
    assert len(after.calibration_scores()) == 2


def test_a_calibration_sample_is_known_by_its_name_wherever_its_data_set_lies(
    learned: Run, candies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(candies.parent)
    relative = afrd.open_dataset(candies.name, "Praline")["val"]
    assert corrections.propose(learned, relative, 1, PLACE).corrections[-1].about.calibration_row == 1
    shutil.copytree(candies, tmp_path / "moved")
    learned.config = replace(learned.config, data_root=str(tmp_path / "gone"))
    moved = afrd.open_dataset(tmp_path / "moved", "Praline")["val"]
    assert corrections.propose(learned, moved, 1, PLACE).corrections[-1].about.calibration_row == 1
    assert corrections.propose(learned, moved, 1, PLACE).threshold().samples == 2


def test_a_run_of_an_earlier_version_learns_its_distances_once(run: Run, test: MultiLightDataset, monkeypatch):
    new = corrections.propose(run, test, 1, PLACE)
    file = run.folder / "calibration.safetensors"
    tensors, about = corrections.load_tensors(file)
    corrections.save_tensors(file, {k: v for k, v in tensors.items() if k not in ("nearest", "usual")}, about)
    old = corrections.correct(afrd.load_run(run.folder, "cpu"), test, 1, PLACE)
    np.testing.assert_allclose(old.calibration_scores(), new.calibration_scores(), rtol=1e-3)
    monkeypatch.setattr(corrections, "_lookups", lambda *_: pytest.fail("are kept"))
    loaded = afrd.load_run(run.folder, "cpu")
    assert loaded.threshold() == old.threshold()


def test_a_missed_defect_is_remembered_and_changes_nothing(learned: Run, test: MultiLightDataset):
    after = corrections.correct(learned, test, 2, PLACE, "dent", kind="defect")
    assert after.corrections[0].about.kind == "defect"
    assert bits(after, test) == bits(learned, test)
    assert after.evaluate(test).corrections_text == ""


def test_the_whole_part_takes_its_hot_places_only(learned: Run, test: MultiLightDataset):
    after = corrections.propose(learned, test, 3)
    threshold = learned.threshold()
    assert threshold is not None and after.corrections[0].about.place is None
    hot = learned.predict_stored(test, 3).anomaly_map > corrections.HOT_SHARE * threshold.value
    assert 1 <= after.corrections[0].patches.shape[1] <= min(64, hot.sum())
    monster = replace(threshold, value=1e9)
    learned._thresholds = dict.fromkeys(learned._thresholds, monster)
    with pytest.raises(ValueError, match="nothing to correct; name a place"):
        corrections.propose(learned, test, 3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"place": (64, 0)}, "place x 64, y 0 is not in the picture, which has 64x64 pixels"),
        ({"place": PLACE, "why": "x" * 501}, "up to 500 characters"),
        ({"place": PLACE, "who": "a\nb"}, "on one line"),
        ({"kind": "defect"}, "needs a place"),
    ],
)
def test_wrong_input_is_one_sentence_and_writes_nothing(learned: Run, test: MultiLightDataset, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        corrections.correct(learned, test, 1, **arguments)
    assert not (learned.folder / FOLDER).exists()


def test_a_run_without_memory_says_so(data: Category, test: MultiLightDataset, tmp_path: Path):
    options = {"size": 64, "width": 16, "epochs": 1, "show_progress": False}
    without = afrd.fit(data, "top,box", tmp_path / "without", memory=0, **options)
    with pytest.raises(ValueError, match="has no patch memory, so it cannot be corrected without training"):
        corrections.propose(without, test, 1, PLACE)


def test_without_the_calibration_pictures_there_is_a_sentence(learned: Run, test: MultiLightDataset):
    learned.config = replace(learned.config, pictures="3 of train; 0")
    with pytest.raises(ValueError, match="so the threshold cannot be corrected"):
        corrections.propose(learned, test, 1, PLACE)


def test_broken_and_foreign_corrections_are_named(learned: Run, test: MultiLightDataset, folders: Path):
    after = corrections.correct(learned, test, 1, PLACE)
    correction = after.corrections[0]
    path = learned.folder / FOLDER / f"{correction.about.id}.safetensors"
    content = path.read_bytes()
    for broken in (b"", content[:-7], b"[]"):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=rf"{path.name} is no correction .*--undo {path.stem}"):
            afrd.load_run(learned.folder, "cpu")
    path.unlink()
    for change in (
        {"patches": correction.patches.float()},
        {"patches": torch.full_like(correction.patches, torch.nan)},
        {"nearer_at": correction.nearer_at[:0]},
        {"about": replace(correction.about, kind="guess")},
    ):
        save_correction(learned.folder, replace(correction, **change))
        with pytest.raises(ValueError, match="is no correction"):
            read_corrections(learned.folder)
    for change, sentence in (
        ({"nearer_at": correction.nearer_at + 10**9}, "does not fit the calibration samples"),
        ({"about": replace(correction.about, memory="0" * 16)}, "was made for other weights"),
        ({"patches": correction.patches[:, :, 1:]}, "was made for other weights"),
    ):
        save_correction(learned.folder, replace(correction, **change))
        with pytest.raises(ValueError, match=sentence):
            afrd.load_run(learned.folder, "cpu")
    with pytest.raises(ValueError, match=r"has no correction '\.\./\.\./x': it has"):
        remove_correction(learned.folder, "../../x")
    remove_correction(learned.folder, correction.about.id)
    assert not afrd.load_run(learned.folder, "cpu").corrections


def test_a_region_and_corrections_go_together(learned: Run, test: MultiLightDataset):
    region = np.zeros((64, 64), bool)
    region[:40] = True
    two = corrections.propose(learned, test, 1, PLACE).with_region(region)
    one = corrections.with_corrections(learned.with_region(region), two.corrections)
    assert (one.region == region).all() and not one.evaluate(test).maps[:, 40:].any()
    np.testing.assert_array_equal(one.evaluate(test).maps, two.evaluate(test).maps)
    back = corrections.with_corrections(two, [])
    np.testing.assert_array_equal(back.evaluate(test).maps, learned.with_region(region).evaluate(test).maps)
