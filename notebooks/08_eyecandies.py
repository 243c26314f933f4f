# %% [markdown] settings=["27 GB"]
# # 8. Eyecandies: the real data set
#
# Eyecandies (Bonfiglioli et al., ACCV 2022) is the public data set made for this question: ten kinds of candy, six
# pictures of each part under different lights, defects with masks. It is about 27 GB and **downloaded only when you ask
# for it**. This notebook runs on two rendered categories *in the same layout*; set one variable, and the same cells run
# on the real one.
#
# **What you will learn**
# - how to get the data, and what to read before you use it;
# - how its files are named, and the mistake that its numbering invites;
# - the protocol: which split for what, which metrics, which light a published "RGB" figure means;
# - how to make the full table, with intervals, and how to read it.
#
# **Prerequisites**: notebooks 3 and 4. **Time**: 20 minutes to read; on the small set six minutes of
# processor time the first time, most of it for eight trainings. The real set wants a GPU and an evening. **Seeds**:
# `SEEDS` below; one here, several for a table that is to be published.
#
# **The code that is explained here**: [afrd/data/layouts.py](../afrd/data/layouts.py) (file names),
# [afrd/metrics/ranking.py](../afrd/metrics/ranking.py),
# [afrd/analysis/comparison/methods.py](../afrd/analysis/comparison/methods.py),
# [benchmarks/compare.py](../benchmarks/compare.py).

# %% [markdown]
# ## Getting it
# 1. Open the project's page, [eyecan-ai.github.io/eyecandies](https://eyecan-ai.github.io/eyecandies/), and read the
#    terms of use there. **The data has a licence of its own; that of this project's code says nothing about it.** What
#    you may do with the pictures, and with networks trained on them, is decided there and not here.
# 2. `afrd download eyecandies --out /data/Eyecandies --category CandyCane` fetches a category from its authors' place,
#    checks and unpacks it, and goes on where it was stopped; without `--category` all ten. It needs
#    `pip install "afrd[download]"`. Or unpack archives of your own beside each other in one folder.
# 3. Set `EYECANDIES` to that folder before you start Jupyter: `EYECANDIES=/data/Eyecandies make lab`.
#
# Look at genuine pictures on that page before you train: this notebook can show none, because the page states no
# licence under which they could be passed on.
#
# Cite the paper when you report figures: L. Bonfiglioli, M. Toschi, D. Silvestri, N. Fioraio, D. De Gregorio, *The
# Eyecandies Dataset for Unsupervised Multimodal Anomaly Detection and Localization*, ACCV 2022.

# %% tags=["setup"]
# The build puts the setup here: Colab and Binder get the package and `course`.

# %%
import os
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
from course import as_written, check, diagram, interval_text, light_grid, no_axes, picture_uri, show, slider
from IPython.display import Markdown
from plotly.subplots import make_subplots

# %%
import afrd
from afrd.candies import is_complete, render_category
from afrd.data import EYECANDIES_LIGHTS
from afrd.metrics import METRICS

# %%
FAST = bool(os.environ.get("AFRD_FAST"))  # the project's own tests: small pictures, hardly any training
HOME = Path(os.environ.get("AFRD_NOTEBOOK_DATA") or Path.home() / ".cache" / "afrd-notebooks")
REAL = "EYECANDIES" in os.environ
ROOT = Path(os.environ["EYECANDIES"]) if REAL else HOME / "data" / "candies"
SMALL = {"size": 64, "train": 6, "val": 4, "test_good": 4, "test_bad": 4} if FAST else {}
SEEDS = [0]  # for a table to be published: [0, 1, 2]
OPTIONS = {} if REAL else {"size": 64, "epochs": 1, "width": 16} if FAST else {"size": 256, "epochs": 25}
OPTIONS["fusion"] = "attention"

# %% tags=["text"]
diagram(
    {
        "train": ["good samples", "student and\nmemory"],
        "val": ["good samples", "threshold"],
        "test_public": ["good and bad,\nwith masks", "metrics,\nonce, at the end"],
        "test_private": ["no truth", "verdicts only"],
    },
    "Train gives student and memory, val the threshold, test_public the metrics; test_private has no truth.",
)

# %% [markdown]
# The small set: two rendered categories. They imitate the layout and the six lights, not the objects, so **a
# figure from here must never stand in a table beside published ones**.

