# %% [markdown]
# # 1. Light and defects
#
# One part, six lights, six pictures. Before any network is trained, find out what a light can show and what it cannot.
#
# **What you will learn**
# - the three things that a lamp does to a surface: shading, highlights, shadows, and how each moves with the lamp;
# - why a dent shows under one lamp and is gone under the next, and why a stain behaves differently;
# - how to *measure* how visible a defect is, when you have the same part without it;
# - what "all lamps on" gains and loses against single lamps, compared fairly;
# - **photometric stereo**: normals and albedo from six lamps in closed form, and what a defect does to each.
#
# **Prerequisites**: Python and NumPy. **Time**: 20 minutes to read, half a minute of processor time.
# **Seeds**: every candy depends on (seed, category, split, index) only; the seed is 0 throughout.
#
# **The code that is explained here**: [afrd/candies/render.py](../afrd/candies/render.py) and
# [afrd/candies/lamps.py](../afrd/candies/lamps.py) (the rendering),
# [afrd/analysis/explain/visibility.py](../afrd/analysis/explain/visibility.py) (visibility),
# [afrd/figures/](../afrd/figures/) (the figures).

# %% tags=["setup"]
# The build puts the setup here: Colab and Binder get the package and `course`.

# %%
import os
from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
import torch
from course import as_written, check, diagram, image, lamp_mixer, light_grid, linear, no_axes, picture_uri, show, slider
from IPython.display import Markdown
from PIL import Image
from plotly.subplots import make_subplots
from scipy.ndimage import binary_fill_holes

# %%
import afrd
from afrd.analysis.explain.visibility import visibility
from afrd.candies import DEFECTS, EYECANDIES_RIG, Light, render_sample

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
# This project's renderer draws small candies with cast shadows, highlights and a fixed camera. Its rig is that of the
# Eyecandies data set: four spots around the part (`top` stands behind the candy, `bottom` on the viewer's side), a
# picture with all four spots on (`spots`), and a light box that shines from everywhere (`box`).

# %% tags=["text"]
diagram(
    {"": ["one part\n(shape, paint, gloss)", "one light at a time", "fixed camera", "six pictures\n= one sample"]},
    "One part is lit by one light at a time; a fixed camera takes six pictures, which are one sample.",
)

# %% [markdown]
# A *sample* is all the pictures of one part. This helper makes one of what the renderer gives.

# %%
LIGHTS = tuple(light.name for light in EYECANDIES_RIG)


@cache
def candy(index, defect=None, split="lesson", category=CATEGORY, lights=EYECANDIES_RIG):
    """One rendered candy as a sample, and what the renderer knows about it (normals, masks)."""
    shot = render_sample(category, size=SIZE, split=split, index=index, defect=defect, lights=lights)
    images = torch.from_numpy(shot.images).permute(0, 3, 1, 2) / 255  # (L, 3, H, W)
    name, names = f"candy {index}", tuple(light.name for light in lights)
    return afrd.Sample(name, images, names, defect is not None, shot.defects, torch.from_numpy(shot.mask)), shot


# %%
good, shot = candy(1)
show(light_grid(good, "A good candy under six lights"), "The same candy in six pictures, one under each light.")

# %% [markdown]
# **Look before you read on.** Under which lamp do you see the grooves of the white lines best? Where does the candy's
# shadow fall under `left`? Where is the brightest point under `right`?

# %% [markdown]
# ### Shading
# A matt surface reflects **diffusely**: it sends light in all directions, in proportion to the cosine between its
# normal $n$ and the direction of the lamp $l$ (Lambert): $\max(0, n \cdot l)$. The renderer tells us the normals, so
# we can ask: does the cosine with the *left* lamp explain the *left* picture better than it explains the other three?

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
figure = px.imshow(explains.round(2), text_auto=True, range_color=(-1, 1), color_continuous_scale="RdBu", width=520,
                   height=420, title="Lambert's cosine: correlation with each picture")  # fmt: skip
show(figure, "A table of four lamps by four pictures; the highest correlation of each column is on the diagonal.")

