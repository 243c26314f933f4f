"""What follows from the sets of lights, on made-up rigs of which all is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from afrd.analysis.explain.shapley import coalitions
from afrd.analysis.lights.advisor import advise, checked_costs
from afrd.analysis.lights.subsets import drawn_halves
from afrd.analysis.lights.survey import Survey, redundancy
from afrd.analysis.reports.lights import report
from afrd.metrics.bootstrap import drawn_image_auroc
from afrd.metrics.ranking import image_metrics
from afrd.metrics.words import METRICS


def made_up(
    shown: dict[str, tuple[str, ...]],
    good: int = 40,
    bad: dict[str, int] | None = None,
    strength: float = 8.0,
    noise: float = 1.0,
    seed: int = 0,
) -> Survey:
    """A survey of a rig whose lights show these defect types; the score of a set is the largest of its lights'."""
    bad = bad or {kind: 20 for kinds in shown.values() for kind in kinds}
    random = np.random.default_rng(seed)
    kinds = [""] * good + [kind for kind, count in bad.items() for _ in range(count)]
    lights = tuple(shown)
    own = random.normal(0, noise, (len(kinds), len(lights)))
    for n, kind in enumerate(kinds):
        own[n] += [strength * (kind in shown[light]) for light in lights]
    return of_scores(lights, own, kinds)


def of_scores(lights: tuple[str, ...], own: np.ndarray, kinds: list[str], repeats: int = 200) -> Survey:
    anomalous = np.array([bool(kind) for kind in kinds])
    members = coalitions(len(lights))[1:]
    members = members[np.argsort(members.sum(1), kind="stable")]
    scores = np.array([own[:, row].max(1) for row in members])
    counts = drawn_halves(anomalous, kinds, repeats)
    metrics = np.full((len(members), len(METRICS)), np.nan)
    metrics[:, :3] = [list(image_metrics(anomalous, one).values()) for one in scores]
    draws = np.full((len(members), repeats, len(METRICS)), np.nan)
    halves = np.full((len(members), repeats, 2, len(METRICS)), np.nan)
    draws[..., 0] = drawn_image_auroc(scores, anomalous, ~anomalous, counts.sum(1))
    for half in (0, 1):
        halves[:, :, half, 0] = drawn_image_auroc(scores, anomalous, ~anomalous, counts[:, half])
    return Survey(
        category="Made up",
        split="test",
        method="maximum",
        lights=lights,
        members=members,
        metrics=metrics,
        scores=scores,
        thresholds=np.full(len(members), 3.5),
        names=tuple(f"{n:02d}" for n in range(len(kinds))),
        anomalous=anomalous,
        defects=tuple(kinds),
        counts=counts,
        draws=draws,
        halves=halves,
        empty=np.full(len(METRICS), 0.5),
        searched=0,
        walks=np.empty((0, len(lights), len(METRICS))),
    )


def test_halves_have_their_share_of_every_kind_and_no_sample_in_common():
    kinds = [""] * 11 + ["dents"] * 6 + ["bumps"] * 5
    counts = drawn_halves(np.array([bool(kind) for kind in kinds]), kinds, 50)
    assert not (counts[:, 0].astype(bool) & counts[:, 1].astype(bool)).any()
    assert set(counts[:, :, :11].sum(2).ravel()) == {5, 6} and (counts[:, :, :11].sum((1, 2)) == 11).all()
    assert (counts[:, :, 11:].sum((1, 2)) == 11).all()
    assert (counts == drawn_halves(np.array([bool(kind) for kind in kinds]), kinds, 50)).all()


def test_aurocs_of_draws_are_those_of_samples_written_out():
    random = np.random.default_rng(0)
    scores = random.integers(0, 5, (3, 12)).astype(float)
    bad = np.arange(12) < 5
    counts = random.integers(0, 3, (4, 12))
    found = drawn_image_auroc(scores, bad, ~bad, counts)
    for k in range(3):
        for r in range(4):
            again = np.repeat(np.arange(12), counts[r])
            expected = image_metrics(bad[again], scores[k][again])["image_auroc"]
            assert found[k, r] == pytest.approx(expected, abs=1e-6)
    assert np.isnan(drawn_image_auroc(scores, bad, ~bad, np.zeros((1, 12)))).all()


