"""The patch memory: exact nearest neighbours, light by light, and a run like any other."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

import afrd
from afrd.model.config import ModelConfig
from afrd.model.evidence import smooth
from afrd.model.lookup import embed
from afrd.model.patch_memory import PatchBank, PatchMemory, farthest_first
from afrd.runs.feature_store import Features


def config(**changes) -> ModelConfig:
    return ModelConfig(("a", "b"), "efficientnet_lite0", (3, 5), (8, 16), **({"method": "memory"} | changes))


def good_parts(samples: int = 4) -> Features:
    rng = np.random.default_rng(0)
    scales = [rng.standard_normal((samples, 2, c, s, s)).astype(np.float16) for c, s in ((3, 8), (5, 4))]
    return Features(tuple(scales), np.ones((samples, 2, 8, 8), np.float16), ("a", "b"))


def sample_of(index: int) -> list[torch.Tensor]:
    return [f.float() for f in good_parts(3).batch([index])]


def test_the_error_is_the_distance_to_the_nearest_patch_of_the_same_light():
    memory = PatchMemory(config())
    memory.remember((good_parts().batch([i]) for i in (0, 2)), 2, seed=0)
    assert memory.bank.patches.shape == (2, 2 * 64, 8)
    asked = [f.float() for f in good_parts().batch([1])]
    contrast = 1 + torch.rand(1, 2, 8, 8)
    seen = memory.evidence(asked, contrast, torch.ones(1, 2, dtype=torch.bool))
    found = seen.errors
    patches = embed(asked)[0].double()
    naive = torch.zeros(1, 2, 8, 8)
    for light in range(2):
        for place in range(64):
            distances = [(patches[light, place] - b).norm().item() for b in memory.bank.patches[light].double()]
            naive[0, light, place // 8, place % 8] = min(distances)
    torch.testing.assert_close(found, smooth(naive), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(seen.weights, found**2 * smooth(contrast))


def test_a_patch_keeps_the_evidence_that_it_raised_against_other_parts():
    bank = PatchBank(2, 8, 4096)  # more than there are: every place is kept, in an order of its own

    def errors_of(sample: list[torch.Tensor]) -> torch.Tensor:
        return sample[0].mean(2).abs()  # any error (1, L, h, w)

    bank.fill((good_parts(3).batch([i]) for i in range(3)), 3, 0, errors_of)
    assert bank.usual.shape == (2, 3 * 64)
    patches, usual = bank.patches.double(), bank.usual.double()
    for light in range(2):
        for k in (0, 63, 64, 130, 191):
            others = [(patches[light, k] - patches[light, j]).norm() for j in range(192) if j // 64 != k // 64]
            mine = [embed([f[:, [light]] for f in features])[0, 0] for features in map(sample_of, range(3))]
            place = int((mine[k // 64] - patches[light, k]).norm(dim=-1).argmin())
            error = errors_of(sample_of(k // 64))[0, light].flatten()[place]
            assert usual[light, k].item() == pytest.approx((error * min(others)).sqrt().item(), rel=1e-3)


@pytest.mark.parametrize("at_once", [7, 140, 4_194_304])
def test_selected_patches_keep_the_evidence_of_their_own_part_under_every_light(at_once: int, monkeypatch):
    """Every light selects other places, so a patch's part and error are others at the same position."""
    monkeypatch.setattr("afrd.model.patch_memory.DISTANCES_AT_ONCE", at_once)
    parts = [sample_of(k) for k in range(3)]
    bank = PatchBank(2, 8, 20)
    bank.fill(parts, 3, 0, lambda sample: sample[0].mean(2).abs())
    owners = []
    for light in range(2):
        patches = bank.patches[light].double()
        owner, error = [], []
        for patch in patches:
            away = torch.stack([(embed(part)[0, light].half().double() - patch).norm(dim=-1) for part in parts])
            assert away.min() == 0  # it is a place of a training part
            part, place = divmod(int(away.argmin()), away.shape[1])
            owner.append(part)
            error.append(parts[part][0][0, light].mean(0).abs().flatten()[place].item())
        nearest = [
            min((mine - other).norm() for other, of in zip(patches, owner, strict=True) if of != part)
            for mine, part in zip(patches, owner, strict=True)
        ]
        distance = torch.stack(nearest)
        expected = (torch.tensor(error, dtype=torch.float64) * distance).sqrt()
        torch.testing.assert_close(bank.usual[light].double(), expected, rtol=1e-4, atol=1e-6)
        assert bank.reach[light].item() == pytest.approx(0.1 * distance.square().mean().item(), rel=1e-4)
        owners.append(owner)
    assert owners[0] != owners[1]


