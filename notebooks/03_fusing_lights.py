# %% [markdown]
# # 3. Fusing lights
#
# Six pictures of one part, one verdict. *Where* the six become one decides whether the sixth lamp helps or harms.
#
# **What you will learn**
# - two places to fuse: the features before the student, or the evidence after it;
# - mean, maximum, concatenation, attention, and six separate networks, measured on the same parts;
# - why attention over features that is trained by the regression loss **learns to look away** from the defect;
# - the remedy, attention over evidence, which has nothing to learn and nothing to gain from looking away;
# - what one network can do that six cannot: any subset of the lights, without training anew.
#
# **Prerequisites**: [notebook 2](02_reverse_distillation.ipynb). **Time**: 25 minutes to read, about three minutes to
# run on two cores the first time (eleven trainings); rendered data, features and finished runs are kept, so that the
# second time takes less than one. **Seeds**: data and trainings use seed 0. One category, 40 test parts, 125 steps:
# read the direction, not the digits.
#
# **The code that is explained here**: `afrd/model/fusion.py`, `afrd/model/afrd.py`,
# `afrd/analysis/comparison/methods.py`, `afrd/analysis/explain/attention_drift.py`,
# `afrd/analysis/explain/visibility.py`.

# %% tags=["setup"]
# The build puts the setup here: Colab and Binder get the package and `course`.

# %%
import os
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.express as px
import torch
import torch.nn.functional as F

# %%
from course import as_written
from scipy.stats import spearmanr

import afrd
from afrd.analysis.comparison import methods_of
from afrd.analysis.explain import drift, sentence
from afrd.analysis.explain.visibility import evidence_inside, visibility
from afrd.candies import render_category
from afrd.model import AFRD, fuse_evidence
from afrd.runs import crop, learning_rate

# %%
FAST = bool(os.environ.get("AFRD_FAST"))  # for the tests: small pictures, few steps
HOME = Path(os.environ.get("AFRD_NOTEBOOK_DATA") or Path.home() / ".cache" / "afrd-notebooks")
SMALL = {"size": 64, "train": 6, "val": 4, "test_good": 4, "test_bad": 4, "workers": 1} if FAST else {}
EPOCHS = 1 if FAST else 25  # of 5 steps; the library's default is 100
STEPS = 8 if FAST else 100  # of the training that we watch

# %%
render_category(HOME / "data" / "candies", "Praline", twins=True, **SMALL)
data = afrd.open_dataset(HOME / "data" / "candies", "Praline")
test, SIZE = data["test_public"], data["train"].image_size[0]


def trained(name, **options):
    """A finished run; the same call gives it back without training."""
    folder = HOME / "runs" / "fusing" / f"{name}-{SIZE}-{EPOCHS}"
    return afrd.fit(data, out=folder, size=SIZE, epochs=EPOCHS, show_progress=False, **options)


# %% [markdown]
# ## Two places to fuse
#
#     features first:   six pictures -> features of each -> FUSE -> student -> one error map
#     evidence last:    six pictures -> features of each -> student -> six error maps -> FUSE
#
# The first is what the abstract of AFRD (Zhang et al., CASE 2024) describes, and what `target="fused"` does. The
# second is this project's default, `target="lights"`. A third way needs no thought: six networks, one for each light,
# and the mean or the maximum of their maps ("late fusion").
#
# **Guess first**: order these by how well they find defective *pixels*: the best single light; features fused by mean,
# max, concatenation, attention; six networks; one network with evidence fused last.

# %%
singles = [trained(f"single-{light}", lights=light) for light in data.lights]

# %%
by_features = {how: trained(f"features-{how}", target="fused", fusion=how)
               for how in ("mean", "max", "concat", "attention")}  # fmt: skip

# %%
run = trained("evidence")
methods = methods_of([run, *by_features.values(), *singles])
judged = {method.label: method.judge(test) for method in methods}
names = ["image_auroc", "pixel_ap", "aupro"]
results = pd.DataFrame({label: found.metrics() for label, found in judged.items()}).T[names]
results.round(3)

