# %% [markdown]
# # 4. Evaluating
#
# A table says 0.95 and another 0.93. What do these numbers count, how sure are they, and at which score does the line
# stop?
#
# **What you will learn**
# - AUROC, average precision, F1 and AUPRO, each by hand in a few lines and then with the library;
# - why pixel AUROC flatters, and what AUPRO gives to a small defect;
# - how to set a threshold that *promises* a rate of false alarms, from 20 good parts and no bad one;
# - bootstrap intervals, paired comparisons, and why 50 test parts are few;
# - why a map must have one colour scale for a whole run.
#
# **Prerequisites**: [notebook 2](02_reverse_distillation.ipynb); notebook 3 helps. **Time**: 25 minutes to read,
# about two minutes to run on two cores the first time, then half a minute. **Seeds**: 0 for data, trainings and all
# draws.
#
# **The code that is explained here**: `afrd/metrics/ranking.py`, `afrd/metrics/predictions.py`,
# `afrd/metrics/bootstrap.py`, `afrd/figures/`.

# %% tags=["setup"]
# The build puts the setup here: Colab and Binder get the package and `course`.

# %%
import os
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.express as px
from course import as_written
from scipy.ndimage import label
from scipy.stats import norm

import afrd
from afrd.candies import render_category
from afrd.metrics import aupro, conformal_threshold, image_metrics, pixel_metrics

# %%
FAST = bool(os.environ.get("AFRD_FAST"))  # for the tests: small pictures, few steps
HOME = Path(os.environ.get("AFRD_NOTEBOOK_DATA") or Path.home() / ".cache" / "afrd-notebooks")
SMALL = {"size": 64, "train": 6, "val": 4, "test_good": 4, "test_bad": 4, "workers": 1} if FAST else {}
EPOCHS = 1 if FAST else 25  # of 5 steps
DRAWS = 200 if FAST else 2000  # of the simulations

# %% [markdown]
# Two methods to compare: reverse distillation on one light (notebook 2), and a patch memory on all six
# (`method="memory"` remembers patches of good parts and trains nothing).

# %%
render_category(HOME / "data" / "candies", "Praline", twins=True, **SMALL)
data = afrd.open_dataset(HOME / "data" / "candies", "Praline")
test, SIZE = data["test_public"], data["train"].image_size[0]
options = {"size": SIZE, "show_progress": False}
one_light = afrd.fit(
    data, "right", HOME / "runs" / "fusing" / f"single-right-{SIZE}-{EPOCHS}", epochs=EPOCHS, **options
)
memory = afrd.fit(
    data, "all", HOME / "runs" / "evaluating" / f"memory-{SIZE}", method="memory", fusion="max", **options
)
A, B = memory.evaluate(test), one_light.evaluate(test)  # Predictions: a table and maps
A.table.head(4)

# %% [markdown]
# ## Image AUROC: pairs in the right order
# A score has no unit; only its order counts. **AUROC is the part of all pairs (a bad part, a good part) in which the
# bad one has the higher score**, a tie counting half. That is the whole definition.

# %%
anomalous = A.table.anomalous.to_numpy(bool)
scores = A.table.score.to_numpy()
px.strip(A.table, x="score", y="anomalous", color="defects", hover_name="sample", width=760, height=320,
         title="Scores of the memory: how many pairs are in the wrong order?").show()  # fmt: skip

# %%
bad, good = scores[anomalous], scores[~anomalous]
pairs = (bad[:, None] > good).astype(float) + 0.5 * (bad[:, None] == good)  # (bad, good)
library = image_metrics(anomalous, scores)
print(f"{pairs.size} pairs, by hand {pairs.mean():.4f}, library {library['image_auroc']:.4f}")
assert np.isclose(pairs.mean(), library["image_auroc"])

