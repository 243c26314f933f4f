"""The Explore tab: categories, samples, the light table, and what happens when something is chosen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import gradio as gr

import afrd.data
import afrd.figures
from afrd.page.common import link as links
from afrd.page.common.library import Library
from afrd.page.common.menus import category_choices, run_choices
from afrd.page.common.messages import in_one_sentence, told
from afrd.page.common.moves import first_beside, first_choice, known_run, stepped, with_run, with_samples
from afrd.page.common.samples import dataset_of, judgeable, kinds, listed, pages, splits_of
from afrd.page.common.selection import ORDERS, VERDICTS, Choice, missing_run
from afrd.page.explore import other_methods as peers
from afrd.page.explore.strip import strip, strip_of
from afrd.page.light_table.component import light_table
from afrd.page.light_table.scene import nothing_yet, scene


@dataclass(frozen=True)
class Parts:
    """The components that `everything` fills, in its order.

    Attributes:
        choice: what the user looks at, shared by all tabs.
        drawn: the choice that the tab shows now; another tab may have changed `choice` since.
    """

    choice: gr.State
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
class Followers:
    """The components that follow the choice, by an event of their own: the light table need not wait for them."""

    strip: gr.HTML
    page: gr.Dropdown
    address: gr.HTML
    notice: gr.HTML

    def all(self) -> list[Any]:
        return list(vars(self).values())


@dataclass(frozen=True)
class Frame:
    """What the page has around its tabs.

    Attributes:
        address: the browser's address.
        notice: a sentence about a link that could not be followed.
        arrived: the choice that the link led to; with the next one the sentence goes.
        known: what categories and runs there were when the page last looked.
        news: changes when there is a new run.
    """

    address: gr.HTML
    notice: gr.HTML
    arrived: gr.State
    known: gr.State
    news: gr.State


def explore_tab(tab: gr.Tab, library: Library, script_constants: str, frame: Frame) -> Parts:
    """Lays the tab out and connects it; `script_constants` are the colours for the light table's script."""
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
            table = light_table("light-table", script_constants)
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
    parts = Parts(gr.State(Choice()), gr.State(Choice()), category, run, beside, split, kind, verdict, order, table)
    followers = Followers(thumbnails, page, frame.address, frame.notice)
    _connect(library, parts, followers, frame, tab)
    _connect_peers(library, parts, frame, [bars, slider])
    return parts


