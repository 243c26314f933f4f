"""A run folder, safe to read from strangers: config, weights, history, calibration, predictions; no pickle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from afrd.datasets import MultiLightDataset, Sample, open_dataset, parse_lights
from afrd.devices import pick_device
from afrd.evaluation import ALPHA, Predictions, Threshold, conformal_threshold
from afrd.evidence import Evidence, Maps, to_maps
from afrd.features import Features, Progress, compute_features, load_features
from afrd.memory import PatchMemory
from afrd.model import AFRD, ModelConfig
from afrd.storage import load_json, load_tensors, replacing, save_json, save_tensors
from afrd.teacher import Teacher, load_teacher

FORMAT = 1
BATCH = 8  # samples at a time when maps are made
Model = AFRD | PatchMemory
HELD_OUT = 5  # without a validation split every fifth training sample is kept for the threshold


@dataclass(frozen=True)
class FitConfig:
    """How a run was trained; see `afrd.fit`. `picture_size` is the (H, W) of the training pictures."""

    data_root: str
    category: str
    teacher_digest: str
    weights: str | None
    size: int
    picture_size: tuple[int, int]
    epochs: int
    batch: int
    seed: int
    calibration: str


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a run says of one sample.

    Attributes:
        anomaly_map: (H, W) float32 at the pictures' size, the sum over lights of `attention` * `light_maps`.
        light_maps, attention: (L, H, W) float32; attention sums to 1 over the lights at every place.
        score: the map's maximum.
        lights: the L lights that were used, in the run's order.
        threshold: of this run and these lights; None for a run without calibration samples.
        verdict: `good` or `anomalous`, None without a threshold.
    """

    anomaly_map: np.ndarray
    light_maps: np.ndarray
    attention: np.ndarray
    score: float
    lights: tuple[str, ...]
    threshold: Threshold | None

    @property
    def verdict(self) -> str | None:
        return self.threshold.verdict(self.score) if self.threshold else None


