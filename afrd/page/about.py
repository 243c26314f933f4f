"""The tab that says what one is looking at: the method in one figure, what a colour means, and the limits."""

from __future__ import annotations

import gradio as gr

LIGHTS = ("left", "top", "box")  # in the figure; there may be any number
STEPS = (
    ("Pictures", "one of every light, of one part that does not move"),
    ("Teacher", "frozen; trained on ordinary photographs, it describes every place of every picture"),
    ("Student and memory", "of good parts only: one learns to give the description back, one keeps patches of it"),
    (
        "Error of every light",
        "what the student cannot give back and the memory has not seen, less what good parts raise too",
    ),
    ("Attention", "at every place the lights count most that show most plainly what is wrong"),
    ("Map and score", "the weighted sum of the errors; its highest value is held against the threshold"),
)
CENTRES = (72, 236, 398, 560, 716, 868)  # of the six steps, in the figure's units
ROWS = (34, 88, 142)


def about_tab(error_colours: list[str]) -> None:
    """Lays the tab out; `error_colours` from low to high are those of the maps."""
    gr.HTML(
        f"""<div class="about">
<h2>One part, several lights, one verdict</h2>
<p>An inspection station photographs a part under several lights, because no single picture shows every defect: a dent
shows under a spot from the side, a stain under the light box. <b>Attention fusion reverse distillation</b> (AFRD) makes
one anomaly map of all the pictures; this page shows what each light sees, beside reverse distillation (RD) on one
light.</p>
{_figure(error_colours)}
<div class="columns">
<section><h2>What a colour means</h2>
<div class="scale"><span>0</span><i style="background: linear-gradient(90deg, {", ".join(error_colours[::15])})"></i>
<span>2 × threshold</span></div>
<p>Every map is divided by its own run's threshold, and the scale is never stretched picture by picture: <b>1 is the
threshold</b> for every sample and every method, so that a good part looks calm and two methods can be compared by eye.
The dashed line runs where a map passes the threshold, the turquoise one around the true defect.</p>
<p>The threshold is set by good parts that the model was not trained on, such that a good part is called anomalous with
at most the stated probability (split conformal prediction). Switching a light off hides it from the model: map, score
and threshold are those of the lights that are left. Every number on this page says which lights made it.</p>
<h2>Sources</h2>
<p>AFRD: Zhang, Cao, Zhang and Shen, <i>Attention Fusion Reverse Distillation for Multi-Lighting Image Anomaly
Detection</i>, CASE 2024, arXiv 2406.04573. RD: Deng and Li, <i>Anomaly Detection via Reverse Distillation from
One-Class Embedding</i>, CVPR 2022. Threshold: Vovk, Gammerman and Shafer, <i>Algorithmic Learning in a Random
World</i>, 2005.</p></section>
<section><h2>Limits</h2>
<ul>
<li><b>An independent re-implementation.</b> The paper's code was not available to us. Its abstract fuses the lights'
features before the student (<code>--target fused</code>); by default every light's own features are regressed here and
the errors are fused, which found more defective pixels where both were measured (docs/method.md).</li>
<li><b>Attention proves no light needed.</b> It is made of the errors and of the contrast, and says whose error went
into the map. On rendered parts, where the truth is known, it names the light that shows the defect best, or nearly, in
about three of four (docs/method.md has the figures). Whether a light is needed is seen by leaving it out: the Lights
tab does that.</li>
<li><b>Few samples.</b> With some 20 good and 20 bad test parts an image AUROC has a standard error near 0.05, and five
parts with one type of defect are a hint, no result. Read the intervals, not the third digit.</li>
<li><b>The threshold's promise holds for parts photographed like those that set it.</b> A part that moved, or was lit or
focused otherwise, is anomalous to the student.</li>
<li><b>A score is no probability of a defect,</b> and no measure of its size.</li>
</ul></section>
</div></div>"""
    )


