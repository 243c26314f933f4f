"""The Explore tab: categories, samples, the light table, and what happens when something is chosen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import gradio as gr

from afrd.page.common import link as links
from afrd.page.common.library import Library
from afrd.page.common.menus import category_choices, run_choices
from afrd.page.common.messages import in_one_sentence, told
from afrd.page.common.samples import (
    dataset_of,
    first_selection,
    judgeable,
    kinds,
    listed,
    pages,
    splits_of,
    stepped,
    with_samples,
    with_split,
)
from afrd.page.common.selection import ORDERS, VERDICTS, Selection, first_beside, known_run, with_run
from afrd.page.common.session import PageSession
from afrd.page.explore import other_methods
from afrd.page.explore.strip import strip, strip_of
from afrd.page.light_table.component import light_table
from afrd.page.light_table.scene import nothing_yet, scene


@dataclass(frozen=True)
class ExploreComponents:
    """The components that `everything` fills, in its order.

    Attributes:
        changed: the latest selection that an event has drawn; a new one draws `FollowingComponents`. Never an input.
        drawn: the selection that this tab shows; another tab may have changed the session's since.
    """

    changed: gr.State
    drawn: gr.State
    category: gr.Dropdown
    run: gr.Dropdown
    beside: gr.Dropdown
    split: gr.Dropdown
    kind: gr.Dropdown
    verdict: gr.Dropdown
    order: gr.Dropdown
    table: gr.HTML

    def all(self) -> list[Any]:
        return list(vars(self).values())


@dataclass(frozen=True)
class FollowingComponents:
    """The components that a separate event draws after each change: the light table need not wait for them."""

    strip: gr.HTML
    page: gr.Dropdown
    address: gr.HTML
    notice: gr.HTML

    def all(self) -> list[Any]:
        return list(vars(self).values())


@dataclass(frozen=True)
class PageComponents:
    """The components outside the tabs.

    Attributes:
        session: holds the `PageSession`; an input of events only.
        address: the browser's address.
        notice: a sentence about a link that could not be followed.
        arrived: the selection that the link led to; the sentence disappears with the next one.
        known: what categories and runs there were when the page last looked.
        news: changes when there is a new run.
    """

    session: gr.State
    address: gr.HTML
    notice: gr.HTML
    arrived: gr.State
    known: gr.State
    news: gr.State


def explore_tab(tab: gr.Tab, library: Library, page_components: PageComponents) -> ExploreComponents:
    """Lays the tab out and connects it."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=0, min_width=264, elem_classes="sidebar"):
            category = gr.Dropdown([], label="Category", filterable=False, elem_id="category")
            run = gr.Dropdown([], label="Run", filterable=False, elem_id="run")
            beside = gr.Dropdown([], label="Single-light RD beside it", filterable=False, elem_id="beside")
            with gr.Row():
                split = gr.Dropdown([], label="Split", filterable=False, min_width=90, elem_id="split")
                kind = gr.Dropdown([], label="Truth", filterable=False, min_width=90, elem_id="kind")
            with gr.Row():
                verdict = gr.Dropdown([], label="Verdict", filterable=False, min_width=90, elem_id="verdict")
                order = gr.Dropdown([], label="Order", filterable=False, min_width=90, elem_id="order")
            page = gr.Dropdown([], label="Samples", filterable=False, visible=False, elem_id="page")
            thumbnails = strip()
        with gr.Column(scale=1, min_width=560):
            table = light_table("light-table")
            with gr.Row(elem_classes="peers", equal_height=False):
                bars = gr.Plot(show_label=False, container=False, elem_id="method-scores", min_width=300)
                slider = gr.ImageSlider(
                    label="Before and after: a single light, and all of them",
                    interactive=False,
                    max_height=420,
                    buttons=["download", "fullscreen"],
                    min_width=300,
                    elem_id="before-after",
                )
    components = ExploreComponents(
        gr.State(Selection()), gr.State(Selection()), category, run, beside, split, kind, verdict, order, table
    )
    following_components = FollowingComponents(thumbnails, page, page_components.address, page_components.notice)
    _connect(library, components, following_components, page_components, tab)
    _connect_other_methods(library, components, page_components, [bars, slider])
    return components


