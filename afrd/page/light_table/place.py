"""Explanation of the map at a pinned place, for `why.js`: each light's numbers, and patches of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import afrd.analysis.explain
import afrd.data
import afrd.figures
import afrd.runs
from afrd.page.common import keys
from afrd.page.common.entries import CategoryEntry
from afrd.page.common.library import AT_ONCE, Library
from afrd.page.common.selection import Selection
from afrd.runs.cache import MB, Cache

if TYPE_CHECKING:
    from torch import Tensor

    from afrd.analysis.explain.place import Similar, Why
    from afrd.data.dataset import MultiLightDataset, Sample
    from afrd.runs.run import Run

PATCH_SHARE = 0.17  # side of a patch, as a fraction of the picture's longer side
PATCH_PIXELS = 72  # of a patch as sent
_answers, _patches = Cache(20 * MB), Cache(20 * MB)


def reasons(
    library: Library, selection: Selection, entry: CategoryEntry, dataset: MultiLightDataset, sample: Sample
) -> Any:
    """The answer for the selection's pinned place; None without a pinned place or a run; user errors are
    sentences."""
    if selection.pinned is None or selection.run is None or selection.index is None or not selection.lights:
        return None
    index = selection.index
    try:
        run = library.run(selection.run)
        train = training_split(library, run, entry)
        stored = run.features_stored(dataset)
        inputs = run.stored_inputs(dataset, index) if stored else None
        similar: Mapping[str, Similar] = {}
        if train is not None:
            # of all lights, so that switching one asks for nothing new
            itself = index if dataset.split == train.split else None
            key = (keys.of_run(run.folder), keys.of_split(train), keys.of_sample(dataset, index), selection.pinned)
            similar = _answers.get(
                key,
                lambda: afrd.analysis.explain.similar_places(
                    run, sample, selection.pinned or (0, 0), train, None, itself, inputs
                ),
            )
        return answer(
            run,
            sample,
            afrd.analysis.explain.why(run, sample, selection.pinned, selection.lights, inputs),
            similar,
            train,
        )
    except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: no weights for the teacher
        return {"problem": str(error)}


def answer(
    run: Run,
    sample: Sample,
    explanation: Why,
    similar: Mapping[str, Similar],
    train: MultiLightDataset | None = None,
) -> dict[str, Any]:
    """The argument `why` of `sample_scene`, for any sample.

    Args:
        run: whose map is explained.
        sample: that holds the place.
        explanation: of `afrd.analysis.explain.place.why`.
        similar: of `afrd.analysis.explain.place.similar_places`, in the split `train`.
    """
    threshold = run.threshold([reason.light for reason in explanation.lights])
    unit = threshold.value if threshold else 1.0
    lights = []
    for reason in explanation.lights:
        picture = sample.images[sample.lights.index(reason.light)]
        near = similar.get(reason.light)
        lights.append(
            {
                "name": reason.light,
                "patch": _patch_uri(picture, explanation.x, explanation.y),
                "colour": [round(255 * float(c)) for c in picture[:, explanation.y, explanation.x]],
                "attention": round(reason.attention, 4),
                "error": round(reason.error / unit, 4),
                "contrast": round(reason.contrast, 1),
                "scales": [round(reason.error * value / sum(reason.scales) / unit, 4) for value in reason.scales],
                "distance": None if reason.distance is None else round(reason.distance, 3),
                "part": round(reason.attention * reason.error / max(explanation.evidence, 1e-9), 4),
                "spread": round(near.spread, 3) if near else 0,
                "neighbours": _neighbours(near, train, reason.light) if near and train is not None else [],
            }
        )
    return {
        "summary": _summary(explanation, unit, threshold is not None, _is_inside(run, sample, explanation)),
        "unit": " × threshold" if threshold else "",
        "strides": list(explanation.strides),
        "lights": lights,
        "note": _note(explanation, train, bool(similar)),
    }


def _neighbours(near: Similar, train: MultiLightDataset, light: str) -> list[dict[str, Any]]:
    return [
        {
            "sample": train.names[n.index],
            "x": n.x,
            "y": n.y,
            "distance": round(n.distance, 3),
            "patch": _train_patch(train, n.index, light, n.x, n.y),
        }
        for n in near.neighbours
    ]


def _is_inside(run: Run, sample: Sample, explanation: Why) -> bool:
    region = run.region_at((sample.images.shape[-2], sample.images.shape[-1]))
    return region is None or bool(region[explanation.y, explanation.x])


def _summary(explanation: Why, unit: float, has_threshold: bool, inside: bool) -> str:
    if not inside:
        return "outside of the region in which this run judges"
    text = f"evidence {explanation.evidence / unit:.2f}" + (" × the threshold" if has_threshold else "")
    if len(explanation.lights) < 2:
        return text
    shares = {r.light: r.attention * r.error / max(explanation.evidence, 1e-9) for r in explanation.lights}
    largest = sorted(shares, key=lambda light: -shares[light])[:2]
    return f"{text}; largest parts: {', '.join(f'{light} {100 * shares[light]:.0f} %' for light in largest)}"


def _note(explanation: Why, train: MultiLightDataset | None, similar: bool) -> str:

    scales = ""
    if explanation.lights[0].scales:
        strides = ", ".join(f"1/{stride}" for stride in explanation.strides)
        weighting = ""
        if explanation.lights[0].distance is not None:
            weighting = ", weighted by the distance to the patch memory of good parts"
        if explanation.lights[0].usual:
            weighting += ", minus half of the expected normal evidence"
        scales = f"Errors are those at each of the teacher’s scales ({strides} of the resolution){weighting}. "
    if not similar or train is None:
        return scales + "Similar places can be shown once the teacher has read the training set."
    return (
        f"{scales}Similar places: the nearest in the teacher’s features, each of another one of "
        f"{len(afrd.analysis.explain.searched(len(train)))} training samples; below them the distance, ± the mean "
        "distance between the three."
    )


def training_split(library: Library, run: Run, entry: CategoryEntry) -> MultiLightDataset | None:
    """The training split, where its features are stored or soon computed."""

    data = library.data_of(entry)
    if "train" not in data:
        return None
    train = data["train"]
    stored = len(train) <= AT_ONCE or run.features_stored(train)
    return train if stored and set(run.lights) <= set(train.lights) else None


def _train_patch(train: MultiLightDataset, index: int, light: str, x: int, y: int) -> str:

    path = train.picture(index, light)
    return _patches.get((keys.of_file(path), x, y), lambda: _patch_uri(afrd.data.read_picture(path), x, y))


def _patch_uri(picture: Tensor, x: int, y: int) -> str:
    return afrd.figures.patch_uri(picture, (x, y), PATCH_SHARE, PATCH_PIXELS)