# %%
for category in () if REAL else ("Praline", "Gumdrop"):
    render_category(ROOT, category, twins=True, workers=1 if FAST else None, **SMALL)
CATEGORIES = afrd.list_categories(ROOT) if REAL else ["Praline", "Gumdrop"]
assert REAL or all(is_complete(ROOT / c, twins=True, **SMALL) for c in CATEGORIES)

# %% [markdown]
# ## The files
# A split is one flat folder: `<Category>/<split>/data/<index>_<item>.<ext>`. Look at the names of one sample.

# %%
folder = ROOT / CATEGORIES[0]
first = {split: sorted(file.name for file in (folder / split / "data").glob("*_image_0.*"))[:2]
         for split in ("train", "test_public")}  # fmt: skip
index = first["test_public"][0].split("_")[0]
assert len(first["train"][0].split("_")[0]) != len(index)
of_one = sorted(file.name for file in (folder / "test_public" / "data").glob(f"{index}_*"))
pd.Series({split: ", ".join(names) for split, names in first.items()} | {"one sample": ", ".join(of_one)}).to_frame(
    "files"
)

# %% [markdown]
# A mistake that is easily made: the index has **another number of digits in each split**. Whoever builds names with
# one format, or sorts them as texts, pairs pictures with other samples' masks. The library parses the number and
# sorts by it.
#
# | item | what it is |
# |---|---|
# | `image_0` … `image_5` | all four spots, bottom spot, right spot, top spot, left spot, light box |
# | `mask`, `bumps_mask`, `dents_mask`, `colors_mask`, `normals_mask` | where the defect is, and of which type |
# | `metadata.yaml` | `anomalous: 0` or `1`, and a flag for each type |
# | `depth`, `info_depth.yaml`, `normals`, `pose.txt` | geometry, which is not used here |

# %%
problems = [problem for category in CATEGORIES for problem in afrd.check(ROOT, category)]
datas = {category: afrd.open_dataset(ROOT, category) for category in CATEGORIES}
sizes = {name: {split: len(data[split]) for split in data.splits} for name, data in datas.items()}
assert all(data.lights == EYECANDIES_LIGHTS for data in datas.values())
pd.DataFrame(sizes).T.assign(problems=len(problems))

# %% [markdown] settings=["1000", "100", "25", "400", "512"]
# Check first: an archive that was cut short shows here, by file name, and not in the last hour of a training. In the
# real set every category has 1000 samples in `train`, 100 in `val`, 25 good and 25 bad in `test_public`, and 400 in
# `test_private` without truth, of 512 × 512 pixels.

# %%
data = datas[CATEGORIES[0]]
bad = next(i for i, anomalous in enumerate(data["test_public"].anomalous) if anomalous)
title = f"A rendered sample of {CATEGORIES[0]} in the Eyecandies layout" if not REAL else f"Eyecandies, {CATEGORIES[0]}"
show(light_grid(data["test_public"][bad], title), "One bad sample under six lights, its defect outlined.")

# %% [markdown] settings=["30 %"]
# ## The protocol
# - **train** to learn from; **val** (good samples) for the threshold; **test_public** once, at the end. `test_private`
#   has no truth: a run can judge it, nobody here can score it.
# - **The number of epochs is fixed beforehand.** The best epoch on the test set is the test set's noise.
# - **Image AUROC**, and **AUPRO** over the whole test set up to 30 % false positives (the definition of MVTec 3D-AD). A
#   mean over categories is the mean of the categories' figures.
# - **Which light?** Published single-light "RGB" figures use `image_4` (M3DM, CFM) or `image_5` (anomalib's converter).
#   They are different problems. Say which.
# - **Few test samples**: report intervals, compare pairwise on the same samples, and train several seeds.
# - **Like with like**: AFRD has a memory of good patches, published reverse distillation has none. So the table below
#   has AFRD without its memory as well: against that, only the lights differ.
#
# AFRD's own code was not available to us; this is an independent re-implementation, and
# [docs/method.md](../docs/method.md) says where it chooses for itself.

# %%
RIVALS = {"AFRD, six lights": "all", "AFRD without memory": "all", "RD, image_4": "left", "RD, image_5": "box"}
RUNS = HOME / "runs" / ("eyecandies" if REAL else "like-eyecandies-fast" if FAST else "like-eyecandies")
runs, judged = {}, {}
for category, data in datas.items():
    for name, lights in RIVALS.items():
        for seed in SEEDS:
            bare = {"memory": 0} if "without" in name else {}
            out = RUNS / f"{category}-{lights}{'-bare' if bare else ''}-{seed}"
            run = afrd.fit(data, lights, out, seed=seed, show_progress=False, **OPTIONS, **bare)
            runs[category, name, seed], judged[category, name, seed] = run, run.evaluate(data["test_public"])

