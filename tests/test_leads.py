"""What the leads are measured against is AFRD as it is, and their distances are those that their names say."""

from __future__ import annotations

from pathlib import Path

import torch

import afrd
from afrd.model.patch_memory import embed
from benchmarks.lead_evidence import Case, evidence_of, from_other_lights, subspace, whitened
from benchmarks.lead_memory import Memory, to_other_parts


def test_the_leads_start_from_afrd_as_it_is(candies: Path, tiny_runs: Path):
    data = afrd.open_dataset(candies, "Praline")
    run = afrd.load_run(tiny_runs / "Praline" / "afrd", "cpu")
    expected = run.evidence(data["test_public"])
    found = evidence_of(Case(run, data).baseline["test"])
    torch.testing.assert_close(found.errors, expected.errors, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.weights, expected.weights, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found.nearest, expected.nearest, rtol=1e-4, atol=1e-5)


def test_the_nearest_patch_is_one_of_another_part():
    patches = torch.tensor([[[0.0], [0.1], [3.0], [5.0]]])
    distance, neighbour = to_other_parts(patches, torch.tensor([0, 0, 1, 2]))
    torch.testing.assert_close(distance, torch.tensor([[3.0, 2.9, 2.0, 2.0]]))
    assert neighbour.tolist() == [[2, 2, 3, 2]]


def test_the_residual_to_a_subspace_is_what_its_components_leave_out():
    line = torch.tensor([[[-2.0, 0.0], [0.0, 0.0], [2.0, 0.0], [0.0, 0.1], [0.0, -0.1]]])  # 8 and 0.02 of variance
    residual = subspace(line, 0.9)
    torch.testing.assert_close(residual(torch.tensor([[[7.0, 3.0], [1.0, 0.0]]])), torch.tensor([[3.0, 0.0]]))


def test_a_light_that_repeats_another_one_leaves_little_residual():
    draw = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(200, 3, generator=torch.Generator().manual_seed(1))
    lights = torch.stack([draw, draw, noise])
    residual = from_other_lights(lights)(lights).mean(1)
    assert residual[0] < 0.2 * residual[2] and residual[1] < 0.2 * residual[2]


def test_whitened_patches_have_the_variance_of_before_in_every_direction():
    draw = torch.Generator().manual_seed(0)
    places = torch.randn(1, 1, 2, 64, 64, generator=draw)
    patches = embed([places, places])[0]  # (1, 4096, 4), the second half of the channels as the first
    memory = Memory(patches, torch.zeros(4096), patches[..., 0], patches[..., 0], patches[..., 0])
    moved = whitened(memory, patches - patches.mean(1, keepdim=True), 1e-4)([places, places])[0, 0]
    variance = moved.var(0).sum()
    torch.testing.assert_close(variance, patches[0].var(0).sum(), rtol=0.01, atol=0.0)
    spread = torch.linalg.svdvals(moved - moved.mean(0))
    torch.testing.assert_close(spread[0], spread[1], rtol=0.02, atol=0.0)
