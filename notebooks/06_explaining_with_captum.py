# %% [markdown]
# # 6. Explaining a score with Captum
#
# The run says: anomalous, 1.8 times the threshold. *Which lights* made that score, and *which pixels*? Attribution
# methods answer such questions with numbers, and every number rests on a choice that is easy to overlook: what does it
# mean that a light, or a pixel, is **not there**?
#
# **What you will learn**
# - Shapley values of six lights, exact over all 64 sets, and why "alone" and "left out" say something else;
# - integrated gradients and occlusion through a frozen teacher, and why the baseline decides the answer;
# - integrated gradients with the lights as features, against Shapley values of the same game;
# - a sanity check with a randomised student, and what it does not catch;
# - how far these explanations agree with the physics, measured on the same parts without their defects.
#
# **Prerequisites**: notebooks 1 to 3, gradients in PyTorch. **Time**: half an hour to read, at most 4 minutes to run on
# two cores, half of it for a training that notebook 5 shares. **Seeds**: 0 for candies, training, and the bootstrap.
#
# **The code that is explained here**: [afrd/analysis/explain/score.py](../afrd/analysis/explain/score.py) (all that
# is Captum's),
# [afrd/analysis/explain/shapley.py](../afrd/analysis/explain/shapley.py) (sets of lights),
# [afrd/analysis/explain/visibility.py](../afrd/analysis/explain/visibility.py) (against
# the twins).

# %% tags=["setup"]
# The build puts the setup here: Colab and Binder get the package and `course`.

# %%
import os
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.express as px
import torch
from captum.attr import ShapleyValues
from course import as_written

# %%
import afrd
from afrd.analysis.explain import score as explain
from afrd.analysis.explain import visibility as attribution
from afrd.analysis.explain.shapley import coalitions, shapley
from afrd.candies import render_category

# %%
FAST = bool(os.environ.get("AFRD_FAST"))  # the project's own tests: small pictures, hardly any training
HOME = Path(os.environ.get("AFRD_NOTEBOOK_DATA") or Path.home() / ".cache" / "afrd-notebooks")
CATEGORY, SEED = "Praline", 0
SIZE = 64 if FAST else 256  # of pictures, and of the teacher's input
COUNTS = {"train": 6, "val": 4, "test_good": 4, "test_bad": 4} if FAST else {}
TRAINING = {"size": SIZE, "seed": SEED, "show_progress": False} | ({"epochs": 1, "width": 16} if FAST else {})
STEPS = 4 if FAST else 16  # of integrated gradients
NAME = "01" if FAST else "31"  # the sample to be explained

# %% [markdown]
# ## The run, and one of its verdicts
# Rendered pralines, and one AFRD network for six lights; both are made once and found again the next time. `twins` are
# the bad test candies rendered once more *without* their defect: nobody has them in a factory, and they will be worth
# their price here.

# %%
render_category(
    HOME / "data" / "candies", CATEGORY, size=SIZE, seed=SEED, twins=True, workers=1 if FAST else None, **COUNTS
)
data = afrd.open_dataset(HOME / "data" / "candies", CATEGORY)
run = afrd.fit(data, out=HOME / "runs" / ("praline-fast" if FAST else "praline"), **TRAINING)
test, twins = data["test_public"], data["twins"]
index = test.names.index(NAME)
sample = test[index]
twin = replace(twins[[int(name) for name in twins.names].index(int(NAME))], name="its twin")
seen = run.predict(sample)
print(f"{sample.name}: {', '.join(sample.defects)}; score {seen.score:.2f}, threshold {seen.threshold}")

# %% [markdown]
# What does each light see? Guess from the pictures which lamp shows the defect best, then look at the errors.

# %%
afrd.figures.light_error_maps(sample, seen).update_layout(width=1000, height=290).show()
with as_written():
    assert seen.verdict == "anomalous"

# %% [markdown]
# Every light has an error at the defect, so the six lights largely say the same. That is what makes the question "which
# one made the score?" hard: each of them would have been enough.

