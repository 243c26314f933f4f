"""What the leads are measured against is AFRD with a memory drawn at random; their distances are what they say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

import afrd
from afrd.files import save_json
from afrd.model.lookup import embed
from benchmarks.fusions import HELD_OUT, MAXIMUM, SCORES, chosen, judged, judged_held_out, judged_memory, write_reports
from benchmarks.lead_coarse import coarse_places, coarsened, joined
from benchmarks.lead_evidence import Case, evidence_of, from_other_lights, subspace, whitened
from benchmarks.lead_memory import Memory, to_other_parts
from benchmarks.lead_windows import Layout, as_large_windows, enlarged_windows, layouts, terms_of
from benchmarks.leads import Loose


def test_where_every_place_is_remembered_the_leads_start_from_afrd_as_it_is(candies: Path, tiny_runs: Path):
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


def test_places_of_the_coarse_grid_are_means_of_fine_ones():
    fine = torch.rand(1, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    level = torch.rand(1, 2, 5, 4, 4, generator=torch.Generator().manual_seed(1))
    places = joined(next(coarsened([[fine, level]])))
    assert places.shape == (1, 2, 16, 8)
    blocks = torch.nn.functional.avg_pool2d(torch.nn.functional.avg_pool2d(fine[0], 3, 1, 1), 2)
    expected = torch.nn.functional.normalize(blocks, dim=1).flatten(2).mT
    torch.testing.assert_close(places[0, ..., :3], expected)
    torch.testing.assert_close(joined(next(coarsened([[fine, fine]]))), embed([fine, fine]))


def test_a_coarse_look_up_judges_every_place(candies: Path, tiny_runs: Path):
    data = afrd.open_dataset(candies, "Praline")
    case = Case(afrd.load_run(tiny_runs / "Praline" / "afrd", "cpu"), data)
    by_lead = {name: evidence for name, _, evidence in coarse_places(case)}
    assert len(by_lead) == 2
    for evidence in by_lead.values():
        assert evidence.errors.shape == case.baseline["test"].evidence(torch.ones(4, 6, dtype=torch.bool)).errors.shape
        assert torch.isfinite(evidence.errors).all()


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


def test_cut_windows_join_to_the_same_map():
    layout = Layout((96, 64), (64, 40), 8)
    maps = torch.randn(3, 12, 8, generator=torch.Generator().manual_seed(0))
    windows = layout.cut(maps)
    assert windows.shape == (4, 3, 8, 5)
    torch.testing.assert_close(layout.join(windows), maps)


def test_windows_that_are_the_whole_picture_change_nothing(candies: Path, tiny_runs: Path):
    case = Case(afrd.load_run(tiny_runs / "Praline" / "afrd", "cpu"), afrd.open_dataset(candies, "Praline"))
    layout, _ = layouts(case)
    usual = (case.memory.errors * case.memory.distance).sqrt()[None]
    terms = terms_of(case, "test", Layout(layout.whole, layout.whole, layout.stride), case.memory, usual)[0]
    expected = evidence_of(case.baseline["test"])
    torch.testing.assert_close(evidence_of(terms).errors, expected.errors, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(evidence_of(terms).weights, expected.weights, rtol=1e-2, atol=1e-4)


def test_evidence_of_windows_has_the_usual_grid(candies: Path, tiny_runs: Path):
    case = Case(afrd.load_run(tiny_runs / "Praline" / "afrd", "cpu"), afrd.open_dataset(candies, "Praline"))
    shape = case.baseline["test"].plain.shape
    found = [*as_large_windows(case), *enlarged_windows(case)]
    assert len({name for name, _, _ in found}) == 4
    assert all(test.errors.shape == shape and test.errors.isfinite().all() for _, _, test in found)


def test_a_loose_loss_falls_as_the_regression_nears_the_features(tiny_runs: Path):
    run = afrd.load_run(tiny_runs / "Praline" / "afrd", "cpu")
    channels, lights = run.model.config.channels, len(run.lights)
    draw = torch.Generator().manual_seed(0)
    features = [torch.randn(2, lights, c, 16 // 2**s, 16 // 2**s, generator=draw) for s, c in enumerate(channels)]
    model = Loose(run.model.config).train()
    optimiser = torch.optim.Adam(model.student.parameters(), 1e-2)
    losses = []
    for _ in range(8):
        loss = model.loss(features, torch.ones(2, lights, dtype=torch.bool))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_image_scores_say_what_their_names_say():
    maps = np.zeros((2, 100, 100))
    maps[0, 50, 50] = 5.0  # one pixel
    maps[1, 40:60, 40:60] = 4.0  # a plain region
    scores = {name: score(maps, maps / 10) for name, score in SCORES.items()}
    assert scores[MAXIMUM].tolist() == [5.0, 4.0]
    assert scores["mean of the top 1 %"].tolist() == [0.05, 4.0]
    for name in ("mean of the top 0.1 %", "maximum, smoothed by 2 % of the side"):
        assert scores[name][0] < scores[name][1]


def test_the_score_for_a_column_is_chosen_on_the_others():
    names = list(SCORES)[:2]
    of = {s: {"a": (np.zeros(1), None), "b": (np.zeros(1), None), "c": (np.zeros(1), None)} for s in SCORES}
    of[names[1]]["a"] = (np.ones(1), None)
    assert chosen(of, "a") == names[0] and chosen(of, "b") == names[1]


def test_fusions_of_a_finished_run_are_reported(candies: Path, tmp_path: Path):
    place, data = tmp_path / "work" / "seed0" / candies.name / "Praline", afrd.open_dataset(candies, "Praline")
    run = afrd.fit(data, out=place / "afrd", size=64, width=16, epochs=2, device="cpu", show_progress=False)
    memory = afrd.fit(data, out=place / "memory", method="memory", size=64, device="cpu", show_progress=False)
    save_json(place / "fusions.json", judged(run, data) | judged_memory(memory, data))
    own = Path(afrd.__file__).parent / "model" / "fusion_weights.safetensors"
    save_json(place / "held_out.json", judged_held_out(run, data, own))
    write_reports([candies / "Praline"], tmp_path / "work", tmp_path)
    rows = json.loads((tmp_path / "fusions.json").read_text())["rows"]
    auroc = run.evaluate(data["test_public"]).metrics()["image_auroc"]
    assert rows[0]["fusion"] == "learned" and rows[0]["Praline"].startswith(f"{auroc:.3f} / ")
    of = {row["fusion"]: row["Praline"] for row in rows}
    assert of[HELD_OUT] == of["learned"]  # its weights are those of the package here
    auroc_of_memory = memory.evaluate(data["test_public"], fusion="max").metrics()["image_auroc"]
    assert of["patch memory, max"].startswith(f"{auroc_of_memory:.3f} / ")
    assert (
        f"learned minus {HELD_OUT}" in of and f"{HELD_OUT} minus mean" in of and "learned minus patch memory, max" in of
    )
    scores = json.loads((tmp_path / "image_scores.json").read_text())["rows"]
    assert scores[0]["image score"] == MAXIMUM and scores[0]["Praline"] == f"{auroc:.3f}"
    assert all(row["Praline"].startswith("+0.000") for row in scores if row["image score"].startswith("chosen"))
