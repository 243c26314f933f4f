"""Operating points in the Errors tab: consequences of a rate of false alarms, and rates stored with the run."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

import afrd.metrics
import afrd.runs
from afrd.page.common import keys
from afrd.page.common.components import Components, menu
from afrd.page.common.html import macros, plain
from afrd.page.common.messages import PROBLEMS
from afrd.page.common.session import PageSession
from afrd.page.errors.analysis import Analysis
from afrd.page.errors.layout import ErrorsComponents
from afrd.page.errors.state import FILTER_INPUTS, ErrorsState, Filters
from afrd.runs.cache import MB, Cache

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from afrd.metrics.consequences import OperatingPoint

LEAST_PER_THOUSAND, MOST_PER_THOUSAND, FIRST_PER_THOUSAND = 1, 300, 50
MAX_UNIT = 20  # characters
_calibrations = Cache(2 * MB)  # by method


class PointsComponents(Components):
    """The components, laid out by `lay_out`."""

    def lay_out(self, may_save: bool) -> None:
        """Creates them; `may_save`: whether operating points can be saved and removed here."""
        with gr.Accordion("Threshold by its consequences", open=False, elem_id="errors-points"):
            self.rate = gr.Slider(
                LEAST_PER_THOUSAND,
                MOST_PER_THOUSAND,
                value=FIRST_PER_THOUSAND,
                step=1,
                label="False alarms per thousand good parts",
                buttons=[],
                elem_id="errors-rate",
            )
            with gr.Row(elem_classes="filters", equal_height=True):
                self.missed_cost = _cost("A missed defect costs", "errors-missed-cost")
                self.alarm_cost = _cost("A false alarm costs", "errors-alarm-cost")
                self.unit = gr.Textbox(
                    label="Unit", placeholder="such as EUR", max_length=MAX_UNIT, min_width=90, elem_id="errors-unit"
                )
            self.consequences = gr.HTML("", apply_default_css=False, elem_id="errors-consequences")
            with gr.Row(elem_classes="filters", equal_height=True):
                self.point = menu("Operating points of this run", "errors-point", 170)
                self.name = gr.Textbox(
                    label="Name", max_length=60, min_width=120, visible=may_save, elem_id="errors-point-name"
                )
                self.save = gr.Button(
                    "Save as operating point", size="sm", min_width=170, visible=may_save, elem_id="errors-save-point"
                )
                self.remove = gr.Button(
                    "Remove", size="sm", min_width=80, scale=0, visible=may_save, elem_id="errors-remove-point"
                )
                self.undo = gr.Button(
                    "Undo", size="sm", min_width=60, scale=0, visible=may_save, elem_id="errors-undo-point"
                )


def _cost(label: str, elem_id: str) -> gr.Number:
    return gr.Number(1, label=label, minimum=0, min_width=120, elem_id=elem_id)


class PointActions:
    """Handlers of the events.

    Args:
        points, components: of the tab.
        judged: changes when a split was evaluated.
        on: of the tab; it connects an event.
        drawn: names of the components that show the table.
        draw: values of these, with the histogram, for a state and filters, by name.
        may_save: whether operating points can be saved and removed here.
    """

    def __init__(
        self,
        points: PointsComponents,
        components: ErrorsComponents,
        judged: gr.State,
        on: Callable,
        drawn: tuple[str, ...],
        draw: Callable[..., dict[str, Any]],
        may_save: bool,
    ) -> None:
        self.points, self.components, self.draw = points, components, draw
        costs = points.named("missed_cost", "alarm_cost", "unit")
        rate, filter_values = [points.rate, *costs], components.named(*FILTER_INPUTS)
        on(judged.change, self.fill_menu, [], [points.point], "errors_points")
        # One event for all, or else an earlier one's answer could arrive after a later one's, and stay. A chosen
        # point sets the rate and the costs, whose changes lead here as well.
        changes = partial(gr.on, [judged.change, points.rate.change, *(cost.change for cost in costs)])
        on(changes, self.show, rate, [points.consequences], "errors_consequences")
        table = components.named("threshold", "histogram", *drawn)
        on(points.rate.input, self.judge, [*rate[:3], *filter_values], table, "errors_rate")
        outputs = [*points.named("rate", "missed_cost", "alarm_cost"), *table]
        on(points.point.input, self.choose, [points.point, *filter_values], outputs, "errors_choose_point")
        if may_save:
            changed = points.named("point", "name")
            on(points.save.click, self.save, [points.name, *rate], changed, "errors_save_point")
            on(points.name.submit, self.save, [points.name, *rate], changed, "errors_submit_point")
            on(points.remove.click, self.remove, [points.point], changed, "errors_remove_point")
            on(points.undo.click, self.undo, [], changed, "errors_undo_point")

    def fill_menu(self, session: PageSession) -> dict:
        """The run's own operating points."""
        analysis = session.state(ErrorsState).analysis
        return {self.points.point: gr.skip() if analysis is None else _menu(_folder(analysis))}

    def show(self, session: PageSession, *rate: Any) -> dict:
        """The consequences of a rate."""
        analysis = session.state(ErrorsState).analysis
        return {self.points.consequences: gr.skip() if analysis is None else consequences_text(analysis, *rate)}

    def judge(
        self, session: PageSession, per_thousand: float, missed: float, alarm: float, *filter_values: Any
    ) -> dict:
        """The table at a rate's threshold."""
        return self._at(session, _analysis(session), _point(per_thousand, missed, alarm), filter_values)

    def choose(self, session: PageSession, name: str, *filter_values: Any) -> dict:
        """The rate and the costs of an operating point, and the table at its threshold."""
        analysis = _analysis(session)
        point = afrd.runs.operating_point(_folder(analysis), name)
        rate: Any = point.per_thousand
        if not LEAST_PER_THOUSAND <= rate <= MOST_PER_THOUSAND:  # from the command line
            rate = gr.Slider(0, 1000, value=rate)  # and it stays so wide, as the old rate may be sent once more
        values = {"rate": rate, "missed_cost": point.missed_cost, "alarm_cost": point.alarm_cost}
        return self.points.filled(values) | self._at(session, analysis, point, filter_values)

    def save(self, session: PageSession, name: str, *rate: Any) -> dict:
        folder, name = _folder(_analysis(session)), name.strip()
        afrd.runs.save_operating_point(folder, name, _point(*rate[:3]))
        gr.Info(plain(f"{name} is kept with the run: afrd predict {folder} --point {name!r}"))
        return self.points.filled({"point": _menu(folder, name), "name": ""})

    def undo(self, session: PageSession) -> dict:
        """Undoes the latest change of the run's operating points, by any user."""
        folder = _folder(_analysis(session))
        names = list(afrd.runs.undo_operating_point(folder))
        gr.Info(plain(f"{folder.name} has {'the operating points ' + ', '.join(names) if names else 'none'} now."))
        return self.points.filled({"point": _menu(folder), "name": gr.skip()})

    def remove(self, session: PageSession, name: str) -> dict:
        folder = _folder(_analysis(session))
        if not name:
            raise ValueError("choose the operating point that is to be removed")
        afrd.runs.operating_point(folder, name)  # says so where there is none
        afrd.runs.save_operating_point(folder, name, None)
        gr.Info(plain(f"{name} is removed; its name stays in the field, to save it again."))
        return self.points.filled({"point": _menu(folder), "name": name})

    def _at(self, session: PageSession, analysis: Analysis, point: OperatingPoint, filter_values: tuple) -> dict:
        """The table at the threshold of a point, in units of the run's own threshold."""
        _, *others = filter_values
        own = analysis.judged(analysis.main).threshold
        if own is None:
            return {}
        value = afrd.metrics.conformal_threshold(_calibration(analysis), point.alpha).value
        at = math.ceil(1e4 * value / own.value - 1e-6) / 1e4  # upwards, so that the sample that sets it is good
        drawn = self.draw(session.state(ErrorsState), Filters(at, *others), histogram=True)
        return self.components.filled({"threshold": at, **drawn})


