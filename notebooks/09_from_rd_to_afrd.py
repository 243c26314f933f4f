# %% [markdown]
# # 9. From reverse distillation to AFRD
#
# Reverse distillation on one light is the beginning, AFRD on six lights with log-variance, memory, expected evidence
# and attention is the end. This notebook adds **one term at a time**, and measures what each brings.
#
# **What you will learn**
# - what every term of AFRD's evidence is, as a picture and as a formula;
# - how to measure the effect of one term, with everything else unchanged;
# - which terms bring something beyond chance here, and for which metric;
# - what a learned attention adds to the formula's, and whether it looks elsewhere.
#
# **Prerequisites**: notebooks 2 to 4; it can be read directly after notebook 3. **Time**: 20 minutes to read, two
# minutes of processor time. **Seeds**: 0 for data and training. One category and one seed:
# [docs/method.md](../docs/method.md) has the same comparison over more of both.
#
# **The code that is explained here**: [afrd/model/evidence.py](../afrd/model/evidence.py),
# [afrd/model/patch_memory.py](../afrd/model/patch_memory.py),
# [afrd/model/learned_fusion.py](../afrd/model/learned_fusion.py).

# %% tags=["setup"]
# The build puts the setup here: Colab and Binder get the package and `course`.

# %%
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
import torch
from course import check, diagram, image, interval_text, no_axes, show, slider
from IPython.display import Markdown
from plotly.subplots import make_subplots
from scipy.stats import spearmanr

# %%
import afrd
from afrd.analysis.explain.visibility import visibility
from afrd.candies import render_category
from afrd.model import fuse_evidence, resize

# %%
FAST = bool(os.environ.get("AFRD_FAST"))  # for the tests: small pictures, few steps
HOME = Path(os.environ.get("AFRD_NOTEBOOK_DATA") or Path.home() / ".cache" / "afrd-notebooks")
SMALL = {"size": 64, "train": 6, "val": 4, "test_good": 4, "test_bad": 4, "workers": 1} if FAST else {}
EPOCHS = 1 if FAST else 25  # of 5 steps; the library's default is 100

# %% tags=["text"]
diagram(
    {
        "student": ["error e and\nlog-variance v", "S = sum of\ne exp(-v/2)"],
        "memory": ["distance D to the\nnearest good patch", "expected evidence U\nof such patches"],
        "evidence": ["E = max(0,\nsqrt(S D) - U/2)", "weight w =\nE e contrast", "map = sum of\nE w / sum of w"],
    },
    "The student gives error S, the memory distance D and expected evidence U; evidence, weights and map follow.",
)

# %% [markdown]
# ## One training, all terms
# All terms come from *one* run, so that nothing else differs: the same teacher, the same student, the same memory. What
# we vary is how they are put together.

# %%
render_category(HOME / "data" / "candies", "Praline", twins=True, **SMALL)
data = afrd.open_dataset(HOME / "data" / "candies", "Praline")
test, SIZE = data["test_public"], data["train"].image_size[0]
run = afrd.fit(data, out=HOME / "runs" / "bridge" / f"learned-{SIZE}-{EPOCHS}", size=SIZE, epochs=EPOCHS,
               fusion="learned", show_progress=False)  # fmt: skip


# %%
def terms_of(split):
    """The terms of the evidence of every sample, (N, L, h, w) each, as the library computes them."""
    features, parts = run.features(split), []
    for i in range(len(features)):
        scales = [scale.float() for scale in features.batch([i])]
        with torch.no_grad():
            parts.append(run.model.terms(scales, features.contrasts([i]).float(), torch.ones(1, len(data.lights)) > 0))
    found = {"S": torch.cat([torch.stack(part.scales).sum(0) for part in parts])}
    for name in ("plain", "contrast", "distance", "usual"):
        found[name] = torch.cat([getattr(part, name) for part in parts])
    return found


t = terms_of(test)
{name: tuple(term.shape) for name, term in t.items()}

