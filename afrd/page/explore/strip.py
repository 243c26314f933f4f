"""The strip of samples below the light table."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from afrd.figures import main_light
from afrd.metrics.words import outcome, verdict_word
from afrd.page.common.library import Library
from afrd.page.common.samples import (
    SAMPLES_PER_PAGE,
    dataset_of,
    listed,
    sample_label,
    scores_of,
    scores_ready,
)
from afrd.page.common.scripts import joined
from afrd.page.common.selection import Selection

if TYPE_CHECKING:
    from afrd.analysis.comparison.scores import Scores
    from afrd.data.dataset import MultiLightDataset


SCRIPT = Path(__file__).with_name("strip.js")


def strip() -> gr.HTML:
    """The thumbnails; its value is what `strip_of` gives. Events: `pick` (`event.sample`, a name) and `work` (requests
    the scores of a split whose features are not computed)."""
    return gr.HTML(
        "",
        html_template='<div class="strip-box" role="group" aria-label="Samples"></div>',
        js_on_load=joined(SCRIPT),
        apply_default_css=False,
        elem_id="samples",
        elem_classes="gallery-box",
    )


def strip_of(library: Library, selection: Selection) -> str:
    """The samples of `selection.page`, as JSON."""
    stamp = time.monotonic()  # of the request: the browser drops answers to earlier requests that come late
    try:
        dataset = dataset_of(library, selection)
        scores = scores_of(library, selection)
        indices = listed(library, selection)
    except (ValueError, OSError):  # shown in the light table
        return json.dumps({"stamp": stamp, "samples": []})
    light = main_light(dataset.lights)
    on_page = indices[selection.page * SAMPLES_PER_PAGE : (selection.page + 1) * SAMPLES_PER_PAGE]
    waits = (
        scores is None
        and selection.run is not None
        and bool(selection.lights)
        and not scores_ready(library, selection, dataset)
    )
    corrected = library.corrected(selection.run, dataset) if scores is not None and selection.run else set()
    content = {
        "stamp": stamp,
        "selected": dataset.names[selection.index] if selection.index is not None else None,
        "samples": [_tile(library, dataset, i, light, scores, i in corrected) for i in on_page],
        "note": "" if indices else "No sample of this split fits the filter.",
        "wait": f"The {len(dataset)} samples of this split have no scores yet." if waits else "",
    }
    return json.dumps(content)


def _tile(
    library: Library, dataset: MultiLightDataset, i: int, light: str, scores: Scores | None, corrected: bool = False
) -> dict[str, Any]:
    name, truth = sample_label(dataset, i)
    tile = {"id": dataset.names[i], "name": name, "what": truth, "picture": library.thumbnail_uri(dataset, i, light)}
    if scores is None:
        return tile
    if scores.anomalous is None:
        return tile | {"score": f"{scores.values[i]:.2f}"}
    label, is_called = dataset.anomalous[i], bool(scores.anomalous[i])
    mark = "corrected" if corrected else outcome(label, is_called) if label is not None else ""
    return tile | {
        "score": f"{scores.relative[i]:.1f}×",
        "exact": f"score {scores.relative[i]:.2f} × threshold",
        "verdict": verdict_word(is_called),
        "mark": mark,
    }
