# %% [markdown]
# # 2. Reverse distillation from the ground up
#
# A *teacher* that has seen a million photographs describes a part. A *student* that has seen only good parts, and may
# keep only a little of what it reads, must repeat the description. Where it cannot, something is there that no good
# part has. That is reverse distillation (RD4AD: Deng & Li, CVPR 2022), and this notebook builds it on **one light**.
#
# **What you will learn**
# - what the features of a frozen teacher are, and how wide each scale looks;
# - why the student needs a bottleneck, shown by a student that has none, and how narrow it should be;
# - how errors at two scales become one anomaly map and one score, step by step;
# - when the method fails, and what the light has to do with it;
# - what a wrong input normalisation of the teacher costs.
#
# **Prerequisites**: [notebook 1](01_light_and_defects.ipynb), PyTorch modules and training loops. **Time**: 20
# minutes to read, a minute and a half of processor time, the rendering of the data included. **Seeds**: data and
# training use seed 0; with one seed and few test parts, small differences mean nothing.
#
# **The code that is explained here**: [afrd/model/teacher.py](../afrd/model/teacher.py),
# [afrd/model/student.py](../afrd/model/student.py), [afrd/model/evidence.py](../afrd/model/evidence.py),
# [afrd/model/patch_memory.py](../afrd/model/patch_memory.py).

# %% tags=["setup"]
# The build puts the setup here: Colab and Binder get the package and `course`.

# %%
import os
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
import torch
import torch.nn.functional as F

# %%
from course import as_written, check, diagram, no_axes, show, slider
from IPython.display import Markdown
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

# %% tags=["text"]
diagram(
    {
        "teacher (frozen)": ["picture", "features\nstride 8", "features\nstride 16"],
        "student (trained)": ["both scales", "bottleneck", "features\nstride 16", "features\nstride 8"],
        "anomaly map": ["1 - cosine\nper scale", "sum", "smooth", "maximum\n= score"],
    },
    "The frozen teacher gives features at two scales; the student brings them through a bottleneck and repeats them, "
    "coarse scale first; one minus cosine, summed and smoothed, is the anomaly map; its maximum is the score.",
)

# %% [markdown]
# EfficientNet-Lite0, trained on ImageNet and then frozen. We do not ask it for a class; we take the features
# half-way, at two scales.

# %%
teacher = load_teacher()
sample = data["test_public"].select([LIGHT])[1]
features = teacher(sample.images)
[(tuple(f.shape), f"one place is {stride} pixels wide") for f, stride in zip(features, teacher.strides, strict=True)]

# %% [markdown]
# Each place of a feature map is a vector with as many numbers as there are channels. To *see* them, project the
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
    return (255 * F.interpolate(rgb, (320, 320))[0]).byte().permute(1, 2, 0).numpy()


# %%
picture = (255 * F.interpolate(sample.images, (320, 320), mode="bilinear")[0]).byte().permute(1, 2, 0).numpy()
figure = px.imshow(np.stack([picture, *map(painted, features)]), facet_col=0, width=980, height=410,
                   title="Teacher's features at two scales, three principal components as colours")  # fmt: skip
titles = (f"picture, light {LIGHT}", *(f"features, stride {stride}" for stride in teacher.strides))
figure.for_each_annotation(lambda note: note.update(text=titles[int(note.text.split("=")[1])]))
show(no_axes(figure), "A candy, and its features at two scales as colours: lines, chocolate and mat have their own.")

# %% [markdown]
# All of them: white lines, brown chocolate, the edge of the shadow, the mat each have their colour. Features say
# *what is here*, in terms that were learned from photographs.
#
# ### How wide does each scale look?
# Put a small grey square (`spot`, eight pixels wide) on the candy, and see where the features change.

