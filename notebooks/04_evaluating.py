# %% [markdown]
# # 4. Evaluating
#
# Two tables give different numbers for the same task. What do these numbers count, how sure are they, and above which
# score is a part rejected?
#
# **What you will learn**
# - AUROC, average precision, F1 and AUPRO, each by hand in a few lines and then with the library;
# - why pixel AUROC is optimistic, and what AUPRO gives to a small defect;
# - what one threshold means for the histogram, the ROC, PR and PRO curves and the confusion matrix at once;
# - how to set a threshold that *promises* a rate of false alarms, from a few good parts and no bad one;
# - bootstrap intervals, paired comparisons, and why the test sets of this field are small;
# - why a map must have one colour scale for a whole run.
#
# **Prerequisites**: [notebook 2](02_reverse_distillation.ipynb); notebook 3 helps. **Time**: 25 minutes to read,
# 20 seconds of processor time after notebook 3, whose run on one light it uses. **Seeds**: 0 for data, trainings and
# all draws.
#
# **The code that is explained here**: [afrd/metrics/ranking.py](../afrd/metrics/ranking.py),
# [afrd/metrics/predictions.py](../afrd/metrics/predictions.py),
# [afrd/metrics/bootstrap.py](../afrd/metrics/bootstrap.py), [afrd/figures/](../afrd/figures/).

# %% tags=["setup"]
# The build puts the setup here: Colab and Binder get the package and `course`.

# %%
import os
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
from course import as_written, check, diagram, interval_text, no_axes, show, slider
from IPython.display import Markdown
from plotly.subplots import make_subplots
from scipy.ndimage import label
from scipy.stats import norm

# %%
import afrd
from afrd.candies import render_category
from afrd.metrics import aupro, conformal_threshold, image_metrics, pixel_metrics

# %%
FAST = bool(os.environ.get("AFRD_FAST"))  # for the tests: small pictures, few steps
HOME = Path(os.environ.get("AFRD_NOTEBOOK_DATA") or Path.home() / ".cache" / "afrd-notebooks")
SMALL = {"size": 64, "train": 6, "val": 4, "test_good": 4, "test_bad": 4, "workers": 1} if FAST else {}
EPOCHS = 1 if FAST else 25  # of 5 steps
DRAWS = 200 if FAST else 2000  # of the simulations

# %% tags=["text"]
diagram(
    {
        "images": ["map", "maximum\n= score", "compare with\nthe threshold", "verdict"],
        "all thresholds": ["scores", "ROC, PR", "AUROC, AP"],
        "pixels": ["map", "regions,\nnormal pixels", "PRO curve", "AUPRO"],
    },
    "A map gives a score, the score a verdict; over all thresholds scores give ROC and PR curves, maps the PRO curve.",
)

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
figure = px.strip(A.table, x="score", y="anomalous", color="defects", hover_name="sample", width=760, height=340,
                  title="Patch memory, six lights: scores of good and bad parts")  # fmt: skip
show(figure, "Two rows of dots, good and bad parts, whose scores overlap.")

# %%
bad, good = scores[anomalous], scores[~anomalous]
pairs = (bad[:, None] > good).astype(float) + 0.5 * (bad[:, None] == good)  # (bad, good)
library = image_metrics(anomalous, scores)
assert np.isclose(pairs.mean(), library["image_auroc"])

# %% tags=["text"]
Markdown(f"""
By hand {pairs.mean():.4f}, by the library {library["image_auroc"]:.4f}. With {len(good)} good and {len(bad)} bad
parts there are only {pairs.size} pairs, and a single bad part takes part in {len(good)} of them: one odd part can
move the AUROC by {1 / len(bad):.2f}.
""")

# %% [markdown]
# ## Average precision and F1: what an alarm is worth
# Go down the list from the highest score. At each bad part found, note the **precision**: how many of the parts so
# far were bad. Their mean is the average precision (AP).

# %%
ranked = anomalous[np.argsort(-scores)]
hits = np.cumsum(ranked)
precision, recall = hits / np.arange(1, len(ranked) + 1), hits / ranked.sum()
ap = precision[ranked].mean()
f1 = (2 * precision * recall / (precision + recall + 1e-12)).max()
assert np.isclose(ap, library["image_ap"]) and np.isclose(f1, library["image_f1max"])
pd.DataFrame(
    {"by hand": [ap, f1], "library": [library["image_ap"], library["image_f1max"]]}, index=["AP", "best F1"]
).round(4)

# %% [markdown]
# **Question**: the test set has as many bad parts as good ones, a factory has one in a hundred. Repeat every good
# part ten times. What happens to AUROC, what to AP?