# %% [markdown]
# ## Which lights: a game with 64 sets
# Call the lights players. A set of lights is worth the score that the run gives with these lights only (AFRD accepts
# any subset, see notebook 3), and no light at all is worth 0. The **Shapley value** of a light is what it adds when it
# joins, averaged over all orders in which the lights could come in:
#
# $$\phi_l = \sum_{S \not\ni l} \frac{|S|!\,(L-|S|-1)!}{L!}\,\bigl(v(S \cup l) - v(S)\bigr)$$
#
# With six lights there are only $2^6 = 64$ sets, so nothing needs to be sampled.

# %%
shares = explain.lights(run, test, index)
unit = seen.threshold.value
afrd.figures.light_shares(shares, unit, f"Sample {NAME}: which lights made the score?").update_layout(width=760).show()

# %% [markdown]
# Three answers in one figure. *Alone* is the score under this light only. *Lost without it* is what disappears when
# only this light is switched off. The *Shapley value* lies between them. Which of the three can you add up?

# %%
sums = pd.Series({"score": shares.score, "Shapley": shares.shapley.sum(), "alone": shares.alone.sum(),
                  "lost without": shares.without.sum()}) / unit  # fmt: skip
print(sums.round(2).to_string())
assert shares.exact and np.isclose(sums["Shapley"], sums["score"], rtol=1e-4)
assert sums["alone"] > 1.5 * sums["score"]
with as_written():
    assert sums["lost without"] < 0.5 * sums["score"]

# %% [markdown]
# Only the Shapley values: they sum to the score (minus that of the empty set, 0), which is called *efficiency*. The
# lights **alone** sum to far more than the score, because they repeat each other; and **without** any single one of
# them little is lost, because the others stay. Read "lost without" as "no light is needed", and "alone" as "every light
# is", and you have learnt something about redundancy, not about importance.
#
# Is that the same as Captum's? `ShapleyValues` walks through all orders, 720 for six lights; with three lights it is
# quick enough to check.

# %%
three = ("right", "top", "box")


def value(present):  # (1, 3) of 0 and 1 -> the score with these lights
    lights = [light for light, there in zip(three, present[0], strict=True) if there]
    return torch.tensor([run.predict_stored(test, index, lights).score if lights else 0.0])


by_captum = ShapleyValues(value).attribute(torch.ones(1, 3))[0].numpy()
ours = explain.lights(run, test, index, lights=three).shapley
print(pd.DataFrame({"Captum": by_captum, "afrd": ours}, index=three).round(4))
assert np.allclose(by_captum, ours, atol=1e-3 * seen.score)

# %% [markdown]
# The same. Captum asks for any black box; `afrd.explain.lights` knows that a set's map follows from the lights' own
# maps and computes all 64 at once.

# %% [markdown]
# ## Which pixels: what stands for a pixel that is not there?
# Integrated gradients (Sundararajan, Taly & Yan, ICML 2017) go from a *baseline* to the picture in a straight line and
# add up the gradients on the way. The baseline should be a picture without the thing to be explained. Black, blurred,
# another good part, or the twin: before you look, which of them would the *run* call good?

# %%
good = explain.alike(sample, data["train"])  # the most similar training sample
baselines = {"twin": twin, "good part": good, "blurred": "blurred", "black": "black"}
quick = {name: explain.pixels(run, sample, baseline=base, steps=1) for name, base in baselines.items()}
at_place = pd.Series({"as it is": seen.score} | {name: found.base for name, found in quick.items()}) / unit
print("score at the place of the defect, in thresholds:", at_place.round(2).to_string(), sep="\n")
with as_written():
    assert max(at_place["twin"], at_place["good part"]) < 1 < min(at_place["blurred"], at_place["black"])

# %% [markdown]
# The twin and the good part are calm at this place. The blurred and the black picture are **themselves anomalous**: no
# good praline is blurred. Going from there to the picture explains why the sample is better or worse than a black
# picture, which nobody asked. Captum's default baseline is 0, black. It is a good habit to score the baseline first.

