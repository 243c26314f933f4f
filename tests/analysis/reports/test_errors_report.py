"""Reports and CSVs: whole in one file, escaped, and true to the table."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import afrd
from afrd.analysis.comparison.methods import methods_of
from afrd.analysis.errors import table as errors
from afrd.analysis.errors.group_metrics import group_metrics
from afrd.analysis.errors.notes import Note
from afrd.analysis.reports.contact_sheet import contact_sheet
from afrd.analysis.reports.errors import MAX_REPORT_SAMPLES, card, card_html, csv, report

EVIL = "<script>alert('x')</script> & \"quotes\""


class Reader(HTMLParser):
    """What a browser would see: tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def scene(tiny_runs: Path, candies: Path):
    """The error table of the test split, its dataset, and what the run and the single light say."""
    methods = methods_of([afrd.load_run(tiny_runs / "Praline" / name) for name in ("afrd", "single-top")])
    dataset = afrd.open_dataset(candies, "Praline")["test_public"]
    found = errors.table(methods, dataset)
    judged = {method.label: method.judge(dataset) for method in methods}
    return found, dataset, [judged[found.run], judged[found.other]]


def test_a_report_shows_every_sample_with_its_pictures_scores_and_notes(scene):
    found, dataset, judged = scene
    notes = {dataset.names[1]: Note("dent under top only", ("faint", "to do"))}
    text = report(found, [1, 2], dataset, judged, notes, chosen="two of them")
    html = Reader(text)
    assert len(html.all("img")) == 2 * 3 + 2  # on the cards, and on the contact sheet
    assert "two of them: 2 of 4 samples" in html.text
    assert "dent under top only" in html.text and "to do" in html.text
    assert {a["id"] for a in html.all("article")} == {"sample-1", "sample-2"}
    assert {a["href"] for a in html.all("a")} == {"#sample-1", "#sample-2"}
    for label in found.labels:
        assert found.column_names()[label] in html.text
    for row in (1, 2):
        assert f"{found.scores[found.run][row]:.2f} × threshold" in html.text
    lines = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text))
    for label in (found.run, found.other):
        count = found.confusion(label=label)
        assert f"{label} {count.detected} {count.missed} {count.false_alarms} {count.passed} " in lines


def test_a_report_holds_groups_and_all_maps_on_one_scale(scene):
    found, dataset, judged = scene
    metrics = group_metrics(found, {"all": range(4), EVIL: [1]}, judged, repeats=20)
    text = report(found, range(4), dataset, judged, groups=metrics)
    html = Reader(text)
    assert html.text.count(EVIL) == 2 and "<script" not in text
    assert "4: 2 good, 2 bad" in html.text and "Clopper and Pearson" in html.text
    links = [a["href"] for a in html.all("a") if "title" in a]
    assert links == [f"#sample-{row}" for row in range(4)]
    assert "Groups" not in Reader(report(found, range(4), dataset, judged)).text


def test_a_contact_sheet_has_the_order_that_is_asked_for(scene):
    found, dataset, judged = scene
    scores = found.scores[found.run]

    def rows(order: str) -> list[int]:
        html = contact_sheet(found, [0, 1, 2, 3], dataset, judged[0], order=order, does="pick")
        return [int(a["data-number"]) for a in Reader(html).all("button")]

    assert rows("as in the table") == [0, 1, 2, 3]
    assert rows("highest score") == scores.sort_values(ascending=False, kind="stable").index.tolist()
    assert rows("lowest score") == scores.sort_values(kind="stable").index.tolist()
    assert rows("largest defect")[:2] == sorted((1, 3), key=lambda row: -len(found.inside[row]))
    assert rows("smallest defect")[:2] == sorted((1, 3), key=lambda row: len(found.inside[row]))
    with pytest.raises(ValueError, match="there is no order 'by luck'"):
        rows("by luck")
    with pytest.raises(ValueError, match="at most 200 samples, and these are 201; filter the table first"):
        contact_sheet(found, [0] * 201, dataset, judged[0])


def test_a_report_needs_nothing_from_elsewhere(scene):
    found, dataset, judged = scene
    html = Reader(report(found, range(4), dataset, judged))
    assert not html.all("script") and not html.all("link") and not html.all("iframe")
    assert all(a["src"].startswith("data:image/webp;base64,") for a in html.all("img"))
    assert "default-src 'none'" in html.all("meta")[1]["content"]
    text = report(found, range(4), dataset, judged)
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r"base64,[^\"]*", "", text))
    assert "@import" not in text and "url(" not in text


