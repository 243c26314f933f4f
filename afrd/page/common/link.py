"""Links: from a selection to the page's address and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote

import gradio as gr

from afrd.metrics.words import OUTCOMES
from afrd.page.common import samples
from afrd.page.common.entries import CategoryEntry, RunEntry
from afrd.page.common.library import Library
from afrd.page.common.samples import first_selection, on_its_page, with_samples
from afrd.page.common.scripts import joined
from afrd.page.common.selection import FIRST_TAB, ORDERS, Selection, usable_lights, with_run

FOLDER = Path(__file__).parent
TAB_EVENT = "afrd-tab"


def address() -> gr.HTML:
    """Updates the browser's address; its value is that of `stamped`, an empty one changes nothing."""
    return gr.HTML(
        "",
        html_template="<i></i>",
        js_on_load=joined(FOLDER / "address.js", PARAMETERS=PARAMETERS, FIRST_TAB=FIRST_TAB, TAB_EVENT=TAB_EVENT),
        visible="hidden",
        elem_id="address",
    )


def notice() -> gr.HTML:
    """A dismissible sentence above the tabs."""
    return gr.HTML(
        "",
        html_template='<div class="notice" role="status" hidden><span></span>'
        '<button type="button" aria-label="close">×</button></div>',
        js_on_load=joined(FOLDER / "notice.js"),
        apply_default_css=False,
        elem_id="notice",
    )


def note_tab(tab: gr.Tab) -> str:
    """Puts this tab into the address while it is open; returns its id."""
    tab.select(
        None,
        js=f"() => document.dispatchEvent(new CustomEvent('{TAB_EVENT}', {{ detail: '{tab.id}' }}))",
        api_name=f"note_tab_{tab.id}",
        api_visibility="private",
    )
    return str(tab.id)


def link_of(library: Library, selection: Selection) -> Link:
    """The link of a selection; values that the page would select by default are left empty."""
    if selection.category is None:
        return Link()
    try:
        entry = library.category(selection.category)
        dataset = samples.dataset_of(library, selection)
        usable = usable_lights(entry, selection, dataset.lights)
    except (ValueError, OSError):
        return Link(category=selection.category)
    return Link(
        category=selection.category,
        run=_name(library, selection.run),
        beside=_name(library, selection.beside),
        split=dataset.split,
        sample="" if selection.index is None else dataset.names[selection.index],
        lights=None if selection.lights == usable else selection.lights,
        light=selection.shown or "",
        kind="" if selection.kind == "all" else selection.kind,
        verdict="" if selection.verdict == "all" else selection.verdict,
        order="" if selection.order == ORDERS[0] else selection.order,
        at=selection.pinned,
    )


def selection_of(library: Library, link: Link, default: str | None = None) -> tuple[Selection, str]:
    """The selection that a link describes.

    Args:
        library: available runs and data.
        link: from an address; any of its names may be unknown.
        default: the category to show where the link names none.

    Returns:
        The selection nearest to the link, and a sentence about unknown names; empty if there are none.
    """
    lost: list[str] = []
    entries = library.categories()
    entry = _entry(library, entries, link, lost)
    selection = first_selection(library, entry.key if entry else default)
    if selection.category is None or selection.index is None:
        return selection, _sentence(lost)
    entry = library.category(selection.category)
    if link.run and (run := _run(library, entry.fused, link.run, "run", lost)):
        selection = with_run(library, selection, run.folder)
    if link.beside and (run := _run(library, (*entry.single, *entry.fused), link.beside, "run beside it", lost)):
        selection = replace(selection, beside=run.folder)
    data = library.data_of(entry)
    if link.split and _is_here(link.split, data.splits, "split", lost):
        selection = with_samples(library, replace(selection, split=link.split, index=None))
    dataset = data[selection.split or ""]
    usable = usable_lights(entry, selection, dataset.lights)
    if link.lights is not None:
        known_lights = tuple(light for light in usable if light in link.lights)
        lost += [f"light “{light}”" for light in link.lights if light not in usable]
        selection = replace(selection, lights=known_lights if known_lights or not link.lights else usable)
    if link.light and _is_here(link.light, dataset.lights, "light", lost):
        selection = replace(selection, shown=link.light)
    if link.kind and _is_here(link.kind, samples.kinds(dataset), "filter", lost):
        selection = replace(selection, kind=link.kind)
    if link.verdict and _is_here(link.verdict, OUTCOMES, "verdict", lost):
        selection = replace(selection, verdict=link.verdict)
    if link.order and _is_here(link.order, ORDERS, "order", lost):
        selection = replace(selection, order=link.order)
    if link.sample and _is_here(link.sample, dataset.names, "sample", lost):
        selection = replace(selection, index=dataset.names.index(link.sample))
    else:
        selection = with_samples(library, selection)
    height, width = dataset.image_size
    if link.at is not None and link.at[0] < width and link.at[1] < height:
        selection = replace(selection, pinned=link.at)
    return on_its_page(library, selection), _sentence(lost)


