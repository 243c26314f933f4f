"""The light table in one HTML file: samples of a run with every light's evidence, which the browser fuses."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from afrd.analysis.errors.notes import Notes
from afrd.model.config import FORMULA_FUSIONS
from afrd.page.common.html import macros
from afrd.page.common.library import Library
from afrd.page.common.samples import first_selection
from afrd.page.common.scripts import joined
from afrd.page.light_table.component import CSS, SCRIPTS, style
from afrd.page.light_table.scene import scene

if TYPE_CHECKING:
    from torch import Tensor

    from afrd.data.dataset import MultiLightDataset
    from afrd.runs.run import Run

MAX_LIGHTS = 8  # 255 sets of lights, each with a threshold
MAX_SETS = 200  # up to which every fusion has thresholds, not the run's own alone
LARGEST = 2.0**15  # to which weights are scaled; the unit of weights does not matter, and float16 ends at 65504


def shared_page(run: Path, samples: int | Sequence[str], split: str | None = None, data: Path | None = None) -> str:
    """A page that shows the light table of some samples, without a server and without the network.

    Args:
        run: folder of a run of several lights; single-light runs beside it are shown beside it.
        samples: their names, or how many: some of each type of defect, and of the good ones.
        split: of the data set; the test split by default.
        data: root of the data set, where it is not where the run was trained.

    Raises:
        ValueError: the run cannot be shown this way, or there are no such samples.
    """
    folder = run.resolve()
    library = Library(folder.parent, data)
    loaded = library.run(folder)
    _check(loaded)
    entry = next((e for e in library.categories() if any(run_entry.folder == folder for run_entry in e.fused)), None)
    if entry is None:
        raise ValueError(f"the data of run {run} is not at {loaded.config.data_root}; give its root with --data")
    dataset = _split(library.data_of(entry), split)
    selection = first_selection(library, entry.key)
    selection = replace(selection, run=folder, split=dataset.split, lights=loaded.lights, kind="all")
    indices = chosen(dataset, samples) if isinstance(samples, int) else [_index(dataset, name) for name in samples]
    fusion = fusion_of(loaded)
    evidence = loaded.evidence(dataset)
    scenes, notes = [], Notes(folder).of(dataset.split)
    for i in indices:
        content = json.loads(scene(library, replace(selection, index=i)))
        if "message" in content:
            raise ValueError(f"sample {dataset.names[i]}: {content['message']['text']}")
        if note := notes.get(dataset.names[i]):
            content["note"] = " · ".join(filter(None, (note.text, ", ".join(note.tags))))
        scenes.append(with_evidence(content, fusion, evidence.errors[i], evidence.weights[i]))
    count = f"{len(scenes)} samples" if len(scenes) > 1 else "1 sample"
    text = f"{loaded.method()}; {count} of {dataset.category}/{dataset.split}. Everything is worked out in this file."
    css = "".join((SCRIPTS / name).read_text(encoding="utf-8") for name in ("shared.css", CSS.name))
    script = joined(SCRIPTS / "shared.js", STYLE=style(), SCENES=scenes)
    title = f"{dataset.category}: what each light sees, and what the lights together find"
    page = macros("light_table/shared.html").page(title, text, Markup(css), Markup(script))
    return str(page).strip() + "\n"


def _check(run: Run) -> None:
    count = len(run.lights)
    if not 1 < count <= MAX_LIGHTS:
        raise ValueError(f"{run.folder} is a run of {count} lights, but a table in a file has 2 to {MAX_LIGHTS}")
    if run.model.config.target != "lights" or run.model.config.fusion not in FORMULA_FUSIONS:
        raise ValueError(
            f"{run.folder} is {run.method()}, whose maps of fewer lights need its network; a file can show runs "
            f"that fuse evidence by {', '.join(FORMULA_FUSIONS[:-1])} or {FORMULA_FUSIONS[-1]}"
        )


def _split(data: Any, name: str | None) -> MultiLightDataset:
    name = name or data.test_split
    if name not in data:
        raise ValueError(f"{data.name} has no split {name!r}; it has {', '.join(data)}")
    return data[name]


def _index(dataset: MultiLightDataset, name: str) -> int:
    if name not in dataset.names:
        raise ValueError(f"{dataset.category}/{dataset.split} has no sample {name!r}")
    return list(dataset.names).index(name)


def chosen(dataset: MultiLightDataset, count: int) -> list[int]:
    """Positions of `count` samples, in order: of each type of defect and of the good ones in turn."""
    if count < 1:
        raise ValueError(f"{count} samples were asked for, but there must be at least 1")
    kinds: dict[str, list[int]] = {}
    for i, defects in enumerate(dataset.defects):
        kinds.setdefault("+".join(defects), []).append(i)
    in_turn = [i for i in chain.from_iterable(zip_longest(*kinds.values())) if i is not None]
    return sorted(in_turn[:count])


def fusion_of(run: Run) -> dict[str, Any]:
    """How the run fuses, and its thresholds by fusion: lists in which set s, the sum of 2^l over its lights l, stands
    at s; None where there is none."""
    own, count = run.model.config.fusion, len(run.lights)
    ways = FORMULA_FUSIONS if len(FORMULA_FUSIONS) * 2**count <= MAX_SETS else (own,)
    sets = [[light for i, light in enumerate(run.lights) if s >> i & 1] for s in range(1, 2**count)]
    thresholds = {way: [None, *(run.threshold(lights, way) for lights in sets)] for way in ways}
    first = thresholds[own][1]
    return {
        "how": own,
        "lights": list(run.lights),
        "thresholds": {way: [t and t.value for t in of_subsets] for way, of_subsets in thresholds.items()},
        "promise": str(first).partition("(")[2].rstrip(")") if first else "",
    }


def with_evidence(content: dict[str, Any], fusion: dict[str, Any], errors: Tensor, weights: Tensor) -> dict[str, Any]:
    """A scene whose first map is worked out in the browser.

    Args:
        content: of `afrd.page.light_table.scene.scene`.
        fusion: of `fusion_of`.
        errors, weights: (L, h, w) of this sample, in the order of `fusion["lights"]`.
    """
    scale = LARGEST / max(float(weights.max()), 1e-30)
    content |= {"answers": False, "steps": True, "fusion": fusion | {"grid": list(errors.shape[-2:])}}
    content["panels"][0].pop("map", None)
    for item in content["lights"]:
        item |= {"error": None, "share": None}
        if item["name"] in fusion["lights"]:
            row = fusion["lights"].index(item["name"])
            item["evidence"] = {"errors": _float16(errors[row]), "weights": _float16(weights[row] * scale)}
    return content


def _float16(values: Tensor) -> str:
    array = values.clamp_min(0).cpu().numpy().astype(np.float32).clip(0, np.finfo(np.float16).max)
    return base64.b64encode(array.astype("<f2").tobytes()).decode()