def test_a_correction_is_one_more_patch():
    bank = PatchBank(2, 8, 4096)
    bank.fill((good_parts(3).batch([i]) for i in range(2)), 2, 0)
    before, usual = bank(sample_of(2))
    bank.corrections = embed(sample_of(2))[0][:, [5]].half()
    after, same = bank(sample_of(2))
    assert torch.equal(usual, same) and (after <= before).all()
    assert after[0, :, 0, 5].max() < 5e-3 < before[0, :, 0, 5].min()
    assert set(bank.state_dict()) == {"patches", "usual", "reach"}


def test_one_part_alone_tells_nothing_of_what_is_usual():
    bank = PatchBank(2, 8, 4096)
    bank.fill([good_parts(1).batch([0])], 1, 0, lambda sample: sample[0].mean(2).abs())
    assert not bank.usual.any()
    assert bank([f.float() for f in good_parts(1).batch([0])])[0].isfinite().all()


def test_a_remembered_part_has_no_error_and_every_sample_is_remembered():
    memory = PatchMemory(config())
    memory.remember((good_parts().batch([i]) for i in range(4)), 4, seed=0)
    known = [f.float() for f in good_parts().batch([3])]
    there = torch.ones(1, 2, dtype=torch.bool)
    assert memory.evidence(known, torch.ones(1, 2, 8, 8), there).errors.max() < 2e-3


def large_set(samples: int = 3) -> Features:
    rng = np.random.default_rng(1)
    shapes = ((samples, 2, 3, 128, 128), (samples, 2, 5, 64, 64), (samples, 2, 128, 128))
    *scales, contrast = (rng.standard_normal(shape).astype(np.float16) for shape in shapes)
    return Features(tuple(scales), contrast, ("a", "b"))


def test_a_large_set_is_thinned_out_the_same_way_for_a_seed():
    many = large_set()
    banks = [PatchBank(2, 8, 100) for _ in range(3)]
    for bank, seed in zip(banks, (1, 1, 2), strict=True):
        bank.fill((many.batch([i]) for i in range(3)), 3, seed)
    first, second, other = (bank.patches for bank in banks)
    assert first.shape == (2, 100, 8)
    assert torch.equal(first, second) and not torch.equal(first, other)


@pytest.mark.parametrize("decimals", [0, 1, 4])
def test_selection_does_not_depend_on_the_number_of_threads(decimals: int):
    """Few decimals: many patches are equally far, so that the first of them must be taken."""
    patches = torch.randn(40_000, 5, generator=torch.Generator().manual_seed(decimals)).round(decimals=decimals)
    threads = torch.get_num_threads()
    try:
        orders = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            orders.append(farthest_first(patches, 30))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(orders[0], orders[1]) and torch.equal(orders[0], orders[2])


def test_a_memory_larger_than_the_candidates_keeps_all_that_are_drawn_at_once():
    """Leaving out one of 41,031 would take 41,030 passes over them."""
    many = large_set()
    bank = PatchBank(2, 8, 41_030)
    bank.fill((many.batch([i]) for i in range(3)), 3, 0)
    assert bank.patches.shape == (2, 3 * 13_676, 8)


class LargestTensor(TorchDispatchMode):
    """Bytes of the largest tensor that an operation makes."""

    nbytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.nbytes = max(self.nbytes, made.untyped_storage().nbytes())
        return made


def test_candidates_of_one_light_only_are_together_in_memory():
    """Those of 20 lights of a wide ResNet take 3 GB."""
    parts = [[torch.randn(1, 12, c, 32, 32), torch.randn(1, 12, c, 16, 16)] for c in 40 * [4]]
    bank = PatchBank(12, 8, 16)
    with LargestTensor() as made:
        bank.fill(parts, 40, 0)
    candidates = 40 * 1024 * 8 * 12 * 2
    assert bank.patches.shape == (12, 16, 8) and 0 < made.nbytes < candidates / 2