def stamped(query: str, started: float) -> str:
    """The address's value: when its event began, then the query; the browser drops one of an earlier event that comes
    late."""
    return f"{started:.6f} {query}"


def query_of(library: Library, selection: Selection, tab: str = "") -> str:
    """A selection as the query part of an address."""
    return to_query(replace(link_of(library, selection), tab=tab))


def _entry(library: Library, entries: Sequence[CategoryEntry], link: Link, lost: list[str]) -> CategoryEntry | None:
    """The category that the link names, or the one that its run belongs to."""
    for entry in entries:
        if entry.key == link.category:
            return entry
    if link.category:
        lost.append(f"category “{link.category}”")
    runs = ((entry, run) for entry in entries for run in entry.fused)
    return next((entry for entry, run in runs if link.run and _name(library, run.folder) == link.run), None)


def _run(library: Library, runs: Sequence[RunEntry], name: str, kind: str, lost: list[str]) -> RunEntry | None:
    """A run by name among those of the library; a path from an address is never opened."""
    entry = next((run for run in runs if _name(library, run.folder) == name), None)
    if entry is None:
        lost.append(f"{kind} “{name}”")
    return entry


def _is_here(name: str, names: Sequence[str], kind: str, lost: list[str]) -> bool:
    if name not in names:
        lost.append(f"{kind} “{name}”")
    return name in names


def _name(library: Library, folder: Path | None) -> str:
    if folder is None:
        return ""
    return folder.relative_to(library.runs).as_posix() if folder.is_relative_to(library.runs) else folder.as_posix()


def _sentence(lost: Sequence[str]) -> str:
    if not lost:
        return ""
    *more, last = (name if len(name) < 90 else name[:89] + "…" for name in lost[:6])
    names = f"{', '.join(more)} and {last}" if more else last
    verb = "are" if more else "is"
    return f"The link names {names}, which {verb} not here; this is the nearest view there is."


@dataclass(frozen=True)
class Link:
    """A view of the page by names, as an address can hold it; empty values mean the page's initial selection.

    Attributes:
        tab: id of a tab.
        category, split, sample: names.
        run, beside: run folders below the page's folder of runs, with `/`.
        lights: those switched on; None: all of the run's.
        light: whose picture is shown under the maps.
        kind, verdict, order: as in `Selection`.
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
    """A link from the query part of an address, or from its parameters; invalid values are left out."""
    parameters = (
        dict(parse_qsl(query.removeprefix("?"), keep_blank_values=True)) if isinstance(query, str) else dict(query)
    )
    lights = None
    if "lights" in parameters:
        lights = tuple(dict.fromkeys(unquote(name) for name in parameters["lights"].split(",") if name))
    return Link(
        **{name: parameters.get(name, "") for name in NAMES}, lights=lights, at=_place(parameters.get("at", ""))
    )


def _place(text: str) -> tuple[int, int] | None:
    parts = text.split(",")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 7 for part in parts):
        return None
    return int(parts[0]), int(parts[1])
