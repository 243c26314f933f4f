# %% [markdown]
# # 7. Your own rig
#
# A camera, seven lamps, a box of good parts, and file names that nobody planned. From that folder to a run that you can
# carry away, in four steps: **check, train, look, take away**.
#
# **What you will learn**
# - the folder layout for pictures of your own: any number of lights, any names, grey or colour, 8 or 16 bit;
# - to find what is wrong with a data set before a training finds it for you;
# - what can be promised with few good parts, and how many are needed to promise more;
# - to judge a new part, also when a lamp is broken;
# - what a run folder holds, and that it works elsewhere.
#
# **Prerequisites**: notebook 1; the rest is explained here. **Time**: 20 minutes to read, at most 4 minutes to run on
# two cores. **Seeds**: 0 for the parts and the training.
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
from course import as_written
from PIL import Image

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

# %% [markdown]
# ## A folder of pictures
# You have a real folder; this notebook has to make one. Six spots in a ring and a light box are rendered, and the
# pictures are given the names and formats that real ones have: spaces, umlauts, dots, a lamp called `6`, a grey one
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
def places(split):
    """(rendered picture, place in the rig's folder) of a split, in the layout for folders of one's own."""
    for i, name in enumerate(rendered[split].names):
        kind = "+".join(rendered[split].defects[i]) or "good"
        folder = RIG / "gumdrops" / split.removesuffix("_public") / kind / f"part {int(name) + 1:03d}"
        yield from ((rendered[split].picture(i, light), folder / NAMES[j]) for j, light in enumerate(rendered.lights))


for picture, target in (pair for split in ("train", "test_public") for pair in places(split)):
    if not target.exists():
        bring(picture, target)
part = RIG / "gumdrops" / "train" / "good" / "part 002"
print(part.relative_to(RIG), *sorted(file.name for file in part.iterdir()), sep="\n  ")

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
# Real folders are never clean. Here are four accidents that happen on every shop floor. What would a training make of
# each of them?

