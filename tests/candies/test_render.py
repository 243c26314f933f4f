"""The candy factory: layout, determinism, ground truth, and that light behaves like light."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy import ndimage

from afrd.candies import render
from afrd.candies.render import (
    CATEGORIES,
    DEFECTS,
    EYECANDIES_RIG,
    is_complete,
    planned_defects,
    render_category,
    render_sample,
    spot_ring,
)

SPOTS, BOTTOM, RIGHT, TOP, LEFT, BOX = range(6)
FEW: dict[str, Any] = {"size": 48, "train": 2, "val": 1, "test_good": 3, "test_bad": 4}


def digests(folder: Path) -> dict[str, str]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def read(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def heights(depth: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Height above the mat of every pixel, by the camera model that the data set's authors publish."""
    size = len(depth)
    v, u = np.mgrid[:size, :size]
    focal = 711.11 * size / 512
    points = np.stack(((u - size / 2) / focal * depth, (v - size / 2) / focal * depth, depth, np.ones_like(depth)), -1)
    return (points @ pose.T)[..., 2]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Path:
    return render_category(tmp_path_factory.mktemp("candies"), "Praline", twins=True, workers=1, **FEW)


def test_the_layout_is_that_of_eyecandies(rendered):
    assert rendered.name == "Praline"
    items = {f"image_{k}.png" for k in range(6)} | {f"{kind}_mask.png" for kind in DEFECTS}
    items |= {"mask.png", "depth.png", "info_depth.yaml", "normals.png", "pose.txt", "metadata.yaml"}
    for split, names in (
        ("train", ["000", "001"]),
        ("val", ["00"]),
        ("test_public", [f"{k:02d}" for k in range(7)]),
    ):
        found = {file.name for file in (rendered / split / "data").iterdir()}
        assert found == {f"{name}_{item}" for name in names for item in items}
    bad = [f"{k:02d}" for k in range(7) if planned_defects(k, 3, 4)]
    twins = {file.name for file in (rendered / "twins" / "data").iterdir()}
    assert len(bad) == 4 and twins == {f"{name}_image_{k}.png" for name in bad for k in range(6)}


def test_pictures_have_the_formats_of_the_layout(rendered):
    prefix = f"{rendered}/test_public/data/01"
    for item, mode in (("image_0", "RGB"), ("normals", "RGB"), ("mask", "L"), ("depth", "I;16")):
        with Image.open(f"{prefix}_{item}.png") as picture:
            assert (picture.mode, picture.size) == (mode, (48, 48)), item
    assert set(np.unique(read(Path(f"{prefix}_mask.png")))) == {0, 255}


def test_depth_is_metric_again_by_its_bounds_and_pixels_of_the_mat_lie_in_its_plane(rendered):
    prefix = f"{rendered}/train/data/000"
    bounds = yaml.safe_load(Path(f"{prefix}_info_depth.yaml").read_text())["normalization"]
    stored = read(Path(f"{prefix}_depth.png")).astype(np.float64) / 65535
    depth = stored * (bounds["max"] - bounds["min"]) + bounds["min"]
    shot = render_sample("Praline", size=48, split="train", index=0)
    assert np.abs(depth - shot.depth).max() < 1e-3
    height = heights(depth, np.loadtxt(f"{prefix}_pose.txt"))
    assert np.abs(height[:4]).max() < 1e-2  # the far end of the mat
    assert 0.5 < height.max() < 1.2 and height.min() > -1e-2


def test_metadata_and_masks_tell_the_same_story(rendered):
    kinds = set()
    for index in range(7):
        prefix = f"{rendered}/test_public/data/{index:02d}"
        metadata = yaml.safe_load(Path(f"{prefix}_metadata.yaml").read_text())
        masks = {kind: read(Path(f"{prefix}_{kind}_mask.png")) > 0 for kind in DEFECTS}
        assert set(metadata) == {"anomalous", *DEFECTS}
        for kind in DEFECTS:
            assert bool(metadata[kind]) == masks[kind].any(), (index, kind)
        assert bool(metadata["anomalous"]) == any(metadata[kind] for kind in DEFECTS)
        assert np.array_equal(read(Path(f"{prefix}_mask.png")) > 0, np.any(list(masks.values()), axis=0))
        kinds |= {kind for kind in DEFECTS if metadata[kind]}
    assert kinds == set(DEFECTS)
    assert not read(rendered / "train" / "data" / "000_mask.png").any()


