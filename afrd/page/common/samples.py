"""The list of samples: filters, order, and the strip of thumbnails with scores and verdicts, drawn by `strip.js`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from afrd.page.common.library import CategoryEntry, Library
from afrd.page.common.selection import ORDERS, VERDICTS, Choice

if TYPE_CHECKING:
    from afrd.analysis.comparison.scores import Scores
    from afrd.data.dataset import MultiLightDataset

PAGE = 60  # samples in the strip at once


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
