"""A trained model: maps of one sample, predictions of a split and thresholds, with any of its lights."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from copy import copy, deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from afrd.data.dataset import MultiLightDataset, Sample, parse_lights
from afrd.metrics.predictions import Predictions, region_share
from afrd.metrics.threshold import ALPHA, Threshold, conformal_threshold
from afrd.model.afrd import Model
from afrd.model.evidence import Evidence, Maps, joined
from afrd.model.inputs import Inputs, as_read, compute_inputs
from afrd.model.region import region_at
from afrd.model.teacher import KnownTeacher, Teacher, shared_teacher
from afrd.runs.calibration import batches_of_maps, calibrate, distances_to, evidence_batches, stored_inputs
from afrd.runs.correction_files import Correction, corrections_suffix
from afrd.runs.evidence_cache import EVIDENCE_CACHE, evidence_bytes, number_of
from afrd.runs.feature_store import Features, Progress, features_stored, load_features, stored_under
from afrd.runs.plan import calibration_split
from afrd.runs.prediction import Prediction, method_name, split_predictions
from afrd.runs.region import checked_region
from afrd.runs.run_folder import FitConfig
from afrd.runs.training_parts import training_parts


class Run:
    """A trained model; made by `fit` and `load_run`.

    Attributes:
        calibration: evidence of the good samples that the threshold comes from, under all lights; None without any.
        corrections: those in its memory (`afrd.runs.corrections`).
    """

    corrections: tuple[Correction, ...] = ()
    _base: Run | None = None

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
        self.calibration = calibration
        self._teacher: Teacher | None = None
        self._thresholds: dict[tuple, Threshold | None] = {}
        self._number = number_of(config)  # which the copies of `with_region` share

    def __repr__(self) -> str:
        return f"Run({self.folder}: {self.method()} on {self.config.category})"

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def lights(self) -> tuple[str, ...]:
        return self.model.config.lights

    @property
    def everything(self) -> Tensor:
        """(1, L) bool: all lights are present."""
        return self._present(self.lights)

    @property
    def memory_bytes(self) -> int:
        """Bytes of its weights and of the calibration evidence, without its teacher."""
        weights = sum(tensor.nbytes for tensor in self.model.state_dict().values())
        return weights + (evidence_bytes(self.calibration) if self.calibration is not None else 0)

    @property
    def region(self) -> np.ndarray | None:
        """(H, W) bool, where parts are judged; None: in the whole picture."""
        return None if self.model.region is None else self.model.region.cpu().numpy()

    def region_at(self, size: tuple[int, int]) -> np.ndarray | None:
        """`region` for pictures of another size (H, W)."""
        return None if self.model.region is None else region_at(self.model.region, size).cpu().numpy()

    @torch.inference_mode(False)  # the region outlives the caller's mode
    def with_region(self, region: np.ndarray | None) -> Run:
        """The same run, judging inside a region only; weights, teacher and evidence are shared.

        Args:
            region: (H, W) bool of the training pictures' size or aspect ratio; None: the whole picture.

        Raises:
            ValueError: it does not fit, or is empty.
        """
        other = copy(self)
        other.model, other._thresholds = copy(self.model), {}
        other.model.region = None
        if region is not None:
            region = checked_region(region, self.config.picture_size)
            other.model.region = torch.from_numpy(region).to(self.device)
        return other

    @property
    def base(self) -> Run:
        """The run without corrections, which shares its evidence with this one."""
        return self._base or self

    def with_memory(self, corrections: Sequence[Correction], patches: Tensor, calibration: Evidence | None) -> Run:
        """The same run with the patches (L, K, C) of corrections in its memory; see `afrd.runs.corrections`."""
        other = copy(self)
        other._base, other.corrections, other.calibration = self.base, tuple(corrections), calibration
        other.model, other._thresholds = deepcopy(self.model), {}
        assert other.model.bank is not None
        other.model.bank.corrections = patches
        return other

    @property
    def teacher(self) -> Teacher:
        """The frozen teacher, loaded at first use and shared by all runs with the same one.

        Raises:
            WeightsUnavailable: see `load_teacher`.
            ValueError: the weights on this machine are not those of the training.
        """
        if self._teacher is None:
            name, digest = self.model.config.teacher, self.config.teacher_digest
            self.use_teacher(shared_teacher(name, self.config.weights, digest, self.device))
        assert self._teacher is not None
        return self._teacher

    @torch.inference_mode(False)
    def use_teacher(self, teacher: Teacher) -> None:
        """Uses a loaded teacher, if it is that of the training."""
        if teacher.digest != self.config.teacher_digest:
            raise ValueError(
                f"run {self.folder} was trained with other weights of {self.model.config.teacher} "
                f"({self.config.teacher_digest}) than those on this machine ({teacher.digest}); give "
                "the file of those with --weights"
            )
        self._teacher = teacher.to(self.device)

    def method(self, lights: Sequence[str] | None = None, fusion: str | None = None) -> str:
        """Name of the method for text and figures, such as `AFRD, attention over evidence, lights top, box`.

        With a region it ends in the region's share of the picture, and with corrections in their number.
        """
        within = "" if self.region is None else f", within {region_share(self.region)} of the picture"
        name = method_name(self.model.config, tuple(lights or self.lights), fusion)
        return name + within + corrections_suffix(self.corrections)

    def history(self) -> pd.DataFrame:
        """Columns step, epoch, loss."""
        return pd.read_csv(self.folder / "history.csv")

    def training_parts(self) -> pd.DataFrame:
        """How far each training part is from all others, the most unusual first; see `afrd.runs.training_parts`."""
        return training_parts(self.folder)

    def predict(
        self,
        sample: Sample,
        lights: str | Sequence[str | int] | None = None,
        inputs: Inputs | None = None,
    ) -> Prediction:
        """The maps of one sample.

        Args:
            sample: pictures of any size; its lights are matched by name, and those the run was not trained on are
                ignored.
            lights: use these of the sample's lights only.
            inputs: of at least these lights, if computed already (`Run.inputs`).

        Raises:
            ValueError: the sample has none of the run's lights, or not those asked for.
        """
        used = self.lights_of(sample, lights)
        size = (sample.images.shape[-2], sample.images.shape[-1])
        return self._prediction(self.sample_evidence(sample, used, inputs), used, size)

    @torch.no_grad()
    def sample_evidence(self, sample: Sample, lights: Sequence[str], inputs: Inputs | None = None) -> Evidence:
        """Evidence of one sample (B = 1) with these lights present; for the arguments see `inputs`."""
        return self.model.evidence(*self.inputs(sample, lights, inputs))

    def lights_of(self, sample: Sample, lights: str | Sequence[str | int] | None = None) -> tuple[str, ...]:
        """The run's lights that the sample has, restricted to `lights`; raises as `predict`."""
        usable = tuple(light for light in self.lights if light in sample.lights)
        if not usable:
            raise ValueError(
                f"sample {sample.name} has lights {', '.join(sample.lights)}, but run {self.folder} was trained on "
                f"{', '.join(self.lights)}; give at least one of these"
            )
        return parse_lights(lights, usable)

    def inputs(self, sample: Sample, lights: Sequence[str], inputs: Inputs | None = None) -> Inputs:
        """The model's inputs for one sample (B = 1), with these lights present and all the run's lights in the L axis.

        Args:
            sample: pictures of any size.
            lights: those of the run's lights that are present.
            inputs: of at least these lights, if computed already; only `present` is set anew.
        """
        if inputs is not None:
            return inputs._replace(present=self._present(lights))
        features, contrast = compute_inputs(self.teacher, sample.select(lights).images, self.config.size)
        all_lights = [as_read(self._among_all(values, lights)) for values in features]
        return Inputs(all_lights, self._among_all(contrast, lights).float(), self._present(lights))

    def stored_inputs(self, dataset: MultiLightDataset, index: int, lights: Sequence[str] | None = None) -> Inputs:
        """`inputs` of a data set's sample, from the feature store (computed first if the store has none)."""
        present = self._present(tuple(lights or self.lights))
        features = self.features(dataset)
        return stored_inputs(features, [index], features.positions(self.lights), present)

    def _among_all(self, values: Tensor, lights: Sequence[str]) -> Tensor:
        all_lights = values.new_zeros(1, len(self.lights), *values.shape[1:])
        all_lights[0, [self.lights.index(light) for light in lights]] = values
        return all_lights

    def predict_stored(
        self, dataset: MultiLightDataset, index: int, lights: str | Sequence[str | int] | None = None
    ) -> Prediction:
        """`predict` for a data set's sample, from stored features."""
        used = parse_lights(lights, self.lights)
        return self._prediction(self.stored_evidence(dataset, index, used), used, dataset.image_size)

    @torch.no_grad()
    def stored_evidence(
        self, dataset: MultiLightDataset, index: int, lights: str | Sequence[str | int] | None = None
    ) -> Evidence:
        """Evidence of a data set's sample (B = 1) with these lights present, from its split's where that is cached.

        Else it is computed for this sample alone; only features that the store lacks are computed for the whole split.
        """
        used, row = parse_lights(lights, self.lights), range(len(dataset))[index]
        split = EVIDENCE_CACHE.peek(self._evidence_key(dataset, used))
        if split is None and self.corrections and self._base_evidence_cached(dataset, used):
            split = self.evidence(dataset, used)
        if split is None:
            return self.model.evidence(*self.stored_inputs(dataset, row, used))
        return split.rows(slice(row, row + 1), self._present(used))

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
            fusion: of the evidence, instead of the run's own (target `lights`).
            progress: called with (samples done, samples in all).
        """
        used = parse_lights(lights, self.lights)
        threshold = self.threshold(used, fusion)
        height, width = dataset.image_size
        maps, scores = self._all_maps(self.evidence(dataset, used, progress), used, fusion, (height, width))
        about = (self.method(used, fusion), used, threshold, self.region_at((height, width)))
        return split_predictions(dataset, maps, scores, *about, self.corrections)

    def predictions_folder(self, split: str, lights: Sequence[str]) -> Path:
        """The folder where `afrd evaluate` stores predictions."""
        return self.folder / "predictions" / split / ("all" if tuple(lights) == self.lights else "+".join(lights))

    def threshold(
        self, lights: str | Sequence[str | int] | None = None, fusion: str | None = None, alpha: float = ALPHA
    ) -> Threshold | None:
        """Threshold from the calibration samples' scores under these lights; None without calibration samples."""
        used = parse_lights(lights, self.lights)
        key = (used, fusion, alpha)
        if key not in self._thresholds:
            scores = self.calibration_scores(used, fusion)
            self._thresholds[key] = conformal_threshold(scores, alpha) if len(scores) else None
        return self._thresholds[key]

    def features(self, dataset: MultiLightDataset, progress: Progress | None = None) -> Features:
        """The dataset's teacher features, from the store."""
        self._check_lights(dataset)
        return load_features(dataset, self._known_teacher, self.config.size, progress, self.lights)

    def features_stored(self, dataset: MultiLightDataset) -> bool:
        """Whether `features` reads them from the store, rather than computing them."""
        return features_stored(dataset, self._known_teacher, self.config.size, self.lights)

    @property
    def _known_teacher(self) -> KnownTeacher:
        config = self.model.config
        return KnownTeacher(config.teacher, self.config.teacher_digest, config.strides, lambda: self.teacher)

    def evidence(
        self,
        dataset: MultiLightDataset,
        lights: str | Sequence[str | int] | None = None,
        progress: Progress | None = None,
    ) -> Evidence:
        """Evidence of a whole split, cached: with target `lights` any subset is computed from that of all lights.

        Args:
            dataset: a split; its teacher features are computed where the store has none.
            lights: those present, all by default; only used where features are fused.
            progress: called with (samples done, samples in all).
        """
        used = parse_lights(lights, self.lights) if self.model.config.target == "fused" else self.lights

        def make() -> Evidence:
            features, batches = self.features(dataset), []
            if (bank := self.model.bank) is not None and bank.corrections.shape[1]:
                index = range(len(features))
                distance = distances_to(bank.corrections, features, index, self.lights, self.everything)
                return self.base.evidence(dataset, used, progress).nearer(distance)
            for batch in evidence_batches(
                self.model, features, range(len(features)), features.positions(self.lights), self._present(used)
            ):
                batches.append(batch)
                if progress:
                    progress(sum(len(p.errors) for p in batches), len(features))
            return joined(batches)

        return EVIDENCE_CACHE.get(self._evidence_key(dataset, used), make)

    def _evidence_key(self, dataset: MultiLightDataset, lights: tuple[str, ...]) -> Hashable:
        """Key of a split's evidence; which lights are present only matters where features are fused."""
        lights_that_matter = lights if self.model.config.target == "fused" else self.lights
        corrections = tuple(correction.about.id for correction in self.corrections)
        return (
            self._number,
            stored_under(dataset, self._known_teacher, self.config.size),
            lights_that_matter,
            corrections,
        )

    def _base_evidence_cached(self, dataset: MultiLightDataset, lights: tuple[str, ...]) -> bool:
        return self.base._evidence_key(dataset, lights) in EVIDENCE_CACHE

    def calibration_maps(
        self, lights: str | Sequence[str | int] | None = None, fusion: str | None = None
    ) -> Iterator[np.ndarray]:
        """Anomaly maps of the good samples that the threshold comes from, under these lights.

        Yields:
            (B, H, W) float32, in batches: a thousand maps of 1024x1024 are 4.2 GB.
        """
        used = parse_lights(lights, self.lights)
        evidence = self._calibration_evidence(used)
        if evidence is not None:
            for _, maps in self._map_batches(evidence, used, fusion, self.config.picture_size):
                yield maps.cpu().numpy()

    def calibration_scores(
        self, lights: str | Sequence[str | int] | None = None, fusion: str | None = None
    ) -> np.ndarray:
        """(n,) scores of the calibration samples, the maxima of `calibration_maps`."""
        used = parse_lights(lights, self.lights)
        evidence = self._calibration_evidence(used)
        if evidence is None:
            return np.array([])
        batches = self._map_batches(evidence, used, fusion, self.config.picture_size)
        return np.concatenate([np.empty(0), *(maps.amax((1, 2)).cpu().double().numpy() for _, maps in batches)])

    @torch.no_grad()
    def _maps(self, evidence: Evidence, size: tuple[int, int], fusion: str | None = None) -> Maps:
        return self.model.maps(evidence, size, fusion)

    def _all_maps(
        self, evidence: Evidence, lights: tuple[str, ...], fusion: str | None, size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Anomaly maps (N, H, W) and scores (N,) under these lights."""
        maps = np.empty((len(evidence.errors), *size), np.float32)
        scores = np.empty(len(maps))
        for rows, batch in self._map_batches(evidence, lights, fusion, size):
            maps[rows], scores[rows] = batch.cpu().numpy(), batch.amax((1, 2)).cpu().numpy()
        return maps, scores

    @torch.no_grad()
    def _map_batches(
        self, evidence: Evidence, lights: tuple[str, ...], fusion: str | None, size: tuple[int, int]
    ) -> Iterator[tuple[slice, Tensor]]:
        """Anomaly maps (B, H, W) in batches, with the samples' slice."""
        for rows in batches_of_maps(len(evidence.errors), self.device):
            part = evidence.rows(rows, self._present(lights))
            yield rows, self.model.anomaly_maps(part, part.present, size, fusion)

    def _prediction(self, evidence: Evidence, used: tuple[str, ...], size: tuple[int, int]) -> Prediction:
        maps = self._maps(evidence, size)
        rows = [self.lights.index(light) for light in used]
        return Prediction(
            maps.anomaly_map[0].cpu().numpy(),
            maps.light_maps[0, rows].cpu().numpy(),
            maps.attention[0, rows].cpu().numpy(),
            float(maps.score[0]),
            used,
            self.threshold(used),
        )

    def _calibration_evidence(self, lights: tuple[str, ...]) -> Evidence | None:
        if self.calibration is None or self.model.config.target == "lights" or lights == self.lights:
            return self.calibration
        # Fused features depend on the lights, so the good samples are evaluated again.
        lacking = f"there is no threshold for lights {', '.join(lights)} alone; use all its lights, or train it anew"
        dataset, index = calibration_split(self.config, self.lights, self.folder, lacking)
        features = self.features(dataset)
        return calibrate(self.model, features, index, features.positions(self.lights), self._present(lights))

    def _present(self, lights: Sequence[str]) -> Tensor:
        return torch.tensor([[light in lights for light in self.lights]], device=self.device)

    def _check_lights(self, dataset: MultiLightDataset) -> None:
        missing = [light for light in self.lights if light not in dataset.lights]
        if missing:
            raise ValueError(
                f"{dataset.category} has no light {missing[0]!r}, which run {self.folder} was trained on; "
                f"its lights are {', '.join(dataset.lights)}"
            )