def test_the_smallest_rig_leaves_out_the_lights_that_show_nothing_of_their_own():
    found = made_up({"top": ("dents",), "box": ("stains",), "spare": (), "twin": ("dents", "stains")}, strength=12)
    advice = advise(found)
    assert advice.enough and advice.smallest_rig == ("twin",)
    assert "1 of the 4 lights is enough: twin." in advice.sentence and "At 95 % confidence" in advice.sentence
    assert advice.lights.verdict["spare"] == "dispensable"
    assert "Left out alone, spare costs least" in advice.text
    assert "fewer than 7 % of the anomalous parts" in advice.text  # 1 - 0.05^(1/40)


def test_what_else_the_smaller_rig_changes_is_said():
    found = made_up({"top": ("dents",), "twin": ("dents",), "spare": ()}, strength=12)
    pixel_ap = METRICS.index("pixel_ap")
    size = found.members.sum(1)
    found.metrics[:, pixel_ap], found.draws[..., pixel_ap] = size / 10, size[:, None] / 10
    advice = advise(found)
    assert len(advice.smallest_rig) == 1
    assert "pixel AP of this rig, by which it was not chosen, falls: -0.200 [-0.200, -0.200]" in advice.text
    assert "of the choices were exactly this set" in advice.sentence


def test_a_light_is_needed_where_it_alone_shows_a_defect_type():
    found = made_up({"top": ("dents",), "box": ("stains",), "spare": ()}, strength=12)
    advice = advise(found)
    assert set(advice.smallest_rig) == {"top", "box"}
    assert advice.lights.verdict[["top", "box"]].tolist() == ["needed", "needed"]
    assert advice.defects.lost_without["dents"] == ["top"] and advice.defects.verdict["dents"] == "kept"
    assert "Without top you lose dents: their image AUROC falls from 1.00 to 0." in advice.text
    all_needed = advise(made_up({"top": ("dents",), "box": ("stains",)}, strength=12))
    assert not all_needed.enough and all_needed.smallest_rig == ("top", "box")
    assert all_needed.sentence.startswith("All 2 lights are needed")


def test_with_few_samples_it_says_that_it_cannot_tell():
    shown = {"top": ("dents",), "box": ("dents",), "spare": ("dents",)}
    few = advise(made_up(shown, good=5, bad={"dents": 30}))
    assert not few.enough and few.smallest_rig == ("top", "box", "spare")
    assert few.sentence.startswith(
        "It cannot be told which lights are needed: 5 good and 30 anomalous samples are too few"
    )
    noisy = advise(made_up(shown, good=12, bad={"dents": 12}, strength=1.5), delta=0.01)
    assert not noisy.enough and noisy.sentence.startswith("It cannot be told from 12 good and 12 anomalous samples")
    one_of_them = advise(made_up({"top": ("dents", "rare"), "box": ("dents",)}, bad={"dents": 40, "rare": 3}))
    assert one_of_them.defects.verdict["rare"] == "cannot tell"
    assert one_of_them.defects.lost_without["rare"] == []


def test_costs_change_what_is_cheapest():
    found = made_up({"dear": ("dents", "stains"), "top": ("dents",), "box": ("stains",)}, strength=12)
    assert advise(found).smallest_rig == ("dear",)
    advice = advise(found, costs={"dear": 5}, unit="ms")
    assert advice.smallest_rig == ("top", "box") and "(2 of 7 ms)" in advice.sentence
    assert advice.sets.set_index("lights").cost["dear, top"] == 6
    assert advice.budgets.budget.is_monotonic_decreasing and advice.budgets.budget.iloc[0] == 6
    assert advise(found, costs={"dear": 5}).unit == "cost" and advise(found).unit == "lights"


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        ({"dome": 1.0}, "light 'dome' has a cost but is not in this run; its lights are top, box"),
        ({"top": -1.0}, "the cost of light 'top' is -1.0"),
        ({"top": float("inf")}, "the cost of light 'top' is inf"),
        ({"top": 0.0, "box": 0.0}, "all lights cost nothing"),
    ],
)
def test_costs_that_are_none_are_refused(costs, said):
    with pytest.raises(ValueError, match=said):
        checked_costs(costs, ("top", "box"))