# %%
parts = RIG / "gumdrops" / "train" / "good"
(parts / "part 001" / "NIR 850nm.png").unlink(missing_ok=True)  # the camera timed out
Image.open(parts / "part 003" / "6.bmp").resize((SIZE // 2, SIZE)).save(parts / "part 003" / "6.bmp")  # other binning
cut = (parts / "part 004" / "dome (new).png").read_bytes()[:200]
(parts / "part 004" / "dome (new).png").write_bytes(cut)  # the disk was full
stray = RIG / "gumdrops" / "ground_truth" / "dents" / "part 099.png"
stray.parent.mkdir(parents=True, exist_ok=True)
Image.new("L", (SIZE, SIZE)).save(stray)  # the mask of a part that was never photographed

# %%
problems = afrd.check(RIG)
for problem in problems:
    print(f"{problem.file}\n    {problem.what}")
assert len(problems) == 4
assert {Path(problem.file).parent.name for problem in problems} == {"part 001", "part 003", "part 004", "dents"}

# %% [markdown]
# Each finding names its file, so one can go and mend it. Nothing is repaired behind your back: whether a missing
# picture is taken again, or the part is left out, is your decision. Here we fetch the pictures again.

# %%
stray.unlink()
for picture, target in places("train"):
    if target.parent.name in ("part 001", "part 003", "part 004"):
        bring(picture, target)
assert afrd.check(RIG) == []

# %%
data = afrd.open_dataset(RIG, "gumdrops")
print("lights:", *data.lights, sep="\n  ")
print({split: len(data[split]) for split in data.splits}, data["train"].image_size)
assert len(data.lights) == 7 and "6" in data.lights

# %% [markdown]
# Lights stand in natural order, not in yours; call them by name. (`6` is a name here; a number that is nobody's name
# counts positions from 0.)

# %%
sample = data["test"][len(data["test"]) - 1]
afrd.figures.light_strip(sample).update_layout(width=1000, height=480).show()

# %% [markdown]
# ## 2. Train
# There is no `val` folder, so every fifth training part is kept back for the threshold. How many false alarms can be
# promised with so few?

# %%
run = afrd.fit(data, out=HOME / "runs" / RIG.name, size=SIZE, epochs=EPOCHS, seed=SEED, show_progress=False)
trained_on, _ = split_train(data)
print(f"trained on {len(trained_on)} of {len(data['train'])} parts, kept back {len(data['train']) - len(trained_on)}")
print("threshold", run.threshold())
promise = run.threshold()
assert np.isclose(promise.alpha, 1 / (promise.samples + 1)) and promise.alpha > promise.wanted

# %% [markdown]
# With $n$ good parts that the network has not seen, a new good part lies above all of them with probability at most
# $1/(n+1)$: that much can be promised and no more. For 5 % you need 19 good parts in `val`. Photograph them; they cost
# less than a false alarm.

# %%
afrd.figures.training_curve(run.history()).update_layout(width=700, height=300).show()

# %% [markdown]
# ## 3. Look

# %%
table = run.evaluate(data["test"])
print(table.table.round(2).to_string())
print({name: round(value, 3) for name, value in table.metrics().items() if value == value})

# %%
with as_written():
    assert table.metrics()["image_auroc"] > 0.7
    assert np.isnan(table.metrics()["aupro"])  # there are no masks, so nothing is said about pixels

# %% [markdown]
# There are no masks in this folder, so nothing is said about pixels; the image metrics need only the folder names.
# Twenty parts are few (notebook 4). Look at the worst of them rather than at the third digit: under which lamps is the
# error, and is it where you see the defect?

# %%
worst = int(table.table.score.idxmax())
sample = data["test"][worst]
seen = run.predict(sample)
print(f"{sample.name}: {seen.score:.2f}, {seen.verdict}")
afrd.figures.light_error_maps(sample, seen).update_layout(width=1000, height=480).show()
with as_written():
    assert sample.anomalous and seen.verdict == "anomalous"

# %% [markdown]
# ### A new part, and a broken lamp
# On the line there is neither a folder nor a label: there are files, one a lamp. Tonight two lamps are out. The run
# takes any subset of its lights, and has a threshold for each.

# %%
folder = data["test"].picture(worst, data.lights[0]).parent
files = {file.stem: file for file in folder.iterdir()}
broken = {"6", "dome (new)"}
part = afrd.read_sample({light: file for light, file in files.items() if light not in broken}, name="from the line")
tonight = run.predict(part)
print(f"with {len(tonight.lights)} lights: {tonight.score:.2f}, {tonight.verdict}; threshold {tonight.threshold}")
print(f"with all: {seen.score:.2f}, {seen.verdict}; threshold {seen.threshold.value:.2f}")
assert len(tonight.lights) == 5 and broken.isdisjoint(tonight.lights)
with as_written():
    assert tonight.verdict == seen.verdict

# %% [markdown]
# The verdict stands without them. Whether that holds for *all* defects is the question of a rig's designer: which
# lights are needed, and what is lost without one? `afrd lights RUN` answers it for all sets of lights.

# %% [markdown]
# ## 4. Take away
# A run is a folder. What is in it, and does it work somewhere else?

# %%
elsewhere = Path("taken-away")
shutil.copytree(run.folder, elsewhere, dirs_exist_ok=True)
kept = sorted(file for file in elsewhere.rglob("*") if file.is_file())
print("\n".join(f"{file.name:28}{file.stat().st_size / 1e3:9.1f} kB" for file in kept))
(elsewhere / "test.csv").write_text(csv(table.table), encoding="utf-8")
again = afrd.load_run(elsewhere)
assert again.predict(sample).score == seen.score

# %% [markdown]
# The copy gives the same score to the last digit. The weights are stored as safetensors and the settings as JSON, so
# opening a stranger's run never executes anything. The folder holds the student, the remembered patches and the
# calibration, not your pictures; the teacher comes with the package.
#
#     afrd predict taken-away "6=new/6.bmp" "dome (new)=new/dome.png"
#     afrd app --runs . --data <your folder>

# %% [markdown]
# ## Exercises
# **1.** How many good parts in `val` would promise 1 %? Work it out, then check it with `conformal_threshold` on
# made-up scores.
#
# <details><summary>Solution</summary>
#
# ```python
# from afrd.metrics import conformal_threshold
#
# scores = np.random.default_rng(SEED).normal(size=99)
# print(conformal_threshold(scores[:98], 0.01), conformal_threshold(scores, 0.01), sep="\n")
# assert conformal_threshold(scores[:98], 0.01).alpha > 0.01
# assert conformal_threshold(scores, 0.01).alpha == 0.01
# ```
#
# $1/(n+1) \le 0.01$ needs $n \ge 99$. One fewer, and the promise is a little worse, which the threshold says itself.
# </details>
#
# **2.** Which single lamp would you keep? Evaluate each of the seven lights alone and compare with all of them.
#
# <details><summary>Solution</summary>
#
# ```python
# import pandas as pd
#
# alone = {light: run.evaluate(data["test"], lights=[light]).metrics()["image_auroc"] for light in run.lights}
# print(pd.Series(alone | {"all": table.metrics()["image_auroc"]}).round(3).to_string())
# assert len(alone) == 7
# ```
#
# With so few test parts a difference below a tenth means nothing. `afrd lights` looks at all sets of lights and gives
# intervals.
# </details>
#
# **3.** Somebody bumps into the camera: all pictures of a good part are turned by 90 degrees. What does the run say,
# and what should a station do about it?
#
# <details><summary>Solution</summary>
#
# ```python
# from dataclasses import replace
#
# good_part = data["test"][int(table.table.score[[label is False for label in table.table.anomalous]].idxmin())]
# turned = replace(good_part, images=good_part.images.rot90(1, (2, 3)), mask=None)
# upright, lying = run.predict(good_part), run.predict(turned)
# print(f"upright {upright.score:.2f} ({upright.verdict}), turned {lying.score:.2f} ({lying.verdict})")
# with as_written():
#     assert lying.score > upright.score
# ```
#
# Shadows and highlights now point the wrong way, so the score rises: to the run, a moved camera or lamp *is* an
# anomaly. Photograph a few good parts every morning and watch their scores.
# </details>
