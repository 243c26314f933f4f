"""The light table in a notebook's cell: `afrd.explore(run, dataset)` and `afrd.light_table(sample, run=run)`.

It needs anywidget (`pip install "afrd[notebooks]"`).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets
from IPython.display import HTML, display
from markupsafe import escape
from traitlets import Bunch

import afrd.figures
from afrd.page.common.entries import read_entry
from afrd.page.common.library import Library
from afrd.page.common.samples import first_selection
from afrd.page.common.scripts import joined
from afrd.page.common.selection import Selection, run_beside
from afrd.page.light_table.fusion import all_at_once, fusion_of, fusions, sent_evidence, why_not
from afrd.page.light_table.relief import relief_on_table
from afrd.page.light_table.scene import sample_scene, scene
from afrd.page.light_table.style import CSS, SCRIPTS, style

if TYPE_CHECKING:
    from afrd.data.dataset import MultiLightDataset
    from afrd.data.sample import Sample
    from afrd.runs.prediction import Prediction
    from afrd.runs.run import Run


@dataclass(frozen=True)
class Source:
    """Source of the samples of a table.

    Attributes:
        lights: those that can be switched.
        fusions: ways to fuse them that the browser knows, the run's own first; empty where it fuses none.
        beside: the same of the run beside, the one shown first at first.
        count: of samples.
        all_known: whether the browser has the thresholds of all sets of lights.
        drawn: the scene of a sample under some lamps with a pinned place.
        saved: a picture of it as a data URI, and a sentence.
    """

    lights: Sequence[str]
    fusions: Sequence[str]
    beside: Sequence[str]
    count: int
    all_known: bool
    drawn: Callable[[int, tuple[str, ...], tuple[int, int] | None], str]
    saved: Callable[[int, tuple[str, ...]], tuple[str, str]]


class LightTable(anywidget.AnyWidget):
    """A light table; its traits follow what the user does, and setting one from Python changes the table.

    Attributes:
        lights: names of the lamps that are lit, in the run's order.
        sample: position of the sample in the data set; 0 for a single sample.
        pinned: the pinned place [x, y] in pixels of the sample's pictures, or [].
        fusion: how the lights are fused, `""` where the browser fuses none.
        weights: of the lights, 0 to 1, by name; 1 for those that are not named.
        beside_fusion: how the lights of the run beside are fused, `""` where the browser fuses none.
    """

    _esm = joined(SCRIPTS / "notebook.js", STYLE=style()) + "\nexport default { render: show };\n"
    _css = "".join((SCRIPTS / name).read_text(encoding="utf-8") for name in ("notebook.css", CSS.name))
    lights = traitlets.List(traitlets.Unicode()).tag(sync=True)
    sample = traitlets.Int(0).tag(sync=True)
    pinned = traitlets.List(traitlets.Int(), maxlen=2).tag(sync=True)
    fusion = traitlets.Unicode().tag(sync=True)
    weights = traitlets.Dict(traitlets.Float(min=0, max=1), traitlets.Unicode()).tag(sync=True)
    beside_fusion = traitlets.Unicode().tag(sync=True)
    _scene = traitlets.Unicode().tag(sync=True)
    _fusion = traitlets.Unicode("null").tag(sync=True)  # that of the run, once for all samples
    _count = traitlets.Int(1).tag(sync=True)
    _name = traitlets.Unicode().tag(sync=True)

    def __init__(self, source: Source, lights: Sequence[str], **traits: Any) -> None:
        self._source = source
        for name, ways in (("fusion", source.fusions), ("beside_fusion", source.beside)):
            traits[name] = traits.get(name) or next(iter(ways), "")
        super().__init__(lights=list(lights), _count=source.count, _name=uuid.uuid4().hex, **traits)
        self._draw()
        self.observe(lambda _: self._draw(), ["sample", "pinned"])
        self.observe(lambda _: self._draw() if self.pinned or not source.all_known else None, ["lights"])

    @traitlets.validate("lights")
    def _known(self, proposal: Any) -> list[str]:
        lights = self._source.lights
        unknown = [light for light in proposal.value if light not in lights]
        if unknown:
            raise traitlets.TraitError(f"light {unknown[0]!r} is not on this table; it has {', '.join(lights)}")
        return [light for light in lights if light in proposal.value]

    @traitlets.validate("fusion", "beside_fusion")
    def _possible(self, proposal: Any) -> str:
        ways = (self._source.fusions if proposal.trait.name == "fusion" else self._source.beside) or ("",)
        if proposal.value not in ways:
            raise traitlets.TraitError(f"fusion {proposal.value!r} is not on this table; it has {', '.join(ways)}")
        return proposal.value

    @traitlets.validate("weights")
    def _of_known(self, proposal: Any) -> dict[str, float]:
        self._known(Bunch(value=list(proposal.value)))
        return proposal.value

    @traitlets.validate("sample")
    def _there(self, proposal: Any) -> int:
        if not 0 <= proposal.value < self._source.count:
            raise traitlets.TraitError(f"sample {proposal.value} is not here; there are 0 to {self._source.count - 1}")
        return proposal.value

    def _draw(self) -> None:
        place = (self.pinned[0], self.pinned[1]) if len(self.pinned) == 2 else None
        content = json.loads(self._source.drawn(self.sample, tuple(self.lights), place))
        if "message" in content:
            raise ValueError(f"{content['message']['title']}: {content['message']['text']}")
        fusion = json.dumps(content.pop("fusion", None))
        with self.hold_sync():
            self._fusion, self._scene = fusion, json.dumps(content)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        picture, text = self._source.saved(self.sample, tuple(self.lights))
        display(
            HTML(
                f'<figure data-afrd-saved="{self._name}" style="margin:0"><img src="{picture}" alt="" '
                f'style="max-width:360px"><figcaption>{escape(text)} This is a saved picture; run the cell, and the '
                "light table is here.</figcaption></figure>"
            )
        )
        return super()._repr_mimebundle_(**kwargs)


def light_table(
    sample: Sample,
    prediction: Prediction | None = None,
    run: Run | None = None,
    lights: Sequence[str] | None = None,
    fusion: str | None = None,
    weights: Mapping[str, float] | None = None,
    beside: Run | None = None,
    beside_fusion: str | None = None,
) -> LightTable:
    """The light table of one sample, in the cell of a notebook.

    Args:
        sample: from a data set or not.
        prediction: whose maps are shown; its lamps only relight the pictures.
        run: makes the maps instead, of the lamps that are lit.
        lights: those lit at first; all by default.
        fusion, weights, beside_fusion: see `LightTable`; for runs whose lights the browser can fuse.
        beside: makes the second map, from those of the same lights that it has; the same run can be fused otherwise.

    Raises:
        ValueError: the run has none of the sample's lights.
        TraitError: an unknown light or fusion.
    """
    sent, usable = None, tuple(sample.lights)
    if run is not None and why_not(run):
        prediction = prediction or run.predict(sample, lights)
    elif run is not None:
        usable = run.lights_of(sample)
        sent = fusion_of(run) | sent_evidence(run, run.sample_evidence(sample, usable), usable)
    options: dict[str, Any] = {"steps": False, "answers": False, "fusion": sent, "usable": usable}
    if run is not None:
        options["region"] = run.region_at((sample.images.shape[-2], sample.images.shape[-1]))
        options["relief"] = relief_on_table(sample, Path(run.config.data_root) / run.config.category)
    second, second_fusions = _beside(sample, run, beside, lights, options)
    options["missing"] = None if sent else "afrd.light_table(sample, run=run)"

    def drawn(index: int, lit: tuple[str, ...], pinned: tuple[int, int] | None) -> str:
        return sample_scene(sample, None if sent else prediction, second, lights=lit, pinned=pinned, **options)

    def saved(index: int, lit: tuple[str, ...]) -> tuple[str, str]:
        judged = run.predict(sample, lit) if sent and run is not None and lit else prediction
        return _picture(sample, judged), _caption(sample, judged)

    source = Source(usable, list(sent["thresholds"]) if sent else (), second_fusions, 1, True, drawn, saved)
    traits = {"fusion": fusion, "weights": dict(weights or {}), "beside_fusion": beside_fusion}
    return LightTable(source, usable if lights is None else lights, **traits)


def explore(
    run: Run,
    dataset: MultiLightDataset,
    sample: int | str = 0,
    lights: Sequence[str] | None = None,
    fusion: str | None = None,
    weights: Mapping[str, float] | None = None,
    pinned: Sequence[int] = (),
    beside: Run | None = None,
    beside_fusion: str | None = None,
) -> LightTable:
    """The light table of a split in the cell of a notebook, as in the page: with the samples to step through, the
    single-light runs of the same folder, and a click that says why a place stands out.

    Args:
        run: a run of several lights that fuses their evidence.
        dataset: a split of the category that the run was trained on.
        sample: position or name of the first one.
        lights: those lit at first; all of the run's by default.
        fusion, weights, pinned, beside_fusion: see `LightTable`; the runs' own fusions by default.
        beside: the run of the second map, one of the same category in the same folder; the same run can be fused
            otherwise; a single-light run by default.

    Raises:
        ValueError: the browser cannot fuse the run's lights, the data set is another, or has no such sample.
        TraitError: an unknown light or fusion.
    """
    folder = run.folder.resolve()
    if reason := why_not(run):
        raise ValueError(f"the browser cannot fuse the lights of {run.folder}: {reason}")
    library = Library(folder.parent, dataset.root)
    library.keep(folder, run)
    entry = next((e for e in library.categories() if any(of_run.folder == folder for of_run in e.fused)), None)
    if entry is None or entry.name != dataset.category:
        raise ValueError(f"{run.folder} was not trained on the category {dataset.category} of {dataset.root}")
    if isinstance(sample, str) and sample not in dataset.names:
        raise ValueError(f"{dataset.category}/{dataset.split} has no sample {sample!r}")
    at = list(dataset.names).index(sample) if isinstance(sample, str) else sample
    start = replace(first_selection(library, entry.key), run=folder, split=dataset.split, kind="all")
    if beside is not None:
        start = replace(start, beside=run_beside(entry, beside.folder).folder)

    others = _fusions_beside(library, start)

    def drawn(index: int, lit: tuple[str, ...], pinned: tuple[int, int] | None) -> str:
        return scene(library, replace(start, index=index, lights=lit, pinned=pinned))

    def saved(index: int, lit: tuple[str, ...]) -> tuple[str, str]:
        judged = library.prediction(folder, dataset, index, lit) if lit else None
        shown = library.sample(dataset, index)
        return _picture(shown, judged), _caption(shown, judged)

    source = Source(run.lights, fusions(run), others, len(dataset), all_at_once(run), drawn, saved)
    traits: dict[str, Any] = {"sample": at, "pinned": list(pinned), "fusion": fusion, "weights": dict(weights or {})}
    traits["beside_fusion"] = beside_fusion
    return LightTable(source, run.lights if lights is None else lights, **traits)


def _fusions_beside(library: Library, selection: Selection) -> list[str]:
    if selection.beside is None or selection.run is None:
        return []
    run = library.run_beside(selection.beside, selection.run)
    return [] if why_not(run) else _otherwise(fusions(run), selection.beside == selection.run)


def _otherwise(ways: Sequence[str], same: bool) -> list[str]:
    """Ways to fuse the run beside, the one shown first at first: of the same run, another than its own."""
    return [*ways[1:], ways[0]] if same else list(ways)


def _beside(
    sample: Sample, run: Run | None, beside: Run | None, lights: Sequence[str] | None, options: dict[str, Any]
) -> tuple[Prediction | None, list[str]]:
    """The run beside, for a table of one sample: its prediction where the browser does not make it, and the possible
    fusions; the rest is written to the options of the scene."""
    if beside is None or run is None:
        return None, []
    read = read_entry(beside.folder)
    if read is not None:
        options["methods"], options["titles"] = ("AFRD", read[1].method), ("", read[1].label)
    if why_not(beside):
        common_lights = [light for light in beside.lights_of(sample) if lights is None or light in lights]
        return beside.with_region(run.region).predict(sample, common_lights), []
    if beside.folder.resolve() == run.folder.resolve() and options["fusion"]:
        options["beside_fusion"] = {"same": True}
        return None, _otherwise(list(options["fusion"]["thresholds"]), True)
    inside, shown = beside.with_region(run.region), beside.lights_of(sample)
    sent = fusion_of(inside) | sent_evidence(inside, inside.sample_evidence(sample, shown), shown)
    options["beside_fusion"] = sent
    return None, list(sent["thresholds"])


def _picture(sample: Sample, prediction: Prediction | None) -> str:
    picture = sample.images[sample.lights.index(afrd.figures.main_light(sample.lights))]
    values = prediction.anomaly_map / afrd.figures.unit_of(prediction) if prediction else None
    return afrd.figures.covered_uri(picture, values)


def _caption(sample: Sample, prediction: Prediction | None) -> str:
    lights = f", lights {', '.join(prediction.lights)}: {afrd.figures.score_text(prediction)}" if prediction else ""
    return f"Sample {sample.name} ({afrd.figures.truth_text(sample)}){lights}."
