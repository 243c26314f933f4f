"""The error table against naive computations on small maps, and against the runs it is made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import afrd
from afrd.analysis.comparison.methods import Method, methods_of
from afrd.analysis.comparison.scores import light_scores
from afrd.analysis.errors import table as errors
from afrd.analysis.errors.notes import Note
from afrd.analysis.errors.table import ErrorTable
from afrd.analysis.errors.words import short_name
from afrd.metrics.localisation import localise

RUN, OTHER = "AFRD, attention over evidence", "single-light RD, top"


def make_table(
    scores: list[float],
    others: list[float] | None = None,
    truth: list[bool | None] | None = None,
    lights: list[list[float]] | None = None,
    peak_off: list[float] | None = None,
    threshold: float | None = 2.0,
) -> ErrorTable:
    """A table whose scores are given in its unit; bad where no truth is given."""
    count = len(scores)
    samples = pd.DataFrame(
        {
            "sample": [f"{i:02d}" for i in range(count)],
            "anomalous": pd.Series(truth or [True] * count, dtype=object),
            "defects": ["dents+colors" if (truth or [True] * count)[i] else "" for i in range(count)],
            "best_iou": np.full(count, 0.5),
            "peak_off": peak_off or [0.0] * count,
        }
    )
    table = pd.DataFrame({RUN: scores, OTHER: others or [0.0] * count})
    names = [f"light {i}" for i in range(len(lights[0]))] if lights else []
    return ErrorTable(
        samples,
        table,
        {RUN: threshold, OTHER: 3.0},
        pd.DataFrame(lights, columns=names, index=range(count)),
        tuple(np.empty(0) for _ in scores),
        np.array([0.4, 0.9, 1.0]),
        RUN,
        OTHER,
        blur=4.0,
    )


def naive_best_iou(values: np.ndarray, mask: np.ndarray) -> float:
    every = [values >= level for level in np.unique(values)]
    return max(float((mask & above).sum() / (mask | above).sum()) for above in every)


def naive_distance(values: np.ndarray, mask: np.ndarray) -> float:
    row, column = np.unravel_index(values.argmax(), values.shape)
    return min(float(np.hypot(row - i, column - j)) for i, j in np.argwhere(mask))


@given(
    arrays(np.float32, (6, 7), elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])),
    arrays(bool, (6, 7)).filter(lambda mask: mask.any()),
)
def test_localisation_agrees_with_a_search_over_all_thresholds_and_pixels(values: np.ndarray, mask: np.ndarray):
    found = localise(values, mask)
    assert found.best_iou == pytest.approx(naive_best_iou(values, mask))
    assert found.peak_off == pytest.approx(naive_distance(values, mask))
    assert found.inside.tolist() == sorted(values[mask].tolist())


def test_a_sample_without_defective_pixels_has_no_localisation():
    for mask in (None, np.zeros((4, 4), dtype=bool)):
        found = localise(np.ones((4, 4)), mask)
        assert np.isnan([found.best_iou, found.peak_off]).all() and not len(found.inside)


def test_confusion_counts_move_with_the_threshold_and_leave_unknown_truth_out():
    found = make_table([0.5, 1.2, 0.8, 1.5, 3.0], truth=[False, False, True, True, None])
    assert found.confusion(1.0) == errors.Confusion(1, 1, 1, 1, 1, 0, 3)
    assert found.confusion(0.7) == errors.Confusion(2, 0, 1, 1, 1, 2, 3)
    assert found.confusion(1.5) == errors.Confusion(0, 2, 0, 2, 1, 0, 3)
    assert found.outcome(1.0) == ["right", "false alarm", "missed", "right", "anomalous"]


def test_another_method_is_held_to_the_same_multiple_of_its_own_threshold():
    found = make_table([1.1, 0.9], [1.3, 0.7])
    assert found.outcome(1.2) == ["missed", "missed"]
    assert found.outcome(1.2, OTHER) == ["right", "missed"]
    confusion = found.confusion(1.2, OTHER)
    assert confusion is not None and (confusion.detected, confusion.missed, confusion.calibration) == (1, 1, 0)


@given(
    st.lists(
        st.tuples(st.floats(0, 2), st.floats(0, 2), st.sampled_from([True, False, None]), st.floats(0, 9)), min_size=1
    ),
    st.floats(0.1, 2),
)
def test_questions_are_answered_as_somebody_would_by_hand(rows: list[tuple], at: float):
    scores, others, truth, off = (list(column) for column in zip(*rows, strict=True))
    found = make_table(scores, others, truth, peak_off=off)
    every = range(len(rows))
    right = [truth[i] is not None and (scores[i] > at) == truth[i] for i in every]
    other_right = [truth[i] is not None and (others[i] > at) == truth[i] for i in every]
    expected = {
        "all": list(every),
        "missed": [i for i in every if truth[i] is True and scores[i] <= at],
        "false_alarms": [i for i in every if truth[i] is False and scores[i] > at],
        "only_run_right": [i for i in every if truth[i] is not None and right[i] and not other_right[i]],
        "only_other_right": [i for i in every if truth[i] is not None and other_right[i] and not right[i]],
        "wrong_place": [i for i in every if truth[i] is True and scores[i] > at and off[i] > 4],
    }
    keys = {
        "missed": lambda i: scores[i],
        "false_alarms": lambda i: -scores[i],
        "only_run_right": lambda i: -abs(scores[i] - others[i]),
        "only_other_right": lambda i: -abs(scores[i] - others[i]),
        "wrong_place": lambda i: -off[i],
    }
    for question, samples in expected.items():
        answer = found.answer(question, at)
        assert sorted(answer) == samples
        if question in keys:
            assert [keys[question](i) for i in answer] == sorted(keys[question](i) for i in samples)


def test_lights_disagree_where_some_alone_would_raise_an_alarm_and_others_not():
    found = make_table([1, 1, 1], lights=[[0.5, 1.5, 0.9], [0.2, 0.3, 0.1], [1.1, 3.0, 0.8]])
    assert found.disagreement == pytest.approx([1.0, 0.2, 2.2])
    assert found.lights_above() == [("light 1",), (), ("light 0", "light 1")]
    assert found.answer("lights_disagree") == [2, 0]
    assert found.answer("lights_disagree", at=0.85) == [2, 0]  # light 2 of sample 0 joins
    assert found.answer("lights_disagree", at=0.25) == [1]


def test_an_unknown_question_or_method_is_one_sentence():
    found = make_table([1.0])
    with pytest.raises(ValueError, match="there is no question 'why'; there are all, missed"):
        found.answer("why")
    with pytest.raises(ValueError, match="method 'x' is not in the table; it has AFRD"):
        found.against("x")


def test_without_a_threshold_scores_are_raw_and_one_is_set_by_hand():
    found = make_table([0.3, 0.9, 1.0, 1.4], [2.0] * 4, truth=[False, False, True, True], threshold=None)
    assert found.column_names()[RUN] == "AFRD attention (raw)"
    assert found.first_threshold == pytest.approx(0.95)
    assert found.outcome(found.first_threshold) == ["right"] * 4
    assert found.outcome(0.5, OTHER) == ["false alarm", "false alarm", "right", "right"]  # held to its own, not to 0.5
    assert found.outcome(None) == [""] * 4 and found.confusion(None) is None
    assert found.answer("missed", None) == [] and np.isnan(found.defect_found(None)).all()
    assert make_table([1.0], truth=[None], threshold=None).first_threshold is None


def test_the_first_threshold_without_a_run_s_own_has_the_best_f1():
    generator = np.random.default_rng(0)
    for _ in range(20):
        scores, truth = generator.random(12).round(1), generator.random(12) < 0.5
        if not truth.any():
            continue
        found = make_table(scores.tolist(), truth=truth.tolist(), threshold=None)

        def f1(at: float, scores: np.ndarray = scores, truth: np.ndarray = truth) -> float:
            called = scores > at
            return 2 * (called & truth).sum() / max(1, called.sum() + truth.sum())

        assert f1(found.first_threshold or 0) == max(f1(at) for at in [-1.0, *scores])


def test_search_finds_every_word_in_names_defects_outcomes_tags_and_notes():
    found = make_table([0.5, 1.5, 0.7], truth=[True, True, False])
    notes = {"01": Note("Scratch near the <rim>", ("shiny", "to do"))}
    assert found.search("dents", 1.0, notes).tolist() == [True, True, False]
    assert found.search("DENTS missed", 1.0, notes).tolist() == [True, False, False]
    assert found.search("missed", 0.4, notes).tolist() == [False, False, False]
    assert found.search("<rim> shiny 01", 1.0, notes).tolist() == [False, True, False]
    assert found.search("  ", 1.0).all()


def test_the_frame_has_a_row_a_sample_in_the_order_asked_for():
    found = make_table([0.5, 1.5], [1.4, 0.2], lights=[[0.1, 2.0], [0.0, 0.5]])
    frame = found.frame(rows=[1, 0], notes={"01": Note("n", ("a", "b"))})
    assert list(frame.index) == [1, 0]
    assert frame.loc[1].to_dict() == {
        "sample": "01",
        "truth": "bad",
        "defects": "dents, colors",
        "outcome": "right",
        "AFRD attention": 1.5,
        "RD top": 0.2,
        "outcome RD top": "missed",
        "defect found": pytest.approx(np.nan, nan_ok=True),
        "best IoU": 0.5,
        "peak off, px": 0.0,
        "disagreement": 0.5,
        "lights above": "",
        "tags": "a, b",
        "note": "n",
    }
    assert frame.loc[0, "lights above"] == "light 1"


def test_columns_are_named_shortly_but_never_alike():
    short = ["AFRD max", "AFRD attention features", "memory mean", "RD box", "RDs late max"]
    long = [
        "AFRD, max over evidence",
        "AFRD, attention over features",
        "patch memory, mean over evidence",
        "single-light RD, box",
        "single-light RDs, late max",
    ]
    assert [short_name(label) for label in long] == short
    twice = make_table([1.0]).scores.rename(columns={RUN: "AFRD, max over evidence", OTHER: "AFRD max"})
    table = ErrorTable(
        make_table([1.0]).samples,
        twice,
        {"AFRD, max over evidence": 1.0, "AFRD max": 1.0},
        pd.DataFrame(index=[0]),
        (np.empty(0),),
        np.empty(0),
        "AFRD, max over evidence",
        None,
        4.0,
    )
    assert len(set(table.column_names().values())) == 2


@pytest.fixture(scope="module")
def methods(tiny_runs: Path) -> list[Method]:
    return methods_of([afrd.load_run(tiny_runs / "Praline" / name) for name in ("afrd", "single-top")])


@pytest.fixture(scope="module")
def dataset(candies: Path):
    return afrd.open_dataset(candies, "Praline")["test_public"]


@pytest.fixture(scope="module")
def found(methods: list[Method], dataset) -> ErrorTable:
    return errors.table(methods, dataset)


def test_scores_are_those_of_the_methods_in_units_of_their_thresholds(found: ErrorTable, methods, dataset):
    assert (found.run, found.other) == (methods[0].label, "single-light RD, top")
    for method in methods:
        judged = method.judge(dataset)
        assert found.scores[method.label].to_numpy() == pytest.approx(judged.table.score / judged.threshold.value)
        verdicts = ["anomalous" if called else "good" for called in found.called(1.0, method.label)]
        assert verdicts == list(judged.table.verdict)


def test_a_light_s_score_is_that_of_the_run_with_this_light_alone(found: ErrorTable, methods, dataset):
    run = methods[0].runs[0]
    assert list(found.light_scores) == list(run.lights)
    for light in run.lights:
        alone = run.evaluate(dataset, [light])
        assert found.light_scores[light].to_numpy() == pytest.approx(
            alone.table.score / alone.threshold.value, rel=1e-5
        )
    few = light_scores(run, dataset, ["top", "box"])
    assert list(few) == ["top", "box"] and (few.top == found.light_scores.top).all()
    assert light_scores(methods[-1].runs[0], dataset, ["top"]).shape == (len(dataset), 0)


def test_the_defect_found_is_what_passes_the_threshold_inside_the_mask(found: ErrorTable, methods, dataset):
    judged = methods[0].judge(dataset)
    for at in (0.3, 1.0):
        for row, part in enumerate(found.defect_found(at)):
            mask = judged.masks[row]
            if mask.any():
                assert part == pytest.approx((judged.maps[row][mask] > at * judged.threshold.value).mean())
            else:
                assert np.isnan(part)


def test_calibration_scores_are_those_that_set_the_threshold(found: ErrorTable):
    assert len(found.calibration) == 3 and found.calibration.max() == pytest.approx(1.0)
    assert found.confusion().calibration_above == 0
    assert found.first_threshold == 1.0


def test_methods_can_join_later_and_the_one_beside_can_change(found: ErrorTable, methods, dataset):
    alone = errors.table(methods[:1], dataset)
    assert alone.other is None and list(alone.scores) == [methods[0].label]
    joined = alone.with_scores({m.label: m.judge(dataset) for m in methods[1:]}).against(found.other)
    pd.testing.assert_frame_equal(joined.frame(), found.frame())
    wrong = methods[1].judge(dataset)
    wrong.table.loc[0, "sample"] = "another"
    with pytest.raises(ValueError, match="is about other samples than the table"):
        alone.with_scores({"x": wrong})
    elsewhere = replace(methods[1].judge(dataset), category="another category")
    with pytest.raises(ValueError, match="is about other samples than the table"):
        alone.with_scores({"x": elsewhere})


def test_a_table_needs_a_run_of_its_own(methods, dataset):
    with pytest.raises(ValueError, match="an error analysis needs one run to look at"):
        errors.table([], dataset)
    with pytest.raises(ValueError, match="method 'x' is not among AFRD"):
        errors.table(methods, dataset, other="x")


def test_the_histogram_shows_good_bad_and_calibration_samples_about_the_threshold(found: ErrorTable):
    figure = afrd.figures.score_histogram(found, 0.8)
    assert [trace.name for trace in figure.data] == ["calibration (3)", "good (2)", "bad (2)"]
    assert sorted(figure.data[1].x) == pytest.approx(sorted(found.scores[found.run][~found.bad].round(4)), abs=1e-9)
    assert figure.layout.shapes[0].x0 == 0.8 and figure.layout.annotations[0].text == "threshold 0.80"
    assert figure.layout.xaxis.title.text == "score (× threshold)"
    edges = figure.data[0].xbins
    assert edges.start <= found.scores[found.run].min() and edges.end >= found.scores[found.run].max()
    assert not afrd.figures.score_histogram(found, None).layout.shapes
