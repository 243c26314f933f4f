"""The Your own sample tab: the pictures of one part, from the user's disk, on the light table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from afrd.page.common.messages import told
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.selection import Choice
from afrd.page.light_table.component import light_table
from afrd.page.upload.sample import Desk, Own

# a choice in a picture's menu, or a click on a button, becomes an event with the picture's number
CLICKS = """
element.addEventListener('change', event => {
  const menu = event.target.closest('select[data-picture]');
  if (menu) trigger('assign', { picture: +menu.dataset.picture, light: menu.value });
});
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-picture]');
  if (button) trigger('drop', { picture: +button.dataset.picture });
});
"""


@dataclass(frozen=True)
class Parts:
    """The tab's components, in the order in which `Desk.everything` fills them."""

    own: gr.State
    run: gr.Dropdown
    files: gr.File
    clear: gr.Button
    pictures: gr.HTML
    table: gr.HTML

    def all(self) -> list[Any]:
        return list(vars(self).values())


def own_tab(tab: gr.Tab, open_in_explore: OpenInExplore, script_constants: str) -> None:
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
            pictures = gr.HTML("", js_on_load=CLICKS, apply_default_css=False, elem_id="own-pictures")
        with gr.Column(scale=1, min_width=520):
            table = light_table("own-table", script_constants)
    parts = Parts(gr.State(Own()), run, files, clear, pictures, table)
    _connect(tab, open_in_explore, parts, example)


def _connect(tab: gr.Tab, open_in_explore: OpenInExplore, parts: Parts, example: gr.Button) -> None:
    desk = Desk(open_in_explore.library)

    def on(event: Callable, handler: Callable, inputs: list, name: str, **options: Any) -> None:
        usual: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": 2, "concurrency_id": "torch"}
        event(handler, [parts.own, *inputs], parts.all(), api_name=name, trigger_mode="always_last", **usual | options)

    def open_own(own: Own, choice: Choice) -> list:
        return desk.everything(desk.with_run(own, str(own.run or choice.run or "")))

    def choose_run(own: Own, folder: str) -> list:
        return desk.everything(desk.with_run(own, folder))

    def bring(own: Own, paths: list[str] | None) -> list:
        return desk.everything(desk.brought(own, [Path(path) for path in paths or []]))

    def load_example(own: Own) -> list:
        return desk.everything(desk.example(own))

    def clear(own: Own) -> list:
        return desk.everything(Own(run=own.run, examples=own.examples))

    def assign_light(own: Own, event: gr.EventData) -> list:
        return desk.everything(desk.assigned(own, told(event, "picture", int), told(event, "light", str)))

    def drop_picture(own: Own, event: gr.EventData) -> list:
        number = told(event, "picture", int)
        kept = tuple(upload for i, upload in enumerate(own.uploads) if i != number)
        return desk.everything(replace(own, uploads=kept))

    def choose_lights(own: Own, event: gr.EventData) -> list:
        lit = told(event, "lights", list)
        return desk.redrawn(replace(own, off=tuple(light for light in desk.lights(own) if light not in lit)))

    def show_light(own: Own, event: gr.EventData) -> list:
        return desk.redrawn(replace(own, shown=told(event, "light", str)))

    def pin_place(own: Own, event: gr.EventData) -> list:
        place = [at for at in told(event, "place", list) if isinstance(at, int)]
        return desk.redrawn(replace(own, pinned=(place[0], place[1]) if len(place) == 2 else None))

    slow: dict[str, Any] = {"show_progress": "minimal", "show_progress_on": parts.table}  # a run is read, and a teacher
    on(tab.select, open_own, [open_in_explore.choice], "open_own_sample")
    on(parts.run.input, choose_run, [parts.run], "choose_own_run", **slow)
    on(parts.files.upload, bring, [parts.files], "bring_pictures", **slow)
    on(example.click, load_example, [], "load_example", **slow)
    on(parts.clear.click, clear, [], "clear_pictures")
    on(parts.pictures.assign, assign_light, [], "assign_light")
    on(parts.pictures.drop, drop_picture, [], "drop_picture")
    on(parts.table.lights, choose_lights, [], "choose_own_lights")
    on(parts.table.shown, show_light, [], "show_own_light")
    on(parts.table.pinned, pin_place, [], "pin_own_place")
