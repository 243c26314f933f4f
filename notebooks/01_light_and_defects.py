# %% [markdown]
# # 1. Light and defects
#
# One part, six lamps, six pictures. Before any network is trained, find out what a lamp can show and what it must
# hide.
#
# **What you will learn**
# - the three things that a lamp does to a surface: shading, highlights, shadows, and how each moves with the lamp;
# - why a dent shows under one lamp and is gone under the next, and why a stain behaves differently;
# - how to *measure* how visible a defect is, when you have the same part without it;
# - why "all lamps on" is not the sum of what the lamps show one by one.
#
# **Prerequisites**: Python and NumPy. **Time**: 10 minutes to read, about a minute and a half to run on two cores.
# **Seeds**: every candy depends on (seed, category, split, index) only; the seed is 0 throughout.
#
# **The code that is explained here**: `afrd/candies/render.py` and `afrd/candies/lamps.py` (the rendering),
# `afrd/analysis/explain/visibility.py` (visibility), `afrd/figures/` (the figures).

# %% tags=["setup"]
# The build puts the setup here: Colab and Binder get the package and `course`.

# %%
import os
from itertools import combinations

import numpy as np
import pandas as pd
import plotly.express as px
import torch
from course import as_written

import afrd
from afrd.analysis.explain.visibility import visibility
from afrd.candies import DEFECTS, EYECANDIES_RIG, render_sample

# %% [markdown]
# The next cell holds everything that you may want to change. `FAST` is for the project's own tests: small pictures,
# few candies.

# %%
FAST = bool(os.environ.get("AFRD_FAST"))
SIZE = 64 if FAST else 256  # side of a picture in pixels
CANDIES = 2 if FAST else 6  # candies for each kind of defect, in the measurements
CATEGORY = "Praline"

# %% [markdown]
# ## One candy, six pictures
#
# The *candy factory* of this project renders small objects physically enough for our purpose: real shadows, real
# highlights, a camera that does not move. Its rig is that of the Eyecandies data set: four spots around the part
# (seen in the picture: `top` stands behind the candy, `bottom` at your side), a picture with all four spots on, and a
# light box that shines from everywhere.
#
# A *sample* is all the pictures of one part. This helper makes one from what the factory renders.

# %%
LIGHTS = tuple(light.name for light in EYECANDIES_RIG)


def candy(index, defect=None, split="lesson", category=CATEGORY, lights=EYECANDIES_RIG):
    """One rendered candy as a sample, and what the renderer knows about it (normals, masks)."""
    shot = render_sample(category, size=SIZE, split=split, index=index, defect=defect, lights=lights)
    images = torch.from_numpy(shot.images).permute(0, 3, 1, 2) / 255  # (L, 3, H, W)
    name, names = f"candy {index}", tuple(light.name for light in lights)
    return afrd.Sample(name, images, names, defect is not None, shot.defects, torch.from_numpy(shot.mask)), shot


def strip(sample):
    return afrd.figures.light_strip(sample).update_layout(width=1000, height=290)


# %%
good, shot = candy(1)
strip(good).show()

# %% [markdown]
# **Look before you read on.** Under which lamp do you see the grooves of the white lines best? Where does the candy's
# shadow fall under `left`? Where is the brightest point under `right`?

# %% [markdown]
# ### Shading
# A matt surface sends back light in proportion to the cosine between its normal $n$ and the direction of the lamp $l$
# (Lambert): $\max(0, n \cdot l)$. The renderer tells us the normals, so we can ask: does the cosine with the *left*
# lamp explain the *left* picture better than it explains the other three?

# %%
spots = [light for light in EYECANDIES_RIG if light.kind == "spot"]
normals = (shot.normals * [1, -1, -1]) @ shot.pose[:3, :3].T  # (H, W, 3), from the camera's axes to the world's
on_candy = normals[..., 2] < 0.999  # the mat is level; so are a few places of the candy, which we leave out
grey = dict(zip(LIGHTS, shot.images.mean(-1), strict=True))  # light -> (H, W)


def direction(light):
    azimuth, elevation = np.deg2rad([light.azimuth, light.elevation])
    return np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])


# %%
shading = {light.name: np.clip(normals @ direction(light), 0, None)[on_candy] for light in spots}
explains = pd.DataFrame(
    {picture: {lamp: np.corrcoef(cosine, grey[picture][on_candy])[0, 1] for lamp, cosine in shading.items()}
     for picture in shading}
).rename_axis("cosine with lamp").rename_axis("picture", axis=1)  # fmt: skip
px.imshow(explains.round(2), text_auto=True, range_color=(-1, 1), color_continuous_scale="RdBu", width=480, height=380,
          title="Correlation of n · l with the picture").show()  # fmt: skip

