"""Scene of the light table: one sample, its pictures, maps and verdicts, as JSON for `table.js`."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import afrd.figures
import afrd.runs
from afrd.metrics.words import ANOMALOUS, label_word, outcome
from afrd.page.common import keys
from afrd.page.common.entries import RunEntry
from afrd.page.common.library import Library
from afrd.page.common.selection import Selection, beside_if_chosen, missing_run, usable_lights
from afrd.page.light_table.code import code_of
from afrd.page.light_table.fusion import all_at_once, beside_of, fusion_of, sent_evidence, why_not, with_fusion
from afrd.page.light_table.place import reasons
from afrd.page.light_table.region import region_on_table
from afrd.page.light_table.relief import known_relief
from afrd.runs.cache import MB, Cache

if TYPE_CHECKING:
    import numpy as np

    from afrd.data.dataset import MultiLightDataset, Sample
    from afrd.runs.prediction import Prediction
    from afrd.runs.run import Run

PICTURE_SIDE, TILE_MAP_SIDE = 512, 128
SINGLE_SPOTS = ("bottom", "right", "top", "left")
_pictures, _evidence, _fusions = Cache(50 * MB), Cache(50 * MB), Cache(10 * MB)
_latest, _counting = 0, threading.Lock()


def message(title: str, text: str = "", command: str = "") -> str:
    """The table with a text instead of pictures."""
    return _dated({"message": {"title": title, "text": text, "command": command}})


def _dated(content: dict[str, Any]) -> str:
    """The content as JSON with an increasing number, so that the browser can drop scenes that arrive late."""
    global _latest
    with _counting:
        number = _latest = max(_latest + 1, time.time_ns() // 1000)  # microseconds, which JavaScript holds exactly
    return json.dumps(content | {"made": number})


def scene(library: Library, selection: Selection) -> str:
    """The scene of a selection; user errors are sentences in it, not exceptions."""
    if selection.category is None:
        return nothing_yet(library)
    try:
        entry = library.category(selection.category)
        dataset = library.data_of(entry)[selection.split or ""]
        if selection.index is None:
            return message("No sample is selected", f"{entry.name}/{dataset.split} has none that fits the filter.")
        sample = library.sample(dataset, selection.index)
    except (ValueError, OSError) as error:
        return message("This cannot be shown", str(error))
    index, usable = selection.index, usable_lights(entry, selection, sample.lights)
    main, fusion = _judged(library, selection.run, selection, dataset, index)
    beside, beside_fusion = _judged(library, selection.beside, selection, dataset, index)
    if fusion and beside_fusion and selection.beside == selection.run:
        beside_fusion = {"same": True}
    singles: dict[str, Prediction] = {}
    for run in entry.single:
        prediction = _prediction_or_problem(library, run.folder, dataset, index, None, selection.run)
        if run.method == "Single-light RD" and prediction is not None and not isinstance(prediction, str):
            singles.setdefault(run.lights[0], prediction)
    return sample_scene(
        sample,
        main,
        beside,
        place=f"{dataset.category} / {dataset.split}" + not_counted(library, selection.run, dataset, index),
        shown=selection.shown,
        lights=selection.lights,
        usable=usable,
        sets=presets(usable),
        methods=(
            _method(entry.fused, selection.run, "AFRD"),
            _method((*entry.single, *entry.fused), selection.beside, "Single-light RD"),
        ),
        titles=(
            _title(entry.fused, selection.run) + _corrections(library, selection.run),
            _title((*entry.single, *entry.fused), selection.beside),
        ),
        missing=missing_run(entry) if selection.run is None else None,
        pictures={light: _picture(dataset, sample, index, light) for light in sample.lights},
        singles=singles,
        pinned=selection.pinned,
        why=reasons(library, selection, entry, dataset, sample),
        fusion=fusion,
        beside_fusion=beside_fusion,
        region=_region(library, selection.run, dataset),
        code=code_of(selection.run, beside_if_chosen(entry, selection), dataset, index),
        relief=known_relief(keys.of_sample(dataset, index), sample, dataset.root / dataset.category),
    )


def _region(library: Library, folder: Path | None, dataset: MultiLightDataset) -> np.ndarray | None:
    try:
        return library.run(folder).region_at(dataset.image_size) if folder is not None else None
    except (ValueError, OSError):  # the first map says what is wrong
        return None


def heard(number: int) -> str:
    """Instead of a scene, the answer to the event `lit` of this number: the table stays unchanged."""
    return _dated({"heard": number})


@dataclass(frozen=True, kw_only=True)
class SceneOptions:
    """What a light table shows of a sample besides its predictions.

    Attributes:
        place: origin of the sample, as text.
        shown: light whose picture is shown first; the light box or the last light by default.
        lights: those switched on; all by default.
        usable: those of the main run; all by default.
        methods, titles: headings of the two maps: kind of method, and name of the run.
        missing: command that makes a run, if there is none.
        pictures: data URIs by light, if computed already.
        singles: predictions of the single-light RDs by light.
        sets: sets of lights with a button, see `presets`; by default those that the lights allow.
        steps: whether the event `step` leads to other samples.
        answers: whether the host answers why a pinned place stands out.
        pinned: a place (x, y) in pixels, marked on every picture; ignored outside the picture.
        why: its explanation by `afrd.page.light_table.place.answer`.
        fusion: how the browser fuses the lights, and every light's evidence, see `fusion.py`; the first map is then the
            browser's, and there is no prediction for it.
        beside_fusion: the same of the run beside it; `{"same": True}` for the same run, fused otherwise.
        region: (H, W) bool of the pictures, in which both runs judge; None: everywhere.
        code: what `code_of` gives, for the view as Python code; None for a sample that no code can open.
        relief: the sample's shape, see `relief.py`, for the virtual lamp; None: not known.
    """

    place: str = ""
    shown: str | None = None
    lights: Sequence[str] | None = None
    usable: Sequence[str] | None = None
    methods: tuple[str, str] = ("AFRD", "Single-light RD")
    titles: tuple[str, str] = ("", "")
    missing: str | None = None
    pictures: Mapping[str, str] | None = None
    singles: Mapping[str, Prediction] | None = None
    sets: Sequence[Mapping[str, Any]] | None = None
    steps: bool = True
    answers: bool = True
    pinned: tuple[int, int] | None = None
    why: Mapping[str, Any] | None = None
    fusion: Mapping[str, Any] | None = None
    beside_fusion: Mapping[str, Any] | None = None
    region: np.ndarray | None = None
    code: Mapping[str, Any] | None = None
    relief: Mapping[str, Any] | None = None


def sample_scene(
    sample: Sample, main: Prediction | str | None, beside: Prediction | str | None = None, **options: Any
) -> str:
    """The light table of any sample, from a data set or not.

    Args:
        sample: the sample to show.
        main: prediction of the run of several lights; a sentence why there is none, or None.
        beside: the same for a single-light run.
        options: fields of `SceneOptions`.
    """
    chosen = SceneOptions(**options)
    prediction = main if main is not None and not isinstance(main, str) else None
    pictures = chosen.pictures or {light: picture_of(sample, light) for light in sample.lights}
    lights = sample.lights if chosen.lights is None else chosen.lights
    usable_lights = sample.lights if chosen.usable is None else chosen.usable
    height, width = sample.images.shape[-2:]
    pinned = chosen.pinned
    in_picture = pinned is not None and 0 <= pinned[0] < width and 0 <= pinned[1] < height
    panels = zip(chosen.methods, chosen.titles, (main, beside), strict=True)
    tiles = _tiles(sample, lights, usable_lights, prediction, pictures, chosen.singles or {})
    content = {
        "header": _header(sample, chosen.place, prediction),
        "steps": chosen.steps,
        "answers": chosen.answers,
        "size": [height, width],
        "shown": chosen.shown if chosen.shown in sample.lights else afrd.figures.main_light(sample.lights),
        "truth": afrd.figures.svg_path(afrd.figures.truth_lines(sample)),
        "panels": [_panel(method, title, value, sample) for method, title, value in panels],
        "lights": tiles,
        "presets": list(presets(usable_lights) if chosen.sets is None else chosen.sets),
        "unit": _unit_sentence(prediction, chosen.fusion),
        "missing": chosen.missing,
        "pinned": list(pinned) if pinned is not None and in_picture else None,
        "why": chosen.why if in_picture else None,
        "region": region_on_table(chosen.region),
        "beside": beside_of(chosen.beside_fusion),
        "code": chosen.code,
        "relief": chosen.relief,
    }
    return _dated(content | with_fusion(tiles, chosen.fusion))


def picture_of(sample: Sample, light: str) -> str:
    """The sample's picture under one light, as a data URI."""

    return afrd.figures.picture_uri(sample.images[sample.lights.index(light)], PICTURE_SIDE)


