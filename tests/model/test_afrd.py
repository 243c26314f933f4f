"""The student and AFRD: shapes, formulas, and that lights are what matters, not their neighbours."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.functional import gaussian_blur

from afrd.model.afrd import AFRD, VARIANCE_EXPONENT
from afrd.model.config import FEATURE_FUSIONS, ModelConfig
from afrd.model.evidence import SMOOTHING, SUBTRACTED_SHARE, blur, cosine_errors, resize, smooth
from afrd.model.lookup import embed
from afrd.model.student import NarrowStudent, RD4ADStudent

LIGHTS = ("a", "b", "c")


def config(lights=LIGHTS, **changes) -> ModelConfig:
    return ModelConfig(lights, "efficientnet_lite0", (6, 10), (8, 16), **({"width": 16} | changes))


def features(batch: int = 2, lights: int = 3, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, lights, c, s, s, generator=generator) for c, s in ((6, 8), (10, 4))]


def contrast(batch: int = 2, lights: int = 3) -> torch.Tensor:
    return 20 * torch.rand(batch, lights, 8, 8, generator=torch.Generator().manual_seed(9)) + 1


def everything(batch: int = 2, lights: int = 3) -> torch.Tensor:
    return torch.ones(batch, lights, dtype=torch.bool)


def model(seed: int = 0, **changes) -> AFRD:
    torch.manual_seed(seed)
    return AFRD(config(**changes)).eval()


def test_cosine_errors_agree_with_a_loop():
    regressed, target = features(1, 2, 1), features(1, 2, 2)
    errors = cosine_errors(regressed, target)[1]
    for light in range(2):
        for y in range(4):
            for x in range(4):
                a, b = regressed[1][0, light, :, y, x].tolist(), target[1][0, light, :, y, x].tolist()
                dot = math.fsum(p * q for p, q in zip(a, b, strict=True))
                cosine = dot / math.sqrt(math.fsum(p * p for p in a) * math.fsum(q * q for q in b))
                assert errors[0, light, y, x].item() == pytest.approx(1 - cosine, abs=1e-6)


def test_the_loss_is_the_mean_of_e_exp_minus_v_plus_v():
    m, f = model(), features()
    regressed, log_variance = m.student(f)
    expected = 0.0
    for e, v in zip(cosine_errors(regressed, f), log_variance, strict=True):
        expected += (e.double() * torch.exp(-v.double()) + v.double()).mean().item()
    assert m.loss(f, everything()).item() == pytest.approx(expected, rel=1e-5)


def test_the_evidence_is_the_smoothed_sum_over_scales():
    m, f = model(), features()
    regressed, log_variance = m.student(f)
    fine, coarse = (
        e * torch.exp(-VARIANCE_EXPONENT * v) for e, v in zip(cosine_errors(regressed, f), log_variance, strict=True)
    )
    torch.testing.assert_close(m.evidence(f, contrast(), everything()).errors, smooth(fine + resize(coarse, (8, 8))))


def remembering(seed: int = 0, **changes) -> AFRD:
    """A model with a memory of seven patches a light."""
    m = model(seed, memory=7, **changes)
    patches = torch.randn(len(m.config.lights), 7, 16, generator=torch.Generator().manual_seed(seed))
    m.bank.patches = torch.nn.functional.normalize(patches, dim=-1).half()
    m.bank.usual = torch.zeros(patches.shape[:2])
    return m


def test_with_a_memory_the_evidence_is_the_geometric_mean_of_error_and_distance():
    f = features()
    m = remembering()
    alone = model()  # the same student
    distance = smooth(m.bank(f)[0])
    expected = (alone.evidence(f, contrast(), everything()).errors * distance).sqrt()
    torch.testing.assert_close(m.evidence(f, contrast(), everything()).errors, expected)
    place = embed(f)[1, 2].double()[8 * 3 + 5]  # sample 1, light c, row 3, column 5
    naive = min((place - patch.double()).norm().item() for patch in m.bank.patches[2])
    assert m.bank(f)[0][1, 2, 3, 5].item() == pytest.approx(naive, rel=1e-5)


def test_half_of_what_the_most_similar_good_patches_raised_themselves_is_subtracted():
    f, m = features(), remembering()
    strict = m.evidence(f, contrast(), everything()).errors
    m.bank.usual = torch.rand(m.bank.usual.shape, generator=torch.Generator().manual_seed(1))
    m.bank.reach = torch.tensor([0.1, 0.2, 0.3])
    usual = torch.zeros(2, 3, 64, dtype=torch.float64)
    for sample, lights in enumerate(embed(f).double()):
        for light, places in enumerate(lights):
            for k, place in enumerate(places):
                apart = [(place - patch.double()).square().sum() for patch in m.bank.patches[light]]
                weights = [math.exp(-a / m.bank.reach[light]) for a in apart]
                mean = sum(w * u for w, u in zip(weights, m.bank.usual[light].tolist(), strict=True)) / sum(weights)
                usual[sample, light, k] = mean
    usual = usual.view(2, 3, 8, 8).float()
    expected = (strict - SUBTRACTED_SHARE * smooth(usual)).clamp_min(0)
    torch.testing.assert_close(m.evidence(f, contrast(), everything()).errors, expected, rtol=1e-4, atol=1e-5)
    assert (expected > 0).any() and (expected < strict).all()


def test_attention_is_the_product_of_what_is_not_expected_and_how_strong_it_is():
    f, m, c = features(), remembering(), contrast()
    m.bank.usual = torch.full(m.bank.usual.shape, 0.2)
    regressed, log_variance = m.student(f)
    errors = cosine_errors(regressed, f)
    plain = smooth(sum(resize(e, (8, 8)) for e in errors))
    weighed = smooth(sum(resize(e * torch.exp(-v / 2), (8, 8)) for e, v in zip(errors, log_variance, strict=True)))
    evidence = (weighed * smooth(m.bank(f)[0])).sqrt() - 0.2 / 2
    telling = evidence * plain * smooth(c)
    assert evidence.min() > 0
    expected = telling / telling.sum(1, keepdim=True)
    torch.testing.assert_close(m(f, c, everything(), (8, 8)).attention, expected, rtol=1e-4, atol=1e-6)


def test_a_file_without_usual_evidence_excuses_nothing():
    m = remembering()
    state = {name: value for name, value in m.state_dict().items() if not name.endswith(("usual", "reach"))}
    read = model(1, memory=7)
    read.load_state_dict(state)
    torch.testing.assert_close(
        read.evidence(features(), contrast(), everything()).errors,
        m.evidence(features(), contrast(), everything()).errors,
    )


def test_with_a_memory_a_light_still_says_the_same_whatever_others_are_there():
    m, f = remembering(), features(1)
    whole = m(f, contrast(1), everything(1), (16, 16))
    present = torch.tensor([[False, True, False]])
    f[0][:, 0], f[1][:, 2] = torch.nan, 1e9
    torch.testing.assert_close(m(f, contrast(1), present, (16, 16)).anomaly_map, whole.light_maps[:, 1])


def test_a_memory_belongs_to_the_lights_own_features():
    with pytest.raises(ValueError, match="needs method 'afrd', target 'lights'"):
        config(target="fused", memory=7)
    with pytest.raises(ValueError, match="memory is -1, but must be a number of patches, or 0 for none"):
        config(memory=-1)


KINDS = [("lights", f) for f in ("attention", "mean", "max")] + [("fused", f) for f in FEATURE_FUSIONS]


@pytest.mark.parametrize(("target", "fusion"), KINDS)
def test_the_map_is_the_attended_sum_of_the_light_maps(target, fusion):
    maps = model(target=target, fusion=fusion)(features(), contrast(), everything(), (20, 24))
    assert maps.anomaly_map.shape == (2, 20, 24)
    assert maps.light_maps.shape == maps.attention.shape == (2, 3, 20, 24)
    torch.testing.assert_close(maps.attention.sum(1), torch.ones(2, 20, 24))
    torch.testing.assert_close((maps.attention * maps.light_maps).sum(1), maps.anomaly_map)
    torch.testing.assert_close(maps.score, maps.anomaly_map.amax((1, 2)))


@settings(deadline=None, max_examples=15)
@given(
    st.lists(st.booleans(), min_size=3, max_size=3).filter(any),
    st.sampled_from([("lights", "attention"), ("lights", "max"), ("fused", "attention"), ("fused", "concat")]),
)
def test_an_absent_light_cannot_change_the_map(there, kind):
    m, f, c = model(target=kind[0], fusion=kind[1]), features(1), contrast(1)
    present = torch.tensor([there])
    maps = m(f, c, present, (16, 16))
    for light in (i for i in range(3) if not there[i]):
        for part in (*f, c):
            part[:, light] = torch.randn_like(part[:, light]) * 50
    again = m(f, c, present, (16, 16))
    torch.testing.assert_close(again.anomaly_map, maps.anomaly_map)
    torch.testing.assert_close(again.attention, maps.attention)
    assert (maps.attention[0, ~present[0]] == 0).all() and (maps.light_maps[0, ~present[0]] == 0).all()


def test_a_light_says_the_same_whatever_others_are_there():
    m, f = model(), features(1)
    whole = m(f, contrast(1), everything(1), (16, 16))
    for light in range(3):
        present = torch.tensor([[i == light for i in range(3)]])
        alone = m(f, contrast(1), present, (16, 16))
        torch.testing.assert_close(alone.anomaly_map, whole.light_maps[:, light])


def test_a_subset_of_one_is_single_light_rd_with_the_same_weights():
    m = model()
    single = AFRD(config(lights=("b",))).eval()
    state = {}
    for name, value in m.state_dict().items():
        if ".convs.0." in name:
            name, value = name, m.state_dict()[name.replace(".convs.0.", ".convs.1.")]
        elif ".convs." in name:
            continue
        elif name.endswith((".scale", ".shift")):
            value = value[1:2]
        state[name] = value
    single.load_state_dict(state)
    f = features(2)
    alone = single([s[:, 1:2] for s in f], contrast()[:, 1:2], everything(2, 1), (16, 16))
    subset = m(f, contrast(), torch.tensor([[False, True, False]] * 2), (16, 16))
    torch.testing.assert_close(alone.anomaly_map, subset.anomaly_map)


@pytest.mark.parametrize("target", ["lights", "fused"])
def test_training_lowers_the_loss_and_finds_a_changed_place(target):
    torch.manual_seed(0)
    m = model(target=target).train()
    good = features(8, seed=3)
    good = [g[:1].expand_as(g) + 0.1 * torch.randn_like(g) for g in good]
    optimiser = torch.optim.AdamW(m.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        loss = m.loss(good, everything(8))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 1
    odd = [g[:1].clone() for g in good]
    odd[0][:, :, :, 5:7, 1:3] *= -1
    odd[1][:, :, :, 2:4, 0:2] *= -1
    with torch.no_grad():
        m.eval()
        before, after = (m(f, contrast(1), everything(1), (64, 64)) for f in ([g[:1] for g in good], odd))
    assert after.score > 1.2 * before.score
    y, x = divmod(int((after.anomaly_map - before.anomaly_map).flatten().argmax()), 64)
    assert 24 <= y <= 63 and 0 <= x <= 39


def test_rd4ad_student_mirrors_its_teacher():
    channels = (64, 128, 256)
    f = [torch.randn(1, 1, c, s, s) for c, s in zip(channels, (16, 8, 4), strict=True)]
    student = RD4ADStudent(channels, (4, 8, 16), lights=1, wide=False).eval()
    regressed, log_variance = student(f)
    assert [r.shape for r in regressed] == [s.shape for s in f]
    assert all((v == 0).all() for v in log_variance)
    several = RD4ADStudent(channels, (4, 8, 16), lights=2, wide=False).eval()
    regressed, _ = several([s.expand(-1, 2, -1, -1, -1) for s in f])
    assert regressed[0].shape == (1, 2, 64, 16, 16)


def test_rd4ad_student_of_a_wide_resnet_has_the_published_shape():
    with torch.device("meta"):
        student = RD4ADStudent((256, 512, 1024), (4, 8, 16), lights=1, wide=True)
        f = [torch.empty(1, 1, c, s, s) for c, s in ((256, 64), (512, 32), (1024, 16))]
        regressed, _ = student.eval()(f)
        code = student.embedding(torch.empty(1, 3072, 16, 16))
    assert [tuple(r.shape[2:]) for r in regressed] == [(256, 64, 64), (512, 32, 32), (1024, 16, 16)]
    assert code.shape == (1, 2048, 8, 8)


def test_rd4ad_loss_is_one_minus_cosine_of_whole_maps():
    torch.manual_seed(0)
    m = AFRD(ModelConfig(("a",), "resnet18", (64, 128, 256), (4, 8, 16))).eval()
    f = [torch.randn(2, 1, c, s, s) for c, s in ((64, 16), (128, 8), (256, 4))]
    regressed, _ = m.student(f)
    expected = 0.0
    for r, t in zip(regressed, f, strict=True):
        r, t = r.double().flatten(1), t.double().flatten(1)
        expected += (1 - (r * t).sum(1) / (r.norm(dim=1) * t.norm(dim=1))).mean().item()
    assert m.loss(f, everything(2, 1)).item() == pytest.approx(expected, rel=1e-5)


def test_smoothing_keeps_the_sum_and_has_the_stated_width():
    spike = torch.zeros(1, 1, 65, 65)
    spike[0, 0, 32, 32] = 1.0
    out = smooth(spike)[0, 0].double()
    assert out.sum().item() == pytest.approx(1, abs=1e-5)
    offsets = torch.arange(65).double() - 32
    assert math.sqrt((out.sum(0) * offsets**2).sum().item()) == pytest.approx(65 * SMOOTHING, rel=0.02)


def test_wrong_options_are_answered_with_the_right_ones():
    with pytest.raises(ValueError, match="fusion 'sum' is not known; choose one of attention"):
        config(fusion="sum")
    with pytest.raises(ValueError, match="target 'both' is not known; choose one of lights, fused"):
        config(target="both")
    with pytest.raises(ValueError, match="needs target 'fused'"):
        config(fusion="concat")


def test_the_narrow_student_takes_any_even_grid():
    student = NarrowStudent((6, 10), (8, 16), lights=2, width=16)
    regressed, _ = student([torch.randn(1, 2, 6, 12, 16), torch.randn(1, 2, 10, 6, 8)])
    assert regressed[0].shape == (1, 2, 6, 12, 16)


@given(st.integers(2, 40), st.integers(2, 40), st.floats(0.3, 9.0), st.integers(1, 12), st.integers(0, 1000))
def test_a_blur_is_that_of_torchvision(height: int, width: int, sigma: float, radius: int, seed: int):
    radius = min(radius, height - 1, width - 1)
    maps = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    expected = gaussian_blur(maps, [2 * radius + 1] * 2, [sigma] * 2)
    torch.testing.assert_close(blur(maps, sigma, radius), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(blur(maps.float(), sigma, radius), expected.float(), rtol=1e-4, atol=1e-5)
