# %% [markdown]
# # 5. An error analysis, from the table to the conclusion
#
# One number, such as image AUROC, does not say which parts will be complained about. This notebook takes a difficult
# category and one run and looks at every mistake: which defects are missed and *why*, which good parts are rejected or
# nearly so, and where the run was right for the wrong reason. It ends in a conclusion that **you** write.
#
# **What you will learn**
# - to ask a table of samples questions instead of scrolling through pictures;
# - to tell apart three kinds of mistake that look alike in a metric: not seen, seen but below the threshold, right by
#   luck;
# - to test a suspicion ("it misses the faint ones") with pandas before you believe it;
# - to say what another threshold would bring and cost;
# - to tell the run that a place is normal, without training, and to look at the price first;
# - to leave notes, tags and a report that others can open.
#
# **Prerequisites**: notebook 4 (threshold, AUROC), pandas. **Time**: half an hour to read and write, 4 minutes of
# processor time the first time: rendering and two trainings. **Seeds**: 0 for the candies and both trainings.
#
# **The code that is explained here**: [afrd/analysis/errors/table.py](../afrd/analysis/errors/table.py) (the table
# and its questions), [afrd/metrics/localisation.py](../afrd/metrics/localisation.py),
# [afrd/analysis/errors/notes.py](../afrd/analysis/errors/notes.py),
# [afrd/analysis/reports/errors.py](../afrd/analysis/reports/errors.py). The page's Errors tab is the same table.

# %% tags=["setup"]
# The build puts the setup here: Colab and Binder get the package and `course`.

# %%
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
from course import check, diagram, image, no_axes, show, slider
from IPython.display import Markdown
from plotly.subplots import make_subplots
from scipy.stats import binom

# %%
import afrd
from afrd.analysis.comparison import methods_of
from afrd.analysis.errors import Group, Note, Notes, changes
from afrd.analysis.errors import table as errors
from afrd.analysis.errors.group_metrics import group_metrics
from afrd.analysis.explain.visibility import visibility
from afrd.analysis.reports.errors import csv, report
from afrd.analysis.reports.groups import group_texts
from afrd.candies import render_category, render_sample

# %%
FAST = bool(os.environ.get("AFRD_FAST"))  # the project's own tests: small pictures, hardly any training
HOME = Path(os.environ.get("AFRD_NOTEBOOK_DATA") or Path.home() / ".cache" / "afrd-notebooks")
CATEGORY, SEED = "Gumdrop", 0
SIZE = 64 if FAST else 256  # of pictures, and of the teacher's input
COUNTS = {"train": 6, "val": 4, "test_good": 4, "test_bad": 4} if FAST else {}
TRAINING = {"size": SIZE, "seed": SEED, "fusion": "attention", "show_progress": False} | (
    {"epochs": 1, "width": 16} if FAST else {}
)

# %% tags=["text"]
diagram(
    {"": ["scores and\nverdicts", "table:\none row a sample", "questions", "pictures of\nthe answers", "conclusion"]},
    "Scores and verdicts become a table, one row a sample; questions select rows; their pictures lead to a conclusion.",
)

# %% [markdown]
# ## The run, and a rival
# The candies of this category are covered with sugar, and no two good ones are alike, which makes it a hard one. AFRD
# looks at six lights; its rival is the same method, with the same memory, on the light box alone. So the two differ in
# their lights only. Whoever analyses errors needs a rival: a mistake that both make is probably the data's, one that
# only one of them makes is that method's.

# %%
render_category(
    HOME / "data" / "candies", CATEGORY, size=SIZE, seed=SEED, twins=True, workers=1 if FAST else None, **COUNTS
)
data = afrd.open_dataset(HOME / "data" / "candies", CATEGORY)
test = data["test_public"]
kept = HOME / "runs" / ("gumdrop-fast" if FAST else "gumdrop")
run = afrd.fit(data, out=kept / "six", memory=64 if FAST else 512, **TRAINING)
box = afrd.fit(data, "box", out=kept / "box", memory=64 if FAST else 512, **TRAINING)

# %%
methods = [method for method in methods_of([run, box]) if method.fusion in ("attention", None)]
found = errors.table(methods, test)
table = found.frame().drop(columns=["tags", "note"])
table.iloc[:8, :9].round(2)

