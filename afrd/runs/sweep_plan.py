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

from afrd.data.dataset import list_categories, open_dataset, parse_lights
from afrd.files import load_json
from afrd.model.config import FEATURE_FUSIONS
from afrd.runs.options import TrainingOptions

METHODS: dict[str, dict[str, str]] = {
    "afrd": {},
    "afrd-learned": {"fusion": "learned"},
    "memory": {"method": "memory"},
    "single": {},  # reverse distillation, a run for each light
    **{f"features-{fusion}": {"target": "fused", "fusion": fusion} for fusion in FEATURE_FUSIONS},
}
PLAN_FILE = "sweep.json"
SWEPT_OPTIONS = {
    "method",
    "target",
    "seed",
    "teacher",
    "weights",
    "size",
}  # set by the plan itself, not among its options
OF_ONE_METHOD = {"fusion", "memory"}  # options that not all methods have
MAX_NAME = 120  # characters of a folder's name


@dataclass(frozen=True)
class Cell:
    """One training of a sweep.

    Attributes:
        category, method, lights: `method` is one of `METHODS`; `lights` are names.
        options: of the training, with seed, teacher and size.
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
            ValueError: an unknown category, light, method or option.
        """
        self._check_options()
        available = list_categories(self.data)
        groups = []
        for category in self.categories or available:
            if category not in available:
                raise ValueError(f"there is no category {category!r} in {self.data}; it has {', '.join(available)}")
            known_lights = open_dataset(self.data, category, self.views).lights
            subsets = list(dict.fromkeys(parse_lights(subset, known_lights) for subset in self.lights))
            for teacher in self.teachers:
                for size in self.sizes:
                    for seed in self.seeds:
                        groups += [
                            self._group(category, subset, subset == tuple(known_lights), teacher, size, seed)
                            for subset in subsets
                        ]
        return groups

    def cells(self) -> list[Cell]:
        """Every training once, in the order of the groups."""
        return list(dict.fromkeys(cell for group in self.groups() for cell in group.cells))

    def _group(
        self, category: str, lights: tuple[str, ...], uses_all_lights: bool, teacher: str, size: int, seed: int
    ) -> Group:
        where = Path(folder_name(category)) / f"{folder_name(teacher)}-{size}" / f"seed{seed}"
        subset = "" if uses_all_lights else f"-{folder_name('+'.join(lights))}"
        cells: list[Cell] = []
        views = tuple(self.views)
        for method in self.methods:
            for folder, trained in _runs_of(method, lights, subset):
                options: dict[str, Any] = {**self.options, **self.method_options.get(method, {}), **METHODS[method]}
                options |= {"teacher": teacher, "size": size, "seed": seed, "weights": self.weights.get(teacher)}
                cells.append(Cell(category, method, trained, TrainingOptions(**options), where / folder, views))
        return Group(str(where / f"judged{subset}"), category, lights, teacher, size, seed, tuple(cells), views)

    def _check_options(self) -> None:
        allowed = sorted({field.name for field in fields(TrainingOptions)} - SWEPT_OPTIONS)
        for name in [*self.methods, *self.method_options]:
            if name not in METHODS:
                raise ValueError(f"there is no method {name!r}; choose from {', '.join(METHODS)}")
        for method, options in {"": self.options, **self.method_options}.items():
            for name in options:
                if name in OF_ONE_METHOD and not method:
                    raise ValueError(
                        f"the option {name!r} fits some methods only; give it in method_options, as in "
                        f"method_options = {{ afrd = {{ {name} = {options[name]!r} }} }}"
                    )
                if name not in allowed:
                    raise ValueError(f"a sweep has no training option {name!r}; its options are {', '.join(allowed)}")
            try:
                TrainingOptions(**options).check()  # type: ignore[arg-type]
            except TypeError as error:
                raise ValueError(f"the training options {dict(options)} hold a text for a number ({error})") from error


def _runs_of(method: str, lights: tuple[str, ...], subset: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Folder and lights of each run of a method."""
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
        overrides: values that replace the file's; None keeps the file's.

    Raises:
        ValueError: the file is missing, is not TOML, or has an unknown key or a wrong type.
    """
    try:
        values = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{file} does not exist") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{file} cannot be read as TOML ({error})") from error
    return make_sweep(str(file), **values | {k: v for k, v in overrides.items() if v is not None})


def make_sweep(source: str, **values: Any) -> SweepPlan:
    """A plan from these values; `source` names where they come from in an error."""
    try:
        return SweepPlan(**values)
    except ValidationError as error:
        first_error = error.errors()[0]
        where = ".".join(str(key) for key in first_error["loc"]) or "the plan"
        raise ValueError(f"{source}: {where}: {first_error['msg'].lower()}") from error


def read_sweep(folder: str | Path) -> SweepPlan:
    """The plan of a sweep's folder, which may have been moved.

    Raises:
        ValueError: the folder holds no sweep.
    """
    file = Path(folder) / PLAN_FILE
    if not file.exists():
        raise ValueError(f"{folder} is no folder of a sweep: it has no {PLAN_FILE}; `afrd sweep PLAN.toml` makes one")
    return make_sweep(str(file), **load_json(file) | {"out": str(folder)})