# %% [markdown]
# Each picture is explained best by its own lamp: the diagonal wins in every column. So a picture under one spot is,
# for a good part, a picture of the *slope towards that lamp*. That is why lamps from the side show relief. The paint
# (brown or white) is what keeps the correlation below 1.

# %%
best_lamp = explains.idxmax()
assert list(best_lamp) == list(explains.columns), best_lamp

# %% [markdown]
# ### Highlights
# A glossy surface also mirrors the lamp. The highlight sits where the normal points half-way between lamp and camera,
# so **it moves when the lamp moves**. A stain does not.

# %%
peaks = pd.DataFrame(
    {name: np.unravel_index(np.where(on_candy, picture, 0).argmax(), picture.shape) for name, picture in grey.items()},
    index=["row", "column"],
).T
peaks

# %%
apart = (peaks.column["right"] - peaks.column["left"]) / SIZE
print(f"the brightest point under right lies {apart:.0%} of the picture's width to the right of that under left")
assert apart > 0.25

# %% [markdown]
# ### Shadows
# Where the lamp cannot reach it is dark: on the far side of the candy, and on the mat behind it. In the dark no defect
# can be seen, whatever it is. How dark is the quarter of the picture at the far side, compared with the near side?

# %%
quarter, mat = SIZE // 4, ~on_candy
sides = {"left": np.s_[:, :quarter], "right": np.s_[:, -quarter:]}
shadow = pd.DataFrame({
    name: {side: grey[name][place][mat[place]].mean() for side, place in sides.items()}
    for name in ("left", "right", "box")
}).round(0).rename_axis("side of the mat").rename_axis("light", axis=1)  # fmt: skip
shadow

# %% [markdown]
# Under a spot the far side of the mat keeps less than half of the near side's brightness; the light box treats both
# alike. A box has no shadows, and so no relief either: keep that in mind.

# %%
assert shadow["left"]["right"] < shadow["left"]["left"] / 2
assert shadow["right"]["left"] < shadow["right"]["right"] / 2
assert abs(shadow["box"]["left"] / shadow["box"]["right"] - 1) < 0.1

# %% [markdown]
# ## One defect, six pictures
#
# The factory spoils the *object*, never the picture: it moves the surface (`bumps`, `dents`), repaints it (`colors`)
# or roughens it (`normals`). Light then does what it does. The same call without a defect gives the **twin**: the
# same candy, the same pose, the same sensor noise.
#
# **Guess first.** This candy has a dent. Where is it, and under which lamp will it be plainest? Write your answer
# down, then press the button (in Jupyter), or read on.

# %%
dent, _ = candy(4, "dents")
figure = strip(dent).update_layout(title_text="A candy with a dent. Where?")
outline = [trace.name == "true defect" for trace in figure.data]
shown = [{"visible": [True] * len(outline)}], [{"visible": [not is_line for is_line in outline]}]
buttons = [{"label": label, "method": "restyle", "args": args}
           for label, args in zip(["show the dent", "hide it"], shown, strict=True)]  # fmt: skip
figure.update_traces(visible=False, selector={"name": "true defect"})
figure.update_layout(updatemenus=[{"type": "buttons", "direction": "right", "x": 1, "y": 1.5, "buttons": buttons}])
figure.show()

# %% [markdown]
# Now with the truth: the outlined pixels are those whose surface was changed.

# %%
strip(dent).show()

# %% [markdown]
# ### What did each lamp really see?
# The eye is easily fooled by a dark picture. We have the twin, so subtract it: what is not zero is the dent. Red
# pixels are brighter than in the twin, blue ones darker.

# %%
twin, _ = candy(4)
inside = dent.mask.numpy()
change = 255 * (dent.images - twin.images).mean(1).numpy()  # (L, H, W) grey levels, signed
rows, columns = np.nonzero(inside)
margin = SIZE // 16
top, left = max(0, rows.min() - margin), max(0, columns.min() - margin)
window = change[:, top : rows.max() + margin, left : columns.max() + margin].round().clip(-127, 127).astype(np.int8)
figure = px.imshow(window, facet_col=0, facet_col_wrap=3, range_color=(-100, 100), color_continuous_scale="RdBu_r",
                   title="The dent minus its twin, grey levels", width=640, height=520)  # fmt: skip
figure.for_each_annotation(lambda note: note.update(text=LIGHTS[int(note.text.split("=")[1])]))
figure.update_xaxes(visible=False).update_yaxes(visible=False).show()

