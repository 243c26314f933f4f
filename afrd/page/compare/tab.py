"""The Compare tab: all methods side by side on the chosen lights, and the samples that make the difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from afrd.page.common.components import ByName
from afrd.page.common.messages import message, page_error
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.samples import first_selection, with_split
from afrd.page.common.selection import Selection, known_run, with_run
from afrd.page.common.session import PageSession, Versioned
from afrd.page.compare import comparison as standings
from afrd.page.compare.comparison import Comparison, NotComparableError
from afrd.page.compare.text import label_in

MOST_DRAWN = 8  # methods whose curves can be told apart


@dataclass(frozen=True)
class Menus:
    """What to compare, in the order in which `standings.menus` fills it."""

    category: gr.Dropdown
    run: gr.Dropdown
    split: gr.Dropdown
    lights: gr.CheckboxGroup

    def all(self) -> list[Any]:
        return list(vars(self).values())

    def filled(self, values: list[Any]) -> dict[Any, Any]:
        return dict(zip(self.all(), values, strict=True))


@dataclass(frozen=True)
class Sheet(ByName):
    """What is shown; `standings` fills the components by these names."""

    status: gr.HTML
    table: gr.Dataframe
    notes: gr.HTML
    metric: gr.Radio
    words: gr.HTML
    forest: gr.Plot
    heading: gr.HTML
    samples: gr.Dataframe
    drawn: gr.Dropdown
    roc: gr.Plot
    pro: gr.Plot
    defects: gr.Plot

    def all(self) -> list[Any]:
        return list(vars(self).values())


def compare_tab(tab: gr.Tab, open_in_explore: OpenInExplore) -> None:
    """Lays the tab out and connects it."""
    with gr.Column(elem_classes="compare"):
        with gr.Row(elem_classes="controls", equal_height=True):
            menus = Menus(
                gr.Dropdown([], label="Category", filterable=False, min_width=120, elem_id="compare-category"),
                gr.Dropdown([], label="Reference run", filterable=False, min_width=190, elem_id="compare-run"),
                gr.Dropdown([], label="Split", filterable=False, min_width=110, elem_id="compare-split"),
                gr.CheckboxGroup(
                    [], label="Lights", scale=3, min_width=420, show_select_all=True, elem_id="compare-lights"
                ),
            )
        # The style sheet hides what has nothing to show: Gradio can lose what it is told of a part it is just mounting.
        status = gr.HTML(message("Loading …"), elem_id="compare-status")
        widths = [238, 66, *[158] * 6]
        table = _table("compare-table", "All methods", widths, max_height=560, pinned_columns=1)
        notes = gr.HTML("", elem_id="compare-notes")
        with gr.Column(elem_id="compare-rest"):
            metric = gr.Radio([], label="Look closer at", elem_id="compare-metric")
            words = gr.HTML("", elem_id="compare-words")
            with gr.Row(equal_height=False, elem_id="compare-against"):
                with gr.Column(scale=5, min_width=400):
                    forest = _plot("compare-forest")
                with gr.Column(scale=6, min_width=420):
                    heading = gr.HTML("", elem_id="compare-heading")
                    widths = [66, 110, 64, 76, 76, 64, 64, 72, 72]
                    samples = _table("compare-samples", "Samples that make the difference", widths, max_height=440)
            drawn = gr.Dropdown(
                [], label="Methods drawn below", multiselect=True, max_choices=MOST_DRAWN, elem_id="compare-drawn"
            )
            with gr.Row(equal_height=False):
                roc, pro = (_plot(f"compare-{name}") for name in ("roc", "pro"))
            defects = _plot("compare-defects")
    sheet = Sheet(
        status,
        table,
        notes,
        metric,
        words,
        forest,
        heading,
        samples,
        drawn,
        roc,
        pro,
        defects,
    )
    _connect(tab, open_in_explore, menus, sheet)


def _plot(name: str) -> gr.Plot:
    return gr.Plot(show_label=False, container=False, min_width=380, elem_id=name)


def _table(name: str, label: str, widths: list[int], **options: Any) -> gr.Dataframe:
    usual: dict[str, Any] = {"show_label": False, "interactive": False, "wrap": True, "buttons": []}
    usual["column_widths"] = widths
    return gr.Dataframe(label=label, elem_id=name, **usual, **options)


class CompareState:
    """What the server remembers of this tab for one browser session.

    Attributes:
        picked: label of the method whose samples are shown.
    """

    def __init__(self) -> None:
        self.picked = Versioned("")
        self._begun = Versioned(0)

    def begin(self) -> Callable[[], bool]:
        """Begins to fill the sheet; the function returned says whether no later event has begun to fill it since."""
        number = self._begun.apply(lambda number: number + 1)
        return lambda: self._begun.value == number


def _connect(tab: gr.Tab, open_in_explore: OpenInExplore, menus: Menus, sheet: Sheet) -> None:
    library = open_in_explore.library

    def shown(state: CompareState, values: dict[str, Any], picked: str) -> dict:
        """Values of components; the method that was picked by default replaces `picked`, if that still stands."""
        if "picked" in values:
            default = values["picked"]
            state.picked.apply(lambda label: default if label == picked else label)
        return sheet.filled({name: value for name, value in values.items() if name != "picked"})

    # One event from the change to the last figure: Gradio can lose one that only begins as another one ends.
    def on_change(
        event: Callable, change: Callable[..., Selection], inputs: list, name: str, own_menus: bool = True
    ) -> None:
        def judge(session: PageSession, metric: str, drawn: list[str], *inputs: Any) -> Iterator:
            state = session.state(CompareState)
            try:
                session.apply(lambda selection: change(selection, *inputs))
            except (ValueError, OSError) as error:  # the data has moved meanwhile
                raise page_error(str(error)) from None
            is_latest = state.begin()
            selection = session.selection  # read after `begin`, so that the latest drawing has the changes of them all
            filled = menus.filled(standings.menus(library, selection)) if own_menus else {}
            yield {open_in_explore.changed: selection} | filled
            picked = state.picked.value
            for values in standings.sheets(library, selection, metric, picked, drawn or []):
                if not is_latest():
                    return
                yield shown(state, values, picked)

        event(
            judge,
            [open_in_explore.session, sheet.metric, sheet.drawn, *inputs],
            [open_in_explore.changed, *menus.all(), *sheet.all()],
            api_name=name,
            show_progress="hidden",
            trigger_mode="multiple",
            concurrency_limit=2,
            concurrency_id="comparison",  # a first look takes long, and Explore answers all the while
        )

    def open_tab(selection: Selection) -> Selection:
        return selection if selection.category else first_selection(library, None)  # the page may still be loading

    def choose_category(selection: Selection, key: str) -> Selection:
        return first_selection(library, key, kept=selection)

    def choose_run(selection: Selection, folder: str) -> Selection:
        return with_run(library, selection, known_run(library, selection, folder))

    def choose_split(selection: Selection, split: str) -> Selection:
        return with_split(library, selection, split)

    def choose_lights(selection: Selection, lights: list[str]) -> Selection:
        usable = standings.lights_of(library, selection)
        return replace(selection, lights=tuple(light for light in usable if light in lights))

    on_change(tab.select, open_tab, [], "compare_open")
    on_change(menus.category.input, choose_category, [menus.category], "compare_category")
    on_change(menus.run.input, choose_run, [menus.run], "compare_run")
    on_change(menus.split.input, choose_split, [menus.split], "compare_split")
    # the boxes stay as they are: their reader may be about to tick another one
    on_change(menus.lights.input, choose_lights, [menus.lights], "compare_lights", own_menus=False)

    def on(event: Callable, handler: Callable, inputs: list, outputs: list, name: str) -> None:
        usual: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "torch", "show_progress": "hidden"}
        event(handler, [open_in_explore.session, *inputs], outputs, api_name=name, trigger_mode="always_last", **usual)

    def compared(selection: Selection) -> Comparison:
        try:
            return Comparison(library, selection)
        except NotComparableError as why:
            raise page_error(str(why)) from None

    def draw_picked(session: PageSession, draw: Callable[[str], dict[str, Any]]) -> dict:
        """Values of components for the method that is picked, see `shown`."""
        state = session.state(CompareState)
        picked, values = state.picked.drawn(lambda label: (label, draw(label)))
        return shown(state, values, picked)

    def choose_metric(session: PageSession, metric: str) -> dict:
        comparison = compared(session.selection)
        ranked = comparison.standings()
        return draw_picked(session, lambda picked: standings.closer(comparison, ranked, metric, picked))

    def pick_method(session: PageSession, metric: str, event: gr.SelectData) -> dict:
        comparison, label = compared(session.selection), label_in(event.row_value)
        method = comparison.method(label)
        if method is not None and method is not comparison.reference:
            session.state(CompareState).picked.apply(lambda _: label)
        return draw_picked(session, lambda picked: standings.samples(comparison, metric, picked))

    def draw(session: PageSession, drawn: list[str]) -> dict:
        return sheet.filled(standings.figures(compared(session.selection), drawn))

    def open_sample(session: PageSession, event: gr.SelectData) -> list:
        sample, picked = label_in(event.row_value), session.state(CompareState).picked.value

        def change(selection: Selection) -> Selection:
            comparison = compared(selection)
            return comparison.opened(sample, comparison.method(picked))

        return open_in_explore.opened(session, change)

    samples = [sheet.heading, sheet.samples]
    closer = [sheet.words, sheet.forest, *samples]
    on(sheet.metric.input, choose_metric, [sheet.metric], closer, "compare_metric")
    on(sheet.table.select, pick_method, [sheet.metric], samples, "compare_pick")
    on(sheet.drawn.input, draw, [sheet.drawn], [sheet.roc, sheet.pro, sheet.defects], "compare_draw")
    on(sheet.samples.select, open_sample, [], open_in_explore.outputs, "compare_open_sample")