# %% [markdown] settings=["1"]
# A row a sample. Scores are in units of each method's own threshold, so 1 is where the verdict turns. *Defect found* is
# the part of the defect over which the map passes the threshold, *best IoU* how well the map outlines it at its best
# level, *peak off* how many pixels the map's maximum lies beside the defect.
#
# ## How many mistakes?

# %%
counts = pd.DataFrame({name: vars(found.confusion(label=name)) for name in (found.run, found.other)})
counts

# %%
metrics = run.evaluate(test).intervals(seed=SEED)
metrics.round(3)

# %%
figure = afrd.figures.score_histogram(found).update_layout(width=760, height=320)
show(
    figure.update_layout(title=f"{found.run}: scores of good and bad samples"),
    "Two histograms that overlap around one.",
)

# %% [markdown] settings=["5 %"]
# The threshold promises at most 5 % false alarms. Look at the number of false alarms among the good test samples. Is
# the promise broken? Ask how often chance alone would give so many or more if the true rate were 5 %.

# %%
counted = found.confusion()
good_samples = counted.false_alarms + counted.passed
chance = binom.sf(counted.false_alarms - 1, good_samples, 0.05)

# %% tags=["text"] settings=["5 %"]
so_many = "so many or more" if counted.false_alarms else "none at all"
Markdown(f"""
The run rejects {counted.false_alarms} of {good_samples} good samples. If the true rate were 5 %, {so_many} would
occur with a probability of {chance if counted.false_alarms else 0.95**good_samples:.2f}:
{"no reason to doubt the promise" if chance > 0.05 else "the promise looks broken"}. It misses {counted.missed} of
{counted.detected + counted.missed} bad samples. A false alarm is looked at once more, and a missed defect leaves the
factory, so misses come first.
""")

# %% [markdown]
# ### A contact sheet of the mistakes
# Every missed defect and every false alarm, lowest score first: the picture under the light box, the anomaly map over
# it (in units of the threshold), the true defect outlined in turquoise. Look at all of them before you count anything.

