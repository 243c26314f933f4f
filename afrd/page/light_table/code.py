"""Paths of a light table's sample and run, from which `code.js` makes Python code that shows the same in a notebook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afrd.data.dataset import MultiLightDataset


def code_of(run: Path | None, beside: Path | None, dataset: MultiLightDataset, index: int) -> dict[str, Any]:
    """The folders and names of a sample, of the run that judges it (None without one), and of the one beside it (None
    for the default one)."""
    return {
        "run": None if run is None else str(run.absolute()),
        "beside": None if beside is None else str(beside.absolute()),
        "root": str(dataset.root.absolute()),
        "category": dataset.category,
        "views": sorted({view.name for view in dataset.views}),
        "split": dataset.split,
        "sample": dataset.names[index],
        "index": index,
    }


def without_folders(code: dict[str, Any]) -> dict[str, Any]:
    """The same for a file that others read: folders below the current one are relative to it, and of others only the
    last names are left, so that the file does not say where its author keeps things."""

    def short(folder: str, names: int) -> str:
        path = Path(folder)
        here = path.is_relative_to(Path.cwd())
        return path.relative_to(Path.cwd()).as_posix() if here else Path(*path.parts[-names:]).as_posix()

    runs = {name: code[name] and short(code[name], 2) for name in ("run", "beside")}
    return code | runs | {"root": short(code["root"], 1), "elsewhere": True}
