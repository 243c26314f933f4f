# %% [markdown] settings=["8", "16"]
# # 7. Your own rig
#
# A camera, seven lights, a box of good parts, and file names that nobody planned. From that folder to a run that you
# can copy elsewhere, in four steps: **check, train, look, take away**.
#
# **What you will learn**
# - the folder layout for pictures of your own: any number of lights, any names, grey or colour, 8 or 16 bit;
# - to find what is wrong with a data set before a training finds it for you;
# - what can be promised with few good parts, and how many are needed to promise more;
# - to judge a new part, also when a lamp is broken;
# - what a run folder holds, and that it works elsewhere.
#
# **Prerequisites**: notebook 1; the rest is explained here. **Time**: 20 minutes to read, two and a half
# minutes of processor time. **Seeds**: 0 for the parts and the training.
#
# **The code that is explained here**: [afrd/data/layouts.py](../afrd/data/layouts.py),
# [afrd/data/check.py](../afrd/data/check.py),
# [afrd/data/dataset.py](../afrd/data/dataset.py), [afrd/runs/run_folder.py](../afrd/runs/run_folder.py) and
# [afrd/runs/run.py](../afrd/runs/run.py). The
# commands `afrd check`, `train`, `evaluate` and `predict` do the same from a terminal.

# %% tags=["setup"]
# The build puts the setup here: Colab and Binder get the package and `course`.

# %%
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from course import as_written, check, diagram, light_grid, show, slider
from IPython.display import Markdown
from PIL import Image

# %%
import afrd
from afrd.analysis.reports.errors import csv
from afrd.candies import render_category, spot_ring
from afrd.runs import split_train

# %%
FAST = bool(os.environ.get("AFRD_FAST"))  # the project's own tests: small pictures, hardly any training
HOME = Path(os.environ.get("AFRD_NOTEBOOK_DATA") or Path.home() / ".cache" / "afrd-notebooks")
SEED, SIZE = 0, 64 if FAST else 256  # side of the pictures, and of the teacher's input
COUNTS = {"train": 5, "test_good": 2, "test_bad": 2} if FAST else {"train": 30, "test_good": 10, "test_bad": 10}
EPOCHS = 1 if FAST else 100
RIG = HOME / "data" / ("my-rig-fast" if FAST else "my-rig")

# %% tags=["text"]
diagram(
    {"": ["folder of\npictures", "check", "train", "look", "copy the\nrun folder"]},
    "A folder of pictures is checked, a run is trained on it and looked at, and the run folder is copied elsewhere.",
)

# %% [markdown] settings=["16"]
# ## A folder of pictures
# You have a real folder; this notebook has to make one. Six spots in a ring and a light box are rendered, and the
# pictures are given the names and formats that real ones have: spaces, umlauts, dots, a light called `6`, a grey one
# with 16 bits from an infrared camera. **Skip this section and set `RIG` to your folder if you have pictures.**

# %%
source = render_category(HOME / "data" / ("ring-fast" if FAST else "ring"), "Gumdrop", size=SIZE, seed=SEED, val=1,
                         lights=spot_ring(6), workers=1 if FAST else None, **COUNTS)  # fmt: skip
NAMES = ["Spot rechts.png", "Spot rechts hinten.png", "cam1.left-back.png", "6.bmp", "NIR 850nm.png", "Lampe_ü.png",
         "dome (new).png"]  # fmt: skip
rendered = afrd.open_dataset(source.parent, "Gumdrop")


def bring(picture, target):
    """A picture under the name that the owner of the rig gave it; the infrared one grey with 16 bits."""
    target.parent.mkdir(parents=True, exist_ok=True)
    image = Image.open(picture)
    if target.name.startswith("NIR"):
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    image.save(target)


# %%
def places(split, root=RIG):
    """(rendered picture, place in the rig's folder) of a split, in the layout for folders of one's own."""
    for i, name in enumerate(rendered[split].names):
        kind = "+".join(rendered[split].defects[i]) or "good"
        folder = root / "gumdrops" / split.removesuffix("_public") / kind / f"part {int(name) + 1:03d}"
        yield from ((rendered[split].picture(i, light), folder / NAMES[j]) for j, light in enumerate(rendered.lights))


for picture, target in (pair for split in ("train", "test_public") for pair in places(split)):
    if not target.exists():
        bring(picture, target)
part = RIG / "gumdrops" / "train" / "good" / "part 002"
pd.DataFrame({str(part.relative_to(RIG)): sorted(file.name for file in part.iterdir())})

