# %% [markdown]
# # 2. Reverse distillation from the ground up
#
# A *teacher* that has seen a million photographs describes a part. A *student* that has seen only good parts, and may
# keep only a little of what it reads, must repeat the description. Where it cannot, something is there that no good
# part has. That is reverse distillation (RD4AD: Deng & Li, CVPR 2022), and this notebook builds it on **one light**.
#
# **What you will learn**
# - what the features of a frozen teacher are, and how wide each scale looks;
# - why the student needs a bottleneck, and how narrow it should be;
# - how errors at two scales become one anomaly map and one score, step by step;
# - when the method fails, and what the light has to do with it;
# - what a wrong input normalisation of the teacher costs.
#
# **Prerequisites**: [notebook 1](01_light_and_defects.ipynb), PyTorch modules and training loops. **Time**: 20
# minutes to read, about two minutes to run on two cores (the first notebook that needs the data renders it, one
# minute more). **Seeds**: data and training use seed 0; one seed and 40 test parts show effects, not digits.
#
# **The code that is explained here**: `afrd/model/teacher.py`, `afrd/model/student.py`, `afrd/model/evidence.py`,
# `afrd/model/patch_memory.py`.

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
from plotly.subplots import make_subplots
from torch import nn

import afrd
from afrd.analysis.explain.visibility import visibility
from afrd.candies import render_category
from afrd.metrics import conformal_threshold, image_metrics, pixel_metrics
from afrd.model import IMAGENET, Teacher, compute_inputs, load_teacher, resize, smooth

# %%
FAST = bool(os.environ.get("AFRD_FAST"))  # for the tests: small pictures, few steps
HOME = Path(os.environ.get("AFRD_NOTEBOOK_DATA") or Path.home() / ".cache" / "afrd-notebooks")
SMALL = {"size": 64, "train": 6, "val": 4, "test_good": 4, "test_bad": 4, "workers": 1} if FAST else {}
LIGHT = "right"  # the one light of this notebook
STEPS = 5 if FAST else 300  # of a training

# %%
render_category(HOME / "data" / "candies", "Praline", twins=True, **SMALL)
data = afrd.open_dataset(HOME / "data" / "candies", "Praline")
SIZE = data["train"].image_size[0]
data

# %% [markdown]
# ## The teacher
# EfficientNet-Lite0, trained on ImageNet and then frozen. We do not ask it for a class; we take the features
# half-way, at two scales.

# %%
teacher = load_teacher()
sample = data["test_public"].select([LIGHT])[1]
features = teacher(sample.images)
[(tuple(f.shape), f"one place is {stride} pixels wide") for f, stride in zip(features, teacher.strides, strict=True)]

# %% [markdown]
# Each place of a feature map is a vector: 40 numbers at stride 8, 112 at stride 16. To *see* them, project the
# vectors on their three main directions and paint these red, green and blue. **Question**: what do the colours
# follow: brightness, material, edges?


# %%
def painted(scale):
    """Three principal components of a feature map (1, C, h, w) as a picture (H, W, 3) of bytes."""
    flat = scale[0].flatten(1).T  # (h w, C)
    torch.manual_seed(0)
    parts = (flat - flat.mean(0)) @ torch.pca_lowrank(flat, 3)[2]  # (h w, 3)
    low, high = parts.quantile(0.02, dim=0), parts.quantile(0.98, dim=0)
    rgb = ((parts - low) / (high - low)).clamp(0, 1).T.unflatten(1, scale.shape[-2:])[None]
    return (255 * F.interpolate(rgb, (128, 128))[0]).byte().permute(1, 2, 0).numpy()


# %%
picture = (255 * F.interpolate(sample.images, (128, 128), mode="area")[0]).byte().permute(1, 2, 0).numpy()
figure = px.imshow(np.stack([picture, *map(painted, features)]), facet_col=0, width=800, height=330)
titles = (f"picture, light {LIGHT}", *(f"features, stride {stride}" for stride in teacher.strides))
figure.for_each_annotation(lambda note: note.update(text=titles[int(note.text.split("=")[1])]))
figure.update_xaxes(visible=False).update_yaxes(visible=False).show()

