"""Lights and views by name, as users write them."""

import operator
from collections.abc import Sequence
from typing import SupportsIndex


def parse_lights(lights: str | Sequence[str | int] | None, available: Sequence[str]) -> tuple[str, ...]:
    """The selected lights, in the order of `available`.

    Args:
        lights: "all" or None; names and numbers, comma-separated or as a sequence. A number is a position in
            `available`, counted from 0; text that equals a light's name selects that light. Repeated lights count once.
        available: Names of the available lights.

    Returns:
        At least one of the names.

    Raises:
        ValueError: An unknown light, or none at all.
    """
    if lights is None or (isinstance(lights, str) and lights.strip().lower() == "all"):
        return tuple(available)
    names = _split_at_commas(lights, available) if isinstance(lights, str) else list(lights)
    allowed = f"allowed are all, {', '.join(available)}, or their numbers 0 to {len(available) - 1}"
    selected = {_light_named(name, available, allowed) for name in names}
    if not selected:
        raise ValueError(f"no light is named in {lights!r}; {allowed}")
    return tuple(light for light in available if light in selected)


def _split_at_commas(text: str, available: Sequence[str]) -> list[str]:
    """The names in a text; a light that has commas in its own name is recognised, the longest one first."""
    pieces, names, start = text.split(","), [], 0
    while start < len(pieces):
        ends = range(len(pieces), start, -1)
        end = next((end for end in ends if ",".join(pieces[start:end]).strip() in available), start + 1)
        names.append(",".join(pieces[start:end]).strip())
        start = end
    return [name for name in names if name]


def _light_named(name: str | int, available: Sequence[str], allowed: str) -> str:
    if isinstance(name, str) and name.strip() in available:
        return name.strip()
    digits = isinstance(name, str) and name.strip().isascii() and name.strip().isdigit()
    number: object = int(name) if digits else name
    if isinstance(number, SupportsIndex) and not isinstance(number, bool):
        position = operator.index(number)
        if 0 <= position < len(available):
            return available[position]
    raise ValueError(f"light {name!r} is not known; {allowed}")


def checked_lights(names: Sequence[str], available: Sequence[str], owner: str) -> tuple[str, ...]:
    """The names, in their own order.

    Raises:
        ValueError: One that `owner` does not have, one named twice, or none at all.
    """
    selected = (names,) if isinstance(names, str) else tuple(names)
    for light in selected:
        if light not in available:
            raise ValueError(f"light {light!r} is not in {owner}; its lights are {', '.join(available)}")
    if not selected or len(set(selected)) < len(selected):
        raise ValueError(f"{list(selected)} must name at least one light of {', '.join(available)}, each of them once")
    return selected


def parse_views(text: str) -> tuple[str, ...]:
    """Views named in a text, separated by commas; empty for "all", which `open_dataset` takes for all of them."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    return () if names in ((), ("all",)) else names
