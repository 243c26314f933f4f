"""Layout of the Compare tab: its components, and where they are placed."""

from __future__ import annotations

import gradio as gr

from afrd.page.common.components import Components, plot, table
from afrd.page.common.menus import selection_menus
from afrd.page.common.messages import message

MAX_DRAWN = 8  # methods whose curves can be distinguished


class CompareComponents(Components):
    """The tab's components."""

    def __init__(self) -> None:
        with gr.Column(elem_classes="compare"):
            with gr.Row(elem_classes="controls", equal_height=True):
                self.category, self.run, self.split = selection_menus("compare", "Reference run")
                self.lights = gr.CheckboxGroup(
                    [], label="Lights", scale=3, min_width=420, show_select_all=True, elem_id="compare-lights"
                )
            # The style sheet hides what has nothing to show: Gradio can lose an update of what it is just mounting.
            self.status = gr.HTML(message("Loading …"), elem_id="compare-status")
            self.table = _table("All methods", "compare-table", [238, 66, *[158] * 6], max_height=560, pinned_columns=1)
            self.notes = gr.HTML("", elem_id="compare-notes")
            with gr.Column(elem_id="compare-rest"):
                self._closer()

    def _closer(self) -> None:
        self.metric = gr.Radio([], label="Look closer at", elem_id="compare-metric")
        self.words = gr.HTML("", elem_id="compare-words")
        with gr.Row(equal_height=False, elem_id="compare-against"):
            with gr.Column(scale=5, min_width=400):
                self.forest = plot("compare-forest", 380)
            with gr.Column(scale=6, min_width=420):
                self.heading = gr.HTML("", elem_id="compare-heading")
                widths = [66, 110, 64, 76, 76, 64, 64, 72, 72]
                self.samples = _table("Samples that make the difference", "compare-samples", widths, max_height=440)
        self.drawn = gr.Dropdown(
            [], label="Methods drawn below", multiselect=True, max_choices=MAX_DRAWN, elem_id="compare-drawn"
        )
        with gr.Row(equal_height=False):
            self.roc, self.pro = plot("compare-roc", 380), plot("compare-pro", 380)
        self.defects = plot("compare-defects", 380)


def _table(label: str, elem_id: str, widths: list[int], max_height: int, pinned_columns: int = 0) -> gr.Dataframe:
    options = {"max_height": max_height, "pinned_columns": pinned_columns or None}
    return table(label, elem_id, wrap=True, column_widths=widths, **options)