# %% [markdown]
# Each picture is explained best by its own lamp: the diagonal wins in every column. So a picture under one spot is,
# for a good part, a picture of the *slope towards that lamp*. That is why lamps from the side show relief. The paint
# (brown or white), highlights and shadows keep the correlation below that of a perfect match.

# %% tags=["check"]
best_lamp = explains.idxmax()
with as_written():
    assert list(best_lamp) == list(explains.columns), best_lamp

# %% [markdown]
# ### Highlights
# A glossy surface also mirrors the lamp: its reflection has a **specular** part. The highlight sits where the normal
# points half-way between lamp and camera, so **it moves when the lamp moves**. A stain does not.

# %%
peaks = pd.DataFrame(
    {name: np.unravel_index(np.where(on_candy, picture, 0).argmax(), picture.shape) for name, picture in grey.items()},
    index=["row", "column"],
).T
peaks

# %% tags=["check"]
apart = (peaks.column["right"] - peaks.column["left"]) / SIZE
with as_written():
    assert apart > 0.25

# %% tags=["text"]
Markdown(
    f"The brightest point under `right` lies {apart:.0%} of the picture's width to the right of that under `left`."
)

# %% [markdown] settings=["36 degrees", "10"]
# ### To move: the direction of one lamp
# One spot circles around a candy with a dent. At the left it stands 36 degrees above the mat, at the right only 10
# degrees (grazing light). Look for three things: the highlight that follows the lamp, the shadow on the other side, and
# the directions in which the dent is easy to see.

# %%
angles = [10, 60, 90, 180] if FAST else list(range(0, 360, 20))
turning = tuple(Light(f"{height} {angle}", "spot", azimuth=angle, elevation=height, intensity=1.15)
                for height in (36, 10) for angle in angles)  # fmt: skip
moving = candy(4, "dents", lights=turning)[0]
uri = {name: picture_uri(afrd.figures.painted(moving, None, name, 320), 80) for name in moving.lights}


def pair(angle):
    return [go.Image(source=uri[f"{height} {angle}"], hoverinfo="skip") for height in (36, 10)]


# %%
figure = make_subplots(1, 2, subplot_titles=("lamp 36 degrees above the mat", "grazing lamp, 10 degrees"))
figure.add_traces(pair(angles[0]), rows=[1, 1], cols=[1, 2])
figure.frames = [go.Frame(data=pair(angle), name=f"{angle}°", traces=[0, 1]) for angle in angles]
figure.update_layout(width=760, height=520, title="A candy with a dent under one lamp that circles around it",
                     sliders=[slider([f"{angle}°" for angle in angles], "azimuth ")])  # fmt: skip
show(no_axes(figure), "The same candy twice, under a lamp at the right: higher on the left, grazing on the right.")

# %% [markdown]
# A lamp from far above, whose reflection on a level surface enters the camera, gives **bright field**: level places are
# bright, slopes dark. Grazing light whose reflection on level places passes the camera by gives **dark field**: only
# slopes, scratches and dust are bright. Spots at the side of a rig are between the two.

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

# %% tags=["check"]
far = {
    "left": shadow["left"]["right"] / shadow["left"]["left"],
    "right": shadow["right"]["left"] / shadow["right"]["right"],
}
evenness = shadow["box"]["left"] / shadow["box"]["right"]
with as_written():
    assert max(far.values()) < 0.5 and abs(evenness - 1) < 0.1

# %% tags=["text"]
Markdown(f"""
The far side of the mat keeps {far["left"]:.0%} of the near side's brightness under `left` and {far["right"]:.0%} under
`right`; under the light box the two sides differ by {abs(evenness - 1):.0%}. A light box casts no hard shadows. Whether
it also hides relief is a question that we measure below.
""")

# %% [markdown]
# ## One defect, six pictures
#
# The renderer changes the *object*, never the picture: it moves the surface (`bumps`, `dents`), repaints it (`colors`)
# or roughens it (`normals`), and then lights it. The same call without a defect gives the **twin**: the same candy, the
# same pose, the same sensor noise.
#
# **Question.** This candy has a dent. Where is it, and under which light will it be plainest? Write your answer down,
# then press the button, or read on.

