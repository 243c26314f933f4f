"""The Explore tab: categories, samples, the light table, and the events that change what is shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from afrd.metrics.words import OUTCOMES
from afrd.page.common import events
from afrd.page.common import link as links
from afrd.page.common.components import fetch, made_file
from afrd.page.common.library import Library
from afrd.page.common.menus import MENU_CHANGES, beside_choices, category_choices, run_choices
from afrd.page.common.messages import event_value, pinned_place
from afrd.page.common.page_components import PageComponents
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
)
from afrd.page.common.selection import ORDERS, Selection, first_beside, known_run, with_run
from afrd.page.common.session import PageSession
from afrd.page.explore import other_methods
from afrd.page.explore.corrections import CorrectionComponents, CorrectionControls
from afrd.page.explore.layout import ExploreComponents, FollowingComponents
from afrd.page.explore.region import RegionComponents, RegionControls
from afrd.page.explore.strip import strip_of
from afrd.page.light_table.scene import heard, nothing_yet, scene
from afrd.page.light_table.share import page_of

SHARED_SAMPLES = 12  # samples in a file
BUSY: dict[str, Any] = {"show_progress": "minimal", "trigger_mode": "once"}
TABLE = ("changed", "drawn", "table")  # what `drawn` fills


def explore_tab(tab: gr.Tab, library: Library, page: PageComponents, changes_runs: bool) -> ExploreComponents:
    """Creates the tab and connects its events; `changes_runs`: whether corrections and regions can be changed in it."""
    return ExploreTab(tab, library, page, changes_runs).components


class ExploreTab:
    """The tab's components, and the handlers of their events."""

    def __init__(self, tab: gr.Tab, library: Library, page: PageComponents, changes_runs: bool) -> None:
        self.library, self.page = library, page
        self.following = following = FollowingComponents()
        region = RegionComponents() if changes_runs else None
        corrections = CorrectionComponents() if changes_runs else None
        self.components = components = ExploreComponents(following, region, corrections)
        on = partial(events.on, page.session)
        table = components.named(*TABLE)
        for name, change in MENU_CHANGES.items():
            menu = getattr(components, name)
            on(menu.input, partial(self.choose, change), [menu], components.all(), f"choose_{name}")
        for menu, change_table, api_name in (
            (components.beside, with_beside, "compare_with"),
            (components.kind, partial(with_filter, "kind"), "filter_samples"),
            (components.verdict, partial(with_filter, "verdict"), "filter_verdicts"),
            (components.order, partial(with_filter, "order"), "order_samples"),
            (following.page, with_page, "turn_page"),
        ):
            on(menu.input, partial(self.change_table, change_table), [menu], table, api_name)
        for event, handler, api_name in (
            (following.strip.pick, self.select_sample, "select_sample"),
            (components.table.step, self.step_sample, "step_sample"),
            (components.table.lights, self.choose_lights, "choose_lights"),
            (components.table.lit, self.keep_lights, "keep_lights"),
            (components.table.shown, self.show_light, "show_light"),
            (components.table.pinned, self.pin_place, "pin"),
        ):
            on(event, handler, [], table, api_name)
        if region is not None:
            RegionControls(region, library, on, components.table, [*table, page.news], self.run_changed)
        sharing = on(components.share.click, self.share, [], [components.shared], "share_table", **BUSY)
        sharing.success(**fetch("shared-file"), api_name="fetch_shared_table")
        on(tab.select, self.refresh, [components.drawn], components.all(), "refresh_explore")
        reading: dict[str, Any] = {"show_progress": "full", "show_progress_on": following.strip, "trigger_mode": "once"}
        reading |= {"concurrency_limit": 1, "concurrency_id": "features"}
        outputs = [*components.all(), following.strip]
        on(following.strip.work, self.work_out, [], outputs, "work_out_scores", **reading)
        # A change may come while another is followed, and the latest must not be lost.
        follow = partial(on, partial(gr.on, [components.changed.change, page.news.change]), trigger_mode="multiple")
        outputs = [following.strip, following.page, page.address, page.notice]
        follow(self.follow, [page.arrived], outputs, "follow_choice", concurrency_id="following")
        # The other methods' runs are loaded for their scores, which takes seconds at first.
        loading: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "peers"}
        if corrections is not None:
            outputs = [*table, page.news]
            CorrectionControls(corrections, library, on, follow, outputs, self.run_changed)
        follow(self.ask_other_methods, [], [following.scores, following.slider], "ask_other_methods", **loading)

    def choose(self, change: Callable[..., Selection], session: PageSession, value: str) -> dict:
        """Changes the selection; values of all components."""
        session.apply(lambda selection: change(self.library, selection, value))
        return self.draw_all(session)

    def draw_all(self, session: PageSession) -> dict:
        return self.components.filled(session.drawn(partial(everything, self.library)))

    def change_table(self, change: Callable[..., Selection], session: PageSession, *values: Any) -> dict:
        """Changes the selection; values of `TABLE`."""
        session.apply(lambda selection: change(self.library, selection, *values))
        return self.components.filled(session.drawn(partial(drawn, self.library)))

    def run_changed(self, session: PageSession) -> dict:
        """After a change of the shown run: the light table, and a notification for all that depends on it."""
        return {**self.components.filled(session.drawn(partial(drawn, self.library))), self.page.news: time.monotonic()}

    def select_sample(self, session: PageSession, event: gr.EventData) -> dict:
        return self.change_table(with_sample, session, event_value(event, "sample", str))

    def step_sample(self, session: PageSession, event: gr.EventData) -> dict:
        return self.change_table(stepped, session, event_value(event, "by", int))

    def choose_lights(self, session: PageSession, event: gr.EventData) -> dict:
        return self.change_table(with_lights, session, event_value(event, "lights", list))

    def keep_lights(self, session: PageSession, event: gr.EventData) -> dict:
        lights, number = event_value(event, "lights", list), event_value(event, "number", int)
        selection = session.apply(lambda selection: with_lights(self.library, selection, lights))
        return self.components.filled({"changed": selection, "drawn": selection, "table": heard(number)})

    def show_light(self, session: PageSession, event: gr.EventData) -> dict:
        light = event_value(event, "light", str)
        selection = session.apply(lambda selection: replace(selection, shown=light))
        return self.components.filled({"changed": selection, "drawn": selection})  # the light table shows it already

    def pin_place(self, session: PageSession, event: gr.EventData) -> dict:
        place = pinned_place(event)
        return self.change_table(lambda library, selection: replace(selection, pinned=place), session)

    def work_out(self, session: PageSession, progress: gr.Progress = gr.Progress()) -> dict:  # noqa: B008
        selection = session.selection
        if selection.run is not None:
            dataset = dataset_of(self.library, selection)
            self.library.read(selection.run, dataset, lambda done, total: progress((done, total)))

        def draw(selection: Selection) -> dict:
            values = self.components.filled(everything(self.library, selection))
            return values | {self.following.strip: strip_of(self.library, selection)}

        return session.drawn(draw)

    def share(self, session: PageSession) -> str:
        """A file with the light tables of the shown sample and of those that follow it in the list."""
        selection = session.selection
        indices = listed(self.library, selection)
        at = indices.index(selection.index) if selection.index in indices else 0
        page = page_of(self.library, selection, [*indices[at:], *indices[:at]][:SHARED_SAMPLES])
        return made_file(f"{dataset_of(self.library, selection).category}-{selection.split}.html", page)

    def refresh(self, session: PageSession, shown: Selection) -> dict:
        if session.selection == shown or session.selection.category is None:
            return {self.components.table: gr.skip()}
        return self.draw_all(session)

    def follow(self, session: PageSession, arrived: Selection) -> list:
        return session.drawn(lambda selection: following_values(self.library, selection, arrived))

    def ask_other_methods(self, session: PageSession) -> list:
        def draw(selection: Selection) -> list:
            pictures, label = other_methods.before_and_after(self.library, selection)
            return [other_methods.scores(self.library, selection), gr.ImageSlider(pictures, label=label)]

        return session.drawn(draw)