# %% [markdown]
# With 20 good and 20 bad parts there are only 400 pairs, and a single part takes part in 20 of them: one odd part
# moves the AUROC by up to 0.05.
#
# ## Average precision and F1: what an alarm is worth
# Go down the list from the highest score. At each bad part found, note the **precision**: how many of the parts so
# far were bad. Their mean is the average precision (AP).

# %%
ranked = anomalous[np.argsort(-scores)]
hits = np.cumsum(ranked)
precision, recall = hits / np.arange(1, len(ranked) + 1), hits / ranked.sum()
ap = precision[ranked].mean()
f1 = (2 * precision * recall / (precision + recall + 1e-12)).max()
print(f"AP by hand {ap:.4f}, library {library['image_ap']:.4f}; best F1 {f1:.4f}, {library['image_f1max']:.4f}")
assert np.isclose(ap, library["image_ap"]) and np.isclose(f1, library["image_f1max"])

# %% [markdown]
# **Question**: the test set has as many bad parts as good ones, a factory has one in a hundred. Repeat every good
# part ten times. What happens to AUROC, what to AP?

# %%
more = np.concatenate([np.flatnonzero(anomalous), *[np.flatnonzero(~anomalous)] * 10])
factory = image_metrics(anomalous[more], scores[more])
pd.DataFrame({"one to one": library, "one to ten": factory}).round(3)

# %%
assert np.isclose(factory["image_auroc"], library["image_auroc"])
assert factory["image_ap"] < library["image_ap"]

# %% [markdown]
# AUROC stays, because pairs are pairs. AP falls: the same scores raise ten times as many false alarms. AP and F1 can
# only be compared between test sets with the same share of bad parts.
#
# And note who chose the threshold of the *best* F1: the test set did. It is a bound, not something that you will get.
#
# ## Pixels: why pixel AUROC flatters
# The same numbers can be computed over pixels. **Guess**: which part of all pixels is defective?

# %%
pixels = pixel_metrics(A.masks, A.maps)
print(f"defective: {A.masks.mean():.2%} of the pixels;", {name: round(value, 3) for name, value in pixels.items()})
with as_written():
    assert 0.003 < A.masks.mean() < 0.007 and pixels["pixel_auroc"] > pixels["pixel_ap"] + 0.2

# %% [markdown]
# About one in two hundred. A map may paint as much good surface as there is defect, and its false-alarm rate is still
# one in a hundred: pixel AUROC hardly notices. Pixel AP does.
#
# ## AUPRO: every defect counts the same
# In pixel AP a large stain outweighs many small dents. AUPRO takes the **regions**: at a threshold, how much of each
# region is found, averaged over the regions. A toy picture with a large defect that is found and a small one that is
# not:

# %%
toy, found = np.zeros((1, 40, 40), bool), np.zeros((1, 40, 40), bool)
toy[0, 5:25, 5:25] = toy[0, 32:36, 32:36] = True  # 400 pixels, and 16
found[0, 5:25, 5:25] = True
regions, count = label(toy[0], np.ones((3, 3)))
overlap = [found[0][regions == number].mean() for number in range(1, count + 1)]
print(f"pixels found {found[toy].mean():.0%}; regions {np.array(overlap)}, mean overlap (PRO) {np.mean(overlap):.0%}")
assert found[toy].mean() > 0.95 and np.mean(overlap) == 0.5

# %% [markdown]
# AUPRO draws this mean overlap against the false-alarm rate of the normal pixels, for all thresholds, and takes the
# area up to a rate of 0.3 (the convention of MVTec 3D-AD and Eyecandies). By hand, with 200 thresholds:


# %%
def by_hand(masks, maps, limit=0.3):
    labelled = [label(mask, np.ones((3, 3))) for mask in masks]
    normal, points = maps[~masks], [(0.0, 0.0)]
    for threshold in np.quantile(normal, 1 - np.linspace(0, 1, 200) ** 2 * limit):
        found = zip(maps >= threshold, labelled, strict=True)
        parts = [one[numbers == k].mean() for one, (numbers, count) in found for k in range(1, count + 1)]
        points.append(((normal >= threshold).mean(), np.mean(parts)))
    rate, pro = np.array(points).T
    return np.trapezoid(pro, rate) / limit, rate, pro


