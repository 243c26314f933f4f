"""What the browser makes of many lights on pictures larger than its maps, against PyTorch's arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser

from afrd.figures import shrink
from afrd.model.fusion import fuse_evidence
from afrd.page.common.scripts import joined_text
from afrd.page.light_table.style import SCRIPTS

GRID = (19, 32)
BLENDED = """
import { blend, floored } from './blend.js';
const lights = given.lights.map(({ errors, weights, say }) =>
  ({ errors: new Float32Array(errors), weights: floored(new Float32Array(weights)), say }));
const inside = given.inside && new Uint8Array(given.inside);
const found = blend(lights, given.how, given.grid, given.size, inside);
return { ...found, map: [...found.map.values], share: lights.map((_, i) => [...found.share(i)]),
  error: lights.map((_, i) => [...found.error(i)]) };
"""


def enlarged(values: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    return torch.nn.functional.interpolate(torch.from_numpy(values)[None], size, mode="bilinear")[0]


@pytest.mark.browser
@pytest.mark.parametrize("size", [(304, 512), (300, 517), (19, 32)])
@pytest.mark.parametrize("how", ["attention", "mean", "max"])
@pytest.mark.parametrize("region", [False, True])
def test_maps_errors_and_shares_are_those_of_pytorch(size: tuple[int, int], how: str, region: bool, browser: Browser):
    draw = np.random.default_rng(3)
    errors, weights = draw.random((2, 3, *GRID), np.float32)
    weights[1] = np.where(draw.random(GRID) < 0.3, 0, 50 * weights[1])  # at many places it has nothing to say
    says = [1.0, 0.4, 0.7]
    inside = np.zeros(size, bool)
    inside[: size[0] // 2, size[1] // 3 :] = True
    given = {"how": how, "grid": GRID, "size": size, "inside": inside.ravel().astype(int).tolist() if region else None}
    given["lights"] = [
        {"errors": e.ravel().tolist(), "weights": w.ravel().tolist(), "say": say}
        for e, w, say in zip(errors, weights, says, strict=True)
    ]
    page = browser.new_page()
    found = page.evaluate(f"given => {{ {joined_text(BLENDED, SCRIPTS / 'test.js')} }}", given)
    page.close()
    kept = torch.from_numpy(inside) if region else torch.ones(size, dtype=torch.bool)
    maps, say = enlarged(errors, size), torch.tensor(says)[:, None, None]
    if how == "max":  # the largest of what they may say wins, with its whole error
        shares = fuse_evidence((say * maps)[None], maps[None], torch.ones(1, 3, dtype=torch.bool), "max")[1][0]
    else:
        shares = say * (enlarged(weights, size).clamp_min(1e-12) if how == "attention" else torch.ones_like(maps))
        shares = shares / shares.sum(0)
    expected = (shares * maps).sum(0) * kept
    assert found["score"] == pytest.approx(float(expected.max()), rel=1e-5)
    assert found["means"] == pytest.approx(shares.mean((1, 2)).tolist(), rel=1e-4)
    peak = np.unravel_index(int(expected.argmax()), size)
    assert found["peaks"] == pytest.approx([float(share[peak]) for share in shares], abs=1e-4)
    assert found["map"] == pytest.approx(shrink(expected.numpy()).ravel(), abs=1e-4)
    for light in range(3):
        assert found["error"][light] == pytest.approx(shrink((maps[light] * kept).numpy(), 128).ravel(), abs=1e-4)
        assert found["share"][light] == pytest.approx(shrink(shares[light].numpy(), 128).ravel(), abs=1e-4)