def test_what_is_rare_is_remembered():
    """Of 64 patches drawn at random from 49,152 places, hardly one would be among these 9."""
    many = large_set()
    for scale in many.scales:
        scale[:] = 1 + 0.01 * scale
    rare = np.array([0.0, 0.0, 5.0], np.float16)
    many.scales[0][1, :, :, 60:63, 60:63] = rare[:, None, None]
    bank = PatchBank(2, 8, 64)
    bank.fill((many.batch([i]) for i in range(3)), 3, 0)
    asked = [f.float() for f in many.batch([1])]
    distance, _ = bank(asked)
    assert distance[0, :, 61, 61].max() < 0.5 * (embed(asked)[0, :, 61 * 128 + 61] - embed(asked)[0, :, 0]).norm()


def test_the_distance_of_each_part_to_all_others_is_that_of_a_plain_loop():
    """Every place is a candidate here; of what each part has in the memory the farthest from the others counts."""
    parts = [[1 + 0.1 * f.float() for f in good_parts(4).batch([k])] for k in range(4)]
    parts[2][0][:, 1, 0, 2:5, 4:7], parts[2][1][:, 1, 0, 1:3, 2:4] = 90.0, 90.0  # of the second light only
    bank = PatchBank(2, 8, 12)
    distances = bank.fill(parts, 4, 0)
    assert distances.distance.shape == distances.place.shape == (2, 4)
    for light in range(2):
        places = [embed(part)[0, light].half().double() for part in parts]
        remembered = {tuple(patch) for patch in bank.patches[light].double().tolist()}
        for part in range(4):
            others = torch.cat([places[k] for k in range(4) if k != part])
            apart = torch.cdist(places[part], others, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
            own = [k for k, place in enumerate(places[part].tolist()) if tuple(place) in remembered]
            expected = max((apart[k].item() for k in own), default=0.0)
            assert distances.distance[light, part].item() == pytest.approx(expected, rel=1e-3)
            assert not own or apart[distances.place[light, part]].item() == pytest.approx(expected, rel=1e-3)
    assert distances.distance[1].argmax() == 2
    row, column = divmod(int(distances.place[1, 2]), 8)
    assert abs(row - 3) <= 2 and abs(column - 5) <= 2  # patches are means over neighbours


def test_a_single_part_has_no_distance():
    distances = PatchBank(2, 8, 12).fill([sample_of(0)], 1, 0)
    assert distances.distance.tolist() == [[0.0], [0.0]]


@given(st.integers(0, 2**31), st.integers(2, 40), st.integers(1, 45))
def test_selection_is_that_of_a_plain_loop(seed: int, patches: int, count: int):
    points = torch.randn(patches, 6, generator=torch.Generator().manual_seed(seed))
    order = farthest_first(points, count).tolist()
    assert len(order) == len(set(order)) == min(count, patches)
    if count >= patches:
        return
    exact, chosen = points.double(), [0]
    for position in order[1:]:
        to_nearest = torch.stack([(exact - exact[k]).norm(dim=-1) for k in chosen]).amin(0)
        assert to_nearest[position] == pytest.approx(to_nearest.max().item(), rel=1e-4, abs=1e-4)
        chosen.append(position)


def test_equal_patches_are_selected_once_each():
    assert farthest_first(torch.ones(9, 4), 5).unique().numel() == 5


def test_where_all_selected_patches_are_of_one_part_nothing_is_subtracted():
    bank = PatchBank(2, 8, 1)
    bank.fill((good_parts(3).batch([i]) for i in range(3)), 3, 0, lambda sample: sample[0].mean(2).abs())
    assert bank.patches.shape == (2, 1, 8) and not bank.usual.any() and bank.reach.isfinite().all()
    distance, usual = bank(sample_of(2))
    assert distance.isfinite().all() and not usual.any()


def test_a_memory_is_a_run_like_any_other(candies, tmp_path: Path):
    data = afrd.open_dataset(candies, "Praline")
    made = afrd.fit(data, "top,box", tmp_path / "run", method="memory", size=64, show_progress=False)
    run = afrd.load_run(tmp_path / "run")
    assert run.method() == "patch memory, attention over evidence, all lights" and run.history().empty
    test = data["test_public"]
    one, two = (r.evaluate(test) for r in (made, run))
    np.testing.assert_allclose(one.maps, two.maps, rtol=1e-5, atol=1e-6)
    assert set(two.table.verdict) <= {"good", "anomalous"} and run.threshold().samples == 3
    assert run.predict(test[1], "top").lights == ("top",)


def test_a_memory_has_no_fused_target():
    with pytest.raises(ValueError, match="its target is 'lights'"):
        config(target="fused")
    with pytest.raises(ValueError, match="method 'oracle' is not known; choose one of afrd, memory"):
        config(method="oracle")