# %%
spot = slice(SIZE // 2 - 4, SIZE // 2 + 4)
covered = sample.images.clone()
covered[..., spot, spot] = 0.5
change = [1 - F.cosine_similarity(a, b)[0] for a, b in zip(features, teacher(covered), strict=True)]  # each (h, w)
wide = [float((c > 0.02).sum()) ** 0.5 * stride for c, stride in zip(change, teacher.strides, strict=True)]
with as_written():
    assert 8 < wide[0] < wide[1]

# %% tags=["text"]
Markdown(f"""
The features change in an area of about {wide[0]:.0f} pixels at stride {teacher.strides[0]} and {wide[1]:.0f} pixels at
stride {teacher.strides[1]}, for a square of {spot.stop - spot.start}: every place looks at a neighbourhood, and the
coarse scale at a wider one. Fine places tell *where*, coarse ones know more of *what*.
""")


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
# The error at a place is `1 - cosine` between the student's vector and the teacher's: zero where they point the same
# way. Its mean is the loss. Only good parts are trained on, so nobody has to label a defect.


# %%
def errors(student, features):
    return [1 - F.cosine_similarity(said, true) for said, true in zip(student(features), features, strict=True)]


# %% [markdown]
# The training loop: eight parts a step, the learning rate falls to almost nothing.


# %%
def trained(code, features, seed=0):
    torch.manual_seed(seed)
    student = Student(code) if code else Copyist()
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
figure = px.line(curve, width=640, height=320, title="Reverse distillation: loss on good parts",
                 labels={"index": "step", "value": "loss"})  # fmt: skip
show(figure.update_layout(showlegend=False), "The loss falls steeply in the first steps and then slowly.")

# %% tags=["check"]
with as_written():
    assert np.mean(losses[-20:]) < np.mean(losses[:20]) / 2

# %% [markdown]
# ## The anomaly map, step by step
# A bad part that the student has never seen. The error at the fine scale, the error at the coarse scale, their sum on
# the finer grid, smoothed (a Gaussian, `afrd.model.evidence.SMOOTHING`), enlarged to the picture. The maximum of the
# last is the **score** of the part.

# %%
truth = np.stack([data["test_public"].mask(i).numpy() for i in range(len(data["test_public"]))])  # (N, H, W)
bad = np.array(data["test_public"].anomalous, bool)
shown = data["test_public"].defects.index(("normals",))  # a rough patch
with torch.no_grad():
    fine, coarse = errors(student, test)  # (N, 32, 32) and (N, 16, 16)
summed = fine[:, None] + resize(coarse[:, None], fine.shape[-2:])  # (N, 1, 32, 32)
maps = resize(smooth(summed), (SIZE, SIZE))[:, 0]  # (N, H, W)
steps = {"error, stride 8": fine[shown], "error, stride 16": coarse[shown], "sum": summed[shown, 0],
         "smoothed": smooth(summed)[shown, 0], "anomaly map": maps[shown]}  # fmt: skip

# %%
figure = make_subplots(2, 3, subplot_titles=["picture and truth", *steps], horizontal_spacing=0.02,
                       vertical_spacing=0.07)  # fmt: skip
pixels = (255 * data["test_public"].select([LIGHT])[shown].images[0]).byte().permute(1, 2, 0).numpy()
figure.add_image(z=pixels, row=1, col=1)
figure.add_contour(z=truth[shown].astype(int), contours={"start": 0.5, "end": 0.5, "coloring": "lines"},
                   showscale=False, line_width=2, colorscale=["#2ee6d6", "#2ee6d6"], row=1, col=1)  # fmt: skip
for column, values in enumerate(steps.values(), 2):
    figure.add_heatmap(z=values.numpy().round(3), coloraxis="coloraxis", row=1 + column // 4, col=(column - 1) % 3 + 1)
figure.update_layout(width=980, height=700, coloraxis={"colorscale": "Inferno", "cmin": 0, "cmax": 0.8},
                     title="Reverse distillation on one light: from errors to the anomaly map")  # fmt: skip
no_axes(figure).update_yaxes(autorange="reversed")
show(figure, "A candy with a rough patch, and five maps from errors to the anomaly map; the patch is bright in all.")

# %% [markdown]
# Two things to see. The rough patch is bright: the highest point of the map lies in it. And the student is not perfect
# on the *good* surface: lines and edges have an error of their own, because a narrow code cannot hold every detail.

# %% tags=["check"]
peak = np.unravel_index(maps[shown].argmax(), (SIZE, SIZE))
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
# **Question**: which scale alone finds defective pixels better, and is the sum better than either?

# %%
scales = pd.DataFrame({"stride 8": judge(map_of([fine])), "stride 16": judge(map_of([coarse])), "sum": judge(maps)}).T
scales

# %% tags=["check"]
with as_written():
    assert scales.pixel_ap.idxmax() == "sum" and scales.pixel_ap["stride 16"] > scales.pixel_ap["stride 8"]
    assert scales.image_auroc.idxmax() == scales.aupro.idxmax() == "stride 16"

# %% tags=["text"] settings=["16"]
both, only = scales.loc["sum"], scales.loc["stride 16"]
Markdown(f"""
It depends on what you count. The sum has the best pixel AP ({both.pixel_ap:.3f}, stride 16 alone
{only.pixel_ap:.3f}): the fine scale outlines the defect more closely. But stride 16 alone has the better image AUROC
({only.image_auroc:.3f} against {both.image_auroc:.3f}) and AUPRO ({only.aupro:.3f} against {both.aupro:.3f}): the
fine scale also adds errors on the lines and edges of *good* parts, and one of them may become the maximum. With
{bad.sum()} bad and {(~bad).sum()} good parts, differences as small as these may be chance; notebook 4 shows how to
tell.
""")

# %% [markdown]
# ## Why a bottleneck, and how narrow?
# With a wide code the student could simply copy what it reads, defects included. With a very narrow one it cannot even
# repeat a good part. **Question**: what do `2` and `128` channels do, compared with `32`? And a student that has no
# bottleneck at all, which works at each scale by itself, in its full resolution and width?


# %%
class Copyist(nn.Module):
    """No bottleneck: a layer on each scale that is free to learn the identity."""

    def __init__(self):
        super().__init__()
        self.scales = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, 2 * c, 1), nn.SiLU(), nn.Conv2d(2 * c, c, 1)) for c in teacher.channels
        )

    def forward(self, features):
        return [layer(scale) for layer, scale in zip(self.scales, features, strict=True)]