# %% [markdown]
# The dent has a side that turns towards the lamp and gets brighter, and a side that turns away and gets darker.
# Another lamp, another pattern: compare `left` with `top`.

# %%
agreement = pd.DataFrame(change[:, inside].T, columns=LIGHTS).corr()
print(f"correlation of the change under left with that under top: {agreement.loc['left', 'top']:+.2f}")
with as_written():
    assert agreement.loc["left", "top"] < -0.3

# %% [markdown]
# What `left` brightens, `top` darkens.
#
# One number for each light is enough to compare them. **Visibility** is the mean absolute difference inside the
# outline, in grey levels of 255: `afrd.analysis.explain.visibility.visibility`.

# %%
seen = visibility(dent, twin)  # (L,)
by_hand = [255 * (dent.images - twin.images)[k].abs().mean(0)[dent.mask].mean() for k in range(len(LIGHTS))]
assert np.allclose(seen, by_hand, atol=1e-3)
px.bar(x=LIGHTS, y=seen, labels={"x": "light", "y": "visibility, grey levels"}, width=620, height=320,
       title="How visible is this dent?").show()  # fmt: skip

# %%
best, worst = LIGHTS[seen.argmax()], LIGHTS[seen.argmin()]
print(f"best under {best} ({seen.max():.0f} grey levels), worst under {worst} ({seen.min():.0f})")
with as_written():
    assert seen.max() > 3 * seen.min()

# %% [markdown]
# The same dent, the same camera: the best light shows it more than three times as strongly as the worst one. Was
# your guess right?

# %% [markdown]
# ## Many defects
# One dent proves little. Render several candies of each kind, with and without, and take the mean. **Guess first**:
# will the four kinds agree on the best light?

# %%
found = []
for kind in DEFECTS:
    for index in range(CANDIES):
        bad, good_twin = candy(index, kind)[0], candy(index)[0]
        found += [{"kind": kind, "index": index, "light": light, "visibility": value}
                  for light, value in zip(LIGHTS, visibility(bad, good_twin), strict=True)]  # fmt: skip
table = pd.DataFrame(found)
means = table.pivot_table(index="kind", columns="light", values="visibility")[list(LIGHTS)]
px.imshow(means.round(0), text_auto=True, color_continuous_scale="Viridis", width=640, height=360,
          title="Mean visibility, grey levels").show()  # fmt: skip

# %%
favourite = means.idxmax(axis=1)
print(favourite.to_string())
with as_written():
    assert favourite["colors"] != favourite["dents"]
    assert means.loc["normals"].max() < means.loc[["bumps", "dents", "colors"]].max(axis=1).min()

# %% [markdown]
# They do not agree: the light that shows stains best is not the one that shows dents best. And roughness (`normals`)
# is faint under every light.
#
# ### Even one kind has no best light
# Which light is best for each single candy? A dent on the left flank and one on the right want different lamps.

# %%
wide = table.pivot(index=["kind", "index"], columns="light", values="visibility")[list(LIGHTS)]  # one row a defect
wins = wide.idxmax(axis=1).groupby("kind").value_counts().unstack(fill_value=0)
wins

# %%
shape = wide.loc[["bumps", "dents"]]
winners = shape.idxmax(axis=1).nunique()
print(f"{len(shape)} defects of shape have {winners} different best lights")
with as_written():
    assert winners >= 3

# %% [markdown]
# ## Is "all lamps on" enough?
# `spots` has all four lamps on at once: it uses all the light. If it showed all that the four show, a station would
# need one picture only. **Guess**: for which part of the shape defects does some single spot show more than all four
# together?

# %%
singles = [light.name for light in spots]
hidden = (shape[singles].max(axis=1) > shape["spots"]).mean()
print(f"a single spot shows more than all four together for {hidden:.0%} of the bumps and dents")
with as_written():
    assert hidden > 0.5

# %% [markdown]
# For most of them. The flank that one lamp brightens, the opposite lamp darkens; with both on, they cancel. The
# information is lost *before* it reaches the camera, and no network brings it back. This is the reason to take
# several pictures.

# %% [markdown]
# ## How many lights does it take?
# A station cannot choose the light after it has seen the defect. Fix a set of lights, take the best of its pictures
# for every defect, and compare with the best of all six.

# %%
share = wide.div(wide.max(axis=1), axis=0)  # of the best light's visibility
sets = {"+".join(lights): share[list(lights)].max(axis=1).mean()
        for size in (1, 2, 3) for lights in combinations(LIGHTS, size)}  # fmt: skip
