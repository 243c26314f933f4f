"""The page as a whole: its tabs, how it opens, and how it learns of news."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from afrd.page import demo_panel
from afrd.page.about import about_tab
from afrd.page.access import TRAINING_OFF, Access
from afrd.page.common import link as links
from afrd.page.common.keys import once_an_event
from afrd.page.common.library import Library
from afrd.page.common.link import from_query
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.selection import FIRST_TAB, Selection
from afrd.page.common.session import PageSession
from afrd.page.compare import tab as compare
from afrd.page.errors import tab as errors
from afrd.page.explore import tab as explore
from afrd.page.lights import tab as lights
from afrd.page.sweeps.tab import sweeps_tab
from afrd.page.train import tab as train
from afrd.page.upload import tab as own

if TYPE_CHECKING:
    from afrd.demo.prepare import Preparation

THIS_MACHINE = Access()
QUICK, SLOW = 1.0, 10.0  # seconds between looks for progress and for new runs


def build(
    runs: Path, data: Path | None, preparation: Preparation | None = None, access: Access = THIS_MACHINE
) -> gr.Blocks:
    """The page.

    Args:
        runs: folder with run folders anywhere below.
        data: root of the data set to look at instead of where the runs were trained.
        preparation: the demo that is being prepared; its steps are shown until it is finished.
        access: who reaches the page, which decides whether one can train in it.
    """
    library = Library(Path(runs), Path(data) if data is not None else None, preparation is not None)
    with gr.Blocks(title="AFRD explorer", analytics_enabled=False, delete_cache=(3600, 24 * 3600)) as page:
        gr.HTML(
            '<div class="title-line"><h1>AFRD explorer</h1>'
            "<span>what each light sees, and what the lights together find</span></div>"
        )
        steps = preparation.steps() if preparation is not None else []
        with gr.Column(visible=preparation is not None, elem_id="preparation") as panel:
            summary = gr.HTML(demo_panel.summary(steps))
            with gr.Accordion("All steps", open=False):
                listing = gr.HTML(demo_panel.listing(steps))
        components = explore.PageComponents(
            session=gr.State(PageSession()),
            address=links.address(),
            notice=links.notice(),
            arrived=gr.State(Selection()),
            known=gr.State([]),
            news=gr.State(0.0),
        )
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Explore", id=FIRST_TAB) as first:
                explore_components = explore.explore_tab(first, library, components)
            open_in_explore = OpenInExplore(
                library,
                tabs,
                components.session,
                explore_components.changed,
                explore_components.all(),
                explore.everything,
            )
            with gr.Tab("Compare", id="compare") as tab:
                compare.compare_tab(tab, open_in_explore)
            with gr.Tab("Errors", id="errors") as tab:
                errors.errors_tab(tab, open_in_explore)
            with gr.Tab("Lights", id="lights") as tab:
                lights.lights_tab(tab, open_in_explore)
            with gr.Tab("Sweeps", id="sweeps") as tab:
                sweeps_tab(tab, open_in_explore)
            if access.train_tab:
                with gr.Tab("Train", id="train") as tab:
                    if access.training:
                        train.train_tab(tab, open_in_explore)
                    else:
                        train.training_off(TRAINING_OFF)
            with gr.Tab("Your own sample", id="own") as tab:
                own.own_tab(tab, open_in_explore)
            with gr.Tab("About", id="about"):
                about_tab()
        ids = [links.note_tab(tab) for tab in tabs.children if isinstance(tab, gr.Tab)]

        def opened(query: str | Mapping[str, str], session: PageSession) -> list:
            """The page as a link wants it; `query` comes from anywhere."""
            started, link = time.monotonic(), from_query(query)
            first_made = preparation.categories[0] if preparation is not None else None
            linked, lost = links.selection_of(library, link, first_made)
            tab = link.tab if link.tab in ids else FIRST_TAB
            if link.tab and link.tab != tab:
                lost = lost or f"This page has no tab “{link.tab[:40]}”; it has {', '.join(ids)}."
            session.apply(lambda _: linked)
            shown = gr.Tabs(selected=tab) if link.tab else gr.skip()  # who has chosen a tab meanwhile stays there

            def draw(selection: Selection) -> list:
                query = links.query_of(library, selection, tab if link.tab else "")
                return [links.stamped(query, started), *explore.everything(library, selection)]

            return [shown, lost, linked, category_descriptions(), *session.drawn(draw)]

        def open_page(session: PageSession, request: gr.Request) -> list:
            return opened(dict(request.query_params), session)

        def category_descriptions() -> list[str]:
            return [str(entry) for entry in library.categories()]

        link_query = gr.Textbox(visible=False, label="link")
        whole_page = [
            tabs,
            components.notice,
            components.arrived,
            components.known,
            components.address,
            *explore_components.all(),
        ]
        usual: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": 2, "concurrency_id": "torch"}
        page.load(open_page, components.session, whole_page, api_name="open_page", **usual)
        link_query.submit(opened, [link_query, components.session], whole_page, api_name="open_link", **usual)

        def look_for_news(session: PageSession, known: list[str]) -> list:
            now = category_descriptions()
            if now == known:
                news = [gr.skip(), gr.skip(), *explore.nothing_new()]
            else:
                news = [now, time.monotonic(), *explore.refreshed(library, session)]
            if preparation is None:
                return [gr.skip() for _ in range(4)] + news
            steps, finished = preparation.steps(), preparation.finished
            if finished:
                failed = any(step.state == "failed" for step in steps)
                panel_values = [gr.Timer(SLOW), gr.Column(visible=failed)]
            else:
                panel_values = [gr.skip(), gr.skip()]
            return [*panel_values, demo_panel.summary(steps), demo_panel.listing(steps), *news]

        timer = gr.Timer(QUICK if preparation is not None else SLOW)
        timer.tick(
            look_for_news,
            [components.session, components.known],
            [timer, panel, summary, listing, components.known, components.news, *explore_components.all()],
            api_name="look_for_news",
            trigger_mode="once",
            show_progress="hidden",
            concurrency_limit=2,
            concurrency_id="news",
        )
    once_an_event(page)
    return page
