"""Groups: filters that are kept, the samples that they choose, and metrics of these samples alone."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from afrd.analysis.errors.columns import columns_of
from afrd.analysis.errors.exchange import exported, imported, undo_latest
from afrd.analysis.errors.group_metrics import group_metrics
from afrd.analysis.errors.groups import MAX_GROUPS, Group, Groups, group_of
from afrd.analysis.errors.notes import Note
from afrd.analysis.errors.table import ErrorTable
from afrd.analysis.reports.groups import group_texts
from afrd.cli.commands import main
from afrd.metrics.predictions import Predictions
from afrd.metrics.threshold import Threshold
from afrd.runs.shared_file import Key, SharedFile

RUN, OTHER = "AFRD, attention over evidence", "single-light RD, top"
BAD = [True, True, True, False, False, False, None]
DEFECTS = ["dent", "dent+stain", "stain", "", "", "", ""]


def tables(seed: int = 0) -> tuple[ErrorTable, list[Predictions]]:
    """An error table of seven samples, two methods and three lights, with random maps and their predictions."""
    random = np.random.default_rng(seed)
    masks = np.zeros((7, 12, 10), dtype=bool)
    for i in range(3):
        masks[i, i : i + 2 + i, 2:5] = True
    samples = pd.DataFrame(
        {"sample": [f"{i:02d}" for i in range(7)], "anomalous": pd.Series(BAD, dtype=object), "defects": DEFECTS}
    )
    predictions = []
    for label in (RUN, OTHER):
        maps = random.uniform(size=masks.shape).astype(np.float32) + masks * random.uniform(0, 1, (7, 1, 1))
        scores = maps.max((1, 2))
        frame = samples.assign(score=scores, verdict="")
        masked = np.array([truth is not None for truth in BAD])
        threshold = Threshold(1.2, 0.05, 20, 0.05)
        predictions.append(
            Predictions(frame, maps.astype(np.float32), masks, masked, label, ("top",), threshold, "Part", "test")
        )
    empty = ErrorTable(
        samples.assign(best_iou=[0.1, 0.5, 0.9, *[math.nan] * 4], peak_off=[0.0, 3.0, 9.0, *[math.nan] * 4]),
        pd.DataFrame(index=samples.index),
        {},
        pd.DataFrame(random.uniform(0, 2, (7, 3)), columns=["top", "left", "dome light"]),
        tuple(np.sort(m[k]) / 1.2 for m, k in zip(predictions[0].maps, masks, strict=True)),
        np.array([0.4, 0.9, 1.0]),
        RUN,
        OTHER,
        4.0,
        "Part",
        "test",
    )
    return empty.with_scores({p.method: p for p in predictions}), predictions


NOTES = {"01": Note("seen by me", ("faint", "rim"))}


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("'dent' in defects", [0, 1]),
        ("truth == 'good' or sample == '06'", [3, 4, 5, 6]),
        ("defect_px >= 9 and best_iou < 0.9", [1]),
        ("`peak off, px` > 1 and peak_off_px < 9", [1]),
        ("'faint' in tags and 'me' in note", [1]),
        ("not truth == 'bad'", [3, 4, 5, 6]),
        ("1 < 2", list(range(7))),
    ],
)
def test_an_expression_chooses_samples(where: str, rows: list[int]):
    assert Group(where=where).rows(tables()[0], notes=NOTES) == rows


def test_scores_lights_and_outcomes_are_columns():
    table, _ = tables()
    columns = columns_of(table, 1.0, NOTES)
    assert {"light_top", "light_left", "light_dome_light", "other_score", "other_outcome", "disagreement"} <= set(
        columns
    )
    for row in Group(where="score > other_score and outcome == 'missed'").rows(table):
        assert table.scores[RUN][row] > table.scores[OTHER][row] and table.outcome()[row] == "missed"
    above = Group(where="'top' in lights_above and light_top > 1").rows(table)
    assert above == [i for i in range(7) if table.light_scores["top"][i] > 1]
    sizes = columns["defect_px"].values
    assert sizes[:3].tolist() == [6, 9, 12] and np.isnan(sizes[3:]).all()


def test_all_filters_of_a_group_hold_at_once():
    table, _ = tables()
    scores = table.scores[RUN]
    group = Group("'dent' in defects", "all", "bad", "01", ("AFRD attention", float(scores[1]), float(scores[1])))
    assert group.rows(table, notes=NOTES) == [1]
    assert group.words() == f"'dent' in defects; bad; “01”; AFRD attention from {scores[1]:.2f} to {scores[1]:.2f}"
    assert Group(question="missed").rows(table, 9.0) == table.answer("missed", 9.0)
    assert Group(kind="stain").rows(table) == [1, 2] and Group().words() == "all samples" and not Group()
    with pytest.raises(ValueError, match="needs a column 'gone' of numbers"):
        Group(region=("gone", 0, 1)).rows(table)


def test_metrics_of_a_group_are_those_of_its_samples():
    table, predictions = tables()
    rows = [0, 2, 3, 5]
    line = group_metrics(table, {"some": rows}, predictions, repeats=50).iloc[0]
    truth, scores = [1, 1, 0, 0], predictions[0].table.score[rows]
    assert line.image_auroc == pytest.approx(roc_auc_score(truth, scores))
    assert line.image_ap == pytest.approx(average_precision_score(truth, scores))
    pixels, mask = predictions[0].maps[rows].ravel(), predictions[0].masks[rows].ravel()
    assert line.pixel_ap == pytest.approx(average_precision_score(mask, pixels))
    assert line.image_auroc_low <= line.image_auroc <= line.image_auroc_high and line.against == ""
    missed = [i for i in (0, 2) if predictions[0].table.score[i] <= 1.2]
    assert (line.samples, line.good, line.bad, line.missed) == (4, 2, 2, len(missed))
    assert math.isnan(line.image_auroc_difference)


def test_two_methods_stand_side_by_side_with_their_paired_difference():
    table, predictions = tables()
    metrics = group_metrics(table, {"all": range(7)}, predictions, repeats=100)
    assert metrics.method.tolist() == [RUN, OTHER] and metrics.samples.tolist() == [7, 7]
    assert (metrics.good + metrics.bad).tolist() == [6, 6]  # one truth is not known
    first, second = metrics.iloc[0], metrics.iloc[1]
    assert second.aupro_difference == pytest.approx(first.aupro - second.aupro)
    assert second.aupro_difference_low <= second.aupro_difference <= second.aupro_difference_high
    same = group_metrics(table, {"all": range(7)}, [predictions[0], predictions[0]], repeats=100).iloc[1]
    assert same.image_auroc_difference_low == same.image_auroc_difference_high == 0
    texts = group_texts(metrics, table.column_names())
    assert texts.method.tolist() == ["AFRD attention", "RD top"]
    assert texts.samples[0] == "7: 3 good, 3 bad" and "[" in texts["image AUROC"][0]


def test_a_group_of_one_kind_is_ranked_against_all_of_the_other():
    table, predictions = tables()
    bad, good, unknown, none = (
        group_metrics(table, {"g": rows}, predictions[:1], repeats=20).iloc[0] for rows in ([0, 1], [3], [6], [])
    )
    assert bad.against == "all 3 good" and good.against == "all 3 bad"
    scores = predictions[0].table.score
    assert bad.image_auroc == pytest.approx(roc_auc_score([1, 1, 0, 0, 0], scores[[0, 1, 3, 4, 5]]))
    assert math.isnan(good.aupro) and not math.isnan(bad.aupro)
    assert (unknown.samples, unknown.good, unknown.bad) == (1, 0, 0) and math.isnan(unknown.image_auroc)
    assert none.samples == 0 and math.isnan(none.image_auroc) and math.isnan(none.aupro)
    assert (bad.good, bad.false_alarms) == (0, 0) and bad.false_alarms_at_most == 1
    assert math.isnan(group_metrics(table, {"g": [0]}, predictions[:1], None, repeats=20).missed[0])


def test_groups_are_kept_for_all_runs_of_a_folder_and_a_change_can_be_undone(tmp_path: Path):
    groups = Groups(tmp_path)
    dents = Group("'dent' in defects", region=("best IoU", 0.0, 0.5))
    assert groups.all() == {}
    groups.save("dents", dents)
    groups.save("missed", Group(question="missed"))
    assert Groups(tmp_path).all() == {"dents": dents, "missed": Group(question="missed")}
    groups.save("dents", None)
    with pytest.raises(ValueError, match="has no group 'dents': it has missed"):
        groups.get("dents")
    assert groups.undo("dents") == dents == groups.get("dents")
    assert groups.undo("dents") is None
    with pytest.raises(ValueError, match="no change of the group 'dents' to undo"):
        groups.undo("dents")


@pytest.mark.parametrize("name", ["", " ", " a", "a" * 61, "a\nb", "\u202eb"])
def test_a_name_is_one_short_line(name: str, tmp_path: Path):
    with pytest.raises(ValueError, match="is no name of a group; choose 1 to 60 characters on one line"):
        Groups(tmp_path).save(name, Group())


def test_there_is_a_limit_to_the_number_of_groups(tmp_path: Path):
    groups = Groups(tmp_path)
    with groups.file.writing() as entries:
        for i in range(MAX_GROUPS):
            entries.put(Key("group", "", "", f"{i}"), {})
    with pytest.raises(ValueError, match="there are 100 groups, and at most 100; remove one first"):
        groups.save("one more", Group())
    groups.save("3", Group("score > 1"))


@pytest.mark.parametrize(
    "value",
    [
        [],
        3,
        {"question": "why"},
        {"where": 3},
        {"where": "x" * 501},
        {"region": ["a", 1]},
        {"region": ["a", 1, math.inf]},
    ],
)
def test_a_stranger_s_value_that_is_no_group_is_one_sentence(value: object, tmp_path: Path):
    with pytest.raises(ValueError, match="it is no group"):
        group_of(value)
    with SharedFile(tmp_path).writing() as entries:
        entries.put(Key("group", "", "", "strange"), value)
    with pytest.raises(ValueError, match=r"notes\.sqlite is damaged \(it is no group"):
        Groups(tmp_path).all()


def test_groups_are_exported_and_an_import_never_replaces_one(tmp_path: Path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    for folder, where in ((here, "score > 1"), (there, "score > 2")):
        Groups(folder).save("high", Group(where))
    Groups(here).save("dents", Group("'dent' in defects"))
    content = exported(here)
    result = imported(there, content)
    assert result.renamed == {"high": "high (2)"} and len(result.added) == 2
    assert {name: group.where for name, group in Groups(there).all().items()} == {
        "dents": "'dent' in defects",
        "high": "score > 2",
        "high (2)": "score > 1",
    }
    assert len(imported(there, content).same) == 2
    undo_latest(there)
    assert list(Groups(there).all()) == ["high"]


def test_the_command_shows_saves_lists_and_removes(
    tiny_runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    import shutil

    runs = tmp_path / "Praline"
    shutil.copytree(tiny_runs / "Praline", runs)
    run = str(runs / "afrd")
    file = tmp_path / "bad.csv"
    bad = ["groups", run, "--where", "truth == 'bad'", "--save", "bad ones", "--csv", str(file)]
    assert main([*bad, "--beside", str(runs / "single-top")]) == 0
    said = capsys.readouterr().out
    assert "2: 0 good, 2 bad, against all 2 good" in said and "RD top" in said
    assert [row["truth"] for row in csv.DictReader(file.open())] == ["bad", "bad"]
    assert main(["groups", run, "--csv", str(file)]) == 0
    assert "all samples" in (said := capsys.readouterr().out) and "bad ones" in said
    assert [row["group"] for row in csv.DictReader(file.open())] == ["all samples", "bad ones"]
    assert main(["groups", run, "--group", "bad ones"]) == 0
    assert "image AUROC" in capsys.readouterr().out
    for arguments, sentence in (
        (("--where", "scor > 1"), "there is no column 'scor'; did you mean score?"),
        (("--group", "gone"), "has no group 'gone': it has bad ones"),
        (("--save", "name"), "--save needs --where"),
        (("--where", " "), "--where is empty"),
        (("--where", "score > 1", "--group", "bad ones"), "--where and --group each name a group"),
        (("--where", "score > 1", "--save", "a\nb"), "is no name of a group"),
        (("--remove", "gone"), "has no group 'gone'"),
    ):
        assert main(["groups", run, *arguments]) == 2
        assert sentence in (said := capsys.readouterr().err) and said.count("\n") == 1
    assert main(["groups", run, "--remove", "bad ones"]) == 0 and Groups(runs).all() == {}
    assert main(["notes", "undo", str(runs)]) == 0 and list(Groups(runs).all()) == ["bad ones"]
