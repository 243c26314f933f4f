"""What one user looks at, shared by all tabs, and its form in the page's address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote

FIRST_TAB = "explore"
VERDICTS = ("right", "missed", "false alarm")  # of the shown run, against the truth
ORDERS = ("number", "score")


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
        kind: filter of the samples: `all`, `good`, `bad` or a defect type.
        verdict: filter of the samples by what the run says of them: `all` or one of `VERDICTS`.
        page: which part of a long list of samples.
        order: of the samples, one of `ORDERS`; by score the highest comes first.
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
    verdict: str = "all"


@dataclass(frozen=True)
class Link:
    """A view of the page by names, as an address can hold it; what is empty is the page's own first choice.

    Attributes:
        tab: id of a tab.
        category, split, sample: names.
        run, beside: run folders below the page's folder of runs, with `/`.
        lights: those switched on; None: all that the run knows.
        light: the one whose picture lies under the maps.
        kind, verdict, order: as in `Choice`.
        at: the pinned place (x, y) in pixels.
    """

    tab: str = ""
    category: str = ""
    run: str = ""
    beside: str = ""
    split: str = ""
    sample: str = ""
    lights: tuple[str, ...] | None = None
    light: str = ""
    kind: str = ""
    verdict: str = ""
    order: str = ""
    at: tuple[int, int] | None = None


NAMES = ("tab", "category", "run", "beside", "split", "sample", "light", "kind", "verdict", "order")
PARAMETERS = (*NAMES, "lights", "at")


def to_query(link: Link) -> str:
    """The query part of an address, without `?`, such as `category=Praline&sample=25&lights=top,box&at=120,88`."""
    parts = {name: getattr(link, name) for name in NAMES if getattr(link, name)}
    if link.lights is not None:  # a name may itself hold a comma
        parts["lights"] = ",".join(name.replace("%", "%25").replace(",", "%2C") for name in link.lights)
    if link.at is not None:
        parts["at"] = f"{link.at[0]},{link.at[1]}"
    return "&".join(f"{name}={quote(text, safe='/,', errors='replace')}" for name, text in parts.items())


def from_query(query: str | Mapping[str, str]) -> Link:
    """A link from the query part of an address, or from its parameters; what is not understood is left out."""
    found = dict(parse_qsl(query.removeprefix("?"), keep_blank_values=True)) if isinstance(query, str) else dict(query)
    lights = None
    if "lights" in found:
        lights = tuple(dict.fromkeys(unquote(name) for name in found["lights"].split(",") if name))
    return Link(**{name: found.get(name, "") for name in NAMES}, lights=lights, at=_place(found.get("at", "")))


def _place(text: str) -> tuple[int, int] | None:
    parts = text.split(",")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 7 for part in parts):
        return None
    return int(parts[0]), int(parts[1])
