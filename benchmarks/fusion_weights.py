"""Trains the learned fusion's weights on rendered parts of random categories: `make fusion-weights`.

Two stages, both resumable. The first renders random categories, trains a short run on the good parts of each, and
stores the terms of the evidence of its test parts, their masks, and the visibility of each defect under each light
(from the twins without defects). The second trains `afrd.model.learned_fusion` on them. No other data is read.
"""

from __future__ import annotations

import argparse
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from scipy import ndimage
from torch import Tensor, nn

import afrd
from afrd.candies.lamps import EYECANDIES_RIG, Light, spot_ring
from afrd.candies.shapes import CATEGORIES
from afrd.candies.variants import random_sources
from afrd.data.dataset import MultiLightDataset
from afrd.data.images import read_picture
from afrd.files import replacing
from afrd.model.evidence import Evidence
from afrd.model.learned_fusion import LearnedFusion
from afrd.runs.calibration import EVIDENCE_BATCH_SIZE, stored_inputs
from afrd.runs.checkpoint import load_checkpoint, save_checkpoint
from afrd.runs.run import Run

DIFFICULTIES = (0.0, 0.35, 0.7, 1.0)  # alternating over the categories
PART_COUNTS = {"train": 10, "val": 5, "test_good": 5, "test_bad": 14}
REGION_AREA = 30.0  # places of a defect whose places have weight 1; those of smaller defects have more
GAIN_SHARE = 0.25  # of the trained gains that is kept: on other parts they are too sure (docs/method.md)
REGION_POWER = 0.2  # 1: every defect counts alike, whatever its area; 0: every place does
BORDER_WEIGHT = 0.4  # weight of places that a defect covers by less than half
BAD_PER_STEP, GOOD_PER_STEP = 8, 4  # samples of each class in a step
RANKING_WEIGHT, ATTENTION_WEIGHT = 0.3, 0.1  # weights of two terms of the loss
CHECKPOINT_STEPS = 100


def rig(number: int) -> tuple[Light, ...]:
    """The rig of a random category: that of Eyecandies for two of three, else 3 to 8 spots and a light box."""
    if number % 3:
        return EYECANDIES_RIG
    random = np.random.default_rng([number, 1])
    return spot_ring(int(random.integers(3, 9)), float(random.uniform(20, 50)))


def collect(number: int, work: Path, out: Path) -> None:
    """Renders a random category, trains on it, and writes the terms of its test samples to `out`."""
    name = f"Random{number}"
    difficulty = DIFFICULTIES[number % len(DIFFICULTIES)]
    afrd.candies.render_category(
        work / "data",
        name,
        lights=rig(number),
        difficulty=difficulty,
        twins=True,
        seed=number,
        workers=1,
        **PART_COUNTS,
    )
    data = afrd.open_dataset(work / "data", name)
    run = afrd.fit(data, out=work / "runs" / name, epochs=40, batch=5, seed=number, show_progress=False)
    test = data["test_public"]
    terms = terms_of(run, test)
    grid = (terms.shape[-2], terms.shape[-1])
    tensors = {
        "terms": terms.half(),
        "good": terms_of(run, data["val"]).half(),
        "masks": torch.stack([F.adaptive_avg_pool2d(mask_of(test, i), grid) for i in range(len(test))]),
        "visible": torch.stack([visibility(test, i, grid) for i in range(len(test))]).half(),
    }
    with replacing(out) as temporary:
        save_file({key: value.contiguous().cpu() for key, value in tensors.items()}, temporary)
    shutil.rmtree(work / "data" / name)
    shutil.rmtree(work / "runs" / name)


@torch.no_grad()
def terms_of(run: Run, split: MultiLightDataset) -> Tensor:
    """(N, L, T, h, w) of a whole split, on the CPU."""
    features, positions = run.features(split), list(range(len(run.lights)))
    present = torch.ones(1, len(run.lights), dtype=torch.bool, device=run.device)
    batches = []
    for start in range(0, len(split), EVIDENCE_BATCH_SIZE):
        index = range(start, min(start + EVIDENCE_BATCH_SIZE, len(split)))
        terms = run.model.terms(*stored_inputs(features, index, positions, present))
        batches.append(terms.stacked(terms.evidence(present).errors).cpu())
    return torch.cat(batches)


def mask_of(split: MultiLightDataset, index: int) -> Tensor:
    mask = split.mask(index)
    assert mask is not None
    return mask[None].float()