# %%
more = np.concatenate([np.flatnonzero(anomalous), *[np.flatnonzero(~anomalous)] * 10])
factory = image_metrics(anomalous[more], scores[more])
pd.DataFrame({"one to one": library, "one to ten": factory}).round(3)

# %% tags=["check"]
assert np.isclose(factory["image_auroc"], library["image_auroc"])
assert factory["image_ap"] < library["image_ap"]

# %% tags=["text"]
Markdown(f"""
AUROC stays at {factory["image_auroc"]:.3f}, because pairs are pairs. AP falls from {library["image_ap"]:.3f} to
{factory["image_ap"]:.3f}: the same scores raise ten times as many false alarms. AP and F1 can only be compared
between test sets with the same share of bad parts. And note who chose the threshold of the *best* F1: the test set
did. It is a bound, not something that you will get.
""")

# %% [markdown]
# ## Pixels: why pixel AUROC is optimistic
# The same numbers can be computed over pixels. **Question**: which part of all pixels is defective?

# %% tags=["check"]
pixels = pixel_metrics(A.masks, A.maps)
share = A.masks.mean()
at_one = (A.maps[~A.masks] > np.quantile(A.maps[~A.masks], 1 - share)).mean()
with as_written():
    assert 0.003 < share < 0.007 and pixels["pixel_auroc"] > pixels["pixel_ap"] + 0.2

# %% tags=["text"]
Markdown(f"""
{share:.2%} of all pixels. A map that marks as much good surface as there is defect still has a false-alarm rate of
{at_one:.2%}, which pixel AUROC ({pixels["pixel_auroc"]:.3f}) hardly notices. Pixel AP ({pixels["pixel_ap"]:.3f}) does.
""")

# %% [markdown]
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
assert found[toy].mean() > 0.95 and np.mean(overlap) == 0.5
pd.Series({"pixels found": found[toy].mean(), "mean overlap of the regions (PRO)": np.mean(overlap)}).round(2).to_frame(
    "part"
)

# %% [markdown] settings=["0.3", "200"]
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
assert abs(area - aupro(masks, maps)) < 0.01

# %% tags=["text"]
Markdown(f"By hand {area:.3f}, by the library {aupro(masks, maps):.3f}, on half of the rows and columns.")

# %% [markdown]
# ### To move: one threshold
# One threshold decides all of this at once. Move it, and watch the line in the histogram, the points on the three
# curves, and the confusion matrix. Where is precision perfect, and what does it cost? Where is no bad part missed?

# %%
coarse_masks, coarse_maps = A.masks[:, ::4, ::4], A.maps[:, ::4, ::4]
numbered = [label(mask, np.ones((3, 3))) for mask in coarse_masks]
steps = np.quantile(scores, np.linspace(0, 1, 6 if FAST else 41))[:-1]


# %%
def rates_at(at):
    """Rates of false alarms and detections, precision, pixels' false alarms and mean overlap, and the four counts."""
    alarm = scores >= at
    counts = np.array([[(~alarm & ~anomalous).sum(), (alarm & ~anomalous).sum()],
                       [(~alarm & anomalous).sum(), (alarm & anomalous).sum()]])  # fmt: skip
    over = coarse_maps >= at
    parts = [over[i][where == k].mean() for i, (where, count) in enumerate(numbered) for k in range(1, count + 1)]
    return {"false": counts[0, 1] / counts[0].sum(), "found": counts[1, 1] / counts[1].sum(),
            "precision": counts[1, 1] / alarm.sum(), "pixels": over[~coarse_masks].mean(), "pro": np.mean(parts),
            "counts": counts}  # fmt: skip


# %%
curves = pd.DataFrame([rates_at(at) for at in steps])


# %%
def at_threshold(at):
    """What a frame changes: the line, the three points, and the confusion matrix."""
    now = rates_at(at)
    dots = [("false", "found"), ("found", "precision"), ("pixels", "pro")]
    return [go.Scatter(x=[at, at], y=[0, 8], mode="lines", line={"dash": "dash", "color": "#757575"}, showlegend=False),
            *(go.Scatter(x=[now[x]], y=[now[y]], mode="markers", showlegend=False,
                         marker={"size": 12, "color": "#d55e00"}) for x, y in dots),
            go.Heatmap(z=now["counts"], x=["called good", "called bad"], y=["good", "bad"], texttemplate="%{z}",
                       colorscale="Blues", zmin=0, zmax=len(good), showscale=False)]  # fmt: skip


