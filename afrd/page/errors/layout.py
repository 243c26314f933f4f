"""Layout of the Errors tab: its components, and where they are placed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

import afrd.analysis.reports
from afrd.page.common.components import Components, menu, plot, table
from afrd.page.common.menus import selection_menus
from afrd.page.common.messages import working
from afrd.page.common.scripts import CLICKS, joined
from afrd.page.errors import views

CARD_STYLE = Path(afrd.analysis.reports.__file__).with_name("templates") / "card.css"


class ErrorsComponents(Components):
    """The tab's components.

    Args:
        may_save: whether groups and operating points can be saved and removed here.
        lay_out_points: creates the components of operating points, in an accordion beside the groups.
    """

    def __init__(self, may_save: bool, lay_out_points: Callable[[bool], None]) -> None:
        self.stamp = gr.State(0)  # changes whenever the table is drawn
        styles = CARD_STYLE.read_text() + afrd.analysis.reports.contact_sheet.css()
        gr.HTML(f"<style>{styles}</style>", elem_classes="only-style")
        with gr.Column(elem_classes="errors"):
            with gr.Row(elem_classes="controls", equal_height=True):
                self.category, self.run, self.split = selection_menus("errors")
                self.other = menu("Compared with", "errors-other", 190)
            self.status = gr.HTML(working("Loading …"), apply_default_css=False, elem_id="errors-status")
            with gr.Column(visible="hidden", elem_id="errors-body") as self.body:
                with gr.Row(equal_height=False, elem_classes="figures"):
                    self._figures()
                self.question = gr.Radio([], label="Questions", show_label=False, elem_id="errors-question")
                with gr.Row(elem_classes="filters", equal_height=True):
                    self._filters()
                self.where_said = gr.HTML("", apply_default_css=False, elem_id="errors-where-said")
                with gr.Row(equal_height=False, elem_classes="folded"):
                    lay_out_points(may_save)
                    with gr.Accordion("Groups and contact sheet", open=False, elem_id="errors-groups"):
                        self._groups(may_save)
                with gr.Row(equal_height=False, elem_classes="rows"):
                    with gr.Column(scale=8, min_width=420):
                        self.sheet = table("Samples", "errors-sheet", max_height=620, pinned_columns=2)
                    with gr.Column(scale=4, min_width=330, elem_classes="selected"):
                        self.card = gr.HTML("", apply_default_css=False, elem_id="errors-card")
                        with gr.Column(visible=False, elem_classes="note-box") as self.note_box:
                            self._note()

    def _figures(self) -> None:
        with gr.Column(scale=6, min_width=400, elem_classes="figure"):
            self.threshold = gr.Slider(
                0, 2, value=1, step=0.01, label="Threshold", buttons=[], elem_id="errors-threshold"
            )
            self.counts = gr.HTML("", apply_default_css=False, elem_id="errors-counts")
            self.histogram = plot("errors-histogram")
        with gr.Column(scale=5, min_width=360, elem_classes="figure"):
            with gr.Row(elem_classes="axes"):
                self.across, self.up = menu("Across", "errors-across", 120), menu("Up", "errors-up", 120)
            self.scatter = gr.ScatterPlot(
                None,
                views.ACROSS,
                views.UP,
                color="samples",
                tooltip=views.TOOLTIP,
                height=250,
                buttons=["export", "fullscreen"],
                elem_id="errors-scatter",
            )
            hint = "Drag sideways to keep only those points in the table; double-click to undo."
            gr.HTML(hint, elem_classes="hint")

    def _filters(self) -> None:
        self.kind = menu("Truth", "errors-kind", 90)
        self.text = gr.Textbox(
            label="Search",
            placeholder="any word",
            max_length=200,
            min_width=120,
            elem_id="errors-text",
        )
        self.where = gr.Textbox(
            label="Where",
            placeholder="score > 1 and 'dents' in defects; press Enter",
            max_length=500,
            min_width=280,
            scale=3,
            elem_id="errors-where",
        )
        self.group = menu("Group", "errors-group", 110, [("none", "")], value="")
        self.line = gr.HTML("", elem_id="errors-line", elem_classes="grow")
        self.clear = gr.Button("Show all", size="sm", min_width=80, scale=0, elem_id="errors-clear")
        self.csv = gr.Button("CSV", size="sm", min_width=60, scale=0, elem_id="errors-csv")
        self.report = gr.Button("Report", size="sm", min_width=80, scale=0, elem_id="errors-report")
        self.csv_file = gr.DownloadButton(elem_id="errors-csv-file", elem_classes="file")
        self.report_file = gr.DownloadButton(elem_id="errors-report-file", elem_classes="file")

    def _groups(self, may_save: bool) -> None:
        with gr.Row(elem_classes="filters", equal_height=True):
            self.measure = gr.Button("Metrics of groups", size="sm", min_width=130, scale=0, elem_id="errors-measure")
            self.contact = gr.Button("Contact sheet", size="sm", min_width=110, scale=0, elem_id="errors-contact")
            notice = "" if may_save else "Groups are saved on your own machine: everybody can reach this page."
            self.group_said = gr.HTML(notice, elem_id="errors-group-said", elem_classes="grow")
            self.group_name = gr.Textbox(
                show_label=False,
                container=False,
                placeholder="its name",
                max_length=60,
                min_width=150,
                scale=0,
                visible=may_save,
                elem_id="errors-group-name",
            )
            button: dict[str, Any] = {"size": "sm", "scale": 0, "visible": may_save}
            self.save_group = gr.Button("Save as group", min_width=110, elem_id="errors-save-group", **button)
            self.remove_group = gr.Button("Remove", min_width=70, elem_id="errors-remove-group", **button)
            self.undo_group = gr.Button(
                "Undo", min_width=60, size="sm", scale=0, visible=False, elem_id="errors-undo-group"
            )
        self.group_table = gr.HTML("", apply_default_css=False, elem_id="errors-group-table")
        with gr.Column(visible=False, elem_classes="contact", elem_id="errors-contact-box") as self.contact_box:
            self._contact()

    def _contact(self) -> None:
        with gr.Row(elem_classes="filters", equal_height=True):
            orders = list(afrd.analysis.reports.contact_sheet.ORDERS)
            self.contact_order = menu("Sorted by", "errors-contact-order", 140, orders, value=orders[0])
            self.contact_map = menu("Map of", "errors-contact-map", 140)
            hint = "All maps on one scale, from 0 to twice the threshold; a click selects the sample."
            gr.HTML(hint, elem_classes="hint grow")
        script = joined(CLICKS, EVENTS=["pick"])
        self.contact_tiles = gr.HTML(
            "", js_on_load=script, apply_default_css=False, max_height=560, elem_id="errors-contact-sheet"
        )

    def _note(self) -> None:
        self.number = gr.Textbox(visible=False, label="card")
        self.note = gr.Textbox(
            label="Note",
            placeholder="kept for all who use these runs as soon as you leave the field",
            lines=2,
            max_lines=6,
            max_length=2000,
            elem_id="errors-note",
        )
        self.tags = gr.Dropdown(
            [], label="Tags", multiselect=True, allow_custom_value=True, max_choices=12, elem_id="errors-tags"
        )
        with gr.Row(equal_height=True):
            self.saved = gr.HTML("", elem_id="errors-saved", elem_classes="grow")
            self.undo = gr.Button("Undo", size="sm", min_width=70, scale=0, visible=False, elem_id="errors-undo")
            title = f"Open in Explore {views.OPEN_MARK}"
            self.open = gr.Button(title, size="sm", min_width=130, scale=0, elem_id="errors-open")
