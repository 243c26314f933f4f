"""Sets of lights, and the command that says which are needed."""

from __future__ import annotations

import json
import shutil
from itertools import permutations
from math import factorial
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import ShapleyValues
from hypothesis import given, settings
from hypothesis import strategies as st

import afrd
from afrd.analysis.explain.shapley import shapley
from afrd.analysis.lights.advisor import advise
from afrd.analysis.lights.search import orders, prefixes, search
from afrd.analysis.lights.survey import load_survey, survey
from afrd.candies.render import render_category
from afrd.cli.commands import main
from afrd.metrics.ranking import image_metrics
from afrd.metrics.words import METRICS

SIX = ("spots", "bottom", "right", "top", "left", "box")


# ---------------------------------------------------------------- sets and Shapley values


def by_permutations(values: np.ndarray, lights: int) -> np.ndarray:
    """Shapley's definition: what a light adds when it comes, averaged over all orders; float64, no cleverness."""
    total = np.zeros(lights, dtype=np.float64)
    for order in permutations(range(lights)):
        there = 0
        for light in order:
            total[light] += values[there | 1 << light] - values[there]
            there |= 1 << light
    return total / factorial(lights)


@pytest.mark.parametrize("lights", [1, 2, 5, 6])
def test_shapley_values_are_the_mean_over_all_orders(lights: int):
    values = np.random.default_rng(lights).normal(size=2**lights)
    found = shapley(values)
    assert found == pytest.approx(by_permutations(values, lights), abs=1e-12)
    assert found.sum() == pytest.approx(values[-1] - values[0], abs=1e-12)


def test_shapley_values_are_those_of_captum():
    values = torch.from_numpy(np.random.default_rng(0).normal(size=16))
    forward = lambda there: values[(there * torch.tensor([1, 2, 4, 8])).sum(1).long()]  # noqa: E731
    expected = ShapleyValues(forward).attribute(torch.ones(1, 4))[0]
    assert shapley(values.numpy()) == pytest.approx(expected.numpy(), abs=1e-6)


def test_shapley_values_need_the_values_of_all_sets():
    with pytest.raises(ValueError, match="6 values are not those of all sets"):
        shapley(np.zeros(6))


@given(st.lists(st.floats(-9, 9), min_size=8, max_size=8), st.floats(-9, 9))
@settings(max_examples=40, deadline=None)
def test_a_light_that_adds_nothing_is_worth_nothing_and_a_worth_of_its_own_is_kept(values, own):
    three = np.array(values)
    with_fourth = np.concatenate([three, three + own])  # a fourth light that adds `own` to every set
    assert shapley(with_fourth) == pytest.approx([*shapley(three), own], abs=1e-9)


# ---------------------------------------------------------------- the search


def test_a_search_finds_what_looking_at_everything_finds():
    random = np.random.default_rng(3)
    worth = random.random(7)
    pairs = random.normal(0, 0.3, (7, 7))

    def quality(sets):
        bits = np.array([[s >> k & 1 for k in range(7)] for s in sets])
        return (bits @ worth - 0.4 * bits.sum(1) + np.einsum("si,ij,sj->s", bits, np.triu(pairs, 1), bits)).tolist()

    asked: list[int] = []
    found = search(7, lambda sets: asked.extend(sets) or quality(sets))
    everything = dict(zip(range(1, 128), quality(range(1, 128)), strict=True))
    assert len(asked) == len(set(asked)) == len(found) < 127
    assert all(found[s] == pytest.approx(everything[s]) for s in found)
    for size in range(1, 8):
        best = max(value for s, value in everything.items() if s.bit_count() == size)
        assert max(value for s, value in found.items() if s.bit_count() == size) == pytest.approx(best)
    assert {1 << k for k in range(7)} | {127 ^ 1 << k for k in range(7)} | {127} <= set(found)


def test_orders_come_with_their_reverse_and_grow_to_all():
    some = orders(5, 6)
    assert len(some) == 6 and some[1] == some[0][::-1]
    assert prefixes([2, 0, 1]) == [4, 5, 7]


# ---------------------------------------------------------------- on a run


@pytest.fixture(scope="module")
def run_and_test(candies: Path, tiny_runs: Path, tmp_path_factory: pytest.TempPathFactory):
    folder = shutil.copytree(tiny_runs / "Praline" / "afrd", tmp_path_factory.mktemp("lights") / "afrd")
    return afrd.load_run(folder, "cpu"), afrd.open_dataset(candies, "Praline")["test_public"]