# %%
every = slice(None, None, 2)  # half of the rows and columns: it is slow by hand
masks, maps = A.masks[:, every, every], A.maps[:, every, every]
area, rate, pro = by_hand(masks, maps)
print(f"by hand {area:.3f}, library {aupro(masks, maps):.3f}")
assert abs(area - aupro(masks, maps)) < 0.01
px.line(x=rate, y=pro, width=560, height=360, title=f"Per-region overlap, AUPRO {area:.3f}",
        labels={"x": "false alarms, part of the normal pixels", "y": "mean overlap with a region"}).show()  # fmt: skip

# %% [markdown]
# ## A threshold that promises something
# A metric over all thresholds does not stop a conveyor belt; a threshold does. It must come from **good parts that
# were not trained on**: bad ones are rare, and tomorrow's are unknown. If the next good part is drawn as these were,
# its score is equally likely to take any place in the ranking of the $n + 1$. So the $k$-th smallest of the $n$, with
# $k = \lceil (n + 1)(1 - \alpha) \rceil$, is exceeded with probability at most $\alpha$ (split conformal prediction).

# %%
calibration = memory.calibration_scores()  # scores of the good validation parts
n, alpha = len(calibration), 0.05
k = min(int(np.ceil((n + 1) * (1 - alpha) - 1e-9)), n)
threshold = conformal_threshold(calibration, alpha)
print(f"the {k}-th smallest of {n}: {np.sort(calibration)[k - 1]:.4f}; library: {threshold}")
assert np.isclose(np.sort(calibration)[k - 1], threshold.value) and np.isclose(threshold.value, A.threshold.value)

# %%
alarms, detected = (good > threshold.value).mean(), (bad > threshold.value).mean()
print(f"on the test set: {alarms:.0%} of the good parts raise an alarm, {detected:.0%} of the bad ones")

# %% [markdown]
# **Question**: does that keep the promise? It is about the *average* over all calibrations that you might have had.
# Simulate a factory in which scores are known: 20 good parts to calibrate, 10 000 to judge, and that 2000 times over.

# %%
random = np.random.default_rng(0)
rates = pd.DataFrame({
    f"{count} parts": [np.mean(random.normal(size=10_000) > conformal_threshold(random.normal(size=count)).value)
                       for _ in range(DRAWS)] for count in (10, 20, 200)
})  # fmt: skip
figure = px.histogram(rates, barmode="overlay", nbins=80, width=760, height=360, title="False alarms, asked for: 5 %",
                      labels={"value": "rate of false alarms", "variable": "calibrated with"})  # fmt: skip
figure.add_vline(x=0.05, line_dash="dash").show()
rates.describe(percentiles=[0.05, 0.95]).loc[["mean", "5%", "95%"]].round(3)

# %%
average, spread = rates.mean(), rates.quantile(0.95) - rates.quantile(0.05)
assert average["20 parts"] < 0.055 and average["200 parts"] < 0.055
assert average["10 parts"] > 0.06 and conformal_threshold(np.arange(10.0)).alpha > 0.05
assert spread["20 parts"] > 2 * spread["200 parts"]
assert rates["20 parts"].quantile(0.95) > 0.1

# %% [markdown]
# With 20 and with 200 parts the average is what was promised. With 10 it cannot be: the highest of ten is exceeded
# once in eleven times, and the library says so (`alpha` of the threshold is larger than `wanted`). But look at the
# width: a *single* factory that calibrates with 20 parts may well live with 10 % false alarms. More parts make the
# promise hold for you, and not only on average.
#
# ## How sure is a metric?
# Had other parts been in the test set, the AUROC would be another. Draw 40 parts out of the 40, with replacement,
# again and again, and look how far it moves: the **bootstrap**.