class Run:
    """A trained model; made by `fit` and `load_run`."""

    def __init__(
        self,
        folder: Path,
        model: Model,
        config: FitConfig,
        calibration: Evidence | None,
        device: torch.device,
    ) -> None:
        self.folder, self.model, self.config = folder, model.to(device).eval(), config
        self.device = device
        self._calibration = calibration
        self._teacher: Teacher | None = None
        self._thresholds: dict[tuple, Threshold | None] = {}

    def __repr__(self) -> str:
        return f"Run({self.folder}: {self.method()} on {self.config.category})"

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def lights(self) -> tuple[str, ...]:
        return self.model.config.lights

    @property
    def teacher(self) -> Teacher:
        """Loaded when first needed.

        Raises:
            WeightsUnavailable: see `load_teacher`.
            ValueError: the weights found here are not those of the training.
        """
        if self._teacher is None:
            self.use_teacher(load_teacher(self.model.config.teacher, self.config.weights))
        assert self._teacher is not None
        return self._teacher

    def use_teacher(self, teacher: Teacher) -> None:
        """Shares a teacher that is loaded already, if it is the one of the training."""
        if teacher.digest != self.config.teacher_digest:
            raise ValueError(
                f"run {self.folder} was trained with other weights of {self.model.config.teacher} "
                f"({self.config.teacher_digest}) than those at hand ({teacher.digest}); give its file with --weights"
            )
        self._teacher = teacher.to(self.device)

    def method(self, lights: Sequence[str] | None = None, fusion: str | None = None) -> str:
        """To be read by people, such as `AFRD, attention over evidence, lights top, box`."""
        used = tuple(lights or self.lights)
        memory = self.model.config.method == "memory"
        fusion = fusion or self.model.config.fusion
        if len(self.lights) == 1:
            return f"single-light {'memory' if memory else 'RD'}, {used[0]}"
        what = "evidence" if self.model.config.target == "lights" else "features"
        which = "all lights" if used == self.lights else f"lights {', '.join(used)}"
        if memory:
            return f"patch memory, {fusion} over evidence, {which}"
        return f"AFRD, {fusion} over {what}, {which}"

    def history(self) -> pd.DataFrame:
        """Columns step, epoch, loss."""
        return pd.read_csv(self.folder / "history.csv")

    def predict(self, sample: Sample, lights: str | Sequence[str | int] | None = None) -> Prediction:
        """The maps of one sample.

        Args:
            sample: pictures of any size; its lights are matched by name, those the run does not know are left out.
            lights: use these of the sample's lights only.

        Raises:
            ValueError: the sample has none of the run's lights, or not those asked for.
        """
        usable = tuple(light for light in self.lights if light in sample.lights)
        if not usable:
            raise ValueError(
                f"sample {sample.name} has lights {', '.join(sample.lights)}, but run {self.folder} was trained on "
                f"{', '.join(self.lights)}; give at least one of these"
            )
        used = parse_lights(lights, usable)
        found = compute_features(self.teacher, sample.select(used).images, self.config.size)
        features = [f.new_zeros(1, len(self.lights), *f.shape[1:]) for f in found]
        positions = [self.lights.index(light) for light in used]
        for whole, part in zip(features, found, strict=True):
            whole[0, positions] = part
        return self._prediction(features, used, (sample.images.shape[-2], sample.images.shape[-1]))

    def predict_stored(
        self, dataset: MultiLightDataset, index: int, lights: str | Sequence[str | int] | None = None
    ) -> Prediction:
        """`predict` for a data set's sample, from the feature store: the teacher does not read it again."""
        used = parse_lights(lights, self.lights)
        features = self.features(dataset).batch([range(len(dataset))[index]], self._positions(dataset))
        return self._prediction(features, used, dataset.image_size)

    def evaluate(
        self,
        dataset: MultiLightDataset,
        lights: str | Sequence[str | int] | None = None,
        fusion: str | None = None,
        progress: Progress | None = None,
    ) -> Predictions:
        """Scores and maps of a whole split, with any non-empty subset of the run's lights.

        Args:
            dataset: a split; its teacher features are computed where the store has none.
            lights: a subset; all by default.
            fusion: how to fuse evidence instead of the run's own way (target `lights`).
            progress: called with (samples done, samples in all).
        """
        used = parse_lights(lights, self.lights)
        features = self.features(dataset)
        threshold = self.threshold(used, fusion)
        height, width = dataset.image_size
        maps = np.empty((len(dataset), height, width), np.float32)
        scores = np.empty(len(dataset))
        done = 0
        for evidence in self.evidence(features, self._positions(dataset), used):
            found = self._maps(evidence, (height, width), fusion)
            stop = done + len(found.score)
            maps[done:stop], scores[done:stop] = found.anomaly_map.cpu().numpy(), found.score.cpu().numpy()
            done = stop
            if progress:
                progress(done, len(dataset))
        samples = [dataset.mask(i) for i in range(len(dataset))]
        table = pd.DataFrame(
            {
                "sample": dataset.names,
                "anomalous": pd.Series(dataset.anomalous, dtype=object),
                "defects": ["+".join(d) for d in dataset.defects],
                "score": scores,
                "verdict": [threshold.verdict(s) if threshold else "" for s in scores],
            }
        )
        masks = np.stack([np.zeros((height, width), bool) if mask is None else mask.numpy() for mask in samples])
        masked = np.array([mask is not None for mask in samples])
        return Predictions(table, maps, masks, masked, self.method(used, fusion), used, threshold)

    def predictions_folder(self, split: str, lights: Sequence[str]) -> Path:
        """Where `afrd evaluate` keeps what it found."""
        return self.folder / "predictions" / split / ("all" if tuple(lights) == self.lights else "+".join(lights))

    def threshold(
        self, lights: str | Sequence[str | int] | None = None, fusion: str | None = None, alpha: float = ALPHA
    ) -> Threshold | None:
        """Of the calibration samples' scores under these lights; None where the run has no calibration samples."""
        used = parse_lights(lights, self.lights)
        key = (used, fusion, alpha)
        if key not in self._thresholds:
            scores = self._calibration_scores(used, fusion)
            self._thresholds[key] = conformal_threshold(scores, alpha) if len(scores) else None
        return self._thresholds[key]

    def features(self, dataset: MultiLightDataset, progress: Progress | None = None) -> Features:
        """The dataset's teacher features, from the store."""
        return load_features(dataset, self.teacher, self.config.size, progress)

    def evidence(self, features: Features, positions: list[int], lights: tuple[str, ...]) -> Iterator[Evidence]:
        """Evidence of all samples, a few at a time; `positions` are those of the run's lights in `features`."""
        return evidence_of(self.model, features, range(len(features)), positions, self._present(lights))

    @torch.inference_mode()
    def _maps(self, evidence: Evidence, size: tuple[int, int], fusion: str | None = None) -> Maps:
        return to_maps(evidence, size, fusion or self.model.config.fusion)

    @torch.inference_mode()
    def _prediction(self, features: list[Tensor], used: tuple[str, ...], size: tuple[int, int]) -> Prediction:
        features = [f.to(self.device).float() for f in features]
        maps = self.model(features, self._present(used), size)
        rows = [self.lights.index(light) for light in used]
        return Prediction(
            maps.anomaly_map[0].cpu().numpy(),
            maps.light_maps[0, rows].cpu().numpy(),
            maps.attention[0, rows].cpu().numpy(),
            float(maps.score[0]),
            used,
            self.threshold(used),
        )

    def _calibration_scores(self, lights: tuple[str, ...], fusion: str | None) -> np.ndarray:
        if self._calibration is None:
            return np.array([])
        if self.model.config.target == "fused" and lights != self.lights:
            # Fused features change with the lights, so the good samples must be looked at again.
            data = open_dataset(self.config.data_root, self.config.category)
            held_out = self.config.calibration not in data
            dataset = data["train" if held_out else self.config.calibration]
            index, positions = calibration_index(dataset, held_out), self._positions(dataset)
            found = calibrate(self.model, self.features(dataset), index, positions, self._present(lights))
        else:
            found = self._calibration
        errors, shares = found.errors, found.shares
        scores = []
        for start in range(0, len(errors), BATCH):
            part = slice(start, start + BATCH)
            present = self._present(lights).expand(len(errors[part]), -1)
            evidence = Evidence(errors[part], None if shares is None else shares[part], present)
            scores.append(self._maps(evidence, self.config.picture_size, fusion).score.cpu().numpy())
        return np.concatenate(scores) if scores else np.array([])

    def _present(self, lights: Sequence[str]) -> Tensor:
        return torch.tensor([[light in lights for light in self.lights]], device=self.device)

    def _positions(self, dataset: MultiLightDataset) -> list[int]:
        missing = [light for light in self.lights if light not in dataset.lights]
        if missing:
            raise ValueError(
                f"{dataset.category} has no light {missing[0]!r}, which run {self.folder} was trained on; "
                f"its lights are {', '.join(dataset.lights)}"
            )
        return [dataset.lights.index(light) for light in self.lights]


