"""The Train tab: what is trained, on which pictures, and the queue of trainings with their loss as it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

import afrd.data
import afrd.figures
import afrd.model
import afrd.runs
from afrd.background.training_queue import RUNNING, Order, TrainingJob, TrainingQueue, free_name
from afrd.page.common.library import Library
from afrd.page.common.messages import page_error
from afrd.page.common.open_in_explore import OpenInExplore
from afrd.page.common.samples import first_selection
from afrd.page.common.scripts import CLICKS, joined
from afrd.page.common.selection import Selection, with_run
from afrd.page.common.session import PageSession, Versioned
from afrd.page.train import queue_view as trainings

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from afrd.data.dataset import Category

OFTEN, RARELY = 1.0, 5.0  # seconds between looks at the queue, while something runs and otherwise
POINTS = 500  # of a loss curve, at most: it is sent every second
CHECKED_AT_ONCE = 2500  # pictures of a category; more are looked through when asked for
OWN_TEACHER = "efficientnet_lite0"  # its weights come with the installation
METHODS = [("AFRD over evidence", "evidence"), ("AFRD over features", "features"), ("Patch memory", "memory")]
FUSIONS = ["attention", "mean", "max"]
QUICK = {"concurrency_id": "trainings", "concurrency_limit": 8}  # of events that compute nothing


@dataclass(frozen=True)
class Form:
    """What to train: the components, or their values."""

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
    name: Any

    def all(self) -> list[Any]:
        return list(vars(self).values())


@dataclass(frozen=True)
class Board:
    """The components that show the queue, in the order in which `board_values` fills them.

    `version` holds the version of the queue that is shown.
    """

    version: gr.State
    listing: gr.HTML
    curve: gr.Plot
    command: gr.HTML
    timer: gr.Timer

    def all(self) -> list[Any]:
        return list(vars(self).values())


class TrainState:
    """What the server remembers of this tab for one browser session: the number of the training that is looked at."""

    def __init__(self) -> None:
        self.number: Versioned[int | None] = Versioned(None)


def train_tab(tab: gr.Tab, open_in_explore: OpenInExplore) -> None:
    """Lays the tab out and connects it; everybody who has the page open shares its queue."""
    queue = TrainingQueue(open_in_explore.library.runs)
    with gr.Row(equal_height=False):
        with gr.Column(scale=0, min_width=372, elem_classes="train-form"):
            root = gr.Textbox(label="Data folder", placeholder="/path/to/data", elem_id="train-root")
            category = gr.Dropdown([], label="Category", filterable=False, elem_id="train-category")
            data_state = gr.HTML(trainings.nothing_chosen(), elem_id="train-data")
            check = gr.Button("Look through all its pictures", size="sm", visible=False, elem_id="train-check")
            lights = gr.CheckboxGroup([], label="Lights", show_select_all=True, elem_id="train-lights")
            with gr.Row():
                method = gr.Dropdown(METHODS, label="Method", filterable=False, min_width=150, elem_id="train-method")
                fusion = gr.Dropdown(FUSIONS, label="Fusion", filterable=False, min_width=90, elem_id="train-fusion")
            teacher = gr.Dropdown(
                [OWN_TEACHER], label="Teacher, or timm:NAME", allow_custom_value=True, elem_id="train-teacher"
            )
            weights = gr.Textbox(
                label="Weights file (.pth, .safetensors)",
                placeholder="empty: the usual ones, from the cache or downloaded",
                visible=False,
                elem_id="train-weights",
            )
            with gr.Row():
                size = gr.Number(Order.size, label="Size (pixels)", precision=0, min_width=84, elem_id="train-size")
                epochs = gr.Number(0, label="Epochs", precision=0, min_width=84, elem_id="train-epochs")
                seed = gr.Number(0, label="Seed", precision=0, min_width=70, elem_id="train-seed")
            plan = gr.HTML("", elem_id="train-plan")
            name = gr.Textbox(label=f"Name of the run, a folder below {queue.runs}", elem_id="train-name")
            start = gr.Button("Train", variant="primary", elem_id="train-start")
        with gr.Column(scale=1, min_width=420):
            listing = gr.HTML(
                trainings.listing(queue, None),
                js_on_load=joined(CLICKS, EVENTS=["cancel", "forget", "again", "look", "open"]),
                apply_default_css=False,
                elem_id="train-queue",
            )
            curve = gr.Plot(show_label=False, container=False, visible=False, elem_id="train-curve")
            command = gr.HTML("", elem_id="train-command")
    form = Form(root, category, lights, method, fusion, teacher, weights, size, epochs, seed, name)
    board = Board(gr.State(-1), listing, curve, command, gr.Timer(RARELY, active=False))
    trained = _connect_board(tab, open_in_explore, queue, form, board, start)
    _connect_form(tab, open_in_explore, queue, form, data_state, check, plan, trained)


def training_off(reason: str) -> None:
    """The tab where nobody may train: nothing but the reason."""
    gr.HTML(trainings.refused(reason), elem_id="train-off")


def on(event: Callable, handler: Callable, inputs: list, outputs: list, name: str, **options: Any) -> Any:
    usual: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": 2, "concurrency_id": "torch"}
    return event(handler, inputs, outputs, api_name=name, **usual | options)


def _connect_form(
    tab: gr.Tab,
    open_in_explore: OpenInExplore,
    queue: TrainingQueue,
    form: Form,
    state: gr.HTML,
    check: gr.Button,
    plan: gr.HTML,
    trained: Any,
) -> None:
    looked = gr.State(("", ""))  # the folder and category whose state is shown
    suggested = gr.State(("", 0))  # name and epochs, which follow the other options until the user changes them

    def open_train(session: PageSession, folder: str) -> list:
        teachers = gr.Dropdown([name for name in afrd.model.TEACHERS if not name.endswith(":NAME")])
        return [folder or first_root(open_in_explore.library, session.selection), teachers]

    def read(folder: str, chosen: str | None, before: tuple[str, str], session: PageSession) -> list:
        return data_values(folder, chosen or _category_name(open_in_explore.library, session.selection), before)

    def read_another(folder: str, chosen: str | None, before: tuple[str, str], session: PageSession) -> list:
        unchanged = before[1] and folder.strip() == before[0]
        return [gr.skip()] * 5 if unchanged else read(folder, chosen, before, session)

    def adjust(at: tuple[str, str], known: tuple[str, int], *values: Any) -> list:
        return adjusted(queue, at, known, Form(*values))

    def check_all(at: tuple[str, str]) -> list:
        return checked_values(*at)

    def check_few(at: tuple[str, str]) -> list:
        data = opened_data(*at)
        return checked_values(*at) if data and pictures_in(data) <= CHECKED_AT_ONCE else [gr.skip(), gr.skip()]

    reading = [form.root, form.category, looked, open_in_explore.session]
    what_is_read = [looked, form.category, state, check, form.lights]
    adjusting = [looked, suggested, *form.all()]
    adjustable = [plan, form.fusion, form.weights, form.epochs, form.name, suggested]
    opened = on(tab.select, open_train, [open_in_explore.session, form.root], [form.root, form.teacher], "open_train")
    for event, handler, name in (
        (opened.then, read_another, "first"),
        (form.root.submit, read, "entered"),
        (form.root.blur, read_another, "left"),
        (form.category.input, read, "chosen"),
    ):
        then = on(event, handler, reading, what_is_read, f"training_data_{name}")
        then = on(then.then, adjust, adjusting, adjustable, f"training_data_{name}_adjusted")
        on(then.then, check_few, [looked], [state, check], f"training_data_{name}_checked", concurrency_id="check")
    on(check.click, check_all, [looked], [state, check], "check_training_data", concurrency_id="check")
    for name in ("lights", "method", "fusion", "teacher", "epochs"):
        part = getattr(form, name)
        on(part.input, adjust, adjusting, adjustable, f"training_{name}", trigger_mode="always_last")
    on(trained.success, adjust, adjusting, adjustable, "next_training")  # its name is taken now


def _connect_board(
    tab: gr.Tab, open_in_explore: OpenInExplore, queue: TrainingQueue, form: Form, board: Board, start: gr.Button
) -> Any:
    """The queue and its buttons; returns the event of a training that was put into it."""

    def draw(session: PageSession, version: int = -1) -> list:
        return session.state(TrainState).number.drawn(lambda number: board_values(queue, number, version))

    def show(session: PageSession) -> list:
        return draw(session)

    def look(session: PageSession, version: int) -> list:
        return draw(session, version)

    def look_at(session: PageSession, job: TrainingJob | None) -> list:
        if job is not None:
            session.state(TrainState).number.apply(lambda _: job.number)
        return draw(session)

    def train(session: PageSession, *values: Any) -> list:
        with one_sentence():
            return look_at(session, queue.add(order_of(Form(*values))))

    def clicked(act: Callable[[int], TrainingJob | None]) -> Callable:
        def handler(session: PageSession, event: gr.EventData) -> list:
            with one_sentence():
                job = act(int(event.number))
            return look_at(session, job)

        return handler

    def open_run(session: PageSession, event: gr.EventData) -> list:
        with one_sentence():
            selection = selection_of(open_in_explore.library, queue.job(int(event.number)))
            return open_in_explore.opened(session, lambda _: selection)

    session = open_in_explore.session
    on(tab.select, show, [session], board.all(), "show_trainings", **QUICK)
    on(
        board.timer.tick,
        look,
        [session, board.version],
        board.all(),
        "look_at_trainings",
        trigger_mode="once",
        **QUICK,
    )
    # the teacher is loaded to see whether it can be had; a second click in the meantime does nothing
    loading = {"show_progress": "minimal", "show_progress_on": start}
    trained = on(start.click, train, [session, *form.all()], board.all(), "train", **loading)
    table = board.listing
    on(table.cancel, clicked(queue.cancel), [session], board.all(), "cancel_training", **QUICK)
    on(table.forget, clicked(queue.remove), [session], board.all(), "remove_training", **QUICK)
    on(table.again, clicked(queue.resume), [session], board.all(), "continue_training")
    on(table.look, clicked(queue.job), [session], board.all(), "show_training", **QUICK)
    on(table.open, open_run, [session], open_in_explore.outputs, "open_trained_run")
    return trained


@contextmanager
def one_sentence() -> Iterator[None]:
    """What a user did wrong becomes a message in the page."""
    try:
        yield
    except (ValueError, OSError, RuntimeError, TypeError, AttributeError) as error:  # RuntimeError: no weights
        text = str(error).replace("with --weights", "in the field Weights file")
        raise page_error(text) from None


def first_root(library: Library, selection: Selection) -> str:
    """The data folder to begin with: that of the category one looks at."""
    entry = next((e for e in library.categories() if e.key == selection.category), None)
    return str((entry.root if entry else library.data) or "")


def _category_name(library: Library, selection: Selection) -> str | None:
    return next((e.name for e in library.categories() if e.key == selection.category), None)


def data_values(folder: str, preferred: str | None, before: tuple[str, str]) -> list:
    """Values of what was looked at, the categories, the data's state, the button to check it, and the lights."""

    nothing = [gr.Dropdown([], value=None), gr.Button(visible=False), gr.CheckboxGroup([], value=[])]
    folder = folder.strip()
    if not folder:
        return [(folder, ""), nothing[0], trainings.nothing_chosen(), *nothing[1:]]
    try:
        names = afrd.data.list_categories(folder)
        if not names:
            raise ValueError(f"{folder} {afrd.data.why_no_categories(Path(folder))}")
        name = preferred if preferred in names else names[0]
        data = afrd.data.open_dataset(folder, name)
    except (ValueError, OSError) as error:
        return [(folder, ""), nothing[0], trainings.refused(str(error)), *nothing[1:]]
    many = pictures_in(data) > CHECKED_AT_ONCE
    note = f"{pictures_in(data)} pictures, not looked through yet" if many else "looks through the pictures …"
    lights = gr.skip() if before == (folder, name) else gr.CheckboxGroup(list(data.lights), value=list(data.lights))
    return [
        (folder, name),
        gr.Dropdown(names, value=name),
        trainings.data_text(data, None, note),
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
    """Values of the data's state and of the button to check it, when every picture was looked at."""

    data = opened_data(folder, category)
    if data is None:
        return [gr.skip(), gr.skip()]
    return [trainings.data_text(data, afrd.data.dataset.check(data.root, data.name)), gr.Button(visible=False)]


def adjusted(queue: TrainingQueue, at: tuple[str, str], suggestion: tuple[str, int], form: Form) -> list:
    """Values of what follows from the options: plan, fusions, weights file, epochs, name, and what was suggested.

    Number of epochs and name follow the other options while they are as they were suggested (`known`).
    """

    memory = form.method == "memory"
    fusions = [*FUSIONS, "concat"] if form.method == "features" else FUSIONS
    fusion = gr.Dropdown(fusions, value=form.fusion if form.fusion in fusions else fusions[0])
    weights = gr.Textbox(visible=form.teacher != OWN_TEACHER)
    data = opened_data(*at)
    if data is None or "train" not in data:
        text = trainings.refused(f"{at[1]} has no train split") if data is not None else ""
        return [text, fusion, weights, gr.skip(), gr.skip(), suggestion]
    samples, calibration = afrd.runs.split_train(data)
    usual = afrd.runs.default_epochs(form.teacher or OWN_TEACHER, len(samples), Order.batch)
    epochs = usual if form.epochs in (None, 0, suggestion[1]) else form.epochs
    held_out = len(data["train"]) - len(samples)
    good = sum(label is False for label in calibration.anomalous) if calibration else held_out
    plan = trainings.plan_text(len(samples), good, calibration is None, None if memory else epochs)
    waiting = {job.folder for job in queue.jobs() if not job.ended}
    name = free_name(queue.runs, data.name, kind_of(form), waiting)
    # what needs no change is not sent: the user may be typing there just now
    number = gr.Number(interactive=not memory) if epochs == form.epochs else gr.Number(epochs, interactive=not memory)
    follows = form.name in ("", suggestion[0]) and name != form.name
    return [plan, fusion, weights, number, name if follows else gr.skip(), (name, usual)]


def kind_of(form: Form) -> str:
    """What a run of this kind is called: `afrd`, `features`, `memory`, `single-top`."""
    if len(form.lights) == 1 and form.method != "memory":
        return f"single-{form.lights[0]}".replace(" ", "-")
    return "afrd" if form.method == "evidence" else form.method


def order_of(form: Form) -> Order:
    """Raises ValueError where the form is not filled."""
    if not form.root.strip() or not form.category:
        raise ValueError("no data is chosen; name a data folder and choose a category")
    return Order(
        root=form.root.strip(),
        category=form.category,
        name=form.name.strip(),
        lights=tuple(form.lights),
        method="memory" if form.method == "memory" else "afrd",
        target="fused" if form.method == "features" else "lights",
        fusion=form.fusion,
        teacher=(form.teacher or "").strip(),
        weights=form.weights.strip() or None if form.teacher != OWN_TEACHER else None,
        size=Order.size if form.size is None else int(form.size),
        epochs=int(form.epochs or 0),
        seed=int(form.seed or 0),
    )


def board_values(queue: TrainingQueue, number: int | None, shown_version: int = -1) -> list:
    """Values of a `Board` for the training of this number; only the timer's if the queue has the version shown."""
    timer = gr.Timer(OFTEN if queue.busy else RARELY, active=True)
    version = queue.version
    if version == shown_version:
        return [*([gr.skip()] * 4), timer]
    job = queue.job(number) or most_interesting(queue)
    curve = loss_curve(queue, job)
    return [
        version,
        trainings.listing(queue, job.number if job else None),
        gr.Plot(curve, visible=curve is not None),
        trainings.command_text(job, queue.runs),
        timer,
    ]


def most_interesting(queue: TrainingQueue) -> TrainingJob | None:
    """The job that runs, else the one that ended last, else the next."""
    jobs = queue.jobs()
    running = [job for job in jobs if job.state == RUNNING]
    ended = [job for job in jobs if job.ended]
    return next(iter(running), ended[-1] if ended else next(iter(jobs), None))


def loss_curve(queue: TrainingQueue, job: TrainingJob | None) -> go.Figure | None:

    history = queue.history(job.number) if job else None
    if job is None or history is None or history.empty:
        return None
    figure = afrd.figures.training_curve(history.iloc[:: max(1, len(history) // POINTS)])
    figure.update_xaxes(range=[0, job.steps])
    return figure.update_layout(title_text=f"Training of {job.order.name}", uirevision=job.number)


def selection_of(library: Library, job: TrainingJob | None) -> Selection:
    """A finished run in Explore: on its own category's first sample, beside a single light where there is one."""
    if job is None:
        raise ValueError("this training is not in the queue any more; its run is in Explore's menus")
    for entry in library.categories():
        if any(run.folder == job.folder for run in entry.fused):
            return with_run(library, first_selection(library, entry.key), job.folder)
        if any(run.folder == job.folder for run in entry.single):
            return first_selection(library, entry.key)
    raise ValueError(f"{job.folder} is not a finished run, or its category is not in {library.data}")