# %% [markdown]
# ## The table
# Every value with its interval, from a bootstrap over the test samples. Before you look: with so few samples, how wide
# will the interval of an image AUROC be?

# %%
shown = ["image_auroc", "pixel_ap", "aupro"]
rows = {}
for (category, name, seed), said in judged.items():
    found = said.intervals(seed=0).loc[shown]
    rows[category, name, seed] = found.apply(lambda r: f"{r.value:.3f} [{r.low:.3f}, {r.high:.3f}]", axis=1)
full = pd.DataFrame(rows).T.rename_axis(["category", "method", "seed"])
full

# %%
values = pd.DataFrame({key: said.metrics() for key, said in judged.items()}).T[list(METRICS)]
values = values.rename_axis(["category", "method", "seed"])
means = values.groupby("method", sort=False).mean()
assert values.notna().all().all() and len(values) == len(CATEGORIES) * len(RIVALS) * len(SEEDS)
means.round(3)

# %% [markdown]
# ### To move: one part, four methods
# The eight bad parts of the first category on which `image_4` and `image_5`, the two pictures of published "RGB"
# figures,
# give the most different scores; the defect is outlined in turquoise. Above, these two pictures and the map of AFRD
# without its memory; below, the maps of the other methods, each in units of its own threshold (dashed line). Which of
# the two lights shows the defect? Does the map of six lights follow it?

# %%
test = datas[CATEGORIES[0]]["test_public"]
bad_parts = [i for i, anomalous in enumerate(test.anomalous) if anomalous]
scores = pd.DataFrame({name: (said := judged[CATEGORIES[0], name, SEEDS[0]]).table.score / said.threshold.value
                       for name in RIVALS}).loc[bad_parts]  # fmt: skip
apart = (scores["RD, image_4"] - scores["RD, image_5"]).abs().sort_values(ascending=False)

# %%
PANELS = {"picture, image_4": "left", "picture, image_5": "box", "AFRD without memory": "left",
          "AFRD, six lights": "left", "RD, image_4": "left", "RD, image_5": "box"}  # fmt: skip


def frame(i):
    """Two pictures and four maps of one part; above each map its score in thresholds."""
    traces, titles = [], []
    for name, light in PANELS.items():
        run = runs.get((CATEGORIES[0], name, SEEDS[0]))
        seen = run and run.predict_stored(test, i)
        traces.append(go.Image(source=picture_uri(afrd.figures.painted(test[i], seen, light, 256)), hoverinfo="skip"))
        titles.append(f"{name}: {seen.score / seen.threshold.value:.2f}" if seen else name)
    return traces, titles


# %% tags=["thumbnail"]
frames = {f"{test.names[i]}, {' and '.join(test.defects[i])}": frame(i) for i in apart.index[:8]}
first_traces, first_titles = next(iter(frames.values()))
figure = make_subplots(2, 3, subplot_titles=first_titles, horizontal_spacing=0.02, vertical_spacing=0.08)
figure.add_traces(first_traces, rows=[1] * 3 + [2] * 3, cols=[1, 2, 3] * 2)
places = [note.to_plotly_json() for note in figure.layout.annotations]
figure.frames = [
    go.Frame(data=traces, name=name, traces=list(range(6)),
             layout={"annotations": [place | {"text": text} for place, text in zip(places, titles, strict=True)]})
    for name, (traces, titles) in frames.items()
]  # fmt: skip
figure.update_layout(width=960, height=800, title=f"{CATEGORIES[0]}: one part, four methods, scores in thresholds",
                     sliders=[slider(list(frames), "part ")])  # fmt: skip
show(no_axes(figure), "Two pictures of a part and its maps by four methods; a slider goes through eight bad parts.")

# %%
found = scores > 1
fourth, fifth = found["RD, image_4"], found["RD, image_5"]
pd.crosstab(
    *(found[f"RD, {name}"].map({True: "found", False: "missed"}).rename(name) for name in ("image_4", "image_5"))
)