# %% [markdown]
# Both: white lines, brown chocolate, the edge of the shadow, the mat each have their colour. Features say *what is
# here*, in words that were learned from photographs.
#
# ### How wide does each scale look?
# Put a grey square of 8 pixels on the candy, and see where the features change.

# %%
spot = slice(SIZE // 2 - 4, SIZE // 2 + 4)
covered = sample.images.clone()
covered[..., spot, spot] = 0.5
change = [1 - F.cosine_similarity(a, b)[0] for a, b in zip(features, teacher(covered), strict=True)]  # each (h, w)
wide = [float((c > 0.02).sum()) ** 0.5 * stride for c, stride in zip(change, teacher.strides, strict=True)]
print("side of the changed area, pixels:", dict(zip(teacher.strides, np.round(wide).tolist(), strict=True)))

# %% [markdown]
# A change of 8 pixels is felt far around it: every place looks at a neighbourhood, and the coarse scale at a wider
# one. Fine places tell *where*, coarse ones know more of *what*.

# %%
with as_written():
    assert 8 < wide[0] < wide[1]


# %% [markdown]
# ## Reading the data
# The teacher never changes, so every picture is read once.


# %%
def read(teacher, split, light=LIGHT):
    """Features of a split under one light: a tensor (N, C, h, w) for each scale."""
    samples = data[split].select([light])
    scales = zip(*(compute_inputs(teacher, one.images, SIZE)[0] for one in samples), strict=True)
    return [torch.cat(scale).float() for scale in scales]


train, val, test = (read(teacher, split) for split in ("train", "val", "test_public"))
[tuple(scale.shape) for scale in train]

# %% [markdown]
# ## The student
# It goes the other way: both scales are brought to the coarse grid, squeezed through a **bottleneck** of a few
# channels, and from this code alone the features of both scales are made again, coarse first. The name "reverse"
# comes from that.


# %%
class Student(nn.Module):
    def __init__(self, code, width=64):
        super().__init__()
        fine, coarse = teacher.channels
        self.down = nn.Sequential(nn.Conv2d(fine, width, 3, stride=2, padding=1), nn.SiLU())
        self.bottleneck = nn.Conv2d(width + coarse, code, 1)
        self.expand = nn.Sequential(nn.Conv2d(code, width, 3, padding=1), nn.SiLU())
        self.refine = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1), nn.SiLU())
        self.coarse, self.fine = nn.Conv2d(width, coarse, 1), nn.Conv2d(width, fine, 1)

    def forward(self, features):
        code = self.bottleneck(torch.cat([self.down(features[0]), features[1]], 1))  # (B, code, h, w) at stride 16
        x = self.expand(code)
        return [self.fine(self.refine(x)), self.coarse(x)]


# %% [markdown]
# The error at a place is 1 - cosine between the student's vector and the teacher's: 0 where they point the same way.
# Its mean is the loss. Only good parts are trained on, so nobody has to label a defect.


# %%
def errors(student, features):
    return [1 - F.cosine_similarity(said, true) for said, true in zip(student(features), features, strict=True)]


# %% [markdown]
# The training loop: eight parts a step, the learning rate falls to almost nothing.


