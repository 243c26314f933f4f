"""Region of interest: maps are 0 outside of it, and the score is the maximum inside."""

from __future__ import annotations

from dataclasses import replace

import torch.nn.functional as F
from torch import Size, Tensor

from afrd.model.evidence import Maps


def region_at(region: Tensor, size: tuple[int, int] | Size) -> Tensor:
    """A region (h, w) bool at a picture's size (H, W): each pixel is that of the nearest place."""
    if tuple(region.shape) == tuple(size):
        return region
    return F.interpolate(region[None, None].float(), tuple(size), mode="nearest-exact")[0, 0] > 0.5


def within(maps: Maps, region: Tensor | None) -> Maps:
    """The maps inside a region: 0 outside of it, attention as it is; the same object without a region."""
    if region is None:
        return maps
    outside = ~region_at(region, (maps.anomaly_map.shape[-2], maps.anomaly_map.shape[-1]))
    anomaly_map = maps.anomaly_map.masked_fill(outside, 0.0)
    light_maps = maps.light_maps.masked_fill(outside, 0.0)
    return replace(maps, anomaly_map=anomaly_map, light_maps=light_maps, score=anomaly_map.flatten(1).amax(1))