def test_every_set_has_the_metrics_that_evaluation_gives_it(run_and_test):
    run, dataset = run_and_test
    steps: list[tuple[str, int, int]] = []
    found = survey(run, dataset, report=lambda *step: steps.append(step), repeats=20)
    assert len(found) == 63 and found.lights == SIX and found.searched == 0
    assert steps[-1] == ("sets of lights judged", 63, 63)
    for lights in (("top",), ("spots", "box"), SIX):
        row = found.row(lights)
        judged = run.evaluate(dataset, lights)
        assert found.named(row) == lights
        assert found.metrics[row] == pytest.approx(list(judged.metrics().values()), abs=1e-4)
        assert found.scores[row] == pytest.approx(judged.table.score.to_numpy(), rel=1e-5)
        assert found.thresholds[row] == pytest.approx(judged.threshold.value, rel=1e-5)
        table = found.table().iloc[row]
        assert table.lights == ", ".join(lights)
        assert table.missed == ((judged.table.verdict == "good") & (judged.table.anomalous == True)).sum()  # noqa: E712
    with pytest.raises(ValueError, match="dome were not looked at together"):
        found.row(["dome"])
    with pytest.raises(ValueError, match=r"\(none\)"):
        found.row([])


def test_draws_are_metrics_of_the_drawn_samples(run_and_test):
    run, dataset = run_and_test
    found = survey(run, dataset, repeats=20)
    row = found.row(("top", "box"))
    judged = run.evaluate(dataset, ("top", "box"))
    for r in range(5):
        again = np.repeat(np.arange(4), found.counts[r].sum(0).astype(int))
        expected = image_metrics(found.anomalous[again], judged.table.score.to_numpy()[again])
        assert found.draws[row, r, :3] == pytest.approx(list(expected.values()), abs=1e-6)


def test_the_second_look_reads_what_the_first_one_kept(run_and_test, monkeypatch):
    run, dataset = run_and_test
    first = survey(run, dataset, repeats=20)
    monkeypatch.setattr("afrd.analysis.lights.survey.SubsetEvaluation", None)  # nothing is looked at again
    second = survey(run, dataset, repeats=20)
    for name in ("members", "metrics", "scores", "thresholds", "anomalous", "counts", "empty"):
        assert np.array_equal(getattr(first, name), getattr(second, name), equal_nan=True)
    assert np.allclose(first.draws, second.draws, equal_nan=True)
    assert (second.names, second.defects, second.lights) == (first.names, first.defects, first.lights)


def test_what_was_kept_counts_only_for_the_same_weights_pictures_and_masks(run_and_test, candies, tmp_path: Path):
    run, dataset = run_and_test
    survey(run, dataset, repeats=5)
    shutil.copytree(candies / "Praline", tmp_path / "Praline")  # times are kept: the data set has only moved
    moved = afrd.open_dataset(tmp_path, "Praline")["test_public"]
    assert load_survey(run, moved) is not None
    mask = next(path for path in (tmp_path / "Praline" / "test_public" / "data").glob("01_*_mask.png"))
    picture = tmp_path / "Praline" / "test_public" / "data" / "00_image_3.png"
    for file, content in ((picture, picture.read_bytes()), (mask, None)):
        before = file.read_bytes()
        if content is None:
            from PIL import Image

            Image.new("L", (64, 64), 255).save(file)
        else:
            file.write_bytes(content)  # another time
        assert load_survey(run, afrd.open_dataset(tmp_path, "Praline")["test_public"]) is None
        file.write_bytes(before)
    folder = shutil.copytree(run.folder, tmp_path / "other")
    other = afrd.load_run(folder, "cpu")
    assert load_survey(other, dataset) is not None
    (folder / "calibration.safetensors").write_bytes((folder / "calibration.safetensors").read_bytes() + b" ")
    assert load_survey(other, dataset) is None
    (folder / "lights" / "test_public.safetensors").write_bytes(b"{")
    assert load_survey(other, dataset) is None


def test_cancelled_work_leaves_nothing(run_and_test, tmp_path: Path):
    run, dataset = run_and_test
    folder = shutil.copytree(run.folder, tmp_path / "run", ignore=shutil.ignore_patterns("lights"))

    def stop(what: str, done: int, total: int) -> None:
        if done == 9 and what == "sets of lights judged":
            raise InterruptedError

    with pytest.raises(InterruptedError):
        survey(afrd.load_run(folder, "cpu"), dataset, report=stop, repeats=5)
    assert not (folder / "lights").exists()