def nothing_yet(library: Library) -> str:
    """The scene while there is no category."""
    if library.prepared:
        return message(
            "The first candies are being made",
            "Pictures are shown here as soon as there are some, and maps as soon as the first run is trained; "
            "the steps above say how far that is. Nothing needs to be reloaded.",
        )
    return message(
        "Nothing to look at yet",
        f"There is no finished run in {library.runs}"
        + (f" and no category in {library.data}." if library.data else ".")
        + " Train one, and it appears here without reloading:",
        "afrd train ROOT CATEGORY --out " + str(library.runs / "CATEGORY" / "afrd"),
    )


def presets(lights: Sequence[str]) -> list[dict[str, Any]]:
    """Sets of lights that get a button, among those possible."""
    candidates = {"all": tuple(lights), "single spots": SINGLE_SPOTS}
    candidates |= {f"{light} only": (light,) for light in ("spots", "box", "dome")}
    sets = {name: members for name, members in candidates.items() if members and set(members) <= set(lights)}
    return [{"name": name, "lights": list(members), "title": ", ".join(members)} for name, members in sets.items()]


def _judged(
    library: Library, folder: Path | None, selection: Selection, dataset: MultiLightDataset, index: int
) -> tuple[Prediction | str | None, dict[str, Any] | None]:
    """A run's prediction or the reason why there is none, or data for the browser to make it."""
    try:
        if folder is None or why_not(run := library.run_beside(folder, selection.run)):
            lights = selection.lights if folder == selection.run else None
            return _prediction_or_problem(library, folder, dataset, index, lights, selection.run), None
        chosen = None if all_at_once(run) else selection.lights
        how = known_fusion(folder, run, chosen)
        key = library.prediction_key(run, dataset, index, run.lights)
        sent = _evidence.get(key, lambda: sent_evidence(run, library.evidence(folder, dataset, index), dataset.lights))
        return None, how | sent
    except (ValueError, OSError, RuntimeError) as error:
        return str(error), None