# %%
titles = ("scores", "confusion matrix", "ROC", "precision and recall", "PRO")
figure = make_subplots(
    2, 3, specs=[[{"colspan": 2}, None, {}], [{}, {}, {}]], subplot_titles=titles, vertical_spacing=0.16,
    horizontal_spacing=0.09,
)  # fmt: skip
places = [(1, 1), (2, 1), (2, 2), (2, 3), (1, 3)]
for trace, (row, column) in zip(at_threshold(float(steps[len(steps) // 2])), places, strict=True):
    figure.add_trace(trace, row, column)
bins = {"start": scores.min(), "end": 1.01 * scores.max(), "size": np.ptp(scores) / 20}  # the same for both
for name, values, colour in (("good", good, "#0072b2"), ("bad", bad, "#d55e00")):
    figure.add_trace(go.Histogram(x=values, name=name, xbins=bins, opacity=0.6, marker_color=colour), 1, 1)
for (x, y), column in zip((("false", "found"), ("found", "precision"), ("pixels", "pro")), (1, 2, 3), strict=True):
    figure.add_trace(
        go.Scatter(x=curves[x], y=curves[y], mode="lines", line_color="#0072b2", showlegend=False), 2, column
    )

# %% tags=["thumbnail"]
figure.frames = [go.Frame(data=at_threshold(float(at)), name=f"{at:.3f}", traces=[0, 1, 2, 3, 4]) for at in steps]
figure.update_layout(width=980, height=720, barmode="overlay",
                     title="Patch memory, six lights: one threshold in five views",
                     sliders=[slider([f"{at:.3f}" for at in steps], "threshold ", len(steps) // 2, -0.1)])  # fmt: skip
for column, (x, y) in enumerate(
    (("false alarms", "found"), ("recall", "precision"), ("false alarms of pixels", "overlap")), 1
):
    figure.update_xaxes(title_text=x, row=2, col=column).update_yaxes(title_text=y, range=[0, 1.05], row=2, col=column)
figure.update_yaxes(autorange="reversed", row=1, col=3)
show(
    figure, "Histogram of scores, confusion matrix, ROC, precision-recall and PRO curves, each marked at one threshold."
)

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
assert np.isclose(np.sort(calibration)[k - 1], threshold.value) and np.isclose(threshold.value, A.threshold.value)

# %%
alarms, detected = (good > threshold.value).mean(), (bad > threshold.value).mean()

# %% tags=["text"]
Markdown(f"""
The threshold is number {k} of the {n} sorted scores, {threshold.value:.4f}; the library's is the same. On the test set,
{alarms:.0%} of the good parts raise an alarm where at most {alpha:.0%} were promised, and {detected:.0%} of the bad
ones.
""")

# %% [markdown]
# **Question**: is the promise broken? It is about the *average* over all calibrations that you might have had. Simulate
# a factory in which scores are known: some good parts to calibrate, very many to judge, and that again and again.

# %%
random = np.random.default_rng(0)
rates = pd.DataFrame({
    f"{count} parts": [np.mean(random.normal(size=10_000) > conformal_threshold(random.normal(size=count)).value)
                       for _ in range(DRAWS)] for count in (10, 20, 200)
})  # fmt: skip
figure = px.histogram(rates, barmode="overlay", nbins=80, width=760, height=380,
                      title="Conformal threshold: rate of false alarms",
                      labels={"value": "rate of false alarms", "variable": "calibrated with"})  # fmt: skip
figure.add_vline(x=0.05, line_dash="dash", annotation_text="promised")
show(figure, "Histograms of the rate of false alarms for three sizes of the calibration set; the larger, the narrower.")
rates.describe(percentiles=[0.05, 0.95]).loc[["mean", "5%", "95%"]].round(3)

# %% tags=["check"]
average, spread = rates.mean(), rates.quantile(0.95) - rates.quantile(0.05)
unlucky = rates["20 parts"].quantile(0.95)
with as_written():
    assert average["20 parts"] < 0.055 and average["200 parts"] < 0.055
    assert average["10 parts"] > 0.06 and conformal_threshold(np.arange(10.0)).alpha > 0.05
    assert spread["20 parts"] > 2 * spread["200 parts"] and unlucky > 0.1

# %% tags=["text"] settings=["20", "200"]
Markdown(f"""
With 20 and with 200 parts the average ({average["20 parts"]:.3f} and {average["200 parts"]:.3f}) is what was
promised. With ten it is {average["10 parts"]:.3f} and cannot be less: the highest of ten is exceeded once in eleven
times, and the library says so (`alpha` of the threshold is larger than `wanted`). But look at the width: in one
factory in twenty, a calibration with 20 parts leads to {unlucky:.0%} false alarms or more. More parts make the
promise hold for you, and not only on average.
""")

# %% [markdown]
# ## How sure is a metric?
# Had other parts been in the test set, the AUROC would be another. Draw as many parts as there are, with replacement,
# again and again, and look how far it moves: the **bootstrap**.

# %%
random = np.random.default_rng(0)
drawn = []
for _ in range(DRAWS):
    pick = random.integers(len(scores), size=len(scores))
    drawn.append(image_metrics(anomalous[pick], scores[pick])["image_auroc"])
low, high = np.nanquantile(drawn, [0.025, 0.975])
A.intervals().round(3)

# %% tags=["check"]
row = A.intervals().loc["image_auroc"]
with as_written():
    assert abs(row.low - low) < 0.02 and abs(row.high - high) < 0.02 and high - low > 0.1

# %% tags=["text"] settings=["95 %"]
Markdown(f"""
Image AUROC is {library["image_auroc"]:.3f}; the 95 % interval is [{low:.3f}, {high:.3f}] by hand and [{row.low:.3f},
{row.high:.3f}] by the library. It is {high - low:.2f} wide: a third digit in such a table says nothing.
""")

# %% [markdown]
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

# %% tags=["check"]
with as_written():
    assert (paired < apart).mean() > 0.5 and paired["pixel_ap"] < apart["pixel_ap"]
    assert compared.low["image_auroc"] < 0 < compared.high["image_auroc"] and compared.low["pixel_ap"] > 0

# %% tags=["text"]
Markdown(f"""
The paired interval of pixel AP is {paired["pixel_ap"]:.2f} wide, that of independent parts would be
{apart["pixel_ap"]:.2f}. Memory minus single light: image AUROC {interval_text(compared.loc["image_auroc"])}, which
contains zero, so this test set cannot tell the two apart; pixel AP {interval_text(compared.loc["pixel_ap"])}, which
does not.
""")

# %% [markdown]
# ## How many parts are enough?
# Suppose a method is truly better: AUROC `0.95` against `0.92`, measured on infinitely many parts. **Question**: how
# often does the worse one win, or draw, on a test set of `25` good and `25` bad parts?


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

# %% tags=["check"]
lost = few["the worse one wins"]
with as_written():
    assert lost[25] > 0.15 and lost[400] < 0.02 and 0.02 < few["deviation of one AUROC"][25] < 0.05

# %% tags=["text"] settings=["25", "400", "0.03"]
Markdown(f"""
In {lost[25]:.0%} of the cases, for a difference of 0.03, which papers print in bold. With 400 parts of each kind it is
{lost[400]:.1%}. Ten categories and several seeds are therefore not a luxury, and the number of epochs is fixed
*before* the test set is opened (exercise 3).
""")

# %% [markdown]
# ## One colour scale for a run
# Heat maps are often stretched so that each picture uses all colours. Here is a good part and a bad one, both ways.
# **Question**: what does stretching do to the good one?

# %%
worst_bad, calm_good = int(np.where(anomalous, scores, -1).argmax()), int(np.where(anomalous, np.inf, scores).argmin())
chosen = A.maps[[calm_good, worst_bad]][:, ::2, ::2]  # a good part, a bad part
low, high = chosen.min((1, 2), keepdims=True), chosen.max((1, 2), keepdims=True)
stretched = (chosen - low) / (high - low)  # each from its own minimum to its own maximum
in_thresholds = chosen / threshold.value  # the same unit for all pictures
titles = ("good, stretched", "bad, stretched", "good, in thresholds", "bad, in thresholds")
figure = make_subplots(2, 2, subplot_titles=titles, horizontal_spacing=0.02, vertical_spacing=0.08)
for column in (1, 2):
    figure.add_heatmap(z=stretched[column - 1].round(3), coloraxis="coloraxis", row=1, col=column)
    figure.add_heatmap(z=in_thresholds[column - 1].round(3), coloraxis="coloraxis2", row=2, col=column)

# %%
bar = {"colorscale": "Inferno", "cmin": 0}
figure.update_layout(
    width=780, height=760, title="Patch memory: the same two maps on two colour scales",
    coloraxis=bar | {"cmax": 1, "colorbar": {"len": 0.45, "y": 0.78, "title": "own range"}},
    coloraxis2=bar | {"cmax": 2, "colorbar": {"len": 0.45, "y": 0.22, "title": "× threshold"}},
)  # fmt: skip
no_axes(figure).update_yaxes(autorange="reversed")
show(
    figure,
    "A good and a bad map, stretched above and in units of the threshold below; only there it has no bright place.",
)

# %%
bright = pd.DataFrame({"stretched, above half": (stretched > 0.5).mean((1, 2)),
                       "in thresholds, above one": (in_thresholds > 1).mean((1, 2))},
                      index=["good part", "bad part"])  # fmt: skip
bright.round(3)

# %% tags=["check"]
assert stretched[0].max() == stretched[1].max() == 1
with as_written():
    assert bright.loc["good part", "in thresholds, above one"] == 0 < bright.loc["bad part", "in thresholds, above one"]
    assert bright.loc["good part", "stretched, above half"] > bright.loc["bad part", "stretched, above half"]

# %% tags=["text"] settings=["1"]
Markdown(f"""
Stretched, {bright.iloc[0, 0]:.1%} of the good part is in the upper half of the colours and {bright.iloc[1, 0]:.1%} of
the bad one: the noise of the good part has become its scale. In units of the run's threshold the good part stays
below 1 everywhere, and {bright.iloc[1, 1]:.1%} of the bad one lies above. "Above 1" is the same as "alarm". All
figures of this project draw maps so, from zero to twice the threshold:
""")

# %%
i = worst_bad
figure = afrd.figures.compare_maps(test[i], memory.predict_stored(test, i), one_light.predict_stored(test, i),
                                   names=("patch memory, six lights", "single-light RD"))  # fmt: skip
show(figure.update_layout(width=860, height=470), "A bad part with the maps of two methods, its defect outlined.")

# %% [markdown]
# ## What to take away
# - AUROC counts pairs; AP and F1 depend on the share of bad parts; pixel AUROC is optimistic; AUPRO gives every
#   defect one vote.
# - A threshold comes from good parts that were held back, and its promise is an average.
# - Give the interval with the number, and compare methods on the same parts.
# - One scale for all pictures, in units of the threshold.

# %% [markdown]
# ## Exercises
#
# **1. Random scores.** What AUROC and what AP do random scores have, with one bad part in two, and with one in eleven?
# Put four numbers into `answer`: `[AUROC, AP, AUROC, AP]`.

# %% tags=["exercise"]
dice = np.random.default_rng(1)
answer = None  # four numbers, for 1000 bad parts and 1000, then 10 000 good ones

# %% tags=["answer-check"]
check(answer, [0.5, 0.5, 0.5, 1 / 11], "`image_metrics(truth, dice.random(truth.size))` gives both.", tolerance=0.05)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# answer = []
# for good_parts in (1000, 10_000):
#     truth = np.r_[np.ones(1000, bool), np.zeros(good_parts, bool)]
#     thrown = image_metrics(truth, dice.random(truth.size))
#     answer += [thrown["image_auroc"], thrown["image_ap"]]
# print(np.round(answer, 2))
# ```
# AUROC is one half whatever the share of bad parts; AP is the share itself.
# </details>
#
# **2. Another promise.** Allow `0.2` of false alarms instead. What part of the bad test parts is found?

# %% tags=["exercise"]
answer = None  # conformal_threshold(calibration, ...)

# %% tags=["answer-check"]
check(answer, (bad > conformal_threshold(calibration, 0.2).value).mean(), "Compare `bad` with the threshold's `value`.")

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# bold = conformal_threshold(calibration, 0.2)
# answer = (bad > bold.value).mean()
# print(f"{bold}; found {answer:.0%} instead of {detected:.0%}, false alarms {(good > bold.value).mean():.0%}")
# ```
# </details>
#
# **3. The best epoch.** A training is evaluated on the test set after each of `20` epochs, and the best AUROC is
# reported. Suppose all are truly `0.92`. What is reported on average with `25` good and `25` bad parts? (Take the
# epochs as independent; they are not quite.)

# %% tags=["exercise"]
answer = None  # measured(0.92, 25, 200) gives 200 test sets of one epoch

# %% tags=["answer-check"]
check(answer, lambda found: abs(found - np.stack([measured(0.92, 25, 400) for _ in range(20)]).max(0).mean()) < 0.01,
      "Stack twenty calls of `measured`, take the maximum over the epochs, then the mean.")  # fmt: skip

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# epochs = np.stack([measured(0.92, 25, 200) for _ in range(20)])  # (epochs, test sets)
# answer = epochs.max(0).mean()
# print(f"one epoch, fixed beforehand: {epochs[0].mean():.3f}; the best of 20: {answer:.3f}")
# ```
# The difference comes from the choice alone.
# </details>
