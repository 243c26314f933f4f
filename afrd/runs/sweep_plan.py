"""A sweep: one training for every combination of category, method, lights, seed, teacher and size.

plan = load_sweep("sweep.toml")
for cell in plan.cells():
    print(cell.folder, cell.lights)
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from afrd.data.dataset import Category, list_categories, open_dataset, parse_lights
from afrd.files import load_json
from afrd.model.config import FEATURE_FUSIONS
from afrd.model.teacher import check_teacher
from afrd.runs.options import TrainingOptions
from afrd.runs.plan import default_epochs, model_config, split_train

METHODS: dict[str, dict[str, str]] = {
    "afrd": {"fusion": "attention"},
    "afrd-learned": {"fusion": "learned"},  # the default of `afrd train`
    "memory": {"method": "memory"},
    "single": {},  # reverse distillation, a run for each light
    **{f"features-{fusion}": {"target": "fused", "fusion": fusion} for fusion in FEATURE_FUSIONS},
}
PLAN_FILE = "sweep.json"
SWEPT_OPTIONS = {"method", "target", "seed", "teacher", "weights", "size"}  # set by the plan itself
OPTIONS_OF_ONE_METHOD = {"afrd": {"memory"}, "afrd-learned": {"memory"}, "memory": {"fusion"}}
SEEDS = range(2**63)
MAX_NAME = 120  # characters of a folder's name


@dataclass(frozen=True)
class Cell:
    """One training of a sweep.

    Attributes:
        category, method, lights: `method` is one of `METHODS`; `lights` are names.
        options: of the training, with seed, teacher, size and epochs.
        folder: of the run, relative to the sweep's.
        views: see `SweepPlan`.
    """

    category: str
    method: str
    lights: tuple[str, ...]
    options: TrainingOptions
    folder: Path
    views: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.folder.as_posix()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for another process."""
        return asdict(replace(self, folder=self.folder.as_posix()))  # type: ignore[arg-type]

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Cell:
        options = TrainingOptions(**values["options"])
        lights, views = tuple(values["lights"]), tuple(values["views"])
        return Cell(values["category"], values["method"], lights, options, Path(values["folder"]), views)


@dataclass(frozen=True)
class Group:
    """The cells that are compared with each other: the same category, lights, teacher, size and seed.

    Attributes:
        name: unique in the sweep.
        lights: the subset; single-light runs of each of them take part.
        cells: in the order of the plan's methods.
        views: see `SweepPlan`.
    """

    name: str
    category: str
    lights: tuple[str, ...]
    teacher: str
    size: int
    seed: int
    cells: tuple[Cell, ...]
    views: tuple[str, ...] = ()


