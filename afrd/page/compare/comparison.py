"""The comparison behind the Compare tab: methods on one split, with cached results."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import afrd.analysis.comparison
from afrd.metrics.words import label_word
from afrd.page.common.library import Library
from afrd.page.common.messages import PROBLEMS, NothingToShowError
from afrd.page.common.precedence import give_way
from afrd.page.common.samples import with_named_sample
from afrd.page.common.selection import Selection, missing_run, usable_lights
from afrd.runs.cache import MB, Cache

if TYPE_CHECKING:
    import pandas as pd

    from afrd.analysis.comparison.differences import Curves, MethodResult
    from afrd.analysis.comparison.methods import Method
    from afrd.data.dataset import MultiLightDataset
    from afrd.metrics.predictions import Predictions
    from afrd.runs.run import Run

_results = Cache(50 * MB)


class Comparison:
    """Every method of a category on one split with these lights; results are computed on demand and cached.

    Attributes:
        methods: the reference first, which is the shown run with its own fusion.
        lights: the chosen ones that some run was trained on.

    Raises:
        NothingToShowError: no run, no lights, no good and anomalous samples.
    """

    def __init__(self, library: Library, selection: Selection) -> None:
        self.library, self.selection = library, selection
        if selection.category is None:
            raise NothingToShowError("Nothing to compare yet", "There is no category and no finished run.")
        try:
            self.entry = library.category(selection.category)
            data = library.data_of(self.entry)
            self.dataset, self.data_lights = data[selection.split or ""], data.lights
            if not (self.entry.fused or self.entry.single):
                title = f"No run for {self.entry.name} yet"
                raise NothingToShowError(title, "Train AFRD, and a light alone to compare:", missing_run(self.entry))
            if not selection.lights:
                raise NothingToShowError(
                    "Choose at least one light", "Every method judges with the chosen lights only."
                )
            _check_truth(self.dataset)
            methods = library.methods(self.entry, selection.lights, selection.run)
            reference = afrd.analysis.comparison.reference_of(methods, selection.run)
        except PROBLEMS as error:
            raise NothingToShowError("This cannot be compared", str(error)) from None
        self.lights = tuple(light for light in selection.lights if any(light in method.lights for method in methods))
        self.methods = [reference, *(method for method in methods if method is not reference)]

    @property
    def reference(self) -> Method:
        return self.methods[0]

    def region_note(self) -> str:
        """What must be known of the region in which all methods judge, and of corrections; empty without either."""
        return self._get("region", lambda predictions: predictions.note(), self.reference)

    def method(self, label: str) -> Method | None:
        return next((method for method in self.methods if method.label == label), None)

    def judging(self) -> Iterator[tuple[Method, MethodResult | str | None]]:
        """Each method twice: with None before it is evaluated, if that takes time, then with its result, or with the
        reason why it cannot be evaluated.

        Each processor evaluates a method of its own, and lets the events of Explore go first.
        """
        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            cached = {method: self._is_known(method) for method in self.methods}
            # with the snapshot of the files that belongs to this thread
            futures = {
                method: pool.submit(copy_context().run, self.result if cached[method] else self._when_quiet, method)
                for method in of_different_runs_first(self.methods)
            }
            for method in self.methods:
                if not cached[method]:
                    yield method, None
                try:
                    yield method, futures[method].result()
                except PROBLEMS as error:
                    if method is self.reference:
                        raise NothingToShowError("This cannot be compared", str(error)) from None
                    yield method, str(error)
        finally:  # also if the caller stops early
            pool.shutdown(wait=False, cancel_futures=True)

    def _when_quiet(self, method: Method) -> MethodResult:
        give_way()
        return self.result(method)

    def _is_known(self, method: Method) -> bool:
        return self._key("result", self.reference, method) in _results

    def results(self) -> list[MethodResult]:
        """The results of all methods that can be evaluated."""
        return [result for _, result in self.judging() if result is not None and not isinstance(result, str)]

    def result(self, method: Method) -> MethodResult:
        def make(ours: Predictions, theirs: Predictions) -> MethodResult:
            return afrd.analysis.comparison.method_result(method, theirs, ours)

        return self._get("result", make, self.reference, method)

    def distinguishing_samples(self, method: Method, metric: str) -> pd.DataFrame:
        make = partial(afrd.analysis.comparison.telling_samples, metric=metric)
        return self._get(metric, make, self.reference, method)

    def curves(self, method: Method) -> Curves:
        return self._get("curves", afrd.analysis.comparison.curves, method)

    def defects(self, method: Method) -> pd.DataFrame:
        return self._get("defects", afrd.analysis.comparison.by_defect, method)

    def _key(self, kind: str, *methods: Method) -> tuple:
        return (kind, *(self.library.judged_key(method, self.dataset) for method in methods))

    def _get(self, kind: str, make: Callable[..., Any], *methods: Method) -> Any:
        def compute() -> Any:
            # the reference last, so that methods that are judged at once do not all wait for it
            predictions = [self.library.judged(method, self.dataset) for method in reversed(methods)]
            return make(*reversed(predictions))

        return _results.get(self._key(kind, *methods), compute)

    def opened(self, sample: str, method: Method | None) -> Selection:
        """The sample in Explore, with the method's run beside it where that is of a single light."""
        if sample not in self.dataset.names:
            return self.selection
        beside = method.runs[0].folder if method is not None and method.single else self.selection.beside
        return with_named_sample(self.library, replace(self.selection, beside=beside), sample)


def of_different_runs_first(methods: Sequence[Method]) -> list[Method]:
    """The order in which methods are judged at once, as those of one run would wait for the same evidence.

    The evidence of a memory alone takes longest, so its further methods come last.
    """
    earlier: Counter[tuple[Run, ...]] = Counter()
    order = []
    for method in methods:
        turn = earlier[method.runs]
        order.append((turn > 0 and method.memory, turn))
        earlier[method.runs] += 1
    return [method for _, method in sorted(zip(order, methods, strict=True), key=itemgetter(0))]


def _check_truth(dataset: MultiLightDataset) -> None:
    labels = set(dataset.anomalous)
    if {True, False} <= labels:
        return
    if not labels & {True, False}:
        reason = "the truth about its samples is not known" if labels else "it has no samples"
    else:
        reason = f"those of known truth are all {label_word(True in labels)}"
    raise NothingToShowError(
        f"Methods cannot be compared on {dataset.split}",
        f"A comparison needs good and anomalous samples, but {reason}. Choose another split, such as a test split.",
    )


def lights_of(library: Library, selection: Selection) -> tuple[str, ...]:
    """The lights to choose among.

    Raises:
        ValueError, OSError: the category or its pictures are missing.
    """
    entry = library.category(selection.category)
    return usable_lights(entry, selection, library.data_of(entry).lights)
