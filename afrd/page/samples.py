"""The list of samples: filters, order, and the strip of thumbnails with scores and verdicts, drawn by `strip.js`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from afrd.figures import main_light
from afrd.page.choice import ORDERS, VERDICTS, Choice
from afrd.page.library import CategoryEntry, Library

if TYPE_CHECKING:
    from afrd.datasets import MultiLightDataset
    from afrd.scoring import Scores

PAGE = 60  # samples in the strip at once
SCRIPT = Path(__file__).with_name("strip.js")


def strip() -> gr.HTML:
    """The thumbnails; its value is what `strip_of` gives. Events: `pick` (`event.sample`, a name) and `work` (a wish
    for the scores of a split that the teacher has not read)."""
    return gr.HTML(
        "",
        html_template='<div class="strip-box" role="group" aria-label="Samples"></div>',
        js_on_load=SCRIPT.read_text(),
        apply_default_css=False,
        elem_id="samples",
        elem_classes="gallery-box",
    )


def strip_of(library: Library, choice: Choice) -> str:
    """The strip's part of the list that holds `choice.page`, as JSON."""
    stamp = time.monotonic()  # of the question: an answer that is overtaken by a later one is not drawn
    try:
        dataset = dataset_of(library, choice)
        said = scores_of(library, choice)
        found = listed(library, choice)
    except (ValueError, OSError):  # the light table says what is wrong
        return json.dumps({"stamp": stamp, "samples": []})
    light = main_light(dataset.lights)
    shown = found[choice.page * PAGE : (choice.page + 1) * PAGE]
    waits = said is None and choice.run is not None and bool(choice.lights) and not _ready(library, choice, dataset)
    content = {
        "stamp": stamp,
        "selected": dataset.names[choice.index] if choice.index is not None else None,
        "samples": [_tile(library, dataset, i, light, said) for i in shown],
        "note": "" if found else "No sample of this split fits the filter.",
        "wait": f"The {len(dataset)} samples of this split have no scores yet." if waits else "",
    }
    return json.dumps(content)


def _tile(library: Library, dataset: MultiLightDataset, i: int, light: str, said: Scores | None) -> dict[str, Any]:
    name, what = sample_label(dataset, i)
    tile = {"id": dataset.names[i], "name": name, "what": what, "picture": library.thumbnail_uri(dataset, i, light)}
    if said is None:
        return tile
    called = None if said.anomalous is None else bool(said.anomalous[i])
    if called is None:
        return tile | {"score": f"{said.values[i]:.2f}"}
    verdict = "anomalous" if called else "good"
    return tile | {
        "score": f"{said.relative[i]:.1f}×",
        "exact": f"score {said.relative[i]:.2f} × threshold",
        "verdict": verdict,
        "mark": mark_of(dataset.anomalous[i], called),
    }


def mark_of(truth: bool | None, called: bool) -> str:
    """One of `VERDICTS`, or nothing where the truth is not known."""
    if truth is None:
        return ""
    return "right" if truth == called else "missed" if truth else "false alarm"


def listed(library: Library, choice: Choice) -> list[int]:
    """Positions of the samples that the filters let through, in their order.

    Verdicts and scores wait until there are some: without them, those filters let everything through.
    """
    dataset = dataset_of(library, choice)
    found = list(range(len(dataset)))
    if choice.kind in ("good", "bad"):
        found = [i for i in found if dataset.anomalous[i] is (choice.kind == "bad")]
    elif choice.kind != "all":
        found = [i for i in found if choice.kind in dataset.defects[i]]
    if choice.verdict not in VERDICTS and choice.order == ORDERS[0]:
        return found
    said = scores_of(library, choice)
    if said is None:
        return found
    if choice.verdict in VERDICTS and said.anomalous is not None:
        found = [i for i in found if mark_of(dataset.anomalous[i], bool(said.anomalous[i])) == choice.verdict]
    return sorted(found, key=lambda i: -said.values[i]) if choice.order == "score" else found


def scores_of(library: Library, choice: Choice) -> Scores | None:
    """Of the shown run under the chosen lights; None where there is none, or only after a long work."""
    if choice.run is None or not choice.lights:
        return None
    try:
        dataset = dataset_of(library, choice)
        return library.scores(choice.run, dataset, choice.lights) if _ready(library, choice, dataset) else None
    except (ValueError, OSError, RuntimeError):  # the light table says what is wrong
        return None


def judgeable(library: Library, choice: Choice) -> tuple[bool, bool]:
    """Whether the samples have scores, or will have them in seconds, and verdicts with them; waits for neither."""
    if choice.run is None or not choice.lights:
        return False, False
    try:
        if not library.scored(choice.run, dataset_of(library, choice)):
            return False, False
        return True, library.run(choice.run).threshold(choice.lights) is not None
    except (ValueError, OSError, RuntimeError):  # the light table says what is wrong
        return False, False


def _ready(library: Library, choice: Choice, dataset: MultiLightDataset) -> bool:
    try:
        return choice.run is not None and library.scored(choice.run, dataset)
    except (ValueError, OSError, RuntimeError):
        return True  # nothing to wait for


def kinds(dataset: MultiLightDataset) -> list[str]:
    """`all`, then what there is of `good`, `bad` and defect types."""
    labels = set(dataset.anomalous)
    known = [name for name, label in (("good", False), ("bad", True)) if label in labels]
    return ["all", *known, *sorted({defect for defects in dataset.defects for defect in defects})]


def sample_label(dataset: MultiLightDataset, index: int) -> tuple[str, str]:
    """Such as `25` and `dents`, `03` and `good`, `007` and `unknown`; the folder `scratch/007` is `007`, `scratch`."""
    label = dataset.anomalous[index]
    what = {True: ", ".join(dataset.defects[index]) or "bad", False: "good", None: "unknown"}[label]
    return dataset.names[index].removeprefix(f"{what}/"), what


def pages(found: Sequence[int]) -> list[tuple[str, int]]:
    """Of a long list, such as `61 to 100 of 100`, with their numbers."""
    starts = range(0, len(found), PAGE)
    return [(f"{1 + at} to {min(at + PAGE, len(found))} of {len(found)}", at // PAGE) for at in starts]


def dataset_of(library: Library, choice: Choice) -> MultiLightDataset:
    """The split of the choice.

    Raises:
        ValueError, FileNotFoundError: it is not there, in one sentence.
    """
    return library.data_of(library.category(choice.category))[choice.split or ""]


def splits_of(library: Library, entry: CategoryEntry) -> list[str]:
    """The test split first: there is something to find in it."""
    return sorted(library.data_of(entry).splits, key=lambda split: not split.startswith("test"))
