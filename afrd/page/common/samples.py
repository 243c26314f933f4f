"""The list of samples with its filters and its order, and the changes of a selection that depend on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from afrd.figures import main_light
from afrd.metrics.words import BAD, GOOD, OUTCOMES, label_word, outcome
from afrd.page.common.entries import CategoryEntry
from afrd.page.common.library import Library
from afrd.page.common.selection import ORDERS, Selection, first_beside

if TYPE_CHECKING:
    from afrd.analysis.comparison.scores import Scores
    from afrd.data.dataset import MultiLightDataset

SAMPLES_PER_PAGE = 60  # in the strip


def listed(library: Library, selection: Selection) -> list[int]:
    """Positions of the samples that pass the filters, in their order.

    Filters and orders by verdict or score are ignored while there are no scores.
    """
    dataset = dataset_of(library, selection)
    indices = list(range(len(dataset)))
    if selection.kind in (GOOD, BAD):
        indices = [i for i in indices if dataset.anomalous[i] is (selection.kind == BAD)]
    elif selection.kind != "all":
        indices = [i for i in indices if selection.kind in dataset.defects[i]]
    if selection.verdict not in OUTCOMES and selection.order == ORDERS[0]:
        return indices
    scores = scores_of(library, selection)
    if scores is None:
        return indices
    if selection.verdict in OUTCOMES and scores.anomalous is not None:
        corrected = library.corrected(selection.run, dataset) if selection.run is not None else set()
        indices = [
            i
            for i in indices
            if i not in corrected and outcome(dataset.anomalous[i], bool(scores.anomalous[i])) == selection.verdict
        ]
    return sorted(indices, key=lambda i: -scores.values[i]) if selection.order == "score" else indices


def scores_of(library: Library, selection: Selection) -> Scores | None:
    """Scores of the shown run under the chosen lights; None without a run, or while they would take long."""
    if selection.run is None or not selection.lights:
        return None
    try:
        dataset = dataset_of(library, selection)
        return (
            library.scores(selection.run, dataset, selection.lights)
            if scores_ready(library, selection, dataset)
            else None
        )
    except (ValueError, OSError, RuntimeError):  # shown in the light table
        return None


def judgeable(library: Library, selection: Selection) -> tuple[bool, bool]:
    """Whether the samples have scores, or will have them in seconds, and verdicts with them; waits for neither."""
    if selection.run is None or not selection.lights:
        return False, False
    try:
        if not library.scored(selection.run, dataset_of(library, selection)):
            return False, False
        return True, library.run(selection.run).threshold(selection.lights) is not None
    except (ValueError, OSError, RuntimeError):  # shown in the light table
        return False, False


def scores_ready(library: Library, selection: Selection, dataset: MultiLightDataset) -> bool:
    """Whether `scores_of` returns at once, or will never have scores."""
    try:
        return selection.run is not None and library.scored(selection.run, dataset)
    except (ValueError, OSError, RuntimeError):
        return True  # nothing to wait for


def kinds(dataset: MultiLightDataset) -> list[str]:
    """`all`, then those of `good`, `bad` and the defect types that occur."""
    labels = set(dataset.anomalous)
    truths = [label_word(label, BAD) for label in (False, True) if label in labels]
    return ["all", *truths, *sorted({defect for defects in dataset.defects for defect in defects})]


def sample_label(dataset: MultiLightDataset, index: int) -> tuple[str, str]:
    """Such as `25` and `dents`, `03` and `good`, `007` and `unknown`; the folder `scratch/007` is `007`, `scratch`."""
    truth = label_word(dataset.anomalous[index], ", ".join(dataset.defects[index]) or BAD)
    return dataset.names[index].removeprefix(f"{truth}/"), truth


def pages(indices: Sequence[int]) -> list[tuple[str, int]]:
    """Pages of a long list, such as `61 to 100 of 100`, with their numbers."""
    starts = range(0, len(indices), SAMPLES_PER_PAGE)
    return [
        (f"{1 + at} to {min(at + SAMPLES_PER_PAGE, len(indices))} of {len(indices)}", at // SAMPLES_PER_PAGE)
        for at in starts
    ]


def dataset_of(library: Library, selection: Selection) -> MultiLightDataset:
    """The split of the selection.

    Raises:
        ValueError, FileNotFoundError: it does not exist, in one sentence.
    """
    return library.data_of(library.category(selection.category))[selection.split or ""]


def splits_of(library: Library, entry: CategoryEntry) -> list[str]:
    """The splits, test splits first."""
    return sorted(library.data_of(entry).splits, key=lambda split: not split.startswith("test"))


def first_selection(library: Library, key: str | None, previous: Selection | None = None) -> Selection:
    """The initial selection of a category: its first runs, the test split, the first defective sample."""
    entries = library.categories()
    entry = next((e for e in entries if e.key == key), entries[0] if entries else None)
    if entry is None:
        return Selection()
    selection = Selection(
        category=entry.key,
        run=entry.fused[0].folder if entry.fused else None,
        beside=first_beside(entry),
        shown=previous.shown if previous else None,
    )
    try:
        data = library.data_of(entry)
    except (ValueError, OSError):
        return selection
    run_lights = entry.fused[0].lights if entry.fused else data.lights
    lights = tuple(light for light in data.lights if light in run_lights)
    shown = selection.shown if selection.shown in data.lights else main_light(data.lights)
    splits = splits_of(library, entry)
    return with_samples(library, replace(selection, split=splits[0], lights=lights, shown=shown), prefer_defects=True)


def opened_selection(library: Library, selection: Selection) -> Selection:
    """What a tab shows when it is opened: the selection, or the first one where the page is still loading."""
    return selection if selection.category else first_selection(library, None)


def with_samples(library: Library, selection: Selection, prefer_defects: bool = False) -> Selection:
    """The selection with a sample that passes its filters; the current one is kept if possible."""
    try:
        indices = listed(library, selection)
        if selection.index in indices:
            return on_its_page(library, selection)
        anomalous = dataset_of(library, selection).anomalous if prefer_defects else []
    except (ValueError, OSError):
        return replace(selection, index=None)
    defective = next((i for i in indices if prefer_defects and anomalous[i]), None)
    index = defective if defective is not None else next(iter(indices), None)
    return replace(
        selection, index=index, pinned=None, page=indices.index(index) // SAMPLES_PER_PAGE if index is not None else 0
    )


def with_split(library: Library, selection: Selection, split: str) -> Selection:
    """The first sample of another split, without filters."""
    start = replace(selection, split=split, kind="all", verdict="all", index=None, page=0)
    return with_samples(library, start)


def stepped(library: Library, selection: Selection, by: int) -> Selection:
    """The next or previous sample of the filtered list, wrapping around at its ends."""
    try:
        indices = listed(library, selection)
    except (ValueError, OSError):
        return selection
    if not indices:
        return selection
    at = (indices.index(selection.index) + by) % len(indices) if selection.index in indices else 0
    return replace(selection, index=indices[at], page=at // SAMPLES_PER_PAGE, pinned=None)


def with_named_sample(library: Library, selection: Selection, name: str) -> Selection:
    """The sample of this name, without filters that could hide it."""
    index = dataset_of(library, selection).names.index(name)
    return on_its_page(library, replace(selection, index=index, kind="all", verdict="all", pinned=None))


def on_its_page(library: Library, selection: Selection) -> Selection:
    """The selection with the page of the list that holds its sample, if the list has it."""
    indices = listed(library, selection)
    return (
        replace(selection, page=indices.index(selection.index) // SAMPLES_PER_PAGE)
        if selection.index in indices
        else selection
    )
