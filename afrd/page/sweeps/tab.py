"""The Sweeps tab: the tables of a sweep; a cell opens its run in Explore."""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr

import afrd.metrics
from afrd.page.common import events
from afrd.page.common.components import Components, fetch, made_file, menu, table
from afrd.page.common.messages import PROBLEMS, message, working
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.session import PageSession
from afrd.page.sweeps.results import Sweep, Sweeps, opened_run

POLL_SECONDS = 5.0  # between two looks at a sweep that runs


class SweepsComponents(Components):
    """The tab's components."""

    def __init__(self) -> None:
        with gr.Row(elem_classes="controls", equal_height=True):
            self.sweep = menu("Sweep", "sweeps-sweep", 220)
            self.section = menu("Lights, teacher, size", "sweeps-section", 320)
            self.metric = menu("Metric", "sweeps-metric", 160)
            self.report = gr.Button("Report", size="sm", min_width=80, scale=0, elem_id="sweeps-report")
            self.report_file = gr.DownloadButton(elem_id="sweeps-report-file", elem_classes="file")
        self.status = gr.HTML(message("Loading …"), elem_id="sweeps-status")
        with gr.Column(visible=False) as self.body:  # an empty table would show columns named 1, 2, 3
            self.table = table("Results of the sweep", "sweeps-table", max_height=560, pinned_columns=1)
        self.made_of = gr.State(None)  # of which menus' values, and of how many results, the table is made
        self.timer = gr.Timer(POLL_SECONDS, active=False)


def sweeps_tab(tab: gr.Tab, open_in_explore: OpenInExplore) -> None:
    """Creates the tab and connects its events."""
    SweepsTab(tab, open_in_explore)


class SweepsTab:
    """The handlers of the tab's events."""

    def __init__(self, tab: gr.Tab, open_in_explore: OpenInExplore) -> None:
        self.open_in_explore, self.library = open_in_explore, open_in_explore.library
        self.sweeps, self.components = Sweeps(self.library.runs), SweepsComponents()
        components = self.components
        on = partial(events.on, open_in_explore.session)
        menus = components.named("sweep", "section", "metric")
        shown = components.named("sweep", "section", "metric", "status", "body", "table", "made_of", "timer")
        on(tab.select, self.show, menus, shown, "sweeps_open")
        # one event for all, or else an earlier one's answer could arrive last and undo a later choice
        changes = partial(gr.on, [*(menu.input for menu in menus), components.timer.tick])
        on(changes, self.look, [*menus, components.made_of], shown, "sweeps_look")
        on(components.table.select, self.open_cell, menus, open_in_explore.outputs, "sweeps_open_run")
        report_made = on(components.report.click, self.make_report, menus, [components.report_file], "sweeps_report")
        report_made.success(**fetch("sweeps-report-file"), api_name="sweeps_fetch_report")

    def show(self, _: PageSession, name: str | None, section: str | None, metric: str | None) -> dict:
        """Fills the tab; a sweep or a section that does not exist is replaced by the first one."""
        folders = self.sweeps.folders()
        name = name if name in folders else next(iter(folders), None)
        reported = afrd.metrics.REPORTED_METRICS
        metric = metric if metric in reported else reported[0]
        metrics = [(afrd.metrics.METRIC_NAMES[metric_key], metric_key) for metric_key in reported]
        values: dict[str, Any] = {"sweep": gr.Dropdown(list(folders), value=name)}
        values |= {"metric": gr.Dropdown(metrics, value=metric), "section": gr.Dropdown([], value=None)}
        values |= {"table": None, "body": gr.Column(visible=False), "made_of": None, "timer": gr.Timer(active=False)}
        if name is None:
            text = "A sweep trains every combination of categories, methods, lights and seeds."
            none_yet = message("There is no sweep yet", text, f"afrd sweep PLAN.toml --out {self.library.runs}/sweep")
            return self.components.filled(values | {"status": none_yet})
        try:
            sweep = self.sweeps.read(name)
        except PROBLEMS as error:
            return self.components.filled(values | {"status": message("It cannot be shown", str(error))})
        section = section if section in sweep.sections else next(iter(sweep.sections), None)
        values |= _progress(sweep) | {"made_of": (name, section, metric, sweep.results)}
        if section is not None:
            values["section"] = gr.Dropdown(list(sweep.sections), value=section)
            values |= {"table": sweep.table(section, metric), "body": gr.Column(visible=True)}
        return self.components.filled(values)

    def look(
        self, session: PageSession, name: str | None, section: str | None, metric: str | None, made_of: tuple | None
    ) -> dict:
        """Fills the tab where a menu or the number of results has changed, or else shows the sweep's progress alone."""
        if name is not None and made_of is not None and made_of[:3] == (name, section, metric):
            sweep = self.sweeps.read(name)
            if sweep.results == made_of[3]:
                return self.components.filled(_progress(sweep))
        return self.show(session, name, section, metric)

    def open_cell(
        self, session: PageSession, name: str, section: str, metric: str, event: gr.SelectData
    ) -> dict[Any, Any]:
        sweep = self.sweeps.read(name)
        if section not in sweep.sections:
            raise ValueError(f"this sweep has no results of {section}")
        column = sweep.table(section, metric).columns[event.index[1]]
        folder = sweep.run_of(section, str(event.row_value[0]), column)
        return self.open_in_explore.opened(session, lambda _: opened_run(self.library, folder))

    def make_report(self, _: PageSession, name: str, *__: str) -> str:
        return made_file("sweep.html", self.sweeps.read(name).report())


def _progress(sweep: Sweep) -> dict[str, Any]:
    text = f"{sweep.progress()}{'; a cell of the table opens its run in Explore' if sweep.sections else ''}"
    done = sum(status.state == "done" for status in sweep.statuses)
    return {"status": working(text, done, len(sweep.statuses)), "timer": gr.Timer(active=sweep.changing)}
