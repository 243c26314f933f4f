# %% [markdown]
# # 6. Explaining a score with Captum
#
# The run says: anomalous, far above the threshold. *Which lights* made that score, and *which pixels*? Attribution
# methods answer such questions with numbers, and every number rests on a choice that is easy to overlook: what does it
# mean that a light, or a pixel, is **not there**?
#
# **What you will learn**
# - Shapley values of six lights, exact over all sets of lights, and why "alone" and "left out" say something else;
# - integrated gradients, their average over noisy copies, and occlusion, through a frozen teacher, and why the baseline
#   decides the answer;
# - integrated gradients with the lights as features, against Shapley values of the same game;
# - a sanity check with a randomised student, and what it does not catch;
# - how far these explanations agree with the physics, measured on the same parts without their defects.
#
# **Prerequisites**: notebooks 1 to 3, gradients in PyTorch. **Time**: half an hour to read, 5 minutes of processor time
# (three minutes on two idle cores) the first time, half of it for a training. **Seeds**: 0 for candies, training, and
# the bootstrap.
#
# **The code that is explained here**: [afrd/analysis/explain/pixel_score.py](../afrd/analysis/explain/pixel_score.py)
# (all that is Captum's),
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
import plotly.graph_objects as go
import torch
from captum.attr import ShapleyValues
from course import as_written, check, diagram, light_grid, no_axes, show, slider
from IPython.display import Markdown
from plotly.subplots import make_subplots
from torchvision.transforms.functional import gaussian_blur

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
TRAINING = {"size": SIZE, "seed": SEED, "fusion": "attention", "show_progress": False} | (
    {"epochs": 1, "width": 16} if FAST else {}
)
STEPS = 4 if FAST else 16  # of integrated gradients
NAME = "01" if FAST else "31"  # the sample to be explained

# %% tags=["text"]
diagram(
    {
        "of lights": ["score with\nevery set of lights", "Shapley values", "a share of the\nscore per light"],
        "of pixels": ["baseline", "path to\nthe picture", "gradients,\nadded up", "a share of the\nscore per pixel"],
    },
    "Shapley values share out the score among lights, integrated gradients among pixels, starting from a baseline.",
)

# %% [markdown]
# ## The run, and one of its verdicts
# Rendered pralines, and one AFRD network for six lights; both are made once and found again the next time. `twins` are
# the bad test candies rendered once more *without* their defect. Nobody has them in a factory; here they serve as
# truth.

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
unit = seen.threshold.value

# %% tags=["text"]
Markdown(f"""
Sample {sample.name} has a defect of kind `{", ".join(sample.defects)}`; its score is {seen.score / unit:.2f} times
the threshold. What does each light see? Judge from the pictures which light shows the defect best, then look at the
errors.
""")

# %%
figure = light_grid(sample, f"AFRD, sample {NAME}: the error map of each light, in thresholds", seen)
show(figure, "Six pictures of one candy with the error map of each light; all are high at the defect.")

# %% tags=["check"]
with as_written():
    assert seen.verdict == "anomalous"

# %% [markdown]
# Every light has an error at the defect, so the six lights largely say the same. That is what makes the question "which
# one made the score?" hard: each of them would have been enough.

# %% [markdown]
# ## Which lights: a game with sets of lights
# Call the lights players. A set of lights is worth the score that the run gives with these lights only (AFRD accepts
# any subset, see notebook 3), and no light at all is worth nothing. The **Shapley value** of a light is what it adds
# when it joins, averaged over all orders in which the lights could come in:
#
# $$\phi_l = \sum_{S \not\ni l} \frac{|S|!\,(L-|S|-1)!}{L!}\,\bigl(v(S \cup l) - v(S)\bigr)$$
#
# With six lights there are only $2^6 = 64$ sets, so nothing needs to be sampled.

# %%
shares = explain.lights(run, test, index)
figure = afrd.figures.light_shares(shares, unit, f"AFRD, sample {NAME}: Shapley values of the lights")
show(figure.update_layout(width=760), "Bars of six lights: alone, lost without it, and the Shapley value between them.")

# %% [markdown]
# Three answers in one figure. *Alone* is the score under this light only. *Lost without it* is what disappears when
# only this light is switched off. The *Shapley value* lies between them. Which of the three can you add up?

