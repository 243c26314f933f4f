"""What the Compare tab compares: judged once and kept, and the values of its components by their names in `Sheet`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

import afrd.analysis.comparison
import afrd.data
import afrd.figures
import afrd.metrics
from afrd.page.common.library import Cache, Library
from afrd.page.common.menus import category_choices, run_choices
from afrd.page.common.messages import message, working
from afrd.page.common.samples import on_its_page, splits_of
from afrd.page.common.selection import Selection, missing_run, usable_lights
from afrd.page.compare import text

if TYPE_CHECKING:
    import pandas as pd

    from afrd.analysis.comparison.differences import Curves, Standing
    from afrd.analysis.comparison.methods import Method
    from afrd.data.dataset import MultiLightDataset

METRIC = "pixel_ap"  # looked at first
OFTEN = 0.3  # seconds between looks at a table that grows
PROBLEMS = (ValueError, OSError, RuntimeError)  # of a run or its data; RuntimeError: no weights for the teacher
_kept = Cache(4000)  # some kB each


class NotComparableError(Exception):
    """Why there is nothing to show: a title, a text, and a command that helps."""

    def __init__(self, title: str, explanation: str = "", command: str = "") -> None:
        super().__init__(title)
        self.parts = (title, explanation, command)


class Comparison:
    """Every method of a category on one split with these lights; what is asked for is made once, and kept.

    Attributes:
        methods: the reference first, which is the shown run with its own fusion.
        lights: the chosen ones that some run knows.

    Raises:
        NotComparableError: no run, no lights, no good and anomalous samples.
    """

    def __init__(self, library: Library, selection: Selection) -> None:

        self.library, self.selection = library, selection
        if selection.category is None:
            raise NotComparableError("Nothing to compare yet", "There is no category and no finished run.")
        try:
            self.entry = library.category(selection.category)
            data = library.data_of(self.entry)
            self.dataset, self.data_lights = data[selection.split or ""], data.lights
            if not (self.entry.fused or self.entry.single):
                title = f"No run for {self.entry.name} yet"
                raise NotComparableError(title, "Train AFRD, and a light alone to compare:", missing_run(self.entry))
            if not selection.lights:
                raise NotComparableError(
                    "Choose at least one light", "Every method judges with the chosen lights only."
                )
            _check_truth(self.dataset)
            methods = library.methods(self.entry, selection.lights)
            reference = afrd.analysis.comparison.reference_of(methods, selection.run)
        except PROBLEMS as error:
            raise NotComparableError("This cannot be compared", str(error)) from None
        self.lights = tuple(light for light in selection.lights if any(light in method.lights for method in methods))
        self.methods = [reference, *(method for method in methods if method is not reference)]

    @property
    def reference(self) -> Method:
        return self.methods[0]

    def method(self, label: str) -> Method | None:
        return next((method for method in self.methods if method.label == label), None)

    def judging(self) -> Iterator[tuple[Method, Standing | str | None]]:
        """Each method twice: with None before it is judged, where that takes time, then with its standing, or with the
        sentence that says why it cannot judge."""
        for method in self.methods:
            if self._key("standing", self.reference, method) not in _kept:
                yield method, None
            try:
                yield method, self.standing(method)
            except PROBLEMS as error:
                if method is self.reference:
                    raise NotComparableError("This cannot be compared", str(error)) from None
                yield method, str(error)

    def standings(self) -> list[Standing]:
        """Of all methods that can judge."""
        return [found for _, found in self.judging() if found is not None and not isinstance(found, str)]

    def standing(self, method: Method) -> Standing:

        return self._get(
            "standing",
            lambda ours, theirs: afrd.analysis.comparison.standing(method, theirs, ours),
            self.reference,
            method,
        )

    def telling(self, method: Method, metric: str) -> pd.DataFrame:

        return self._get(
            metric,
            lambda ours, theirs: afrd.analysis.comparison.telling_samples(ours, theirs, metric),
            self.reference,
            method,
        )

    def curves(self, method: Method) -> Curves:

        return self._get("curves", afrd.analysis.comparison.curves, method)

    def defects(self, method: Method) -> pd.DataFrame:

        return self._get("defects", afrd.analysis.comparison.by_defect, method)

    def _key(self, what: str, *methods: Method) -> tuple:
        return (what, *(self.library.judged_key(method, self.dataset) for method in methods))

    def _get(self, what: str, make: Callable[..., Any], *methods: Method) -> Any:
        def made() -> Any:
            return make(*(self.library.judged(method, self.dataset) for method in methods))

        return _kept.get(self._key(what, *methods), made)

    def opened(self, sample: str, method: Method | None) -> Selection:
        """The sample in Explore, with the method's run beside it where that is of a single light."""
        if sample not in self.dataset.names:
            return self.selection
        index = self.dataset.names.index(sample)
        beside = method.runs[0].folder if method is not None and method.single else self.selection.beside
        selection = replace(self.selection, index=index, beside=beside, kind="all", verdict="all", pinned=None)
        return on_its_page(self.library, selection)


def _check_truth(dataset: MultiLightDataset) -> None:
    labels = set(dataset.anomalous)
    if {True, False} <= labels:
        return
    if not labels & {True, False}:
        what = "the truth about its samples is not known" if labels else "it has no samples"
    else:
        what = f"those of known truth are all {'anomalous' if True in labels else 'good'}"
    raise NotComparableError(
        f"Methods cannot be compared on {dataset.split}",
        f"A comparison needs good and anomalous samples, but {what}. Choose another split, such as a test split.",
    )