def consequences_text(analysis: Analysis, per_thousand: float, missed_cost: float, alarm_cost: float, unit: str) -> str:
    """The consequences of a rate on the split that is shown, or why there are none."""
    try:
        point, predictions = _point(per_thousand, missed_cost, alarm_cost), analysis.judged(analysis.main)
        calibration = _calibration(analysis)
    except PROBLEMS as error:
        return macros("errors/macros.html").nothing(error)
    if not len(calibration):
        return macros("errors/macros.html").nothing(
            "This run kept no good samples, so no rate of false alarms can be promised."
        )
    costs = point.missed_cost, point.alarm_cost
    table = afrd.metrics.consequences(predictions, calibration, [point.per_thousand], *costs)
    if not table.good[0] and not table.anomalous[0]:
        return macros("errors/macros.html").nothing(
            "The truth of this split is not known, so there is nothing to count."
        )
    row = table.to_dict("records")[0]
    return macros("errors/points.html").consequences(row, str(unit or "")[:MAX_UNIT], len(calibration))


def _calibration(analysis: Analysis) -> np.ndarray:
    """(n,) scores of the good samples that the threshold of the shown run comes from."""
    main = analysis.main
    return _calibrations.get(keys.of_method(main), lambda: main.runs[0].calibration_scores(main.lights, main.fusion))


def _point(per_thousand: Any, missed_cost: Any, alarm_cost: Any) -> OperatingPoint:
    """Raises ValueError where a field is empty, or a number out of range."""
    if any(not isinstance(value, int | float) for value in (per_thousand, missed_cost, alarm_cost)):
        raise ValueError("the rate of false alarms and both costs must be numbers; a cost may be 0")
    return afrd.metrics.OperatingPoint(float(per_thousand), float(missed_cost), float(alarm_cost))


def _menu(folder: Path, chosen: str | None = None) -> gr.Dropdown:
    try:
        names = list(afrd.runs.operating_points(folder))
    except ValueError as error:
        gr.Warning(plain(error))
        names = []
    return gr.Dropdown(names, value=chosen)


def _analysis(session: PageSession) -> Analysis:
    analysis = session.state(ErrorsState).analysis
    if analysis is None:
        raise ValueError("There is no table yet.")
    return analysis


def _folder(analysis: Analysis) -> Path:
    return analysis.main.runs[0].folder