def test_good_and_bad_samples_are_as_many_as_asked_and_some_have_two_defects():
    plan = [planned_defects(k, 20, 20) for k in range(40)]
    assert sum(not kinds for kinds in plan) == 20
    assert {len(kinds) for kinds in plan} == {0, 1, 2}
    for kind in DEFECTS:
        assert 4 <= sum(kind in kinds for kinds in plan) <= 7
    assert [bool(planned_defects(k, 1, 3)) for k in range(4)].count(True) == 3


def test_the_number_of_workers_changes_no_byte(rendered, tmp_path):
    again = render_category(tmp_path, "Praline", twins=True, workers=2, **FEW)
    assert digests(again) == digests(rendered)


def test_other_seeds_splits_and_indices_give_other_candies():
    first = render_sample("Praline", size=48).images
    for change in ({"seed": 1}, {"split": "val"}, {"index": 1}):
        assert np.abs(render_sample("Praline", size=48, **change).images.astype(int) - first).mean() > 1


def test_an_interrupted_rendering_goes_on_without_touching_what_is_finished(tmp_path):
    settings: dict[str, Any] = {
        "size": 32,
        "train": 3,
        "val": 1,
        "test_good": 1,
        "test_bad": 1,
        "twins": True,
        "workers": 1,
    }

    class Stop(Exception):
        pass

    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise Stop

    with pytest.raises(Stop):
        render_category(tmp_path, "Cookie", progress=interrupt, **settings)
    folder = tmp_path / "Cookie"
    wanted: dict[str, Any] = {key: settings[key] for key in ("train", "val", "test_good", "test_bad", "twins")}
    assert not is_complete(folder, **wanted)
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*.*") if file.is_file()}
    assert len(before) == 2 * 16 + 1
    calls = []
    render_category(tmp_path, "Cookie", progress=lambda *step: calls.append(step), **settings)
    assert calls == [(k, 6) for k in range(2, 7)]
    assert is_complete(folder, **wanted) and is_complete(folder, **wanted, size=32, seed=0)
    assert not is_complete(folder, **wanted, seed=5)
    assert {file: file.stat().st_mtime_ns for file in before} == before
    (folder / "twins" / "data" / "01_image_3.png").unlink()
    assert not is_complete(folder, **wanted)
    render_category(tmp_path, "Cookie", **settings)
    assert is_complete(folder, **wanted) and not list(folder.rglob("*.part"))


def test_two_renderings_do_not_mix_in_one_folder(tmp_path):
    settings: dict[str, Any] = {"size": 32, "train": 1, "val": 1, "test_good": 1, "test_bad": 1, "workers": 1}
    render_category(tmp_path, "Gumdrop", **settings)
    with pytest.raises(ValueError, match="holds a rendering with seed 0"):
        render_category(tmp_path, "Gumdrop", seed=3, **settings)
    with pytest.raises(ValueError, match="other lights"):
        render_category(tmp_path, "Gumdrop", lights=spot_ring(3), **settings)
    (tmp_path / "Lollipop").mkdir()
    (tmp_path / "Lollipop" / "mine.txt").write_text("not from here")
    with pytest.raises(ValueError, match="not rendered here"):
        render_category(tmp_path, "Lollipop", **settings)


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_stain_changes_pictures_only_where_its_mask_is_and_leaves_depth_alone(category):
    clean = render_sample(category, size=64, index=3)
    stained = render_sample(category, size=64, index=3, defect="colors")
    assert np.array_equal(clean.depth, stained.depth) and np.array_equal(clean.normals, stained.normals)
    changed = (clean.images != stained.images).any((0, 3))
    assert stained.mask.any() and not clean.mask.any()
    # the lens blurs by a pixel; weaker fringes than the mask's threshold are allowed one more
    assert not (changed & ~ndimage.binary_dilation(stained.mask, np.ones((3, 3)), 2)).any()
    assert changed[stained.mask].mean() > 0.9


