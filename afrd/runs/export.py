"""Export of a run as one ONNX graph of teacher, student, memory and fusion, checked against PyTorch.

    export = export_onnx(run, "praline.onnx")
    print(export.largest_difference)

The graph reads `pictures` (1, L, 3, H, W) float32 in 0..1 in the run's order of lights and at its picture size, and
`present` (1, L) bool. It gives `score` (1,), `anomaly_map` (1, H, W), `light_maps` and `attention` (1, L, H, W). Its
metadata entry `afrd` is JSON: `lights`, `picture_size` (H, W), `category`, `method`, `corrections` (how many it holds),
`thresholds` of all lights and of all but one, by the names of the lights joined by +, and `region`, the share of the
picture inside of which the run judges (null: all of it); outside of it the maps are 0.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from afrd.data.dataset import Sample, open_dataset
from afrd.files import replacing
from afrd.model.afrd import Model
from afrd.model.inputs import read_pictures
from afrd.model.teacher import Teacher
from afrd.runs.correction_files import normal
from afrd.runs.feature_store import Progress
from afrd.runs.run import Run

ONNX_OPSET = 20
MAX_DIFFERENCE = 1e-3  # of scores, relative to the larger of score and threshold
CHECKED_SAMPLES = 8
OUTPUT_NAMES = ("score", "anomaly_map", "light_maps", "attention")


@dataclass(frozen=True)
class Export:
    """An exported graph and its check.

    Attributes:
        file: the ONNX file.
        samples: number of compared samples, each under all lights and under all but one.
        source: of the samples: `samples of test`, or `noise` if the run's data set is not available.
        largest_difference: of scores, relative to the larger of the score and the threshold.
        largest_map_difference: of the anomaly maps, relative to the same.
    """

    file: Path
    samples: int
    source: str
    largest_difference: float
    largest_map_difference: float


class ExportedRun(nn.Module):
    """A run as a function of pictures: `Run.predict` in one forward pass."""

    def __init__(self, teacher: Teacher, model: Model, size: int) -> None:
        super().__init__()
        self.teacher, self.model, self.size = teacher, model, size

    def forward(self, pictures: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Score (1,), anomaly map (1, H, W), light maps and attention (1, L, H, W).

        Args:
            pictures: (1, L, 3, H, W) in 0..1; values of absent lights do not matter.
            present: (1, L) bool.
        """
        features, contrast = read_pictures(self.teacher, pictures[0], self.size)
        stored = [values.half().float()[None] for values in (*features, contrast)]  # as precise as the feature store
        maps = self.model(stored[:-1], stored[-1], present, (pictures.shape[-2], pictures.shape[-1]))
        return maps.score, maps.anomaly_map, maps.light_maps, maps.attention


def export_onnx(run: Run, file: str | Path, samples: int = CHECKED_SAMPLES, progress: Progress | None = None) -> Export:
    """Writes a run as an ONNX graph, after comparing its scores with PyTorch's.

    Args:
        run: on the CPU.
        file: to write.
        samples: number of test samples to compare; noise pictures if the run's data set is not available.
        progress: called with (samples compared, samples in all).

    Raises:
        OSError: `file` cannot be written; the message names it.
        RuntimeError: the packages are missing, the graph cannot be made, or a score differs by more than
            `MAX_DIFFERENCE`.
    """
    _need_packages()
    with replacing(Path(file)) as path:  # first, as it may be a place that cannot be written to
        pictures, source = _pictures(run, samples)
        program = make_graph(run)
        program.model.metadata_props["afrd"] = json.dumps(_about(run))
        program.save(path)
        difference, of_maps = _compare(run, path, pictures, progress)
        if not difference <= MAX_DIFFERENCE:
            raise RuntimeError(
                f"the ONNX graph of {run.folder} gives other scores than PyTorch: they differ by {difference:.2g}, "
                f"more than {MAX_DIFFERENCE:g}; it was not kept"
            )
    return Export(Path(file), len(pictures), source, difference, of_maps)