def known_fusion(folder: Path, run: Run, lights: tuple[str, ...] | None = None) -> dict[str, Any]:
    """`fusion_of` the run in a folder, computed once."""
    return _fusions.get((keys.of_run(folder), keys.of_region(run), lights), lambda: fusion_of(run, lights))


def _prediction_or_problem(
    library: Library,
    folder: Path | None,
    dataset: MultiLightDataset,
    index: int,
    lights: tuple[str, ...] | None,
    shown: Path | None = None,
) -> Prediction | str | None:
    """A prediction (see `Library.prediction`), a sentence why there is none, or None without a run."""
    if folder is None:
        return None
    try:
        if lights == ():
            return "Choose at least one light."
        return library.prediction(folder, dataset, index, lights, shown)
    except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: no weights for the teacher
        return str(error)


def _header(sample: Sample, place: str, prediction: Prediction | None) -> dict[str, str]:

    no_mask = sample.anomalous and sample.mask is None
    return {
        "name": sample.name,
        "place": place,
        "truth": afrd.figures.truth_text(sample) + (" (no mask)" if no_mask else ""),
        "kind": label_word(sample.anomalous),
    }


def _panel(method: str, title: str, prediction: Prediction | str | None, sample: Sample) -> dict[str, Any]:

    if prediction is None or isinstance(prediction, str):
        return {"method": method, "title": title, "problem": prediction}
    return {
        "method": method,
        "title": title,
        "map": afrd.figures.map_uri(prediction.anomaly_map / afrd.figures.unit_of(prediction)),
        "units": prediction.threshold is not None,
        "score": afrd.figures.score_text(prediction),
        "score_units": prediction.score / afrd.figures.unit_of(prediction),
        "exact": f"score {prediction.score:.6g}",
        "verdict": prediction.verdict,
        "right": _outcome(prediction, sample),
        "threshold": f"threshold {prediction.threshold}"
        if prediction.threshold
        else "no threshold: no good samples were kept",
        "made_by": "lights: " + ", ".join(prediction.lights),
    }