# %% tags=["text"]
by_pixels = {
    name: judged[CATEGORIES[0], name, SEEDS[0]].metrics()["pixel_ap"] for name in ("RD, image_4", "RD, image_5")
}
Markdown(f"""
Of the {len(bad_parts)} bad parts of {CATEGORIES[0]}, {(fourth & ~fifth).sum()} are found by `image_4` only and
{(~fourth & fifth).sum()} by `image_5` only; AFRD with six lights finds {found["AFRD, six lights"].sum()},
{(found["AFRD, six lights"] & ~fourth & ~fifth).sum()} of which both lights miss. Pixel
AP is {by_pixels["RD, image_4"]:.3f} under `image_4` and {by_pixels["RD, image_5"]:.3f} under `image_5`, for the same
method, parts and seed. A table that does not name its light leaves that open.
""")

# %% [markdown]
# ## Is one better?
# Two intervals that overlap do not answer this. Compare the two methods *on the same samples*: draw samples, take the
# difference, and see whether its interval lies above zero.

# %%
differences = {}
for category in CATEGORIES:
    ours = judged[category, "AFRD, six lights", SEEDS[0]]
    for rival in list(RIVALS)[1:]:
        differences[category, rival] = ours.compare(judged[category, rival, SEEDS[0]], seed=0).loc["image_auroc"]
paired = pd.DataFrame(differences).T.rename_axis(["category", "AFRD minus"])
paired.drop(columns="better").map("{:.3f}".format).assign(better=paired.better)

# %%
plotted = paired.astype(dict.fromkeys(("difference", "low", "high"), float)).reset_index()
plotted["method"] = plotted["AFRD minus"] + ", " + plotted.category
plotted["verdict"] = ["worse" if low > 0 else "better" if high < 0 else "even"
                      for low, high in zip(plotted.low, plotted.high, strict=True)]  # fmt: skip
figure = afrd.figures.difference_forest(plotted, "image AUROC", "AFRD, six lights").update_layout(width=820)
show(figure, "A point with an interval for each category and rival; some of the intervals touch zero.")

# %% [markdown]
# A point and its interval for each category and each rival; only an interval that does not touch zero tells two methods
# apart. What do the intervals on this small set allow you to say?

# %%
widths = pd.Series({key: said.intervals(seed=0).eval("high - low")["image_auroc"] for key, said in judged.items()})
apart = [verdict != "even" for verdict in plotted.verdict]
ours = judged[CATEGORIES[0], "AFRD, six lights", SEEDS[0]]
pixel = {name: ours.compare(judged[CATEGORIES[0], name, SEEDS[0]], seed=0) for name in list(RIVALS)[1:]}
pd.DataFrame({name: table.loc["pixel_ap"] for name, table in pixel.items()}).T.drop(columns="better").astype(
    float
).round(3)

# %% tags=["check"]
ours, bare = (means.loc[name, "pixel_ap"] for name in ("AFRD, six lights", "AFRD without memory"))
one_light = means.filter(like="RD, image", axis=0).pixel_ap
by_light = {
    category: judged[category, "AFRD without memory", SEEDS[0]].compare(judged[category, one_light.idxmax(), SEEDS[0]])
    for category in CATEGORIES
}
if not REAL:
    with as_written():
        assert widths.max() > 0.1 and ours > max(bare, one_light.max())

# %% tags=["text"] settings=["95 %"]
chance = 1 - 0.95 ** len(apart)
each = ", ".join(f"{category} {interval_text(compared.loc['pixel_ap'])}" for category, compared in by_light.items())
Markdown(f"""
The widest interval of an image AUROC is {widths.max():.2f} wide, so a ranking by the third digit is a ranking of noise.
{sum(apart)} of {len(apart)} differences are told apart. But {len(apart)} independent comparisons at 95 % would show
at least one difference where there is none in {chance:.0%} of all tables: count your comparisons.

Pixel metrics rest on many more decisions. On this {"data set" if REAL else "rendered stand-in"}, the mean pixel AP
over the categories is {ours:.3f} with six lights and a memory, {bare:.3f} with six lights and none, and
{one_light.max():.3f} with the better single light, `{one_light.idxmax()}`: {bare - one_light.max():+.3f} for six
lights by themselves,
{ours - bare:+.3f} for the memory. The first of the two, by category with its intervals: {each}. A mean over categories
hides such differences. Whether any of this holds on Eyecandies is for you to measure.
""")

# %% [markdown]
# ## The commands for the full table
# The same from a terminal, a category a time; on a GPU it is used without being asked for. An interrupted training goes
# on with the same command.

