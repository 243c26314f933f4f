"""The region in which the shown run judges: proposed, drawn on the light table, read from a picture, kept, undone."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

import afrd.metrics
import afrd.runs
from afrd.page.common.components import Components
from afrd.page.common.html import plain
from afrd.page.common.library import Library
from afrd.page.common.messages import event_value
from afrd.page.common.session import PageSession
from afrd.page.light_table.region import polygons_of
from afrd.page.light_table.scene import scene

if TYPE_CHECKING:
    import numpy as np

    from afrd.page.common.selection import Selection

MAX_UNDONE = 20  # changes that one browser session can undo
Redraw = Callable[[PageSession], dict]


class RegionComponents(Components):
    """The buttons; the drawing itself is the light table's."""

    def lay_out(self) -> None:
        with gr.Accordion("Region", open=False, elem_id="region"):
            gr.HTML("Outside of the region nothing is judged. It is kept with the run.", elem_classes="hint")
            with gr.Row():
                self.draw = gr.Button("Draw", size="sm", min_width=60, elem_id="region-draw")
                self.propose = gr.Button("Automatic", size="sm", min_width=60, elem_id="region-auto")
            self.upload = gr.UploadButton("From a picture", size="sm", file_types=["image"], elem_id="region-upload")
            with gr.Row():
                self.clear = gr.Button("Clear", size="sm", min_width=60, elem_id="region-clear")
                self.undo = gr.Button("Undo", size="sm", min_width=60, elem_id="region-undo")


class RegionHistory:
    """Changes of this browser session: folders of runs, with the regions that each had before and afterwards."""

    def __init__(self) -> None:
        self.changes: list[tuple[Path, np.ndarray | None, np.ndarray | None]] = []


class RegionControls:
    """Handlers of the events.

    Args:
        components: the buttons.
        library: of the page.
        on: connects an event of this page.
        table: the light table.
        outputs: what `redraw` fills.
        redraw: values of `outputs` after a run has changed.
    """

    def __init__(
        self,
        components: RegionComponents,
        library: Library,
        on: Callable,
        table: gr.HTML,
        outputs: list,
        redraw: Redraw,
    ) -> None:
        self.library, self.table, self.redraw = library, table, redraw
        on(components.draw.click, self.start_drawing, [], [table], "draw_region")
        on(components.propose.click, self.propose, [], [table], "propose_region", show_progress="minimal")
        on(table.region, self.keep, [], outputs, "keep_region")
        on(components.upload.upload, self.upload, [components.upload], outputs, "upload_region")
        on(components.clear.click, self.clear, [], outputs, "clear_region")
        on(components.undo.click, self.undo, [], outputs, "undo_region")

    def start_drawing(self, session: PageSession) -> str:
        """The light table with the run's region to be corrected, or with nothing drawn yet."""
        region = afrd.runs.stored_region(*_run_of(session.selection))
        return self._to_draw(session, [] if region is None else polygons_of(region))

    def propose(self, session: PageSession) -> str:
        """The light table with the silhouette of the good training parts, to be corrected and kept."""
        selection = session.selection
        _, size = _run_of(selection)
        data = self.library.data_of(self.library.category(selection.category))
        if "train" not in data:
            raise ValueError(f"{data.name} has no train split to find the silhouette of its parts in; draw the region")
        region = afrd.runs.silhouette(data["train"])
        if region.shape != size:
            raise ValueError(f"the training pictures of {data.name} have another size now; draw the region")
        return self._to_draw(session, polygons_of(region))

    def keep(self, session: PageSession, event: gr.EventData) -> dict:
        shapes = event_value(event, "shapes", list)
        folder, size = _run_of(session.selection)
        try:
            region = afrd.runs.drawn_region(_corners(shapes), size)
        except ValueError as error:  # the drawing stays
            gr.Warning(plain(error))
            return {self.table: self._to_draw(session, shapes)}
        return self._replace(session, folder, region)

    def upload(self, session: PageSession, file: str) -> dict:
        folder, size = _run_of(session.selection)
        return self._replace(session, folder, afrd.runs.read_region(Path(file), size))

    def clear(self, session: PageSession) -> dict:
        return self._replace(session, _run_of(session.selection)[0], None)

    def undo(self, session: PageSession) -> dict:
        history = session.state(RegionHistory).changes
        folder, size = _run_of(session.selection)
        last = next((i for i in reversed(range(len(history))) if history[i][0] == folder), None)
        if last is None:
            raise ValueError("nothing to undo: the region of this run was not changed here")
        _, before, after = history[last]
        if not _same(afrd.runs.stored_region(folder, size), after):
            raise ValueError("somebody else has changed the region of this run since; draw or clear it instead")
        afrd.runs.save_region(folder, before)
        del history[last]
        return self.redraw(session)

    def _replace(self, session: PageSession, folder: Path, region: np.ndarray | None) -> dict:
        before = afrd.runs.stored_region(folder, afrd.runs.read_config(folder)[1].picture_size)
        afrd.runs.save_region(folder, region)
        history = session.state(RegionHistory).changes
        history.append((folder, before, region))
        del history[:-MAX_UNDONE]
        share = None if region is None else afrd.metrics.region_share(region)
        gr.Info(plain(f"{folder.name} judges {f'inside {share} of the picture' if share else 'the whole picture'}."))
        return self.redraw(session)

    def _to_draw(self, session: PageSession, shapes: list) -> str:
        content = json.loads(session.drawn(partial(scene, self.library)))
        if "message" in content:
            raise ValueError("show a sample first, to draw the region on it")
        return json.dumps(content | {"drawing": shapes})


def _run_of(selection: Selection) -> tuple[Path, tuple[int, int]]:
    """The folder and the picture size (H, W) of the shown run; its files are inspected outside the snapshot, so
    that a changed run is read again."""
    if selection.run is None:
        raise ValueError("there is no run here whose region could be changed; train one first")
    return selection.run, afrd.runs.read_config(selection.run)[1].picture_size


def _same(one: np.ndarray | None, two: np.ndarray | None) -> bool:
    return one is two if one is None or two is None else bool((one == two).all())


def _corners(shapes: list) -> list[list[tuple[float, float]]]:
    """Polygons as a browser sends them.

    Raises:
        ValueError: they are no lists of pairs of numbers.
    """
    try:
        return [[(float(x), float(y)) for x, y in corners] for corners in shapes]
    except (TypeError, ValueError):
        raise ValueError("a region is drawn as shapes, lists of corners [x, y]") from None
