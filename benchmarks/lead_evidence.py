"""Evidence of AFRD with something changed that needs no training: other distances, other memories, other units.

Every function takes a `Case`, whose student stays as it is, and gives for each lead a name and the evidence of the
validation parts and of the test parts. `benchmarks.leads` judges them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cached_property, partial

import torch
from torch import Tensor

from afrd.data.dataset import Category, MultiLightDataset
from afrd.model.evidence import SUBTRACTED_SHARE, TERMS, Evidence, EvidenceTerms, smooth
from afrd.model.inputs import compute_inputs
from afrd.model.lookup import embed
from afrd.runs.calibration import EVIDENCE_BATCH_SIZE, stored_inputs
from afrd.runs.feature_store import Features
from afrd.runs.run import Run
from benchmarks.lead_memory import DRAWN_PATCHES, Embedding, Memory, Residual, look_up, remember, samples_of

Leads = Iterator[tuple[str, Evidence, Evidence]]
SPLITS = ("val", "test")

VARIANCE_SHARES = (0.90, 0.95, 0.99)  # of the components that a subspace keeps
RIDGES, STEP_RIDGES = (0.01, 0.1), (0.1,)  # of whitenings, as a part of the mean variance
CAPACITIES = (8192, 16384)  # patches of each light
REGRESSION_RIDGE = 0.1  # of one light's features from the others', as a part of the mean variance
FOLDS = 5  # of the parts, so that a part's residual comes from a regression without it
GAMMA = 2.2  # of the pictures, about


class Case:
    """A trained run and its data set, with what all leads need, each computed once."""

    def __init__(self, run: Run, data: Category) -> None:
        self.run, self.data = run, data

    def split(self, name: str) -> MultiLightDataset:
        return self.data[self.data.test_split if name == "test" else name]

    def features(self, name: str) -> Features:
        return self.run.features(self.split(name))

    @cached_property
    def student(self) -> dict[str, EvidenceTerms]:
        """The terms of each split without a memory."""
        model = deepcopy(self.run.model)
        model.bank = model.learned = None
        return {name: student_terms(model, self.features(name)) for name in ("train", *SPLITS)}

    @cached_property
    def errors(self) -> Tensor:
        """S of the training parts, (N, L, places)."""
        return torch.stack(self.student["train"].scales).sum(0).flatten(2)

    @cached_property
    def memory(self) -> Memory:
        """The memory that the leads start from, drawn at random."""
        return remember(samples_of(self.features("train")), self.errors, DRAWN_PATCHES, self.run.config.seed)

    @cached_property
    def baseline(self) -> dict[str, EvidenceTerms]:
        """The terms of AFRD with this memory."""
        usual = (self.memory.errors * self.memory.distance).sqrt()[None]
        found = {name: look_up(samples_of(self.features(name)), self.memory, usual) for name in SPLITS}
        return {name: with_memory(self.student[name], f.nearest, f.usual[0]) for name, f in found.items()}

    def both(self, name: str, terms: dict[str, EvidenceTerms]) -> tuple[str, Evidence, Evidence]:
        return name, evidence_of(terms["val"]), evidence_of(terms["test"])


@torch.no_grad()
def student_terms(model: torch.nn.Module, features: Features) -> EvidenceTerms:
    """The terms of a split from a model without a memory; the model's lights are those of the features."""
    positions = list(range(len(features.lights)))
    present = torch.ones(1, len(positions), dtype=torch.bool)
    parts: list[EvidenceTerms] = []
    for start in range(0, len(features), EVIDENCE_BATCH_SIZE):
        index = range(start, min(start + EVIDENCE_BATCH_SIZE, len(features)))
        parts.append(model.terms(*stored_inputs(features, index, positions, present)))
    scales = [torch.cat(scale) for scale in zip(*(part.scales for part in parts), strict=True)]
    plain, contrast = (torch.cat([getattr(part, name) for part in parts]) for name in ("plain", "contrast"))
    return EvidenceTerms(scales, plain, contrast, None, None, None)


def with_memory(terms: EvidenceTerms, nearest: Tensor, usual: Tensor) -> EvidenceTerms:
    return replace(terms, distance=smooth(nearest), usual=smooth(usual), nearest=nearest)


def without_student(nearest: Tensor, usual: Tensor, contrast: Tensor) -> EvidenceTerms:
    """The terms where the distance stands for the student's errors: E = D - U / 2."""
    distance = smooth(nearest)
    return EvidenceTerms([distance / 2, distance / 2], distance, contrast, distance, smooth(usual), None, nearest)