def _connect(
    library: Library,
    components: ExploreComponents,
    following_components: FollowingComponents,
    page_components: PageComponents,
    tab: gr.Tab,
) -> None:
    session_state = page_components.session

    def on(event: Callable, handler: Callable, inputs: list, outputs: list, name: str) -> None:
        event(
            in_one_sentence(handler),
            [session_state, *inputs],
            outputs,
            api_name=name,
            show_progress="hidden",
            concurrency_limit=2,
            concurrency_id="torch",
            trigger_mode="always_last",
        )

    def change_all(session: PageSession, change: Callable[[Selection], Selection]) -> list:
        """Changes the selection; values of all `ExploreComponents`."""
        session.apply(change)
        return session.drawn(lambda selection: everything(library, selection))

    def change_table(session: PageSession, change: Callable[[Selection], Selection]) -> list:
        """Changes the selection; values of `table_only`."""
        session.apply(change)
        return session.drawn(lambda selection: drawn(library, selection))

    def choose_category(session: PageSession, key: str) -> list:
        return change_all(session, lambda selection: first_selection(library, key, kept=selection))

    def choose_run(session: PageSession, folder: str) -> list:
        return change_all(
            session, lambda selection: with_run(library, selection, known_run(library, selection, folder))
        )

    def compare_with(session: PageSession, folder: str) -> list:
        return change_table(session, lambda selection: replace(selection, beside=known_run(library, selection, folder)))

    def choose_split(session: PageSession, split: str) -> list:
        return change_all(session, lambda selection: with_split(library, selection, split))

    def filter_samples(session: PageSession, kind: str) -> list:
        return change_table(session, lambda selection: with_samples(library, replace(selection, kind=kind)))

    def filter_verdicts(session: PageSession, verdict: str) -> list:
        return change_table(session, lambda selection: with_samples(library, replace(selection, verdict=verdict)))

    def order_samples(session: PageSession, order: str) -> list:
        return change_table(session, lambda selection: with_samples(library, replace(selection, order=order)))

    def turn_page(session: PageSession, page: int) -> list:
        return change_table(session, lambda selection: replace(selection, page=page))

    def select_sample(session: PageSession, event: gr.EventData) -> list:
        name = told(event, "sample", str)

        def change(selection: Selection) -> Selection:
            names = dataset_of(library, selection).names
            return replace(selection, index=names.index(name), pinned=None) if name in names else selection

        return change_table(session, change)

    def step_sample(session: PageSession, event: gr.EventData) -> list:
        by = told(event, "by", int)
        return change_table(session, lambda selection: stepped(library, selection, by))

    def choose_lights(session: PageSession, event: gr.EventData) -> list:
        lit = told(event, "lights", list)

        def change(selection: Selection) -> Selection:
            lights = dataset_of(library, selection).lights
            return replace(selection, lights=tuple(light for light in lights if light in lit))

        return change_table(session, change)

    def show_light(session: PageSession, event: gr.EventData) -> list:
        light = told(event, "light", str)
        selection = session.apply(lambda selection: replace(selection, shown=light))
        return [selection, selection, gr.skip()]  # the light table shows it already

    def pin_place(session: PageSession, event: gr.EventData) -> list:
        place = [at for at in told(event, "place", list) if isinstance(at, int)]
        pinned = (place[0], place[1]) if len(place) == 2 else None
        return change_table(session, lambda selection: replace(selection, pinned=pinned))

    def work_out(session: PageSession, progress: gr.Progress = gr.Progress()) -> list:  # noqa: B008
        selection = session.selection
        if selection.run is not None:
            dataset = dataset_of(library, selection)
            library.read(selection.run, dataset, lambda done, total: progress((done, total)))
        return session.drawn(lambda selection: [*everything(library, selection), strip_of(library, selection)])

    def refresh(session: PageSession, shown: Selection) -> list:
        if session.selection == shown or session.selection.category is None:
            return nothing_new()
        return session.drawn(lambda selection: everything(library, selection))

    table_only = [components.changed, components.drawn, components.table]
    on(components.category.input, choose_category, [components.category], components.all(), "choose_category")
    on(components.run.input, choose_run, [components.run], components.all(), "choose_run")
    on(components.beside.input, compare_with, [components.beside], table_only, "compare_with")
    on(components.split.input, choose_split, [components.split], components.all(), "choose_split")
    on(components.kind.input, filter_samples, [components.kind], table_only, "filter_samples")
    on(components.verdict.input, filter_verdicts, [components.verdict], table_only, "filter_verdicts")
    on(components.order.input, order_samples, [components.order], table_only, "order_samples")
    on(following_components.page.input, turn_page, [following_components.page], table_only, "turn_page")
    on(following_components.strip.pick, select_sample, [], table_only, "select_sample")
    on(components.table.step, step_sample, [], table_only, "step_sample")
    on(components.table.lights, choose_lights, [], table_only, "choose_lights")
    on(components.table.shown, show_light, [], table_only, "show_light")
    on(components.table.pinned, pin_place, [], table_only, "pin")
    on(tab.select, refresh, [components.drawn], components.all(), "refresh_explore")
    following_components.strip.work(
        in_one_sentence(work_out),
        session_state,
        [*components.all(), following_components.strip],
        api_name="work_out_scores",
        show_progress="full",
        show_progress_on=following_components.strip,
        concurrency_limit=1,
        concurrency_id="features",
    )

    def follow(session: PageSession, arrived: Selection) -> list:
        return session.drawn(lambda selection: following(library, selection, arrived))

    gr.on(
        [components.changed.change, page_components.news.change],
        follow,
        [session_state, page_components.arrived],
        following_components.all(),
        api_name="follow_choice",
        show_progress="hidden",
        concurrency_limit=2,
        concurrency_id="following",
        trigger_mode="multiple",  # a change may come while another is followed, and the latest must not be lost
    )


