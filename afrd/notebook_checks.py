"""What the text of a notebook says of the numbers above it, checked; but a reader's numbers may differ a little."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

OTHERWISE = "Here the numbers came out otherwise than where the next text was written; go by yours."


@contextmanager
def as_written() -> Iterator[None]:
    """Takes the assertions on which a text rests.

    Training gives slightly other weights on another processor, or with another number of threads. Where one of the
    assertions fails, this says so and the notebook goes on; only when the notebooks are built (`AFRD_BUILD`) does it
    fail, so that no text goes stale.
    """
    try:
        yield
    except AssertionError:
        if os.environ.get("AFRD_BUILD"):
            raise
        print(OTHERWISE)