def load_run(folder: str | Path, device: str = "auto", teacher: Teacher | None = None) -> Run:
    """A finished run; nothing in the folder is ever executed.

    Raises:
        ValueError: the folder is no finished run, or a file in it is broken.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} is not a run folder: it has no config.json; `afrd train` makes one")
    model_config, config = read_config(folder)
    if not (folder / "model.safetensors").is_file():
        raise ValueError(f"run {folder} is not finished; the `afrd train` command that began it goes on with it")
    tensors, _ = load_tensors(folder / "model.safetensors")
    try:
        model = make_model(model_config)
        if isinstance(model, PatchMemory):
            model.make_room(tensors["bank"].shape[1])
        model.load_state_dict({name: value.float() for name, value in tensors.items()})
    except (RuntimeError, ValueError, TypeError, KeyError, IndexError) as error:
        raise ValueError(f"the weights in {folder} do not fit its config.json; the run must be trained anew") from error
    where = pick_device(device)
    calibration = None
    if (folder / "calibration.safetensors").is_file():
        found, _ = load_tensors(folder / "calibration.safetensors")
        errors, shares = found["errors"].to(where), found.get("shares")
        present = torch.ones(len(errors), len(model_config.lights), dtype=torch.bool, device=where)
        calibration = Evidence(errors, None if shares is None else shares.to(where), present)
    run = Run(folder, model, config, calibration, where)
    if teacher is not None:
        run.use_teacher(teacher)
    return run


def make_model(config: ModelConfig) -> Model:
    return PatchMemory(config) if config.method == "memory" else AFRD(config)


def find_runs(root: str | Path) -> list[Path]:
    """Folders of finished runs anywhere under `root`, sorted."""
    return sorted(
        path.parent for path in Path(root).glob("**/model.safetensors") if (path.parent / "config.json").exists()
    )


def read_config(folder: Path) -> tuple[ModelConfig, FitConfig]:
    """Raises ValueError naming the file and what in it is wrong."""
    content = load_json(folder / "config.json")
    try:
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']} is not {FORMAT}")
        return _read(ModelConfig, content["model"]), _read(FitConfig, content["fit"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / 'config.json'} is not the config of a run ({error})") from error


T = TypeVar("T")


def _read(kind: type[T], values: dict[str, Any]) -> T:
    names = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    needed = {f.name for f in fields(kind) if f.default is MISSING}  # type: ignore[arg-type]
    if not needed <= set(values) <= names:
        raise ValueError(f"its entries should be {', '.join(sorted(names))}")
    hints = get_type_hints(kind)
    read = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    for name, value in read.items():
        plain = {"str": str, "int": int}.get(getattr(hints[name], "__name__", ""))
        if plain and not isinstance(value, plain):
            raise ValueError(f"{name} is {value!r}")
    return kind(**read)


def is_finished(folder: Path, model: ModelConfig, config: FitConfig) -> bool:
    """Whether the folder holds this very run, finished; False where it is begun or not there.

    Raises:
        ValueError: the folder holds another run, or other things.
    """
    if (folder / "config.json").is_file():
        begun = read_config(folder)
        if begun != (model, config):
            old, new = ({**asdict(m), **asdict(c)} for m, c in (begun, (model, config)))
            other = next(k for k in new if old[k] != new[k])
            raise ValueError(
                f"{folder} holds a run with {other} {old[other]!r}, not {new[other]!r}; choose another folder"
            )
        return (folder / "model.safetensors").is_file()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and is no run folder; choose a new or an empty folder")
    return False


def start_run(folder: Path, model: ModelConfig, config: FitConfig) -> None:
    """Makes the folder, with the config."""
    folder.mkdir(parents=True, exist_ok=True)
    save_json(folder / "config.json", {"format": FORMAT, "model": asdict(model), "fit": asdict(config)})


def calibration_index(dataset: MultiLightDataset, held_out: bool) -> list[int]:
    """Which samples of a split calibrate: its good ones, or those of train that training kept back."""
    if held_out:
        return [i for i in range(len(dataset)) if i % HELD_OUT == HELD_OUT - 1]
    return [i for i, label in enumerate(dataset.anomalous) if label is False]


@torch.inference_mode()
def evidence_of(
    model: Model, features: Features, index: Sequence[int], positions: list[int], present: Tensor
) -> Iterator[Evidence]:
    """Evidence of the samples at `index`, a few at a time, with the lights that are `present` (1, L)."""
    for start in range(0, len(index), BATCH):
        chosen = list(index[start : start + BATCH])
        batch = [f.to(present.device).float() for f in features.batch(chosen, positions)]
        yield model.evidence(batch, present.expand(len(chosen), -1))


def calibrate(
    model: Model, features: Features, index: Sequence[int], positions: list[int], present: Tensor | None = None
) -> Evidence:
    """Evidence of the calibration samples in one piece; that under all lights gives a threshold for any of them."""
    model.eval()
    if present is None:
        device = next(chain(model.parameters(), model.buffers())).device
        present = torch.ones(1, len(positions), dtype=torch.bool, device=device)
    found = list(evidence_of(model, features, index, positions, present))
    errors = torch.cat([f.errors for f in found]) if found else torch.zeros(0, 1, *features.scales[0].shape[-2:])
    shares = [f.shares for f in found if f.shares is not None]
    return Evidence(errors, torch.cat(shares) if shares else None, present.expand(len(index), -1))


def finish_run(folder: Path, model: Model, calibration: Evidence, history: list[dict[str, float]]) -> None:
    """Writes what a finished run has; the weights come last and make it whole."""
    with replacing(folder / "history.csv") as path:
        pd.DataFrame(history, columns=["step", "epoch", "loss"]).to_csv(path, index=False)
    if len(calibration.errors):
        tensors = {"errors": calibration.errors}
        if calibration.shares is not None:
            tensors["shares"] = calibration.shares
        save_tensors(folder / "calibration.safetensors", tensors)
    save_tensors(folder / "model.safetensors", model.state_dict())
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