def evidence_of(terms: EvidenceTerms) -> Evidence:
    present = torch.ones(terms.plain.shape[:2], dtype=torch.bool)
    evidence = terms.evidence(present)
    return replace(evidence, terms=terms.stacked(evidence.errors))


def with_errors(terms: EvidenceTerms, errors: Tensor) -> Evidence:
    """The evidence with other errors E in the place of its own."""
    present = torch.ones(errors.shape[:2], dtype=torch.bool)
    return Evidence(errors, errors * terms.plain * terms.contrast, present, fused=False, terms=terms.stacked(errors))


# ---------------------------------------------------------------- the leads


def as_it_is(case: Case) -> Leads:
    yield case.both("baseline", case.baseline)


def subspaces(case: Case) -> Leads:
    """Residuals to a subspace of each light's features, and of a regression from the other lights' features.

    Each is brought to the scale of D, light by light. `alone` takes the place of D, `beside` is the geometric mean of
    the two.
    """
    memory = case.memory
    residuals = {f"subspace of {share:.0%} variance": subspace(memory.patches, share) for share in VARIANCE_SHARES}
    of_patches = {name: residual(memory.patches) for name, residual in residuals.items()}
    regression = "regression from the other lights"
    residuals[regression] = from_other_lights(memory.patches)
    of_patches[regression] = across_parts(memory, from_other_lights)
    scales = [memory.distance.mean(1) / values.mean(1) for values in of_patches.values()]  # (L,) each
    usual = []
    for values, scale in zip(of_patches.values(), scales, strict=True):
        scaled = values * scale[:, None]
        usual += [(memory.errors * scaled).sqrt(), (memory.errors * (memory.distance * scaled).sqrt()).sqrt()]
    found = {
        name: look_up(samples_of(case.features(name)), memory, torch.stack(usual), list(residuals.values()))
        for name in SPLITS
    }
    for k, (name, scale) in enumerate(zip(residuals, scales, strict=True)):
        alone, beside = {}, {}
        for split, maps in found.items():
            residual = maps.residuals[k] * scale[:, None, None]
            alone[split] = with_memory(case.student[split], residual, maps.usual[2 * k])
            distance = (residual * maps.nearest).sqrt()
            beside[split] = with_memory(case.student[split], distance, maps.usual[2 * k + 1])
        yield case.both(f"{name}, beside D", beside)
        if name != regression:
            yield case.both(f"{name}, in the place of D", alone)


def subspace(patches: Tensor, share: float) -> Residual:
    """Distance to the principal components of each light that hold this share of the variance."""
    mean = patches.mean(1, keepdim=True)
    _, values, components = torch.linalg.svd(patches - mean, full_matrices=False)  # components (L, C, C), rows
    explained = values.square().cumsum(1) / values.square().sum(1, keepdim=True)
    kept = (explained - values.square() / values.square().sum(1, keepdim=True)) < share  # (L, C)
    left_out = components.mT * ~kept[:, None]  # (L, C, components)
    return lambda places: ((places - mean) @ left_out).norm(dim=-1)


def pairs(case: Case) -> Leads:
    """Residuals of regressions from one other light at a time, which any subset of the lights could choose from."""
    memory, features = case.memory, {name: case.features(name) for name in SPLITS}
    for what, reduced in (("least", torch.amin), ("mean", torch.mean)):
        fit = partial(from_other_lights, singly=True, reduced=reduced)
        of_patches = across_parts(memory, fit)
        scale = memory.distance.mean(1) / of_patches.mean(1)
        usual = (memory.errors * (memory.distance * of_patches * scale[:, None]).sqrt()).sqrt()[None]
        terms = {}
        for name in SPLITS:
            found = look_up(samples_of(features[name]), memory, usual, [fit(memory.patches)])
            distance = (found.residuals[0] * scale[:, None, None] * found.nearest).sqrt()
            terms[name] = with_memory(case.student[name], distance, found.usual[0])
        yield case.both(f"regressions from one other light, the {what} residual, beside D", terms)


def others(places: Tensor, singly: bool) -> Tensor:
    """Features of the other lights at the same places, and 1: (L, 1, places, (L - 1) C + 1).

    With `singly` each of them by itself: (L, L - 1, places, C + 1).
    """
    lights = range(len(places))
    rest = torch.stack([torch.stack([places[k] for k in lights if k != light]) for light in lights])
    joined = rest if singly else rest.transpose(1, 2).flatten(2)[:, None]
    return torch.cat([joined, torch.ones_like(joined[..., :1])], -1)