def test_too_many_lights_are_searched_and_it_says_so(run_and_test, tmp_path: Path, monkeypatch):
    run, dataset = run_and_test
    whole = survey(run, dataset, repeats=20)
    folder = shutil.copytree(run.folder, tmp_path / "run", ignore=shutil.ignore_patterns("lights"))
    monkeypatch.setattr("afrd.analysis.lights.survey.MAX_EXACT_LIGHTS", 5)
    found = survey(afrd.load_run(folder, "cpu"), dataset, "aupro", repeats=20)
    assert 0 < found.searched <= 63 and len(found) <= found.searched
    m = METRICS.index("aupro")
    for size in (1, 5, 6):  # of these sizes all are looked at
        of_size = found.members.sum(1) == size
        assert found.metrics[of_size, m].max() == pytest.approx(whole.metrics[whole.members.sum(1) == size, m].max())
    worth = found.shapley("aupro")
    assert worth.value.sum() == pytest.approx(found.metrics[found.whole, m] - found.empty[m])
    exact = whole.shapley("aupro").value
    assert np.abs(worth.value - exact).max() < 0.1
    assert f"{found.searched} were evaluated, by a forward and a backward search" in advise(found, "aupro").text
    assert load_survey(afrd.load_run(folder, "cpu"), dataset, "image_auroc") is None  # another search


def test_fused_features_are_looked_at_again_for_each_set(candies: Path, tmp_path: Path):
    data = afrd.open_dataset(candies, "Praline")
    run = afrd.fit(
        data, "top,left,box", tmp_path / "run", target="fused", size=64, width=16, epochs=1, show_progress=False
    )
    found = survey(run, data["test_public"], repeats=5)
    assert len(found) == 7
    for lights in (("left",), ("top", "box")):
        expected = run.evaluate(data["test_public"], lights)
        assert found.scores[found.row(lights)] == pytest.approx(expected.table.score.to_numpy(), rel=1e-5)


# ---------------------------------------------------------------- the command


def command(capsys, *argv: object) -> tuple[int, str, str]:
    code = main([str(part) for part in argv])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_says_which_lights_are_needed(capsys, run_and_test, tmp_path: Path):
    run, _ = run_and_test
    file, page = tmp_path / "lights.json", tmp_path / "lights.html"
    argv = ("lights", run.folder, "--json", file, "--report", page, "--cost", "box=3,top=2", "--unit", "ms")
    code, out, _ = command(capsys, *argv)
    assert code == 0 and "all 63 sets of lights" in out and "rank correlation" in out
    content = json.loads(file.read_text())
    assert list(content) == ["subsets", "shapley", "smallest_rig", "advice"]
    assert len(content["subsets"]) == 63
    assert all(list(one) == ["lights", *METRICS] for one in content["subsets"])
    whole = next(one for one in content["subsets"] if one["lights"] == list(SIX))
    assert sum(content["shapley"].values()) == pytest.approx(whole["image_auroc"] - 0.5)
    assert list(content["shapley"]) == list(SIX)
    assert content["smallest_rig"] == list(SIX)  # four samples tell nothing
    assert content["advice"].startswith("It cannot be told which lights are needed: 2 good and 2 anomalous samples")
    assert content["advice"].split(". ")[0] in out and "cost" in out
    assert "It cannot be told which lights" in page.read_text()
    code, out, _ = command(capsys, "lights", run.folder, "--metric", "aupro", "--delta", 0.2)
    assert code == 0 and "AUPRO" in out


def test_two_samples_get_a_whole_report_without_a_correlation_of_lights(capsys, run_and_test, tmp_path: Path):
    run, _ = run_and_test
    render_category(
        tmp_path / "two", "Praline", size=64, train=1, val=1, test_good=1, test_bad=1, twins=False, workers=1
    )
    file, page = tmp_path / "lights.json", tmp_path / "lights.html"
    argv = ("lights", run.folder, "--data", tmp_path / "two", "--json", file, "--report", page)
    code, out, err = command(capsys, *argv)
    assert code == 0, err
    assert "no rank correlation of the lights' own scores: 2 samples are too few; 3 are needed" in out
    advice = json.loads(file.read_text())["advice"]
    assert advice.split(". ")[0] in out and page.stat().st_size > 0


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("{run}", "--cost", "dome=2"), "light 'dome' has a cost but is not in this run"),
        (("{run}", "--cost", "top"), "--cost 'top' is not LIGHT=NUMBER"),
        (("{run}", "--cost", "top=much"), "--cost 'top=much' is not LIGHT=NUMBER"),
        (("{run}", "--cost", "top=1,top=2"), "light 'top' has two costs, 1 and 2"),
        (("{run}", "--metric", "f1"), "metric 'f1' is not known; choose one of image_auroc"),
        (("{run}", "--delta", "0"), "delta is 0;"),
        (("{run}", "--split", "train"), "Praline/train has 0 anomalous and 6 good samples"),
        (("{single}",), "knows one light only (top)"),
        (("{tmp}",), "is not a run folder"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(capsys, run_and_test, tiny_runs: Path, tmp_path: Path, argv, said: str):
    names = {"run": run_and_test[0].folder, "single": tiny_runs / "Praline" / "single-top", "tmp": tmp_path}
    code, out, err = command(capsys, "lights", *(part.format(**names) for part in argv))
    assert code == 2 and said in err and err.count("\n") == 1 and not out
