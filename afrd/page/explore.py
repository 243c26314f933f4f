"""The Explore tab: categories, samples, the light table, and what happens when something is chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from afrd.figures import main_light
from afrd.page.choice import Choice
from afrd.page.library import CategoryEntry, Library, RunEntry
from afrd.page.scene import message, missing_run, nothing_yet, scene, usable_lights

if TYPE_CHECKING:
    from afrd.datasets import MultiLightDataset

PAGE = 60  # samples in the gallery at once
SCRIPT = Path(__file__).with_name("light_table.js")
NO_RUN = "no run yet"


@dataclass(frozen=True)
class Parts:
    """The tab's components, in the order in which `everything` fills them."""

    choice: gr.State
    category: gr.Dropdown
    run: gr.Dropdown
    beside: gr.Dropdown
    split: gr.Dropdown
    kind: gr.Dropdown
    page: gr.Dropdown
    gallery: gr.Gallery
    table: gr.HTML

    def all(self) -> list[Any]:
        return list(vars(self).values())


def explore_tab(library: Library, script_constants: str) -> Parts:
    """Lays the tab out and connects it."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=0, min_width=264, elem_classes="sidebar"):
            category = gr.Dropdown([], label="Category", filterable=False, elem_id="category")
            run = gr.Dropdown([], label="Run", filterable=False, elem_id="run")
            beside = gr.Dropdown([], label="Single-light RD beside it", filterable=False, elem_id="beside")
            with gr.Row():
                split = gr.Dropdown([], label="Split", filterable=False, min_width=90, elem_id="split")
                kind = gr.Dropdown([], label="Show", filterable=False, min_width=90, elem_id="kind")
            page = gr.Dropdown([], label="Samples", filterable=False, visible=False, elem_id="page")
            gallery = gr.Gallery(
                label="Samples",
                show_label=False,
                columns=3,
                height=470,
                object_fit="cover",
                allow_preview=False,
                buttons=[],
                elem_id="samples",
                elem_classes="gallery-box",
                format="webp",
            )
        with gr.Column(scale=1, min_width=560):
            table = gr.HTML(
                message("Loading …"),
                html_template='<div class="light-table"></div>',
                js_on_load=script_constants + SCRIPT.read_text(),
                apply_default_css=False,
                elem_id="light-table",
            )
    parts = Parts(gr.State(Choice()), category, run, beside, split, kind, page, gallery, table)
    _connect(library, parts)
    return parts


def _connect(library: Library, parts: Parts) -> None:
    def on(event: Callable, handler: Callable, inputs: list, outputs: list, name: str) -> None:
        event(
            handler,
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
        return everything(library, with_samples(library, replace(choice, split=split, kind="all", index=None, page=0)))

    def filter_samples(choice: Choice, kind: str) -> list:
        return everything(library, with_samples(library, replace(choice, kind=kind, page=0)))

    def turn_page(choice: Choice, page: int) -> list:
        return everything(library, replace(choice, page=page))

    def select_sample(choice: Choice, picked: gr.SelectData) -> list:
        listed = page_of(samples(library, choice), choice.page)
        return drawn(library, replace(choice, index=listed[picked.index]))

    def step_sample(choice: Choice, event: gr.EventData) -> list:
        return everything(library, stepped(library, choice, event.by))

    def choose_lights(choice: Choice, event: gr.EventData) -> list:
        return drawn(library, replace(choice, lights=tuple(event.lights)))

    def show_light(choice: Choice, event: gr.EventData) -> list:
        return drawn(library, replace(choice, shown=event.light))

    table_only = [parts.choice, parts.table]
    on(parts.category.input, choose_category, [parts.category], parts.all(), "choose_category")
    on(parts.run.input, choose_run, [parts.run], parts.all(), "choose_run")
    on(parts.beside.input, compare_with, [parts.beside], table_only, "compare_with")
    on(parts.split.input, choose_split, [parts.split], parts.all(), "choose_split")
    on(parts.kind.input, filter_samples, [parts.kind], parts.all(), "filter_samples")
    on(parts.page.input, turn_page, [parts.page], parts.all(), "turn_page")
    on(parts.gallery.select, select_sample, [], table_only, "select_sample")
    on(parts.table.step, step_sample, [], parts.all(), "step_sample")
    on(parts.table.lights, choose_lights, [], table_only, "choose_lights")
    on(parts.table.shown, show_light, [], table_only, "show_light")


def drawn(library: Library, choice: Choice) -> list:
    """Values of the choice and the light table."""
    return [choice, scene(library, choice)]


def everything(library: Library, choice: Choice) -> list:
    """Values of all `Parts`, in their order."""
    entries = library.categories()
    entry = next((e for e in entries if e.key == choice.category), None)
    if entry is None:
        empty = [gr.Dropdown([], value=None) for _ in range(4)]
        hidden = gr.Dropdown([], value=None, visible=False)
        return [choice, gr.Dropdown(category_choices(entries), value=None), *empty, hidden, [], nothing_yet(library)]
    try:
        splits = _splits(library, entry)
        found = samples(library, choice)
        gallery = _gallery(library, choice, page_of(found, choice.page))
        kinds = filters(_dataset(library, choice))
    except (ValueError, OSError):  # the light table says what is wrong
        splits, found, kinds, gallery = [], [], ["all"], gr.Gallery([], selected_index=None)
    pages = [
        (f"{1 + at} to {min(at + PAGE, len(found))} of {len(found)}", at // PAGE) for at in range(0, len(found), PAGE)
    ]
    return [
        choice,
        gr.Dropdown(category_choices(entries), value=choice.category),
        gr.Dropdown(run_choices(entry.fused), value=str(choice.run or "")),
        gr.Dropdown(run_choices(entry.single), value=str(choice.beside or "")),
        gr.Dropdown(splits, value=choice.split),
        gr.Dropdown(kinds, value=choice.kind if choice.kind in kinds else "all"),
        gr.Dropdown(pages, value=choice.page if pages else None, visible=len(pages) > 1),
        gallery,
        scene(library, choice),
    ]


def joined(library: Library, choice: Choice) -> list:
    """Values of all `Parts` when runs or categories have joined: menus grow, what the user looks at stays."""
    entries = library.categories()
    entry = next((e for e in entries if e.key == choice.category), None)
    if entry is None:
        return everything(library, first_choice(library, None))
    if choice.index is None:
        return everything(library, first_choice(library, choice.category))
    wiser = choice
    if choice.run is None and entry.fused:
        tested = (choice.split or "").startswith("test")
        wiser = with_run(library, choice, entry.fused[0].folder) if tested else first_choice(library, entry.key, choice)
    if wiser.beside is None:
        wiser = replace(wiser, beside=first_beside(entry))
    if wiser != choice:
        return everything(library, wiser)
    menus = [
        gr.Dropdown(category_choices(entries)),
        gr.Dropdown(run_choices(entry.fused)),
        gr.Dropdown(run_choices(entry.single)),
    ]
    return [gr.skip(), *menus, *(gr.skip() for _ in range(5))]


def nothing_new() -> list:
    return [gr.skip() for _ in fields(Parts)]


def run_choices(runs: Sequence[RunEntry]) -> list[tuple[str, str]]:
    return [(run.label, str(run.folder)) for run in runs] or [(NO_RUN, "")]


def category_choices(entries: Sequence[CategoryEntry]) -> list[tuple[str, str]]:
    return [(e.key if e.fused or e.single else f"{e.key} ({NO_RUN})", e.key) for e in entries]


def first_choice(library: Library, key: str | None, kept: Choice | None = None) -> Choice:
    """What to show of a category at first: its first runs, the test split, the first defective sample."""
    entries = library.categories()
    entry = next((e for e in entries if e.key == key), entries[0] if entries else None)
    if entry is None:
        return Choice()
    choice = Choice(
        category=entry.key,
        run=entry.fused[0].folder if entry.fused else None,
        beside=first_beside(entry),
        shown=kept.shown if kept else None,
    )
    try:
        data = library.data_of(entry)
    except (ValueError, OSError):
        return choice
    splits = _splits(library, entry)
    wanted = entry.fused[0].lights if entry.fused else data.lights
    lights = tuple(light for light in data.lights if light in wanted)
    shown = choice.shown if choice.shown in data.lights else main_light(data.lights)
    return with_samples(library, replace(choice, split=splits[0], lights=lights, shown=shown), prefer_defects=True)


def first_beside(entry: CategoryEntry) -> Path | None:
    """The single-light run to compare with at first: that of the light box, else the last."""
    runs = {run.lights[0]: run.folder for run in entry.single}
    return runs.get("box", entry.single[-1].folder if entry.single else None)


def with_run(library: Library, choice: Choice, folder: Path | None) -> Choice:
    """The same sample, seen by another run with all its lights."""
    entry = library.category(choice.category)
    choice = replace(choice, run=folder)
    try:
        return replace(choice, lights=usable_lights(entry, choice, library.data_of(entry).lights))
    except (ValueError, OSError):
        return choice


def with_samples(library: Library, choice: Choice, prefer_defects: bool = False) -> Choice:
    """The choice with a sample that its filter lets through; the present one is kept where possible."""
    try:
        found = samples(library, choice)
        if choice.index in found:
            return choice
        anomalous = _dataset(library, choice).anomalous if prefer_defects else []
    except (ValueError, OSError):
        return replace(choice, index=None)
    defective = next((i for i in found if prefer_defects and anomalous[i]), None)
    return replace(choice, index=defective if defective is not None else next(iter(found), None))


def stepped(library: Library, choice: Choice, by: int) -> Choice:
    """The next or previous sample of the filtered list, around its ends."""
    try:
        found = samples(library, choice)
    except (ValueError, OSError):
        return choice
    if not found:
        return choice
    at = (found.index(choice.index) + by) % len(found) if choice.index in found else 0
    return replace(choice, index=found[at], page=at // PAGE)


def samples(library: Library, choice: Choice) -> list[int]:
    """Positions of the samples that the filter lets through."""
    dataset = _dataset(library, choice)
    if choice.kind == "all":
        return list(range(len(dataset)))
    if choice.kind in ("good", "bad"):
        return [i for i, label in enumerate(dataset.anomalous) if label is (choice.kind == "bad")]
    return [i for i, defects in enumerate(dataset.defects) if choice.kind in defects]


def filters(dataset: MultiLightDataset) -> list[str]:
    """`all`, then what there is of `good`, `bad` and defect types."""
    labels = set(dataset.anomalous)
    kinds = [name for name, label in (("good", False), ("bad", True)) if label in labels]
    return ["all", *kinds, *sorted({defect for defects in dataset.defects for defect in defects})]


def page_of(found: list[int], page: int) -> list[int]:
    return found[page * PAGE : (page + 1) * PAGE]


def sample_label(dataset: MultiLightDataset, index: int) -> str:
    """Such as `25 · dents`, `03 · good`, `007 · unknown`; the folder `scratch/007` is `007 · scratch`."""
    label = dataset.anomalous[index]
    what = {True: ", ".join(dataset.defects[index]) or "bad", False: "good", None: "unknown"}[label]
    return f"{dataset.names[index].removeprefix(f'{what}/')} · {what}"


def _gallery(library: Library, choice: Choice, listed: list[int]) -> gr.Gallery:
    dataset = _dataset(library, choice)
    light = main_light(dataset.lights)
    pictures = [(library.thumbnail(dataset, i, light), sample_label(dataset, i)) for i in listed]
    return gr.Gallery(pictures, selected_index=listed.index(choice.index) if choice.index in listed else None)


def _dataset(library: Library, choice: Choice) -> MultiLightDataset:
    return library.data_of(library.category(choice.category))[choice.split or ""]


def _splits(library: Library, entry: CategoryEntry) -> list[str]:
    """The test split first: there is something to find in it."""
    splits = list(library.data_of(entry).splits)
    return sorted(splits, key=lambda split: not split.startswith("test"))


def known_run(library: Library, choice: Choice, folder: str | None) -> Path | None:
    """The category's run in this folder: what comes from a browser may name no other."""
    entry = library.category(choice.category)
    return next((run.folder for run in (*entry.fused, *entry.single) if str(run.folder) == folder), None)


def look(library: Library, category: str, sample: str, split: str = "", lights: str = "all") -> dict[str, Any]:
    """For scripts: what the category's first AFRD run says of one sample under these lights."""
    from afrd.datasets import parse_lights
    from afrd.figures import attention_weights

    try:
        entry = library.category(category)
        data = library.data_of(entry)
        dataset = data[split or data.test_split]
        if not entry.fused:
            raise ValueError(f"no run for this category yet: {missing_run(entry)}")
        if sample not in dataset.names:
            raise ValueError(f"there is no sample {sample!r} in {category}/{dataset.split}")
        run = entry.fused[0]
        used = parse_lights(lights, run.lights)
        said = library.prediction(run.folder, dataset, dataset.names.index(sample), used)
    except (ValueError, OSError) as error:
        raise gr.Error(str(error), print_exception=False) from None
    mean, peak = attention_weights(said)
    return {
        "score": said.score,
        "threshold": said.threshold.value if said.threshold else None,
        "verdict": said.verdict,
        "lights": list(said.lights),
        "attention": {n: {"mean": float(m), "peak": float(p)} for n, m, p in zip(said.lights, mean, peak, strict=True)},
    }