# %%
inside = torch.tensor(truth)
students = {"2": trained(2, train)[0], "32": student, "128": trained(128, train)[0], "none": trained(None, train)[0]}
rows, width_maps = {}, {}
for code, one in students.items():
    with torch.no_grad():
        width_maps[code] = map_of(errors(one, test))
    on_good, in_defects = width_maps[code][~bad], width_maps[code][inside]
    rows[code] = judge(width_maps[code]) | {
        "error on good parts": on_good.mean().item(), "error in defects": in_defects.mean().item(),
        "defect above 99 % of good": (in_defects > np.quantile(on_good, 0.99)).float().mean().item()}  # fmt: skip
codes = pd.DataFrame(rows).T.rename_axis("channels of the bottleneck").round(3)
codes

# %% tags=["check"]
free, narrow, best, broad = (codes.loc[code] for code in ("none", "2", "32", "128"))
with as_written():
    assert narrow["error on good parts"] > 1.2 * best["error on good parts"]
    assert best.pixel_ap > narrow.pixel_ap + 0.05 and abs(broad.pixel_ap - best.pixel_ap) < 0.05
    assert free["error on good parts"] < best["error on good parts"] / 3 and free.pixel_ap < best.pixel_ap - 0.05
    assert free["defect above 99 % of good"] < best["defect above 99 % of good"]

# %% tags=["text"] settings=["32", "128", "99 %"]
Markdown(f"""
- **No bottleneck**: the student copies. Its error on good parts is {free["error on good parts"]:.3f} instead of
  {best["error on good parts"]:.3f}, but it copies defects as well ({free["error in defects"]:.3f} instead of
  {best["error in defects"]:.3f}), and pixel AP falls from {best.pixel_ap:.3f} to {free.pixel_ap:.3f}.
- **Two channels** are too few: errors are high everywhere ({narrow["error on good parts"]:.3f} on good parts), and
  pixel AP is {narrow.pixel_ap:.3f}.
- From **32 to 128** channels good parts are repeated better still, and pixel AP hardly changes ({best.pixel_ap:.3f} and
  {broad.pixel_ap:.3f}): the code lies on the coarse grid, which is a bottleneck in itself.

What counts is not a small error, but that a defect stands out of what good parts raise:
{best["defect above 99 % of good"]:.0%} of the defective pixels have a higher error than 99 % of all pixels of good
parts with 32 channels, and {free["defect above 99 % of good"]:.0%} without a bottleneck.
""")

# %% [markdown]
# ### To move: the width of the bottleneck
# The map of the same part with each of the four students, all on one colour scale relative to the mean error on good
# parts. Which ones show the rough patch alone?

# %%
levels = {
    code: (m[shown] / codes["error on good parts"][code]).numpy()[::2, ::2].round(1) for code, m in width_maps.items()
}
frames = [go.Frame(data=[go.Heatmap(z=z, coloraxis="coloraxis")], name=code, traces=[1]) for code, z in levels.items()]
figure = make_subplots(1, 2, subplot_titles=("picture", "anomaly map / mean error on good parts"))
figure.add_trace(go.Image(z=pixels[::2, ::2]), 1, 1)
figure.add_trace(go.Heatmap(z=levels["32"], coloraxis="coloraxis"), 1, 2)
figure.frames = frames
figure.update_layout(width=860, height=500, title="Reverse distillation with bottlenecks of different width",
                     coloraxis={"colorscale": "Inferno", "cmin": 0, "cmax": 5},
                     sliders=[slider(list(levels), "channels of the bottleneck: ", active=1)])  # fmt: skip
