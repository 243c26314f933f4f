"""The Lights tab: which lights are needed, what each is worth, and which are redundant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import gradio as gr

import afrd.analysis.lights
import afrd.analysis.reports
import afrd.figures
import afrd.metrics
from afrd.page.common import events
from afrd.page.common.components import fetch, made_file
from afrd.page.common.menus import MENU_CHANGES, Change, selection_menu_values
from afrd.page.common.messages import NothingToShowError, message
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.samples import opened_selection, with_samples
from afrd.page.common.selection import Selection
from afrd.page.common.session import PageSession, Versioned
from afrd.page.lights import views
from afrd.page.lights.layout import DELTA, METRIC, LightsComponents
from afrd.page.lights.sample import SamplePart
from afrd.page.lights.subject import CHECK_SECONDS, Subject, Surveys

if TYPE_CHECKING:
    from afrd.analysis.lights.advice import Advice
    from afrd.analysis.lights.survey import Survey

DRAWN = ("status", "pareto", "worth", "sets", "same", "defects", "costs")
_numbers = count(1)


class LightsState:
    """State of this tab for one browser session: the number of the latest request."""

    def __init__(self) -> None:
        self.latest = Versioned(0)


def lights_tab(tab: gr.Tab, open_in_explore: OpenInExplore) -> None:
    """Creates the tab and connects its events."""
    LightsTab(tab, open_in_explore)


class LightsTab:
    """The tab's components, and the handlers of their events."""

    def __init__(self, tab: gr.Tab, open_in_explore: OpenInExplore) -> None:
        self.open_in_explore, self.library = open_in_explore, open_in_explore.library
        self.surveys = Surveys(self.library)
        self.request = gr.State(0)  # the number of the latest request to show the selection; a new one shows it again
        self.redrawing = gr.State(0)  # the number of the latest change of what is asked of the selection
        with gr.Column(elem_classes=["compare", "lights"]):
            self.components = LightsComponents()
            SamplePart(open_in_explore, self.surveys, self.request)
        self._connect(tab)

    def _connect(self, tab: gr.Tab) -> None:
        components, request = self.components, self.request
        on = partial(events.on, self.open_in_explore.session)
        question = components.named("metric", "delta", "unit", "costs", "which")
        waiting = {"trigger_mode": "multiple", "concurrency_limit": 8, "concurrency_id": "lights"}  # it mostly waits
        show = partial(gr.on, [request.change, self.redrawing.change])
        on(show, self.show, [request, self.redrawing, *question], components.named(*DRAWN), "lights_show", **waiting)

        menus = components.named("category", "run", "split")
        whole_tab = [self.open_in_explore.changed, *menus, request]
        on(tab.select, self.open_tab, [], whole_tab, "lights_open")
        for menu, (name, change) in zip(menus, MENU_CHANGES.items(), strict=True):
            on(menu.input, partial(self.choose, change), [menu], whole_tab, f"lights_{name}")

        on(components.start.click, self.start, [components.metric], [request], "lights_start", trigger_mode="once")
        cancelling = {"trigger_mode": "once", "concurrency_id": "lights-cancel"}
        on(components.cancel.click, self.cancel, [components.metric], [], "lights_cancel", **cancelling)
        # One event draws it all: were there two, the older drawing could be the last to arrive.
        for name, event in (
            ("metric", components.metric.input),
            ("delta", components.delta.change),
            ("unit", components.unit.submit),
            ("unit_left", components.unit.blur),
            ("costs", components.costs.input),
            ("which", components.which.input),
        ):
            on(event, lambda session: next(_numbers), [], [self.redrawing], f"lights_{name}")

        to_explore = self.open_in_explore.outputs
        opened = on(components.sets.select, self.open_set, [components.metric], to_explore, "lights_open_set")
        opened.success(fn=None, js="() => window.scrollTo(0, 0)", api_name="lights_to_top")
        report_made = on(components.report.click, self.report, question, [components.report_file], "lights_report")
        report_made.success(**fetch("lights-report-file"), api_name="lights_fetch_report")

    def open_tab(self, session: PageSession) -> list:
        return self.changed(session, partial(opened_selection, self.library))

    def choose(self, change: Change, session: PageSession, value: str) -> list:
        return self.changed(session, lambda selection: change(self.library, selection, value))

    def changed(self, session: PageSession, change: Any) -> list:
        """Changes the selection; returns it, the menus, and the number of a new request."""
        session.apply(change)
        return session.drawn(
            lambda selection: [selection, *selection_menu_values(self.library, selection), next(_numbers)]
        )

    def show(self, session: PageSession, request: int, redrawing: int, *question: Any) -> Iterator[dict]:
        """Waits for the running job and shows the survey, unless there is a later request in this session."""
        latest, number = session.state(LightsState).latest, max(request, redrawing)
        yield {self.components.status: gr.skip()}  # of a generator that yields nothing Gradio would empty the outputs
        if latest.apply(lambda latest: max(latest, number)) != number:
            return
        for values in self.survey_values(session.selection, *question):
            if latest.value != number:
                return
            yield self.components.filled(values)

    def survey_values(
        self, selection: Selection, metric: str, delta: float | None, unit: str, costs: Any, which: str
    ) -> Iterator[dict[str, Any]]:
        """Values of components by name."""
        try:
            subject = self.surveys.subject(selection)
            survey = self.surveys.survey(subject, _metric(metric))
            while survey is None and (job := self.surveys.job(subject, _metric(metric))) is not None:
                yield {"status": views.progress(job)}
                if job.wait(CHECK_SECONDS):
                    self.surveys.forget(subject, _metric(metric), job)
                    if job.problem:
                        raise NothingToShowError("The lights could not be judged", job.problem)
                    survey = job.result
                    break
            if survey is None:
                yield {"status": views.not_yet(subject.run, subject.dataset)}
                return
        except NothingToShowError as why:
            yield {"status": message(*why.parts)}
            return
        is_new = [row[0] for row in costs or []] != list(survey.lights)  # what somebody typed is never written over
        if is_new:
            costs = [*(dict.fromkeys(survey.lights, 1.0) | views.read_costs(costs, survey.lights)).items()]
        values = views.drawn(survey, _advice(survey, metric, delta, unit, costs), which)
        yield values | ({"costs": views.cost_rows(costs)} if is_new else {})

    def start(self, session: PageSession, metric: str) -> int:
        subject = self.surveys.subject(session.selection)
        if self.surveys.survey(subject, _metric(metric)) is None:
            self.surveys.start(subject, _metric(metric))
        return next(_numbers)

    def cancel(self, session: PageSession, metric: str) -> None:
        job = self.surveys.job(self.surveys.subject(session.selection), _metric(metric))
        if job is not None:
            job.cancel()

    def finished(self, selection: Selection, metric: str) -> tuple[Subject, Survey]:
        """The selected run and split with their survey.

        Raises:
            ValueError: it has not been made.
        """
        subject = self.surveys.subject(selection)
        survey = self.surveys.survey(subject, _metric(metric))
        if survey is None:
            raise ValueError("The lights of this run have not been judged yet.")
        return subject, survey

    def open_set(self, session: PageSession, metric: str, event: gr.SelectData) -> dict:
        row = event.row_value

        def change(selection: Selection) -> Selection:
            subject, survey = self.finished(selection, metric)
            sets = {", ".join(survey.named(k)): survey.named(k) for k in range(len(survey))}
            chosen = sets.get(str(row[0]) if row else "")
            if chosen is None:
                raise ValueError("This set of lights is not in the table.")
            lights = tuple(light for light in subject.dataset.lights if light in chosen)
            shown = selection.shown if selection.shown in lights else lights[-1]
            return with_samples(self.library, replace(selection, lights=lights, shown=shown), prefer_defects=True)

        return self.open_in_explore.opened(session, change)

    def report(self, session: PageSession, *question: Any) -> str:
        survey = self.finished(session.selection, question[0])[1]
        content = afrd.analysis.reports.lights.report(survey, _advice(survey, *question[:4]))
        return made_file(f"lights-{survey.category}-{survey.split}.html", content)


def _metric(metric: str) -> str:
    return metric if metric in afrd.metrics.METRIC_NAMES else METRIC


def _advice(survey: Survey, metric: str, delta: float | None, unit: str | None, costs: Any) -> Advice:
    prices = views.read_costs(costs, survey.lights)
    delta = DELTA if delta is None else float(delta)
    return afrd.analysis.lights.advise(survey, _metric(metric), delta, prices, (unit or "").strip()[:20])