# %%
dent, _ = candy(4, "dents")
figure = light_grid(dent, "A candy with a dent. Where?")
outline = [trace.name == "true defect" for trace in figure.data]
shown = [{"visible": [True] * len(outline)}], [{"visible": [not is_line for is_line in outline]}]
buttons = [{"label": label, "method": "restyle", "args": args}
           for label, args in zip(["show the dent", "hide it"], shown, strict=True)]  # fmt: skip
figure.update_traces(visible=False, selector={"name": "true defect"})
figure.update_layout(updatemenus=[{"type": "buttons", "direction": "right", "x": 1, "y": 1.12, "buttons": buttons}])
show(figure, "A candy with a dent under six lights, without an outline.")

# %% [markdown]
# Now with the truth: the outlined pixels are those whose surface was changed.

# %%
show(
    light_grid(dent, "The same candy with the outline of the dent"),
    "The same six pictures with the outline of the dent.",
)

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
                   title="Picture with dent minus picture of the twin, grey levels", width=980, height=700)  # fmt: skip
figure.for_each_annotation(lambda note: note.update(text=LIGHTS[int(note.text.split("=")[1])]))
show(no_axes(figure), "Six difference pictures; under each light other places of the dent are brighter or darker.")

# %% tags=["check"]
agreement = pd.DataFrame(change[:, inside].T, columns=LIGHTS).corr()
brighter = pd.Series((change[:, inside] > 0).mean(1), LIGHTS)  # share of the dent's pixels
with as_written():
    assert agreement.loc["left", "top"] < -0.3 and brighter["left"] > 0.5 > brighter["right"]

# %% tags=["text"]
Markdown(f"""
The wall of this dent that can be seen turns towards `left`: {brighter["left"]:.0%} of its pixels get brighter there,
and only {brighter["right"]:.0%} under the opposite lamp `right`; under `top` {brighter["top"]:.0%} and under `bottom`
{brighter["bottom"]:.0%}. Over the pixels of the dent, the change under `left` correlates with that under `top` by
{agreement.loc["left", "top"]:+.2f}: the lights show different sides of the same defect.
""")

# %% [markdown] settings=["255"]
# One number for each light is enough to compare them. **Visibility** is the mean absolute difference inside the
# outline, in grey levels of 255: `afrd.analysis.explain.visibility.visibility`.

# %%
seen = visibility(dent, twin)  # (L,)
by_hand = [255 * (dent.images - twin.images)[k].abs().mean(0)[dent.mask].mean() for k in range(len(LIGHTS))]
assert np.allclose(seen, by_hand, atol=1e-3)
figure = px.bar(x=LIGHTS, y=seen, labels={"x": "light", "y": "visibility, grey levels"}, width=620, height=320,
                title="Visibility of this dent under each light")  # fmt: skip
show(figure, "Bars of six lights; the tallest is more than three times the lowest.")

# %% tags=["check"]
best, worst = LIGHTS[seen.argmax()], LIGHTS[seen.argmin()]
with as_written():
    assert seen.max() > 3 * seen.min()

# %% tags=["text"]
Markdown(f"""
The same dent, the same camera: `{best}` shows it by {seen.max():.0f} grey levels, `{worst}` by {seen.min():.0f},
{seen.max() / seen.min():.1f} times less.
""")

# %% [markdown]
# ## Many defects
# One dent proves little. Render several candies of each kind, with and without, and take the mean. **Question**:
# do the four kinds agree on the best light?

# %%
found = []
for kind in DEFECTS:
    for index in range(CANDIES):
        bad, good_twin = candy(index, kind)[0], candy(index)[0]
        found += [{"kind": kind, "index": index, "light": light, "visibility": value}
                  for light, value in zip(LIGHTS, visibility(bad, good_twin), strict=True)]  # fmt: skip
table = pd.DataFrame(found)
means = table.pivot_table(index="kind", columns="light", values="visibility")[list(LIGHTS)]
figure = px.imshow(means.round(0), text_auto=True, color_continuous_scale="Viridis", width=640, height=380,
                   title="Mean visibility by kind of defect and light, grey levels")  # fmt: skip