# %%
order = results.pixel_ap.sort_values()
kinds = {"evidence": "one network, evidence fused", "features": "one network, features fused", "late": "six networks"}
kind = [next((name for word, name in kinds.items() if word in label), "one light") for label in order.index]
figure = px.bar(x=order, y=order.index, color=kind, width=860, height=480, title="Pixel AP of all the ways",
                labels={"x": "pixel AP", "y": "", "color": ""})  # fmt: skip
figure.update_yaxes(categoryorder="array", categoryarray=list(order.index)).show()

# %% [markdown]
# What the picture says, and the next cell checks:
# - features fused first do **worse than the better single lights**: adding lamps has made it worse;
# - attention over features does not beat the plain mean of features;
# - six networks, fused by their mean or their maximum, beat every single light;
# - one network with its evidence fused last is better still.

# %%
first = results[results.index.str.contains("features")].pixel_ap
alone = results[results.index.str.startswith("single-light RD,")].pixel_ap
late = results[results.index.str.contains("late")].pixel_ap
last = results[results.index.str.contains("evidence")].pixel_ap
with as_written():
    assert first.max() < alone.max()
    assert first["AFRD, attention over features"] < first["AFRD, mean over features"]
    assert late.min() > alone.max() and last.min() > late.max()

# %% [markdown]
# Image AUROC tells none of them apart with 40 parts; notebook 4 shows how wide its intervals are. Is the difference
# in pixel AP more than luck? Draw the test parts again and again (paired bootstrap: the same parts for both methods):

# %%
evidence, naive = judged["AFRD, attention over evidence"], judged["AFRD, attention over features"]
apart = evidence.compare(naive).loc[names, ["difference", "low", "high"]]
apart.round(3)

# %%
with as_written():
    assert apart.low["pixel_ap"] > 0

# %% [markdown]
# ## Why does naive attention fail?
# In theory attention is at least as good as the mean: it *can* learn equal weights, and begins with them. So let us
# watch it learn something else. The loop is the library's, in small: fuse the features with learned weights, let the
# student regress the fused features, make the error small. We note the mean weight of each light every few steps.

# %%
torch.manual_seed(0)
random = np.random.default_rng(0)
model = AFRD(by_features["attention"].model.config)
optimiser = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.01)
features = run.features(data["train"])  # from the store
present = torch.ones(min(8, len(features)), len(data.lights), dtype=torch.bool)
probe = [scale.float() for scale in features.batch(slice(0, len(present)))]  # the same parts every time


def mean_weights():
    with torch.no_grad():
        shares = model.fusion(probe, present)[1]  # of each scale (B, L, h, w)
    return torch.stack([share.mean((0, 2, 3)) for share in shares]).mean(0).tolist()


# %%
weights = []
for step in range(STEPS):
    if step % 4 == 0:
        weights.append([step, *mean_weights()])
    optimiser.param_groups[0]["lr"] = learning_rate(step, 2 * STEPS, 2e-3)  # the first half of a training
    batch = features.batch(np.sort(random.permutation(len(features))[: len(present)]))
    loss = model.loss([scale.float() for scale in crop(batch, 19, random)], present)
    optimiser.zero_grad(), loss.backward(), optimiser.step()

# %% [markdown]
# **Guess**: which lights gain? Those that show most of the candy, or those that show least?

# %%
watched = pd.DataFrame(weights, columns=["step", *data.lights]).set_index("step")
px.line(watched, width=760, height=380, title="Weight of each light while attention over features is trained",
        labels={"value": "mean weight", "variable": "light"}).add_hline(y=1 / 6, line_dash="dot").show()  # fmt: skip

# %%
brightness = torch.stack([sample.images.mean((1, 2, 3)) for sample in data["train"]]).mean(0).numpy()  # (L,)
final = by_features["attention"].evidence(data["val"]).weights.mean((0, 2, 3)).numpy()  # of the whole training
lights = pd.DataFrame({"mean brightness": brightness, "weight while watched": watched.iloc[-1],
                       "weight after training": final}, index=data.lights)  # fmt: skip
