"""Layout of the Train tab: its components, and where they are placed."""

from __future__ import annotations

import gradio as gr

from afrd.background.training_queue import Order, TrainingQueue
from afrd.model.config import DEFAULT_TEACHER
from afrd.page.common.components import Components, menu, plot
from afrd.page.common.scripts import CLICKS, joined
from afrd.page.train import queue_view
from afrd.page.train.board import WHILE_IDLE
from afrd.page.train.form import FUSIONS, METHODS


class TrainComponents(Components):
    """The form, and the board that shows the queue.

    Attributes:
        shown_data: the folder and category whose state is shown.
        suggested: name and epochs, which follow the other options until the user changes them.
        version: of the queue, as it is shown.
    """

    def __init__(self, queue: TrainingQueue) -> None:
        self.shown_data, self.suggested, self.version = gr.State(("", "")), gr.State(("", 0)), gr.State(-1)
        with gr.Row(equal_height=False):
            with gr.Column(scale=0, min_width=372, elem_classes="train-form"):
                self._data()
                self._options()
                self.plan = gr.HTML("", elem_id="train-plan")
                self.name = gr.Textbox(label=f"Name of the run, a folder below {queue.runs}", elem_id="train-name")
                self.start = gr.Button("Train", variant="primary", elem_id="train-start")
            with gr.Column(scale=1, min_width=420):
                script = joined(CLICKS, EVENTS=["cancel", "forget", "again", "look", "open"])
                rows = queue_view.listing(queue, None)
                self.listing = gr.HTML(rows, js_on_load=script, apply_default_css=False, elem_id="train-queue")
                self.curve = plot("train-curve", visible=False)
                self.command = gr.HTML("", elem_id="train-command")
        self.timer = gr.Timer(WHILE_IDLE, active=False)

    def _data(self) -> None:
        self.root = gr.Textbox(label="Data folder", placeholder="/path/to/data", elem_id="train-root")
        self.category = menu("Category", "train-category", 160)
        self.data_state = gr.HTML(queue_view.nothing_chosen(), elem_id="train-data")
        self.check = gr.Button("Check all its pictures", size="sm", visible=False, elem_id="train-check")
        self.lights = gr.CheckboxGroup([], label="Lights", show_select_all=True, elem_id="train-lights")

    def _options(self) -> None:
        with gr.Row():
            self.method = menu("Method", "train-method", 150, METHODS)
            self.fusion = menu("Fusion", "train-fusion", 90, list(FUSIONS["evidence"]))
        self.teacher = gr.Dropdown(
            [DEFAULT_TEACHER], label="Teacher, or timm:NAME", allow_custom_value=True, elem_id="train-teacher"
        )
        self.weights = gr.Textbox(
            label="Weights file (.pth, .safetensors)",
            placeholder="empty: the default ones, from the cache or downloaded",
            visible=False,
            elem_id="train-weights",
        )
        with gr.Row():
            self.size = gr.Number(Order.size, label="Size (pixels)", precision=0, min_width=84, elem_id="train-size")
            self.epochs = gr.Number(0, label="Epochs", precision=0, min_width=84, elem_id="train-epochs")
            self.seed = gr.Number(0, label="Seed", precision=0, min_width=70, elem_id="train-seed")
        self.roi = gr.Textbox(
            label="Region: a picture, auto, or none",
            placeholder="empty: roi.png of the category, where there is one",
            elem_id="train-roi",
        )
