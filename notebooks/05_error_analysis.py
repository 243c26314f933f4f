# %% [markdown]
# # 5. An error analysis, from the table to the conclusion
#
# "Image AUROC 0.91" does not say which parts will be complained about. This notebook takes one category and one run and
# looks at every mistake: which defects are missed and *why*, which good parts are accused, and where the run was right
# for the wrong reason. It ends in a conclusion that **you** write.
#
# **What you will learn**
# - to ask a table of samples questions instead of scrolling through pictures;
# - to tell apart three kinds of mistake that look alike in a metric: not seen, seen but below the threshold, right by
#   luck;
# - to test a suspicion ("it misses the faint ones") with pandas before you believe it;
# - to say what another threshold would buy and cost;
# - to leave notes, tags and a report that others can open.
#
# **Prerequisites**: notebook 4 (threshold, AUROC), pandas. **Time**: half an hour to read and write, at most 4 minutes
# to run on two cores, nearly all of it two trainings (the larger one is shared with notebook 6). **Seeds**: 0 for the
# candies and both trainings.
#
# **The code that is explained here**: [afrd/analysis/errors/table.py](../afrd/analysis/errors/table.py) (the table
# and its questions),
# [afrd/metrics/localisation.py](../afrd/metrics/localisation.py),
# [afrd/analysis/errors/notes.py](../afrd/analysis/errors/notes.py),
# [afrd/analysis/reports/errors.py](../afrd/analysis/reports/errors.py). The page's Errors tab is the same table with
# a mouse.

# %% tags=["setup"]
# The build puts the setup here: Colab and Binder get the package and `course`.

# %%
import os
from pathlib import Path

import pandas as pd
import plotly.express as px
from course import as_written
from scipy.stats import binom

import afrd
from afrd.analysis.comparison import methods_of
from afrd.analysis.errors import Note, Notes
from afrd.analysis.errors import table as errors
from afrd.analysis.explain.visibility import visibility
from afrd.analysis.reports.errors import csv, report
from afrd.candies import render_category

# %%
FAST = bool(os.environ.get("AFRD_FAST"))  # the project's own tests: small pictures, hardly any training
HOME = Path(os.environ.get("AFRD_NOTEBOOK_DATA") or Path.home() / ".cache" / "afrd-notebooks")
CATEGORY, SEED = "Praline", 0
SIZE = 64 if FAST else 256  # of pictures, and of the teacher's input
COUNTS = {"train": 6, "val": 4, "test_good": 4, "test_bad": 4} if FAST else {}
TRAINING = {"size": SIZE, "seed": SEED, "show_progress": False} | ({"epochs": 1, "width": 16} if FAST else {})
pd.set_option("display.width", 150, "display.max_columns", 20)

# %% [markdown]
# ## The run, and a rival
# AFRD on six lights, and beside it reverse distillation on the light box alone. Whoever analyses errors needs a rival:
# a mistake that both make is probably the data's, one that only one of them makes is that method's.

# %%
render_category(
    HOME / "data" / "candies", CATEGORY, size=SIZE, seed=SEED, twins=True, workers=1 if FAST else None, **COUNTS
)
data = afrd.open_dataset(HOME / "data" / "candies", CATEGORY)
test = data["test_public"]
run = afrd.fit(data, out=HOME / "runs" / ("praline-fast" if FAST else "praline"), **TRAINING)
box = afrd.fit(data, "box", out=HOME / "runs" / ("praline-box-fast" if FAST else "praline-box"), **TRAINING)

# %%
methods = [method for method in methods_of([run, box]) if method.fusion in ("attention", None)]
found = errors.table(methods, test)
table = found.frame().drop(columns=["tags", "note"])
print(f"{found.run}  against  {found.other}")
table.iloc[:8, :9].round(2)

# %% [markdown]
# A row a sample. Scores are in units of each method's own threshold, so 1 is where the verdict turns. *Defect found* is
# the part of the defect over which the map passes the threshold, *best IoU* how well the map outlines it at its best
# level, *peak off* how many pixels the map's maximum lies beside the defect.
#
# ## How many mistakes?

# %%
counts = pd.DataFrame({name: vars(found.confusion(label=name)) for name in (found.run, found.other)})
print(counts.to_string())
run.evaluate(test).intervals(seed=SEED).round(3)

# %%
afrd.figures.score_histogram(found).update_layout(width=760, height=300).show()

# %% [markdown]
# The threshold promises at most 5 % false alarms. Look at the number of false alarms among the good test samples. Is
# the promise broken? Ask how often chance alone would give so many or more if the true rate were 5 %.