def _figure(error_colours: list[str]) -> str:
    """The data flow as an SVG whose lines and letters take the theme's colour."""
    low, middle, high = (error_colours[i] for i in (20, 130, 215))
    pictures = "".join(_picture(CENTRES[0], y, name) for y, name in zip(ROWS, LIGHTS, strict=True))
    errors = "".join(_map(CENTRES[3], y, size) for y, size in zip(ROWS, (15, 6, 3), strict=True))
    weights = "".join(
        f'<path class="line" d="M{CENTRES[3] + 26} {y}C{CENTRES[3] + 70} {y} {CENTRES[4] - 50} {ROWS[1]} '
        f'{CENTRES[4] - 22} {ROWS[1]}" style="stroke-width:{width}"/>'
        for y, width in zip(ROWS, (5, 2, 1), strict=True)
    )
    flow = "".join(
        f'<path class="line" marker-end="url(#head)" d="M{start} {y}H{end}"/>'
        for y in ROWS
        for start, end in (
            (CENTRES[0] + 26, CENTRES[1] - 38),
            (CENTRES[1] + 36, CENTRES[2] - 40),
            (CENTRES[2] + 38, CENTRES[3] - 30),
        )
    )
    captions = "".join(
        f'<text class="name" x="{x}" y="192">{name}</text>'
        + "".join(f'<text x="{x}" y="{208 + 14 * i}">{line}</text>' for i, line in enumerate(_wrapped(text)))
        for x, (name, text) in zip(CENTRES, STEPS, strict=True)
    )
    told = " ".join(f"{name}: {text}." for name, text in STEPS)
    return f"""<svg class="flow" viewBox="0 0 958 270" role="img" aria-label="The flow of data. {told}">
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0L8 4L0 8z" fill="currentColor"/></marker>
<radialGradient id="heat"><stop offset="0" stop-color="{high}"/><stop offset=".55" stop-color="{middle}"/>
<stop offset="1" stop-color="{low}"/></radialGradient></defs>
{pictures}{flow}
<rect class="box" x="{CENTRES[1] - 34}" y="6" width="68" height="164" rx="8"/>
<text class="inside" x="{CENTRES[1]}" y="84">frozen</text><text class="inside" x="{CENTRES[1]}" y="101">network</text>
<path class="box" transform="translate({CENTRES[2]} {ROWS[1]})" d="M-36 -82L0 -28L36 -82V82L0 28L-36 82z"/>
<text class="inside" x="{CENTRES[2]}" y="92">learns</text>
{errors}{weights}
<circle class="box" cx="{CENTRES[4]}" cy="{ROWS[1]}" r="21"/>
<text class="inside" x="{CENTRES[4]}" y="{ROWS[1] + 6}" style="font-size:19px">Σ</text>
<path class="line" marker-end="url(#head)" d="M{CENTRES[4] + 22} {ROWS[1]}H{CENTRES[5] - 60}"/>
<rect x="{CENTRES[5] - 56}" y="{ROWS[1] - 42}" width="84" height="84" rx="6" fill="{low}"/>
<ellipse cx="{CENTRES[5] - 8}" cy="{ROWS[1] + 4}" rx="24" ry="19" fill="url(#heat)"/>
<ellipse cx="{CENTRES[5] - 8}" cy="{ROWS[1] + 4}" rx="16" ry="12" fill="none" stroke="#fff" stroke-width="1.6"
stroke-dasharray="4 3"/>
<path class="line" d="M{CENTRES[5] + 46} {ROWS[1] - 42}V{ROWS[1] + 42}M{CENTRES[5] + 39} {ROWS[1]}H{CENTRES[5] + 53}"/>
<circle cx="{CENTRES[5] + 46}" cy="{ROWS[1] - 27}" r="5.5" fill="#d55e00"/>
<text x="{CENTRES[5] + 46}" y="{ROWS[1] - 52}">score</text>
<text x="{CENTRES[5] + 46}" y="{ROWS[1] + 58}">threshold</text>
{captions}</svg>"""


def _picture(x: int, y: int, light: str) -> str:
    """A part with a dent under one light."""
    shade = {"left": "M-9 3A9 9 0 0 1 3 -9L0 0z", "top": "M-9 -2A9 9 0 0 1 9 -2L0 3z"}.get(light, "")
    return (
        f'<rect x="{x - 23}" y="{y - 23}" width="46" height="46" rx="5" fill="#3a4148"/>'
        f'<g transform="translate({x} {y})"><circle r="15" fill="#b9a07e"/>'
        f'<path d="{shade}" fill="#6b5a43" opacity=".8"/></g><text x="{x - 46}" y="{y + 4}">{light}</text>'
    )


def _map(x: int, y: int, size: int) -> str:
    """The error of one light, larger or smaller."""
    return (
        f'<rect x="{x - 23}" y="{y - 23}" width="46" height="46" rx="5" fill="#17082e"/>'
        f'<circle cx="{x + 2}" cy="{y + 2}" r="{size}" fill="url(#heat)"/>'
    )


def _wrapped(text: str, width: int = 24) -> list[str]:
    """Lines of at most `width` letters: an SVG breaks none itself."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
