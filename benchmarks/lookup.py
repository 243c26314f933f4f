"""The memory's look-up: the nearest of the remembered patches of each light, and the regression around it.

    python -m benchmarks.lookup [--patches 512] [--size 512] [--device cpu]

Against `torch.cdist` with a minimum, in the same chunks, and faiss's IndexFlatL2 where it is installed
(`benchmarks/requirements-peers.txt`), which both give the distance alone. The features are those of rendered pictures
under six lights. The distances of all are compared with float64 on some of the places.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import afrd
from afrd.candies import render_category
from afrd.model.inputs import compute_inputs
from afrd.model.lookup import LOOKUP_SIZE, LOOKUP_SIZE_CUDA, embed
from afrd.model.patch_memory import PatchBank
from afrd.model.teacher import load_teacher
from afrd.runs.plan import MEMORY_PATCHES
from benchmarks.measuring import alternating, report

CHECKED = 97  # every such place is compared with float64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=int, default=MEMORY_PATCHES)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.device == "cpu":
        torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        features = rendered_features(Path(folder), options.size, options.samples, options.device)
    rows = measure(features, options.patches, options.repeats, torch.device(options.device))
    about = {"patches of a light": options.patches, "size": options.size, "lights": 6, "repeats": options.repeats}
    name = "lookup" + ("" if options.device == "cpu" else f"_{options.device}")
    report(name, "Look-up of one sample in the patch memory", rows, about, options.device)


def rendered_features(folder: Path, size: int, samples: int, device: str) -> list[list[Tensor]]:
    """Features (1, L, C, h, w) per scale of rendered good parts, with student's errors of 1 everywhere."""
    render_category(folder, "Praline", size=size, train=samples, val=1, test_good=1, test_bad=1, workers=1)
    train, teacher = afrd.open_dataset(folder, "Praline")["train"], load_teacher().to(device)
    read = (compute_inputs(teacher, train[i].images, size)[0] for i in range(samples))
    return [[scale[None] for scale in scales] for scales in read]


@torch.no_grad()
def measure(features: list[list[Tensor]], patches: int, repeats: int, device: torch.device) -> list[dict[str, Any]]:
    """A row for each way to look up the last sample in a memory of the others."""
    *stored, judged = features
    lights, channels = judged[0].shape[1], sum(scale.shape[2] for scale in judged)
    bank = PatchBank(lights, channels, patches).to(device)
    bank.fill(stored, len(stored), 0, lambda f: torch.ones(1, lights, *f[0].shape[-2:], device=device))
    places, remembered = embed([f.float() for f in judged])[0], bank.patches.float()  # (L, places, C), (L, patches, C)
    chunk = (LOOKUP_SIZE_CUDA // lights if device.type == "cuda" else LOOKUP_SIZE) // patches

    def by_cdist() -> Tensor:
        parts = [torch.cdist(part, remembered).amin(-1) for part in places.split(chunk, 1)]
        return torch.cat(parts, 1)

    ways: dict[str, Callable[[], Tensor]] = {
        "afrd: distance and regression": lambda: bank(judged)[0][0].flatten(1),
        "torch.cdist: distance": by_cdist,
    }
    faiss_way = by_faiss(places, remembered)
    if faiss_way is not None:
        ways["faiss IndexFlatL2: distance"] = faiss_way
    seconds = alternating(ways, repeats, device)
    exact = torch.cdist(places[:, ::CHECKED].double(), remembered.double()).amin(-1)
    first = next(iter(seconds.values()))
    return [
        {
            "way": name,
            "ms a sample": 1000 * seconds[name],
            "times afrd's": seconds[name] / first,
            "largest error of a distance": float((way()[:, ::CHECKED].double() - exact).abs().max()),
        }
        for name, way in ways.items()
    ]


def by_faiss(places: Tensor, remembered: Tensor) -> Callable[[], Tensor] | None:
    """None where faiss is not installed, or was built for no such device."""
    if places.is_cuda:
        return None
    try:
        import faiss
    except ImportError:
        return None
    faiss.omp_set_num_threads(torch.get_num_threads())
    indices = []
    for patches in remembered.numpy():
        indices.append(faiss.IndexFlatL2(patches.shape[1]))
        indices[-1].add(patches)

    def look_up() -> Tensor:
        found = [index.search(light, 1)[0][:, 0] for index, light in zip(indices, places.numpy(), strict=True)]
        return torch.from_numpy(np.sqrt(np.stack(found)))

    return look_up


if __name__ == "__main__":
    main()
