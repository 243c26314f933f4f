"""The patch memory: exact nearest neighbours, light by light, and a run like any other."""

from pathlib import Path

import numpy as np
import pytest
import torch

import afrd
from afrd.model.config import ModelConfig
from afrd.model.evidence import smooth
from afrd.model.lookup import embed
from afrd.model.patch_memory import MEMORY_ALONE_PATCHES, PatchBank, PatchMemory
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


def test_a_large_set_is_thinned_out_evenly_and_the_same_way_for_a_seed():
    shapes = ((3, 2, 3, 64, 64), (3, 2, 5, 32, 32), (3, 2, 64, 64))
    *scales, contrast = (np.ones(shape, np.float16) for shape in shapes)
    many = Features(tuple(scales), contrast, ("a", "b"))
    first, second = PatchMemory(config()), PatchMemory(config())
    for memory in (first, second):
        memory.remember((many.batch([i]) for i in range(3)), 3, seed=1)
    assert abs(first.bank.patches.shape[1] - MEMORY_ALONE_PATCHES) <= 3
    assert torch.equal(first.bank.patches, second.bank.patches)


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