def _connect(library: Library, parts: Parts, followers: Followers, frame: Frame, tab: gr.Tab) -> None:
    def on(event: Callable, handler: Callable, inputs: list, outputs: list, name: str) -> None:
        event(
            in_one_sentence(handler),
            [parts.choice, *inputs],
            outputs,
            api_name=name,
            show_progress="hidden",
            concurrency_limit=2,
            concurrency_id="torch",
            trigger_mode="always_last",
        )

    def choose_category(choice: Choice, key: str) -> list:
        return everything(library, first_choice(library, key, kept=choice))

    def choose_run(choice: Choice, folder: str) -> list:
        return everything(library, with_run(library, choice, known_run(library, choice, folder)))

    def compare_with(choice: Choice, folder: str) -> list:
        return drawn(library, replace(choice, beside=known_run(library, choice, folder)))

    def choose_split(choice: Choice, split: str) -> list:
        start = replace(choice, split=split, kind="all", verdict="all", index=None, page=0)
        return everything(library, with_samples(library, start))

    def filter_samples(choice: Choice, kind: str) -> list:
        return drawn(library, with_samples(library, replace(choice, kind=kind)))

    def filter_verdicts(choice: Choice, verdict: str) -> list:
        return drawn(library, with_samples(library, replace(choice, verdict=verdict)))

    def order_samples(choice: Choice, order: str) -> list:
        return drawn(library, with_samples(library, replace(choice, order=order)))

    def turn_page(choice: Choice, page: int) -> list:
        return drawn(library, replace(choice, page=page))

    def select_sample(choice: Choice, event: gr.EventData) -> list:
        names = dataset_of(library, choice).names
        name = told(event, "sample", str)
        return drawn(library, replace(choice, index=names.index(name), pinned=None) if name in names else choice)

    def step_sample(choice: Choice, event: gr.EventData) -> list:
        return drawn(library, stepped(library, choice, told(event, "by", int)))

    def choose_lights(choice: Choice, event: gr.EventData) -> list:
        wanted, known = told(event, "lights", list), dataset_of(library, choice).lights
        return drawn(library, replace(choice, lights=tuple(light for light in known if light in wanted)))

    def show_light(choice: Choice, event: gr.EventData) -> list:
        moved = replace(choice, shown=told(event, "light", str))
        return [moved, moved, gr.skip()]  # the light table shows it already

    def pin_place(choice: Choice, event: gr.EventData) -> list:
        place = [at for at in told(event, "place", list) if isinstance(at, int)]
        return drawn(library, replace(choice, pinned=(place[0], place[1]) if len(place) == 2 else None))

    def work_out(choice: Choice, progress: gr.Progress = gr.Progress()) -> list:  # noqa: B008
        if choice.run is not None:
            library.read(choice.run, dataset_of(library, choice), lambda done, total: progress((done, total)))
        return [*everything(library, choice), strip_of(library, choice)]

    def refresh(choice: Choice, shown: Choice) -> list:
        return nothing_new() if choice == shown or choice.category is None else everything(library, choice)

    table_only = [parts.choice, parts.drawn, parts.table]
    on(parts.category.input, choose_category, [parts.category], parts.all(), "choose_category")
    on(parts.run.input, choose_run, [parts.run], parts.all(), "choose_run")
    on(parts.beside.input, compare_with, [parts.beside], table_only, "compare_with")
    on(parts.split.input, choose_split, [parts.split], parts.all(), "choose_split")
    on(parts.kind.input, filter_samples, [parts.kind], table_only, "filter_samples")
    on(parts.verdict.input, filter_verdicts, [parts.verdict], table_only, "filter_verdicts")
    on(parts.order.input, order_samples, [parts.order], table_only, "order_samples")
    on(followers.page.input, turn_page, [followers.page], table_only, "turn_page")
    on(followers.strip.pick, select_sample, [], table_only, "select_sample")
    on(parts.table.step, step_sample, [], table_only, "step_sample")
    on(parts.table.lights, choose_lights, [], table_only, "choose_lights")
    on(parts.table.shown, show_light, [], table_only, "show_light")
    on(parts.table.pinned, pin_place, [], table_only, "pin")
    on(tab.select, refresh, [parts.drawn], parts.all(), "refresh_explore")
    followers.strip.work(
        in_one_sentence(work_out),
        parts.choice,
        [*parts.all(), followers.strip],
        api_name="work_out_scores",
        show_progress="full",
        show_progress_on=followers.strip,
        concurrency_limit=1,
        concurrency_id="features",
    )
    gr.on(
        [parts.choice.change, frame.news.change],
        lambda choice, arrived: following(library, choice, arrived),
        [parts.choice, frame.arrived],
        followers.all(),
        api_name="follow_choice",
        show_progress="hidden",
        concurrency_limit=2,
        concurrency_id="following",
        trigger_mode="multiple",  # a change may come while another is followed, and the latest must not be lost
    )


def _connect_peers(library: Library, parts: Parts, frame: Frame, outputs: list) -> None:
    """What the other methods say, which at first takes seconds: they are loaded for it."""

    def ask(choice: Choice) -> list:
        pictures, label = peers.before_and_after(library, choice)
        return [peers.bars(library, choice), gr.ImageSlider(pictures, label=label)]

    gr.on(
        [parts.choice.change, frame.news.change],
        ask,
        [parts.choice],
        outputs,
        api_name="ask_other_methods",
        show_progress="hidden",
        concurrency_limit=1,
        concurrency_id="peers",
        trigger_mode="multiple",
    )


def drawn(library: Library, choice: Choice) -> list:
    """Values of the choice, twice, and the light table."""
    return [choice, choice, scene(library, choice)]


