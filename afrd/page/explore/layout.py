"""Layout of the Explore tab: its components, and where they are placed."""

from __future__ import annotations

import gradio as gr

from afrd.page.common.components import Components, menu
from afrd.page.common.html import macros
from afrd.page.common.selection import Selection
from afrd.page.explore.corrections import CorrectionComponents
from afrd.page.explore.region import RegionComponents
from afrd.page.explore.strip import strip
from afrd.page.light_table.component import light_table


class ExploreComponents(Components):
    """The components that an event fills when something is chosen.

    Attributes:
        changed: the latest selection that an event has drawn; a new one draws `FollowingComponents`. Never an input.
        drawn: the selection that this tab shows; another tab may have changed the session's since.

    Args:
        following, region, corrections: laid out among these; None: runs cannot be changed here.
    """

    def __init__(
        self,
        following: FollowingComponents,
        region: RegionComponents | None,
        corrections: CorrectionComponents | None,
    ) -> None:
        self.changed, self.drawn = gr.State(Selection()), gr.State(Selection())
        with gr.Row(equal_height=False):
            with gr.Column(scale=0, min_width=264, elem_classes="sidebar"):
                self.category = menu("Category", "category", 160)
                self.run = menu("Run", "run", 160)
                self.beside = menu("Run beside it", "beside", 160)
                with gr.Row():
                    self.split, self.kind = menu("Split", "split", 90), menu("Truth", "kind", 90)
                with gr.Row():
                    self.verdict, self.order = menu("Verdict", "verdict", 90), menu("Order", "order", 90)
                following.lay_out_samples()
                self.share = gr.Button("Share as a file", size="sm", elem_id="share")
                self.shared = gr.DownloadButton(elem_id="shared-file", elem_classes="file")
                if region is not None:
                    region.lay_out()
                if corrections is not None:
                    corrections.lay_out()
            with gr.Column(scale=1, min_width=560):
                self.table = light_table("light-table")
                following.lay_out_methods()


class FollowingComponents(Components):
    """The components that separate events draw after each change: the light table need not wait for them."""

    def lay_out_samples(self) -> None:
        self.page = menu("Samples", "page", 160, visible=False)
        self.strip = strip()

    def lay_out_methods(self) -> None:
        with gr.Row(elem_classes="peers", equal_height=False):
            self.scores = gr.HTML(
                macros("explore/scores.html").waiting(),
                apply_default_css=False,
                min_width=300,
                elem_id="method-scores",
            )
            self.slider = gr.ImageSlider(
                label="Before and after: a single light, and all of them",
                interactive=False,
                max_height=420,
                buttons=["download", "fullscreen"],
                min_width=300,
                elem_id="before-after",
            )
