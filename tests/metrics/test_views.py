"""Metrics where a sample is one view of an object."""

import numpy as np
import pandas as pd
import pytest

from afrd.metrics import Predictions, object_metrics, object_scores, view_metrics

SCORES = [1.0, 2.0, 5.0, 1.5, 3.0, 0.5]
OBJECTS = ["a", "a", "b", "b", "c", "c"]  # b and c are bad; c's defect shows in no view
WHOLE = [False, False, True, True, True, True]


@pytest.fixture
def predictions() -> Predictions:
    shown = [False, False, True, False, False, False]
    table = pd.DataFrame({"sample": list("uvwxyz"), "anomalous": pd.Series(shown, dtype=object), "score": SCORES})
    table["defects"], table["verdict"] = "", ""
    maps = np.array(SCORES, np.float32)[:, None, None] * np.ones((1, 4, 4), np.float32)
    masks = np.zeros((6, 4, 4), bool)
    masks[2, :2] = True
    return Predictions(table, maps, masks, np.ones(6, bool), "method", ("top",))


def test_an_object_has_the_highest_score_of_its_views_and_its_own_label(predictions: Predictions):
    table = object_scores(predictions, OBJECTS, WHOLE)
    assert table.score.to_dict() == {"a": 2.0, "b": 5.0, "c": 3.0}
    assert table.anomalous.to_dict() == {"a": False, "b": True, "c": True}
    assert object_metrics(predictions, OBJECTS, WHOLE)["image_auroc"] == 1.0


def test_each_view_is_judged_by_its_own_samples(predictions: Predictions):
    table = view_metrics(predictions, ["1", "2"] * 3)
    assert list(table.index) == ["1", "2"] and list(table.samples) == [3, 3]
    assert table.image_auroc["1"] == 1.0  # 5 above 1 and 3
    assert np.isnan(table.image_auroc["2"])  # no bad sample
