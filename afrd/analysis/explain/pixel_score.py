"""Attribution of a score to the pixels of each picture, by Captum, through the frozen teacher.

Integrated gradients: Sundararajan, Taly & Yan, ICML 2017, https://arxiv.org/abs/1703.01365. Occlusion: Zeiler & Fergus,
ECCV 2014, https://arxiv.org/abs/1311.2901.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import lazy_loader as lazy
import numpy as np
import torch
from torch import Tensor

from afrd.analysis.explain.region import around, checked_region
from afrd.data.dataset import MultiLightDataset, Sample, parse_lights
from afrd.model.evidence import blur
from afrd.model.inputs import read_pictures
from afrd.runs.feature_store import Progress
from afrd.runs.run import Run

captum = lazy.load("captum")  # takes a second to import, as it imports matplotlib

METHODS = ("integrated gradients", "occlusion", "ablation")
BASELINES = ("blurred", "black")
MAX_BASELINE_CANDIDATES = 60  # good samples among which the most similar one is searched
OCCLUSION_WINDOW = 1 / 6  # of occlusion and ablation, as a fraction of the picture's longer side
GRADIENT_STEPS = 16  # of integrated gradients


@dataclass(frozen=True, eq=False)
class PixelAttribution:
    """Attribution of one score to the pixels.

    Attributes:
        values: (L, H, W) float32 in the unit of the anomaly map per pixel, summed over the colours; NaN for lights that
            were not explained. Positive pixels raise the score.
        lights: L names.
        method: one of `METHODS`.
        baseline: description of the values of absent pixels.
        region: (H, W) bool, where the map's maximum is explained.
        score, base: that maximum for the pictures, and for the baseline in their place (only the pixels of the
            explained lights are replaced).
        error: `score` - `base` - sum of `values` with integrated gradients, ideally 0; NaN for the others,
            whose values are decreases of the score when a window is replaced and need not sum to it.
    """

    values: np.ndarray
    lights: tuple[str, ...]
    method: str
    baseline: str
    region: np.ndarray
    score: float
    base: float
    error: float


def alike(sample: Sample, good: MultiLightDataset) -> Sample:
    """The good sample whose pictures differ least from these, by their mean square over all lights.

    Searched among at most `MAX_BASELINE_CANDIDATES` samples, evenly spread over the split. Where parts are aligned it
    is the best substitute for the part without its defect; where not, other differences are attributed too.

    Args:
        sample: the sample to be explained.
        good: a split whose samples are good, such as train, with the sample's lights.

    Raises:
        ValueError: the lights or the sizes of the pictures differ, or a file cannot be read.
    """
    pictures = good.select(sample.lights)
    places = np.unique(np.linspace(0, len(good) - 1, min(MAX_BASELINE_CANDIDATES, len(good))).round().astype(int))
    most_similar, smallest = None, float("inf")
    for i in places:
        other = pictures[int(i)]
        if other.images.shape != sample.images.shape:
            raise ValueError(
                f"sample {sample.name} has pictures of another size than {good.category}/{good.split}, so no sample "
                "there can stand for its good parts"
            )
        distance = float((other.images - sample.images).square().mean())
        if distance < smallest:
            most_similar, smallest = other, distance
    assert most_similar is not None  # a split has samples
    return most_similar


def pixels(
    run: Run,
    sample: Sample,
    method: str = METHODS[0],
    baseline: str | Sample = BASELINES[0],
    region: np.ndarray | None = None,
    lights: str | Sequence[str | int] | None = None,
    of: Sequence[str] | None = None,
    steps: int = GRADIENT_STEPS,
    progress: Progress | None = None,
) -> PixelAttribution:
    """Attribution of the score to the pixels of each picture, by Captum, through the frozen teacher.

    The explained quantity is the map's maximum near one place: elsewhere, replaced pixels may be anomalous themselves
    and would become the maximum of the whole map.

    Args:
        run, sample: as in `Run.predict`.
        method: `integrated gradients` (Sundararajan, Taly & Yan, ICML 2017): gradients along the straight line from the
            baseline; `occlusion`: windows that overlap by half are replaced by the baseline, one light at a time;
            `ablation`: the same with a grid of squares.
        baseline: values of absent pixels: the pictures of a good sample, such as that of `alike`, which is best;
            `blurred`, the picture itself without its detail (a Gaussian of 1/64 of the longer side); `black`, the lamp
            switched off. The last two are themselves anomalous to the run, more than most defects.
        region: (H, W) bool, where the map's maximum is explained; by default the disc (`around`) about the place of the
            image score.
        lights: of the sample, to be used; all by default.
        of: lights whose pixels are explained; all by default.
        steps: of integrated gradients; the more, the smaller its error.
        progress: called with (evaluations done, in all); an exception it raises ends the work.

    Raises:
        ValueError: a method, baseline, light or region that cannot be used.
        WeightsUnavailable: see `Run.teacher`.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r} is not known; choose one of {', '.join(METHODS)}")
    used = run.lights_of(sample, lights)
    explained = used if of is None else parse_lights(list(of), used)
    positions = [sample.lights.index(light) for light in used]
    images = sample.images[positions].to(run.device)  # (L, 3, H, W)
    absent, baseline_text = _absent(sample, used, baseline)
    replaced = [used.index(light) for light in explained]
    size = (images.shape[-2], images.shape[-1])
    if region is None:
        peak = np.unravel_index(int(run.predict(sample, used).anomaly_map.argmax()), size)
        region = around((float(peak[1]), float(peak[0])), size)
    score_of = _Score(run, used, images, checked_region(region, size))
    base = images.clone()
    base[replaced] = absent.to(run.device)[replaced]
    values = np.full((len(used), *size), np.nan, np.float32)
    if method == METHODS[0]:
        attributions = _gradients(score_of, images, base, replaced, steps, progress)
    else:
        attributions = _windows(score_of, images, base, replaced, method, progress)
    values[replaced] = attributions.cpu().numpy()
    with torch.no_grad():
        score, base_score = (float(score_of(pictures[None], list(range(len(used))))[0]) for pictures in (images, base))
    error = score - base_score - float(np.nansum(values, dtype=float)) if method == METHODS[0] else float("nan")
    return PixelAttribution(values, used, method, baseline_text, region, score, base_score, error)