def visibility(split: MultiLightDataset, index: int, grid: tuple[int, int]) -> Tensor:
    """(L, h, w) difference in grey levels between a part and its twin without defect under each light; 0 if good."""
    images = split[index].images
    folder = split.root / split.category / "twins" / "data"
    if not split.anomalous[index]:
        return torch.zeros(len(images), *grid)
    twins = [read_picture(folder / f"{split.names[index]}_image_{k}.png") for k in range(len(images))]
    difference = (images - torch.stack(twins)).abs().mean(1) * 255
    return F.adaptive_avg_pool2d(difference, grid)


# ---------------------------------------------------------------- stage 2


@dataclass(frozen=True)
class Category:
    """Output of stage 1: N samples, those of the test split and then the good ones that define `normal`."""

    terms: Tensor  # (N, L, T, h, w) float16
    normal: Tensor  # (L, T)
    defective: Tensor  # (N, h, w) bool
    weight: Tensor  # (N, h, w) of a place in the loss
    visible: Tensor  # (N, L, h, w) float16, see `visibility`
    bad: np.ndarray  # (N,) bool


def load_category(file: Path) -> Category:
    tensors = load_file(file)
    good, count = tensors["good"], len(tensors["terms"])
    share = torch.cat([tensors["masks"].reshape(count, *good.shape[-2:]), torch.zeros(len(good), *good.shape[-2:])])
    visible = torch.cat([tensors["visible"], torch.zeros(len(good), *tensors["visible"].shape[1:]).half()])
    defective = share >= 0.5
    return Category(
        torch.cat([tensors["terms"], good]),
        good.float().mean((0, 3, 4)).clamp_min(1e-6),
        defective,
        torch.stack([place_weights(share_of_part.numpy()) for share_of_part in share]),
        visible,
        defective.flatten(1).any(1).numpy(),
    )


def place_weights(share: np.ndarray) -> Tensor:
    """(h, w): places of small defects count more than those of large ones, and partly covered places count little."""
    regions, count = ndimage.label(share >= 0.5, np.ones((3, 3)))
    weight = np.where((share > 0) & (share < 0.5), BORDER_WEIGHT, 1.0).astype(np.float32)
    for region in range(1, count + 1):
        inside = regions == region
        weight[inside] = (REGION_AREA / inside.sum()) ** REGION_POWER
    return torch.from_numpy(weight)


class TrainingModel(nn.Module):
    """The network, with a linear map from the logarithm of its anomaly map to the logit of "defective"."""

    def __init__(self) -> None:
        super().__init__()
        self.network = LearnedFusion(1)
        self.slope, self.shift = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.tensor(1.5))

    def losses(self, category: Category, random: np.random.Generator) -> dict[str, Tensor]:
        """Terms of the loss of one step: samples of a category under random sets of their lights."""
        terms, present, defective, weight, visible, bad = draw_batch(category, random)
        self.network.normal = category.normal
        fused = self.network(Evidence(terms[:, :, 0], terms[:, :, 0], present, False, terms))
        logs = (fused.errors * fused.weights).sum(1).clamp_min(1e-6).log()
        logit, truth = self.slope * (logs - self.shift), defective.float()
        chance = logit.sigmoid()
        right = torch.where(defective, chance, 1 - chance)
        focal = weight * (1 - right) ** 1.5 * F.binary_cross_entropy_with_logits(logit, truth, reduction="none")
        overlap, total = (weight * chance * truth).sum((1, 2)), (weight * (chance + truth)).sum((1, 2))
        top = logs.flatten(1).mul(8).logsumexp(1) / 8  # about the logarithm of the score
        # attention should match visibility, where a defect is visible under any light
        visible_present = visible * present[:, :, None, None]
        total_visible = visible_present.sum(1, keepdim=True)
        cross_entropy = -(visible_present / total_visible.clamp_min(1e-6) * (fused.weights + 1e-4).log()).sum(1)
        applicable = weight * (defective & (total_visible[:, 0] > 1) & (present.sum(1) > 1)[:, None, None])
        return {
            "focal": 8 * focal.mean(),
            "dice": (1 - (2 * overlap + 1) / (total + 1))[bad].mean(),
            "ranking": RANKING_WEIGHT * F.softplus(-2 * (top[bad][:, None] - top[~bad])).mean(),
            "attention": ATTENTION_WEIGHT * (cross_entropy * applicable).sum() / (applicable.sum() + 1),
        }