# %%
random = np.random.default_rng(0)
drawn = []
for _ in range(DRAWS):
    pick = random.integers(len(scores), size=len(scores))
    drawn.append(image_metrics(anomalous[pick], scores[pick])["image_auroc"])
low, high = np.nanquantile(drawn, [0.025, 0.975])
print(f"image AUROC {library['image_auroc']:.3f}, 95 % interval by hand [{low:.3f}, {high:.3f}]")
A.intervals().round(3)

# %%
row = A.intervals().loc["image_auroc"]
with as_written():
    assert abs(row.low - low) < 0.02 and abs(row.high - high) < 0.02 and high - low > 0.1

# %% [markdown]
# The interval is more than 0.1 wide. A third digit in such a table says nothing.
#
# ## Are two methods different?
# Two intervals that overlap do **not** mean that nothing can be said: both methods judged the same parts, and a part
# that is hard for one is hard for the other. Draw the parts once for both and look at the *difference*:
# `A.compare(B)`.

# %%
compared = A.compare(B)
compared.round(3)

# %%
interval = A.intervals()
paired = compared.high - compared.low
apart = ((interval.high - interval.low) ** 2 + (B.intervals().high - B.intervals().low) ** 2) ** 0.5
pd.DataFrame({"paired": paired, "as if on other parts": apart}).round(3)

# %%
with as_written():
    assert (paired < apart).mean() > 0.5 and paired["pixel_ap"] < apart["pixel_ap"]

# %% [markdown]
# For most metrics the paired interval is the narrower one. Where it contains zero, this test set cannot tell the two
# apart.
#
# ## Why 50 parts are few
# Eyecandies has 25 good and 25 bad parts a category. Suppose method X is truly better: AUROC 0.95 against 0.92,
# measured on infinitely many parts. **Guess**: how often does the worse one win on 25 + 25?


# %%
def measured(true_auroc, parts, draws):
    """AUROC of `draws` test sets with `parts` good and `parts` bad ones, for normal scores of this true AUROC."""
    apart = np.sqrt(2) * norm.ppf(true_auroc)
    good = random.normal(size=(draws, 1, parts))
    bad = random.normal(apart, size=(draws, parts, 1))
    return (bad > good).mean((1, 2))