# %% [markdown]
# ## The terms as pictures
# For one bad part and the light `left`. **Question**: which term is large at the defect, and which also on edges of the
# *good* surface?

# %%
bad = [i for i, anomalous in enumerate(test.anomalous) if anomalous]
shown = bad[0] if FAST else max(bad, key=lambda i: test.mask(i).sum())
LEFT = data.lights.index("left")
pictures = {
    "plain error e": t["plain"], "e exp(-v/2), log-variance": t["S"], "distance D": t["distance"],
    "expected evidence U": t["usual"], "contrast": t["contrast"],
}  # fmt: skip

# %%
figure = make_subplots(2, 3, subplot_titles=["picture", *pictures], horizontal_spacing=0.02, vertical_spacing=0.07)
outlined = afrd.figures.painted(test[shown], None, "left", SIZE)
figure.add_trace(image(outlined), 1, 1)
for place, term in enumerate(pictures.values(), 1):
    z = resize(term[shown : shown + 1], (SIZE, SIZE))[0, LEFT].numpy()
    figure.add_heatmap(z=(z / z.max()).round(3), coloraxis="coloraxis", row=place // 3 + 1, col=place % 3 + 1)
figure.update_layout(width=980, height=700,
                     title="AFRD: the terms of the evidence under one light, each relative to its maximum",
                     coloraxis={"colorscale": "Inferno", "cmin": 0, "cmax": 1})  # fmt: skip
no_axes(figure).update_yaxes(autorange="reversed")
show(figure, "A bad candy and five maps: error, weighted error, distance, expected evidence, contrast.")


# %% [markdown]
# ## Seven steps
# Each step changes one thing:
#
# 1. **one light**: the plain error $e$ under the light `left` only, as reverse distillation uses it;
# 2. **six lights**: the mean of the six plain errors;
# 3. **log-variance**: the student also predicts how large its own error will be, $v$, and the error is measured in
#    units of that: $S = \sum e\, e^{-v/2}$ (Kendall & Gal, 2017). Where good parts differ from each other, $v$ is
#    large;
# 4. **memory**: $\sqrt{S D}$ with the distance $D$ to the nearest remembered good patch (Roth et al., 2022);
# 5. **expected evidence**: subtract half of $U$, what such patches raised on good parts themselves;
# 6. **attention** instead of the mean: the weight of a light is $E$ times $e$ times contrast (notebook 3);
# 7. **learned attention**: a small network, trained once on labelled rendered parts of many random categories,
#    corrects the weights and scales the map of each light.
#
# One thing is not quite fair: the one student was trained with the log-variance in its loss, which forgives a large
# error where $v$ is large. Its *plain* error was never meant to be small everywhere, so steps 1 and 2 look worse than
# a student that is trained for the plain error alone (notebook 2). Read step 3 as: with this loss, the error has to
# be divided.


# %%
def mean_map(errors):
    """The mean over the lights, (N, L, h, w) -> (N, H, W)."""
    return resize(errors.clamp_min(0), (SIZE, SIZE)).mean(1)


with_memory = (t["S"] * t["distance"]).clamp_min(0).sqrt()
evidence = (with_memory - 0.5 * t["usual"]).clamp_min(0)
weights = resize(evidence * t["plain"] * t["contrast"], (SIZE, SIZE)).clamp_min(0)
everyone = torch.ones(len(test), len(data.lights), dtype=torch.bool)
attended, _ = fuse_evidence(resize(evidence, (SIZE, SIZE)).clamp_min(0), weights, everyone)

# %%
by_library = run.evaluate(test, fusion="attention")
assert np.allclose(attended.numpy(), by_library.maps, atol=1e-4)  # by hand and by the library
maps = {
    "1 one light": mean_map(t["plain"][:, [LEFT]]), "2 six lights": mean_map(t["plain"]),
    "3 log-variance": mean_map(t["S"]), "4 memory": mean_map(with_memory), "5 expected evidence": mean_map(evidence),
    "6 attention": attended, "7 learned attention": torch.from_numpy(run.evaluate(test, fusion="learned").maps),
}  # fmt: skip


def judged(maps):
    table = by_library.table.assign(score=maps.amax((1, 2)).numpy())
    return replace(by_library, maps=maps.numpy(), table=table, threshold=None)


# %%
steps = {name: judged(values) for name, values in maps.items()}
metrics = ["image_auroc", "pixel_ap", "aupro"]
table = pd.DataFrame({name: found.metrics() for name, found in steps.items()}).T[metrics]
table.round(3)

# %%
names = list(steps)
gains = {after: steps[after].compare(steps[before]) for before, after in pairwise(names)}
brought = pd.DataFrame({name: {m: interval_text(found.loc[m]) for m in metrics} for name, found in gains.items()}).T
brought.rename_axis("what this step brings, with 95 % intervals")

# %%
figure = make_subplots(1, 3, subplot_titles=["image AUROC", "pixel AP", "AUPRO"], shared_yaxes=True)
for column, metric in enumerate(metrics, 1):
    rows = pd.DataFrame({name: found.loc[metric] for name, found in gains.items()}).T.astype(float)
    bars = {"array": rows.high - rows.difference, "arrayminus": rows.difference - rows.low}
    figure.add_trace(
        go.Scatter(x=rows.difference, y=rows.index, error_x=bars, mode="markers", showlegend=False), 1, column
    )
    figure.add_vline(x=0, line_dash="dot", row=1, col=column)
figure.update_yaxes(autorange="reversed")
figure.update_layout(width=980, height=420, title="What each step brings, with paired 95 % intervals", margin_l=150)
show(figure, "Points with intervals for six steps and three metrics; some intervals lie above zero, others contain it.")

# %% tags=["text"]
certain = {m: [name[2:] for name in gains if gains[name].low[m] > 0] for m in metrics}
worse = [f"{name[2:]} ({m})" for m in metrics for name in gains if gains[name].high[m] < 0]
largest = max(gains, key=lambda name: gains[name].difference["pixel_ap"])
Markdown(f"""
From the first to the last step, pixel AP goes from {table.pixel_ap.iloc[0]:.3f} to {table.pixel_ap.iloc[-1]:.3f},
AUPRO from {table.aupro.iloc[0]:.3f} to {table.aupro.iloc[-1]:.3f}, image AUROC from {table.image_auroc.iloc[0]:.3f} to
{table.image_auroc.iloc[-1]:.3f}. The largest step in pixel AP is **{largest[2:]}**
({gains[largest].difference["pixel_ap"]:+.3f}).

Steps whose interval lies above zero: in pixel AP {", ".join(certain["pixel_ap"]) or "none"}; in AUPRO
{", ".join(certain["aupro"]) or "none"}; in image AUROC {", ".join(certain["image_auroc"]) or "none"}. Steps that make
a metric worse beyond chance: {", ".join(worse) or "none"}. All others are undecided with these {len(test)} parts.
""")

# %% [markdown]
# ### To move: the steps on one part
# The map of the same part after each step. All maps are divided by their own highest value on the *good* test parts, so
# that above one means: higher than anything on a good part.

# %%
good = [i for i in range(len(test)) if i not in bad]
scaled = {name: (m[shown] / m[good].max()).numpy()[::2, ::2].round(2) for name, m in maps.items()}
figure = make_subplots(
    1, 2, subplot_titles=("picture under left, defect outlined", "map / highest value on good parts")
)
figure.add_trace(image(afrd.figures.painted(test[shown], None, "left", SIZE // 2)), 1, 1)
figure.add_trace(go.Heatmap(z=scaled[names[0]], coloraxis="coloraxis"), 1, 2)
figure.frames = [go.Frame(data=[go.Heatmap(z=z, coloraxis="coloraxis")], name=n, traces=[1]) for n, z in scaled.items()]
figure.update_layout(width=900, height=540, title="From reverse distillation to AFRD, step by step",
                     coloraxis={"colorscale": "Inferno", "cmin": 0, "cmax": 2},
                     sliders=[slider(names, "step ")])  # fmt: skip
no_axes(figure).update_yaxes(autorange="reversed")
show(figure, "A bad candy and its anomaly map, which a slider changes from the first step to the last.")

# %% [markdown]
# ## Where the learned attention looks
# The network saw, in its training, how plainly every light *truly* shows a defect: the mean difference in grey levels
# between a picture and the same picture without the defect. The twins of this test split tell it here. **Question**:
# does the learned attention point at the light that shows the defect, and more often than the formula does?

# %%
NEAR = 0.9  # a light that shows this share of what the best light shows of a defect shows it
twins = dict(zip(data["twins"].names, data["twins"], strict=True))
shown_by = {i: visibility(test[i], twins[test.names[i]]) for i in bad}  # (L,) grey levels


def attention_inside(i, fusion):
    """(L,) The mean attention of each light inside the defect."""
    maps = run.model.maps(run.stored_evidence(test, i), test.image_size, fusion)
    return maps.attention[0][:, test.mask(i)].mean(1).numpy()


# %%
parts = pd.DataFrame([
    {"fusion": fusion, "part": i, "light": data.lights, "visibility": shown_by[i] / shown_by[i].max(),
     "attention": attention_inside(i, fusion)} for fusion in ("attention", "learned") for i in bad
])  # fmt: skip
looks = parts.explode(["light", "visibility", "attention"]).astype({"visibility": float, "attention": float})
figure = px.scatter(looks, x="visibility", y="attention", color="light", facet_col="fusion", width=980, height=420,
                    title="Attention inside the defect against its true visibility, one dot a light and part",
                    labels={"visibility": "visibility, share of the best light's"})  # fmt: skip
show(figure, "Two scatter plots, formula and learned: attention rises with the visibility of the defect in both.")

# %%
parts["rank correlation"] = [spearmanr(part.visibility, part.attention).statistic for part in parts.itertuples()]
parts["shows it"] = [part.visibility[part.attention.argmax()] >= NEAR for part in parts.itertuples()]
agreement = parts.groupby("fusion")[["rank correlation", "shows it"]].mean()
agreement.round(2)

# %% tags=["text"]
hits = agreement["shows it"]
more = hits["learned"] - hits["attention"]
said = "With so few parts, that may be chance."
if abs(more) > 0.15:
    said = f"On these parts the {'learned' if more > 0 else 'formula'} attention looks better."
Markdown(f"""
The light with the most attention of the formula shows the defect (within {1 - NEAR:.0%} of the best one) in
{hits["attention"]:.0%} of {len(bad)} parts, the learned one in {hits["learned"]:.0%}. {said}
[docs/method.md](../docs/method.md) has the same on other categories.
""")

# %% [markdown]
# ### Which of its two outputs helps?
# The network gives each light a weight *and* scales its map. Take either of them alone, with the formula's other one.

# %%
own = run.evidence(test)
learned = run.model.learned(own)
combined = {}
for maps_of, errors in (("formula", own.errors), ("learned", learned.errors)):
    for weights_of, weights in (("formula", own.weights), ("learned", learned.weights)):
        enlarged = [resize(values, (SIZE, SIZE)).clamp_min(0) for values in (errors, weights)]
        combined[maps_of, weights_of] = judged(fuse_evidence(*enlarged, everyone)[0])
both = pd.DataFrame({key: found.metrics() for key, found in combined.items()}).T[metrics]
both.rename_axis(["maps", "weights"]).round(3)

# %% tags=["text"] settings=["95 %"]
base = combined["formula", "formula"]
gain = {which: combined[key].compare(base) for which, key in
        {"the weights": ("formula", "learned"), "the scaled maps": ("learned", "formula")}.items()}  # fmt: skip
lines = [f"- **{which} alone**: " + ", ".join(f"`{name}` {interval_text(rows.loc[name])}" for name in metrics)
         for which, rows in gain.items()]  # fmt: skip
above = sum(rows.loc[name].low > 0 for rows in gain.values() for name in metrics)
Markdown(f"""
What each of them brings beside the formula's attention, with 95 % intervals:

{chr(10).join(lines)}

{above} of {len(gain) * len(metrics)} intervals lie above zero. Neither output stands out in all metrics, and what
either brings is small beside the largest of the steps above.
""")

# %% [markdown]
# ## What the log-variance knows
# The student predicts $v$ without seeing a defect: it learned where its own errors are large on good parts. If that is
# so, dividing by it must make the errors of *good* parts more even. Measure how much they vary: the standard deviation
# over places, relative to the mean.

# %%
spread = {name: (t[key][good].std() / t[key][good].mean()).item() for name, key in (("plain e", "plain"), ("S", "S"))}
ratio = {name: (t[key][bad].amax((1, 2, 3)).median() / t[key][good].amax((1, 2, 3)).median()).item()
         for name, key in (("plain e", "plain"), ("S", "S"))}  # fmt: skip
pd.DataFrame({"relative deviation on good parts": spread, "median maximum, bad / good": ratio}).round(3)

# %% tags=["text"]
said = "Errors on good parts are more even, as expected."
if spread["S"] >= spread["plain e"]:
    said = "So the errors of good parts have not become more even."
Markdown(f"""
On good parts the relative deviation is {spread["plain e"]:.2f} for the plain error and {spread["S"]:.2f} for $S$; the
median maximum of bad parts is {ratio["plain e"]:.2f} times that of good parts for the plain error, {ratio["S"]:.2f}
times for $S$. {said}
""")

# %% [markdown]
# ## What to take away
# - AFRD is reverse distillation, a patch memory, and a rule for lights; each part can be measured by itself.
# - Add one term at a time, with paired intervals; a term can help one metric and not another.
# - The order of the steps matters for what each seems to bring (exercise 2).

# %% [markdown]
# ## Exercises
#
# **1. All or half?** AFRD subtracts half of $U$. What pixel AP does the mean over the lights have if *all* of $U$ is
# subtracted?

# %% tags=["exercise"]
answer = None  # judged(mean_map(...)).metrics()["pixel_ap"]

# %% tags=["answer-check"]
check(answer, lambda found: abs(found - judged(mean_map(with_memory - t["usual"])).metrics()["pixel_ap"]) < 0.002,
      "`mean_map(with_memory - t['usual'])`; it cuts negative values itself.")  # fmt: skip

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# answer = judged(mean_map(with_memory - t["usual"])).metrics()["pixel_ap"]
# print(f"none {table.pixel_ap['4 memory']:.3f}, half {table.pixel_ap['5 expected evidence']:.3f}, all {answer:.3f}")
# ```
# The share was fixed on other data ([docs/method.md](../docs/method.md)), not on this test set.
# </details>
#
# **2. Another order.** Leave the log-variance out, and keep everything else of step five: the plain error in the place
# of $S$. What pixel AP does the mean have? What does the log-variance bring, when it comes last?

# %% tags=["exercise"]
answer = None

# %% tags=["answer-check"]


def without_variance():
    plain = (t["plain"] * t["distance"]).clamp_min(0).sqrt() - 0.5 * t["usual"]
    return judged(mean_map(plain)).metrics()["pixel_ap"]


check(answer, lambda found: abs(found - without_variance()) < 0.002, "sqrt(plain D) - U / 2, then `mean_map`.")

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# plain = (t["plain"] * t["distance"]).clamp_min(0).sqrt() - 0.5 * t["usual"]
# answer = judged(mean_map(plain)).metrics()["pixel_ap"]
# last = table.pixel_ap["5 expected evidence"] - answer
# first = table.pixel_ap["3 log-variance"] - table.pixel_ap["2 six lights"]
# print(f"added first {first:+.3f}, added last {last:+.3f}")
# ```
# ($U$ was measured with the log-variance in it, so this is an approximation; a fair comparison fills the memory anew.)
# </details>