# %%
sums = pd.Series({"score": shares.score, "Shapley": shares.shapley.sum(), "alone": shares.alone.sum(),
                  "lost without": shares.without.sum()}) / unit  # fmt: skip
sums.round(2).to_frame("sum over the lights, × threshold")

# %% tags=["check"]
assert shares.exact and np.isclose(sums["Shapley"], sums["score"], rtol=1e-4)
with as_written():
    assert sums["alone"] > 1.5 * sums["score"] and sums["lost without"] < 0.5 * sums["score"]

# %% tags=["text"]
Markdown(f"""
Only the Shapley values: they sum to the score (minus that of the empty set), which is called *efficiency*. The lights
**alone** sum to {sums["alone"] / sums["score"]:.1f} times the score, because they repeat each other; and **without**
any single one of them little is lost, because the others stay. "Lost without" says that no light is needed, and
"alone" that every light is: both tell of redundancy, not of importance.
""")

# %% [markdown]
# Is that the same as Captum's? `ShapleyValues` goes through all orders of the lights; with three lights it is
# quick enough to check.

# %%
three = ("right", "top", "box")


def value(present):  # (1, 3) of 0 and 1 -> the score with these lights
    lights = [light for light, there in zip(three, present[0], strict=True) if there]
    return torch.tensor([run.predict_stored(test, index, lights).score if lights else 0.0])


by_captum = ShapleyValues(value).attribute(torch.ones(1, 3))[0].numpy()
ours = explain.lights(run, test, index, lights=three).shapley
assert np.allclose(by_captum, ours, atol=1e-3 * seen.score)
pd.DataFrame({"Captum": by_captum, "afrd": ours}, index=three).round(4)

# %% [markdown]
# The same. Captum asks any function; `afrd.analysis.explain.lights` knows that a set's map follows from the lights' own
# maps and computes all sets at once.

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
at_place.round(2).to_frame("score at the place of the defect, × threshold")