show(
    figure, "A table of four kinds of defect by six lights; the kinds have their highest values under different lights."
)

# %% tags=["check"]
favourite = means.idxmax(axis=1)
with as_written():
    assert favourite["colors"] != favourite["dents"]
    assert means.loc["normals"].max() < means.loc[["bumps", "dents", "colors"]].max(axis=1).min()
    assert (
        means.loc["dents", "box"] > means.loc["dents", "bottom"]
        and means.loc["bumps", "box"] > means.loc["bumps", "bottom"]
    )

# %% tags=["text"]
Markdown(f"""
They do not agree: on average `{favourite["colors"]}` shows stains best, `{favourite["dents"]}` dents, and
`{favourite["bumps"]}` bumps. Roughness (`normals`) is faint under every light. And the light box does show relief:
dents by {means.loc["dents", "box"]:.1f} grey levels, more than `bottom` ({means.loc["dents", "bottom"]:.1f}). It has no
hard shadows, but a place that is turned away from a bright part of the box, or that lies deeper, is darker under it,
too.
""")

# %% [markdown]
# ### Even one kind has no best light
# Which light is best for each single candy? A dent on the left flank and one on the right want different lamps.

# %%
wide = table.pivot(index=["kind", "index"], columns="light", values="visibility")[list(LIGHTS)]  # one row a defect


def share_of_best(visibilities):
    """Mean over the defects of a light's visibility, as a part of that of the defect's best light."""
    return visibilities.div(visibilities.max(axis=1), axis=0).mean()


wins = wide.idxmax(axis=1).groupby("kind").value_counts().unstack(fill_value=0)
wins

# %% tags=["check"]
shape = wide.loc[["bumps", "dents"]]
winners = shape.idxmax(axis=1).nunique()
with as_written():
    assert winners >= 3

# %% tags=["text"]
Markdown(f"The {len(shape)} defects of shape (bumps and dents) have {winners} different best lights.")

# %% [markdown]
# ## Is "all lamps on" enough?
# `spots` has all four lamps on at once. If it showed all that the four show, a station would need one picture only.
# **Question**: for which part of the bumps and dents does a single spot show more than all four together?

# %%
singles = [light.name for light in spots]
wins_of = pd.Series({light: (shape[light] > shape["spots"]).mean() for light in singles}, name="wins against spots")
any_of_four = (shape[singles].max(axis=1) > shape["spots"]).mean()
wins_of.round(2).to_frame()

# %% tags=["check"]
by_light = shape.mean().sort_values(ascending=False)
with as_written():
    assert any_of_four > 0.8 and wins_of.mean() < 0.6
    assert by_light["spots"] > 0.9 * by_light.iloc[0] and share_of_best(wide).idxmax() == "spots"

# %% tags=["text"]
Markdown(f"""
If you may pick the best of the four lamps for every defect, it wins in {any_of_four:.0%} of the cases. But that is four
pictures against one, **chosen after the defect is known**. One picture against one picture, the single lamps win
between {wins_of.min():.0%} and {wins_of.max():.0%} of the time. On average over bumps and dents `spots` shows
{by_light["spots"]:.1f} grey levels, the best single light (`{by_light.index[0]}`) {by_light.iloc[0]:.1f}; over all
kinds of defect no light comes closer to the best one than `spots` does. With one picture only, all lamps on is a good
choice. What four pictures have in addition is the choice among them.
""")

# %% [markdown]
# ### Do lamps cancel each other's relief?
# A slope that one lamp brightens, the opposite lamp may darken. Light adds: in linear brightness, before the camera's
# curve, `spots` must be the sum of the four spots, but for a shorter exposure. So the change that a defect makes under
# all four lamps is the sum of its changes under each, **with their signs**. **Question**: which part of it is left
# for a dent, which for a stain?