def sheets(library: Library, selection: Selection, metric: str, picked: str, drawn: Sequence[str]) -> Iterator[dict]:
    """The sheet as it grows: a row a method, then what the chosen metric says, then the figures."""

    try:
        found = Comparison(library, selection)
        standings: list[Standing] = []
        left_out: dict[str, str] = {}
        shown = 0.0
        for method, standing in found.judging():
            if isinstance(standing, str):
                left_out[method.label] = standing
            elif standing is not None:
                standings.append(standing)
            elif time.monotonic() - shown > OFTEN:
                shown = time.monotonic()
                done = len(standings) + len(left_out)
                status = working(f"Judging with {method.label}", done, len(found.methods))
                yield {"status": status, "table": text.method_rows(standings, found.data_lights)}
    except NotComparableError as why:
        yield {"status": message(*why.parts)}
        return
    yield {
        "status": text.headline(found.dataset, found.lights),
        "table": text.method_rows(standings, found.data_lights),
        "notes": text.notes(found.dataset, standings, left_out),
        **first_look(found, standings, metric, picked),
    }
    labels = [one.method.label for one in standings]
    drawn = [label for label in drawn if label in labels]
    if found.reference.label not in drawn or len(drawn) < min(2, len(labels)):
        drawn = afrd.analysis.comparison.worth_drawing(standings, metric or METRIC)
        beside = [m.label for m in found.methods if m.single and m.runs[0].folder == selection.beside]
        drawn += [label for label in beside if label in labels and label not in drawn]  # what Explore compares with
    yield {"drawn": gr.Dropdown(labels, value=drawn, multiselect=True), **figures(found, drawn)}


def first_look(found: Comparison, standings: Sequence[Standing], metric: str, picked: str) -> dict:
    """The metric's menu and what it says; the samples of the best single light where nobody has chosen a method."""

    defined = [m for m in afrd.metrics.METRIC_NAMES if not math.isnan(standings[0].intervals.value[m])]
    metric = metric if metric in defined else METRIC if METRIC in defined else defined[0]
    others = [one.method.label for one in standings[1:]]
    if picked not in others:
        picked = next(
            (label for label in afrd.analysis.comparison.worth_drawing(standings, metric) if label in others), ""
        )
        picked = picked or next(iter(others), "")
    return {
        "picked": picked,
        "metric": gr.Radio([(afrd.metrics.METRIC_NAMES[m], m) for m in defined], value=metric),
        **closer(found, standings, metric, picked),
    }


def closer(found: Comparison, standings: Sequence[Standing], metric: str, picked: str) -> dict:
    """What one metric says: words, forest plot, and the samples that tell the reference and the picked method apart."""

    if len(standings) == 1:
        return {"words": text.alone(found.reference, missing_run(found.entry))}
    forest = afrd.figures.difference_forest(
        afrd.analysis.comparison.differences.differences(standings, metric),
        afrd.metrics.METRIC_NAMES[metric],
        found.reference.label,
    )
    return {"words": text.words(standings, metric), "forest": forest, **samples(found, metric, picked)}


def samples(found: Comparison, metric: str, picked: str) -> dict:
    """The samples that make the difference between the reference and the method of this label."""
    method = found.method(picked)
    if method is None or method is found.reference:
        return {}
    table = found.telling(method, metric)
    heading = text.samples_heading(found.dataset, found.reference, method, metric, table)
    return {"picked": picked, "heading": heading, "samples": text.sample_rows(table, metric)}


def figures(found: Comparison, drawn: Sequence[str]) -> dict:
    """ROC, PRO and defect types of the methods of these labels."""

    methods = {
        f"{m.label} · {text.lights_text(m.lights, found.data_lights)}": m for m in found.methods if m.label in drawn
    }
    curves = {name: found.curves(method) for name, method in methods.items()}
    bars = {name: found.defects(method) for name, method in methods.items()}
    return {
        "roc": afrd.figures.roc_curves(curves),
        "pro": afrd.figures.pro_curves(curves),
        "defects": afrd.figures.defect_bars(bars),
    }


def menus(library: Library, selection: Selection) -> list:
    """Values of `Menus`."""
    entries = library.categories()
    entry = next((e for e in entries if e.key == selection.category), None)
    splits: list[str] = []
    lights: tuple[str, ...] = ()
    if entry is not None:
        with suppress(ValueError, OSError):  # the sheet says what is wrong
            splits, lights = splits_of(library, entry), lights_of(library, selection)
    return [
        gr.Dropdown(category_choices(entries), value=selection.category),
        gr.Dropdown(run_choices(entry.fused if entry else ()), value=str(selection.run or "")),
        gr.Dropdown(splits, value=selection.split),
        gr.CheckboxGroup(list(lights), value=[light for light in selection.lights if light in lights]),
    ]


def lights_of(library: Library, selection: Selection) -> tuple[str, ...]:
    """Those to choose among.

    Raises:
        ValueError, OSError: the category or its pictures are not there.
    """
    entry = library.category(selection.category)
    return usable_lights(entry, selection, library.data_of(entry).lights)