def _outcome(prediction: Prediction, sample: Sample) -> str | None:
    if sample.anomalous is None or prediction.verdict is None:
        return None
    return outcome(sample.anomalous, prediction.verdict == ANOMALOUS)


def _tiles(
    sample: Sample,
    lights: Sequence[str],
    usable: Sequence[str],
    prediction: Prediction | None,
    pictures: Mapping[str, str],
    singles: Mapping[str, Prediction],
) -> list[dict[str, Any]]:

    weights = afrd.figures.attention_weights(prediction) if prediction else None
    tiles = []
    for light in sample.lights:
        tile: dict[str, Any] = {
            "name": light,
            "on": light in lights,
            "usable": light in usable,
            "picture": pictures[light],
        }
        if prediction is not None and weights is not None and light in prediction.lights:
            i = prediction.lights.index(light)
            tile |= {
                "error": afrd.figures.map_uri(
                    prediction.light_maps[i] / afrd.figures.unit_of(prediction), side=TILE_MAP_SIDE
                ),
                "share": afrd.figures.map_uri(prediction.attention[i], limit=1.0, side=TILE_MAP_SIDE),
                "mean": round(float(weights[0][i]), 3),
                "peak": round(float(weights[1][i]), 3),
            }
        if light in singles:
            tile["single"] = _single(singles[light])
        tiles.append(tile)
    return tiles


def _single(prediction: Prediction) -> dict[str, Any]:

    score = prediction.score / afrd.figures.unit_of(prediction)
    return {
        "map": afrd.figures.map_uri(prediction.anomaly_map / afrd.figures.unit_of(prediction), side=TILE_MAP_SIDE),
        "units": prediction.threshold is not None,
        "verdict": prediction.verdict,
        "text": f"{score:.2f} ×: {prediction.verdict}" if prediction.threshold else f"score {score:.3g}",
    }


def _picture(dataset: MultiLightDataset, sample: Sample, index: int, light: str) -> str:
    path = dataset.picture(index, light)
    return _pictures.get(keys.of_file(path), lambda: picture_of(sample, light))


def _title(runs: Sequence[RunEntry], folder: Path | None) -> str:
    return next((run.label for run in runs if run.folder == folder), "")


def _corrections(library: Library, folder: Path | None) -> str:
    """Such as `, with 2 corrections`; empty without any, and for a run that cannot be read."""
    try:
        return afrd.runs.corrections_suffix(library.run(folder).corrections) if folder is not None else ""
    except (ValueError, OSError, RuntimeError):  # shown instead of its map
        return ""


def not_counted(library: Library, folder: Path | None, dataset: MultiLightDataset, index: int) -> str:
    """Remark on a sample that was corrected for the run; empty for others."""
    try:
        corrected = folder is not None and index in library.corrected(folder, dataset)
    except (ValueError, OSError, RuntimeError):
        return ""
    return " · corrected, so it does not count" if corrected else ""


def _method(runs: Sequence[RunEntry], folder: Path | None, otherwise: str) -> str:
    return next((run.method for run in runs if run.folder == folder), otherwise)


def _unit_sentence(prediction: Prediction | None, fusion: Mapping[str, Any] | None) -> str:
    without = prediction is not None and prediction.threshold is None
    if without or (fusion is not None and not fusion["promise"]):
        return "This run has no threshold, so colours show the error itself, from 0 to 2."
    return ""