# %%
in_rig = [LIGHTS.index(light) for light in singles]
together, summed = linear(shot.images[0]), linear(shot.images[in_rig]).sum(0)  # (H, W) each
exposure = together.sum() / summed.sum()
assert LIGHTS[0] == "spots" and np.corrcoef(together.ravel(), summed.ravel())[0, 1] > 0.95


def left_of(kind, index):
    """The change under all four lamps, relative to the sum of the four changes without their signs."""
    bad, good_twin = candy(index, kind)[1], candy(index)[1]
    change = (linear(bad.images) - linear(good_twin.images))[in_rig][:, bad.mask]  # (4, pixels)
    return np.abs(change.sum(0)).sum() / np.abs(change).sum()


left = pd.Series({kind: np.mean([left_of(kind, i) for i in range(CANDIES)]) for kind in DEFECTS}, name="part left")
left.round(2).to_frame()

# %% tags=["check"]
with as_written():
    assert left["colors"] > 0.98 and left[["bumps", "dents"]].max() < 0.85

# %% tags=["text"]
Markdown(f"""
Of a stain {left["colors"]:.0%} is left: paint changes the light of all lamps in the same direction. Of a dent
{left["dents"]:.0%} is left and of a bump {left["bumps"]:.0%}: so lamps that shine together do cancel a part of the
relief, but not most of it. And with four lamps and {exposure:.2f} of their exposure, `spots` is {4 * exposure:.1f}
times as bright as an average single lamp, which makes up for the loss in grey levels.
""")

# %% [markdown]
# ### To move: five lamps with dimmers
# As light adds, the picture under any mixture of lamps follows from the pictures under one lamp each. Dim the lamps;
# the camera keeps the mean brightness as it is. Which lamps show the dent most plainly? What does adding the opposite
# lamp do to it, and what the light box?

