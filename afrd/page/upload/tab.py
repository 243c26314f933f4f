"""The Your own sample tab: the pictures of one part, from the user's disk, on the light table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from afrd.page.common import events
from afrd.page.common.components import Components, menu
from afrd.page.common.messages import told, told_place
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.scripts import CLICKS, joined
from afrd.page.common.session import PageSession, Versioned
from afrd.page.light_table.component import light_table
from afrd.page.upload.sample import SampleEvaluator, UploadedSample


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


def upload_tab(tab: gr.Tab, open_in_explore: OpenInExplore) -> None:
    """Builds the tab and connects its events."""
    _connect(tab, open_in_explore, UploadComponents())


class UploadState:
    """State of this tab for one browser session."""

    def __init__(self) -> None:
        self.uploaded = Versioned(UploadedSample())


def _connect(tab: gr.Tab, open_in_explore: OpenInExplore, components: UploadComponents) -> None:
    evaluator = SampleEvaluator(open_in_explore.library)
    outputs = components.named("run", "files", "clear", "pictures", "table")

    def on(event: Callable, handler: Callable, inputs: list, name: str, **options: Any) -> None:
        events.on(open_in_explore.session, event, handler, inputs, outputs, name, **options)

    def change_all(session: PageSession, change: Callable[[UploadedSample], UploadedSample]) -> list:
        """Changes the uploaded sample; returns values of all components."""
        uploaded = session.state(UploadState).uploaded
        uploaded.apply(change)
        return uploaded.drawn(evaluator.everything)

    def change_table(session: PageSession, change: Callable[[UploadedSample], UploadedSample]) -> list:
        """`change_all` if only the light table changes."""
        uploaded = session.state(UploadState).uploaded
        uploaded.apply(change)
        return uploaded.drawn(evaluator.redrawn)

    def open_own(session: PageSession) -> list:
        return change_all(
            session, lambda uploaded: evaluator.with_run(uploaded, str(uploaded.run or session.selection.run or ""))
        )

    def choose_run(session: PageSession, folder: str) -> list:
        return change_all(session, lambda uploaded: evaluator.with_run(uploaded, folder))

    def bring(session: PageSession, paths: list[str] | None) -> list:
        return change_all(session, lambda uploaded: evaluator.brought(uploaded, [Path(path) for path in paths or []]))

    def load_example(session: PageSession) -> list:
        return change_all(session, evaluator.example)

    def clear(session: PageSession) -> list:
        return change_all(session, lambda uploaded: UploadedSample(run=uploaded.run, examples=uploaded.examples))

    def assign_light(session: PageSession, event: gr.EventData) -> list:
        number, light = told(event, "number", int), told(event, "value", str)
        return change_all(session, lambda uploaded: evaluator.assigned(uploaded, number, light))

    def drop_picture(session: PageSession, event: gr.EventData) -> list:
        number = told(event, "number", int)
        return change_all(session, lambda uploaded: evaluator.dropped(uploaded, number))

    def choose_lights(session: PageSession, event: gr.EventData) -> list:
        lights_on = told(event, "lights", list)

        def change(uploaded: UploadedSample) -> UploadedSample:
            return replace(uploaded, off=tuple(light for light in evaluator.lights(uploaded) if light not in lights_on))

        return change_table(session, change)

    def show_light(session: PageSession, event: gr.EventData) -> list:
        light = told(event, "light", str)
        return change_table(session, lambda uploaded: replace(uploaded, shown=light))

    def pin_place(session: PageSession, event: gr.EventData) -> list:
        place = told_place(event)
        return change_table(session, lambda uploaded: replace(uploaded, pinned=place))

    # reads a run and a teacher
    slow_options: dict[str, Any] = {"show_progress": "minimal", "show_progress_on": components.table}
    both_count: dict[str, Any] = {"trigger_mode": "multiple"}  # two quick events both count
    on(tab.select, open_own, [], "open_own_sample")
    on(components.run.input, choose_run, [components.run], "choose_own_run", **slow_options)
    on(components.files.upload, bring, [components.files], "bring_pictures", **slow_options, **both_count)
    on(components.example.click, load_example, [], "load_example", **slow_options)
    on(components.clear.click, clear, [], "clear_pictures")
    on(components.pictures.assign, assign_light, [], "assign_light", **both_count)
    on(components.pictures.drop, drop_picture, [], "drop_picture", **both_count)
    on(components.table.lights, choose_lights, [], "choose_own_lights")
    on(components.table.shown, show_light, [], "show_own_light")
    on(components.table.pinned, pin_place, [], "pin_own_place")