def everything(library: Library, choice: Choice) -> list:
    """Values of all `Parts`, in their order."""
    entries = library.categories()
    entry = next((e for e in entries if e.key == choice.category), None)
    if entry is None:
        empty = [gr.Dropdown([], value=None) for _ in range(6)]
        return [choice, choice, gr.Dropdown(category_choices(entries), value=None), *empty, nothing_yet(library)]
    try:
        splits, truths = splits_of(library, entry), kinds(dataset_of(library, choice))
    except (ValueError, OSError):  # the light table says what is wrong
        splits, truths = [], ["all"]
    scored, judged = judgeable(library, choice)
    verdicts = ["all", *VERDICTS] if judged else ["all"]
    orders = list(ORDERS) if scored else list(ORDERS[:1])
    return [
        choice,
        choice,
        gr.Dropdown(category_choices(entries), value=choice.category),
        gr.Dropdown(run_choices(entry.fused), value=str(choice.run or "")),
        gr.Dropdown(run_choices(entry.single), value=str(choice.beside or "")),
        gr.Dropdown(splits, value=choice.split),
        gr.Dropdown(truths, value=choice.kind if choice.kind in truths else "all"),
        gr.Dropdown(verdicts, value=choice.verdict if choice.verdict in verdicts else "all"),
        gr.Dropdown(orders, value=choice.order if choice.order in orders else ORDERS[0]),
        scene(library, choice),
    ]


def following(library: Library, choice: Choice, arrived: Choice) -> list:
    """Values of all `Followers`, in their order."""
    asked = time.monotonic()
    try:
        found = pages(listed(library, choice)) if choice.category is not None else []
    except (ValueError, OSError):
        found = []
    return [
        strip_of(library, choice) if choice.category is not None else "",
        gr.Dropdown(found, value=choice.page if choice.page < len(found) else None, visible=len(found) > 1),
        links.stamped(links.query_of(library, choice), asked),
        gr.skip() if choice == arrived else "",
    ]


def joined(library: Library, choice: Choice) -> list:
    """Values of all `Parts` when runs or categories have joined: menus grow, what the user looks at stays."""
    entries = library.categories()
    entry = next((e for e in entries if e.key == choice.category), None)
    if entry is None:
        return everything(library, first_choice(library, None))
    if choice.index is None and choice.split is None:  # its pictures could not be read
        return everything(library, first_choice(library, choice.category))
    wiser = choice
    if choice.run is None and entry.fused:
        tested = (choice.split or "").startswith("test")
        wiser = with_run(library, choice, entry.fused[0].folder) if tested else first_choice(library, entry.key, choice)
    if wiser.beside is None:
        wiser = replace(wiser, beside=first_beside(entry))
    if wiser != choice:
        return everything(library, wiser)
    values = nothing_new()
    names = [field.name for field in fields(Parts)]
    values[names.index("category")] = gr.Dropdown(category_choices(entries))
    values[names.index("run")] = gr.Dropdown(run_choices(entry.fused))
    values[names.index("beside")] = gr.Dropdown(run_choices(entry.single))
    return values


def nothing_new() -> list:
    return [gr.skip() for _ in fields(Parts)]


def look(library: Library, category: str, sample: str, split: str = "", lights: str = "all") -> dict[str, Any]:
    """For scripts: what the category's first AFRD run says of one sample under these lights."""

    try:
        entry = library.category(category)
        data = library.data_of(entry)
        dataset = data[split or data.test_split]
        if not entry.fused:
            raise ValueError(f"no run for this category yet: {missing_run(entry)}")
        if sample not in dataset.names:
            raise ValueError(f"there is no sample {sample!r} in {category}/{dataset.split}")
        run = entry.fused[0]
        used = afrd.data.parse_lights(lights, run.lights)
        said = library.prediction(run.folder, dataset, dataset.names.index(sample), used)
    except (ValueError, OSError) as error:
        raise gr.Error(str(error), print_exception=False) from None
    mean, peak = afrd.figures.attention_weights(said)
    return {
        "score": said.score,
        "threshold": said.threshold.value if said.threshold else None,
        "verdict": said.verdict,
        "lights": list(said.lights),
        "attention": {n: {"mean": float(m), "peak": float(p)} for n, m, p in zip(said.lights, mean, peak, strict=True)},
    }
