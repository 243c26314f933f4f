"""Layout of the Lights tab: its components, and where they are placed."""

from __future__ import annotations

import gradio as gr

import afrd.metrics
from afrd.metrics.words import ANOMALOUS, GOOD
from afrd.page.common.components import Components, menu, plot, table
from afrd.page.common.menus import selection_menus
from afrd.page.common.messages import working

METRIC, DELTA = "image_auroc", 0.05  # at first; DELTA as in `afrd.analysis.lights.advisor`, which loads torch
SAMPLES = ["all", GOOD, ANOMALOUS]
METHODS = ["integrated gradients", "occlusion", "ablation"]
BASELINES = [("the most similar good part", "alike"), ("the blurred picture", "blurred"), ("black: lamp off", "black")]
ALL = "all lights"


class LightsComponents(Components):
    """The advice on the lights of a run."""

    def __init__(self) -> None:
        with gr.Row(elem_classes="controls", equal_height=True):
            self.category, self.run, self.split = selection_menus("lights", run_scale=2)
            metrics = [(name, metric) for metric, name in afrd.metrics.METRIC_NAMES.items()]
            self.metric = menu("Quality", "lights-metric", 150, metrics, value=METRIC)
            self.delta = gr.Number(
                DELTA,
                label="A rig may lose",
                minimum=0.001,
                maximum=0.5,
                step=0.01,
                min_width=100,
                elem_id="lights-delta",
            )
        self.status = gr.HTML(working("Loading …"), elem_id="lights-status")
        with gr.Row(elem_classes="actions"):
            # The style sheet shows these, and the body, by what the status holds: an update of `visible` on what is
            # just being mounted can get lost.
            self.start = gr.Button("Judge the lights", variant="primary", elem_id="lights-start")
            self.cancel = gr.Button("Cancel", elem_id="lights-cancel")
        with gr.Column(elem_id="lights-body"):
            with gr.Row(equal_height=False, elem_classes="pair"):
                self.pareto, self.worth = plot("lights-pareto", 420), plot("lights-worth", 420)
            with gr.Row(equal_height=False):
                with gr.Column(scale=0, min_width=250, elem_classes="costs"):
                    self._costs()
                with gr.Column(scale=1, min_width=420):
                    self._sets()
            with gr.Row(equal_height=False, elem_classes="pair"):
                with gr.Column(scale=1, min_width=420):
                    self.which = gr.Radio(
                        SAMPLES, value=SAMPLES[0], label="Agreement over samples that are", elem_id="lights-which"
                    )
                    self.same = plot("lights-same", 420)
                self.defects = plot("lights-defects", 420)

    def _costs(self) -> None:
        self.costs = gr.Dataframe(
            headers=["Light", "Cost"],
            datatype=["str", "number"],
            type="array",
            static_columns=[0],
            column_count=2,
            interactive=True,
            buttons=[],
            label="What each light costs",
            max_height=420,
            elem_id="lights-costs",
        )
        self.unit = gr.Textbox(label="counted in", placeholder="such as ms, EUR", max_length=20, elem_id="lights-unit")
        self.report = gr.Button("Report to print", size="sm", elem_id="lights-report")
        self.report_file = gr.DownloadButton(elem_id="lights-report-file", elem_classes="file")

    def _sets(self) -> None:
        gr.HTML(
            "<h3>Sets of lights</h3><p class='small'>Choose a row to look at the samples with these lights; the ⋮ of a "
            "heading sorts. Green: the smallest rig that is good enough. Against all lights: the change of the chosen "
            "quality, with its 95 % interval.</p>"
        )
        widths = [250, 70, 64, 170, *[112] * len(afrd.metrics.METRIC_NAMES), 80, 110]
        self.sets = table(
            "Sets of lights",
            "lights-sets",
            max_height=420,
            pinned_columns=1,
            show_search="search",
            column_widths=widths,
        )


class SampleComponents(Components):
    """One sample: the Shapley values of its lights, and the attribution to pixels."""

    def __init__(self) -> None:
        # The style sheet hides it as long as nothing is said of a sample.
        with gr.Column(elem_id="lights-sample", elem_classes="one-sample"):
            gr.HTML(
                "<h3>One sample</h3><p class='small'>Shapley values: each light's part in the score, over all sets of "
                "the lights; they sum to it. Click on the picture to ask about a place instead of the whole. Which "
                "pixels: what raises the score (orange) or lowers it (blue) against other pictures; the ring is where "
                "it was taken.</p>"
            )
            with gr.Row(equal_height=False):
                with gr.Column(scale=0, min_width=320):
                    self._picture()
                with gr.Column(scale=1, min_width=420):
                    self._shares()

    def _picture(self) -> None:
        self.sample = gr.Dropdown([], label="Sample", elem_id="lights-sample-name")
        self.picture = gr.Image(
            show_label=False, interactive=False, buttons=[], height=320, format="webp", elem_id="lights-picture"
        )
        with gr.Row(equal_height=True):
            self.caption = gr.HTML("", elem_id="lights-sample-said", elem_classes="grow")
            self.clear = gr.Button("Whole picture", size="sm", min_width=110, scale=0, elem_id="lights-clear")

    def _shares(self) -> None:
        self.shares = plot("lights-shares")
        with gr.Row(equal_height=True, elem_classes="controls"):
            self.method = menu("Which pixels, by", "lights-method", 170, METHODS)
            self.baseline = menu("against", "lights-baseline", 200, BASELINES)
            self.light = menu("of", "lights-of", 90, [ALL])
        with gr.Row(equal_height=True):
            self.explain = gr.Button("Which pixels?", size="sm", min_width=110, scale=0, elem_id="lights-explain")
            self.stop = gr.Button("Cancel", size="sm", min_width=80, scale=0, elem_id="lights-explain-stop")
            self.progress = gr.HTML("", elem_id="lights-explain-state", elem_classes="grow")
        self.pixels = plot("lights-pixels", visible=False)