# %%
counted = found.confusion()
good_samples = counted.false_alarms + counted.passed
chance = binom.sf(counted.false_alarms - 1, good_samples, 0.05)
print(f"{counted.false_alarms} of {good_samples}; so many or more with probability {chance:.2f} at a true rate of 5 %")
with as_written():
    assert chance > 0.05 and 0 < counted.missed < counted.false_alarms

# %% [markdown]
# So few good samples cannot refute the promise: a count like this would be no great surprise. The run raises more false
# alarms than it misses defects. But a false alarm is looked at once more, and a missed defect leaves the factory, so
# misses come first.

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
# - **seen, not called**: the maximum lies *on* the defect (peak off 0), just below the threshold. Another threshold, or
#   more good samples for a tighter one, would find it;
# - **not seen**: the maximum lies elsewhere. No threshold helps; the evidence is not there.

# %%
rival = errors.table([method for method in methods if method.label == found.other], test)  # a table of its own


def kinds(one):
    """seen or not, for every bad sample: is the map's maximum on the defect, but for the blur of the map?"""
    return pd.Series("not seen", one.samples.index, name="peak").mask(one.samples.peak_off <= one.blur, "seen")[one.bad]


kind, rival_kind = kinds(found), kinds(rival)
for one in (found, rival):
    said = pd.Series(one.outcome(), name="verdict")[one.bad]
    print(f"{one.run}\n{pd.crosstab(kinds(one), said).to_string()}\n")

# %%
by_name = found.samples.assign(score=found.scores[found.run], kind=kind).set_index("sample")
rival_by_name = rival.samples.assign(score=rival.scores[rival.run], kind=rival_kind).set_index("sample")
with as_written():
    assert (kind == "seen").all() and by_name.score[missed["sample"]].min() > 0.9
    assert (rival_by_name.kind[[test.names[row] for row in rival.answer("missed")]] == "not seen").any()

# %% [markdown]
# The six lights have **seen** every defect: what they miss lies on the defect, and within a tenth of the threshold. The
# one light has not: among its misses are defects of the other kind. Look at the lowest score of AFRD, and at the lowest
# that the rival has not seen. The turquoise line is the true defect; the colours reach from 0 to twice the threshold,
# the same in every figure.

# %%
lowest = rival_by_name[rival_by_name.kind == "not seen"].score.idxmin() if (rival_kind == "not seen").any() else None
for judge, name in ((run, by_name.score[missed["sample"]].idxmin() if len(missed) else None), (box, lowest)):
    if name is not None:
        sample = test[test.names.index(name)]
        afrd.figures.overlay(sample, judge.predict(sample)).update_layout(width=460, height=480).show()

# %% [markdown]
# ## Question 2: which defects are hard?
# Group by type, and let a number decide what you think you saw.

# %%
bad = found.samples[found.bad].assign(score=found.scores[found.run], outcome=pd.Series(found.outcome()))
by_type = bad.assign(defects=bad.defects.str.split("+")).explode("defects").groupby("defects").agg(
    samples=("score", "size"), missed=("outcome", lambda said: int((said == "missed").sum())),
    median_score=("score", "median"), median_iou=("best_iou", "median"))  # fmt: skip
print(by_type.round(2).to_string())
with as_written():
    assert by_type.missed["normals"] == 0 and by_type.median_score.idxmin() == "bumps"
    assert by_type.samples.max() < 10

# %% [markdown]
# Changes of the grain (`normals`) are never missed; bumps have the lowest median score. With fewer than ten samples of
# a type this is a lead, not a result. Why bumps?

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
                    hover_name="sample", width=760, height=420, title="Score and what the best lamp shows")  # fmt: skip
figure.add_hline(y=1, line_dash="dash", annotation_text="threshold").show()

# %%
ranks = bad[["score", "grey_levels", "area"]].corr("spearman")["score"]
print(ranks.round(2).to_string())
faintest = bad.nsmallest(3, "grey_levels")
print(faintest[["sample", "defects", "grey_levels", "score", "outcome"]].round(2).to_string(index=False))
with as_written():
    assert faintest.grey_levels.max() < 20 and faintest.score.between(0.9, 1.1).all()
    assert "missed" in set(faintest.outcome)
    assert abs(ranks["grey_levels"]) < 0.4
    assert bad.grey_levels[bad.defects == "normals"].median() < bad.grey_levels.median()

# %% [markdown]
# Half a yes. The three faintest defects change the picture by less than 20 grey levels under every lamp, and all three
# have scores within a tenth of the threshold, one of them below. Their places were seen, but what is seen there is
# hardly more than good parts raise; another *lamp* might help.
#
# But over all samples the rank correlation of score and faintness is weak. Changes of the grain are fainter than the
# median defect and yet score highest: the network judges texture, not grey levels. "It misses the faint ones" is true
# at the bottom end and wrong as a rule. That is why one tests a suspicion.