lights.round(3)

# %%
moved = spearmanr(lights["mean brightness"], lights["weight after training"]).statistic
print(f"rank correlation of brightness and weight over the six lights: {moved:+.2f}")
darkest, brightest = lights["mean brightness"].idxmin(), lights["mean brightness"].idxmax()
with as_written():
    assert moved < -0.5
    assert lights["weight after training"].idxmax() == darkest
    assert watched[darkest].iloc[-1] > watched[brightest].iloc[-1]

# %% [markdown]
# **The weights move to the dark lights.** The darkest one ends with the most, the bright ones lose. The same holds
# place by place: within one picture, the weight goes to the lamps that leave this place in the dark. Good parts are
# enough to notice it: `afrd evaluate RUN` holds the attention against how much the parts differ under each light, and
# how much contrast its pictures have.

# %%
table = drift(by_features["attention"], data["train"])
print(sentence(table))
with as_written():
    assert table.contrast.idxmin() == darkest and sentence(table).endswith("drifted to lights that show little.")
table.round(3)

# %% [markdown]
# ### What does it gain by that?
# The fused features are what the student reads *and* what it must say. So attention can lower the loss in two ways:
# by helping the student, or by choosing an easier exam, a mixture in which there is less to say. Compare the training
# loss with that of the plain mean:

# %%
at_end = {how: by_features[how].history().loss.tail(20).mean() for how in ("mean", "attention")}
print(
    {how: round(loss, 3) for how, loss in at_end.items()}, "(lower is easier; a log-likelihood, so it may be negative)"
)
with as_written():
    assert at_end["attention"] < at_end["mean"]

# %% [markdown]
# It does what it was trained for: the loss is lower than that of the mean. And the price? Take every bad part and its
# twin without the defect. **How much of the defect is left in the fused features?**

# %%
bad = [i for i, anomalous in enumerate(test.anomalous) if anomalous]
spoiled = [scale.float() for scale in run.features(test).batch(bad)]
clean = [scale.float() for scale in run.features(data["twins"]).batch(list(range(len(bad))))]
everyone = torch.ones(len(bad), len(data.lights), dtype=torch.bool)
left = {}
for how in ("mean", "attention"):
    fuse = by_features[how].model.fusion
    with torch.no_grad():
        change = [1 - F.cosine_similarity(a, b, dim=1)
                  for a, b in zip(fuse(spoiled, everyone)[0], fuse(clean, everyone)[0], strict=True)]  # fmt: skip
    masks = [F.adaptive_max_pool2d(torch.stack([test.mask(i) for i in bad]).float(), c.shape[-2:]) > 0 for c in change]
    left[how] = sum(c[mask].mean().item() for c, mask in zip(change, masks, strict=True))

# %%
print({how: round(value, 3) for how, value in left.items()})
with as_written():
    assert left["attention"] < 0.9 * left["mean"]

# %% [markdown]
# Less than with the plain mean: the weights have turned away from the pictures in which the defect can be seen. So
# before the student has said a word, a part of the signal is gone.
#
# ### Looking away, sample by sample
# For every bad part, rank the six lights by how plainly they *truly* show the defect (the twin tells), and by the
# weight that attention gives them inside the defect. +1: it looks where there is something to see. -1: it looks away.

# %%
twins = dict(zip(data["twins"].names, data["twins"], strict=True))


def looks(run):
    """Rank correlation of attention and true visibility over the lights, for every bad part."""
    found = []
    for i in bad:
        sample, seen = test[i], run.predict_stored(test, i)
        attention = evidence_inside(sample, seen)["attention"]
        found.append(spearmanr(attention, visibility(sample, twins[sample.name])).statistic)
    return np.array(found)


# %%
looking = {"over features, trained": looks(by_features["attention"]), "over evidence": looks(run)}
px.box(pd.DataFrame(looking), points="all", width=640, height=380, title="Does attention look at the defect?",
       labels={"value": "rank correlation with visibility", "variable": "attention"}).add_hline(y=0).show()  # fmt: skip