# %%
def trained(code, features, seed=0):
    torch.manual_seed(seed)
    student = Student(code)
    optimiser = torch.optim.AdamW(student.parameters(), 2e-3)
    slower = torch.optim.lr_scheduler.LinearLR(optimiser, 1, 0.01, STEPS)
    losses = []
    for _ in range(STEPS):
        batch = torch.randint(len(features[0]), (8,))
        loss = sum(e.mean() for e in errors(student, [scale[batch] for scale in features]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step(), slower.step()
        losses.append(loss.item())
    return student.eval(), losses


# %%
student, losses = trained(32, train)
curve = pd.Series(losses, name="loss").rolling(10, min_periods=1).mean()
px.line(curve, width=640, height=300, title="Training on good parts", labels={"index": "step", "value": "loss"}).show()

# %%
with as_written():
    assert np.mean(losses[-20:]) < np.mean(losses[:20]) / 2

# %% [markdown]
# ## The anomaly map, step by step
# A bad part that the student has never seen. The error at stride 8, the error at stride 16, their sum on the finer
# grid, smoothed (a Gaussian of 4 pixels in 256), enlarged to the picture. The maximum of the last is the **score** of
# the part.

# %%
truth = np.stack([data["test_public"].mask(i).numpy() for i in range(len(data["test_public"]))])  # (N, H, W)
bad = np.array(data["test_public"].anomalous, bool)
shown = data["test_public"].defects.index(("normals",))  # a rough patch
with torch.no_grad():
    fine, coarse = errors(student, test)  # (N, 32, 32) and (N, 16, 16)
summed = fine[:, None] + resize(coarse[:, None], fine.shape[-2:])  # (N, 1, 32, 32)
maps = resize(smooth(summed), (SIZE, SIZE))[:, 0]  # (N, H, W)
steps = {"error, stride 8": fine[shown], "error, stride 16": coarse[shown], "sum": summed[shown, 0],
         "smoothed": smooth(summed)[shown, 0], "anomaly map": maps[shown, ::2, ::2]}  # fmt: skip

# %%
figure = make_subplots(1, 6, subplot_titles=["picture and truth", *steps], horizontal_spacing=0.01)
pixels = (255 * data["test_public"].select([LIGHT])[shown].images[0]).byte().permute(1, 2, 0).numpy()
figure.add_image(z=pixels[::2, ::2], row=1, col=1)
figure.add_contour(z=truth[shown, ::2, ::2].astype(int), contours={"start": 0.5, "end": 0.5, "coloring": "lines"},
                   showscale=False, line_width=2, colorscale=["#2ee6d6", "#2ee6d6"], row=1, col=1)  # fmt: skip
for column, values in enumerate(steps.values(), 2):
    figure.add_heatmap(z=values.numpy().round(3), coloraxis="coloraxis", row=1, col=column)
figure.update_layout(width=1000, height=225, coloraxis={"colorscale": "Inferno", "cmin": 0, "cmax": 0.8},
                     margin={"l": 10, "r": 10, "t": 60, "b": 10})  # fmt: skip
figure.update_xaxes(visible=False).update_yaxes(visible=False, autorange="reversed").show()

# %% [markdown]
# Two things to see. The rough patch glows: the highest point of the map lies in it. And the student is not perfect on
# the *good* surface: lines and edges have a low glow of their own, because a code of 32 channels cannot hold every
# detail.

# %%
peak = np.unravel_index(maps[shown].argmax(), (SIZE, SIZE))
print("highest point of the map in row, column", *map(int, peak), "- in the defect:", bool(truth[shown][peak]))
with as_written():
    assert truth[shown][peak]

# %% [markdown]
# How well does it do over the whole test set? Three numbers, which notebook 4 takes apart: **image AUROC** (are bad
# parts scored above good ones?), **pixel AP** and **AUPRO** (are the defective pixels found?).


# %%
def judge(maps):
    maps = np.asarray(maps)
    found = image_metrics(bad, maps.max((1, 2))) | pixel_metrics(truth, maps)
    return {name: round(found[name], 3) for name in ("image_auroc", "pixel_ap", "aupro")}


def map_of(errors):
    grid = errors[0].shape[-2:]
    return resize(smooth(sum(resize(e[:, None], grid) for e in errors)), (SIZE, SIZE))[:, 0]


# %% [markdown]
# ### What does each scale contribute?
# **Guess first**: which scale alone finds defective pixels better, and is the sum better than either?

# %%
scales = pd.DataFrame({"stride 8": judge(map_of([fine])), "stride 16": judge(map_of([coarse])), "sum": judge(maps)}).T
scales

# %%
with as_written():
    assert scales.pixel_ap.idxmax() == "sum" and scales.pixel_ap["stride 16"] > scales.pixel_ap["stride 8"]

# %% [markdown]
# The sum has the best pixel AP: what looks odd at one scale by chance is rarely odd at the other, and what is truly
# odd often is. The coarse scale alone is the better of the two: a defect is several of its places wide, and it knows
# more.
#
# ## How narrow should the bottleneck be?
# With a wide code the student could simply copy what it reads, defects included. With a very narrow one it cannot even
# repeat a good part. **Guess** what 2 and 128 channels do, compared with 32.

# %%
rows = {32: judge(maps) | {"error on good test parts": float(summed[~bad].mean())}}
for code in (2, 128):
    other, _ = trained(code, train)
    with torch.no_grad():
        found = errors(other, test)
    good = [e[~bad].mean().item() for e in found]
    rows[code] = judge(map_of(found)) | {"error on good test parts": sum(good)}
codes = pd.DataFrame(rows).T.sort_index().rename_axis("channels").round(3)
codes

# %%
with as_written():
    assert codes["error on good test parts"][2] > 1.2 * codes["error on good test parts"][32]
    assert codes.pixel_ap[32] > codes.pixel_ap[2] + 0.05
    assert abs(codes.pixel_ap[128] - codes.pixel_ap[32]) < 0.05

# %% [markdown]
# Two channels are too few: errors everywhere, and the defects drown in them. From 32 to 128 good parts are repeated a
# little better still, but pixel AP gains nothing. (Copying is not yet a danger here: the code sits on a grid of 16
# pixels, so fine detail is lost in any case.)
#
# ## When does it fail?
# First the verdict. Take as the threshold a score that good parts exceed rarely; notebook 4 says how. For every bad
# part, ask the renderer how visible the defect *truly* is under this light (notebook 1). **Guess**: are the invisible
# ones missed, and the visible ones found?

# %%
with torch.no_grad():
    on_good = map_of(errors(student, val)).amax((1, 2)).numpy()
threshold = conformal_threshold(on_good)
twins = dict(zip(data["twins"].names, data["twins"], strict=True))
parts = [one for one in data["test_public"] if one.anomalous]
table = pd.DataFrame([visibility(one, twins[one.name]) for one in parts], columns=data.lights)
table["sample"], table["kind"] = [one.name for one in parts], ["+".join(one.defects) for one in parts]
table["score"] = maps[bad].amax((1, 2)).numpy() / threshold.value
print(f"threshold {threshold}; missed: {(table.score <= 1).sum()} of {len(table)}")

# %%
names = {LIGHT: "visibility under this light, grey levels", "score": "score, × threshold"}
figure = px.scatter(table, x=LIGHT, y="score", color="kind", hover_name="sample", labels=names, width=720, height=400,
                    title=f"Bad parts under light {LIGHT}")  # fmt: skip
figure.add_hline(y=1, line_dash="dash", annotation_text="threshold").update_traces(marker_size=10).show()

# %% [markdown]
# Look at the left edge first: a few defects change this picture by next to nothing, because they lie in the shade.
# All of them are missed, as they must be. How much would the best lamp have shown?

# %%
dark = table[table[LIGHT] < 6]
print(f"{len(dark)} parts show less than 6 grey levels under {LIGHT}; found: {(dark.score > 1).sum()}")
print("under their best light:", dark[list(data.lights)].max(axis=1).round().astype(int).tolist(), "grey levels")
with as_written():
    assert len(dark) >= 3 and (dark.score <= 1).all()
    assert (dark[list(data.lights)].max(axis=1) > 3 * dark[LIGHT]).mean() > 0.5

# %% [markdown]
# Now the surprise at the right: some defects that change the picture *strongly* are missed, and the roughness
# (`normals`), which changes it little, is found. Count it:

# %%
rough = table.kind.str.contains("normals")
plain = table[~rough & (table[LIGHT] >= 6)]
summary = pd.DataFrame({
    name: {"parts": len(part), "found": (part.score > 1).mean(), "median visibility": part[LIGHT].median()}
    for name, part in (("with roughness", table[rough]), ("other visible defects", plain))
}).T  # fmt: skip
summary.round(2)

# %%
with as_written():
    assert summary.found["with roughness"] > 0.7 > 0.4 > summary.found["other visible defects"]
    assert summary["median visibility"]["with roughness"] < summary["median visibility"]["other visible defects"]

# %% [markdown]
# The student's question is not "how much has changed?" but "is this *texture* new?". A fine grain is a word that no
# good praline has; a smooth stain is brown on brown. Their errors stand out of the neighbourhood, but not above the
# threshold, which the white lines and edges of *good* parts have pushed up.
#
# So there are two ways to fail. Against the second a better student helps: one that knows where good parts vary
# (exercise 3), or a memory of good patches (`afrd/model/patch_memory.py`). Against the first only another lamp does.
# Notebook 3
# puts several lamps together.
#
# ## The teacher's own input normalisation
# Networks expect their input scaled as in their training. Most use ImageNet's mean and deviation, so people type
# these in without looking. EfficientNet-Lite wants $(x - 127) / 128$. Nothing crashes with the wrong one. Does it
# matter? **Guess**, then measure, with a new student and the same seed.

# %%
wrong = Teacher("wrong normalisation", teacher.backbone, IMAGENET, teacher.channels, teacher.strides)
wrong_train, wrong_test = read(wrong, "train"), read(wrong, "test_public")
misled, _ = trained(32, wrong_train)
with torch.no_grad():
    by_wrong = judge(map_of(errors(misled, wrong_test)))
normalisation = pd.DataFrame({"the teacher's own": judge(maps), "ImageNet's": by_wrong}).T
normalisation

# %%
with as_written():
    assert normalisation.pixel_ap["the teacher's own"] > normalisation.pixel_ap["ImageNet's"] + 0.05

# %% [markdown]
# Pixel AP falls by more than 0.05, for one line of code that nobody looks at. Image AUROC does not tell the two
# apart: on 40 parts its uncertainty is larger than the effect (notebook 4). `Teacher.normalise` therefore belongs to
# the teacher and to its weights; no caller can get it wrong.
#
# ## What to take away
# - The student's error is a question: *would a good part look like this, in the teacher's words?*
# - The bottleneck must carry good parts, and needs no more.
# - Scales help each other.
# - A defect that the light does not show stays hidden, whatever the network; one that it shows may still look
#   familiar.
# - Check the input normalisation first.

# %% [markdown]
# ## Exercises
#
# **1. Another light.** Train on the light `top` instead. Does it find more or fewer defective pixels?
#
# <details><summary>Solution</summary>
#
# ```python
# top_train, top_test = read(teacher, "train", "top"), read(teacher, "test_public", "top")
# at_top, _ = trained(32, top_train)
# with torch.no_grad():
#     print("top  ", judge(map_of(errors(at_top, top_test))))
# print("right", judge(maps))
# ```
# Under `top` the half of the candy that faces you lies in the shade.
# </details>
#
# **2. Without smoothing.** What do image AUROC and pixel AP lose when the map is not smoothed?
#
# <details><summary>Solution</summary>
#
# ```python
# rough = resize(summed, (SIZE, SIZE))[:, 0]
# print("smoothed", judge(maps), "not smoothed", judge(rough))
# ```
# </details>
#
# **3. The library's student.** `afrd.model.AFRD` with one light is reverse distillation with a better student:
# residual blocks, and beside the features it predicts how large its own error will be (a log-variance), so that it
# may be unsure where good parts differ from each other. Train it on the same features and compare.
#
# <details><summary>Solution</summary>
#
# ```python
# from afrd.model import AFRD, ModelConfig
#
# torch.manual_seed(0)
# model = AFRD(ModelConfig((LIGHT,), teacher.name, teacher.channels, teacher.strides))
# optimiser = torch.optim.AdamW(model.parameters(), 2e-3)
# for step in range(STEPS):
#     batch = torch.randint(len(train[0]), (8,))
#     loss = model.loss([scale[batch][:, None] for scale in train], torch.ones(8, 1, dtype=torch.bool))
#     optimiser.zero_grad()
#     loss.backward()
#     optimiser.step()
# model.eval()
# present = torch.ones(len(test[0]), 1, dtype=torch.bool)
# contrast = torch.ones(len(test[0]), 1, *test[0].shape[-2:])  # of the pictures; it weighs lights, and here is one
# with torch.no_grad():
#     theirs = model([scale[:, None] for scale in test], contrast, present, (SIZE, SIZE)).anomaly_map
# print("library", judge(theirs), "this notebook", judge(maps))
# ```
# `afrd.fit(data, LIGHT, "runs/right")` does all of this, with a threshold and a run folder, in one call.
# </details>
