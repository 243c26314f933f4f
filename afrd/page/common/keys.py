"""Keys of what the page keeps: everything that an answer depends on, and made here alone.

A key holds the states of the files that were read for the answer, so that it is another key as soon as one of them is
changed, replaced or trained anew. Every event runs within an `afrd.files.snapshot` (`once_an_event`): it looks at each
file once, and all its answers stand on the same view of the files.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import afrd.data
from afrd.files import SnapshotValues, file_state, snapshot

if TYPE_CHECKING:
    import gradio as gr

    from afrd.analysis.comparison.methods import Method
    from afrd.data.dataset import MultiLightDataset
    from afrd.data.uploads import Upload

RUN_FILES = ("config.json", "calibration.safetensors", "model.safetensors")


def of_file(path: Path) -> Hashable:
    """Of what is read from one file."""
    return file_state(path)


def of_run(folder: Path) -> Hashable:
    """Of what a run says: another one when it is trained again."""
    return tuple(file_state(folder / name) for name in RUN_FILES)


def of_sample(dataset: MultiLightDataset, index: int) -> Hashable:
    """Of one sample: its pictures and what is known of it."""
    where = (dataset.category, dataset.split, dataset.names[index], dataset.lights)
    return (*where, afrd.data.state.sample_state(dataset, index))


def of_split(dataset: MultiLightDataset) -> Hashable:
    """Of a whole split: all its samples."""
    return str(dataset.root), dataset.category, dataset.split, afrd.data.state.split_state(dataset)


def of_method(method: Method) -> Hashable:
    """Of what a method says: its runs, lights and fusion."""
    return method.label, tuple(of_run(run.folder) for run in method.runs), method.lights, method.fusion


def of_uploads(uploads: Iterable[Upload]) -> Hashable:
    """Of pictures that somebody brought, with the lights that they are of."""
    return tuple((file_state(upload.path), upload.name, upload.light) for upload in uploads)


def once_an_event(page: gr.Blocks) -> None:
    """Runs every handler of a page within a snapshot of its own, a generator's from its first step to its last."""
    for function in page.fns.values():
        if function.fn is not None:
            function.fn = in_snapshot(function.fn)


def in_snapshot(handler: Callable) -> Callable:
    """The handler, which looks at every file once in each call."""
    if inspect.isgeneratorfunction(handler):

        @wraps(handler)
        def steps(*inputs: Any) -> Iterator[Any]:
            # Gradio takes each step in a context of its own, so that the snapshot is entered anew for each.
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