# %%
sigma = SIZE / 64
soft = gaussian_blur(sample.images, [4 * int(sigma) + 1] * 2, [sigma] * 2)
starts = {"twin": twin.images, "good part": good.images, "blurred": soft, "black": torch.zeros_like(sample.images)}
top_light = run.lights.index("top")
figure = make_subplots(2, 3, subplot_titles=["as it is", *starts], horizontal_spacing=0.01, vertical_spacing=0.06)
for place, images in enumerate((sample.images, *starts.values())):
    picture = go.Image(source=afrd.figures.picture_uri(images[top_light], 320))
    figure.add_trace(picture, place // 3 + 1, place % 3 + 1)
figure.update_layout(width=980, height=760, title=f"Four baselines for sample {NAME}, under light top")
show(no_axes(figure), "The sample, its twin, another good part, the blurred and the black picture.")

# %% tags=["check"]
with as_written():
    assert max(at_place["twin"], at_place["good part"]) < 1 < min(at_place["blurred"], at_place["black"])

# %% tags=["text"]
Markdown(f"""
The twin ({at_place["twin"]:.2f} thresholds) and the good part ({at_place["good part"]:.2f}) have low scores at this
place. The blurred ({at_place["blurred"]:.2f}) and the black picture ({at_place["black"]:.2f}) are **themselves
anomalous**: no good praline is blurred. A path from there explains why the sample is better or worse than a black
picture, which nobody asked. Captum's default baseline is zero, black. Score the baseline before you use it.
""")

# %% [markdown]
# ### To move: baseline and path
# Integrated gradients add up what happens on the straight way from a baseline to the picture. Move along it for three
# baselines at once. The curves show the score at the place of the defect. Where on the way does it rise? On which ways
# does it fall, although the defect becomes visible?

# %%
mask = sample.mask.numpy() if sample.mask is not None else None
alphas = np.linspace(0, 1, 3 if FAST else 9)
paths, pictures = {}, {}
for name in ("twin", "blurred", "black"):
    mixed = [replace(sample, images=(1 - a) * starts[name] + a * sample.images) for a in map(float, alphas)]
    paths[name] = [run.predict(one).anomaly_map[mask].max() / unit for one in mixed]
    pictures[name] = [afrd.figures.picture_uri(one.images[top_light], 256) for one in mixed]


def at_step(k):
    dots = [go.Scatter(x=[alphas[k]], y=[values[k]], mode="markers", marker_size=12, showlegend=False)
            for values in paths.values()]  # fmt: skip
    return [go.Image(source=uris[k]) for uris in pictures.values()] + dots


# %%
figure = make_subplots(2, 3, subplot_titles=[f"from {name}" for name in paths], vertical_spacing=0.06)
figure.add_traces(at_step(0), rows=[1] * 3 + [2] * 3, cols=[1, 2, 3] * 2)
for column, values in enumerate(paths.values(), 1):
    figure.add_trace(go.Scatter(x=alphas, y=values, mode="lines", line_color="#757575", showlegend=False), 2, column)
    figure.update_xaxes(visible=False, row=1, col=column).update_yaxes(visible=False, row=1, col=column)
    figure.update_xaxes(title_text="part of the way", row=2, col=column)
figure.frames = [go.Frame(data=at_step(k), name=f"{a:.3f}", traces=list(range(6))) for k, a in enumerate(alphas)]
top = 1.1 * max(max(values) for values in paths.values())
figure.update_yaxes(range=[0, top], row=2).update_yaxes(title_text="score, × threshold", row=2, col=1)
figure.update_layout(width=980, height=720, title="Integrated gradients: the way from three baselines to the picture",
                     sliders=[slider([f"{a:.3f}" for a in alphas], "part of the way: ", top=-0.05)])  # fmt: skip
show(figure, "Three pictures between baseline and sample, and below each the score along the way with a dot.")

# %% tags=["text"]
Markdown(f"""
From the twin the score rises from {paths["twin"][0]:.2f} to {paths["twin"][-1]:.2f} thresholds: this way explains the
defect. From the blurred picture it begins at {paths["blurred"][0]:.2f}, so that a difference of
{paths["blurred"][-1] - paths["blurred"][0]:+.2f} is explained, and from black at {paths["black"][0]:.2f}: that way
explains {paths["black"][-1] - paths["black"][0]:+.2f}, why the sample is another anomaly than a black picture.
""")

# %%
found = explain.pixels(run, sample, baseline=twin, steps=STEPS)
y, x = (int(places.mean()) for places in np.nonzero(found.region))
near = {"range": [x - SIZE // 5, x + SIZE // 5]}, {"range": [y + SIZE // 5, y - SIZE // 5]}


def zoomed(attribution):
    """The figure of the library, near the defect."""
    figure = afrd.figures.pixel_shares(sample, attribution)
    return figure.update_xaxes(**near[0]).update_yaxes(**near[1]).update_layout(width=980)


show(zoomed(found), "Six pictures near the defect with coloured pixels: most raise the score, and lie in the circle.")

# %% [markdown]
# Orange pixels raise the score, blue ones lower it, and the circle is the place that is explained. The number above
# each picture is the sum of its pixels. *Completeness* says that all sums together are the difference between the score
# and that of the baseline. How nearly, with finitely many steps?

# %%
coarse = explain.pixels(run, sample, baseline=twin, steps=max(1, STEPS // 4))
gap = found.score - found.base
off = {"a quarter of the steps": coarse.error / gap, "all steps": found.error / gap}
pd.Series(off).abs().map("{:.1%}".format).to_frame("error of the sum")

# %% tags=["check"]
within = np.nansum(found.values[:, found.region]) / np.nansum(found.values)
differs = (sample.images != twin.images).amax((0, 1)).numpy()  # under any light
beside = (differs & ~found.region).sum() / (~found.region).sum()
with as_written():
    assert abs(found.error) < 0.1 * gap and within > 0.9

# %% tags=["text"]
Markdown(f"""
With {STEPS} steps the sum is off by {abs(found.error) / gap:.1%}: look at this error before you look at the picture.
A few steps may be closer by luck; the sum is right when more steps no longer change it. {within:.0%} of it lies
inside the circle, which is no merit: outside it picture and twin differ in {beside:.2%} of the pixels, and a pixel
that does not change can have no part in the difference. The baseline makes this picture as much as the network.
""")

# %% [markdown]
# ### Noise tunnel
# Gradients change from pixel to pixel. The noise tunnel (SmoothGrad, Smilkov et al., 2017; Captum's `NoiseTunnel`)
# averages the attributions of several noisy copies of the picture. **Question**: does the noise leave the explained
# score as it is?

# %%
copies, noise = [], torch.Generator().manual_seed(SEED)
for _ in range(2 if FAST else 4):
    shaken = sample.images + torch.randn(sample.images.shape, generator=noise) * 2 / 255
    noisy = replace(sample, images=shaken.clamp(0, 1))
    copies.append(explain.pixels(run, noisy, baseline=twin, region=found.region, steps=max(1, STEPS // 4)))
tunnel = replace(found, values=np.mean([one.values for one in copies], 0))
show(zoomed(tunnel), "The attributions near the defect, averaged over noisy copies of the picture.")

# %% tags=["text"]
ordinary, averaged = (np.nan_to_num(one.values) for one in (found, tunnel))
alike_pixels = np.corrcoef(ordinary.ravel(), averaged.ravel())[0, 1]
outside = np.abs(averaged[:, ~found.region]).sum() / np.abs(averaged).sum()
calm = all(abs(one.score - found.score) < 0.05 * found.score for one in copies)
Markdown(f"""
The copies have scores of {", ".join(f"{one.score / unit:.2f}" for one in copies)} thresholds, the picture itself
{found.score / unit:.2f}: noise of two grey levels {"hardly changes it" if calm else "changes it"}. The average
correlates with the attribution of the picture itself by {alike_pixels:.2f}. {outside:.0%} of its absolute sum lies
outside the circle, where the copies differ from the twin by nothing but noise.
""")

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
agreement = table.corr("spearman")
table.round(2)

# %%
agreement.round(2)

# %% tags=["check"]
shift = table["Shapley, light hidden"] - table["Shapley, twin instead"]
with as_written():
    assert agreement.loc["Shapley, light hidden", "Shapley, twin instead"] > 0.8
    assert np.ptp(shift) < 0.05 and abs(shift.mean() - found.base / 6) < 0.03
    assert 0 < agreement.loc["integrated gradients", "Shapley, twin instead"] < 1
    assert table["integrated gradients"].idxmax() == "top" == table["grey levels"].idxmax()
    assert table["Shapley, twin instead"].idxmax() != "top"

# %% tags=["text"]
hidden_twin = agreement.loc["Shapley, light hidden", "Shapley, twin instead"]
ig_twin = agreement.loc["integrated gradients", "Shapley, twin instead"]
Markdown(f"""
Two surprises. **The two games hardly differ**: their Shapley values rank the lights alike, or nearly (rank correlation
{hidden_twin:.2f}) and differ by {shift.min():.2f} to {shift.max():.2f}, about the twin's own score shared out among
the lights ({found.base / len(run.lights):.2f}). A light that shows a part without defect is nearly the same as no
light, because attention over evidence gives it little weight.

**The two methods differ in the same game** (rank correlation {ig_twin:.2f}), although both sum to the same difference.
Shapley values switch whole pictures on and off; integrated gradients fade all six in together and add up what happens
on the way. The score is no sum of lights, so there is no single right way to share it out. On this candy integrated
gradients put `{table["integrated gradients"].idxmax()}` first, as the grey levels do, and Shapley values
`{table["Shapley, twin instead"].idxmax()}`. Name the method when you report one.
""")

# %% [markdown]
# ## Occlusion: no gradients, only windows
# Gradients can mislead where a function bends. Occlusion (Zeiler & Fergus, ECCV 2014) needs none: cover a window of one
# picture with the twin's pixels and see what the score loses. It costs a look at every window, so we ask about two
# lights only.

# %%
asked = ["top", "bottom"]
covered = explain.pixels(run, sample, "occlusion", twin, region=found.region, of=asked)
figure = afrd.figures.pixel_shares(sample, covered).update_layout(width=980)
show(figure, "Occlusion under two lights: windows over the defect change the score, and lower it most under top.")

# %%
of = {light: covered.values[run.lights.index(light)] / unit for light in asked}
drop = pd.DataFrame({"largest loss": {light: np.nanmax(values) for light, values in of.items()},
                     "largest gain": {light: -np.nanmin(values) for light, values in of.items()}})  # fmt: skip
drop.round(3)

# %% tags=["check"]
with as_written():
    assert drop["largest loss"]["top"] > drop["largest loss"]["bottom"]
    assert table["grey levels"]["top"] > table["grey levels"]["bottom"]

# %% tags=["text"]
rises = drop.index[drop["largest gain"] > drop["largest loss"]]
said = f"Under {' and '.join(rises)} that effect is the larger one." if len(rises) else "It is the smaller effect here."
Markdown(f"""
In thresholds, covering the best window under `top` costs {drop["largest loss"]["top"]:.3f}, under `bottom`
{drop["largest loss"]["bottom"]:.3f}. Look at the other column as well: there are windows whose covering *raises* the
score, by up to {drop["largest gain"].max():.3f} (`{drop["largest gain"].idxmax()}`). {said} A light whose evidence at
the defect is below that of the others lowers their weighted mean. The place is the same as with gradients, blurred by
the window.
""")

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
pd.DataFrame(metrics).round(3)

# %% tags=["check"]
with as_written():
    assert metrics["random student"]["pixel_ap"] < metrics["trained"]["pixel_ap"] - 0.1
    assert metrics["random student"]["image_auroc"] > 0.6

# %% tags=["text"]
ap = {name: values["pixel_ap"] for name, values in metrics.items()}
Markdown(f"""
Pixel AP falls from {ap["trained"]:.3f} to {ap["random student"]:.3f}, but image AUROC is still
{metrics["random student"]["image_auroc"]:.3f}, above one half: the memory alone knows what good parts look like.
""")

# %%
blind = explain.pixels(randomised, sample, baseline=twin, region=found.region, steps=STEPS)
show(zoomed(blind), "The attributions with a random student: other pixels, but still at the defect.")
before, after = (np.nan_to_num(result.values) for result in (found, blind))
inside = [result[:, found.region].sum() / result.sum() for result in (before, after)]
same = np.corrcoef(before.ravel(), after.ravel())[0, 1]

# %% tags=["check"]
with as_written():
    assert same < 0.9 and blind.score < found.score and min(inside) > 0.9

# %% tags=["text"]
Markdown(f"""
The explanation has changed (pixelwise correlation {same:.2f}), and the score that it explains is lower: it does
depend on the student, so the check is passed. But look at the picture: {inside[1]:.0%} of the sum still lies inside
the circle (before: {inside[0]:.0%}{"; more than all, where the rest is negative" if max(inside) > 1.005 else ""}), and
it would convince anybody. **A plausible heat map is no proof of a sound
model.** Where half of a model is intact, and the baseline differs from the picture at the defect only, a plausible
picture is no achievement.
""")

# %% [markdown]
# ## All samples: do explanations agree with the physics?
# One candy proves little. For each bad test sample the twin says how many grey levels of the defect each lamp truly
# shows; `attribution.measure` asks whether the evidence ranks the lamps in the same order (Spearman), and how often the
# lamp with the most evidence is the best one, or nearly (hit). `chance` is the hit rate of a blindly drawn lamp, and
# `shown` how much of the defect the named lamp shows, relative to the best one.

# %%
measured = attribution.measure(run, data)
overall = measured.summary(seed=SEED).loc["all"].unstack().loc[list(attribution.KINDS)]
overall.astype(float).round(2)

# %%
named = overall.astype(float).reset_index(names="evidence")
named["up"], named["down"] = named.high - named.hit, named.hit - named.low
figure = px.scatter(named, x="hit", y="evidence", error_x="up", error_x_minus="down", width=700, height=330,
                    title="AFRD: how often each kind of evidence names the best light")  # fmt: skip
figure.add_vline(x=overall.chance.iloc[0], line_dash="dash", annotation_text="chance")
figure.update_xaxes(range=[0, 1], title="hit rate, 95 % bootstrap interval")
show(figure, "Hit rates with intervals for four kinds of evidence; that of attention lies above chance.")

# %% tags=["check"]
with as_written():
    assert (overall.spearman > 0).all()
    assert overall.low["attention"] > overall.chance["attention"]
    assert overall.hit["attention"] > overall.hit["shapley"] and overall.spearman.idxmax() == "attention"

# %% tags=["text"]
hits = overall.astype(float)
above = [kind for kind in hits.index if hits.low[kind] > hits.chance[kind]]
rest = [kind for kind in hits.index if kind not in above]
Markdown(f"""
All rank correlations are positive on average, from {hits.spearman.min():.2f} to {hits.spearman.max():.2f}. Hits are
less certain: chance is {hits.chance.iloc[0]:.2f}, and the interval lies above it for {", ".join(above)}; for
{", ".join(rest) or "none"} it does not. Shapley values hit in {hits.hit["shapley"]:.2f} [{hits.low["shapley"]:.2f},
{hits.high["shapley"]:.2f}] of the cases: they explain *the score* exactly, and say less about *the part*, because an
error that counts how unexpected something is need not grow with its grey levels. Attention weighs it by the picture's
contrast (`EvidenceTerms` in [afrd/model/evidence.py](../afrd/model/evidence.py)) and hits in
{hits.hit["attention"]:.2f} [{hits.low["attention"]:.2f}, {hits.high["attention"]:.2f}].
""")

# %% [markdown]
# ## What to take away
# - Say which question you ask, and what "absent" means.
# - Score the baseline, check completeness, randomise the model.
# - Report losses and gains: a light may also lower the score.
# - Where you can, compare with a part that has no defect.

# %% [markdown]
# ## Exercises
#
# **1. The empty set.** "No light at all is worth nothing" was a choice. Suppose it is worth the threshold
# (`explain.lights(..., empty=unit)`). By how much does each light's Shapley value change?

# %% tags=["exercise"]
answer = None  # six numbers, or one if they are all the same

# %% tags=["answer-check"]
check(answer, lambda given: np.allclose(given, -unit / len(run.lights), atol=1e-3),
      "Subtract `shares.shapley` from the Shapley values with the other empty set.")  # fmt: skip

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# answer = explain.lights(run, test, index, empty=unit).shapley - shares.shapley
# print(pd.Series(answer, run.lights).round(3))
# ```
#
# All values fall by the threshold divided by the number of lights, so no difference changes: the choice moves the zero,
# not the order.
# </details>
#
# **2. Where nothing is wrong.** Explain a disc around a corner of the picture (`corner` below). To what do the Shapley
# values sum there, in thresholds?

# %% tags=["exercise"]
corner = explain.around((SIZE * 0.1, SIZE * 0.1), (SIZE, SIZE))
answer = None  # explain.lights(run, test, index, corner)

# %% tags=["answer-check"]
check(answer, lambda given: abs(given - explain.lights(run, test, index, corner).shapley.sum() / unit) < 0.01,
      "Sum `.shapley` and divide by `unit`.")  # fmt: skip

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# calm = explain.lights(run, test, index, corner)
# answer = calm.shapley.sum() / unit
# print(f"sum {answer:.2f}, score there {calm.score / unit:.2f}")
# ```
#
# They still sum to the score there, and they still rank the lights: Shapley values share out whatever there is, noise
# included. Explain scores that passed the threshold, or say that it was not passed.
# </details>
#
# **3. Without the memory.** Destroy the memory as well: replace `forgetful.bank.patches` by patches of random numbers.
# What pixel AP is left on the test split?

# %% tags=["exercise"]
empty_headed = deepcopy(forgetful)
noise = torch.randn(forgetful.bank.patches.shape, generator=torch.Generator().manual_seed(SEED))
noise = torch.nn.functional.normalize(noise, dim=-1).half()
answer = None  # put the noise into empty_headed.bank.patches, and evaluate an afrd.Run of it

# %% tags=["answer-check"]


def of_nothing():
    broken = deepcopy(forgetful)
    broken.bank.patches = noise
    return afrd.Run(run.folder, broken, run.config, None, run.device).evaluate(test).metrics()["pixel_ap"]


check(answer, lambda given: abs(given - of_nothing()) < 0.01, "`afrd.Run(...)` as for `randomised` above.")

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# empty_headed.bank.patches = noise
# nothing = afrd.Run(run.folder, empty_headed, run.config, None, run.device).evaluate(test).metrics()
# answer = nothing["pixel_ap"]
# print(pd.Series(nothing).round(3))
# ```
#
# Compare with the random student that still had its memory: the check above had randomised half of the model, and it
# was the other half that kept the picture plausible.
# </details>
