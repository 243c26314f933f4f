"""What the Errors tab is made of, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gradio as gr

import afrd.analysis.reports
from afrd.page.common.components import ByName
from afrd.page.common.messages import working
from afrd.page.errors import views

CARD_STYLE = Path(afrd.analysis.reports.__file__).with_name("templates") / "card.css"


@dataclass(frozen=True)
class ErrorsComponents(ByName):
    """The tab's components; `shown` and others fill them by these names."""

    category: gr.Dropdown
    run: gr.Dropdown
    split: gr.Dropdown
    other: gr.Dropdown
    status: gr.HTML
    body: gr.Column
    threshold: gr.Slider
    counts: gr.HTML
    histogram: gr.Plot
    across: gr.Dropdown
    up: gr.Dropdown
    scatter: gr.ScatterPlot
    question: gr.Radio
    kind: gr.Dropdown
    text: gr.Textbox
    clear: gr.Button
    line: gr.HTML
    csv: gr.Button
    csv_file: gr.DownloadButton
    report: gr.Button
    report_file: gr.DownloadButton
    sheet: gr.Dataframe
    card: gr.HTML
    note_box: gr.Column
    number: gr.Textbox
    note: gr.Textbox
    tags: gr.Dropdown
    saved: gr.HTML
    open: gr.Button


def lay_out() -> ErrorsComponents:
    """Makes the components in the tab that is open."""
    gr.HTML(f"<style>{CARD_STYLE.read_text()}</style>", elem_classes="only-style")
    with gr.Column(elem_classes="errors"):
        with gr.Row(elem_classes="controls", equal_height=True):
            category = _menu("Category", "errors-category", 120)
            run = _menu("Run", "errors-run", 190)
            split = _menu("Split", "errors-split", 110)
            other = _menu("Compared with", "errors-other", 190)
        status = gr.HTML(working("Loading …"), apply_default_css=False, elem_id="errors-status")
        with gr.Column(visible="hidden", elem_id="errors-body") as body:
            with gr.Row(equal_height=False, elem_classes="figures"):
                with gr.Column(scale=6, min_width=400, elem_classes="figure"):
                    threshold = gr.Slider(
                        0, 2, value=1, step=0.01, label="Threshold", buttons=[], elem_id="errors-threshold"
                    )
                    counts = gr.HTML("", apply_default_css=False, elem_id="errors-counts")
                    histogram = gr.Plot(show_label=False, container=False, elem_id="errors-histogram")
                with gr.Column(scale=5, min_width=360, elem_classes="figure"):
                    with gr.Row(elem_classes="axes"):
                        across = _menu("Across", "errors-across", 120)
                        up = _menu("Up", "errors-up", 120)
                    scatter = gr.ScatterPlot(
                        None,
                        views.ACROSS,
                        views.UP,
                        color="samples",
                        tooltip=views.TOLD,
                        height=284,
                        buttons=["export", "fullscreen"],
                        elem_id="errors-scatter",
                    )
                    gr.HTML(
                        "Drag sideways to keep only those points in the table; double-click to undo.",
                        elem_classes="hint",
                    )
            question = gr.Radio([], label="Questions", show_label=False, elem_id="errors-question")
            with gr.Row(elem_classes="filters", equal_height=True):
                kind = _menu("Truth", "errors-kind", 110)
                text = gr.Textbox(
                    label="Search",
                    placeholder="name, defect, verdict, note …",
                    max_length=200,
                    min_width=200,
                    scale=2,
                    elem_id="errors-text",
                )
                line = gr.HTML("", elem_id="errors-line", elem_classes="grow")
                clear = gr.Button("Show all", size="sm", min_width=80, scale=0, elem_id="errors-clear")
                csv = gr.Button("CSV", size="sm", min_width=60, scale=0, elem_id="errors-csv")
                report = gr.Button("Report", size="sm", min_width=80, scale=0, elem_id="errors-report")
                csv_file = gr.DownloadButton(elem_id="errors-csv-file", elem_classes="file")
                report_file = gr.DownloadButton(elem_id="errors-report-file", elem_classes="file")
            with gr.Row(equal_height=False, elem_classes="rows"):
                with gr.Column(scale=8, min_width=420):
                    sheet = gr.Dataframe(
                        label="Samples",
                        show_label=False,
                        interactive=False,
                        max_height=620,
                        buttons=[],
                        pinned_columns=2,
                        elem_id="errors-sheet",
                    )
                with gr.Column(scale=4, min_width=330, elem_classes="selected"):
                    card = gr.HTML("", apply_default_css=False, elem_id="errors-card")
                    with gr.Column(visible=False, elem_classes="note-box") as note_box:
                        number = gr.Textbox(visible=False, label="card")
                        note = gr.Textbox(
                            label="Note",
                            placeholder="kept with the run as soon as you leave the field",
                            lines=2,
                            max_lines=6,
                            max_length=2000,
                            elem_id="errors-note",
                        )
                        tags = gr.Dropdown(
                            [],
                            label="Tags",
                            multiselect=True,
                            allow_custom_value=True,
                            max_choices=12,
                            elem_id="errors-tags",
                        )
                        with gr.Row(equal_height=True):
                            saved = gr.HTML("", elem_id="errors-saved", elem_classes="grow")
                            opens = gr.Button(
                                f"Open in Explore {views.OPEN}",
                                size="sm",
                                min_width=130,
                                scale=0,
                                elem_id="errors-open",
                            )
    return ErrorsComponents(
        category,
        run,
        split,
        other,
        status,
        body,
        threshold,
        counts,
        histogram,
        across,
        up,
        scatter,
        question,
        kind,
        text,
        clear,
        line,
        csv,
        csv_file,
        report,
        report_file,
        sheet,
        card,
        note_box,
        number,
        note,
        tags,
        saved,
        opens,
    )


def _menu(label: str, name: str, width: int) -> gr.Dropdown:
    return gr.Dropdown([], label=label, filterable=False, min_width=width, elem_id=name)
