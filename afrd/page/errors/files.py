"""Files of the Errors tab: the table as CSV, and as a report with pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

import afrd.analysis.reports
from afrd.page.common.components import fetch, made_file
from afrd.page.common.messages import PROBLEMS, page_error
from afrd.page.common.session import PageSession
from afrd.page.errors import views
from afrd.page.errors.analysis import Analysis
from afrd.page.errors.groups import measured, shown_view
from afrd.page.errors.layout import ErrorsComponents
from afrd.page.errors.state import FILTER_INPUTS


class Files:
    """Handlers of the buttons that make a file.

    Args:
        components: of the tab.
        on: of the tab; it connects an event.
    """

    def __init__(self, components: ErrorsComponents, on: Callable) -> None:
        self.components, filter_values = components, components.named(*FILTER_INPUTS)
        event = on(components.csv.click, self.make_csv, filter_values, [components.csv_file], "errors_csv")
        event.success(**fetch("errors-csv-file"), api_name="errors_fetch_csv")
        usual = {"concurrency_limit": 2, "concurrency_id": "torch"}
        outputs = components.named("report", "report_file")
        event = on(components.report.click, self.make_report, filter_values, outputs, "errors_report", **usual)
        event.success(**fetch("errors-report-file"), api_name="errors_fetch_report")

    def make_csv(self, session: PageSession, *filter_values: Any) -> str:
        analysis, view = shown_view(session, filter_values)
        return made_file(file_name(analysis, "csv"), afrd.analysis.reports.errors.csv(view.frame.iloc[view.rows]))

    def make_report(self, session: PageSession, *filter_values: Any) -> Iterator[dict]:
        analysis, view = shown_view(session, filter_values)
        button, filled = gr.Button("Report", interactive=True), self.components.filled
        yield filled({"report": gr.Button("Making it …", interactive=False)})
        beside = analysis.beside(view.table.other)
        predictions = [analysis.judged(method) for method in (analysis.main, beside) if method is not None]
        filters, notes = views.count_line(view).partition(": ")[2], analysis.notes_by_sample()
        light = analysis.selection.shown
        try:
            groups = measured(analysis, view)[0]
            content = afrd.analysis.reports.errors.report(
                view.table, view.rows, analysis.dataset, predictions, notes, view.threshold, filters, light, groups
            )
        except PROBLEMS as error:
            yield filled({"report": button})
            raise page_error(error) from None
        yield filled({"report": button, "report_file": made_file(file_name(analysis, "html"), content)})


def file_name(analysis: Analysis, suffix: str) -> str:
    return f"errors-{analysis.dataset.category}-{analysis.dataset.split}.{suffix}"