no_axes(figure).update_yaxes(autorange="reversed")
show(figure, "A candy with a rough patch and its anomaly map, which a slider changes between four students.")

# %% [markdown]
# ## When does it fail?
# First the verdict. Take as the threshold a score that good parts exceed rarely; notebook 4 says how. For every bad
# part, ask the renderer how visible the defect *truly* is under this light (notebook 1). **Question**: are the
# invisible ones missed, and the visible ones found?

# %%
with torch.no_grad():
    on_good = map_of(errors(student, val)).amax((1, 2)).numpy()
threshold = conformal_threshold(on_good)
twins = dict(zip(data["twins"].names, data["twins"], strict=True))
parts = [one for one in data["test_public"] if one.anomalous]
table = pd.DataFrame([visibility(one, twins[one.name]) for one in parts], columns=data.lights)
table["sample"], table["kind"] = [one.name for one in parts], ["+".join(one.defects) for one in parts]
table["score"] = maps[bad].amax((1, 2)).numpy() / threshold.value
table[[LIGHT, "kind", "score"]].sort_values(LIGHT).round(2)

# %%
names = {LIGHT: "visibility under this light, grey levels", "score": "score, × threshold"}
figure = px.scatter(table, x=LIGHT, y="score", color="kind", symbol="kind", labels=names, width=740,
                    hover_name="sample",
                    height=420, title=f"Reverse distillation on light {LIGHT}: scores of the bad parts")  # fmt: skip
figure.add_hline(y=1, line_dash="dash", annotation_text="threshold").update_traces(marker_size=10)
show(figure, "Scores of bad parts against visibility: parts with roughness lie above the threshold, most others below.")

# %% [markdown]
# Look at the left edge first: a few defects change this picture by next to nothing, because they lie in the shade.
# How much would the best light have shown of them?

# %% tags=["check"]
dark = table[table[LIGHT] < 6]
dark_best = dark[list(data.lights)].max(axis=1)
with as_written():
    assert len(dark) >= 3 and (dark.score <= 1).all()
    assert (dark_best > 3 * dark[LIGHT]).mean() > 0.5

# %% tags=["text"]
Markdown(f"""
The threshold of {threshold.value:.3f} ({threshold.samples} good samples) misses {(table.score <= 1).sum()} of
{len(table)} bad parts. {len(dark)} of them show less than six grey levels under `{LIGHT}`, and all of these are
missed, as they must be. Under its best light each would have shown {", ".join(f"{value:.0f}" for value in dark_best)}
grey levels.
""")

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

# %% tags=["check"]
with as_written():
    assert summary.found["with roughness"] > 0.7 > 0.4 > summary.found["other visible defects"]
    assert summary["median visibility"]["with roughness"] < summary["median visibility"]["other visible defects"]

# %% tags=["text"]
Markdown(f"""
{summary.found["with roughness"]:.0%} of the parts with roughness are found, at a median visibility of
{summary["median visibility"]["with roughness"]:.0f} grey levels, and {summary.found["other visible defects"]:.0%} of
the other visible defects, at {summary["median visibility"]["other visible defects"]:.0f}. The student's question is
not "how much has changed?" but "is this *texture* new?". No good praline has a fine grain; a smooth stain is brown on
brown. The errors of such defects stand out of their neighbourhood, but not above the threshold, which the white lines
and edges of *good* parts have raised.
""")

# %% [markdown]
# So there are two ways to fail. Against the second a better student helps, one that knows where good parts vary
# (exercise 3), or a memory of good patches (`afrd/model/patch_memory.py`). Against the first only another light does.
# Notebook 3 puts several lights together.
#
# ## The teacher's own input normalisation
# Networks expect their input scaled as in their training. Most use ImageNet's mean and deviation, so people type
# these in without looking. EfficientNet-Lite wants $(x - 127) / 128$. Nothing crashes with the wrong one. Does it
# matter? Measure it, with a new student and the same seed.

# %%
wrong = Teacher("wrong normalisation", teacher.backbone, IMAGENET, teacher.channels, teacher.strides)
wrong_train, wrong_test = read(wrong, "train"), read(wrong, "test_public")
misled, _ = trained(32, wrong_train)
with torch.no_grad():
    by_wrong = judge(map_of(errors(misled, wrong_test)))
