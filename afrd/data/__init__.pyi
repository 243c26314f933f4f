from . import dataset, download, state
from .dataset import (
    EYECANDIES_LIGHTS,
    MultiLightDataset,
    list_categories,
    open_dataset,
)
from .images import decode, read_picture
from .layouts import why_no_categories
from .names import parse_lights, parse_views
from .records import first_of
from .relief import Relief, sample_relief, srgb
from .rig import Lamp, enough, lamps_of, rig_files
from .sample import Sample, read_sample
from .uploads import MAX_UPLOAD_SIDE, Upload, added, read_upload, read_uploads, same_proportions, size_text, uploads_of

__all__ = [
    "EYECANDIES_LIGHTS",
    "MAX_UPLOAD_SIDE",
    "Lamp",
    "MultiLightDataset",
    "Relief",
    "Sample",
    "Upload",
    "added",
    "dataset",
    "decode",
    "download",
    "enough",
    "first_of",
    "lamps_of",
    "list_categories",
    "open_dataset",
    "parse_lights",
    "parse_views",
    "read_picture",
    "read_sample",
    "read_upload",
    "read_uploads",
    "rig_files",
    "same_proportions",
    "sample_relief",
    "size_text",
    "srgb",
    "state",
    "uploads_of",
    "why_no_categories",
]