def from_other_lights(patches: Tensor, singly: bool = False, reduced: Callable = torch.amin) -> Residual:
    """Distance of each light's features to what a ridge regression from the other lights' says.

    With `singly` there is one from each other light, and `reduced` makes one distance of theirs.
    """
    inward = others(patches, singly)
    gram = inward.mT @ inward
    level = REGRESSION_RIDGE * gram.diagonal(dim1=-2, dim2=-1).mean(-1)
    ridge = level[..., None, None] * torch.eye(gram.shape[-1])
    weights = torch.linalg.solve(gram + ridge, inward.mT @ patches[:, None])
    return lambda places: reduced((places[:, None] - others(places, singly) @ weights).norm(dim=-1), 1)


def across_parts(memory: Memory, fit: Callable[[Tensor], Residual]) -> Tensor:
    """(L, P) residuals of the patches, each by a regression that has not seen its part."""
    residuals = torch.zeros_like(memory.distance)
    for fold in range(FOLDS):
        inside = memory.owner % FOLDS == fold
        residuals[:, inside] = fit(memory.patches[:, ~inside])(memory.patches[:, inside])
    return residuals


def whitenings(case: Case) -> Leads:
    """By the covariance of all patches of a light (Mahalanobis PatchCore, https://arxiv.org/abs/2605.27748)."""
    centred = case.memory.patches - case.memory.patches.mean(1, keepdim=True)
    for ridge in RIDGES:
        yield other_memory(
            case,
            f"whitened by the covariance of patches, ridge {ridge}",
            embedded=whitened(case.memory, centred, ridge),
        )


def step_whitenings(case: Case) -> Leads:
    """By the covariance of the steps from a patch to the nearest one of another part: what differs among good parts."""
    light = torch.arange(len(case.memory.patches))[:, None]
    steps = case.memory.patches - case.memory.patches[light, case.memory.neighbour]
    for ridge in STEP_RIDGES:
        name = f"whitened by the covariance of steps to another part, ridge {ridge}"
        yield other_memory(case, name, embedded=whitened(case.memory, steps, ridge))


def whitened(memory: Memory, vectors: Tensor, ridge: float) -> Embedding:
    """`embed` times (covariance + ridge)^(-1/2) of each light, scaled so that the variance of the patches stays.

    Args:
        memory: of a run.
        vectors: (L, N, C) whose covariance counts, with mean about 0.
        ridge: as a part of the mean variance.
    """
    covariance = vectors.mT @ vectors / vectors.shape[1]
    level = ridge * covariance.diagonal(dim1=1, dim2=2).mean(1)
    values, directions = torch.linalg.eigh(covariance)
    matrix = directions @ ((values.clamp_min(0.0) + level[:, None]).rsqrt()[..., None] * directions.mT)  # (L, C, C)
    mean = memory.patches.mean(1, keepdim=True)
    before, after = (moved.square().mean((1, 2)) for moved in (memory.patches - mean, (memory.patches - mean) @ matrix))
    matrix = matrix * (before / after).sqrt()[:, None, None]
    return lambda features: (embed(features) - mean) @ matrix


def other_memory(
    case: Case, name: str, capacity: int = DRAWN_PATCHES, embedded: Embedding = embed
) -> tuple[str, Evidence, Evidence]:
    """AFRD with another capacity of its memory, or another embedding."""
    memory = remember(samples_of(case.features("train")), case.errors, capacity, case.run.config.seed, embedded)
    usual = (memory.errors * memory.distance).sqrt()[None]
    found = {split: look_up(samples_of(case.features(split)), memory, usual, (), embedded) for split in SPLITS}
    return case.both(name, {s: with_memory(case.student[s], f.nearest, f.usual[0]) for s, f in found.items()})


def centring(case: Case) -> Leads:
    def embedded(features: Sequence[Tensor]) -> Tensor:
        return embed([f - f.mean((-1, -2), keepdim=True) for f in features])

    yield other_memory(case, "each picture's mean feature subtracted", embedded=embedded)


def capacities(case: Case) -> Leads:
    for capacity in CAPACITIES:
        yield other_memory(case, f"memory of {capacity} patches", capacity)


def standardised(case: Case) -> Leads:
    """E of each light less its mean on the validation parts, in units of its deviation there."""
    errors = {name: evidence_of(case.baseline[name]).errors for name in SPLITS}
    mean, deviation = (getattr(errors["val"], f)((0, 2, 3), keepdim=True) for f in ("mean", "std"))
    val, test = (
        with_errors(case.baseline[name], ((errors[name] - mean) / deviation).clamp_min(0.0)) for name in SPLITS
    )
    yield "evidence standardised by validation parts", val, test