class SweepPlan(BaseModel):
    """Plan of a sweep: what it trains and compares.

    Attributes:
        data: folder of the data set.
        out: folder of the sweep.
        categories: all of the data set where the list is empty.
        methods: of `METHODS`; the first one is the reference of the comparison.
        views: names of the views of every object that are used; all where the list is empty. Only M2AD has views.
        lights: subsets, each `all` or names joined by commas. Runs of several lights are trained for each of them;
            `single` trains one run for every light that occurs in any.
        seeds, teachers, sizes: see `TrainingOptions`.
        weights: local weights files by teacher.
        options: further training options of all cells: `epochs`, `width`, `batch`.
        method_options: options of single methods, by name, `memory` and `fusion` among them; they override `options`.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    data: str
    out: str
    categories: list[str] = []
    views: list[str] = []
    methods: list[str] = Field(default=["afrd", "memory", "single"], min_length=1)
    lights: list[str] = Field(default=["all"], min_length=1)
    seeds: list[int] = Field(default=[0], min_length=1)
    teachers: list[str] = Field(default=[TrainingOptions.teacher], min_length=1)
    sizes: list[int] = Field(default=[TrainingOptions.size], min_length=1)
    weights: dict[str, str] = {}
    options: dict[str, int | str] = {}
    method_options: dict[str, dict[str, int | str]] = {}

    def groups(self) -> list[Group]:
        """All groups, with their cells.

        Raises:
            ValueError: an unknown category, light, method or option, an impossible value, or a value given twice.
            FileNotFoundError: no data set.
        """
        self._check()
        available = list_categories(self.data)
        groups = []
        for category in self.categories or available:
            if category not in available:
                raise ValueError(f"there is no category {category!r} in {self.data}; it has {', '.join(available)}")
            data = open_dataset(self.data, category, self.views)
            for teacher in self.teachers:
                for size in self.sizes:
                    for seed in self.seeds:
                        groups += [self._group(data, lights, teacher, size, seed) for lights in self._subsets(data)]
        return groups

    def cells(self) -> list[Cell]:
        """Every training once, in the order of the groups."""
        return list(dict.fromkeys(cell for group in self.groups() for cell in group.cells))

    def _subsets(self, data: Category) -> list[tuple[str, ...]]:
        subsets: dict[tuple[str, ...], str] = {}
        for text in self.lights:
            lights = parse_lights(text, data.lights)
            if lights in subsets:
                raise ValueError(f"lights has {', '.join(lights)} twice, as {subsets[lights]!r} and as {text!r}")
            subsets[lights] = text
        return list(subsets)

    def _group(self, data: Category, lights: tuple[str, ...], teacher: str, size: int, seed: int) -> Group:
        where = Path(folder_name(data.name)) / f"{folder_name(teacher)}-{size}" / f"seed{seed}"
        subset = "" if lights == tuple(data.lights) else f"-{folder_name('+'.join(lights))}"
        samples = len(split_train(data)[0]) if "train" in data else 0
        cells: list[Cell] = []
        views = tuple(self.views)
        for method in self.methods:
            for folder, trained in _runs_of(method, lights, subset):
                options: dict[str, Any] = {**self.options, **METHODS[method], **self.method_options.get(method, {})}
                options |= {"teacher": teacher, "size": size, "seed": seed, "weights": self.weights.get(teacher)}
                training = TrainingOptions(**options)
                if training.epochs is None and samples:  # so that a finished run can be compared with the cell
                    training = replace(training, epochs=default_epochs(teacher, samples, training.batch))
                cells.append(Cell(data.name, method, trained, training, where / folder, views))
        if not cells:
            raise ValueError(
                f"lights {lights[0]!r} is one light, for which AFRD is reverse distillation; name the method 'single', "
                "or give several lights"
            )
        return Group(str(where / f"judged{subset}"), data.name, lights, teacher, size, seed, tuple(cells), views)

    def _check(self) -> None:
        """Raises ValueError for values that are impossible for any data set."""
        out, data = Path(self.out), Path(self.data)
        if not self.data or not self.out:
            raise ValueError(f"{'data' if not self.data else 'out'} is empty, but must be a folder")
        if out.exists() and not out.is_dir():
            raise ValueError(f"out is {self.out}, which is a file and not a folder")
        if out.resolve().is_relative_to(data.resolve()):
            raise ValueError(f"out is {self.out}, inside the data set {self.data}; choose a folder elsewhere")
        for key in ("categories", "views", "methods", "seeds", "teachers", "sizes"):
            values = getattr(self, key)
            twice = next((value for i, value in enumerate(values) if value in values[:i]), None)
            if twice is not None:
                raise ValueError(f"{key} has {twice!r} twice; name each once")
        for seed in self.seeds:
            if seed not in SEEDS:
                raise ValueError(f"seeds has {seed}, but a seed must be 0 or more, and below 2**63")
        for name in [*self.methods, *self.method_options]:
            if name not in METHODS:
                raise ValueError(f"there is no method {name!r}; choose from {', '.join(METHODS)}")
        for teacher in [*self.teachers, *self.weights]:
            check_teacher(teacher)
        for key, used in (("weights", self.teachers), ("method_options", self.methods)):
            for name in getattr(self, key):
                if name not in used:
                    whose = {"weights": "teachers", "method_options": "methods"}[key]
                    raise ValueError(f"{key} has {name!r}, which is not among the {whose} ({', '.join(used)})")
        self._check_options()

    def _check_options(self) -> None:
        common = {field.name for field in fields(TrainingOptions)} - SWEPT_OPTIONS - {"memory", "fusion"}
        for name, value in self.options.items():
            if name in ("memory", "fusion"):
                raise ValueError(
                    f"the option {name!r} fits some methods only; give it in method_options, as in "
                    f"method_options = {{ afrd = {{ {name} = {value!r} }} }}"
                )
        for method in self.methods:
            allowed = sorted(common | OPTIONS_OF_ONE_METHOD.get(method, set()))
            options: dict[str, Any] = self.options | self.method_options.get(method, {})
            for name, value in options.items():
                if name not in allowed:
                    what = f"method {method!r} has" if name in self.method_options.get(method, {}) else "a sweep has"
                    raise ValueError(f"{what} no training option {name!r}; choose from {', '.join(allowed)}")
                if isinstance(value, str) != (name == "fusion"):
                    kind = "a text" if name == "fusion" else "a whole number"
                    raise ValueError(f"the option {name} of {method} is {value!r}, but must be {kind}")
            for size in self.sizes:
                TrainingOptions(**options, size=size).check()
            for teacher in self.teachers:
                try:
                    settings = {**METHODS[method], **options}
                    lights = ("one",) if method == "single" else ("one", "two")
                    model_config(TrainingOptions(**settings), lights, teacher, channels=(1,), strides=(1,))
                except ValueError as error:
                    raise ValueError(f"method {method!r} with teacher {teacher!r}: {error}") from error


def _runs_of(method: str, lights: tuple[str, ...], subset: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Folder and lights of each run of a method."""
    if len(lights) == 1 and method not in ("single", "memory"):
        return  # it would be the same run as `single`
    if method == "single":
        yield from ((f"single-{folder_name(light)}", (light,)) for light in lights)
    else:
        yield f"{method}{subset}", lights