rows = {}
for parts in (25, 100, 400):
    better, worse = measured(0.95, parts, DRAWS // 4), measured(0.92, parts, DRAWS // 4)
    rows[parts] = {"deviation of one AUROC": better.std(), "the worse one wins": (worse >= better).mean()}
few = pd.DataFrame(rows).T.rename_axis("good and bad parts, each").round(3)
few

# %%
with as_written():
    assert few["the worse one wins"][25] > 0.15 and few["the worse one wins"][400] < 0.02
    assert 0.02 < few["deviation of one AUROC"][25] < 0.05

# %% [markdown]
# About one time in four, and that for a difference of 0.03, which papers print in bold. With 400 parts it almost
# never happens. Ten categories and several seeds are therefore not a luxury, and the number of epochs is fixed
# *before* the test set is opened (exercise 3).
#
# ## One colour scale for a run
# Heat maps are often stretched so that each picture uses all colours. Here is a good part and a bad one, both ways.
# **Guess** what stretching does to the good one.

# %%
worst_bad, calm_good = int(np.where(anomalous, scores, -1).argmax()), int(np.where(anomalous, np.inf, scores).argmin())
chosen = A.maps[[calm_good, worst_bad]][:, ::4, ::4]  # a good part, a bad part
low, high = chosen.min((1, 2), keepdims=True), chosen.max((1, 2), keepdims=True)
stretched = (chosen - low) / (high - low)  # each from its own minimum to its own maximum
on_scale = np.clip(chosen / threshold.value / 2, 0, 1)  # 0 to two thresholds, for all pictures
figure = px.imshow(np.concatenate([stretched, on_scale]).round(3), facet_col=0, facet_col_wrap=2, zmin=0, zmax=1,
                   color_continuous_scale="Inferno", width=560, height=560)  # fmt: skip
texts = ["good, stretched", "bad, stretched", "good, run's scale", "bad, run's scale"]
figure.for_each_annotation(lambda note: note.update(text=texts[int(note.text.split("=")[1])]))
figure.update_xaxes(visible=False).update_yaxes(visible=False).show()

# %%
glowing = pd.DataFrame({"stretched": (stretched > 0.5).mean((1, 2)), "run's scale": (on_scale > 0.5).mean((1, 2))},
                       index=["good part", "bad part"])  # fmt: skip
print("part of the picture in the upper half of the colours")
glowing.round(3)

# %%
assert stretched[0].max() == stretched[1].max() == 1
with as_written():
    assert glowing.loc["good part", "run's scale"] == 0 < glowing.loc["bad part", "run's scale"]
    assert glowing.loc["good part", "stretched"] > glowing.loc["bad part", "stretched"]

# %% [markdown]
# Stretched, the good part glows as brightly as the bad one, and over a larger area: its noise has become the scale.
# In units of the run's threshold it is calm, and "above 1" is the same as "alarm". All figures of this project draw
# maps so:

# %%
i = worst_bad
figure = afrd.figures.compare_maps(test[i], memory.predict_stored(test, i), one_light.predict_stored(test, i),
                                   names=("patch memory, six lights", "single-light RD"))  # fmt: skip
figure.show()

# %% [markdown]
# ## What to take away
# - AUROC counts pairs; AP and F1 depend on the share of bad parts; pixel AUROC flatters; AUPRO gives every defect one
#   vote.
# - A threshold comes from good parts that were held back, and its promise is an average.
# - Give the interval with the number, and compare methods on the same parts.
# - One scale for all pictures, in units of the threshold.

# %% [markdown]
# ## Exercises
#
# **1. Scores by dice.** What AUROC and what AP do random scores have, with one bad part in two, and one in eleven?
#
# <details><summary>Solution</summary>
#
# ```python
# dice = np.random.default_rng(1)
# for good_parts in (1000, 10_000):
#     truth = np.r_[np.ones(1000, bool), np.zeros(good_parts, bool)]
#     thrown = image_metrics(truth, dice.random(truth.size))
#     print({name: round(value, 2) for name, value in thrown.items()}, "share of bad parts", round(truth.mean(), 2))
#     assert abs(thrown["image_auroc"] - 0.5) < 0.03 and abs(thrown["image_ap"] - truth.mean()) < 0.05
# ```
# AUROC 0.5 whatever the share; AP the share itself.
# </details>
#
# **2. A bolder threshold.** Allow 20 % false alarms. How many more bad parts are found?
#
# <details><summary>Solution</summary>
#
# ```python
# bold = conformal_threshold(calibration, 0.2)
# print(f"{bold}; found {(bad > bold.value).mean():.0%} instead of {detected:.0%}")
# assert bold.value <= threshold.value and (bad > bold.value).mean() >= detected
# ```
# </details>
#
# **3. The best epoch.** A training is evaluated on the test set after each of 20 epochs, and the best AUROC is
# reported. Suppose all 20 are truly 0.92. What is reported on average with 25 + 25 parts? (Take the epochs as
# independent; they are not quite.)
#
# <details><summary>Solution</summary>
#
# ```python
# epochs = np.stack([measured(0.92, 25, 200) for _ in range(20)])  # (epochs, test sets)
# print(f"one epoch, fixed beforehand: {epochs[0].mean():.3f}; the best of 20: {epochs.max(0).mean():.3f}")
# assert epochs.max(0).mean() > epochs[0].mean() + 0.03
# ```
# More than papers fight over, and made of nothing but choice.
# </details>
