"""Layout of the Your own sample tab: its components, and where they are placed."""

from __future__ import annotations

import gradio as gr

from afrd.page.common.components import Components, menu
from afrd.page.common.scripts import CLICKS, joined
from afrd.page.light_table.component import light_table


class UploadComponents(Components):
    """The tab's components; `SampleEvaluator.everything` fills all but the button of the example."""

    def __init__(self) -> None:
        with gr.Row(equal_height=False):
            with gr.Column(scale=0, min_width=310, elem_classes="own-form"):
                self.run = menu("Run", "own-run", 160)
                label = "Pictures of one part"
                self.files = gr.File(
                    label=label, file_count="multiple", height=96, elem_id="own-files", show_label=False
                )
                with gr.Row():
                    self.example = gr.Button("Load an example", size="sm", min_width=90, elem_id="own-example")
                    self.clear = gr.Button("Clear", size="sm", min_width=60, interactive=False, elem_id="own-clear")
                script = joined(CLICKS, EVENTS=["assign", "drop"])
                self.pictures = gr.HTML("", js_on_load=script, apply_default_css=False, elem_id="own-pictures")
            with gr.Column(scale=1, min_width=520):
                self.table = light_table("own-table")