# %% tags=["thumbnail"]
shown = sorted(found.answer("missed") + found.answer("false_alarms"), key=lambda row: found.scores[found.run][row])
columns = 4
titles = [f"{test.names[row]} {found.outcome()[row]}, {found.scores[found.run][row]:.2f}" for row in shown]
figure = make_subplots(-(-len(shown) // columns), columns, subplot_titles=titles, horizontal_spacing=0.01,
                       vertical_spacing=0.03)  # fmt: skip
for place, row in enumerate(shown):
    picture = afrd.figures.painted(test[row], run.predict_stored(test, row), "box", 300)
    figure.add_trace(image(picture), place // columns + 1, place % columns + 1)
figure.update_layout(width=1000, height=90 + 275 * -(-len(shown) // columns), title=f"{found.run}: all mistakes")
show(no_axes(figure), "A grid of all missed defects and false alarms with their anomaly maps.")

# %% [markdown]
# ## Question 1: what is missed?
# `answer("missed")` gives the rows of bad samples that were called good, lowest score first. Before you look at
# pictures, look at one column: **is the peak of the map on the defect?**

# %%
columns = ["sample", "defects", "AFRD attention", "defect found", "best IoU", "peak off, px", "lights above"]
missed = table.loc[found.answer("missed"), columns]
missed.round(2)

# %% [markdown]
# There are two kinds of miss, and they want different remedies:
#
# - **seen, not called**: the maximum lies *on* the defect (peak off is zero), but below the threshold. Another
#   threshold, or more good samples for a tighter one, would find it;
# - **not seen**: the maximum lies elsewhere. No threshold helps; the evidence is not there.

# %%
rival = errors.table([method for method in methods if method.label == found.other], test)  # a table of its own


def kinds(one):
    """seen or not, for every bad sample: is the map's maximum on the defect, but for the blur of the map?"""
    return pd.Series("not seen", one.samples.index, name="peak").mask(one.samples.peak_off <= one.blur, "seen")[one.bad]


kind, rival_kind = kinds(found), kinds(rival)
said = {one.run: pd.crosstab(kinds(one), pd.Series(one.outcome(), name="verdict")[one.bad]) for one in (found, rival)}
pd.concat(said)

# %%
by_name = found.samples.assign(score=found.scores[found.run], kind=kind).set_index("sample")
rival_by_name = rival.samples.assign(score=rival.scores[rival.run], kind=rival_kind).set_index("sample")
unseen = {
    "AFRD": [*by_name.index[by_name.kind == "not seen"]],
    "box": [*rival_by_name.index[rival_by_name.kind == "not seen"]],
}
seen_missed = [name for name in missed["sample"] if by_name.kind[name] == "seen"]

# %% tags=["text"]
box_missed = [test.names[row] for row in rival.answer("missed")]
box_seen = [name for name in box_missed if rival_by_name.kind[name] == "seen"]
Markdown(f"""
With six lights, {len(missed)} bad samples are missed: {len(seen_missed)} with the maximum on the defect (seen, not
called) and {len(missed) - len(seen_missed)} with it elsewhere (not seen). The light box alone misses
{len(box_missed)}: {len(box_seen)} seen and {len(box_missed) - len(box_seen)} not seen. Over all bad samples, found or
missed, the maximum lies elsewhere in {len(unseen["AFRD"])} with six lights and in {len(unseen["box"])} with the box.
Both have a memory, so that the methods differ in their lights only; with so few
samples, chance may have a part in the difference. Look at the lowest score; the colours reach from zero to twice
the threshold, the same in every figure.
""")

# %%
chosen = by_name.score[missed["sample"]].idxmin() if len(missed) else test.names[-1]
sample = test[test.names.index(chosen)]
picture = afrd.figures.compare_maps(sample, run.predict(sample), box.predict(sample), names=("six lights", "light box"))
picture.update_layout(width=860, height=470, title=f"Sample {chosen}: the lowest score of AFRD with six lights")
show(picture, "The same sample with the maps of both methods; the defect is outlined.")

# %% [markdown]
# ## Question 2: which defects are hard?
# Group by type, and let a number decide what you think you saw.

# %%
bad = found.samples[found.bad].assign(score=found.scores[found.run], outcome=pd.Series(found.outcome()))
by_type = bad.assign(defects=bad.defects.str.split("+")).explode("defects").groupby("defects").agg(
    samples=("score", "size"), missed=("outcome", lambda said: int((said == "missed").sum())),
    median_score=("score", "median"), median_iou=("best_iou", "median"))  # fmt: skip
by_type.round(2)

# %% tags=["text"]
hardest, easiest = by_type.median_score.idxmin(), by_type.median_score.idxmax()
Markdown(f"""
`{hardest}` have the lowest median score ({by_type.median_score[hardest]:.2f} thresholds, {by_type.missed[hardest]} of
{by_type.samples[hardest]} missed), `{easiest}` the highest ({by_type.median_score[easiest]:.2f},
{by_type.missed[easiest]} of {by_type.samples[easiest]} missed). With {by_type.samples.min()} to
{by_type.samples.max()} samples of a type this is a lead, not a result. Why `{hardest}`?
""")

# %% [markdown]
# ## Question 3: are the missed ones simply faint?
# Our candies have twins without the defect, so faintness can be *measured*: the difference of the two pictures inside
# the defect, in grey levels, under the light that shows it best (notebook 1). Predict the shape of the cloud, then plot
# it.

# %%
twins = {int(name): i for i, name in enumerate(data["twins"].names)}
bad["grey_levels"] = [visibility(test[i], data["twins"][twins[int(name)]]).max() for i, name in bad["sample"].items()]
bad["area"] = [float(test.mask(i).float().mean()) for i in bad.index]
figure = px.scatter(bad, x="grey_levels", y="score", color="defects", symbol="outcome", size="area",
                    hover_name="sample", width=760, height=440, title=f"{found.run}: score and visibility")  # fmt: skip
figure.add_hline(y=1, line_dash="dash", annotation_text="threshold")
show(figure, "Scores of bad samples against the visibility of their defect under its best light.")

# %%
ranks = bad[["score", "grey_levels", "area"]].corr("spearman")["score"]
faintest = bad.nsmallest(5, "grey_levels")
faintest[["sample", "defects", "grey_levels", "score", "outcome"]].round(2)

# %% tags=["text"]
low_missed = (faintest.outcome == "missed").sum()
strength = abs(ranks["grey_levels"])
said = "hardly any" if strength < 0.2 else "a weak" if strength < 0.4 else "a clear"
Markdown(f"""
Of the {len(faintest)} faintest defects, with at most {faintest.grey_levels.max():.0f} grey levels under their best
light, {low_missed} are missed, and {(bad.outcome == "missed").sum() - low_missed} of the other
{len(bad) - len(faintest)} are. Over all bad samples the rank correlation of score and visibility is
{ranks["grey_levels"]:+.2f}: {said} relation. That of score and area is {ranks["area"]:+.2f}. Whoever
believes that it misses the faint ones has to say how much of the scores that explains: the network judges how unusual a
texture is, not how many grey levels it changes.
""")

# %% [markdown] settings=["0.9"]
# ## Question 4: which good parts are rejected, or nearly, and for what?
# Few good parts are rejected, so look at those with 0.9 thresholds or more as well. Where does the maximum of the map
# lie: on the candy, at its rim, or on the empty mat? The renderer knows: it gives the surface normals, and the mat is
# level.

# %%
margin = SIZE // 32


def place_of(row):
    """Where the maximum of a sample's map lies."""
    y, x = np.unravel_index(run.predict_stored(test, row).anomaly_map.argmax(), (SIZE, SIZE))
    shot = render_sample(CATEGORY, size=SIZE, seed=SEED, split="test_public", index=row)
    level = ((shot.normals * [1, -1, -1]) @ shot.pose[:3, :3].T)[..., 2] > 0.999
    around = level[max(0, y - margin) : y + margin + 1, max(0, x - margin) : x + margin + 1].mean()
    return "mat" if around > 0.95 else "candy" if around < 0.05 else "rim"


# %%
NEAR = 0.9
near = table.index[~found.bad & (found.scores[found.run] >= NEAR)]
accused = table.loc[near, ["sample", "AFRD attention", "RD box", "lights above"]]
accused["maximum lies on"] = [place_of(row) for row in accused.index]
accused.round(2)

# %%
worst = found.scores[found.run].where(~found.bad).idxmax()
sample = test[worst]
picture = afrd.figures.compare_maps(sample, run.predict(sample), box.predict(sample), names=("six lights", "light box"))
picture.update_layout(width=860, height=470, title="The good sample with the highest score of AFRD")
show(picture, "A good sample with the maps of both methods.")

# %% tags=["text"]
where = accused["maximum lies on"].value_counts()
other_too = (found.scores[found.other][accused.index] > 1).sum()
Markdown(f"""
{len(accused)} good samples have {NEAR} thresholds or more, and {counted.false_alarms} of them raise an alarm. Where
their maxima lie: {", ".join(f"{place} {count}" for place, count in where.items()) or "nowhere"}. One on the mat has
nothing to do with the candy; a mask of the object, or a tidier mat, would prevent it. One on the candy or at its rim
may be a highlight, an edge, or sugar that lies as on no training sample: look at the picture. The light box alone
raises an alarm on {other_too} of the {len(accused)}. The highest score of a good sample is
{found.scores[found.run][worst]:.2f} thresholds, the median of the bad ones {bad.score.median():.2f}.
""")

# %% [markdown]
# ## Question 5: what does another threshold buy?

# %%
levels = [0.85, 0.9, 0.95, 1.0, 1.05, 1.1]
prices = pd.DataFrame([vars(found.confusion(at)) for at in levels], index=pd.Index(levels, name="threshold"))
prices[["missed", "false_alarms", "calibration_above"]]

# %% [markdown]
# `calibration_above` counts the good *calibration* samples above each level: use these to choose, never the test
# samples that you then report. Move the threshold yourself:

# %%
labels = [f"{at:.2f}" for at in np.arange(0.6, 1.61, 0.05)]
scored = found.scores[found.run].to_numpy()
group = np.where(found.bad, found.samples.defects, "good")
height = np.random.default_rng(SEED).uniform(-0.3, 0.3, len(scored))


# %%
def at_threshold(at):
    """Points coloured by what the verdict at this threshold would be, and the threshold's line."""
    above = scored > at
    wrong = above != np.asarray(found.bad)
    level = np.asarray(found.bad) + height
    points = [go.Scatter(x=scored[wrong == bit], y=level[wrong == bit], text=group[wrong == bit], mode="markers",
                         name=("right", "wrong")[bit], marker={"size": 9, "symbol": ("circle", "x")[bit]})
              for bit in (0, 1)]  # fmt: skip
    name = f"{(found.bad & ~above).sum()} missed, {(~found.bad & above).sum()} false alarms"
    return [*points, go.Scatter(x=[at, at], y=[-0.5, 1.5], mode="lines", name=name, line={"dash": "dash"})]


# %%
figure = go.Figure(at_threshold(1.0), frames=[go.Frame(data=at_threshold(float(at)), name=at) for at in labels])
figure.update_layout(width=820, height=480, title=f"{found.run}: verdicts at another threshold",
                     xaxis_title="score, × threshold",
                     sliders=[slider(labels, "threshold ", active=labels.index("1.00"))],
                     legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"})  # fmt: skip
figure.update_yaxes(tickvals=[0, 1], ticktext=["good", "bad"])
show(figure, "Scores of good and bad samples as points; a dashed line is the threshold, crosses are wrong verdicts.")

# %% tags=["text"]
lower, higher = prices.loc[0.9], prices.loc[1.1]
Markdown(f"""
Ten per cent lower: {lower.missed} missed and {lower.false_alarms} false alarms, instead of
{counted.missed} and {counted.false_alarms}. Ten per cent higher: {higher.missed} missed and {higher.false_alarms}
false alarms.
""")

# %% [markdown]
# ## Question 6: right for the wrong reason?
# A verdict can be right while the map points somewhere else. Such a hit is luck, and no metric on images will tell you.
# Question 5 bought more hits with a lower threshold. **Guess** how many of these are luck.

# %%
both = {"six lights": by_name, "light box": rival_by_name}
hits = {who: {at: rows[rows.kind.notna() & (rows.score > at)] for at in levels} for who, rows in both.items()}
lucky = {who: {"called anomalous": {at: len(rows) for at, rows in by_level.items()},
               "maximum elsewhere": {at: (rows.kind == "not seen").sum() for at, rows in by_level.items()}}
         for who, by_level in hits.items()}  # fmt: skip
lucky = pd.concat({who: pd.DataFrame(columns) for who, columns in lucky.items()}, axis=1)
lucky.rename_axis("threshold").sort_index(ascending=False)

# %% tags=["text"]
at_own, lower = lucky.loc[1.0], lucky.loc[levels[1]]
Markdown(f"""
At the run's own threshold {at_own["six lights", "maximum elsewhere"]} of
{at_own["six lights", "called anomalous"]} hits with six lights are luck, of the light box
{at_own["light box", "maximum elsewhere"]} of {at_own["light box", "called anomalous"]}. At {levels[1]} of it the six
lights have {lower["six lights", "called anomalous"]} hits, and the map's maximum is not on the defect in
{lower["six lights", "maximum elsewhere"]} of them; with the light box that is so in
{lower["light box", "maximum elsewhere"]} of {lower["light box", "called anomalous"]}. Who counts verdicts only counts
them all as successes. At the run's own threshold, `answer("wrong_place")` lists such samples.
""")

# %% [markdown]
# ## Question 7: where do the methods and the lights disagree?

# %%
differ = {question: table.loc[found.answer(question), ["sample", "truth", "defects", "AFRD attention", "RD box"]]
          for question in ("only_run_right", "only_other_right")}  # fmt: skip
pd.concat(differ).round(2)

# %%
split = pd.Series(found.disagreement).groupby(table.truth).median()
alarm = pd.Series([len(lights) > 0 for lights in found.lights_above()])  # if any light alone says so
any_light = {"missed": (found.bad & ~alarm).sum(), "false alarms": (~found.bad & alarm).sum()}

# %% tags=["text"]
rejected = counted.false_alarms
Markdown(f"""
The lights disagree more on bad samples (median {split["bad"]:.2f}) than on good ones ({split["good"]:.2f}): a defect
is seldom equally plain under all of them. `lights above` names the lights that alone would have raised the alarm. Why
not raise it whenever
*any* of them does? It would miss {any_light["missed"]} instead of {counted.missed}, and reject
{any_light["false alarms"]} good samples instead of {rejected}: {len(data.lights)} lights have {len(data.lights)}
chances to be wrong, each with a promise of its own.
""")

# %% [markdown]
# ## Groups
# A group is a condition over the columns of the table, such as `'bumps' in defects and score < 1`, and can be saved by
# name. It has metrics of its own, so that a guess ("the small ones are missed") becomes a number with an interval. Are
# the smaller half of the defects found less often? Guess before you look, also how sure the answer can be.

# %%
middle = np.median([len(values) for values in found.inside if len(values)])
conditions = {"small": f"defect_px < {middle:.0f}", "large": f"defect_px >= {middle:.0f}"}
groups = {name: Group(where=where).rows(found) for name, where in conditions.items()}
judged = [method.judge(test) for method in methods[:2]]
measured = group_metrics(found, groups, judged)
group_texts(measured, found.column_names())

# %% tags=["text"]
of_run = measured[measured.method == found.run].set_index("group")
Markdown(f"""
Of the smaller half of the defects {of_run.missed["small"]:.0f} of {of_run.bad["small"]} are missed, of the larger half
{of_run.missed["large"]:.0f} of {of_run.bad["large"]}. Behind each count stands the highest rate that so few samples
leave possible: up to {of_run.missed_at_most["small"]:.0%} of small defects may be missed, and up to
{of_run.missed_at_most["large"]:.0%} of large ones. A group has no good parts here, so its AUROC is against all good
ones. In the page's Errors tab the same condition goes into *Where*, and *Contact sheet* shows the maps of the group.
""")

# %% [markdown] settings=["70 %"]
# ## Tell the run what is normal
# A place of a good part that looks unusual need not stay so, whether it raised an alarm or not: its patches, under each
# light, can join the memory of the run, as if such a part had been among the training samples
# ([docs/corrections.md](../docs/corrections.md)). Nothing is trained and no weight changes. The price may be a defect
# that looks alike. So `propose` writes nothing, and `changes` judges the whole split before and after. The place here
# is the hottest one of the good sample with the highest score, with all around it that has 70 % of the threshold or
# more. We work on a copy of the run; which of the numbers below do you expect to move?

# %%
shutil.rmtree(kept / "corrected", ignore_errors=True)
copy = afrd.load_run(shutil.copytree(run.folder, kept / "corrected"))
y, x = np.unravel_index(copy.predict_stored(test, worst).anomaly_map.argmax(), (SIZE, SIZE))
candidate = afrd.runs.propose(copy, test, worst, (int(x), int(y)), why="sugar, no defect")
what = changes(copy, candidate, test)
pd.DataFrame(
    {
        f"score of sample {test.names[worst]}, × threshold": what.itself[1:],
        "threshold": [what.threshold_before.value, what.threshold_after.value],
        f"false alarms, of {what.good} other good samples": what.alarms,
        f"missed, of {what.bad} bad samples": what.missed,
    },
    index=["before", "after"],
).T.round(3)

# %% tags=["text"]
now_good = what.itself[2] <= 1
same_number = what.alarms[0] == what.alarms[1]
alarms_now = f"{what.alarms[1]} false alarms, {'as before' if same_number else f'{what.alarms[0]} before'}"
Markdown(f"""
The sample was {"a false alarm" if what.itself[1] > 1 else "called good already"}; with the correction it is
{"called good" if now_good else "still called anomalous: another place of it is hot, which takes a second click"}.
{f"Defects lost: {', '.join(what.lost)}." if what.lost else "No defect is lost."} The other good samples have
{alarms_now}. From now on the corrected sample counts neither for nor against the run: whoever corrects a sample and
then counts it as a success has measured nothing. Whether such corrections help on other parts, only other parts can
tell.
""")

# %%
corrected = afrd.runs.keep(candidate)  # a file in the folder of the copy; the page's *Keep* does the same
print(corrected.evaluate(test).note())
back = afrd.runs.undo(corrected, corrected.corrections[-1].about.id)
print("undone, to the bit:", np.array_equal(back.evaluate(test).maps, copy.evaluate(test).maps))

# %% [markdown]
# In the page this is Explore: click the place, open *Corrections*, *This is normal*, then *Keep* or *Discard*.
#
# ## Leave a trace
# Notes and tags lie in the folder that holds the runs, in `notes.sqlite`: whoever uses these runs sees them in the
# page, several people may write at once, and `notes.undo` takes a change back. The report is one HTML file that needs
# nothing else: send it to whoever owns the rig.

# %%
notes = Notes(run.folder)
for row in found.answer("missed"):
    notes.save(test.split, test.names[row], Note("", (kind[row], found.samples.defects[row].replace("+", " "))))
written = notes.of(test.split)
marked = found.search("missed bumps", notes=written)
found.frame(notes=written).loc[marked, ["sample", "defects", "tags"]]

# %%
rows = found.answer("missed") + found.answer("false_alarms")
page = report(found, rows, test, judged, written, chosen="missed defects and false alarms")
Path("errors.html").write_text(page, encoding="utf-8")
Path("errors.csv").write_text(csv(found.frame(rows=rows, notes=written)), encoding="utf-8")
assert page.count("<img") + page.count("<image") >= len(rows)

# %% [markdown]
# ## Your conclusion
# The next cell fills in what can be counted. Copy its output into a cell of your own and replace every `…` by what you
# saw. Write for a person who decides on lights and thresholds; each sentence must rest on a number or a picture above.

# %%
seen_below = ", ".join(row for row in missed["sample"] if by_name.kind[row] == "seen") or "none"
not_seen = {who: ", ".join(rows.index[rows.kind == "not seen"]) or "none" for who, rows in both.items()}
conclusion = f"""Error analysis of {data.name}, {len(found)} test samples, {found.run}, seed {SEED}
1. At the promised rate of false alarms it finds {counted.detected} of {counted.detected + counted.missed} defects
   and rejects {counted.false_alarms} of {good_samples} good parts. The type that suffers most is …, because …
2. Seen but not called: {seen_below}. I would … (threshold, more good samples), which would cost …
3. Not seen: {not_seen["six lights"]}; by {found.other}: {not_seen["light box"]}. In the
   pictures these …, which shows that …
4. The highest scores of good parts come from …; the rival {found.other} …
5. What I do not know, and what would settle it: …"""
print(conclusion)

# %% [markdown]
# ## Exercises
#
# **1. Missed by both.** Which bad samples do both methods miss? Put their names into `answer`, as a set.

# %% tags=["exercise"]
answer = None  # a set of names such as {"01", "05"}; set() if there are none

# %% tags=["answer-check"]
ours = {test.names[row] for row in found.answer("missed")}
theirs = {test.names[row] for row in rival.answer("missed")}
check(
    answer,
    lambda given: set(given) == ours & theirs,
    "`found.answer('missed')` and `rival.answer('missed')` give rows.",
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# six, one = ({test.names[row] for row in each.answer("missed")} for each in (found, rival))
# answer = six & one
# print("both:", sorted(answer), "only six lights:", sorted(six - one), "only the box:", sorted(one - six))
# ```
#
# What both miss is probably hard for reasons of the part and its lights; look at these pictures first.
# </details>
#
# **2. How sure is a correlation?** Draw the bad samples again with replacement, many times, and compute the rank
# correlation of `score` and `area` each time. What is the width of the interval that holds the middle `0.95` of them?

# %% tags=["exercise"]
answer = None  # upper end minus lower end

# %% tags=["answer-check"]


def width_of_interval():
    draws = [bad.sample(len(bad), replace=True, random_state=seed) for seed in range(500)]
    found_ranks = [draw[["score", "area"]].corr("spearman").iloc[0, 1] for draw in draws]
    return np.subtract(*np.nanquantile(found_ranks, [0.975, 0.025]))


check(
    answer, lambda given: abs(given - width_of_interval()) < 0.15, "`bad.sample(len(bad), replace=True)` is one draw."
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# draws = [bad.sample(len(bad), replace=True, random_state=seed) for seed in range(500)]
# found_ranks = [draw[["score", "area"]].corr("spearman").iloc[0, 1] for draw in draws]
# low, high = np.nanquantile(found_ranks, [0.025, 0.975])
# answer = high - low
# print(f"rank correlation of score and area {ranks['area']:.2f}, interval {low:.2f} to {high:.2f}")
# ```
#
# Area and defect type go together as well, so even a certain correlation would be no cause yet.
# </details>
#
# **3. Another fusion.** A colleague proposes the maximum over the lights instead of attention. How many bad samples
# does it miss, at its own threshold?

# %% tags=["exercise"]
everything = errors.table(methods_of([run, box]), test)
answer = None  # everything.confusion(label="AFRD, max over evidence")

# %% tags=["answer-check"]
check(answer, everything.confusion(label="AFRD, max over evidence").missed, "The field `missed` of the confusion.")

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# by_maximum = everything.confusion(label="AFRD, max over evidence")
# answer = by_maximum.missed
# print(pd.DataFrame({"attention": vars(counted), "max": vars(by_maximum)}))
# ```
#
# Each fusion has its own threshold from the same calibration samples, so the comparison is fair. Count both kinds of
# mistake, and remember from notebook 4 how few samples decide.
# </details>
