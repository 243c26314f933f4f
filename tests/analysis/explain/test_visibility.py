"""Evidence against truth, on cases small enough to be worked out by hand."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

import afrd
from afrd.analysis.explain.visibility import KINDS, Attribution, _rows, evidence_inside, measure, visibility
from afrd.cli.commands import main
from afrd.data.dataset import Sample
from afrd.runs.run import Prediction

LIGHTS = ("top", "left", "box")


def part(grey: list[float], defects: tuple[str, ...] = ("dents",)) -> Sample:
    """Pictures of 4x4, under each light evenly grey in the masked upper half and black below."""
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[:2] = True
    images = torch.tensor(grey).reshape(-1, 1, 1, 1) / 255 * mask.expand(len(grey), 3, 4, 4)
    return Sample("07", images, LIGHTS[: len(grey)], True, defects, mask)


def judged(truth: list[float], evidence: list[float]) -> dict:
    values = {"attention": np.array(evidence)}
    (row,) = _rows(part([0.0] * len(truth)), np.array(truth), values)
    return row


def test_visibility_is_the_mean_difference_inside_the_mask_in_grey_levels():
    sample, twin = part([100, 50, 10]), part([90, 80, 10])
    assert visibility(sample, twin) == pytest.approx([10, 30, 0], abs=1e-4)
    assert visibility(twin, sample) == pytest.approx([10, 30, 0], abs=1e-4)  # whichever is the brighter
    twin.images[0, 1, 0, 0] += 24 / 255  # one of 3 channels, one of 8 pixels: |100 - 114| = 14 there instead of 10
    assert visibility(sample, twin) == pytest.approx([10 + 4 / 24, 30, 0], abs=1e-4)
    twin.images[:, :, 3] = 1.0  # below the mask
    assert visibility(sample, twin) == pytest.approx([10 + 4 / 24, 30, 0], abs=1e-4)


def test_visibility_refuses_what_cannot_be_compared():
    sample = part([1, 2, 3])
    with pytest.raises(ValueError, match=r"its twin 07 \(lights top, left, \(4, 4\) pixels\) differ"):
        visibility(sample, sample.select(["top", "left"]))
    with pytest.raises(ValueError, match="differ"):
        visibility(sample, replace(sample, images=sample.images[..., :2]))
    for mask in (None, torch.zeros(4, 4, dtype=torch.bool)):
        with pytest.raises(ValueError, match="sample 07 has no mask of a defect"):
            visibility(replace(sample, mask=mask), sample)


def test_evidence_is_pooled_inside_the_mask_only():
    error = np.array([[[2.0, 4.0, 90.0]], [[3.0, 1.0, 0.0]]])
    attention = np.array([[[0.25, 0.75, 0.0]], [[0.75, 0.25, 1.0]]])
    seen = Prediction((error * attention).sum(0), error, attention, 0.0, LIGHTS[:2], None)
    sample = Sample("07", torch.rand(2, 3, 1, 3), LIGHTS[:2], True, ("dents",), torch.tensor([[True, True, False]]))
    found = evidence_inside(sample, seen)
    assert tuple(found) == KINDS[:-1]
    assert found["attention"].tolist() == [0.5, 0.5]
    assert found["error"].tolist() == [3, 2]
    assert found["product"].tolist() == [1.75, 1.25]


@pytest.mark.parametrize(
    ("truth", "evidence", "hit", "chance"),
    [
        ([10, 20, 5], [1, 3, 2], 1, 1 / 3),  # the best light
        ([10, 20, 5], [3, 1, 2], 0, 1 / 3),
        ([18, 20, 5], [3, 1, 2], 1, 2 / 3),  # within 10 % of the best one
        ([17.9, 20, 5], [3, 1, 2], 0, 1 / 3),
        ([5, 5, 5], [3, 1, 2], 1, 1.0),
        ([1, 5, 0], [3, 1, 2], 0, 1 / 3),  # just visible
        ([1, 4.9, 0], [1, 3, 2], math.nan, math.nan),  # under no light
        ([10, 20, 5], [2, 2, 2], math.nan, math.nan),  # no light was chosen
    ],
)
def test_a_hit_is_the_best_light_or_one_within_ten_percent(truth, evidence, hit, chance):
    row = judged(truth, evidence)
    assert row["hit"] == pytest.approx(hit, nan_ok=True)
    assert row["chance"] == pytest.approx(chance, nan_ok=True)
    expected = math.nan if math.isnan(hit) else truth[int(np.argmax(evidence))] / max(truth)
    assert row["shown"] == pytest.approx(expected, nan_ok=True)
    assert row["visible"] == (max(truth) >= 5)
    assert row["best_light"] == LIGHTS[int(np.argmax(truth))]
    assert row["chosen_light"] == ("" if len(set(evidence)) == 1 else LIGHTS[int(np.argmax(evidence))])


def test_ranks_are_correlated_where_there_is_something_to_rank():
    assert judged([1, 2, 3], [10, 20, 30])["spearman"] == pytest.approx(1)  # faint defects count too
    assert judged([10, 20, 30], [3, 2, 1])["spearman"] == pytest.approx(-1)
    assert judged([10, 20, 30], [1, 3, 2])["spearman"] == pytest.approx(0.5)  # 1 - 6 * 2 / (3 * 8)
    assert math.isnan(judged([10, 20], [1, 2])["spearman"])
    assert math.isnan(judged([10, 10, 10], [1, 2, 3])["spearman"])
    assert math.isnan(judged([10, 20, 30], [0.1 + 0.2, 0.3, 0.3])["spearman"])  # the same but for rounding


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=3, max_size=3))
def test_spearman_is_scipys_and_a_blind_choice_hits_as_often_as_chance_says(pairs):
    truth, evidence = (list(map(float, side)) for side in zip(*pairs, strict=True))
    row = judged(truth, evidence)
    if len(set(truth)) > 1 and len(set(evidence)) > 1:
        assert row["spearman"] == pytest.approx(spearmanr(truth, evidence).statistic)
    if row["visible"]:
        blind = [judged(truth, [float(light == chosen) for light in range(3)])["hit"] for chosen in range(3)]
        assert np.mean(blind) == pytest.approx(judged(truth, [1.0, 2.0, 3.0])["chance"])


def made_up(hits: list[float], defects: list[str]) -> Attribution:
    rows = [
        {
            "sample": str(i),
            "kind": kind,
            "defects": types,
            "spearman": 0.5,
            "hit": hit,
            "shown": hit,
            "chance": 0.25 + 0 * hit,
        }
        for i, (hit, types) in enumerate(zip(hits, defects, strict=True))
        for kind in KINDS
    ]
    return Attribution(pd.DataFrame(rows))


def test_the_summary_averages_over_all_and_over_each_defect_type():
    found = made_up([1, 0, 1, math.nan], ["dents", "dents", "bumps+dents", "bumps"]).summary()
    assert list(found.index) == ["all", "bumps", "dents"]
    for kind in KINDS:
        table = found[kind]
        assert table.hit.tolist() == table.shown.tolist() == pytest.approx([2 / 3, 1, 2 / 3])
        assert table.n.tolist() == [3, 1, 3] and table.ranked.tolist() == [4, 2, 3]
        assert (table.chance == 0.25).all() and (table.spearman == 0.5).all()
        assert 0 <= table.low["all"] < 2 / 3 < table.high["all"] <= 1
        assert table.low[1:].isna().all()


def test_the_interval_is_that_of_the_binomial_law():
    hits = [1.0] * 30 + [0.0] * 20
    found = made_up(hits, ["dents"] * 50).summary(repeats=20_000)["attention"].loc["all"]
    drawn = np.quantile(np.random.default_rng(1).binomial(50, 0.6, 200_000) / 50, [0.025, 0.975])
    assert [found.low, found.high] == pytest.approx(drawn, abs=0.021)  # one sample of 50


def test_without_a_visible_defect_the_summary_says_nothing():
    found = made_up([math.nan] * 2, ["dents"] * 2).summary()["error"].loc["all"]
    assert found.n == 0 and found[["hit", "shown", "chance", "low", "high"]].isna().all()


def test_measuring_pairs_samples_and_twins_by_number(candies: Path, tiny_runs: Path, tmp_path: Path):
    run, data = afrd.load_run(tiny_runs / "Praline" / "afrd"), afrd.open_dataset(candies, "Praline")
    steps = []
    found = measure(run, data, lambda *step: steps.append(step)).samples
    test, bad = data["test_public"], [i for i, label in enumerate(data["test_public"].anomalous) if label]
    assert steps == [(1, 2), (2, 2)] and len(found) == 2 * len(KINDS)
    assert list(dict.fromkeys(found["sample"])) == [test.names[i] for i in bad]
    for i, (_, rows) in zip(bad, found.groupby("sample", sort=False), strict=True):
        twin = next(t for t in data["twins"] if int(t.name) == int(test.names[i]))
        mask = test[i].mask.numpy()
        truth = 255 * np.abs(test[i].images.numpy() - twin.images.numpy())[:, :, mask].mean((1, 2))
        seen = run.predict(test[i])
        errors = [seen.light_maps[k][mask].max() for k in range(6)]
        row = rows[rows.kind == "error"].iloc[0]
        assert row.spearman == pytest.approx(spearmanr(truth, errors).statistic)
        assert (rows.best_light == run.lights[truth.argmax()]).all()
        assert row.chosen_light == run.lights[int(np.argmax(errors))]
    two = measure(run, data, lights="left,box").samples
    assert set(two.best_light) <= {"left", "box"} and two.spearman.isna().all()

    shutil.copytree(candies / "Praline", tmp_path / "Praline")
    for file in (tmp_path / "Praline" / "twins" / "data").iterdir():
        number, item = file.name.split("_", 1)
        file.rename(file.with_name(f"0{number}_{item}"))  # padded otherwise
    pd.testing.assert_frame_equal(measure(run, afrd.open_dataset(tmp_path, "Praline")).samples, found)


def test_one_error_for_all_lights_ranks_none_but_attention_does(candies: Path, tmp_path: Path):
    data = afrd.open_dataset(candies, "Praline")
    run = afrd.fit(data, "all", tmp_path, target="fused", size=64, width=16, epochs=1, show_progress=False)
    found = measure(run, data)
    errors = found.samples[found.samples.kind == "error"]
    assert errors[["spearman", "hit", "chance"]].isna().all(axis=None) and (errors.chosen_light == "").all()
    assert found.summary().loc["all", ("error", "n")] == 0
    assert found.samples[found.samples.kind == "attention"].spearman.notna().all()


def command(capsys, *argv: object) -> tuple[int, str, str]:
    code = main([str(a) for a in argv])
    return code, *capsys.readouterr()


def test_the_command_prints_the_table_and_writes_it(capsys, candies: Path, tiny_runs: Path, tmp_path: Path):
    folder, file = tiny_runs / "Praline" / "afrd", tmp_path / "table.json"
    code, out, _ = command(capsys, "evaluate", folder, "--attribution", "--json", file)
    assert code == 0 and out.index("image_auroc") < out.index("attribution; test_public: 2 samples with twins")
    content = json.loads(file.read_text())
    found = measure(afrd.load_run(folder), afrd.open_dataset(candies, "Praline")).summary()
    assert "image_auroc" in content and tuple(content["attribution"]) == KINDS
    for kind in KINDS:
        assert list(content["attribution"][kind]) == list(found.index)
        for name, value in content["attribution"][kind]["all"].items():
            assert value == (None if np.isnan(found.loc["all", (kind, name)]) else found.loc["all", (kind, name)])
    command(capsys, "evaluate", folder, "--json", file)
    assert "attribution" not in json.loads(file.read_text())


def test_what_cannot_be_measured_is_answered_in_one_sentence(capsys, candies: Path, tiny_runs: Path, tmp_path: Path):
    run = tiny_runs / "Praline" / "afrd"
    shutil.copytree(candies / "Praline", tmp_path / "Praline")
    twins = tmp_path / "Praline" / "twins" / "data"

    def refusal(*argv: object) -> str:
        code, out, err = command(capsys, "evaluate", *argv, "--attribution")
        assert code == 2 and not out and err.count("\n") == 1
        return err

    assert "here is one only (top)" in refusal(tiny_runs / "Praline" / "single-top")
    assert "here is one only (box)" in refusal(run, "--lights", "box")
    for file in twins.iterdir():
        number, item = file.name.split("_", 1)
        file.rename(file.with_name(f"{int(number) + 500}_{item}"))
    assert "none of the 2 twins of Praline belongs to a defective sample of test_public" in refusal(
        run, "--data", tmp_path
    )
    shutil.rmtree(twins)
    assert "Praline has no split 'twins'" in refusal(run, "--data", tmp_path)