@pytest.mark.parametrize("category", CATEGORIES)
def test_bumps_come_closer_dents_go_away_and_roughness_bends_normals(category):
    clean = render_sample(category, size=64, index=1)
    for kind, sign in (("bumps", -1), ("dents", 1)):
        bad = render_sample(category, size=64, index=1, defect=kind)
        change = (bad.depth - clean.depth)[bad.masks[kind]]
        assert bad.masks[kind].any() and sign * change.mean() > 0.002, kind
        away = ~ndimage.binary_dilation(bad.mask, np.ones((3, 3)), 2)
        assert np.abs(bad.depth - clean.depth)[away].max() < 1e-2
    rough = render_sample(category, size=64, index=1, defect="normals")
    bend = 1 - (rough.normals * clean.normals).sum(-1)
    assert np.array_equal(rough.depth, clean.depth)
    assert bend[rough.mask].mean() > 0.001 and bend[~rough.mask].max() < 0.01


def test_a_defect_far_from_a_pixel_leaves_its_light_alone():
    clean = render_sample("Cookie", size=64, index=2)
    dent = render_sample("Cookie", size=64, index=2, defect="dents")
    far = ~ndimage.binary_dilation(dent.mask, np.ones((3, 3)), 14)
    change = np.abs(clean.images[:, far].astype(int) - dent.images[:, far])
    assert change.max() <= 4 and (change > 0).mean() < 0.005  # soft edges of shadows reach far, but weakly


def test_two_defects_have_a_mask_each():
    both = render_sample("Praline", size=96, index=5, defect=("bumps", "colors"))
    assert both.defects == ("bumps", "colors")
    assert both.masks["bumps"].any() and both.masks["colors"].any() and not both.masks["dents"].any()


@pytest.mark.parametrize("category", CATEGORIES)
def test_spots_light_the_side_on_which_they_stand(category):
    shot = render_sample(category, size=64)
    pictures = shot.images.astype(float).mean(-1)
    mat = heights(shot.depth, shot.pose) < 0.01
    left, right = mat.copy(), mat.copy()
    left[:, 32:], right[:, :32] = False, False
    near = slice(24, 44)  # rows beside the candy, where shadows fall
    assert pictures[LEFT][near][left[near]].mean() > 1.2 * pictures[LEFT][near][right[near]].mean()
    assert pictures[RIGHT][near][right[near]].mean() > 1.2 * pictures[RIGHT][near][left[near]].mean()
    for a in range(6):
        for b in range(a):
            assert np.abs(pictures[a] - pictures[b]).mean() > 2, (a, b)


def test_the_lamp_behind_throws_the_shadow_towards_the_viewer():
    pictures = render_sample("Gumdrop", size=64).images.astype(float).mean(-1)
    in_front = (slice(56, 62), slice(26, 38))
    assert pictures[TOP][in_front].mean() < 0.4 * pictures[BOTTOM][in_front].mean()


def test_all_spots_together_are_their_sum_in_linear_light():
    """Doubling the exposure of the sum is the same as doubling every spot, before the tone curve and without it."""
    one = render_sample("Praline", size=64, lights=EYECANDIES_RIG)
    rig = [replace(light, intensity=2 * light.intensity) if light.kind == "spot" else light for light in EYECANDIES_RIG]
    rig[0] = replace(rig[0], exposure=rig[0].exposure / 2)
    other = render_sample("Praline", size=64, lights=rig)
    assert np.abs(one.images[SPOTS].astype(int) - other.images[SPOTS]).max() <= 1
    assert other.images[LEFT].mean() > 1.2 * one.images[LEFT].mean()
    plain_sum = one.images[BOTTOM:BOX].astype(int).sum(0)
    assert np.abs(plain_sum - one.images[SPOTS]).mean() > 5  # exposure and tone curve come after the sum