def test_a_delta_or_a_metric_that_is_none_is_refused():
    found = made_up({"top": ("dents",), "box": ()})
    with pytest.raises(ValueError, match="delta is 0"):
        advise(found, delta=0)
    with pytest.raises(ValueError, match="metric 'f1' is not known"):
        advise(found, "f1")
    with pytest.raises(ValueError, match="pixel AP is not defined on Made up/test, which has no masks"):
        advise(found, "pixel_ap")


def test_the_front_holds_what_nothing_cheaper_equals():
    sets = advise(made_up({"top": ("dents",), "box": ("stains",), "spare": ()}, strength=3)).sets
    for row in sets.itertuples():
        beaten = ((sets.cost < row.cost) & (sets.value >= row.value)) | (
            (sets.cost <= row.cost) & (sets.value > row.value)
        )
        assert row.front == (not beaten.any()) or (sets.value == row.value).sum() > 1


def test_what_is_said_of_chosen_lights_is_not_flattered():
    """Lights without any difference: the best of many looks better than all on the samples that it was chosen on, and
    on others it does not."""
    flattered, honest = [], []
    for seed in range(12):
        random = np.random.default_rng(seed)
        kinds = [""] * 15 + ["dents"] * 15
        own = random.normal(0, 1, (30, 5)) + np.array([[1.0 * bool(kind)] for kind in kinds])
        found = of_scores(tuple("abcde"), own, kinds, repeats=60)
        advice = advise(found)
        two = advice.budgets[advice.budgets.budget == 2].iloc[0]
        flattered.append(advice.sets.value[found.row(two.lights.split(", "))] - advice.sets.value[found.whole])
        honest.append(two.change)
    assert np.mean(flattered) > np.mean(honest) + 0.03
    assert np.mean(honest) < 0.01  # fewer noisy views are no better


def test_a_rig_that_loses_just_more_than_the_tolerance_is_rarely_called_enough():
    """12 % of the defects are shown by one light only, so that leaving it out loses 0.06: beyond 0.05."""
    claims = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        kinds = [""] * 40 + ["rare" if rare else "usual" for rare in random.random(40) < 0.12]
        own = random.normal(0, 1, (80, 2))
        for n, kind in enumerate(kinds):
            own[n] += [6.0 * (kind == "usual"), 6.0 * (kind == "rare")]
        claims += advise(of_scores(("main", "helper"), own, kinds, repeats=100)).enough
    assert claims <= 6  # 5 % of 40 are 2; more than 6 would come by chance once in 200 times


def test_shapley_values_of_a_survey_sum_to_what_all_lights_add():
    found = made_up({"top": ("dents",), "box": ("stains",), "spare": ()}, strength=3)
    worth = found.shapley()
    assert worth.value.sum() == pytest.approx(found.metrics[found.whole, 0] - 0.5)
    assert (worth.low <= worth.value).all() and (worth.value <= worth.high).all()
    assert worth.value["spare"] < worth.value[["top", "box"]].min()
    assert found.shapley("pixel_ap").isna().all(axis=None)


def test_lights_that_say_the_same_stand_side_by_side():
    random = np.random.default_rng(0)
    kinds = [""] * 10 + ["dents"] * 10
    own = random.normal(size=(20, 4))
    own[:, 2] = own[:, 0] + 0.05 * random.normal(size=20)
    found = of_scores(("a", "b", "c", "d"), own, kinds, repeats=5)
    same = redundancy(found)
    assert same.table.loc["a", "c"] == pytest.approx(spearmanr(own[:, 0], own[:, 2]).statistic)
    order = list(same.table)
    assert abs(order.index("a") - order.index("c")) == 1 and list(same.table.index) == order
    bad = redundancy(found, "anomalous")
    assert bad.samples == 10 and bad.table.loc["a", "b"] == pytest.approx(spearmanr(own[10:, 0], own[10:, 1]).statistic)
    with pytest.raises(ValueError, match="samples 'odd' are not known"):
        redundancy(found, "odd")


def test_a_report_is_one_file_that_asks_for_nothing(tmp_path: Path):
    found = made_up({"<top>": ("dents",), "box": ("stains",), "spare": ()}, strength=12)
    page = report(found, advise(found))
    assert "3 lights are enough" in page and "&lt;top&gt;" in page and "Shapley value" in page
    head = page[: page.index("<script>")]
    assert "default-src 'none'" in head and "src=" not in head.replace("default-src=", "") and "href" not in head