class _Score:
    """The score as a function of pictures, with gradients."""

    def __init__(self, run: Run, used: tuple[str, ...], images: Tensor, region: Tensor) -> None:
        self.run, self.region = run, region.to(run.device)
        self.size = (images.shape[-2], images.shape[-1])
        self.positions = [run.lights.index(light) for light in used]
        self.present = torch.tensor([[light in used for light in run.lights]], device=run.device)
        with torch.no_grad():
            self.stored = self._read(images)

    def _read(self, pictures: Tensor) -> list[Tensor]:
        """Features per scale (B, C, h, w), and last the contrast (B, h, w)."""
        features, contrast = read_pictures(self.run.teacher, pictures, self.run.config.size)
        return [*features, contrast]

    def __call__(self, pictures: Tensor, rows: list[int]) -> Tensor:
        """Scores (B,) with pictures (B, len(rows), 3, H, W) in place of those of the lights at `rows`."""
        batch = len(pictures)
        values = []
        for stored, replaced in zip(self.stored, self._read(pictures.flatten(0, 1)), strict=True):
            all_lights = stored.new_zeros(batch, len(self.run.lights), *stored.shape[1:])
            all_lights[:, self.positions] = stored
            at = [self.positions[row] for row in rows]
            values.append(
                all_lights.index_copy(1, torch.tensor(at, device=all_lights.device), replaced.unflatten(0, (batch, -1)))
            )
        *features, contrast = values
        evidence = self.run.model.evidence(features, contrast, self.present.expand(batch, -1))
        maps = self.run.model.maps(evidence, self.size).anomaly_map
        return maps[:, self.region].amax(1)


def _gradients(
    score_of: _Score, images: Tensor, base: Tensor, rows: list[int], steps: int, progress: Progress | None
) -> Tensor:
    counting_forward = _counted(lambda pictures: score_of(pictures, rows), steps, progress)
    attributions = captum.attr.IntegratedGradients(counting_forward).attribute(
        images[None, rows], base[None, rows], n_steps=steps, internal_batch_size=1
    )
    return attributions[0].sum(1).detach().float()  # (L, H, W)


def _windows(
    score_of: _Score, images: Tensor, base: Tensor, rows: list[int], method: str, progress: Progress | None
) -> Tensor:
    height, width = images.shape[-2:]
    side = min(max(2, round(OCCLUSION_WINDOW * max(height, width))), height, width)
    step = max(1, side // 2)
    squares = torch.arange(height)[:, None] // side * -(-width // side) + torch.arange(width) // side  # (H, W)
    positions = (1 + -(-(height - side) // step)) * (1 + -(-(width - side) // step))
    evaluations = 1 + (positions if method == "occlusion" else int(squares.max()) + 1)
    maps = []
    for n, row in enumerate(rows):
        counting_forward = _counted(
            partial(_one_light, score_of, row), evaluations * len(rows), progress, evaluations * n
        )
        picture, absent = images[row][None], base[row][None]
        with torch.no_grad():
            if method == "occlusion":
                attributions = captum.attr.Occlusion(counting_forward).attribute(
                    picture, (3, side, side), (3, step, step), absent, perturbations_per_eval=4
                )
            else:
                mask = squares.expand(1, 3, -1, -1).to(picture.device)
                attributions = captum.attr.FeatureAblation(counting_forward).attribute(
                    picture, absent, feature_mask=mask, perturbations_per_eval=4
                )
        maps.append(attributions[0].mean(0).float())  # each colour of a window has the window's value
    return torch.stack(maps)


def _one_light(score_of: _Score, row: int, pictures: Tensor) -> Tensor:
    """Scores (B,) with pictures (B, 3, H, W) in place of that of one light."""
    return score_of(pictures[:, None], [row])


def _counted(
    forward: Callable[[Tensor], Tensor], total: int, progress: Progress | None, before: int = 0
) -> Callable[[Tensor], Tensor]:
    done = before

    def counting(pictures: Tensor) -> Tensor:
        nonlocal done
        scores = forward(pictures)
        done += len(pictures)
        if progress:
            progress(min(done, total), total)
        return scores

    return counting


def _absent(sample: Sample, used: tuple[str, ...], baseline: str | Sample) -> tuple[Tensor, str]:
    """Values of absent pixels, (L, 3, H, W), and their description."""
    images = sample.select(used).images
    if isinstance(baseline, Sample):
        absent = baseline.select(used).images
        if absent.shape != images.shape:
            raise ValueError(f"baseline {baseline.name} has pictures of another size than sample {sample.name}")
        return absent, f"the pictures of {baseline.name}"
    if baseline == "black":
        return torch.zeros_like(images), "black, as with the lamp off"
    if baseline != "blurred":
        raise ValueError(f"baseline {baseline!r} is not known; choose one of {', '.join(BASELINES)}, or give a sample")
    sigma = max(1.0, max(images.shape[-2:]) / 64)
    radius = min(round(3 * sigma), min(images.shape[-2:]) - 1)
    return blur(images, sigma, radius), f"the picture blurred by {sigma:.0f} pixels"