# %% [markdown]
# ## Question 4: which good parts are accused?

# %%
accused = table.loc[
    found.answer("false_alarms"), ["sample", "AFRD attention", "RD box", "disagreement", "lights above"]
]
print(accused.round(2).to_string())
worst = found.scores[found.run].where(~found.bad).idxmax()
sample = test[worst]
picture = afrd.figures.compare_maps(sample, run.predict(sample), box.predict(sample), names=("AFRD", "RD, light box"))
picture.update_layout(width=780, height=430).show()

# %% [markdown]
# The good sample with the highest score, in both methods' eyes. What passes the threshold: a highlight, the rim, a drop
# of the pattern that no training sample has at this place? Write it down for the conclusion. Does the rival fall for
# the same?

# %%
with as_written():
    assert found.scores[found.other][worst] < 1 < found.scores[found.run][worst]
    assert found.scores[found.run][worst] < bad.score.median()

# %% [markdown]
# It does not: the light box alone calls this part good. And the score lies far below that of a typical defect, so this
# false alarm could be bought off by a higher threshold. At what price?

# %% [markdown]
# ## Question 5: what does another threshold buy?

# %%
levels = [0.85, 0.9, 0.95, 1.0, 1.05, 1.1]
prices = pd.DataFrame([vars(found.confusion(at)) for at in levels], index=pd.Index(levels, name="threshold"))
print(prices[["missed", "false_alarms", "calibration_above"]].to_string())
with as_written():
    assert prices.missed[1.1] > prices.missed[1.0] and prices.false_alarms[1.1] < prices.false_alarms[1.0]
    assert prices.missed[0.9] <= 2 and prices.false_alarms[0.9] > good_samples / 3

# %% [markdown]
# Ten per cent lower finds nearly everything and accuses a large part of the good samples; ten per cent higher costs
# further misses. `calibration_above` counts the good *calibration* samples above each level: use these to choose, never
# the test samples that you then report.

# %% [markdown]
# ## Question 6: right for the wrong reason?
# A verdict can be right while the map points somewhere else. Such a hit is luck, and no metric on images will tell you.

# %%
lucky = {one.run: [test.names[row] for row in one.answer("wrong_place")] for one in (found, rival)}
print("called anomalous, with the peak elsewhere:", lucky)
both = {"AFRD": by_name, "the rival": rival_by_name}
beside = pd.concat({who: rows.loc[lucky[found.other], ["defects", "score", "peak_off"]] for who, rows in both.items()})
print(beside.round(2).to_string())
with as_written():
    assert not lucky[found.run] and "01" in lucky[found.other]
    assert rival_by_name.peak_off["01"] > 10 * rival.blur and by_name.peak_off["01"] < 1 and by_name.score["01"] < 1

# %% [markdown]
# Count verdicts, and the rival wins sample 01: it calls it anomalous, and AFRD calls it good. Look at the places, and
# it is the other way round: the rival's peak lies at the other end of the candy, its hit is luck, and AFRD's peak lies
# on the bump, just below its threshold.

# %% [markdown]
# ## Question 7: where do the methods and the lights disagree?

# %%
for question in ("only_run_right", "only_other_right"):
    print(question, table.loc[found.answer(question), ["sample", "truth", "defects", "AFRD attention", "RD box"]]
          .round(2).to_string(), sep="\n")  # fmt: skip
split = pd.Series(found.disagreement).groupby(table.truth).median()
print("median disagreement of the lights:", split.round(2).to_dict())
alarm = pd.Series([len(lights) > 0 for lights in found.lights_above()])  # if any light alone says so
print(f"any light alone: {(found.bad & ~alarm).sum()} missed, {(~found.bad & alarm).sum()} false alarms")
with as_written():
    assert split["bad"] > split["good"] and (found.bad & ~alarm).sum() == counted.missed
    assert (~found.bad & alarm).sum() > 2 * counted.false_alarms

# %% [markdown]
# On defects the lights contradict each other more than on good parts, which is what makes several lights worth their
# money: a defect is seldom as plain under all of them. `lights above` names the lights that alone would have raised the
# alarm. Why not raise it whenever *any* of them does? Here it would find not one defect more, and accuse more than
# twice as many good parts: six lights have six chances to be wrong, each with a promise of its own.

# %% [markdown]
# ## Leave a trace
# Notes and tags stay with the run, can be searched, and appear in the page. The report is one HTML file that needs
# nothing else: send it to whoever owns the rig.