def test_every_text_in_a_report_is_escaped(scene):
    found, dataset, judged = scene
    notes = {name: Note(EVIL, (EVIL[:40],)) for name in dataset.names}
    samples = found.samples.assign(defects=[EVIL] * len(found))
    strange = replace(found, samples=samples)
    raw = report(strange, range(4), dataset, judged, notes, chosen=EVIL)
    html = Reader(raw)
    assert "<script" not in raw and "<b>" not in re.sub(r"<b>[A-Za-z0-9 .–]*</b>", "", raw)
    assert html.text.count(EVIL) >= 4
    assert not html.all("script")


def test_the_overlay_covers_the_picture_where_the_map_is_hot_and_only_there():
    import torch

    picture = torch.full((3, 40, 60), 0.5)
    values = np.zeros((40, 60))
    values[10:20, 30:50] = 2.0
    uri = afrd.figures.covered_uri(picture, values, side=60)
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB")).astype(int)
    assert image.shape == (40, 60, 3)
    assert abs(image[30:, :20] - 128).max() < 12
    assert abs(image[12:18, 34:46] - 128).max(-1).min() > 60
    small = afrd.figures.covered_uri(picture, None, side=30)
    assert Image.open(io.BytesIO(base64.b64decode(small.split(",")[1]))).size == (30, 20)


def test_a_card_says_what_the_table_says(scene):
    found, dataset, judged = scene
    row = int(np.flatnonzero(found.bad)[0])
    shown = card(found, row, dataset, judged, at=0.9, light="left")
    assert shown.name == dataset.names[row] and shown.outcome == found.outcome(0.9)[row]
    assert [shot.title for shot in shown.shots] == ["picture", "AFRD attention", "RD top"]
    assert shown.shots[0].text == "under left" and shown.shots[0].truth.startswith("M")
    measures = dict(shown.measures)
    assert measures["best IoU"] == f"{found.samples.best_iou[row]:.2f}"
    assert measures["defect found"] == f"{found.defect_found(0.9)[row]:.0%}"
    assert [score.value for score in shown.scores] == [f"{found.scores[label][row]:.2f}" for label in found.labels]
    for score, label in zip(shown.scores, found.labels, strict=True):
        assert score.verdict == ("bad" if found.called(0.9, label)[row] else "good")
        assert score.mark == 45  # 0.9 of 2 thresholds
    assert "blockquote" not in card_html(shown)


def test_without_a_threshold_or_truth_a_card_claims_nothing(scene):
    found, dataset, judged = scene
    samples = found.samples.assign(anomalous=None, best_iou=np.nan, peak_off=np.nan)
    blind = replace(found, samples=samples, thresholds={**found.thresholds, found.run: None})
    shown = card(blind, 0, dataset, judged, at=None)
    assert (shown.truth_text, shown.outcome) == ("truth not known", "")
    assert shown.shots[1].passed == "" and shown.scores[0].verdict == "none" and shown.scores[0].mark is None
    assert "best IoU" not in dict(shown.measures)
    html = Reader(report(blind, [0], dataset, judged, at=None))
    assert "no verdicts" in html.text


def test_a_report_of_too_many_samples_is_refused_and_of_none_says_so(scene):
    found, dataset, judged = scene
    with pytest.raises(ValueError, match=f"at most {MAX_REPORT_SAMPLES} samples, and these are 201; filter the table"):
        report(found, [0] * 201, dataset, judged)
    assert "No sample fits." in report(found, [], dataset, judged)


def test_a_report_of_forty_samples_stays_under_ten_megabytes_whatever_is_in_the_pictures(scene):
    import torch

    found, dataset, judged = scene
    noise = torch.rand(3, 512, 512, generator=torch.Generator().manual_seed(0))
    picture = afrd.figures.covered_uri(noise, np.random.default_rng(0).random((512, 512)) * 2, side=300)
    small = report(found, [0, 1, 2, 3], dataset, judged)
    words = len(re.sub(r"base64,[^\"]*", "", small))
    assert 40 * (3 * len(picture) + words / 4) < 10_000_000


def test_a_csv_is_the_table_and_no_cell_is_a_formula():
    frame = pd.DataFrame(
        {"sample": ["01", "=1+1"], "note": ["-2", 'a "b", c\nd'], "score": [-0.5, np.nan], "tags": ["@x", "ü"]}
    )
    text = csv(frame)
    back = pd.read_csv(io.StringIO(text), dtype={"sample": str, "note": str})
    assert back["sample"].tolist() == ["01", "'=1+1"]
    assert back["note"].tolist() == ["'-2", 'a "b", c\nd']
    assert back["tags"].tolist() == ["'@x", "ü"]
    assert back["score"][0] == -0.5 and np.isnan(back["score"][1])
    assert frame["note"].tolist()[0] == "-2"
