"""What the light table shows: one sample, its pictures, maps and verdicts, as JSON for `light_table.js`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afrd.page.choice import Choice
from afrd.page.library import Cache, CategoryEntry, Library, RunEntry

if TYPE_CHECKING:
    import numpy as np

    from afrd.datasets import MultiLightDataset, Sample
    from afrd.runs import Prediction

PICTURE_SIDE, TILE_SIDE, TILE_MAP_SIDE = 512, 224, 96
SINGLE_SPOTS = ("bottom", "right", "top", "left")
_pictures = Cache(400)


def message(title: str, text: str = "", command: str = "") -> str:
    """The table with a text instead of pictures."""
    return json.dumps({"message": {"title": title, "text": text, "command": command}})


def scene(library: Library, choice: Choice) -> str:
    """The whole light table; every error that a user can cause is a sentence in it, not an exception."""
    if choice.category is None:
        return nothing_yet(library)
    try:
        entry = library.category(choice.category)
        dataset = library.data_of(entry)[choice.split or ""]
        if choice.index is None:
            return message("No sample is selected", f"{entry.name}/{dataset.split} has none that fits the filter.")
        sample = library.sample(dataset, choice.index)
    except (ValueError, OSError) as error:
        return message("This cannot be shown", str(error))
    main = _judged(library, choice.run, dataset, choice.index, choice.lights)
    beside = _judged(library, choice.beside, dataset, choice.index, None)
    said = main if not isinstance(main, str) else None
    shown = choice.shown if choice.shown in sample.lights else sample.lights[-1]
    content = {
        "header": _header(sample, dataset, said),
        "size": list(sample.images.shape[-2:]),
        "picture": _picture(dataset, sample, choice.index, shown, PICTURE_SIDE),
        "shown": shown,
        "truth": _path(_truth_lines(sample)),
        "panels": [
            _panel(_method(entry.fused, choice.run, "AFRD"), main, sample),
            _panel(_method(entry.single, choice.beside, "Single-light RD"), beside, sample),
        ],
        "panel_titles": [_title(entry.fused, choice.run), _title(entry.single, choice.beside)],
        "lights": _tiles(dataset, sample, choice, said, entry),
        "presets": presets(usable_lights(entry, choice, sample.lights)),
        "unit": _unit_sentence(said),
        "missing": missing_run(entry) if choice.run is None else None,
    }
    return json.dumps(content)


def nothing_yet(library: Library) -> str:
    """The table while there is no category."""
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


def missing_run(entry: CategoryEntry) -> str:
    return f"afrd train {entry.root} {entry.name} --out RUN"


def usable_lights(entry: CategoryEntry, choice: Choice, lights: Sequence[str]) -> tuple[str, ...]:
    """The data set's lights that the run knows; all of them without a run."""
    known = next((run.lights for run in entry.fused if run.folder == choice.run), tuple(lights))
    return tuple(light for light in lights if light in known)


def presets(lights: Sequence[str]) -> list[dict[str, Any]]:
    """Sets of lights worth a button, of those that there are."""
    wanted = {"all": tuple(lights), "single spots": SINGLE_SPOTS, "spots only": ("spots",), "box only": ("box",)}
    return [{"name": n, "lights": list(w)} for n, w in wanted.items() if w and set(w) <= set(lights)]


def _judged(
    library: Library, folder: Path | None, dataset: MultiLightDataset, index: int, lights: tuple[str, ...] | None
) -> Prediction | str | None:
    """A prediction, a sentence that says why there is none, or None without a run."""
    if folder is None:
        return None
    try:
        used = library.run(folder).lights if lights is None else lights
        if not used:
            return "Choose at least one light."
        return library.prediction(folder, dataset, index, used)
    except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: no weights for the teacher
        return str(error)


def _header(sample: Sample, dataset: MultiLightDataset, said: Prediction | None) -> dict[str, str]:
    from afrd.figures import truth_text

    no_mask = sample.anomalous and sample.mask is None
    return {
        "name": sample.name,
        "place": f"{dataset.category} / {dataset.split}",
        "truth": truth_text(sample) + (" (no mask)" if no_mask else ""),
        "kind": {True: "anomalous", False: "good", None: "unknown"}[sample.anomalous],
    }


def _panel(method: str, judged: Prediction | str | None, sample: Sample) -> dict[str, Any]:
    from afrd.figures import contour_lines, map_uri, score_text, shrink, unit_of

    if judged is None or isinstance(judged, str):
        return {"problem": judged, "method": method}
    values = shrink(judged.anomaly_map) / unit_of(judged)
    size = (sample.images.shape[-2], sample.images.shape[-1])
    return {
        "method": method,
        "map": map_uri(values),
        "passed": _path(contour_lines(values, 1.0, size)) if judged.threshold else "",
        "score": score_text(judged),
        "exact": f"score {judged.score:.6g}",
        "verdict": judged.verdict,
        "right": None if sample.anomalous is None or judged.verdict is None else _rightness(judged, sample),
        "threshold": f"threshold {judged.threshold}" if judged.threshold else "no threshold: no good samples were kept",
        "made_by": "lights: " + ", ".join(judged.lights),
    }


def _rightness(judged: Prediction, sample: Sample) -> str:
    if (judged.verdict == "anomalous") == sample.anomalous:
        return "correct"
    return "missed" if sample.anomalous else "false alarm"


def _tiles(
    dataset: MultiLightDataset, sample: Sample, choice: Choice, said: Prediction | None, entry: CategoryEntry
) -> list[dict[str, Any]]:
    from afrd.figures import attention_weights, map_uri, unit_of

    assert choice.index is not None
    usable = usable_lights(entry, choice, sample.lights)
    weights = attention_weights(said) if said else None
    tiles = []
    for light in sample.lights:
        tile: dict[str, Any] = {
            "name": light,
            "on": light in choice.lights,
            "usable": light in usable,
            "picture": _picture(dataset, sample, choice.index, light, TILE_SIDE),
        }
        if said is not None and weights is not None and light in said.lights:
            i = said.lights.index(light)
            tile |= {
                "error": map_uri(said.light_maps[i] / unit_of(said), side=TILE_MAP_SIDE),
                "share": map_uri(said.attention[i], limit=1.0, side=TILE_MAP_SIDE),
                "mean": round(float(weights[0][i]), 3),
                "peak": round(float(weights[1][i]), 3),
            }
        tiles.append(tile)
    return tiles


def _picture(dataset: MultiLightDataset, sample: Sample, index: int, light: str, side: int) -> str:
    from afrd.figures import picture_uri

    path = dataset.picture(index, light)
    return _pictures.get(
        (path, path.stat().st_mtime_ns, side),
        lambda: picture_uri(sample.images[sample.lights.index(light)], side),
    )


def _truth_lines(sample: Sample) -> list[np.ndarray]:
    from afrd.figures import truth_lines

    return truth_lines(sample)


def _path(lines: list[np.ndarray]) -> str:
    """Lines as an SVG path."""
    return "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in line) + "Z" for line in lines)


def _title(runs: Sequence[RunEntry], folder: Path | None) -> str:
    return next((run.label for run in runs if run.folder == folder), "")


def _method(runs: Sequence[RunEntry], folder: Path | None, otherwise: str) -> str:
    return next((run.method for run in runs if run.folder == folder), otherwise)


def _unit_sentence(said: Prediction | None) -> str:
    if said is not None and said.threshold is None:
        return "This run has no threshold, so colours show the error itself, from 0 to 2."
    return ""