# %%
notes = Notes(run.folder)
for row in found.answer("missed"):
    notes.save(test.split, test.names[row], Note("", (kind[row], found.samples.defects[row].replace("+", " "))))
written = notes.of(test.split)
print("tags:", notes.tags())
marked = found.search("missed bumps", notes=written)
print("missed and tagged 'bumps':", [test.names[row] for row in range(len(found)) if marked[row]])

# %%
rows = found.answer("missed") + found.answer("false_alarms")
judged = [method.judge(test) for method in methods[:2]]
page = report(found, rows, test, judged, written, chosen="missed defects and false alarms")
Path("errors.html").write_text(page, encoding="utf-8")
Path("errors.csv").write_text(csv(found.frame(rows=rows, notes=written)), encoding="utf-8")
print(f"errors.html: {len(page) / 1e3:.0f} kB, {len(rows)} samples")
assert page.count("<img") + page.count("<image") >= len(rows)

# %% [markdown]
# ## Your conclusion
# The next cell fills in what can be counted. Copy its output into a cell of your own and replace every `…` by what you
# saw. Four sentences that a person who pays for lamps can act on; each must rest on a number or a picture above.

# %%
seen_below = ", ".join(row for row in missed["sample"] if by_name.kind[row] == "seen") or "none"
not_seen = {who: ", ".join(rows.index[rows.kind == "not seen"]) or "none" for who, rows in both.items()}
conclusion = f"""Error analysis of {data.name}, {len(found)} test samples, {found.run}, seed {SEED}
1. At the promised rate of false alarms it finds {counted.found} of {counted.found + counted.missed} defects and accuses
   {counted.false_alarms} of {good_samples} good parts. The type that suffers most is …, because …
2. Seen but not called: {seen_below}. I would … (threshold, more good samples), which would cost …
3. Not seen: {not_seen["AFRD"]}; by {found.other}: {not_seen["the rival"]}. In the pictures these …, which shows that …
4. The false alarms come from …; the rival {found.other} …
5. What I do not know, and what would settle it: …"""
print(conclusion)

# %% [markdown]
# ## Exercises
# **1.** Which defects do both methods miss? Where would you look for the reason, if there were any?
#
# <details><summary>Solution</summary>
#
# ```python
# theirs = {test.names[row] for row in rival.answer("missed")}
# ours = {test.names[row] for row in found.answer("missed")}
# print("both:", sorted(ours & theirs), "only AFRD:", sorted(ours - theirs), "only the rival:", sorted(theirs - ours))
# print(rival.frame(rows=rival.answer("missed"))[["sample", "defects", "best IoU", "peak off, px"]].to_string())
# with as_written():
#     assert not ours & theirs and len(theirs) > len(ours)
# ```
#
# None: each finds what the other misses, AFRD far more. Had both missed a defect, you would look for the reason in the
# part and its lamps, not in the method.
# </details>
#
# **2.** Suppose that only area matters: do small defects score low? Use the numbers of question 3, and say how sure you
# can be with 20 samples.
#
# <details><summary>Solution</summary>
#
# ```python
# import numpy as np
#
# generator = np.random.default_rng(SEED)
# draws = [bad.sample(len(bad), replace=True, random_state=generator.integers(2**31)) for _ in range(500)]
# found_ranks = [draw[["score", "area"]].corr("spearman").iloc[0, 1] for draw in draws]
# low, high = np.nanquantile(found_ranks, [0.025, 0.975])
# print(f"rank correlation of score and area {ranks['area']:.2f}, 95 % interval {low:.2f} to {high:.2f}")
# with as_written():
#     assert high - low > 0.3
# ```
#
# Larger defects tend to score higher here, but the interval is wide: it reaches from little to a lot. Area and defect
# type go together as well, so this is no cause yet.
# </details>
#
# **3.** A colleague proposes the maximum over the lights instead of attention. Judge it with the same table: what does
# it find that attention misses, and what does it cost?
#
# <details><summary>Solution</summary>
#
# ```python
# everything = errors.table(methods_of([run, box]), test)
# label = "AFRD, max over evidence"
# print(pd.DataFrame({name: vars(everything.confusion(label=name)) for name in (everything.run, label)}).to_string())
# against = everything.against(label)
# for question in ("only_run_right", "only_other_right"):
#     print(question, [test.names[row] for row in against.answer(question)])
# assert against.other == label
# ```
#
# Each fusion has its own threshold from the same calibration samples, so the comparison is fair. Count both kinds of
# mistake, and remember from notebook 4 how few samples decide.
# </details>