# %%
found = explain.pixels(run, sample, baseline=twin, steps=STEPS)
y, x = (int(places.mean()) for places in np.nonzero(found.region))
near = {"range": [x - SIZE // 5, x + SIZE // 5]}, {"range": [y + SIZE // 5, y - SIZE // 5]}


def zoomed(attribution):
    """The figure of the library, near the defect."""
    figure = afrd.figures.pixel_shares(sample, attribution)
    return figure.update_xaxes(**near[0]).update_yaxes(**near[1]).update_layout(width=760)


zoomed(found).show()

# %% [markdown]
# Orange pixels raise the score, blue ones lower it, and the circle is the place that is explained. The number above
# each picture is the sum of its pixels. *Completeness* says that all sums together are the difference between the score
# and that of the baseline. How nearly, with finitely many steps?

# %%
coarse = explain.pixels(run, sample, baseline=twin, steps=max(1, STEPS // 4))
gap = found.score - found.base
for steps, result in ((STEPS // 4, coarse), (STEPS, found)):
    print(f"{steps:2} steps: sum {gap - result.error:.3f}, difference {gap:.3f}, off by {abs(result.error) / gap:.1%}")
with as_written():
    assert abs(found.error) < 0.1 * gap
    assert np.nansum(found.values[:, found.region]) > 0.9 * np.nansum(found.values)

# %% [markdown]
# Sixteen steps are off by less than a tenth: look at the error before you look at the picture. A quarter of them can be
# off by more, or by less: a few steps may meet the sum by luck, and it is right when more of them change it no longer.
# Nearly all of the sum lies inside the circle. Do not admire that: elsewhere picture and twin are the same, and a pixel
# that does not change can have no part in the difference. The baseline drew this picture as much as the network.

# %% [markdown]
# ## Integrated gradients with the lights as features
# The sums above the pictures *are* an attribution to lights: each light's picture is one feature, replaced by its
# twin's. To compare it with Shapley values fairly, those must play **the same game**: an absent light is not hidden
# from the run, but its picture shows the part without the defect. Every set needs one look at mixed pictures.

# %%
own, clean = (run.inputs(pictures, run.lights) for pictures in (sample, twin))


def worth(members):  # (L,) bool: these lights show the part, the others its twin
    there = torch.from_numpy(members)[:, None, None, None]
    pictures = replace(sample, images=torch.where(there, sample.images, twin.images))
    features = [torch.where(there, a, b) for a, b in zip(own.features, clean.features, strict=True)]
    contrast = torch.where(there[..., 0], own.contrast, clean.contrast)
    inputs = own._replace(features=features, contrast=contrast)
    return run.predict(pictures, inputs=inputs).anomaly_map[found.region].max()


values = np.array([worth(members) for members in coalitions(len(run.lights))])  # (64,)
against_twin = shapley(values)
assert np.isclose(against_twin.sum(), values[-1] - values[0])

# %%
table = pd.DataFrame(
    {
        "grey levels": attribution.visibility(sample, twin),  # what the lamp truly shows of the defect
        "Shapley, light hidden": shares.shapley,
        "Shapley, twin instead": against_twin,
        "integrated gradients": np.nansum(found.values, (1, 2)),
    },
    index=run.lights,
)
print(table.round(2).to_string())
agreement = table.corr("spearman").round(2)
print(agreement.to_string())

# %%
shift = table["Shapley, light hidden"] - table["Shapley, twin instead"]
print(
    f"hidden minus twin: {shift.min():.2f} to {shift.max():.2f}; score of the twins shared by six: {found.base / 6:.2f}"
)
with as_written():
    assert agreement.loc["Shapley, light hidden", "Shapley, twin instead"] > 0.8
    assert np.ptp(shift) < 0.05 and abs(shift.mean() - found.base / 6) < 0.03
    assert 0 < agreement.loc["integrated gradients", "Shapley, twin instead"] < 1
    assert table["integrated gradients"].idxmax() == "top" == table["grey levels"].idxmax()
    assert table["Shapley, twin instead"].idxmax() != "top"

# %% [markdown]
# Two surprises. **The two games hardly differ**: their Shapley values rank the lights alike, and are apart by the same
# amount everywhere, which is the twins' own score shared out among six. A lamp that shows a calm part is nearly as good
# as no lamp, because attention over evidence gives it no weight.
#
# **The two methods differ in the same game**, although both sum to the same difference. Shapley values switch whole
# pictures on and off; integrated gradients fade all six in together and add up what happens on the way, where the
# defect is half visible. The score is no sum of lights, so there is no single right way to share it out. On this candy
# integrated gradients put `top` first, as the grey levels do, and Shapley values another lamp. Name the method when you
# report one.

# %% [markdown]
# ## Occlusion: no gradients, only windows
# Gradients can mislead where a function bends. Occlusion (Zeiler & Fergus, ECCV 2014) needs none: cover a window of one
# picture with the twin's pixels and see what the score loses. It costs a look at every window, so we ask about two
# lights only.

# %%
asked = ["top", "bottom"]
covered = explain.pixels(run, sample, "occlusion", twin, region=found.region, of=asked)
afrd.figures.pixel_shares(sample, covered).update_layout(width=760).show()

# %%
drop = pd.Series({light: np.max(covered.values[run.lights.index(light)]) for light in asked})
print((drop / unit).round(3).to_string())
with as_written():
    assert drop["top"] > drop["bottom"] and table["grey levels"]["top"] > table["grey levels"]["bottom"]

# %% [markdown]
# The picture under `top`, which shows the defect in more grey levels, has more to lose than that under `bottom`. The
# place is the same as with gradients, blurred by the window: coarse, and hard to fool.

# %% [markdown]
# ## Sanity check: does the explanation know the model?
# An explanation that looks the same after the network has forgotten everything explains the picture, not the network
# (Adebayo et al., NeurIPS 2018). So we give the student random weights and ask again. The patch memory, the other half
# of AFRD's evidence, stays. What will happen to the detection, and what to the explanation?

# %%
forgetful = deepcopy(run.model)
torch.manual_seed(SEED)
for layer in forgetful.student.modules():
    if hasattr(layer, "reset_parameters"):
        layer.reset_parameters()
randomised = afrd.Run(run.folder, forgetful, run.config, None, run.device)
metrics = {"trained": run.evaluate(test).metrics(), "random student": randomised.evaluate(test).metrics()}
print(pd.DataFrame(metrics).round(3).to_string())
with as_written():
    assert metrics["random student"]["pixel_ap"] < metrics["trained"]["pixel_ap"] - 0.1
    assert metrics["random student"]["image_auroc"] > 0.6

# %% [markdown]
# The detection suffers, most plainly in pixel AP, but it does not fall to chance: the memory alone still knows what
# good parts look like.

# %%
blind = explain.pixels(randomised, sample, baseline=twin, region=found.region, steps=STEPS)
zoomed(blind).show()
before, after = (np.nan_to_num(result.values) for result in (found, blind))
inside = [result[:, found.region].sum() / result.sum() for result in (before, after)]
same = np.corrcoef(before.ravel(), after.ravel())[0, 1]
print(f"pixelwise correlation {same:.2f}; part of the sum inside the circle: {inside[0]:.0%} and {inside[1]:.0%}")
with as_written():
    assert same < 0.9 and blind.score < found.score and min(inside) > 0.9

# %% [markdown]
# The explanation has changed, and the score that it explains is lower: it does depend on the student, so the check is
# passed. But look at the picture: it still points at the defect, and would convince anybody. **A plausible heat map is
# no proof of a sound model.** Where half of a model is intact, and the baseline differs from the picture at the defect
# only, plausibility comes cheap. Measure.

# %% [markdown]
# ## All samples: do explanations agree with the physics?
# One candy proves nothing. For each bad test sample the twin says how many grey levels of the defect each lamp truly
# shows; `attribution.measure` asks whether the evidence ranks the lamps in the same order (Spearman), and how often the
# lamp with the most evidence is the best one, or nearly (hit). `chance` is the hit rate of a blindly drawn lamp, and
# `shown` how much of the defect the named lamp shows, if the best one shows 1.

# %%
measured = attribution.measure(run, data)
overall = measured.summary(seed=SEED).loc["all"].unstack().loc[list(attribution.KINDS)]
print(overall.astype(float).round(2).to_string())

# %%
named = overall.astype(float).reset_index(names="evidence")
named["up"], named["down"] = named.high - named.hit, named.hit - named.low
figure = px.scatter(named, x="hit", y="evidence", error_x="up", error_x_minus="down", width=700, height=330,
                    title="How often the best lamp is named")  # fmt: skip
figure.add_vline(x=overall.chance.iloc[0], line_dash="dash", annotation_text="chance")
figure.update_xaxes(range=[0, 1], title="hit rate, 95 % bootstrap interval").show()

# %%
with as_written():
    assert (overall.spearman > 0).all()
    assert overall.low["attention"] > overall.chance["attention"]
    assert overall.hit["attention"] > overall.hit["shapley"] and overall.spearman.idxmax() == "attention"

# %% [markdown]
# Every kind of evidence ranks the lamps better than blindly (all rank correlations are positive). But only look at the
# intervals: with 20 samples they are wide. Shapley values explain *the score*, perfectly, and say less about *the
# part*: an error that counts how unexpected something is need not grow with its grey levels. Attention weighs it by
# the picture's contrast (`EvidenceTerms` in [afrd/model/evidence.py](../afrd/model/evidence.py)), which is made for
# the question
# "which lamp shows it?", and answers it best here; its interval lies above chance.
#
# Take away: say which question, say what "absent" means, score the baseline, check completeness, randomise the model,
# and where you can, compare with a part that has no defect.

# %% [markdown]
# ## Exercises
# **1.** "No light at all is worth 0" was a choice. Suppose it is worth the threshold. What happens to the Shapley
# values, and which of their differences change?
#
# <details><summary>Solution</summary>
#
# ```python
# shifted = explain.lights(run, test, index, empty=unit)
# change = shifted.shapley - shares.shapley
# print(pd.Series(change, run.lights).round(3).to_string())
# assert np.allclose(change, -unit / len(run.lights), atol=1e-4)
# ```
#
# All values fall by threshold / 6, so no difference changes: the choice moves the zero, not the order. With a large
# `empty` some values become negative, and nothing about these lights has changed.
# </details>
#
# **2.** Explain a place where nothing is wrong: a disc around a corner of the picture. What do the Shapley values say,
# and should anybody look at them?
#
# <details><summary>Solution</summary>
#
# ```python
# corner = explain.around((SIZE * 0.1, SIZE * 0.1), (SIZE, SIZE))
# calm = explain.lights(run, test, index, corner)
# print(f"score {calm.score / unit:.2f}", pd.Series(calm.shapley / unit, run.lights).round(2).to_string(), sep="\n")
# assert np.isclose(calm.shapley.sum(), calm.score, rtol=1e-4)
# with as_written():
#     assert calm.score < shares.score
# ```
#
# They still sum to the score there, and they still rank the lights: Shapley values share out whatever there is, noise
# included. Explain scores that passed the threshold, or say that it was not passed.
# </details>
#
# **3.** Destroy the memory as well (replace `forgetful.bank.patches` by patches of random numbers). Does the run still
# find defects? What does that say about the sanity check above?
#
# <details><summary>Solution</summary>
#
# ```python
# empty_headed = deepcopy(forgetful)
# if empty_headed.bank is not None:
#     noise = torch.randn(empty_headed.bank.patches.shape, generator=torch.Generator().manual_seed(SEED))
#     empty_headed.bank.patches = torch.nn.functional.normalize(noise, dim=-1).half()
# nothing = afrd.Run(run.folder, empty_headed, run.config, None, run.device).evaluate(test).metrics()
# print(pd.Series(nothing).round(3).to_string())
# with as_written():
#     assert nothing["pixel_ap"] < metrics["random student"]["pixel_ap"]
# ```
#
# Now little is left: the pixel AP falls far below that of the random student with its memory. The check above had
# randomised half of the model, and it was the other half that kept the picture plausible.
# </details>
