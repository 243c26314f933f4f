"""`afrd cache`: lists, limits and clears the store of teacher features."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import afrd.runs
from afrd.cli.common import as_path, write_json

if TYPE_CHECKING:
    from afrd.runs.store import Entry


def add_command(commands: Any) -> None:
    """Adds the command `cache`."""
    p = commands.add_parser("cache", help="list what the store of teacher features holds, limit it, or clear it")
    p.add_argument("--limit", metavar="SIZE", help="keep at most this much, such as 20GB; the oldest use goes first")
    removal = p.add_mutually_exclusive_group()
    removal.add_argument("--clear", action="store_true", help="remove everything; it is computed anew when needed")
    removal.add_argument(
        "--tidy", action="store_true", help="remove what nothing reads any more: pictures that changed or are gone"
    )
    p.add_argument("--json", type=as_path, metavar="FILE")
    p.set_defaults(run=cache)


def cache(options: argparse.Namespace) -> None:
    store = afrd.runs.store
    size = store.read_size(options.limit) if options.limit is not None else None
    removed = []
    if options.clear or options.tidy:
        removed += store.clear(unused_only=options.tidy)
    if size is not None:
        removed += store.set_limit(size)
    entries = store.entries()
    reasons = [store.why_unused(entry) for entry in entries]  # each looks at all pictures of a split
    for entry, why in zip(entries, reasons, strict=True):
        print("  ".join(_cells(entry, why)))
    if removed:
        print(f"removed {len(removed)}, {store.size_text(sum(entry.size for entry in removed))}")
    total = sum(entry.size for entry in entries)
    limit, free = store.limit(), store.free_bytes()
    print(
        f"{store.features_dir()}: {len(entries)} splits, {store.size_text(total)} of at most {store.size_text(limit)}; "
        f"the disk has {store.size_text(free)} free"
    )
    content = {
        "folder": str(store.features_dir()),
        "bytes": total,
        "limit": limit,
        "free": free,
        "entries": [_as_json(entry, why) for entry, why in zip(entries, reasons, strict=True)],
        "removed": [str(entry.folder) for entry in removed],
    }
    write_json(options.json, content)


def _cells(entry: Entry, why: str | None) -> list[str]:
    size_text = afrd.runs.store.size_text
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
    cells = [f"{size_text(entry.size):>8}", used]
    if (about := entry.about) is None:
        cells.append(entry.folder.name)
    else:
        cells.append(str(Path(about.root, about.category, about.split)))
        cells.append(f"{about.samples} samples, {len(about.lights)} lights, {about.teacher} at {about.size}")
    return [*cells, f"({why})"] if why else cells


def _as_json(entry: Entry, why: str | None) -> dict[str, Any]:
    about = asdict(entry.about) if entry.about is not None else None
    return {"folder": str(entry.folder), "bytes": entry.size, "used": entry.used, "about": about, "unused": why}