def folder_name(name: str) -> str:
    """The name of a category, teacher or light as the name of a folder."""
    quoted = quote(name, safe=" +,()&'")
    if quoted.startswith("."):  # hidden, or another folder
        quoted = f"%2E{quoted[1:]}"
    return quoted if len(quoted) <= MAX_NAME else hashlib.sha256(name.encode()).hexdigest()[:16]


def load_sweep(file: str | Path, **overrides: Any) -> SweepPlan:
    """Reads a plan from a TOML file.

    Args:
        file: keys as the attributes of `SweepPlan`; paths are relative to the current folder.
        overrides: values that replace the file's; None keeps the file's. Weights and options of teachers and methods
            that they leave out are left out as well.

    Raises:
        ValueError: the file is missing, is not TOML, or has an unknown key or a wrong type.
    """
    try:
        values = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{file} does not exist") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{file} cannot be read as TOML ({error})") from error
    set_values = {name: value for name, value in overrides.items() if value is not None}
    for key, whose in (("weights", "teachers"), ("method_options", "methods")):
        if whose in set_values and isinstance(values.get(key), dict):
            earlier = values.get(whose, SweepPlan.model_fields[whose].default)
            left_out = [name for name in earlier if name not in set_values[whose]] if isinstance(earlier, list) else []
            values[key] = {name: value for name, value in values[key].items() if name not in left_out}
    return make_sweep(str(file), **values | set_values)


def make_sweep(source: str, **values: Any) -> SweepPlan:
    """A plan from these values; `source` names where they come from in an error."""
    try:
        return SweepPlan(**values)
    except ValidationError as error:
        raise ValueError(f"{source}: {_sentence(error.errors()[0])}") from error


def _sentence(error: Any) -> str:
    """What is wrong with a plan, from pydantic's description of it."""
    key, *inner = map(str, error["loc"])
    if error["type"] == "missing":
        return f"{key!r} is missing; data and out are needed"
    if error["type"] == "extra_forbidden":
        return f"there is no key {key!r}; a plan has {', '.join(SweepPlan.model_fields)}"
    if error["type"] == "too_short":
        return f"{key} is empty; name one at least, or leave the key out"
    where = ".".join([key, *(name for name in inner if name not in ("int", "str"))])
    whole = {"seeds": "whole numbers", "sizes": "whole numbers"}.get(key, "texts")
    expected = {"list_type": f"a list of {whole}", "dict_type": f"a table ([{key}])", "int_type": "a whole number"}
    needed = (
        "a whole number or a text"
        if "options" in key and inner[-1:] == ["int"]
        else expected.get(error["type"], "a text")
    )
    return f"{where} is {error['input']!r}, but must be {needed}"


def read_sweep(folder: str | Path) -> SweepPlan:
    """The plan of a sweep's folder, which may have been moved.

    Raises:
        ValueError: the folder holds no sweep.
    """
    file = Path(folder) / PLAN_FILE
    if not file.exists():
        raise ValueError(f"{folder} is no folder of a sweep: it has no {PLAN_FILE}; `afrd sweep PLAN.toml` makes one")
    return make_sweep(str(file), **load_json(file) | {"out": str(folder)})
