"""Attribution of a score to lights and to pixels.

lights(run, data["test_public"], 25)                 # exact Shapley values of the lights, from cached features
lights(run, dataset, 25, region=around((120, 88), (256, 256)))
pixels(run, dataset[25], baseline=alike(dataset[25], data["train"]))    # Captum, through the teacher; seconds

docs/lights.md defines the baselines for an absent light and an absent pixel.
"""

from afrd.analysis.explain.light_score import LightAttribution, lights
from afrd.analysis.explain.pixel_score import BASELINES, METHODS, PixelAttribution, alike, pixels
from afrd.analysis.explain.region import around

__all__ = ["BASELINES", "METHODS", "LightAttribution", "PixelAttribution", "alike", "around", "lights", "pixels"]
