"""The tab that says what one is looking at."""

from __future__ import annotations

import gradio as gr


def about_tab(error_colours: list[str]) -> None:
    """Lays the tab out; `error_colours` from low to high are those of the maps."""
    gradient = ", ".join(error_colours[::15])
    gr.HTML(
        f"""<div class="about">
<h2>One part, several lights, one verdict</h2>
An inspection station photographs a part under several lights, because no single picture shows every defect: a dent
shows under a spot from the side, a stain under the light box. This page shows what each light sees and how
<b>attention fusion reverse distillation</b> (AFRD) makes one map of it, beside reverse distillation (RD) on one light.
<div class="flow">
<div><b>Pictures</b>one of every light, of one part that does not move</div>
<div><b>Teacher</b>a frozen network trained on ordinary photographs describes every place of every picture</div>
<div><b>Student</b>learns on good parts only to give the teacher's description back through a narrow bottleneck</div>
<div><b>Error of every light</b>where teacher and student disagree, the part is unlike the good ones</div>
<div><b>Attention</b>at every place the lights with the largest errors count most; their weighted sum is the map, its
highest value the score</div>
</div>
<h2>What a colour means</h2>
<div class="scale">0 <span style="background: linear-gradient(90deg, {gradient})"></span> 2 × threshold</div>
Every map is divided by its own run's threshold, and the scale is never stretched: 1 is the threshold for every
sample and every method, so a good part looks calm. Low values are transparent over a picture; move the slider towards
“map” to see them. The dashed line runs where the map passes the threshold, the turquoise one around the true defect.
The threshold is set by good parts that the model was not trained on, such that a good part is called anomalous with at
most the stated probability (split conformal prediction). Switching lights off gives map, score and threshold anew.
<h2>Limits</h2>
A score is no probability of a defect, and the threshold's promise holds for parts photographed like the ones it was
set with. Attention says which light's error went into the map, not which light caused the defect to be seen. A part
that moved, or was lit otherwise than in training, is anomalous to the student.
<h2>Sources</h2>
AFRD: Zhang, Cao, Zhang and Shen, <i>Attention Fusion Reverse Distillation for Multi-Lighting Image Anomaly
Detection</i>, CASE 2024, arXiv 2406.04573. RD4AD: Deng and Li, <i>Anomaly Detection via Reverse Distillation from
One-Class Embedding</i>, CVPR 2022. This is an independent re-implementation: the paper's code was not available to us.
</div>"""
    )
