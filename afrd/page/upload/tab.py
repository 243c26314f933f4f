"""The Your own sample tab: the pictures of one part, from the user's disk, on the light table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from afrd.page.common import events
from afrd.page.common.messages import event_value, pinned_place
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.session import PageSession, Versioned
from afrd.page.light_table.scene import heard
from afrd.page.upload.layout import UploadComponents
from afrd.page.upload.sample import SampleEvaluator, UploadedSample

BOTH_COUNT: dict[str, Any] = {"trigger_mode": "multiple"}  # of two quick events


def upload_tab(tab: gr.Tab, open_in_explore: OpenInExplore) -> None:
    """Creates the tab and connects its events."""
    UploadTab(tab, open_in_explore)


class UploadState:
    """State of this tab for one browser session."""

    def __init__(self) -> None:
        self.uploaded = Versioned(UploadedSample())


class UploadTab:
    """The tab's components, and the handlers of their events."""

    def __init__(self, tab: gr.Tab, open_in_explore: OpenInExplore) -> None:
        self.evaluator = SampleEvaluator(open_in_explore.library)
        self.components = components = UploadComponents()
        on = partial(events.on, open_in_explore.session)
        outputs = components.named("run", "files", "clear", "pictures", "table")
        # a run and its teacher are read
        reading: dict[str, Any] = {"show_progress": "minimal", "show_progress_on": components.table}
        on(tab.select, self.open, [], outputs, "open_own_sample")
        on(components.run.input, self.choose_run, [components.run], outputs, "choose_own_run", **reading)
        on(components.files.upload, self.bring, [components.files], outputs, "bring_pictures", **reading, **BOTH_COUNT)
        on(components.example.click, self.load_example, [], outputs, "load_example", **reading)
        on(components.clear.click, self.clear, [], outputs, "clear_pictures")
        on(components.pictures.assign, self.assign_light, [], outputs, "assign_light", **BOTH_COUNT)
        on(components.pictures.drop, self.drop_picture, [], outputs, "drop_picture", **BOTH_COUNT)
        on(components.table.lights, self.choose_lights, [], [components.table], "choose_own_lights")
        on(components.table.lit, self.keep_lights, [], [components.table], "keep_own_lights")
        on(components.table.shown, self.show_light, [], [components.table], "show_own_light")
        on(components.table.pinned, self.pin_place, [], [components.table], "pin_own_place")

    def change(self, session: PageSession, change: Callable[[UploadedSample], UploadedSample]) -> dict:
        """Changes the uploaded sample; values of all components."""
        uploaded = session.state(UploadState).uploaded
        uploaded.apply(change)
        return self.components.filled(uploaded.drawn(self.evaluator.everything))

    def change_table(self, session: PageSession, change: Callable[[UploadedSample], UploadedSample]) -> str:
        """`change` where only the light table follows; its value."""
        uploaded = session.state(UploadState).uploaded
        uploaded.apply(change)
        return uploaded.drawn(self.evaluator.scene)

    def open(self, session: PageSession) -> dict:
        def with_run(uploaded: UploadedSample) -> UploadedSample:
            return self.evaluator.with_run(uploaded, str(uploaded.run or session.selection.run or ""))

        return self.change(session, with_run)

    def choose_run(self, session: PageSession, folder: str) -> dict:
        return self.change(session, lambda uploaded: self.evaluator.with_run(uploaded, folder))

    def bring(self, session: PageSession, paths: list[str] | None) -> dict:
        return self.change(session, lambda uploaded: self.evaluator.brought(uploaded, list(map(Path, paths or []))))

    def load_example(self, session: PageSession) -> dict:
        return self.change(session, self.evaluator.example)

    def clear(self, session: PageSession) -> dict:
        return self.change(session, lambda uploaded: UploadedSample(run=uploaded.run, examples=uploaded.examples))

    def assign_light(self, session: PageSession, event: gr.EventData) -> dict:
        number, light = event_value(event, "number", int), event_value(event, "value", str)
        return self.change(session, lambda uploaded: self.evaluator.assigned(uploaded, number, light))

    def drop_picture(self, session: PageSession, event: gr.EventData) -> dict:
        number = event_value(event, "number", int)
        return self.change(session, lambda uploaded: self.evaluator.dropped(uploaded, number))

    def with_lights(self, lights_on: list[str], uploaded: UploadedSample) -> UploadedSample:
        lights = self.evaluator.lights(uploaded)
        return replace(uploaded, off=tuple(light for light in lights if light not in lights_on))

    def choose_lights(self, session: PageSession, event: gr.EventData) -> str:
        return self.change_table(session, partial(self.with_lights, event_value(event, "lights", list)))

    def keep_lights(self, session: PageSession, event: gr.EventData) -> str:
        lights, number = event_value(event, "lights", list), event_value(event, "number", int)
        session.state(UploadState).uploaded.apply(partial(self.with_lights, lights))
        return heard(number)

    def show_light(self, session: PageSession, event: gr.EventData) -> str:
        light = event_value(event, "light", str)
        return self.change_table(session, lambda uploaded: replace(uploaded, shown=light))

    def pin_place(self, session: PageSession, event: gr.EventData) -> str:
        place = pinned_place(event)
        return self.change_table(session, lambda uploaded: replace(uploaded, pinned=place))
