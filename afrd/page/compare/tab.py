"""The Compare tab: all methods side by side on the chosen lights, and the samples that make the difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from afrd.page.common import events
from afrd.page.common.library import Library
from afrd.page.common.menus import MENU_CHANGES, selection_menu_values
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.samples import opened_selection
from afrd.page.common.selection import Selection
from afrd.page.common.session import PageSession, Versioned
from afrd.page.compare import views
from afrd.page.compare.comparison import Comparison, lights_of
from afrd.page.compare.layout import CompareComponents
from afrd.page.compare.text import label_in

MENUS = ("category", "run", "split", "lights")


class CompareState:
    """What the server remembers of this tab for one browser session.

    Attributes:
        picked: label of the method whose samples are shown.
    """

    def __init__(self) -> None:
        self.picked = Versioned("")
        self._begun = Versioned(0)

    def begin(self) -> Callable[[], bool]:
        """Begins to fill the tab; the function returned says whether no later event has begun to fill it since."""
        number = self._begun.apply(lambda number: number + 1)
        return lambda: self._begun.value == number


def compare_tab(tab: gr.Tab, open_in_explore: OpenInExplore) -> None:
    """Lays the tab out and connects it."""
    CompareTab(tab, open_in_explore)


class CompareTab:
    """The tab's components, and the handlers of their events."""

    def __init__(self, tab: gr.Tab, open_in_explore: OpenInExplore) -> None:
        self.open_in_explore, self.library = open_in_explore, open_in_explore.library
        self.components = components = CompareComponents()
        on = partial(events.on, open_in_explore.session)

        # One event from the change to the last figure: Gradio can lose one that only begins as another one ends.
        # It has a queue of its own: a first look takes long, and Explore answers all the while.
        judging = {"trigger_mode": "multiple", "concurrency_id": "comparison"}
        outputs = [open_in_explore.changed, *components.all()]
        shown = components.named("metric", "drawn")
        changes: dict[str, Callable[..., Selection]] = {**MENU_CHANGES, "lights": with_lights}
        open_tab = partial(self.judge, opened_selection, True)
        on(tab.select, open_tab, shown, outputs, "compare_open", **judging)
        for menu, (name, change) in zip(components.named(*MENUS), changes.items(), strict=True):
            handler = partial(self.judge, change, name != "lights")
            on(menu.input, handler, [*shown, menu], outputs, f"compare_{name}", **judging)

        samples = components.named("heading", "samples")
        closer, figures = components.named("words", "forest"), components.named("roc", "pro", "defects")
        metric, drawn = components.metric, components.drawn
        on(metric.input, self.choose_metric, [metric], [*closer, *samples], "compare_metric")
        on(components.table.select, self.pick_method, [metric], samples, "compare_pick")
        on(drawn.input, self.draw, [drawn], figures, "compare_draw")
        on(components.samples.select, self.open_sample, [], open_in_explore.outputs, "compare_open_sample")

    def judge(
        self, change: Callable[..., Selection], fills_menus: bool, session: PageSession, *values: Any
    ) -> Iterator[dict]:
        """Changes the selection, and fills the tab as the methods are judged, until there is a later event.

        The boxes of the lights stay as they are where one of them was ticked: another may be about to be.
        """
        metric, drawn, *chosen = values
        state = session.state(CompareState)
        session.apply(lambda selection: change(self.library, selection, *chosen))
        is_latest = state.begin()
        selection = session.selection  # read after `begin`, so that the latest drawing has the changes of them all
        menus = menu_values(self.library, selection) if fills_menus else {}
        yield {self.open_in_explore.changed: selection} | self.components.filled(menus)
        picked = state.picked.value
        for sheet in views.sheets(self.library, selection, metric, picked, drawn or []):
            if not is_latest():
                return
            yield self.filled(state, sheet, picked)

    def filled(self, state: CompareState, values: dict[str, Any], picked: str) -> dict:
        """Values of components; the method that was picked by default replaces `picked`, if that still stands."""
        default = values.pop("picked", picked)
        state.picked.apply(lambda label: default if label == picked else label)
        return self.components.filled(values)

    def draw_picked(self, session: PageSession, draw: Callable[[str], dict[str, Any]]) -> dict:
        """Values of components for the method that is picked."""
        state = session.state(CompareState)
        picked, values = state.picked.drawn(lambda label: (label, draw(label)))
        return self.filled(state, values, picked)

    def choose_metric(self, session: PageSession, metric: str) -> dict:
        comparison = Comparison(self.library, session.selection)
        results = comparison.results()
        return self.draw_picked(session, lambda picked: views.closer(comparison, results, metric, picked))

    def pick_method(self, session: PageSession, metric: str, event: gr.SelectData) -> dict:
        comparison, label = Comparison(self.library, session.selection), label_in(event.row_value)
        method = comparison.method(label)
        if method is not None and method is not comparison.reference:
            session.state(CompareState).picked.apply(lambda _: label)
        return self.draw_picked(session, lambda picked: views.samples(comparison, metric, picked))

    def draw(self, session: PageSession, drawn: list[str]) -> dict:
        return self.components.filled(views.figures(Comparison(self.library, session.selection), drawn))

    def open_sample(self, session: PageSession, event: gr.SelectData) -> dict:
        sample, picked = label_in(event.row_value), session.state(CompareState).picked.value

        def change(selection: Selection) -> Selection:
            comparison = Comparison(self.library, selection)
            return comparison.opened(sample, comparison.method(picked))

        return self.open_in_explore.opened(session, change)


def with_lights(library: Library, selection: Selection, lights: list[str]) -> Selection:
    return replace(selection, lights=tuple(light for light in lights_of(library, selection) if light in lights))


def menu_values(library: Library, selection: Selection) -> dict[str, Any]:
    """Values of the menus, by name."""
    try:
        lights = lights_of(library, selection)
    except (ValueError, OSError):  # the status says what is wrong
        lights = ()
    boxes = gr.CheckboxGroup(list(lights), value=[light for light in selection.lights if light in lights])
    return dict(zip(MENUS, [*selection_menu_values(library, selection), boxes], strict=True))
