"""Keys of the page's caches: everything that a cached result depends on. All keys are made here.

A key holds the states of the files that were read for the answer, so that it is another key as soon as one of them is
changed, replaced or trained anew. Every event runs within an `afrd.files.snapshot` (`in_snapshot`): it looks at each
file once, and all its results use the same state of the files.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import afrd.data
from afrd.files import SnapshotValues, file_state, snapshot
from afrd.runs.file_names import CALIBRATION, CONFIG, WEIGHTS

if TYPE_CHECKING:
    from afrd.analysis.comparison.methods import Method
    from afrd.data.dataset import MultiLightDataset
    from afrd.data.uploads import Upload
    from afrd.runs.run import Run

WEIGHT_FILES = (CONFIG, CALIBRATION, WEIGHTS)
RUN_FILES = (*WEIGHT_FILES, "region.png", "corrections")  # a folder changes with each file in it


def of_file(path: Path) -> Hashable:
    """Key of content read from one file."""
    return file_state(path)


def of_run(folder: Path) -> Hashable:
    """Key of results of a run; it changes when the run is trained again or corrected, or judges in another region."""
    return tuple(file_state(folder / name) for name in RUN_FILES)


def of_weights(folder: Path) -> Hashable:
    """Key of what a run has learned; it changes when the run is trained again."""
    return tuple(file_state(folder / name) for name in WEIGHT_FILES)


def of_region(run: Run) -> Hashable:
    """Key of the region in which a run judges, which need not be the one kept in its folder."""
    return None if run.region is None else hashlib.blake2b(np.packbits(run.region).tobytes()).hexdigest()


def of_sample(dataset: MultiLightDataset, index: int) -> Hashable:
    """Key of one sample: its pictures, masks and metadata."""
    where = (dataset.category, dataset.split, dataset.names[index], dataset.lights)
    return (*where, afrd.data.state.sample_state(dataset, index))


def of_split(dataset: MultiLightDataset) -> Hashable:
    """Key of a whole split: all its samples."""
    return str(dataset.root), dataset.category, dataset.split, afrd.data.state.split_state(dataset)


def of_method(method: Method) -> Hashable:
    """Key of results of a method: its runs, lights and fusion."""
    return (
        method.label,
        tuple((of_run(run.folder), of_region(run)) for run in method.runs),
        method.lights,
        method.fusion,
    )


def of_uploads(uploads: Iterable[Upload]) -> Hashable:
    """Key of uploaded pictures with their lights."""
    return tuple((file_state(upload.path), upload.name, upload.light) for upload in uploads)


def in_snapshot(handler: Callable) -> Callable:
    """The handler, run within a snapshot: every file is inspected once in each call, also of a generator."""
    if inspect.isgeneratorfunction(handler):

        @wraps(handler)
        def steps(*inputs: Any) -> Iterator[Any]:
            # Gradio runs each step in its own context, so the snapshot is entered for each step.
            snapshot_values: SnapshotValues = {}
            values = handler(*inputs)
            while True:
                with snapshot(snapshot_values):
                    try:
                        value = next(values)
                    except StopIteration:
                        return
                yield value

        return steps

    @wraps(handler)
    def call(*inputs: Any) -> Any:
        with snapshot():
            return handler(*inputs)

    return call