def with_beside(library: Library, selection: Selection, folder: str) -> Selection:
    return replace(selection, beside=known_run(library, selection, folder))


def with_filter(name: str, library: Library, selection: Selection, value: str) -> Selection:
    return with_samples(library, replace(selection, **{name: value}))  # type: ignore[arg-type]


def with_page(library: Library, selection: Selection, page: int) -> Selection:
    return replace(selection, page=page)


def with_sample(library: Library, selection: Selection, name: str) -> Selection:
    names = dataset_of(library, selection).names
    return replace(selection, index=names.index(name), pinned=None) if name in names else selection


def with_lights(library: Library, selection: Selection, chosen: list) -> Selection:
    lights = dataset_of(library, selection).lights
    return replace(selection, lights=tuple(light for light in lights if light in chosen))


def drawn(library: Library, selection: Selection) -> dict[str, Any]:
    """Values of `TABLE`, by name."""
    return {"changed": selection, "drawn": selection, "table": scene(library, selection)}


def everything(library: Library, selection: Selection) -> dict[str, Any]:
    """Values of all `ExploreComponents`, by name."""
    entries, entry = library.categories(), library.entry(selection.category)
    values: dict[str, Any] = {"changed": selection, "drawn": selection}
    values["category"] = gr.Dropdown(category_choices(entries), value=selection.category)
    if entry is None:
        names = ("run", "beside", "split", "kind", "verdict", "order")
        return values | {name: gr.Dropdown([], value=None) for name in names} | {"table": nothing_yet(library)}
    try:
        splits, truths = splits_of(library, entry), kinds(dataset_of(library, selection))
    except (ValueError, OSError):  # the light table says what is wrong
        splits, truths = [], ["all"]
    scored, judged = judgeable(library, selection)
    return values | {
        "run": gr.Dropdown(run_choices(entry.fused), value=str(selection.run or "")),
        "beside": gr.Dropdown(beside_choices(entry), value=str(selection.beside or "")),
        "split": gr.Dropdown(splits, value=selection.split),
        "kind": _filter(truths, selection.kind),
        "verdict": _filter(["all", *OUTCOMES] if judged else ["all"], selection.verdict),
        "order": _filter(list(ORDERS) if scored else [ORDERS[0]], selection.order),
        "table": scene(library, selection),
    }


