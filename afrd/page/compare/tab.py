"""The Compare tab: all methods side by side on the chosen lights, and the samples that make the difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from afrd.page.common.components import ByName
from afrd.page.common.messages import message
from afrd.page.common.moves import first_choice, known_run, with_run, with_samples
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.selection import Choice
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
    """What is shown; `standings` fills the components by these names.

    `picked` holds the label of the method whose samples are shown.
    """

    picked: gr.State
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
        gr.State(""),
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


class Turns:
    """Whose turn it is to fill one user's sheet: the latest wish; what is worked out for an earlier one is given up."""

    def __init__(self) -> None:
        self._latest = 0

    def take(self) -> Callable[[], bool]:
        """Tells, as long as it is asked, whether it is still this one's turn."""
        self._latest = mine = self._latest + 1
        return lambda: self._latest == mine


def _connect(tab: gr.Tab, open_in_explore: OpenInExplore, menus: Menus, sheet: Sheet) -> None:
    library = open_in_explore.library
    turns = gr.State(Turns())

    # One event from the wish to the last figure: Gradio can lose one that only begins as another one ends.
    def on_wish(event: Callable, wish: Callable[..., Choice], inputs: list, name: str, own_menus: bool = True) -> None:
        def judge(turns: Turns, metric: str, picked: str, drawn: list[str], choice: Choice, *values: Any) -> Iterator:
            my_turn = turns.take()
            try:
                wished = wish(choice, *values)
            except (ValueError, OSError) as error:  # the data has moved meanwhile
                raise gr.Error(str(error), print_exception=False) from None
            yield {open_in_explore.choice: wished} | (
                menus.filled(standings.menus(library, wished)) if own_menus else {}
            )
            for found in standings.sheets(library, wished, metric, picked, drawn or []):
                if not my_turn():
                    return
                yield sheet.filled(found)

        event(
            judge,
            [turns, sheet.metric, sheet.picked, sheet.drawn, open_in_explore.choice, *inputs],
            [open_in_explore.choice, *menus.all(), *sheet.all()],
            api_name=name,
            show_progress="hidden",
            trigger_mode="multiple",
            concurrency_limit=2,
            concurrency_id="comparison",  # a first look takes long, and Explore answers all the while
        )

    def open_tab(choice: Choice) -> Choice:
        return choice if choice.category else first_choice(library, None)  # the page may still be loading

    def choose_category(choice: Choice, key: str) -> Choice:
        return first_choice(library, key, kept=choice)

    def choose_run(choice: Choice, folder: str) -> Choice:
        return with_run(library, choice, known_run(library, choice, folder))

    def choose_split(choice: Choice, split: str) -> Choice:
        start = replace(choice, split=split, kind="all", verdict="all", index=None, page=0)
        return with_samples(library, start)

    def choose_lights(choice: Choice, lights: list[str]) -> Choice:
        known = standings.lights_of(library, choice)
        return replace(choice, lights=tuple(light for light in known if light in lights))

    on_wish(tab.select, open_tab, [], "compare_open")
    on_wish(menus.category.input, choose_category, [menus.category], "compare_category")
    on_wish(menus.run.input, choose_run, [menus.run], "compare_run")
    on_wish(menus.split.input, choose_split, [menus.split], "compare_split")
    # the boxes stay as they are: their reader may be about to tick another one
    on_wish(menus.lights.input, choose_lights, [menus.lights], "compare_lights", own_menus=False)

    def on(event: Callable, handler: Callable, inputs: list, outputs: list, name: str) -> None:
        usual: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "torch", "show_progress": "hidden"}
        event(handler, [open_in_explore.choice, *inputs], outputs, api_name=name, trigger_mode="always_last", **usual)

    def compared(choice: Choice) -> Comparison:
        try:
            return Comparison(library, choice)
        except NotComparableError as why:
            raise gr.Error(str(why), print_exception=False) from None

    def choose_metric(choice: Choice, metric: str, picked: str) -> dict:
        found = compared(choice)
        return sheet.filled(standings.closer(found, found.standings(), metric, picked))

    def pick_method(choice: Choice, metric: str, event: gr.SelectData) -> dict:
        return sheet.filled(standings.samples(compared(choice), metric, label_in(event.row_value)))

    def draw(choice: Choice, drawn: list[str]) -> dict:
        return sheet.filled(standings.figures(compared(choice), drawn))

    def open_sample(choice: Choice, picked: str, event: gr.SelectData) -> list:
        found = compared(choice)
        return open_in_explore.opened(found.opened(label_in(event.row_value), found.method(picked)))

    samples = [sheet.picked, sheet.heading, sheet.samples]
    closer = [sheet.words, sheet.forest, *samples]
    on(sheet.metric.input, choose_metric, [sheet.metric, sheet.picked], closer, "compare_metric")
    on(sheet.table.select, pick_method, [sheet.metric], samples, "compare_pick")
    on(sheet.drawn.input, draw, [sheet.drawn], [sheet.roc, sheet.pro, sheet.defects], "compare_draw")
    on(sheet.samples.select, open_sample, [sheet.picked], open_in_explore.outputs, "compare_open_sample")

    def compare(category: str, split: str = "", lights: str = "all") -> list[dict[str, Any]]:
        """Every method on the test split (or another) with these lights: metrics, intervals, paired differences."""
        return standings.compare(library, category, split, lights)

    gr.api(compare, api_name="compare", concurrency_limit=2, concurrency_id="comparison")
