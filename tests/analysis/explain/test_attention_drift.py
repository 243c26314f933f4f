"""The diagnostic of attention over features, on runs with known attention and on pictures of known variety."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import afrd
from afrd.analysis.explain.attention_drift import drift, sentence


@pytest.fixture(scope="module")
def fused(candies: Path, tmp_path_factory: pytest.TempPathFactory) -> afrd.Run:
    data = afrd.open_dataset(candies, "Praline")
    out = tmp_path_factory.mktemp("drift") / "fused"
    return afrd.fit(data, "top,box", out, target="fused", size=64, width=16, epochs=1, show_progress=False)


def test_attention_and_variety_are_those_of_the_run_and_the_features(fused: afrd.Run, candies: Path):
    train = afrd.open_dataset(candies, "Praline")["train"]
    table = drift(fused, train)
    assert list(table.index) == ["top", "box"] and table.attention.sum() == pytest.approx(1, abs=1e-4)
    stored = fused.features(train)  # of these two lights, or of all, where another test stored those
    index, positions = list(range(len(train))), stored.positions(["top", "box"])
    features = stored.batch(index, positions)
    naive = []
    for scale in features:
        unit = torch.nn.functional.normalize(scale.double(), dim=2)  # (N, L, C, h, w)
        naive.append(1 - unit.mean(0).norm(dim=1).mean((1, 2)))
    np.testing.assert_allclose(table.variety, torch.stack(naive).mean(0).numpy(), rtol=1e-6)
    contrast = stored.contrasts(index, positions).double()
    np.testing.assert_allclose(table.contrast, contrast.mean((0, 2, 3)).numpy(), rtol=1e-4)


def test_attention_that_is_turned_to_one_light_is_reported(fused: afrd.Run, candies: Path):
    train = afrd.open_dataset(candies, "Praline")["train"]
    run = afrd.load_run(fused.folder)
    with torch.no_grad():
        for score in run.model.fusion.score:
            score.outer.weight.fill_(1.0)
            score.light[0] = 3.0
            score.light[1] = -3.0
    table = drift(run, train)
    assert table.attention["top"] > 0.95
    tells = (table.loc["top", ["variety", "contrast"]] > table.loc["box", ["variety", "contrast"]]).all()
    expected = "with the other +1.00." if tells else "drifted"
    assert "Light top has the most attention" in sentence(table) and expected in sentence(table)


def test_the_sentence_tells_even_from_drifted_attention():
    def told(attention: list[float], variety: list[float], contrast: list[float]) -> str:
        columns = {"attention": attention, "variety": variety, "contrast": contrast}
        return sentence(pd.DataFrame(columns, index=["a", "b", "c"]))

    assert told([0.34, 0.33, 0.33], [1, 2, 3], [1, 2, 3]).startswith("Attention is almost even")
    assert told([0.6, 0.3, 0.1], [1, 2, 3], [3, 2, 1]).endswith("drifted to lights that are easy to regress.")
    assert told([0.6, 0.3, 0.1], [3, 2, 1], [1, 2, 3]).endswith("drifted to lights that show little.")
    assert told([0.6, 0.3, 0.1], [3, 2, 1], [9, 5, 4]).endswith("with the other +1.00.")


def test_only_attention_over_features_can_drift(tiny_runs: Path, candies: Path):
    run = afrd.load_run(tiny_runs / "Praline" / "afrd")
    with pytest.raises(ValueError, match="only attention over features can drift"):
        drift(run, afrd.open_dataset(candies, "Praline")["train"])