def _filter(choices: list[str], chosen: str) -> gr.Dropdown:
    return gr.Dropdown(choices, value=chosen if chosen in choices else choices[0])


def following_values(library: Library, selection: Selection, arrived: Selection) -> list:
    """Values of the strip, its menu of pages, the address and the notice."""
    started = time.monotonic()
    entries: list[tuple[str, int]] = []
    if selection.category is not None:
        with suppress(ValueError, OSError):  # the light table says what is wrong
            entries = pages(listed(library, selection))
    return [
        strip_of(library, selection) if selection.category is not None else "",
        gr.Dropdown(entries, value=selection.page if selection.page < len(entries) else None, visible=len(entries) > 1),
        links.stamped(links.query_of(library, selection), started),
        gr.skip() if selection == arrived else "",
    ]


def refreshed(library: Library, session: PageSession) -> dict[str, Any]:
    """Values of `ExploreComponents` by name, when runs or categories were added: menus grow, and the selection is
    kept if possible."""
    before = session.selection
    selection = session.apply(lambda selection: completed(library, selection))
    entry = library.entry(selection.category)
    if selection != before or entry is None:
        return session.drawn(partial(everything, library))
    return {
        "category": gr.Dropdown(category_choices(library.categories())),
        "run": gr.Dropdown(run_choices(entry.fused)),
        "beside": gr.Dropdown(beside_choices(entry)),
    }


def completed(library: Library, selection: Selection) -> Selection:
    """The selection with runs that were added, where it had none."""
    entry = library.entry(selection.category)
    if entry is None or (selection.index is None and selection.split is None):  # its pictures could not be read
        return first_selection(library, selection.category if entry else None)
    if selection.run is None and entry.fused:
        if (selection.split or "").startswith("test"):
            selection = with_run(library, selection, entry.fused[0].folder)
        else:
            selection = first_selection(library, entry.key, selection)
    return replace(selection, beside=first_beside(entry)) if selection.beside is None else selection
