"""Metrics where a sample is one view of an object: of each view separately, and of whole objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from afrd.metrics.predictions import Predictions
from afrd.metrics.ranking import image_metrics
from afrd.metrics.words import METRICS


def view_metrics(predictions: Predictions, views: Sequence[str]) -> pd.DataFrame:
    """All metrics of each view's samples alone.

    Args:
        predictions: of N samples.
        views: (N,) the view that each sample is.

    Returns:
        Index view, sorted; columns `samples` and `METRICS`, NaN where one is not defined.
    """
    rows = {}
    for view in sorted(set(views)):
        index = np.flatnonzero(np.array(views) == view)
        of_view = replace(
            predictions,
            table=predictions.table.iloc[index].reset_index(drop=True),
            maps=predictions.maps[index],
            masks=predictions.masks[index],
            masked=predictions.masked[index],
        )
        rows[view] = {"samples": len(index), **of_view.metrics()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["samples", *METRICS]).rename_axis("view")


def object_scores(predictions: Predictions, objects: Sequence[str], anomalous: Sequence[bool]) -> pd.DataFrame:
    """Scores of whole objects: the highest of an object's views.

    Args:
        predictions: of N samples.
        objects: (N,) the object that each sample is a view of.
        anomalous: (N,) the whole object's label, the same for all its views.

    Returns:
        Index object, in the order of the samples; columns `score`, `anomalous`.
    """
    table = pd.DataFrame({"object": list(objects), "score": predictions.table.score, "anomalous": list(anomalous)})
    return table.groupby("object", sort=False).agg(score=("score", "max"), anomalous=("anomalous", "any"))


def object_metrics(predictions: Predictions, objects: Sequence[str], anomalous: Sequence[bool]) -> dict[str, float]:
    """Image metrics of `object_scores`: `image_auroc`, `image_ap`, `image_f1max`; NaN where one is not defined."""
    table = object_scores(predictions, objects, anomalous)
    return image_metrics(table.anomalous.to_numpy(bool), table.score.to_numpy())
