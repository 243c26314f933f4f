"""Form of the Train tab: the chosen data, values that depend on the options, and the order of a training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

import afrd.data
import afrd.runs
from afrd.background.training_queue import Order, TrainingQueue, free_name
from afrd.model.config import DEFAULT_TEACHER, FEATURE_FUSIONS, FORMULA_FUSIONS
from afrd.page.common.library import Library
from afrd.page.common.selection import Selection
from afrd.page.train import queue_view

if TYPE_CHECKING:
    from afrd.data.dataset import Category

MAX_CHECKED_AT_ONCE = 2500  # pictures of a category; more are checked on request
METHODS = [("AFRD over evidence", "evidence"), ("AFRD over features", "features"), ("Patch memory", "memory")]
FUSIONS = {  # of each method; the learned one reads distances to the memory that stands beside a student
    "evidence": ("learned", *FORMULA_FUSIONS),
    "features": FEATURE_FUSIONS,
    "memory": FORMULA_FUSIONS,
}
DATA = ("shown_data", "category", "data_state", "check", "lights")
ADJUSTED = ("plan", "fusion", "weights", "epochs", "name", "suggested")


@dataclass(frozen=True)
class Form:
    """What to train: values of the components of these names."""

    root: Any
    category: Any
    lights: Any
    method: Any
    fusion: Any
    teacher: Any
    weights: Any
    size: Any
    epochs: Any
    seed: Any
    roi: Any
    name: Any


def first_root(library: Library, selection: Selection) -> str:
    """The initial data folder: that of the shown category."""
    entry = library.entry(selection.category)
    return str((entry.root if entry else library.data) or "")


def data_values(folder: str, preferred: str | None, before: tuple[str, str]) -> list:
    """Values of `DATA`: folder and category shown, categories, state of the data, button to check it, lights."""
    nothing = [gr.Dropdown([], value=None), gr.Button(visible=False), gr.CheckboxGroup([], value=[])]
    folder = folder.strip()
    if not folder:
        return [(folder, ""), nothing[0], queue_view.nothing_chosen(), *nothing[1:]]
    try:
        names = afrd.data.list_categories(folder)
        if not names:
            raise ValueError(f"{folder} {afrd.data.why_no_categories(Path(folder))}")
        name = preferred if preferred in names else names[0]
        data = afrd.data.open_dataset(folder, name)
    except (ValueError, OSError) as error:
        return [(folder, ""), nothing[0], queue_view.refused(str(error)), *nothing[1:]]
    many = pictures_in(data) > MAX_CHECKED_AT_ONCE
    note = f"{pictures_in(data)} pictures, not checked yet" if many else "checking the pictures …"
    lights = gr.skip() if before == (folder, name) else gr.CheckboxGroup(list(data.lights), value=list(data.lights))
    return [
        (folder, name),
        gr.Dropdown(names, value=name),
        queue_view.data_text(data, None, note),
        gr.Button(visible=many),
        lights,
    ]


def opened_data(folder: str, category: str) -> Category | None:
    try:
        return afrd.data.open_dataset(folder, category) if category else None
    except (ValueError, OSError):  # it is gone; `data_values` says so where that matters
        return None


def pictures_in(data: Category) -> int:
    return sum(len(split) for split in data.values()) * len(data.lights)


def checked_values(folder: str, category: str) -> list:
    """Values of the data's state and of the button to check it, after all pictures were checked."""
    data = opened_data(folder, category)
    if data is None:
        return [gr.skip(), gr.skip()]
    return [queue_view.data_text(data, afrd.data.dataset.check(data.root, data.name)), gr.Button(visible=False)]


def adjusted(queue: TrainingQueue, shown: tuple[str, str], suggestion: tuple[str, int], form: Form) -> list:
    """Values of `ADJUSTED`, which follow from the options.

    Number of epochs and name follow the other options as long as the user has not changed them.
    """
    memory = form.method == "memory"
    fusions = possible_fusions(form)
    fusion = gr.Dropdown(fusions, value=form.fusion if form.fusion in fusions else fusions[0])
    weights = gr.Textbox(visible=form.teacher != DEFAULT_TEACHER)
    data = opened_data(*shown)
    if data is None or "train" not in data:
        text = queue_view.refused(f"{shown[1]} has no train split") if data is not None else ""
        return [text, fusion, weights, gr.skip(), gr.skip(), suggestion]
    samples, calibration = afrd.runs.split_train(data)
    usual = afrd.runs.default_epochs(form.teacher or DEFAULT_TEACHER, len(samples), Order.batch)
    epochs = usual if form.epochs in (None, 0, suggestion[1]) else form.epochs
    held_out = len(data["train"]) - len(samples)
    good = sum(label is False for label in calibration.anomalous) if calibration else held_out
    plan = queue_view.plan_text(len(samples), good, calibration is None, None if memory else epochs)
    waiting = {job.folder for job in queue.jobs() if not job.ended}
    name = free_name(queue.runs, data.name, kind_of(form), waiting)
    # what needs no change is not sent: the user may be typing there just now
    number = gr.Number(interactive=not memory) if epochs == form.epochs else gr.Number(epochs, interactive=not memory)
    follows = form.name in ("", suggestion[0]) and name != form.name
    return [plan, fusion, weights, number, name if follows else gr.skip(), (name, usual)]


def possible_fusions(form: Form) -> list[str]:
    """The fusions of the form's method; the learned one needs a memory, which several lights of some teachers have."""
    options = afrd.runs.TrainingOptions(target="fused" if form.method == "features" else "lights")
    has_memory = afrd.runs.default_memory(options, form.teacher or DEFAULT_TEACHER, len(form.lights or ())) > 0
    return [how for how in FUSIONS[form.method] if how != "learned" or has_memory]


def kind_of(form: Form) -> str:
    """Default name of a run of this kind: `afrd`, `features`, `memory`, `single-top`."""
    if len(form.lights) == 1 and form.method != "memory":
        return f"single-{form.lights[0]}".replace(" ", "-")
    return "afrd" if form.method == "evidence" else form.method


def order_of(form: Form) -> Order:
    """Raises ValueError if the form is incomplete."""
    root, name, teacher = ((text or "").strip() for text in (form.root, form.name, form.teacher))
    if not root or not form.category:
        raise ValueError("no data is chosen; name a data folder and choose a category")
    return Order(
        root=root,
        category=form.category,
        name=name,
        lights=tuple(form.lights or ()),
        method="memory" if form.method == "memory" else "afrd",
        target="fused" if form.method == "features" else "lights",
        fusion=form.fusion,
        teacher=teacher,
        weights=(form.weights or "").strip() or None if teacher != DEFAULT_TEACHER else None,
        size=Order.size if form.size is None else int(form.size),
        epochs=int(form.epochs or 0),
        seed=int(form.seed or 0),
        roi=(form.roi or "").strip() or None,
    )