def _connect_other_methods(
    library: Library, components: ExploreComponents, page_components: PageComponents, outputs: list
) -> None:
    """The other methods' scores and maps, which at first take seconds: their runs are loaded for it."""

    def draw(selection: Selection) -> list:
        pictures, label = other_methods.before_and_after(library, selection)
        return [other_methods.bars(library, selection), gr.ImageSlider(pictures, label=label)]

    def ask(session: PageSession) -> list:
        return session.drawn(draw)

    gr.on(
        [components.changed.change, page_components.news.change],
        ask,
        [page_components.session],
        outputs,
        api_name="ask_other_methods",
        show_progress="hidden",
        concurrency_limit=1,
        concurrency_id="peers",
        trigger_mode="multiple",
    )


def drawn(library: Library, selection: Selection) -> list:
    """Values of the selection, twice, and the light table."""
    return [selection, selection, scene(library, selection)]


def everything(library: Library, selection: Selection) -> list:
    """Values of all `ExploreComponents`, in their order."""
    entries = library.categories()
    entry = next((e for e in entries if e.key == selection.category), None)
    if entry is None:
        empty = [gr.Dropdown([], value=None) for _ in range(6)]
        return [selection, selection, gr.Dropdown(category_choices(entries), value=None), *empty, nothing_yet(library)]
    try:
        splits, truths = splits_of(library, entry), kinds(dataset_of(library, selection))
    except (ValueError, OSError):  # the light table says what is wrong
        splits, truths = [], ["all"]
    scored, judged = judgeable(library, selection)
    verdicts = ["all", *VERDICTS] if judged else ["all"]
    orders = list(ORDERS) if scored else list(ORDERS[:1])
    return [
        selection,
        selection,
        gr.Dropdown(category_choices(entries), value=selection.category),
        gr.Dropdown(run_choices(entry.fused), value=str(selection.run or "")),
        gr.Dropdown(run_choices(entry.single), value=str(selection.beside or "")),
        gr.Dropdown(splits, value=selection.split),
        gr.Dropdown(truths, value=selection.kind if selection.kind in truths else "all"),
        gr.Dropdown(verdicts, value=selection.verdict if selection.verdict in verdicts else "all"),
        gr.Dropdown(orders, value=selection.order if selection.order in orders else ORDERS[0]),
        scene(library, selection),
    ]


def following(library: Library, selection: Selection, arrived: Selection) -> list:
    """Values of all `FollowingComponents`, in their order."""
    started = time.monotonic()
    try:
        entries = pages(listed(library, selection)) if selection.category is not None else []
    except (ValueError, OSError):
        entries = []
    return [
        strip_of(library, selection) if selection.category is not None else "",
        gr.Dropdown(entries, value=selection.page if selection.page < len(entries) else None, visible=len(entries) > 1),
        links.stamped(links.query_of(library, selection), started),
        gr.skip() if selection == arrived else "",
    ]


def refreshed(library: Library, session: PageSession) -> list:
    """Values of all `ExploreComponents` when runs or categories were added: menus grow, what the user looks at stays
    where it can."""
    before = session.selection
    selection = session.apply(lambda selection: completed(library, selection))
    if selection != before:
        return session.drawn(lambda selection: everything(library, selection))
    entry = next((e for e in library.categories() if e.key == selection.category), None)
    if entry is None:
        return everything(library, selection)
    values = nothing_new()
    names = [field.name for field in fields(ExploreComponents)]
    values[names.index("category")] = gr.Dropdown(category_choices(library.categories()))
    values[names.index("run")] = gr.Dropdown(run_choices(entry.fused))
    values[names.index("beside")] = gr.Dropdown(run_choices(entry.single))
    return values


def completed(library: Library, selection: Selection) -> Selection:
    """The selection with runs that were added, where it had none."""
    entry = next((e for e in library.categories() if e.key == selection.category), None)
    if entry is None:
        return first_selection(library, None)
    if selection.index is None and selection.split is None:  # its pictures could not be read
        return first_selection(library, selection.category)
    if selection.run is None and entry.fused:
        if (selection.split or "").startswith("test"):
            selection = with_run(library, selection, entry.fused[0].folder)
        else:
            selection = first_selection(library, entry.key, selection)
    return replace(selection, beside=first_beside(entry)) if selection.beside is None else selection


def nothing_new() -> list:
    return [gr.skip() for _ in fields(ExploreComponents)]
