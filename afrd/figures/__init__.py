"""Every figure and overlay: data in, a Plotly figure out; nothing is shown or saved here.

Maps are drawn in units of the run's own threshold, from 0 to 2, and never stretched per picture, so that a good part
looks calm and two methods can be compared by eye. The colours, and the way a map covers its picture, are defined here
once; the page draws with the same.
"""

from afrd.figures.charts import score_bars, training_curve
from afrd.figures.comparison import defect_bars, difference_forest, pro_curves, roc_curves
from afrd.figures.drawing import (
    ANOMALOUS_COLOUR,
    CLEAR,
    ERROR_COLOURS,
    FULL,
    GOOD_COLOUR,
    LIMIT,
    MAP_SIDE,
    NEUTRAL_COLOUR,
    SHARE_COLOURS,
    THRESHOLD_COLOUR,
    TILE,
    TRUTH_COLOUR,
    colours,
    contour_lines,
    coverage,
    main_light,
    map_uri,
    picture_uri,
    score_text,
    shrink,
    truth_lines,
    truth_text,
    unit_name,
    unit_of,
)
from afrd.figures.errors import score_histogram
from afrd.figures.lighting import (
    defect_lights,
    light_shares,
    light_values,
    pareto_front,
    pixel_shares,
    redundancy_map,
)
from afrd.figures.painting import covered_uri, painted, svg_path
from afrd.figures.pictures import (
    attention_maps,
    attention_weights,
    compare_maps,
    light_error_maps,
    light_strip,
    overlay,
)

__all__ = [
    "ANOMALOUS_COLOUR",
    "CLEAR",
    "ERROR_COLOURS",
    "FULL",
    "GOOD_COLOUR",
    "LIMIT",
    "MAP_SIDE",
    "NEUTRAL_COLOUR",
    "SHARE_COLOURS",
    "THRESHOLD_COLOUR",
    "TILE",
    "TRUTH_COLOUR",
    "attention_maps",
    "attention_weights",
    "colours",
    "compare_maps",
    "contour_lines",
    "coverage",
    "covered_uri",
    "defect_bars",
    "defect_lights",
    "difference_forest",
    "light_error_maps",
    "light_shares",
    "light_strip",
    "light_values",
    "main_light",
    "map_uri",
    "overlay",
    "painted",
    "pareto_front",
    "picture_uri",
    "pixel_shares",
    "pro_curves",
    "redundancy_map",
    "roc_curves",
    "score_bars",
    "score_histogram",
    "score_text",
    "shrink",
    "svg_path",
    "training_curve",
    "truth_lines",
    "truth_text",
    "unit_name",
    "unit_of",
]
