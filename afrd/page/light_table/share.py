"""The light table in one HTML file: samples of a run with every light's evidence, which the browser fuses."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from afrd.analysis.errors.notes import Notes
from afrd.page.common.html import macros
from afrd.page.common.library import Library
from afrd.page.common.samples import dataset_of, first_selection
from afrd.page.common.scripts import joined
from afrd.page.common.selection import Selection, run_beside
from afrd.page.light_table.code import without_folders
from afrd.page.light_table.fusion import why_not
from afrd.page.light_table.scene import known_fusion, scene
from afrd.page.light_table.style import CSS, SCRIPTS, style

if TYPE_CHECKING:
    from afrd.data.dataset import MultiLightDataset


def shared_page(
    run: Path,
    samples: int | Sequence[str],
    split: str | None = None,
    data: Path | None = None,
    beside: Path | None = None,
) -> str:
    """A page that shows the light table of some samples, without a server and without the network.

    Args:
        run: folder of a run of several lights; single-light runs beside it are shown beside it.
        samples: their names, or how many: some of each type of defect, and of the good ones.
        split: of the data set; the test split by default.
        data: root of the data set, if it has been moved since the training.
        beside: folder of the run beside it, one of the same category in the same folder; a single-light run by default.

    Raises:
        ValueError: the run cannot be shown this way, or there are no such samples.
    """
    folder = run.resolve()
    library = Library(folder.parent, data)
    loaded = library.run(folder)
    if reason := why_not(loaded):
        raise ValueError(f"the browser cannot fuse the lights of {run}: {reason}")
    entry = next((e for e in library.categories() if any(run_entry.folder == folder for run_entry in e.fused)), None)
    if entry is None:
        raise ValueError(f"the data of run {run} is not at {loaded.config.data_root}; give its root with --data")
    dataset = _split(library.data_of(entry), split)
    selection = replace(first_selection(library, entry.key), run=folder, split=dataset.split)
    if beside is not None:
        selection = replace(selection, beside=run_beside(entry, beside).folder)
    indices = chosen(dataset, samples) if isinstance(samples, int) else [_index(dataset, name) for name in samples]
    loaded.evidence(dataset)  # of the whole split, so that no sample is read twice
    return page_of(library, selection, indices)


def page_of(library: Library, selection: Selection, indices: Sequence[int]) -> str:
    """`shared_page` of the samples at `indices` of a selection's split, with its run and the single-light run beside.

    Raises:
        ValueError: the run cannot be shown this way.
    """
    dataset = dataset_of(library, selection)
    if selection.run is None:
        raise ValueError(f"there is no run of {dataset.category} yet, so there is no table to share")
    run = library.run(selection.run)
    if reason := why_not(run):
        raise ValueError(f"the browser cannot fuse the lights of {run.folder}: {reason}")
    scenes, notes = [], Notes(selection.run).of(dataset.split)
    for i in indices:
        content = json.loads(scene(library, replace(selection, index=i, lights=run.lights, pinned=None)))
        if "message" in content:
            raise ValueError(f"sample {dataset.names[i]}: {content['message']['text']}")
        if note := notes.get(dataset.names[i]):
            content["note"] = " · ".join(filter(None, (note.text, ", ".join(note.tags))))
        if content.pop("fusion", None) is None:
            raise ValueError(f"sample {dataset.names[i]}: {content['panels'][0]['problem']}")
        content["code"] = without_folders(content["code"])
        if missing := (content["relief"] or {}).get("missing"):  # it names the file that is wrong
            content["relief"]["missing"] = missing.replace(f"{dataset.root}{os.sep}", "")
        if content["beside"]:
            content["beside"].pop("fusion", None)
        scenes.append(content | {"answers": False, "steps": True})
    count = f"{len(scenes)} samples" if len(scenes) > 1 else "1 sample"
    text = f"{run.method()}; {count} of {dataset.category}/{dataset.split}. Everything is computed in this file."
    css = "".join((SCRIPTS / name).read_text(encoding="utf-8") for name in ("shared.css", CSS.name))
    fusions = {"FUSION": known_fusion(selection.run, run), "BESIDE": _beside_fusion(library, selection)}
    script = joined(SCRIPTS / "shared.js", STYLE=style(), SCENES=scenes, **fusions)
    title = f"{dataset.category}: what each light sees, and what the lights together find"
    page = macros("light_table/shared.html").page(title, text, Markup(css), Markup(script))
    return str(page).strip() + "\n"


def _beside_fusion(library: Library, selection: Selection) -> dict[str, Any] | None:
    if selection.beside is None or selection.beside == selection.run:
        return None
    run = library.run_beside(selection.beside, selection.run)
    return None if why_not(run) else known_fusion(selection.beside, run)


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