normalisation = pd.DataFrame({"the teacher's own": judge(maps), "ImageNet's": by_wrong}).T
normalisation

# %% tags=["check"]
own, foreign = normalisation.loc["the teacher's own"], normalisation.loc["ImageNet's"]
with as_written():
    assert own.pixel_ap > foreign.pixel_ap + 0.05

# %% tags=["text"]
Markdown(f"""
Pixel AP falls from {own.pixel_ap:.3f} to {foreign.pixel_ap:.3f}, for one line of code that nobody looks at. Image AUROC
({own.image_auroc:.3f} and {foreign.image_auroc:.3f}) hardly shows it. `Teacher.normalise` therefore belongs to the
teacher and to its weights; no caller can get it wrong.
""")

# %% [markdown]
# ## What to take away
# - The student's error answers a question: *would a good part look like this, in the teacher's terms?*
# - Without a bottleneck the student copies defects as well; too narrow, it fails on good parts.
# - Adding a scale can help one metric and hurt another: say which one you mean.
# - A defect that the light does not show stays hidden, whatever the network; one that it shows may still look
#   familiar.
# - Check the input normalisation first.

# %% [markdown]
# ## Exercises
#
# **1. Another light.** Train on the light `top` instead, with a bottleneck of `32`. What pixel AP does it reach?

# %% tags=["exercise"]
answer = None  # read(teacher, ..., "top"), trained(...), map_of(...), judge(...)

# %% tags=["answer-check"]


def under_top():
    student_top, _ = trained(32, read(teacher, "train", "top"))
    with torch.no_grad():
        return judge(map_of(errors(student_top, read(teacher, "test_public", "top"))))["pixel_ap"]


check(answer, lambda found: abs(found - under_top()) < 0.02, "Read both splits under `top`, and train with seed 0.")

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# at_top, _ = trained(32, read(teacher, "train", "top"))
# with torch.no_grad():
#     top_found = judge(map_of(errors(at_top, read(teacher, "test_public", "top"))))
# answer = top_found["pixel_ap"]
# print("top", top_found, "right", judge(maps))
# ```
# Under `top` the half of the candy that faces you lies in the shade.
# </details>
#
# **2. Without smoothing.** What pixel AP is left when the map (`summed`) is enlarged but not smoothed?

# %% tags=["exercise"]
answer = None

# %% tags=["answer-check"]
check(answer, lambda found: abs(found - judge(resize(summed, (SIZE, SIZE))[:, 0])["pixel_ap"]) < 0.005,
      "Take `resize(summed, (SIZE, SIZE))[:, 0]` and `judge` it.")  # fmt: skip

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# answer = judge(resize(summed, (SIZE, SIZE))[:, 0])["pixel_ap"]
# print("smoothed", judge(maps)["pixel_ap"], "not smoothed", answer)
# ```
# </details>
#
# **3. The library's student.** `afrd.model.AFRD` with one light is reverse distillation with a better student:
# residual blocks, and beside the features it predicts how large its own error will be (a log-variance), so that it may
# be unsure where good parts differ from each other. Train it on the same features. Is its pixel AP higher than that of
# this notebook's student? Put `"yes"` or `"no"` into `answer`.

# %% tags=["exercise"]
answer = None

# %% tags=["answer-check"]


def of_library():
    from afrd.model import AFRD, ModelConfig

    torch.manual_seed(0)
    model = AFRD(ModelConfig((LIGHT,), teacher.name, teacher.channels, teacher.strides))
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3)
    for _ in range(STEPS):
        batch = torch.randint(len(train[0]), (8,))
        loss = model.loss([scale[batch][:, None] for scale in train], torch.ones(8, 1, dtype=torch.bool))
        optimiser.zero_grad(), loss.backward(), optimiser.step()
    with torch.no_grad():
        one, contrast = torch.ones(len(test[0]), 1), torch.ones(len(test[0]), 1, *test[0].shape[-2:])
        found = model.eval()([scale[:, None] for scale in test], contrast, one > 0, (SIZE, SIZE))
    return judge(found.anomaly_map)["pixel_ap"]


check(answer, lambda given: given == ("yes" if of_library() > judge(maps)["pixel_ap"] else "no"),
      "Train it as in the solution, and compare `judge(...)['pixel_ap']`.")  # fmt: skip

# %% [markdown]
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
# answer = "yes" if judge(theirs)["pixel_ap"] > judge(maps)["pixel_ap"] else "no"
# ```
# `afrd.fit(data, LIGHT, "runs/right")` does all of this, with a threshold and a run folder, in one call.
# </details>
