"""Calibration: the good samples that set the threshold, and a model's evidence on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import torch
from torch import Tensor

from afrd.data.dataset import MultiLightDataset
from afrd.model.afrd import Model
from afrd.model.evidence import Evidence, joined
from afrd.model.inputs import Inputs, as_read
from afrd.model.patch_memory import distance_to_few
from afrd.runs.feature_store import Features

EVIDENCE_BATCH_SIZE = 8  # samples that a model reads at a time, at most
EVIDENCE_PLACES = 24_576  # of all lights that it reads at a time on a processor: one sample of six lights at 512 pixels
MAPS_BATCH_SIZE, MAPS_BATCH_SIZE_GPU = 2, 16  # samples whose maps are made at a time: a processor's cache is small
HELD_OUT = 5  # without a validation split every fifth training sample is held out for the threshold


def batches_of_maps(count: int, device: torch.device) -> Iterator[slice]:
    """Slices of samples, or of sets of lights, whose maps at a picture's size are made at a time."""
    size = MAPS_BATCH_SIZE if device.type == "cpu" else MAPS_BATCH_SIZE_GPU
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def calibration_index(dataset: MultiLightDataset, held_out: bool) -> list[int]:
    """Positions of the calibration samples of a split: its good ones, or those of train that were held out."""
    if held_out:
        return [i for i in range(len(dataset)) if i % HELD_OUT == HELD_OUT - 1]
    return [i for i, label in enumerate(dataset.anomalous) if label is False]


def stored_inputs(features: Features, index: Sequence[int], positions: list[int], present: Tensor) -> Inputs:
    """A model's inputs for the stored samples at `index`, on the device of `present`.

    Args:
        features: of a split.
        index: B samples.
        positions: of the model's lights in `features`.
        present: (1, L) or (B, L) bool.
    """
    batch = [as_read(f.to(present.device)) for f in features.batch(list(index), positions)]
    contrast = features.contrasts(list(index), positions).to(present.device).float()
    return Inputs(batch, contrast, present.expand(len(index), -1))


def evidence_batch_size(places: int, device: torch.device) -> int:
    """How many samples of so many places, of all lights together, a model reads at a time.

    On a processor the student's activations should stay in the cache: with more of them a sample takes up to twice as
    long.
    """
    return max(1, min(EVIDENCE_BATCH_SIZE, EVIDENCE_PLACES // places)) if device.type == "cpu" else EVIDENCE_BATCH_SIZE


@torch.no_grad()
def evidence_batches(
    model: Model, features: Features, index: Sequence[int], positions: list[int], present: Tensor
) -> Iterator[Evidence]:
    """Evidence of the samples at `index`, in batches, with the lights that are `present` (1, L)."""
    size = evidence_batch_size(len(positions) * features.contrast[0, 0].size, present.device)
    for start in range(0, len(index), size):
        batch = index[start : start + size]
        yield model.evidence(*stored_inputs(features, batch, positions, present))


def calibrate(
    model: Model, features: Features, index: Sequence[int], positions: list[int], present: Tensor | None = None
) -> Evidence:
    """Evidence of all calibration samples; that under all lights gives a threshold for any subset of them."""
    model.eval()
    if present is None:
        device = next(chain(model.parameters(), model.buffers())).device
        present = torch.ones(1, len(positions), dtype=torch.bool, device=device)
    if not len(index):
        grid = features.contrast.shape[-2:]
        return Evidence(
            torch.zeros(0, 1, *grid),
            torch.zeros(0, len(positions), *grid),
            present.expand(0, -1),
            model.config.target == "fused",
        )
    return joined(list(evidence_batches(model, features, index, positions, present)))


@torch.no_grad()
def distances_to(
    patches: Tensor, features: Features, index: Sequence[int], lights: Sequence[str], present: Tensor
) -> Tensor:
    """Distance of every place of the samples at `index` to the nearest of a few patches (L, K, C): (N, L, h, w)."""
    positions = features.positions(lights)
    inputs = (stored_inputs(features, [i], positions, present) for i in index)  # one by one, as they fit the cache
    return torch.cat([distance_to_few(sample.features, patches.to(present.device)) for sample in inputs])
