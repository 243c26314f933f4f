"""Entries of the menus that several tabs have."""

from __future__ import annotations

from collections.abc import Sequence

from afrd.page.common.library import CategoryEntry, RunEntry

NO_RUN = "no run yet"


def run_choices(runs: Sequence[RunEntry]) -> list[tuple[str, str]]:
    return [(run.label, str(run.folder)) for run in runs] or [(NO_RUN, "")]


def category_choices(entries: Sequence[CategoryEntry]) -> list[tuple[str, str]]:
    return [(e.key if e.fused or e.single else f"{e.key} ({NO_RUN})", e.key) for e in entries]