# %%
lit = [dict(zip(LIGHTS, one.images, strict=True)) for one in (candy(4, "dents")[1], candy(4)[1])]
lamp_mixer(*lit, dent.mask.numpy(), margin=SIZE // 12)

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
figure = px.strip(of_size, x="number", y="share", hover_name="lights", width=620, height=360,
                  labels={"share": "visibility, part of the best", "number": "lights in the set"},
                  title="Every set of one, two, three lights")  # fmt: skip
show(figure, "Dots for sets of one, two and three lights; the more lights, the closer to the best of six.")
best_sets.round(3)

# %% tags=["check"]
one, two, three = best_sets.share
with as_written():
    assert one < 0.85 and two > one + 0.05 and three > 0.9

# %% tags=["text"]
Markdown(f"""
The best single light (`{best_sets.lights.iloc[0]}`) reaches {one:.0%} of the visibility that the best of six reaches,
the best two (`{best_sets.lights.iloc[1]}`) {two:.0%}, the best three {three:.0%}. A second light brings much, a third
one little: lights repeat each other. Which ones do is a question about *your* parts; the command `afrd lights`
answers it for a trained run.
""")

# %% [markdown]
# ## Photometric stereo: shape and paint apart
# A picture mixes shape and paint. With three or more known lamp directions they can be separated (Woodham, 1980). For a
# matt surface with albedo $\rho$ and normal $n$, lamp $l$ gives the linear brightness $I_l = \rho \, (n \cdot d_l)$
# where it shines. With $g = \rho \, n$ this is linear in $g$, and least squares has a closed form:
#
# $$g = \Bigl(\sum_l d_l d_l^\top\Bigr)^{-1} \sum_l I_l \, d_l, \qquad \rho = |g|, \qquad n = g / |g|.$$
#
# Shadows and highlights break the law of the cosine. With six lamps there are values to spare: at every pixel, leave
# out the two darkest (a shadow?) and the brightest (a highlight?) and solve with the other three.

# %%
ring = tuple(Light(f"ring {angle}", "spot", azimuth=angle, elevation=40) for angle in range(0, 360, 60))
towards = np.stack([direction(light) for light in ring])  # (6, 3)


# %%
def photometric_stereo(images):
    """Normals (H, W, 3) and albedo (H, W) from six pictures."""
    bright = linear(images)  # (6, H, W), without the camera's curve
    rank = bright.argsort(0).argsort(0)
    used = (rank >= 2) & (rank <= 4)
    left_side = np.einsum("lhw,li,lj->hwij", used, towards, towards) + 1e-6 * np.eye(3)
    right_side = np.einsum("lhw,lhw,li->hwi", used, bright, towards)
    g = np.linalg.solve(left_side, right_side[..., None])[..., 0]
    albedo = np.linalg.norm(g, axis=-1)
    return g / np.maximum(albedo, 1e-9)[..., None], albedo


# %%
shots = {kind: candy(4, kind, lights=ring)[1] for kind in (None, "dents", "colors")}
stereo = {kind: photometric_stereo(rendered.images) for kind, rendered in shots.items()}
true_normals = (shots[None].normals * [1, -1, -1]) @ shots[None].pose[:3, :3].T
on_it = true_normals[..., 2] < 0.999


def angle(a, b):
    """Degrees between two fields of unit vectors."""
    return np.rad2deg(np.arccos(np.clip((a * b).sum(-1), -1, 1)))


# %%
body = binary_fill_holes(on_it)  # with the level places on top


def as_picture(kind):
    normals, albedo = stereo[kind]
    both = np.concatenate([(normals + 1) / 2, np.repeat(np.clip(albedo, 0, 1)[..., None] ** 0.5, 3, -1)], 1)
    without_mat = np.where(np.tile(body, 2)[..., None], both, 0.5)
    return without_mat[body.any(1)][:, np.tile(body.any(0), 2)]


# %%
names = {None: "good", "dents": "with a dent", "colors": "with a stain"}
figure = make_subplots(
    3, 1, subplot_titles=[f"{name}: normals | albedo" for name in names.values()], vertical_spacing=0.04
)
for row, kind in enumerate(names, 1):
    figure.add_trace(image(Image.fromarray((255 * as_picture(kind)).astype(np.uint8))), row, 1)
figure.update_layout(width=760, height=1040, title="Photometric stereo of one candy from six lamps")
show(no_axes(figure), "Normals and albedo of a candy: the dent changes the normals, the stain the albedo.")

# %%
rows = {}
for kind in ("dents", "colors"):
    (n, rho), (good_n, good_rho), mask = stereo[kind], stereo[None], shots[kind].mask
    rows[names[kind]] = {"normal turned, degrees": angle(n, good_n)[mask].mean(),
                         "albedo changed, part of it": (np.abs(rho - good_rho) / good_rho)[mask].mean()}  # fmt: skip
changes = pd.DataFrame(rows).T
changes.round(2)

# %% tags=["check"]
turned, repainted = changes.columns
off = np.median(angle(stereo[None][0], true_normals)[on_it])
with as_written():
    assert changes[turned].iloc[0] > 3 * changes[turned].iloc[1]
    assert changes[repainted].iloc[1] > 3 * changes[repainted].iloc[0]

# %% tags=["text"]
Markdown(f"""
The dent turns the normals by {changes[turned].iloc[0]:.0f} degrees and changes the albedo by
{changes[repainted].iloc[0]:.0%}; the stain turns the normals by {changes[turned].iloc[1]:.0f} degrees and changes the
albedo by {changes[repainted].iloc[1]:.0%}. So the two kinds of defect come apart. The normals themselves are not
exact: the median error against the renderer's is {off:.0f} degrees, as the law of the cosine knows no gloss, no
scattered light and no lamp that stands near. A defect is found by *comparing*, and most of that error is the same
with and without it.
""")

# %% [markdown]
# ## Why not simply subtract?
# All this used the twin, and in a factory there is no twin. The next best thing is another good part. Is the
# difference between a bad part and *another good one* larger inside the defect than the difference between two good
# ones?

# %% tags=["check"]
others = [candy(100 + index)[0] for index in range(CANDIES)]
between_good = np.mean([255 * (a.images - b.images).abs()[:, :, dent.mask].mean() for a, b in combinations(others, 2)])
with as_written():
    assert between_good > seen.mean()

# %% tags=["text"]
Markdown(f"""
No: the dent changes its pixels by {seen.mean():.0f} grey levels, another good candy by {between_good:.0f}. White
lines run differently, the candy is turned, the browns differ. Pixels are the wrong thing to compare. The next
notebook compares
**features**, and against what a *student* has learned to expect of good parts.
""")

# %% [markdown]
# ## What to take away
# - Under a spot, a picture shows the slope towards that lamp; relief needs light from the side.
# - Which light shows a defect depends on its kind *and* on its place.
# - Lamps that shine together cancel a part of the relief and nothing of the paint, and give more light; one such
#   picture is good, several pictures are better.
# - Six known lamp directions separate shape (normals) from paint (albedo).
# - A best of four against a single choice is not a fair comparison.
# - Visible is not the same as unexpected: good parts differ as well.

# %% [markdown] settings=["12 degrees", "36 degrees"]
# ## Exercises
#
# **1. A grazing lamp.** Add a seventh lamp at the left, only 12 degrees above the mat, to the rig. How visible is the
# dent of candy `4` under it? Put the visibility in grey levels into `answer`, and compare it with `left` at 36 degrees.

# %% tags=["exercise"]
rig = (*EYECANDIES_RIG, Light("grazing", "spot", azimuth=180, elevation=12, intensity=1.15))
answer = None  # candy(4, "dents", lights=rig) and its twin, then visibility(...)

# %% tags=["answer-check"]
check(
    answer,
    lambda found: abs(found - visibility(candy(4, "dents", lights=rig)[0], candy(4, lights=rig)[0])[-1]) < 0.5,
    "visibility(bad, twin) gives one number for each light; the grazing lamp is the last of the rig.",
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# low = dict(zip([light.name for light in rig], visibility(candy(4, "dents", lights=rig)[0], candy(4, lights=rig)[0])))
# print({name: round(float(low[name])) for name in ("left", "grazing")})
# answer = low["grazing"]
# ```
# A grazing lamp makes relief strong where its light arrives, and leaves everything behind the first edge in the dark.
# It helps on flat parts more than on a round candy.
# </details>
#
# **2. Stains.** A stain changes the paint, not the shape. What part of the visibility under the best single spot does
# `spots` reach, averaged over the stains `wide.loc["colors"]`? Compare with `shape`.

# %% tags=["exercise"]
stains = wide.loc["colors"]
answer = None  # mean of the ratio

# %% tags=["answer-check"]
check(
    answer, (stains["spots"] / stains[singles].max(axis=1)).mean(), "Divide `stains['spots']` by the row-wise maximum."
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# answer = (stains["spots"] / stains[singles].max(axis=1)).mean()
# relief = (shape["spots"] / shape[singles].max(axis=1)).mean()
# print(f"spots reach {answer:.0%} of what the best spot shows of a stain, and {relief:.0%} of a bump or dent")
# ```
# Paint does not cancel: all lamps darken or brighten it alike.
# </details>
#
# **3. Fewer lamps.** Photometric stereo needs three lamps. With only three, none can be left out. Solve with the lamps
# `0`, `2`, `4` of the ring: what is the median angle, in degrees, to the true normals on the candy?

# %% tags=["exercise"]
three = [0, 2, 4]
bright = linear(shots[None].images)[three]  # (3, H, W)
answer = None

# %% tags=["answer-check"]
g = np.einsum("il,lhw->hwi", np.linalg.inv(towards[three]), bright)
expected = np.median(angle(g / np.maximum(np.linalg.norm(g, axis=-1, keepdims=True), 1e-9), true_normals)[on_it])
check(
    answer,
    expected,
    "With three lamps, g is the inverse of the (3, 3) matrix `towards[three]` times the pictures.",
    0.5,
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# g = np.einsum("il,lhw->hwi", np.linalg.inv(towards[three]), bright)
# n = g / np.maximum(np.linalg.norm(g, axis=-1, keepdims=True), 1e-9)
# answer = np.median(angle(n, true_normals)[on_it])
# print(f"{answer:.1f} degrees with three lamps, {off:.1f} with six")
# ```
# </details>