def test_which_light_shows_a_defect_depends_on_the_defect():
    ratios, best = [], set()
    for kind in DEFECTS:
        for index in range(3):
            clean = render_sample("Lollipop", size=64, index=index)
            bad = render_sample("Lollipop", size=64, index=index, defect=kind)
            seen = np.abs(clean.images.astype(float) - bad.images)[:, bad.mask].mean((1, 2))  # (L,)
            ratios.append(seen.max() / max(seen.min(), 0.1))
            best.add(int(seen[1:].argmax()))
    assert np.median(ratios) > 2.5 and len(best) >= 3


def test_a_rig_may_have_any_number_of_lights(tmp_path):
    rig = spot_ring(11)
    shot = render_sample("Peppermint", size=48, lights=rig)
    assert shot.images.shape == (12, 48, 48, 3)
    counts: dict[str, Any] = {"train": 1, "val": 1, "test_good": 1, "test_bad": 1}
    folder = render_category(tmp_path, "Peppermint", size=32, workers=1, lights=rig, **counts)
    assert (folder / "train" / "data" / "000_image_11.png").is_file()
    assert is_complete(folder, lights=rig, **counts) and not is_complete(folder, **counts)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"category": "Toffee"}, "unknown category 'Toffee'; choose from Praline"),
        ({"size": 8}, "size 8 is not possible"),
        ({"seed": -1}, "seed -1 is negative"),
        ({"train": 0}, "train is 0"),
        ({"test_bad": -2}, "test_bad is -2"),
        ({"val": 101}, "101 samples in val are too many"),
        ({"workers": 0}, "workers is 0"),
        ({"lights": ()}, "at least one light"),
        ({"lights": EYECANDIES_RIG[:1]}, "no spot that it could sum"),
        ({"lights": EYECANDIES_RIG[1:2] * 2}, "two lights of the rig are called 'bottom'"),
    ],
)
def test_wrong_arguments_are_answered_in_one_sentence(tmp_path, arguments, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        render_category(tmp_path, **{"category": "Praline", "workers": 1, **arguments})
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_unknown_defect_and_a_negative_index_are_refused():
    with pytest.raises(ValueError, match="unknown defect 'holes'; choose from bumps"):
        render_sample("Praline", size=48, defect="holes")
    with pytest.raises(ValueError, match="index -1 is negative"):
        render_sample("Praline", size=48, index=-1)


def test_difficult_defects_are_smaller_and_fainter_and_good_candies_the_same():
    for kind in DEFECTS:
        plain, faint = (render_sample("Praline", size=64, index=1, defect=kind, difficulty=d) for d in (0.0, 1.0))
        clean = render_sample("Praline", size=64, index=1, difficulty=1.0)
        assert 0 < faint.mask.sum() < 0.6 * plain.mask.sum(), kind
        changes = [np.abs(shot.images.astype(float) - clean.images).sum() for shot in (plain, faint)]
        assert 0 < changes[1] < 0.5 * changes[0], kind
    assert np.array_equal(clean.images, render_sample("Praline", size=64, index=1).images)
    with pytest.raises(ValueError, match="difficulty 2 is not possible"):
        render_sample("Praline", size=64, difficulty=2)


def test_random_categories_are_alike_within_and_differ_among_themselves():
    def pictures(category: str) -> list[np.ndarray]:
        return [render_sample(category, size=48, index=i).images.astype(float) for i in range(2)]

    first, second = pictures("Random1"), pictures("Random2")
    within = [np.abs(a - b).mean() for a, b in (first, second)]
    assert np.abs(first[0] - second[0]).mean() > 1.5 * max(within)
    assert np.array_equal(first[0], render_sample("Random1", size=48, index=0).images)
    for name in ("Random", "Random0", "random1", "Random1x"):
        with pytest.raises(ValueError, match=f"unknown category '{name}'"):
            render_sample(name, size=48)


def test_older_versions_of_glibc_accept_how_freed_memory_is_kept(monkeypatch: pytest.MonkeyPatch):
    refused = []

    class OlderLibrary:
        def mallopt(self, option: int, value: int) -> int:
            accepted = option != render.M_MMAP_THRESHOLD or value <= 2**25  # HEAP_MAX_SIZE / 2
            refused.extend([] if accepted else [(option, value)])
            return int(accepted)

    monkeypatch.setattr(render.ctypes, "CDLL", lambda name: OlderLibrary())
    render._keep_freed_memory()
    assert not refused
