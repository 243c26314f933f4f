"""The Your own sample tab: the pictures of one part, from the user's disk, on the light table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from afrd.page.common.messages import told
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.scripts import CLICKS, joined
from afrd.page.common.session import PageSession, Versioned
from afrd.page.light_table.component import light_table
from afrd.page.upload.sample import Desk, Own


@dataclass(frozen=True)
class UploadComponents:
    """The tab's components, in the order in which `Desk.everything` fills them."""

    run: gr.Dropdown
    files: gr.File
    clear: gr.Button
    pictures: gr.HTML
    table: gr.HTML

    def all(self) -> list[Any]:
        return list(vars(self).values())


def upload_tab(tab: gr.Tab, open_in_explore: OpenInExplore) -> None:
    """Lays the tab out and connects it."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=0, min_width=310, elem_classes="own-form"):
            run = gr.Dropdown([], label="Run", filterable=False, elem_id="own-run")
            files = gr.File(
                label="Pictures of one part", file_count="multiple", height=96, elem_id="own-files", show_label=False
            )
            with gr.Row():
                example = gr.Button("Load an example", size="sm", min_width=90, elem_id="own-example")
                clear = gr.Button("Clear", size="sm", min_width=60, interactive=False, elem_id="own-clear")
            script = joined(CLICKS, EVENTS=["assign", "drop"])
            pictures = gr.HTML("", js_on_load=script, apply_default_css=False, elem_id="own-pictures")
        with gr.Column(scale=1, min_width=520):
            table = light_table("own-table")
    components = UploadComponents(run, files, clear, pictures, table)
    _connect(tab, open_in_explore, components, example)


class UploadState:
    """What the server remembers of this tab for one browser session."""

    def __init__(self) -> None:
        self.own = Versioned(Own())


def _connect(tab: gr.Tab, open_in_explore: OpenInExplore, components: UploadComponents, example: gr.Button) -> None:
    desk = Desk(open_in_explore.library)

    def on(event: Callable, handler: Callable, inputs: list, name: str, **options: Any) -> None:
        usual: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": 2, "concurrency_id": "torch"}
        usual |= {"trigger_mode": "always_last"} | options
        event(handler, [open_in_explore.session, *inputs], components.all(), api_name=name, **usual)

    def change_all(session: PageSession, change: Callable[[Own], Own]) -> list:
        """Changes what is on the table; values of all components."""
        own = session.state(UploadState).own
        own.apply(change)
        return own.drawn(desk.everything)

    def change_table(session: PageSession, change: Callable[[Own], Own]) -> list:
        """The same where only the light table changes."""
        own = session.state(UploadState).own
        own.apply(change)
        return own.drawn(desk.redrawn)

    def open_own(session: PageSession) -> list:
        return change_all(session, lambda own: desk.with_run(own, str(own.run or session.selection.run or "")))

    def choose_run(session: PageSession, folder: str) -> list:
        return change_all(session, lambda own: desk.with_run(own, folder))

    def bring(session: PageSession, paths: list[str] | None) -> list:
        return change_all(session, lambda own: desk.brought(own, [Path(path) for path in paths or []]))

    def load_example(session: PageSession) -> list:
        return change_all(session, desk.example)

    def clear(session: PageSession) -> list:
        return change_all(session, lambda own: Own(run=own.run, examples=own.examples))

    def assign_light(session: PageSession, event: gr.EventData) -> list:
        number, light = told(event, "number", int), told(event, "value", str)
        return change_all(session, lambda own: desk.assigned(own, number, light))

    def drop_picture(session: PageSession, event: gr.EventData) -> list:
        number = told(event, "number", int)
        return change_all(session, lambda own: desk.dropped(own, number))

    def choose_lights(session: PageSession, event: gr.EventData) -> list:
        lit = told(event, "lights", list)

        def change(own: Own) -> Own:
            return replace(own, off=tuple(light for light in desk.lights(own) if light not in lit))

        return change_table(session, change)

    def show_light(session: PageSession, event: gr.EventData) -> list:
        light = told(event, "light", str)
        return change_table(session, lambda own: replace(own, shown=light))

    def pin_place(session: PageSession, event: gr.EventData) -> list:
        place = [at for at in told(event, "place", list) if isinstance(at, int)]
        pinned = (place[0], place[1]) if len(place) == 2 else None
        return change_table(session, lambda own: replace(own, pinned=pinned))

    # a run is read, and a teacher
    slow: dict[str, Any] = {"show_progress": "minimal", "show_progress_on": components.table}
    each: dict[str, Any] = {"trigger_mode": "multiple"}  # of two quick ones both count
    on(tab.select, open_own, [], "open_own_sample")
    on(components.run.input, choose_run, [components.run], "choose_own_run", **slow)
    on(components.files.upload, bring, [components.files], "bring_pictures", **slow, **each)
    on(example.click, load_example, [], "load_example", **slow)
    on(components.clear.click, clear, [], "clear_pictures")
    on(components.pictures.assign, assign_light, [], "assign_light", **each)
    on(components.pictures.drop, drop_picture, [], "drop_picture", **each)
    on(components.table.lights, choose_lights, [], "choose_own_lights")
    on(components.table.shown, show_light, [], "show_own_light")
    on(components.table.pinned, pin_place, [], "pin_own_place")
