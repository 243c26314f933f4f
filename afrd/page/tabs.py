"""The page as a whole: its tabs, its initial state, and the detection of new runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from afrd.page.about import about_tab
from afrd.page.access import TRAINING_OFF, Access
from afrd.page.common import events, link
from afrd.page.common.library import Library
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.page_components import PageComponents
from afrd.page.common.selection import FIRST_TAB, Selection
from afrd.page.common.session import PageSession
from afrd.page.compare.tab import compare_tab
from afrd.page.demo_panel import DemoPanel
from afrd.page.errors.tab import errors_tab
from afrd.page.explore import tab as explore
from afrd.page.lights.tab import lights_tab
from afrd.page.sweeps.tab import sweeps_tab
from afrd.page.train.tab import train_tab, training_off
from afrd.page.upload.tab import upload_tab

if TYPE_CHECKING:
    from afrd.demo.prepare import Preparation

THIS_MACHINE = Access()
PROGRESS_SECONDS, NEWS_SECONDS = 1.0, 10.0  # between checks for progress and for new runs


def tabs_after_explore(access: Access) -> list[tuple[str, str, Callable[[gr.Tab, OpenInExplore], Any]]]:
    """Id, title and function of each tab; the function creates its components and connects its events."""
    tabs: list[tuple[str, str, Callable[[gr.Tab, OpenInExplore], Any]]] = [
        ("compare", "Compare", compare_tab),
        ("errors", "Errors", partial(errors_tab, may_save=not access.open)),
        ("lights", "Lights", lights_tab),
        ("sweeps", "Sweeps", sweeps_tab),
        ("train", "Train", train_tab if access.training else lambda *_: training_off(TRAINING_OFF)),
        ("own", "Your own sample", upload_tab),
        ("about", "About", lambda *_: about_tab()),
    ]
    return [tab for tab in tabs if access.train_tab or tab[0] != "train"]


def build(
    runs: Path, data: Path | None, preparation: Preparation | None = None, access: Access = THIS_MACHINE
) -> gr.Blocks:
    """The page.

    Args:
        runs: folder with run folders anywhere below.
        data: root of the data set to show instead of that of the runs.
        preparation: the demo that is being prepared; its steps are shown until it is finished.
        access: who can reach the page, which determines whether training is allowed in it.
    """
    library = Library(Path(runs), Path(data) if data is not None else None, preparation is not None)
    with gr.Blocks(title="AFRD explorer", analytics_enabled=False, delete_cache=(3600, 24 * 3600)) as page:
        gr.HTML(
            '<div class="title-line"><h1>AFRD explorer</h1>'
            "<span>what each light sees, and what the lights together find</span></div>"
        )
        panel, outside = DemoPanel(preparation), PageComponents()
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Explore", id=FIRST_TAB) as tab:
                shown = explore.explore_tab(tab, library, outside, not access.open)
            open_in_explore = OpenInExplore(library, tabs, outside.session, shown.changed, shown, explore.everything)
            for tab_id, title, lay_out in tabs_after_explore(access):
                with gr.Tab(title, id=tab_id) as tab:
                    lay_out(tab, open_in_explore)
        Opening(page, open_in_explore, outside, preparation)
        News(open_in_explore, outside, panel, preparation)
    return page


class Opening:
    """Shows the view of a link, when the page opens and when a script requests it."""

    def __init__(
        self, page: gr.Blocks, open_in_explore: OpenInExplore, outside: PageComponents, preparation: Preparation | None
    ) -> None:
        self.open_in_explore, self.library, self.outside = open_in_explore, open_in_explore.library, outside
        self.first_category = preparation.categories[0] if preparation is not None else None
        self.tabs = [link.note_tab(tab) for tab in open_in_explore.tabs.children if isinstance(tab, gr.Tab)]
        on = partial(events.on, outside.session, trigger_mode="once")
        above = outside.named("notice", "arrived", "entries", "address")
        whole_page = [*open_in_explore.outputs, *above]
        on(page.load, self.open_page, [], whole_page, "open_page")
        query = gr.Textbox(visible=False, label="link")
        on(query.submit, self.open_link, [query], whole_page, "open_link")

    def open_page(self, session: PageSession, request: gr.Request) -> dict:
        return self.open_link(session, dict(request.query_params))

    def open_link(self, session: PageSession, query: str | Mapping[str, str]) -> dict:
        """The view of a link; `query` is untrusted."""
        started, requested = time.monotonic(), link.from_query(query)
        linked, lost = link.selection_of(self.library, requested, self.first_category)
        tab = requested.tab if requested.tab in self.tabs else FIRST_TAB
        if requested.tab and requested.tab != tab:
            lost = lost or f"This page has no tab “{requested.tab[:40]}”; it has {', '.join(self.tabs)}."
        session.apply(lambda _: linked)

        def draw(selection: Selection) -> dict:
            query = link.query_of(self.library, selection, tab if requested.tab else "")
            values = self.open_in_explore.components.filled(explore.everything(self.library, selection))
            return {self.outside.address: link.stamped(query, started), **values}

        above = self.outside.filled({"notice": lost, "arrived": linked, "entries": described(self.library)})
        chosen = {self.open_in_explore.tabs: gr.Tabs(selected=tab)}  # without one, who has chosen a tab stays there
        return above | session.drawn(draw) | (chosen if requested.tab else {})


class News:
    """Updates the demo's progress, and the runs and categories that were added."""

    def __init__(
        self, open_in_explore: OpenInExplore, outside: PageComponents, panel: DemoPanel, preparation: Preparation | None
    ) -> None:
        self.open_in_explore, self.library, self.outside = open_in_explore, open_in_explore.library, outside
        self.panel, self.preparation = panel, preparation
        self.timer = gr.Timer(PROGRESS_SECONDS if preparation is not None else NEWS_SECONDS)
        filled = [*panel.all(), *outside.named("entries", "news"), *open_in_explore.components.all()]
        usual = {"trigger_mode": "once", "concurrency_id": "news"}
        event, inputs, outputs = self.timer.tick, [outside.entries], [self.timer, *filled]
        events.on(outside.session, event, self.look, inputs, outputs, "look_for_news", **usual)

    def look(self, session: PageSession, entries: list[str]) -> dict:
        values: dict[Any, Any] = {self.outside.news: gr.skip()}
        if self.preparation is not None:
            values |= self.panel.values(self.preparation)
            if self.preparation.finished:
                values[self.timer] = gr.Timer(NEWS_SECONDS)
        now = described(self.library)
        if now == entries:
            return values
        values |= self.outside.filled({"entries": now, "news": time.monotonic()})
        return values | self.open_in_explore.components.filled(explore.refreshed(self.library, session))


def described(library: Library) -> list[str]:
    """The categories with their runs, to be compared."""
    return [str(entry) for entry in library.categories()]