# %%
root = ROOT if REAL else Path("/data/Eyecandies")
real = ["CandyCane", "ChocolateCookie", "ChocolatePraline", "Confetto", "GummyBear", "HazelnutTruffle",
        "LicoriceSandwich", "Lollipop", "Marshmallow", "PeppermintCandy"]  # fmt: skip
print(f"afrd check {root}\nfor c in {' '.join(real)}; do")
for name, options in (("afrd", ""), ("bare", " --memory 0"), ("image4", " --lights 4"), ("image5", " --lights 5")):
    print(f"  afrd train {root} $c --out runs/$c/{name}{options} --seed 0")
    print(f"  afrd evaluate runs/$c/{name} --split test_public --json runs/$c/{name}.json")
print("done")

# %% [markdown]
# For RD4AD as published, with its own teacher and student: `--teacher wide_resnet50_2 --size 256` and a single light.
# `python benchmarks/compare.py ROOT CATEGORY --out FOLDER` trains every fusion, each single light and the patch memory,
# and writes one table with paired differences. `afrd sweep` trains categories, methods and seeds by one plan.

# %% [markdown]
# ## Exercises
#
# **1. Wrong pairs.** Sort the numbers of `test_public` as texts. At which position does the order go wrong first?

# %% tags=["exercise"]
numbers = [str(int(name)) for name in datas[CATEGORIES[0]]["test_public"].names]
answer = None  # a position, counted from 0; "nowhere" if the order stays

# %% tags=["answer-check"]
differing = [i for i, number in enumerate(sorted(numbers)) if number != numbers[i]]
check(answer, str(differing[0]) if differing else "nowhere",
      "Compare `numbers` with `sorted(numbers)`, place by place.")  # fmt: skip

# %% [markdown] settings=["10", "2"]
# <details><summary>Solution</summary>
#
# ```python
# as_texts = sorted(numbers)
# wrong = [i for i, (a, b) in enumerate(zip(numbers, as_texts, strict=True)) if a != b]
# answer = wrong[0] if wrong else "nowhere"
# print(as_texts[:12], "first difference at", answer)
# ```
#
# As texts, "10" comes before "2": with more than ten samples the order is wrong, silently.
# </details>
#
# **2. Seeds and samples.** Train the single light `left` with seed `1` as well. How far apart are the image AUROCs of
# the two seeds?

# %% tags=["exercise"]
category = CATEGORIES[0]
first_seed = judged[category, "RD, image_4", SEEDS[0]].metrics()["image_auroc"]
answer = None  # the absolute difference

# %% tags=["answer-check"]


def between_seeds():
    again = afrd.fit(datas[category], "left", RUNS / f"{category}-left-1", seed=1, show_progress=False, **OPTIONS)
    return abs(again.evaluate(datas[category]["test_public"]).metrics()["image_auroc"] - first_seed)


check(answer, lambda given: abs(given - between_seeds()) < 1e-3, "`afrd.fit(..., seed=1)` into a folder of its own.")

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# again = afrd.fit(datas[category], "left", RUNS / f"{category}-left-1", seed=1, show_progress=False, **OPTIONS)
# answer = abs(again.evaluate(datas[category]["test_public"]).metrics()["image_auroc"] - first_seed)
# width = judged[category, "RD, image_4", SEEDS[0]].intervals(seed=0).eval("high - low")["image_auroc"]
# print(f"between the seeds {answer:.3f}, width of the interval over the samples {width:.3f}")
# ```
#
# Both are uncertainties, of different things: other weights, and other test parts. Report both.
# </details>
#
# **3. Which light?** A paper reports "RGB" without saying which light. Over the categories above, what is the largest
# difference in image AUROC between `image_4` and `image_5`?

# %% tags=["exercise"]
answer = None  # from `values`

# %% tags=["answer-check"]
one, other = (values.xs(name, level="method")["image_auroc"] for name in ("RD, image_4", "RD, image_5"))
check(answer, (one - other).abs().max(), "`values.xs('RD, image_4', level='method')` gives one of the two.", 1e-3)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# fourth, fifth = (values.xs(name, level="method")["image_auroc"] for name in ("RD, image_4", "RD, image_5"))
# answer = (fourth - fifth).abs().max()
# print((fourth - fifth).round(3))
# ```
#
# Compare the difference with the gains that papers report, and always name the light.
# </details>