def make_graph(run: Run) -> torch.onnx.ONNXProgram:
    """The run's `ExportedRun` as a graph.

    Raises:
        RuntimeError: the exporter cannot write a part of it.
    """
    height, width = run.config.picture_size
    graph = ExportedRun(run.teacher, run.model, run.config.size).eval()
    example = (torch.zeros(1, len(run.lights), 3, height, width), torch.ones(1, len(run.lights), dtype=torch.bool))
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                graph,
                example,
                dynamo=True,
                opset_version=ONNX_OPSET,
                input_names=["pictures", "present"],
                output_names=list(OUTPUT_NAMES),
                verbose=False,
            )
    except Exception as error:  # the exporter raises various errors
        raise RuntimeError(f"{run.folder} cannot be written as ONNX ({str(error).splitlines()[0]})") from error
    assert program is not None  # it is with dynamo=True
    return program


def _need_packages() -> None:
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise RuntimeError(f"{error.name} is not installed; install it by `pip install afrd[onnx]`") from error


def _about(run: Run) -> dict[str, object]:
    subsets = [run.lights, *(tuple(x for x in run.lights if x != absent) for absent in run.lights)]
    thresholds = {"+".join(lights): _threshold(run, lights) for lights in subsets if lights}
    return {
        "lights": run.lights,
        "picture_size": run.config.picture_size,
        "category": run.config.category,
        "method": run.method(),
        "corrections": len(normal(run.corrections)),
        "region": None if run.region is None else float(run.region.mean()),
        "thresholds": thresholds,
        "version": version("afrd"),
    }


def _threshold(run: Run, lights: Sequence[str]) -> float | None:
    try:
        threshold = run.threshold(lights)
    except (ValueError, OSError):  # fused features are calibrated anew for a subset, and the data set is not available
        return None
    return threshold.value if threshold else None


def _pictures(run: Run, count: int) -> tuple[list[Tensor], str]:
    """Pictures (L, 3, H, W) of test samples, or noise."""
    height, width = run.config.picture_size
    try:
        data = open_dataset(run.config.data_root, run.config.category, run.config.views)
        split = data[data.test_split].select(run.lights)
        step = max(1, len(split) // count)
        pictures = [split[i].images for i in range(0, len(split), step)][:count]
        if all(p.shape[-2:] == (height, width) for p in pictures):
            return pictures, f"samples of {split.split}"
    except (ValueError, OSError):
        pass
    draw = torch.Generator().manual_seed(0)
    noise = [torch.rand(len(run.lights), 3, height // 8 + 1, width // 8 + 1, generator=draw) for _ in range(count)]
    return [nn.functional.interpolate(n, (height, width), mode="bilinear") for n in noise], "noise"


def _compare(run: Run, path: Path, pictures: Sequence[Tensor], progress: Progress | None) -> tuple[float, float]:
    """The largest relative differences of scores and maps, each sample under all lights and under all but one."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    scores, maps = [0.0], [0.0]
    for i, images in enumerate(pictures):
        absent = run.lights[i % len(run.lights)]
        for lights in dict.fromkeys((run.lights, tuple(x for x in run.lights if x != absent) or run.lights)):
            ours = run.predict(Sample("exported", images, run.lights), lights)
            present = np.array([[light in lights for light in run.lights]])
            masked = np.where(present[0, :, None, None, None], images.numpy(), 0.0).astype(np.float32)
            score, anomaly_map = session.run(["score", "anomaly_map"], {"pictures": masked[None], "present": present})
            unit = max(abs(ours.score), ours.threshold.value if ours.threshold else 0.0, 1e-12)
            scores.append(abs(float(score[0]) - ours.score) / unit)
            maps.append(float(np.abs(anomaly_map[0] - ours.anomaly_map).max()) / unit)
        if progress:
            progress(i + 1, len(pictures))
    return float(np.max(scores)), float(np.max(maps))  # a NaN stays one


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppresses the exporter's warnings about its own internals."""
    names = ("torch.onnx", "onnxscript", "onnx_ir")
    levels = {name: logging.getLogger(name).level for name in names}
    try:
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