def draw_batch(
    category: Category, random: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Terms, present, defective, weight, visible and bad of one step's samples, randomly flipped and transposed."""
    bad, good = np.flatnonzero(category.bad), np.flatnonzero(~category.bad)
    index = np.concatenate([random.permutation(bad)[:BAD_PER_STEP], random.permutation(good)[:GOOD_PER_STEP]])
    lights = category.terms.shape[1]
    present = torch.zeros(len(index), lights, dtype=torch.bool)
    for row in present:
        count = lights if random.random() < 0.5 else int(random.integers(1, lights + 1))
        row[torch.from_numpy(random.permutation(lights)[:count])] = True
    flips, transposed = [side for side in (-1, -2) if random.random() < 0.5], random.random() < 0.5

    def moved(values: Tensor) -> Tensor:
        values = values[index].flip(flips) if flips else values[index]
        return values.transpose(-1, -2) if transposed else values

    defective, weight = moved(category.defective), moved(category.weight)
    terms, visible = moved(category.terms).float(), moved(category.visible).float()
    return terms, present, defective, weight, visible, torch.from_numpy(category.bad[index])


def train(categories: Sequence[Category], steps: int, seed: int, work: Path) -> LearnedFusion:
    """Trains on the collected terms, from the last checkpoint in `work` if there is one."""
    torch.manual_seed(seed)
    model = TrainingModel()
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.01)
    work.mkdir(parents=True, exist_ok=True)
    first_step, history = load_checkpoint(work, model, optimiser)
    for step in range(first_step, steps):
        random = np.random.default_rng((seed, step))
        rate = min(1.0, (step + 1) / 30) * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))
        optimiser.param_groups[0]["lr"] = 2e-3 * rate
        losses = model.losses(categories[int(random.integers(len(categories)))], random)
        loss = torch.stack(list(losses.values())).sum()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        history.append({"step": step, "epoch": 0, "loss": float(loss.detach())})
        if (step + 1) % CHECKPOINT_STEPS == 0:
            model.network.normal = torch.ones_like(LearnedFusion(1).normal)
            save_checkpoint(work, model, optimiser, step + 1, history)
            loss_terms = ", ".join(f"{name} {float(value.detach()):.3f}" for name, value in losses.items())
            mean = np.mean([row["loss"] for row in history[-CHECKPOINT_STEPS:]])
            print(f"step {step + 1} of {steps}: loss {mean:.3f} ({loss_terms})", flush=True)
    return model.network


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("runs/fusion"), help="where terms and checkpoints are kept")
    parser.add_argument("--categories", type=int, default=60, help="Random1 to this one (60)")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--without",
        choices=CATEGORIES,
        help="leave out random categories with the solid or texture of this one, to judge it by weights that have not "
        "seen it; the package's weights are not changed",
    )
    parser.add_argument("--out", type=Path, help="default the package's file; WORK/without/CANDY.safetensors")
    options = parser.parse_args(arguments)
    name, out = f"training-{options.categories}-{options.steps}-{options.seed}", options.out
    if options.without:
        name = f"{name}-without-{options.without}"
        out = out or held_out_weights(options.work, options.without)
    out = out or Path(afrd.__path__[0]) / "model" / "fusion_weights.safetensors"
    term_files = []
    for number in numbers(options.categories, options.without):
        file = options.work / "terms" / f"{number}.safetensors"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            collect(number, options.work, file)
            print(f"Random{number}: terms kept", flush=True)
        term_files.append(file)
    network = train([load_category(file) for file in term_files], options.steps, options.seed, options.work / name)
    outer = network.outer
    with torch.no_grad():  # row 0 is the logit, row 1 the gain
        outer.weight[1] *= GAIN_SHARE
        outer.bias[1] *= GAIN_SHARE  # type: ignore[index]
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        save_file(
            {key: value.contiguous() for key, value in network.state_dict().items() if key != "normal"}, temporary
        )
    print(f"{out}: {out.stat().st_size // 1000} kB")


def numbers(count: int, without: str | None = None) -> list[int]:
    """Random categories to train on: the first `count`, less those with the solid or texture of `without`."""
    return [number for number in range(1, count + 1) if without not in random_sources(number)]


def held_out_weights(work: Path, candy: str) -> Path:
    """The file of weights of a training without this candy."""
    return work / "without" / f"{candy}.safetensors"


if __name__ == "__main__":
    main()