# %%
means = {how: values.mean() for how, values in looking.items()}
print({how: f"{value:+.2f}" for how, value in means.items()})
with as_written():
    assert means["over features, trained"] < -0.3 and means["over evidence"] > 0.3

# %% [markdown]
# There it is. Trained attention does not merely miss the informative lights, it *avoids* them. Nobody told it that the
# purpose was to find defects: it has never seen one, and its loss rewards a target that is easy to say.
#
# ## The remedy: attention over evidence
# Let the student regress every light's own features. Then each light $l$ has evidence $E_l$ of its own, and attention
# comes *last*. At every place a light counts as plainly as it shows that something is wrong:
#
# $$a_l = \frac{w_l}{\sum_k w_k}, \qquad w_l = E_l \, e_l \, c_l, \qquad \text{map} = \sum_l a_l E_l.$$
#
# The plain error $e_l$ says which part of what is seen was not expected, the contrast $c_l$ of the picture how strong
# that is, in grey levels: a cosine error alone cannot tell a deep shadow from a faint one. There is nothing to train in
# it, so nothing can learn to look away. In numbers, for one place where two of three lights find something, one of them
# in a picture that is almost dark:

# %%
found, contrast = (torch.tensor(values).view(1, 3, 1, 1) for values in ([0.2, 1.0, 1.3], [20.0, 20.0, 3.0]))
for how in ("mean", "attention", "max"):
    fused, attention = fuse_evidence(found, found * found * contrast, torch.ones(1, 3, dtype=torch.bool), how)
    print(f"{how:10s} map {fused.item():.2f}   weights {attention.flatten().numpy().round(2)}")

# %% [markdown]
# The mean dilutes the lights that see the defect; the maximum believes whoever is loudest, the dark picture with its
# noise. Attention asks who has something to show. On the test set:

# %%
table = results.loc[[f"AFRD, {how} over evidence" for how in ("mean", "attention", "max")]].round(3)
gain = evidence.compare(judged["AFRD, mean over evidence"]).loc["pixel_ap"]
print(f"attention minus mean, pixel AP: {gain.difference:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]")
table

# %%
with as_written():
    assert gain.low > 0 and 0 < table.pixel_ap.iloc[2] - table.pixel_ap.iloc[1] < 0.03

# %% [markdown]
# Attention beats the mean of the *same* evidence beyond chance. The maximum is about as good, here even a little
# ahead: what helps is to believe the lights that found something.
#
# ## Is that a fair comparison with six networks?
# Not quite: `afrd.fit` with several lights also remembers patches of good parts, weighs the student's error with the
# distance to the nearest of them, and excuses half of what such patches raised themselves
# (`afrd/model/patch_memory.py`); the
# single-light networks do not. Take the memory away and look again.

# %%
bare = afrd.load_run(run.folder)
bare.model.bank = None
without, six = bare.evaluate(test), judged["single-light RDs, late mean"]
ways = {"one network, with memory": evidence, "one network, without": without, "six networks, late mean": six}
pd.DataFrame({way: found.metrics() for way, found in ways.items()}).T[names].round(3)

# %%
more, less = (one.compare(six).loc["pixel_ap"] for one in (evidence, without))
for memory, gap in (("with memory", more), ("without", less)):
    print(f"{memory:12s} minus six networks, pixel AP: {gap.difference:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]")
with as_written():
    assert more.low > 0 and less.low < 0 < less.high

# %% [markdown]
# Say what you compared. With the memory, one network finds more defective pixels than six, beyond chance. Without it,
# the two cannot be told apart: the rest is the memory's doing, not that of fusion. What one network has to offer
# for certain is that it is trained once, and that it answers a question which features that were fused first cannot
# answer:
#
# ## Any subset of the lights
# Each light's evidence is its own, so a light that is absent has no influence. A lamp may burn out, or you may ask
# before you buy: how good is the rig with these two?