# %% [markdown]
# The layout is all that the library asks for:
#
#     <RIG>/<category>/train/good/<part>/<light>.png      good parts to learn from: this alone is enough to begin
#     <RIG>/<category>/val/good/<part>/<light>.png        optional: good parts for the threshold
#     <RIG>/<category>/test/<good or defect>/<part>/<light>.png      optional: to measure
#     <RIG>/<category>/ground_truth/<defect>/<part>.png   optional: white where defective
#
# A light's name is its file's name without the ending. The camera must not move between the lights of a part.

# %% [markdown]
# ## 1. Check
# Real folders are rarely clean. Here are four accidents that happen in practice, made in a copy of the folder. What
# would a training make of each of them?

# %%
COPY = RIG.with_name(f"{RIG.name}-accidents")
shutil.rmtree(COPY, ignore_errors=True)
shutil.copytree(RIG, COPY)
parts = COPY / "gumdrops" / "train" / "good"
(parts / "part 001" / "NIR 850nm.png").unlink(missing_ok=True)  # the camera timed out
Image.open(parts / "part 003" / "6.bmp").resize((SIZE // 2, SIZE)).save(parts / "part 003" / "6.bmp")  # other binning
cut = (parts / "part 004" / "dome (new).png").read_bytes()[:200]
(parts / "part 004" / "dome (new).png").write_bytes(cut)  # the disk was full
stray = COPY / "gumdrops" / "ground_truth" / "dents" / "part 099.png"
stray.parent.mkdir(parents=True, exist_ok=True)
Image.new("L", (SIZE, SIZE)).save(stray)  # the mask of a part that was never photographed

# %%
problems = afrd.check(COPY)
pd.DataFrame([{"file": str(problem.file), "what is wrong": problem.what} for problem in problems]).style.hide()

# %% tags=["check"]
assert len(problems) == 4
assert {Path(problem.file).parent.name for problem in problems} == {"part 001", "part 003", "part 004", "dents"}

# %% tags=["text"]
missing = next(problem for problem in problems if "missing" in problem.what)
Markdown(f"""
Each finding names its file, so one can go and mend it. The missing picture is called `{Path(missing.file).name}`, with
the ending that this light's other pictures have.
""")

# %% [markdown]
# Nothing is repaired behind your back: whether a missing
# picture is taken again, or the part is left out, is your decision. Here we fetch the pictures again.

# %%
stray.unlink()
for picture, target in places("train", COPY):
    if target.parent.name in ("part 001", "part 003", "part 004"):
        bring(picture, target)
assert afrd.check(COPY) == [] == afrd.check(RIG)

# %% [markdown]
# ### An accident that no check of files can see
# A part with a defect was put among the good ones, here the first bad one of the test split as `part 099`. What a
# training part shows is taken for normal. But such a part is farther from the others than these are from one another.
# A patch memory (notebook 3) is filled without training, and says how far each part is from all others.

# %%
bad = rendered["test_public"].anomalous.index(True)
for light, name in zip(rendered.lights, NAMES, strict=True):
    bring(rendered["test_public"].picture(bad, light), parts / "part 099" / name)
spoilt = afrd.open_dataset(COPY, "gumdrops")
memory = afrd.fit(spoilt, out=HOME / "runs" / COPY.name, method="memory", size=SIZE, show_progress=False)
far = memory.training_parts()
far.head(4).round(2)

# %% tags=["check"]
assert far.part.str.contains("part 099").sum() == 1 and far.ratio.is_monotonic_decreasing

# %% tags=["text"]
rank = int(far.part.str.contains("part 099").to_numpy().argmax()) + 1
named = far[far.unusual].part.tolist()
Markdown(f"""
`ratio` compares a part's distance to all others with that of the median part, under the light where it is largest;
`deviation` says how unusual that is. The bad part ({", ".join(rendered["test_public"].defects[bad])}) has rank {rank}
of {len(far)}. {f"Named as unusual: {', '.join(named)}." if named else "No part is unusual enough to be named."}

`afrd train` prints the named ones, and `run.training_parts()` has this table after every training with a memory. A
small defect, or one that several training parts have, stays hidden, above all where good parts differ as much as these
do; so look at the first rows whether a part is named or not.
""")

# %%
shutil.rmtree(parts / "part 099")

# %%
data = afrd.open_dataset(RIG, "gumdrops")
pd.Series({"lights": ", ".join(data.lights)} | {split: len(data[split]) for split in data.splits}).to_frame("value")

# %% tags=["check"]
assert len(data.lights) == 7 and "6" in data.lights

# %% [markdown]
# Lights are sorted by name; call them by name. (`6` is a name here; a number that is nobody's name
# counts positions.)

# %%
sample = data["test"][len(data["test"]) - 1]
show(light_grid(sample, f"{sample.name} under seven lights", columns=4), "One candy in seven pictures; one is grey.")

# %% [markdown]
# ## 2. Train
# There is no `val` folder, so every fifth training part is kept back for the threshold. How many false alarms can be
# promised with so few?

# %%
options = {"size": SIZE, "epochs": EPOCHS, "seed": SEED, "fusion": "attention"}
run = afrd.fit(data, out=HOME / "runs" / RIG.name, show_progress=False, **options)
trained_on, _ = split_train(data)
promise = run.threshold()
assert np.isclose(promise.alpha, 1 / (promise.samples + 1)) and promise.alpha > promise.wanted

# %% tags=["text"]
Markdown(f"""
It is trained on {len(trained_on)} of {len(data["train"])} parts; {promise.samples} are kept back for the threshold.
With $n$ good parts that the network has not seen, a new good part lies above all of them with probability at most
$1/(n+1)$, here {promise.alpha:.1%}: that much can be promised and no more. For {promise.wanted:.0%} you need
{round(1 / promise.wanted) - 1} good parts in `val`. Photograph them; they cost less than false alarms.
""")

# %% [markdown]
# ### To move: how many good parts?
# The more good parts are kept back, the less the real rate of false alarms varies from one calibration to the next.
# Each frame shows many stations that calibrate with $n$ parts and ask for the same promise.

# %%
counts = [5, 20, 200] if FAST else [5, 10, 19, 40, 100, 200, 400]
dice = np.random.default_rng(SEED)
rates = {}
for n in counts:
    k = min(int(np.ceil((n + 1) * 0.95)), n)  # the k-th smallest of n is the threshold
    rates[n] = 1 - dice.beta(k, n + 1 - k, size=2000)  # the share of good parts above it, for 2000 stations

# %%
frames = [
    go.Frame(data=[go.Histogram(x=r, xbins={"start": 0, "end": 0.6, "size": 0.01})], name=str(n))
    for n, r in rates.items()
]
figure = go.Figure(frames[0].data, frames=frames)
figure.add_vline(x=0.05, line_dash="dash", annotation_text="wanted")
figure.update_layout(width=760, height=430, title="Conformal threshold: false alarms of many stations",
                     xaxis={"title": "rate of false alarms", "range": [0, 0.6]}, yaxis_title="stations",
                     sliders=[slider([str(n) for n in counts], "good parts in val: ", top=-0.15)])  # fmt: skip
show(figure, "A histogram of the false-alarm rates of many stations, which gets narrow as the number of parts grows.")

# %% tags=["text"]
Markdown(f"""
With {counts[0]} parts the average rate is {rates[counts[0]].mean():.1%}, and one station in twenty has more than
{np.quantile(rates[counts[0]], 0.95):.0%}; with {counts[-1]} parts it is {rates[counts[-1]].mean():.1%} and
{np.quantile(rates[counts[-1]], 0.95):.0%}.
""")

# %%
figure = afrd.figures.training_curve(run.history()).update_layout(width=700, height=320, title="AFRD: training loss")
show(figure, "The training loss falls steeply and then slowly.")

# %% [markdown]
# ## 3. Look

# %%
table = run.evaluate(data["test"])
table.table.round(2)

# %% tags=["check"]
metrics = table.metrics()
with as_written():
    assert metrics["image_auroc"] > 0.7
    assert np.isnan(metrics["aupro"])  # there are no masks, so nothing is said about pixels

# %% tags=["text"] settings=["4"]
Markdown(f"""
Image AUROC is {metrics["image_auroc"]:.2f}, image AP {metrics["image_ap"]:.2f}. There are no masks in this folder, so
nothing is said about pixels; the image metrics need only the folder names. {len(table.table)} parts are few (notebook
4). Look at the highest score rather than at the third digit: under which lights is the error, and is it where you see
the defect?
""")

# %%
worst = int(table.table.score.idxmax())
sample = data["test"][worst]
seen = run.predict(sample)
title = f"AFRD: {sample.name}, {seen.verdict}, {seen.score / seen.threshold.value:.2f} × threshold"
show(light_grid(sample, title, seen, columns=4), "Seven pictures with the error map of each light over them.")

# %% tags=["check"]
with as_written():
    assert sample.anomalous and seen.verdict == "anomalous"

# %% [markdown]
# ### A new part, and a broken lamp
# In production there is neither a folder nor a label: there are files, one a light. Now two lamps are broken. The run
# takes any subset of its lights, and has a threshold for each.

# %%
folder = data["test"].picture(worst, data.lights[0]).parent
files = {file.stem: file for file in folder.iterdir()}
broken = {"6", "dome (new)"}
part = afrd.read_sample({light: file for light, file in files.items() if light not in broken}, name="from the line")
tonight = run.predict(part)

# %% tags=["check"]
assert len(tonight.lights) == 5 and broken.isdisjoint(tonight.lights)
with as_written():
    assert tonight.verdict == seen.verdict

# %% tags=["text"]
Markdown(f"""
With {len(tonight.lights)} lights the score is {tonight.score:.2f} and the threshold {tonight.threshold.value:.2f}
({tonight.verdict}); with all it is {seen.score:.2f} and {seen.threshold.value:.2f} ({seen.verdict}). The verdict is
the same.
""")

# %% [markdown]
# Whether that holds for *all* defects is the question of a rig's designer: which
# lights are needed, and what is lost without one? `afrd lights RUN` answers it for all sets of lights.

# %% [markdown]
# ## 4. Take away
# A run is a folder. What is in it, and does it work somewhere else?

# %%
elsewhere = Path("taken-away")
shutil.copytree(run.folder, elsewhere, dirs_exist_ok=True)
kept = sorted(file for file in elsewhere.rglob("*") if file.is_file())
(elsewhere / "test.csv").write_text(csv(table.table), encoding="utf-8")
again = afrd.load_run(elsewhere)
assert again.predict(sample).score == seen.score
pd.Series({file.name: f"{file.stat().st_size / 1e3:.1f} kB" for file in kept}).to_frame("size")

# %% [markdown] settings=["6"]
# The copy gives the same score to the last digit. The weights are stored as safetensors and the settings as JSON, so
# opening a stranger's run never executes anything. The folder holds the student, the remembered patches and the
# calibration, not your pictures; the teacher comes with the package.
#
#     afrd predict taken-away "6=new/6.bmp" "dome (new)=new/dome.png"
#     afrd app --runs . --data <your folder>

# %% [markdown] settings=["1 %", "90 degrees"]
# ## Exercises
#
# **1. A stricter promise.** How many good parts in `val` would promise 1 %? Work it out, then check it with
# `afrd.metrics.conformal_threshold` on made-up scores.

# %% tags=["exercise"]
answer = None  # a number of parts

# %% tags=["answer-check"]
check(answer, 99, "1 / (n + 1) must be at most 0.01.")

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# from afrd.metrics import conformal_threshold
#
# made_up = np.random.default_rng(SEED).normal(size=99)
# print(conformal_threshold(made_up[:98], 0.01), conformal_threshold(made_up, 0.01), sep="\n")
# answer = 99
# ```
#
# $1/(n+1) \le 0.01$ needs $n \ge 99$. With one fewer the promise is a little worse, which the threshold says itself.
# </details>
#
# **2. One light only.** Which single light has the highest image AUROC? Evaluate each light alone, and put the best
# value (not the name) into `answer`.

# %% tags=["exercise"]
answer = None

# %% tags=["answer-check"]


def of_one_light(light):
    return run.evaluate(data["test"], lights=[light]).metrics()["image_auroc"]


check(
    answer, lambda given: abs(given - max(map(of_one_light, run.lights))) < 1e-3, "`run.evaluate(..., lights=[light])`"
)

# %% [markdown] settings=["90 degrees"]
# <details><summary>Solution</summary>
#
# ```python
# alone = {light: run.evaluate(data["test"], lights=[light]).metrics()["image_auroc"] for light in run.lights}
# answer = max(alone.values())
# print(pd.Series(alone | {"all": metrics["image_auroc"]}).round(3))
# ```
#
# With so few test parts a difference below a tenth means nothing. `afrd lights` looks at all sets of lights and gives
# intervals.
# </details>
#
# **3. A turned part.** Somebody moves the camera: all pictures of `good_part` are turned by 90 degrees
# (`images.rot90(1, (2, 3))`). What is the score now, in thresholds?

# %% tags=["exercise"]
from dataclasses import replace

good_part = data["test"][int(table.table.score.where(~table.table.anomalous.astype(bool)).idxmin())]
answer = None

# %% tags=["answer-check"]


def when_turned():
    seen = run.predict(replace(good_part, images=good_part.images.rot90(1, (2, 3)), mask=None))
    return seen.score / seen.threshold.value


check(answer, lambda given: abs(given - when_turned()) < 0.01, "Predict `replace(good_part, images=..., mask=None)`.")

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# turned = replace(good_part, images=good_part.images.rot90(1, (2, 3)), mask=None)
# upright, lying = run.predict(good_part), run.predict(turned)
# answer = lying.score / lying.threshold.value
# print(f"upright {upright.score / upright.threshold.value:.2f}, turned {answer:.2f} thresholds")
# ```
#
# Shadows and highlights now point the wrong way: to the run, a moved camera or lamp may well *be* an anomaly.
# Photograph a few good parts every morning and watch their scores.
# </details>