def own_level(case: Case) -> Leads:
    """sqrt(S D) of each light in units of its mean on the half of the part's own places with the least D."""
    raw, levels = {}, {}
    for name in SPLITS:
        terms = case.baseline[name]
        assert terms.distance is not None
        raw[name] = (torch.stack(terms.scales).sum(0).clamp_min(0.0) * terms.distance).sqrt()
        normal = terms.distance <= terms.distance.flatten(2).median(-1).values[..., None, None]
        levels[name] = (raw[name] * normal).sum((2, 3), keepdim=True) / normal.sum((2, 3), keepdim=True)
    usual_level = levels["val"].mean(0, keepdim=True)
    val, test = (
        with_errors(
            case.baseline[name],
            (raw[name] * usual_level / levels[name] - SUBTRACTED_SHARE * case.baseline[name].usual).clamp_min(0.0),  # type: ignore
        )
        for name in SPLITS
    )
    yield "calibrated on the part's own normal places", val, test


def no_student(case: Case) -> Leads:
    memory = remember(samples_of(case.features("train")), None, DRAWN_PATCHES, case.run.config.seed)
    usual = memory.distance[None]  # sqrt(S D) with S = D
    terms = {}
    for name in SPLITS:
        found = look_up(samples_of(case.features(name)), memory, usual)
        terms[name] = without_student(found.nearest, found.usual[0], case.student[name].contrast)
    yield case.both("no student: E = D - U / 2", terms)


def photometric(case: Case) -> Leads:
    """A seventh light, whose picture holds slopes and albedo; it has a memory and no student."""
    if not {"left", "right", "top", "bottom"} <= set(case.run.lights):
        return
    pictures = {name: photometric_features(case, name) for name in ("train", *SPLITS)}
    memory = remember([features for features, _ in pictures["train"]], None, DRAWN_PATCHES, case.run.config.seed)
    joined = {}
    for name in SPLITS:
        found = look_up([features for features, _ in pictures[name]], memory, memory.distance[None])
        contrast = smooth(torch.cat([contrast for _, contrast in pictures[name]]))
        joined[name] = without_student(found.nearest, found.usual[0], contrast)
    own, new = (evidence_of(terms["val"]) for terms in (case.baseline, joined))
    share = own.errors.mean() / new.errors.mean()
    plain_share = case.baseline["val"].plain.mean() / joined["val"].plain.mean()
    units = torch.tensor([{"plain": plain_share, "contrast": 1.0}.get(term, share) for term in TERMS])[:, None, None]
    result = []
    for name in SPLITS:
        old, added = evidence_of(case.baseline[name]), evidence_of(joined[name])
        assert old.terms is not None and added.terms is not None
        result.append(
            Evidence(
                torch.cat([old.errors, added.errors * share], 1),
                torch.cat([old.weights, added.weights * share * plain_share], 1),
                torch.ones(len(old.errors), len(case.run.lights) + 1, dtype=torch.bool),
                fused=False,
                terms=torch.cat([old.terms, added.terms * units], 1),
            )
        )
    yield "a photometric-stereo picture as one more light", result[0], result[1]


def photometric_features(case: Case, name: str) -> list[tuple[list[Tensor], Tensor]]:
    """Features (1, 1, C, h, w) per scale and contrast (1, 1, h, w) of each sample's photometric picture."""
    split, lights = case.split(name), case.run.lights
    result = []
    for i in range(len(split)):
        levels = split.select(lights)[i].images.pow(GAMMA).mean(1)  # (L, H, W), linear
        left, right, top, bottom = (levels[lights.index(light)] for light in ("left", "right", "top", "bottom"))
        slopes = [(a - b) / (a + b + 0.01) / 2 + 0.5 for a, b in ((right, left), (top, bottom))]
        albedo = ((left + right + top + bottom) / 4).pow(1 / GAMMA)
        features, contrast = compute_inputs(
            case.run.teacher, torch.stack([*slopes, albedo])[None], case.run.config.size
        )
        result.append(([f[None].float() for f in features], contrast[None].float()))
    return result


LEADS = (
    as_it_is,
    step_whitenings,
    whitenings,
    subspaces,
    pairs,
    centring,
    standardised,
    own_level,
    photometric,
    no_student,
    capacities,
)