# %%
sets = [(light,) for light in data.lights] + [("top", "box"), ("right", "left"), ("right", "top", "left"), data.lights]
subsets = pd.DataFrame([
    {"lights": "+".join(lights) if len(lights) < 6 else "all six", "number": len(lights),
     "evidence last": run.evaluate(test, lights=lights).metrics()["pixel_ap"],
     "features first": by_features["attention"].evaluate(test, lights=lights).metrics()["pixel_ap"]}
    for lights in sets
])  # fmt: skip
subsets.round(3)

# %%
with as_written():
    assert (subsets["evidence last"] > subsets["features first"]).all()
    assert subsets["evidence last"].idxmax() >= len(data.lights)
    assert subsets["features first"].iloc[:6].max() < 0.25
    pair, six = subsets.set_index("lights")["evidence last"][["right+left", "all six"]]
    assert pair > six - 0.02

# %% [markdown]
# Evidence fused last is better with every one of these sets, and no single light is as good as the best set of
# several. Features fused first fall apart when lamps are missing: the student was trained on a mixture of six, and a
# mixture of one is a stranger to it. And six are not always needed: here two opposite lamps do as well. `afrd lights
# RUN` weighs up all 63 sets, and says how sure it is.
#
# ## What to take away
# - Weights that are trained to make their own target predictable choose what shows little.
# - Fuse what the lights *found*, not what they *show*.
# - Weights made of what each light shows keep the one that saw it, and are not at the mercy of the one that is noisy.
# - Before you believe a comparison, ask what else differs.

# %% [markdown]
# ## Exercises
#
# **1. How sharp should attention be?** Raise its weights to the power of $q$: 0 is the mean, 1 what AFRD does, and with
# more it turns to one light. Compute pixel AP for $q$ = 0, 0.5, 1, 2, 8 from the evidence of the run.
#
# <details><summary>Solution</summary>
#
# ```python
# from afrd.model import resize
# from afrd.metrics import pixel_metrics
#
# seen = run.evidence(test)
# errors, weights = (resize(part, (SIZE, SIZE)).clamp_min(0) for part in (seen.errors, seen.weights))
# truth = np.stack([test.mask(i).numpy() for i in range(len(test))])
# for q in (0, 0.5, 1, 2, 8):
#     maps, _ = fuse_evidence(errors, (weights / weights.max()) ** q, seen.present)
#     print(q, round(pixel_metrics(truth, maps.numpy())["pixel_ap"], 3))
# ```
# Choosing `q` by this table would be choosing on the test set. The default was fixed on other data; docs/method.md
# says so.
# </details>
#
# **2. The dark, place by place.** We said that attention over features goes to the lamps that leave a *place* dark.
# Check it: correlate, over the lights at each place, the weight with the picture's brightness there.
#
# <details><summary>Solution</summary>
#
# ```python
# shares = by_features["attention"].evidence(data["val"]).weights  # (N, L, h, w)
# bright = torch.stack([F.adaptive_avg_pool2d(sample.images.mean(1), shares.shape[-2:]) for sample in data["val"]])
# x, y = (values - values.mean(1, keepdim=True) for values in (bright, shares))
# agreement = ((x * y).sum(1) / (x.norm(dim=1) * y.norm(dim=1) + 1e-9)).mean()
# print(f"mean correlation over the lights: {agreement:+.2f}")
# with as_written():
#     assert agreement < 0
# ```
# </details>
#
# **3. Which lamp can go?** Leave out one light at a time. Which is missed least?
#
# <details><summary>Solution</summary>
#
# ```python
# rest = {light: [other for other in data.lights if other != light] for light in data.lights}
# lost = {light: run.evaluate(test, lights=others).metrics()["pixel_ap"] for light, others in rest.items()}
# print((pd.Series(lost) - evidence.metrics()["pixel_ap"]).sort_values().round(3).to_string())
# ```
# Small differences, because lights repeat each other. Do not choose by one test set of 40 parts: `afrd lights`
# chooses on one half of the parts and judges on the other.
# </details>
