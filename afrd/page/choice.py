"""What one user looks at, shared by all tabs, and its form in the page's address."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Choice:
    """What one user looks at.

    Attributes:
        category: key of a `CategoryEntry`, None while there is none.
        run: folder of the AFRD run, None where there is none.
        beside: folder of the single-light run beside it.
        split, index: the sample.
        lights: those switched on; the others are hidden from the run.
        shown: the light whose picture lies under the maps.
        kind: filter of the samples: `all`, `good`, `bad`, a defect type, or a verdict.
        page: which part of a long list of samples.
        order: of the samples: `number` or `score`.
        pinned: a place (x, y) in the sample's pictures, in pixels.
    """

    category: str | None = None
    run: Path | None = None
    beside: Path | None = None
    split: str | None = None
    index: int | None = None
    lights: tuple[str, ...] = ()
    shown: str | None = None
    kind: str = "all"
    page: int = 0
    order: str = "number"
    pinned: tuple[int, int] | None = None