of_size = pd.Series(sets).rename("share").rename_axis("lights").reset_index()
of_size["number"] = of_size.lights.str.count(r"\+") + 1
best_sets = of_size.loc[of_size.groupby("number").share.idxmax()]
px.strip(of_size, x="number", y="share", hover_name="lights", width=620, height=360,
         labels={"share": "visibility, part of the best", "number": "lights in the set"},
         title="Every set of one, two, three lights").show()  # fmt: skip
best_sets

# %%
one, two, three = best_sets.share
print(f"the best single light reaches {one:.0%} of what six reach, the best two {two:.0%}, the best three {three:.0%}")
with as_written():
    assert one < 0.85 and two > one + 0.05 and three > 0.9

# %% [markdown]
# A second light brings much, a third one little: lights repeat each other. Which ones do is a question about *your*
# parts; the command `afrd lights` answers it for a trained run.
#
# ## Why not simply subtract?
# All this used the twin, and in a factory there is no twin. The next best thing is another good part. Is the
# difference between a bad part and *another good one* larger inside the defect than the difference between two good
# ones?

# %%
others = [candy(100 + index)[0] for index in range(CANDIES)]
between_good = np.mean([255 * (a.images - b.images).abs()[:, :, dent.mask].mean() for a, b in combinations(others, 2)])
print(f"the dent changes its pixels by {seen.mean():.0f} grey levels, another good candy by {between_good:.0f}")
with as_written():
    assert between_good > seen.mean()

# %% [markdown]
# No: two good candies differ more than a dent does. White lines run differently, the candy is turned, the browns
# differ. Pixels are the wrong thing to compare. The next notebook compares **features**, and against what a *student*
# has learned to expect of good parts.
#
# ## What to take away
# - Under a spot, a picture shows the slope towards that lamp; relief needs light from the side.
# - Which light shows a defect depends on its kind *and* on its place.
# - Lamps that shine together cancel each other's relief.
# - Visible is not the same as unexpected: good parts differ as well.

# %% [markdown]
# ## Exercises
#
# **1. A grazing lamp.** Add a seventh lamp at the left, only 12 degrees above the mat (`elevation=12`), to the
# rig. How visible is the dent of candy 4 under it, compared with `left` at 36 degrees? Guess first.
#
# <details><summary>Solution</summary>
#
# ```python
# from afrd.candies import Light
#
# rig = (*EYECANDIES_RIG, Light("grazing", "spot", azimuth=180, elevation=12, intensity=1.15))
# low = dict(zip([light.name for light in rig], visibility(candy(4, "dents", lights=rig)[0], candy(4, lights=rig)[0])))
# print({name: round(float(low[name])) for name in ("left", "grazing")})
# assert low["grazing"] > 0
# ```
# A grazing lamp makes relief strong where its light arrives, and leaves everything behind the first edge in the dark.
# It helps on flat parts more than on a round candy. (The sum `spots` changes as well: it adds up *all* spots of a
# rig.)
# </details>
#
# **2. Stains.** A stain changes the paint, not the shape. Is it true that a stain is as visible under all spots
# together as under the best single one? Use `wide.loc["colors"]`.
#
# <details><summary>Solution</summary>
#
# ```python
# stains = wide.loc["colors"]
# ratio = (stains["spots"] / stains[singles].max(axis=1)).mean()
# relief = (shape["spots"] / shape[singles].max(axis=1)).mean()
# print(f"spots show {ratio:.0%} of what the best spot shows of a stain, and {relief:.0%} of a bump or dent")
# with as_written():
#     assert ratio > relief
# ```
# Paint does not cancel: all lamps darken or brighten it alike. So `spots` is a good light for stains, and a poor one
# for relief.
# </details>
#
# **3. Another material.** Repeat the comparison of the best single light with the best pair for the category
# `Gumdrop`, which is covered with sugar. Does its best single light reach more or less?
#
# <details><summary>Solution</summary>
#
# ```python
# def rows(category):
#     pairs = [(candy(i, kind, category=category)[0], candy(i, category=category)[0])
#              for kind in DEFECTS for i in range(2)]
#     return pd.DataFrame([visibility(*pair) for pair in pairs], columns=LIGHTS)
#
# gum = rows("Gumdrop")
# gum = gum.div(gum.max(axis=1), axis=0)
# pairs = {pair: gum[list(pair)].max(axis=1).mean() for pair in combinations(LIGHTS, 2)}
# best_pair = max(pairs, key=pairs.get)
# print(f"best single {gum.mean().idxmax()} {gum.mean().max():.0%}, best pair {best_pair} {pairs[best_pair]:.0%}")
# assert pairs[best_pair] >= gum.mean().max()
# ```
# </details>
